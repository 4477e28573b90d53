// SPDX-License-Identifier: MIT
// Any of the losses, known when the program runs: trainers and programs compile once for all.
#pragma once

#include <dla/core/targets.hpp>
#include <dla/loss/elementwise.hpp>
#include <dla/loss/sample_loss.hpp>

#include <variant>

namespace dla {

/// A loss whose type has been forgotten; it meets what a model asks of a loss. Its targets are class numbers or values, as the loss in it takes them.
class AnyLoss {
public:
    using Any = std::variant<CrossEntropy, MeanSquaredError<float>, L1<float>, Huber<float>, SmoothL1<float>, BCEWithLogits<float>, SampleLoss<float>,
                             SampleLoss<std::int32_t>>;
    /// The memory of the targets, whatever lies in it: both kinds have four bytes.
    using Target = float;

    template <class Loss>
        requires std::constructible_from<Any, const Loss&>
    AnyLoss(const Loss& loss) : loss_(loss) {}
    AnyLoss() : AnyLoss(CrossEntropy{}) {}

    const Any& get() const { return loss_; }
    bool takes_labels() const {
        return std::visit([](const auto& loss) { return std::is_same_v<typename std::decay_t<decltype(loss)>::Target, std::int32_t>; }, loss_);
    }
    /// The largest of a sample's outputs is compared with its label.
    bool counts_correct() const { return std::holds_alternative<CrossEntropy>(loss_); }
    /// The memory of targets of the kind that the loss takes. Throws Error(model) for the other.
    std::span<const float> memory_of(const Targets& targets) const {
        if (takes_labels() != targets.are_labels())
            fail(ErrorCode::model, "loss",
                 takes_labels() ? "it takes class numbers as targets, and got values; use MeanSquaredError, Huber, L1 or BCEWithLogits"
                                : "it takes values as targets, and got class numbers; use CrossEntropy, or give one value for each output");
        if (!targets.are_labels()) return targets.values;
        return {reinterpret_cast<const float*>(targets.labels.data()), targets.labels.size()};
    }

    void check(const Shape& out) const {
        std::visit([&](const auto& loss) { loss.check(out); }, loss_);
    }
    index_t targets_per_sample(const Shape& out) const {
        return std::visit([&](const auto& loss) { return loss.targets_per_sample(out); }, loss_);
    }
    const std::vector<double>* weights() const {
        if (const auto* loss = std::get_if<CrossEntropy>(&loss_)) return &loss->class_weights;
        if (const auto* loss = std::get_if<BCEWithLogits<float>>(&loss_)) return &loss->pos_weight;
        return nullptr;
    }
    template <class P>
    index_t scratch(const P& p, index_t rows, const Shape& out) const {
        return std::visit([&](const auto& loss) { return loss.scratch(p, rows, out); }, loss_);
    }
    template <class P>
    void prepare(const Context<P>& c, index_t rows, const Shape& out, kernel::PtrOf<P, const float> targets, kernel::ConstStatisticPtr<P> weights,
                 kernel::PtrOf<P, LossResult> whole) const {
        if (const auto* loss = std::get_if<CrossEntropy>(&loss_))
            loss->prepare(c, rows, out, P::template pointer_cast<const std::int32_t>(targets), weights, whole);
        else {
            const LossResult nothing;
            put(c.policy, whole, &nothing, 1);
        }
    }
    template <class P>
    void evaluate(const Context<P>& c, ConstView<P> out, kernel::PtrOf<P, const float> targets, kernel::ConstStatisticPtr<P> weights,
                  kernel::PtrOf<P, LossResult> result, View<P> gradient, const WholeBatch<P>& whole = {}) const {
        std::visit(
            [&](const auto& loss) {
                using Loss = std::decay_t<decltype(loss)>;
                if constexpr (P::shares_host || !requires { Loss::on_host; })
                    loss.evaluate(c, out, P::template pointer_cast<const typename Loss::Target>(targets), weights, result, gradient, whole);
                else
                    fail(ErrorCode::model, "SampleLoss", "is a function on the host; this policy has other memory");
            },
            loss_);
    }
    void verify(const LossResult& result, const Shape& out) const {
        std::visit([&](const auto& loss) { loss.verify(result, out); }, loss_);
    }

private:
    Any loss_;
};

}  // namespace dla
