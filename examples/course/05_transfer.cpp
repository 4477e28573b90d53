// SPDX-License-Identifier: MIT
// 5. Transfer: the body of a trained network is frozen and gets a new head for another task, with few examples.
#include <dla/data.hpp>
#include <dla/nn.hpp>
#include <dla/train.hpp>

#include <cstdio>
#include <cstdlib>

using Body = dla::Sequential<dla::Flatten, dla::Linear<784, 64>, dla::ReLU, dla::Linear<64, 32>, dla::ReLU>;
template <dla::index_t Classes>
using Net = dla::Sequential<Body, dla::Linear<32, Classes>>;  // paths: 0.1.weight, 0.3.weight, 1.weight, ...
constexpr dla::Shape image{1, 28, 28};

/// All three networks are trained alike.
dla::FitOptions training(int epochs) { return {.epochs = epochs, .batch_size = 50, .optimizer = dla::Adam({.learning_rate = 2e-3}), .quiet = true}; }

/// The same images with another question: is the digit odd?
dla::Dataset ask_if_odd(dla::Dataset data) {
    for (std::int32_t& label : data.labels) label %= 2;
    data.num_classes = 2;
    data.class_names = {"even", "odd"};
    return data;
}

int main(int argc, char** argv) {
    const int count = argc > 1 ? std::atoi(argv[1]) : 8000;
    const dla::Seed seed{42};

    dla::Model<Net<10>, image> digits(seed);
    dla::fit(digits, dla::make_digits(count, seed), training(5));

    const dla::Dataset few = ask_if_odd(dla::make_digits(200, dla::Seed{7}));
    const dla::Dataset test = ask_if_odd(dla::make_digits(2000, dla::Seed{7}, dla::DigitsPart::test));

    dla::Model<Net<2>, image> scratch(seed);
    dla::fit(scratch, few, training(20));

    dla::Model<Net<2>, image> transferred(seed);
    const dla::CopyReport report = dla::copy_weights(digits.parameters(), transferred.parameters());  // whatever has the same path and size
    transferred.parameters().freeze("0");                                                             // the body and all that lies in it
    dla::fit(transferred, few, training(20));

    const double before = dla::accuracy(scratch, test), after = dla::accuracy(transferred, test);
    std::printf("%zu arrays copied, %zu kept new (another size)\n", report.copied.size(), report.mismatched.size());
    std::printf("even or odd from 200 examples: %.1f %% from scratch, %.1f %% with the frozen body of a network that knows digits\n", before, after);
    return report.copied.size() == 4 && report.mismatched.size() == 2 && after > before ? 0 : 1;
}
