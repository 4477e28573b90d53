// SPDX-License-Identifier: MIT
// A loss of your own, from a function of one sample.
#pragma once

#include <dla/loss/cross_entropy.hpp>

#include <algorithm>
#include <functional>
#include <span>
#include <vector>

namespace dla {

/// The mean over the samples of a batch, or their sum, of `function(output, target, gradient)`: it is given the network's output for one sample and its target
/// (values in memory order, or with T = std::int32_t one class number), returns the loss of that sample, and writes its derivative with respect to each output
/// to `gradient`, which holds zeros, or is empty where nobody wants it. It runs on the host: on a policy with other memory a step waits for the outputs, and
/// the gradient goes back.
///
///     SampleLoss<float> pinball{[](auto y, auto t, auto dy) {
///         const float d = t[0] - y[0];
///         if (!dy.empty()) dy[0] = d > 0 ? -0.9f : 0.1f;
///         return d > 0 ? 0.9 * d : -0.1 * d;
///     }};
template <class T = float>
struct SampleLoss {
    using Target = T;
    using Function = std::function<double(std::span<const float> output, std::span<const T> target, std::span<float> gradient)>;

    Function function;
    index_t targets = 0;  ///< values of the target of a sample; 0: as many as outputs, or one class number (of several: how many)
    Reduction reduction = Reduction::mean;

    /// Throws Error(model) when there is no function.
    void check(const Shape&) const {
        if (!function) fail(ErrorCode::model, "SampleLoss", "has no function; give it one, of (output, target, gradient)");
    }
    index_t targets_per_sample(const Shape& out) const { return targets > 0 ? targets : std::is_same_v<T, std::int32_t> ? 1 : out.size(); }
    template <class P>
    index_t scratch(const P&, index_t, const Shape&) const {
        return 0;
    }
    template <class P>
    void evaluate(const Context<P>& c, ConstView<P> out, kernel::PtrOf<P, const T> target, kernel::ConstStatisticPtr<P>, kernel::PtrOf<P, LossResult> result,
                  View<P> gradient, const WholeBatch<P>& whole = {}) const {
        static_assert(std::is_same_v<typename P::scalar, float>, "dla: a SampleLoss is a function of float");
        const index_t n = out.shape.size(), count = targets_per_sample(out.shape);
        if constexpr (P::shares_host) {
            *result = of_rows(n, count, out.batch, whole.rows, out.data, target, gradient.data);
        } else {
            std::vector<float> outputs(static_cast<std::size_t>(out.size())), slopes(gradient ? outputs.size() : 0);
            std::vector<T> there(static_cast<std::size_t>(out.batch * count));
            fetch(c.policy, outputs.data(), out.data, out.size());
            fetch(c.policy, there.data(), target, std::ssize(there));
            const LossResult found = of_rows(n, count, out.batch, whole.rows, outputs.data(), there.data(), gradient ? slopes.data() : nullptr);
            put(c.policy, result, &found, 1);
            if (gradient) put(c.policy, gradient.data, slopes.data(), std::ssize(slopes));
        }
    }
    void verify(const LossResult&, const Shape&) const {}

private:
    LossResult of_rows(index_t n, index_t count, index_t batch, index_t all, const float* out, const T* target, float* gradient) const {
        const double divisor = reduction == Reduction::mean ? static_cast<double>(all > 0 ? all : batch) : 1.0;
        double sum = 0;
        for (index_t i = 0; i < batch; ++i) {
            const std::span<float> slope = gradient != nullptr ? std::span<float>(gradient + i * n, static_cast<std::size_t>(n)) : std::span<float>();
            std::fill(slope.begin(), slope.end(), 0.0f);
            sum += function({out + i * n, static_cast<std::size_t>(n)}, {target + i * count, static_cast<std::size_t>(count)}, slope);
            for (float& g : slope) g = static_cast<float>(g / divisor);
        }
        return {.loss = sum / divisor, .weight = static_cast<double>(batch), .correct = 0, .counted = batch};
    }
};

}  // namespace dla
