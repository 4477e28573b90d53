// SPDX-License-Identifier: MIT
// 1. A first network: learns sin(x) from samples. The type is the network, its sizes are checked by the compiler.
#include <dla/inspect.hpp>
#include <dla/nn.hpp>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

using Net = dla::Sequential<dla::Linear<1, 32>, dla::Tanh, dla::Linear<32, 32>, dla::Tanh, dla::Linear<32, 1>>;

int main(int argc, char** argv) {
    const int steps = argc > 1 ? std::atoi(argv[1]) : 2000;

    // 256 points of [-3, 3] and what the network should say there.
    std::vector<float> x(256), y(256);
    for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = -3.0f + 6.0f * static_cast<float>(i) / 255.0f;
        y[i] = std::sin(x[i]);
    }

    dla::Model<Net, dla::Shape{1}> model(dla::Seed{42});  // one input value; the same seed gives the same weights everywhere
    dla::Adam adam({.learning_rate = 3e-3});
    const dla::MeanSquaredError<> loss;
    std::printf("%s\n", dla::summary(model, {.batch = 256}, loss).c_str());

    for (int step = 1; step <= steps; ++step) {
        const float before = dla::train_step(model, adam, loss, x, y);
        if (step == 1 || step == steps || step % 500 == 0) std::printf("step %4d  mean squared error %.6f\n", step, static_cast<double>(before));
    }

    const std::vector<float> points{-2, -1, 0, 1, 2};
    const std::vector<float> predicted = model.predict(points);
    float worst = 0;
    for (std::size_t i = 0; i < points.size(); ++i) {
        const float wanted = std::sin(points[i]);
        std::printf("sin(%2.0f) = %6.3f, predicted %6.3f\n", static_cast<double>(points[i]), static_cast<double>(wanted), static_cast<double>(predicted[i]));
        worst = std::max(worst, std::abs(predicted[i] - wanted));
    }
    std::printf("largest error: %.3f\n", static_cast<double>(worst));
    return worst < 0.1f ? 0 : 1;
}
