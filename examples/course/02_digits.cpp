// SPDX-License-Identifier: MIT
// 2. A convolutional network on images: data sets, batches, epochs, accuracy; the loop is written out once, dla::fit of the next lessons has it inside.
// Needs no files: the digits are drawn by the library.
#include <dla/data.hpp>
#include <dla/nn.hpp>
#include <dla/train.hpp>

#include <cstdio>
#include <cstdlib>

using Net = dla::Sequential<dla::Conv2d<1, 8, 3>, dla::BatchNorm2d<8>, dla::ReLU, dla::MaxPool2d<2>,    // [1, 28, 28] -> [8, 14, 14]
                            dla::Conv2d<8, 16, 3>, dla::BatchNorm2d<16>, dla::ReLU, dla::MaxPool2d<2>,  // -> [16, 7, 7]
                            dla::Flatten, dla::Linear<16 * 7 * 7, 10>>;                                 // -> a score for each of 10 digits
using Digits = dla::Model<Net, dla::Shape{1, 28, 28}>;

int main(int argc, char** argv) {
    const int images = argc > 1 ? std::atoi(argv[1]) : 12000;
    const int epochs = argc > 2 ? std::atoi(argv[2]) : 4;

    const dla::Seed seed{42};
    const dla::Dataset data = dla::make_digits(images, seed);
    const dla::Dataset unseen = dla::make_digits(images / 4, seed, dla::DigitsPart::test);
    dla::Loader train(data, dla::all_samples(data), {.batch_size = 64, .seed = seed});  // shuffles anew every epoch, prepares batches ahead

    Digits model(seed);
    dla::AdamW adam({.learning_rate = 2e-3});
    dla::CrossEntropy loss{.label_smoothing = 0.05};
    double right = 0;
    for (int epoch = 1; epoch <= epochs; ++epoch) {
        train.start_epoch(static_cast<std::uint32_t>(epoch));
        double sum = 0;
        while (const dla::Batch* batch = train.next()) sum += static_cast<double>(dla::train_step(model, adam, loss, batch->inputs, batch->labels));
        right = dla::accuracy(model, unseen);
        std::printf("epoch %d  training loss %.4f  accuracy on unseen digits %.2f %%\n", epoch, sum / static_cast<double>(train.batches()), right);
    }
    return right > 70 ? 0 : 1;  // guessing gets 10 % right
}
