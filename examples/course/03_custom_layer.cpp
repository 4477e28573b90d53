// SPDX-License-Identifier: MIT
// 3. A layer of one's own (swish.hpp): its gradients are checked first, then a network with it is trained.
#include "swish.hpp"

#include <dla/data.hpp>
#include <dla/inspect/grad_check.hpp>
#include <dla/train.hpp>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
    const int epochs = argc > 1 ? std::atoi(argv[1]) : 3;

    const dla::GradientReport report = dla::check_gradients(Swish{}, dla::Shape{5}, 4);
    std::printf("Swish alone: %s\n", report.text().c_str());
    using Small = dla::Sequential<dla::Linear<6, 5>, Swish, dla::Linear<5, 3>>;
    const dla::GradientReport inside = dla::check_gradients(Small{}, dla::Shape{6}, 4);
    std::printf("in a network: %s\n", inside.text().c_str());
    if (!report.ok() || !inside.ok()) return 1;

    using Net = dla::Sequential<dla::Flatten, dla::Linear<784, 64>, Swish, dla::Linear<64, 10>>;
    dla::Model<Net, dla::Shape{1, 28, 28}> model(dla::Seed{42});
    const dla::TrainingResult result = dla::fit(model, dla::make_digits(6000, dla::Seed{42}),
                                                {.epochs = epochs, .batch_size = 64, .optimizer = dla::Sgd({.learning_rate = 0.05, .momentum = 0.9})});
    const dla::ParamRow& row = model.parameters().parameter("2.weight");
    std::vector<float> betas(static_cast<std::size_t>(row.count));
    model.parameters().read(dla::ParamPart::value, row, betas);
    std::printf("the first betas went from 1.000 to %.3f, %.3f, %.3f\n", static_cast<double>(betas[0]), static_cast<double>(betas[1]),
                static_cast<double>(betas[2]));
    return result.state.history.back().train_loss < result.state.history.front().train_loss ? 0 : 1;
}
