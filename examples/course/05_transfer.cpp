// SPDX-License-Identifier: MIT
// 5. Transfer: the body of a trained network is frozen and gets a new head for another task, with few examples.
#include <dla/data.hpp>
#include <dla/nn.hpp>

#include <cstdio>
#include <cstdlib>

using Body = dla::Sequential<dla::Flatten, dla::Linear<784, 64>, dla::ReLU, dla::Linear<64, 32>, dla::ReLU>;
template <dla::index_t Classes>
using Net = dla::Sequential<Body, dla::Linear<32, Classes>>;  // paths: 0.1.weight, 0.3.weight, 1.weight, ...
constexpr dla::Shape image{1, 28, 28};

template <class M>
void train(M& model, const dla::Dataset& data, int epochs) {
    dla::Adam adam({.learning_rate = 2e-3});
    dla::Loader loader(data, dla::all_samples(data), {.batch_size = 50});
    for (int epoch = 1; epoch <= epochs; ++epoch) {
        loader.start_epoch(static_cast<std::uint32_t>(epoch));
        while (const dla::Batch* batch = loader.next()) dla::train_step(model, adam, dla::CrossEntropy{}, batch->inputs, batch->labels);
    }
}

template <class M>
double accuracy(const M& model, const dla::Dataset& data) {
    dla::Loader loader(data, dla::all_samples(data), dla::evaluation_options(data.size()));
    loader.start_epoch(0);
    const dla::Batch& batch = *loader.next();
    const dla::CrossEntropy loss;
    return 100 * static_cast<double>(model.evaluate(loss, batch.inputs, batch.labels).correct) / static_cast<double>(batch.count);
}

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
    train(digits, dla::make_digits(count, seed), 5);

    const dla::Dataset few = ask_if_odd(dla::make_digits(200, dla::Seed{7}));
    const dla::Dataset test = ask_if_odd(dla::make_digits(2000, dla::Seed{7}, dla::DigitsPart::test));

    dla::Model<Net<2>, image> scratch(seed);
    train(scratch, few, 20);

    dla::Model<Net<2>, image> transferred(seed);
    const dla::CopyReport report = dla::copy_weights(digits.parameters(), transferred.parameters());  // whatever has the same path and size
    transferred.parameters().freeze("0");                                                             // the body and all that lies in it
    train(transferred, few, 20);

    const double before = accuracy(scratch, test), after = accuracy(transferred, test);
    std::printf("%zu arrays copied, %zu kept new (another size)\n", report.copied.size(), report.mismatched.size());
    std::printf("even or odd from 200 examples: %.1f %% from scratch, %.1f %% with the frozen body of a network that knows digits\n", before, after);
    return report.copied.size() == 4 && report.mismatched.size() == 2 && after > before ? 0 : 1;
}
