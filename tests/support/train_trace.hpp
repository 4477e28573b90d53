// SPDX-License-Identifier: MIT
// A few training steps on any policy, and all that they leave behind, on the host.
#pragma once

#include <dla/nn.hpp>
#include <support/networks.hpp>

namespace support {

/// What a few training steps leave behind, all of it on the host.
template <class P>
struct Trace {
    using T = typename P::scalar;
    std::vector<double> numbers;
    std::vector<T> weights, logits;
};

template <class P, class Net, class Optimizer, class Loss>
auto train(const Net& net, Optimizer optimizer, const Loss& loss, double clip) {
    using T = typename P::scalar;
    dla::Model<Net, dla::Shape{}, P> model(net, image, dla::Seed{5});
    Trace<P> trace;
    const Data<T> data(6);
    const auto targets = [&] {
        if constexpr (std::is_same_v<typename Loss::Target, std::int32_t>)
            return std::span<const std::int32_t>(data.labels);
        else
            return std::span<const T>(data.targets);
    }();
    for (int step = 0; step < 3; ++step) {
        const dla::LossResult result = train_step(model, optimizer, loss, std::span<const T>(data.images), targets, {.clip_norm = clip});
        trace.numbers.insert(trace.numbers.end(), {result.loss, result.weight, static_cast<double>(result.correct), static_cast<double>(result.counted),
                                                   model.parameters().gradient_norm()});
    }
    auto workspace = model.inference_workspace(6, loss);
    const dla::LossResult result = model.evaluate(loss, data.images, targets, workspace);
    trace.numbers.insert(trace.numbers.end(), {result.loss, static_cast<double>(result.correct)});
    trace.weights = weights(model.parameters());
    trace.logits = model.predict(data.images);
    return trace;
}

}  // namespace support
