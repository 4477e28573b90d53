// SPDX-License-Identifier: MIT
// 4. Train, save, load into another model, and predict from several threads at once.
#include <dla/data.hpp>
#include <dla/nn.hpp>
#include <dla/train.hpp>

#include <cstdio>
#include <cstdlib>
#include <thread>

using Net = dla::Sequential<dla::Flatten, dla::Linear<784, 64>, dla::BatchNorm1d<64>, dla::ReLU, dla::Linear<64, 10>>;
using Digits = dla::Model<Net, dla::Shape{1, 28, 28}>;

int main(int argc, char** argv) {
    const std::string file = argc > 1 ? argv[1] : "digits.safetensors";
    const int count = argc > 2 ? std::atoi(argv[2]) : 6000;

    const dla::Dataset data = dla::make_digits(count, dla::Seed{1});
    Digits trained(dla::Seed{42});
    dla::fit(trained, data, {.epochs = 2, .batch_size = 64});  // with Adam and CrossEntropy, unless it is told otherwise
    dla::save_weights(file, trained);                          // names and layouts are PyTorch's: "1.weight" [64, 784], ...

    Digits model(dla::Seed{7});  // other weights, until the file's replace them
    try {
        dla::load_weights(file, model);
    } catch (const dla::Error& e) {
        std::fprintf(stderr, "%s\n", e.what());
        return dla::exit_code(e.code());
    }

    // `predict` is const: threads share the model, each brings its own memory, and none is allocated while they run.
    const dla::Dataset unseen = dla::make_digits(400, dla::Seed{1}, dla::DigitsPart::test);
    dla::Loader images(unseen, dla::all_samples(unseen), dla::evaluation_options(400));
    images.start_epoch(0);
    const dla::Batch& batch = *images.next();
    const std::vector<float> expected = trained.predict(batch.inputs);
    std::vector<float> scores(expected.size());
    {
        std::vector<std::jthread> threads;
        for (std::size_t t = 0; t < 4; ++t)
            threads.emplace_back([&, t] {
                auto workspace = model.inference_workspace(100);
                model.predict(batch.inputs.subspan(t * 100 * 784, 100 * 784), std::span(scores).subspan(t * 100 * 10, 100 * 10), workspace);
            });
    }

    dla::ConfusionMatrix matrix;  // its text() tells which digits are taken for which
    matrix.add(scores, batch.labels);
    std::printf("%.1f %% of 400 unseen digits recognised by 4 threads; %s\n", matrix.accuracy(),
                scores == expected ? "every score equals the trained model's, bit for bit" : "scores DIFFER");
    return scores == expected ? 0 : 1;
}
