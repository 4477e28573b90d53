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
        if constexpr (P::shares_host)
            *result = of_rows(out.shape, out.batch, whole.rows, out.data, target, gradient.data);
        else
            through_host<T>(c.policy, out, target, result, gradient, whole);
    }
    /// The same for outputs and targets of any type and in any memory: copies of them, as the function takes them, and back.
    template <class Target_, class P>
    void through_host(const P& policy, ConstView<P> out, kernel::PtrOf<P, const Target_> target, kernel::PtrOf<P, LossResult> result, View<P> gradient,
                      const WholeBatch<P>& whole) const {
        const auto values = copied<float, typename P::scalar>(policy, out.data, out.size());
        const auto wanted = copied<T, Target_>(policy, target, out.batch * targets_per_sample(out.shape));
        std::vector<float> slopes(gradient ? values.size() : 0);
        const LossResult found = of_rows(out.shape, out.batch, whole.rows, values.data(), wanted.data(), gradient ? slopes.data() : nullptr);
        put(policy, result, &found, 1);
        const std::vector<typename P::scalar> back(slopes.begin(), slopes.end());
        if (gradient) put(policy, gradient.data, back.data(), std::ssize(back));
    }
    void verify(const LossResult&, const Shape&) const {}

private:
    /// Values of type V from where values of type U lie.
    template <class V, class U, class P>
    static std::vector<V> copied(const P& policy, kernel::PtrOf<P, const U> from, index_t n) {
        std::vector<U> values(static_cast<std::size_t>(n));
        fetch(policy, values.data(), from, n);
        return std::vector<V>(values.begin(), values.end());
    }
    LossResult of_rows(const Shape& shape, index_t batch, index_t all, const float* out, const T* target, float* gradient) const {
        const index_t n = shape.size(), count = targets_per_sample(shape);
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
