// SPDX-License-Identifier: MIT
// 6. NumPy's way: statistics, a first guess and .npy files with xtensor's expressions, which look at the memory of a data set without copying it.
#include <dla/data.hpp>
#include <dla/interop/xtensor.hpp>
#include <dla/nn.hpp>
#include <dla/train.hpp>

#if __has_include(<xtensor/core/xmath.hpp>)  // since 0.26
#include <xtensor/core/xmath.hpp>
#include <xtensor/io/xnpy.hpp>
#include <xtensor/misc/xsort.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xmath.hpp>
#include <xtensor/xnpy.hpp>
#include <xtensor/xsort.hpp>
#include <xtensor/xview.hpp>
#endif

#include <cmath>
#include <cstdio>
#include <cstdlib>

/// The images as an expression [samples, height, width, channels] of bytes.
auto images_of(const dla::Dataset& data) { return dla::as_xtensor_images(dla::BasicView<const std::uint8_t*>{data.images.data(), data.size(), data.shape}); }

int main(int argc, char** argv) {
    const int count = argc > 1 ? std::atoi(argv[1]) : 8000;
    const std::string folder = argc > 2 ? argv[2] : ".";
    dla::Dataset train = dla::make_digits(count, dla::Seed{42});
    dla::Dataset test = dla::make_digits(1000, dla::Seed{42}, dla::DigitsPart::test);

    // What compute_statistics finds, in two lines.
    dla::compute_statistics(train);
    test.mean = train.mean, test.std = train.std;  // a network sees what it is tested on as it saw what it learned from
    const xt::xtensor<double, 4> pixels = images_of(train) / 255.0;
    const double mean = xt::mean(pixels)(), std = std::sqrt(xt::mean(xt::square(pixels - mean))());
    std::printf("pixels: mean %.4f, standard deviation %.4f (compute_statistics: %.4f and %.4f)\n", mean, std, train.mean[0], train.std[0]);

    // The mean image of each class [classes, height, width, channels], for Python: numpy.load("mean_digits.npy").
    const auto side = static_cast<std::size_t>(train.shape.d[1]), classes = static_cast<std::size_t>(train.num_classes);
    xt::xtensor<float, 4> sums = xt::zeros<float>({classes, side, side, std::size_t{1}});
    xt::xtensor<float, 1> members = xt::zeros<float>({classes});
    for (std::size_t i = 0; i < train.labels.size(); ++i) {
        const auto label = static_cast<std::size_t>(train.labels[i]);
        xt::view(sums, label) += xt::view(pixels, i);
        members(label) += 1;
    }
    const xt::xtensor<float, 4> means = sums / xt::view(members, xt::all(), xt::newaxis(), xt::newaxis(), xt::newaxis());
    const std::string file = folder + "/mean_digits.npy";
    xt::dump_npy(file, means);

    // A first guess that learns nothing more: the class whose mean image is nearest.
    const auto candidates = xt::load_npy<float>(file);
    const xt::xtensor<double, 4> questions = images_of(test) / 255.0;
    int nearest = 0;
    for (std::size_t i = 0; i < test.labels.size(); ++i) {
        const xt::xtensor<double, 1> distance = xt::sum(xt::square(candidates - xt::view(questions, xt::range(i, i + 1))), {1, 2, 3});
        nearest += xt::argmin(distance)() == static_cast<std::size_t>(test.labels[i]);
    }

    // A network has to do better. It predicts from an expression as well, and its scores become one.
    dla::Model<dla::Sequential<dla::Conv2d<1, 8, 3>, dla::ReLU, dla::MaxPool2d<2>, dla::Flatten, dla::Linear<dla::Dyn, 10>>, dla::Shape{1, 28, 28}> model(
        dla::Seed{42});
    dla::fit(model, train, {.epochs = 3, .batch_size = 50, .quiet = true});
    const xt::xtensor<float, 4> normalised = (questions - train.mean[0]) / train.std[0];
    const std::vector<float> scores = model.predict(dla::as_batch(normalised).values());
    const xt::xtensor<float, 2> answers = xt::adapt(scores, {test.labels.size(), classes});
    const xt::xtensor<std::size_t, 1> best = xt::argmax(answers, 1);
    const auto right = xt::sum(xt::equal(best, xt::adapt(test.labels, {test.labels.size()})))();

    const double guess = 100.0 * nearest / static_cast<double>(test.size()), network = 100.0 * static_cast<double>(right) / static_cast<double>(test.size());
    std::printf("nearest mean image: %.1f %%, network: %.1f %%\n", guess, network);
    return std::abs(mean - train.mean[0]) < 1e-5 && std::abs(std - train.std[0]) < 1e-5 && network == dla::accuracy(model, test) && network > guess ? 0 : 1;
}
