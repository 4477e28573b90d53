// SPDX-License-Identifier: MIT
// Any of the losses, known when the program runs: trainers and programs compile once for all.
#pragma once

#include <dla/core/targets.hpp>
#include <dla/loss/elementwise.hpp>
#include <dla/loss/sample_loss.hpp>
#include <dla/loss/soft_cross_entropy.hpp>

#include <variant>

namespace dla {

namespace detail {

/// A SampleLoss, which is a function of floats, for outputs and targets of another type.
template <class T, class Target_ = T>
struct SampleLossOf {
    using Target = Target_;
    using Own = std::conditional_t<std::is_same_v<Target, std::int32_t>, std::int32_t, float>;

    SampleLoss<Own> own;

    void check(const Shape& out) const { own.check(out); }
    index_t targets_per_sample(const Shape& out) const { return own.targets_per_sample(out); }
    template <class P>
    index_t scratch(const P&, index_t, const Shape&) const {
        return 0;
    }
    template <class P>
    void evaluate(const Context<P>& c, ConstView<P> out, kernel::PtrOf<P, const Target> target, kernel::ConstStatisticPtr<P>,
                  kernel::PtrOf<P, LossResult> result, View<P> gradient, const WholeBatch<P>& whole = {}) const {
        own.template through_host<Target>(c.policy, out, target, result, gradient, whole);
    }
    void verify(const LossResult&, const Shape&) const {}
};

/// One of some losses, known when the program runs; it meets what a model asks of a loss. `T` is what lies in the memory of its targets.
template <class T, class... Losses>
class OneOfLosses {
public:
    using Any = std::variant<Losses...>;
    using Target = T;

    template <class Loss>
        requires std::constructible_from<Any, const Loss&>
    OneOfLosses(const Loss& loss) : loss_(loss) {}

    const Any& get() const { return loss_; }
    void check(const Shape& out) const {
        std::visit([&](const auto& loss) { loss.check(out); }, loss_);
    }
    index_t targets_per_sample(const Shape& out) const {
        return std::visit([&](const auto& loss) { return loss.targets_per_sample(out); }, loss_);
    }
    const std::vector<double>* weights() const {
        return std::visit([](const auto& loss) { return weights_of(loss); }, loss_);
    }
    template <class P>
    index_t scratch(const P& p, index_t rows, const Shape& out) const {
        return std::visit([&](const auto& loss) { return loss.scratch(p, rows, out); }, loss_);
    }
    template <class P>
    void prepare(const Context<P>& c, index_t rows, const Shape& out, kernel::PtrOf<P, const T> targets, kernel::ConstStatisticPtr<P> weights,
                 kernel::PtrOf<P, LossResult> whole) const {
        const auto look = [&](const auto& loss) {
            if constexpr (looks_ahead<std::decay_t<decltype(loss)>, P>)
                loss.prepare(c, rows, out, P::template pointer_cast<const std::int32_t>(targets), weights, whole);
            else {
                const LossResult nothing;
                put(c.policy, whole, &nothing, 1);
            }
        };
        std::visit(look, loss_);
    }
    template <class P>
    void evaluate(const Context<P>& c, ConstView<P> out, kernel::PtrOf<P, const T> targets, kernel::ConstStatisticPtr<P> weights,
                  kernel::PtrOf<P, LossResult> result, View<P> gradient, const WholeBatch<P>& whole = {}) const {
        std::visit(
            [&](const auto& loss) {
                using Loss = std::decay_t<decltype(loss)>;
                loss.evaluate(c, out, P::template pointer_cast<const typename Loss::Target>(targets), weights, result, gradient, whole);
            },
            loss_);
    }
    void verify(const LossResult& result, const Shape& out) const {
        std::visit([&](const auto& loss) { loss.verify(result, out); }, loss_);
    }

private:
    Any loss_;
};

/// What AnyLoss holds. Its targets' memory is taken for floats, whatever lies in it: both kinds have four bytes.
using AnyLossBase = OneOfLosses<float, CrossEntropy, MeanSquaredError<float>, L1<float>, Huber<float>, SmoothL1<float>, BCEWithLogits<float>, SampleLoss<float>,
                                SampleLoss<std::int32_t>, SoftCrossEntropy<float>>;
/// The losses of class numbers, and those of values, of a network whose outputs are T.
template <class T>
using LabelLoss = OneOfLosses<std::int32_t, CrossEntropy, SampleLossOf<T, std::int32_t>>;
template <class T>
using ValueLoss = OneOfLosses<T, MeanSquaredError<T>, L1<T>, Huber<T>, SmoothL1<T>, BCEWithLogits<T>, SampleLossOf<T>, SoftCrossEntropy<T>>;

}  // namespace detail

/// A loss whose type has been forgotten. Its targets are class numbers or values, as the loss in it takes them.
class AnyLoss : public detail::AnyLossBase {
public:
    using OneOfLosses::OneOfLosses;
    AnyLoss() : AnyLoss(CrossEntropy{}) {}
    /// A sentence where a loss of other numbers is given.
    template <class Loss>
        requires(!std::constructible_from<Any, const Loss&> && requires { requires !std::is_integral_v<typename Loss::Target>; Loss::reduction; })
    AnyLoss(const Loss&) {
        static_assert(std::is_same_v<typename Loss::Target, float>,
                      "dla: fit, Trainer and AnyModel take losses of float, whatever the model computes in: BCEWithLogits<float>, not <double>");
    }

    bool takes_labels() const {
        return std::visit([](const auto& loss) { return std::is_same_v<typename std::decay_t<decltype(loss)>::Target, std::int32_t>; }, get());
    }
    /// The largest of a sample's outputs is compared with its label, or with the largest of its probabilities.
    bool counts_correct() const { return std::holds_alternative<CrossEntropy>(get()) || std::holds_alternative<SoftCrossEntropy<float>>(get()); }
    /// Throws Error(model) for targets of the kind that the loss does not take.
    void check_kind(const Targets& targets) const {
        if (takes_labels() != targets.are_labels())
            fail(ErrorCode::model, "loss",
                 takes_labels() ? "it takes class numbers as targets, and got values; use SoftCrossEntropy, MeanSquaredError, Huber, L1 or BCEWithLogits"
                                : "it takes values as targets, and got class numbers; use CrossEntropy, or give one value for each output");
    }
    /// The memory of targets of the kind that the loss takes. Throws as check_kind.
    std::span<const float> memory_of(const Targets& targets) const {
        check_kind(targets);
        if (!targets.are_labels()) return targets.values;
        return {reinterpret_cast<const float*>(targets.labels.data()), targets.labels.size()};
    }

    /// Calls use(loss) with the loss for a network whose outputs are T, for class numbers or for values.
    template <class T, class Use>
    decltype(auto) with(const Use& use) const {
        if (const auto* loss = std::get_if<CrossEntropy>(&get())) return use(detail::LabelLoss<T>(*loss));
        if (const auto* loss = std::get_if<SampleLoss<std::int32_t>>(&get())) return use(detail::LabelLoss<T>(detail::SampleLossOf<T, std::int32_t>{*loss}));
        return use(std::visit(
            [](const auto& loss) -> detail::ValueLoss<T> {
                using Loss = std::decay_t<decltype(loss)>;
                if constexpr (std::is_same_v<Loss, MeanSquaredError<float>>)
                    return MeanSquaredError<T>{loss.reduction};
                else if constexpr (std::is_same_v<Loss, L1<float>>)
                    return L1<T>{loss.reduction};
                else if constexpr (std::is_same_v<Loss, Huber<float>>)
                    return Huber<T>{loss.delta, loss.reduction};
                else if constexpr (std::is_same_v<Loss, SmoothL1<float>>)
                    return SmoothL1<T>{loss.beta, loss.reduction};
                else if constexpr (std::is_same_v<Loss, BCEWithLogits<float>>)
                    return BCEWithLogits<T>{loss.pos_weight, loss.reduction};
                else if constexpr (std::is_same_v<Loss, SoftCrossEntropy<float>>)
                    return SoftCrossEntropy<T>{loss.label_smoothing, loss.class_weights, loss.reduction};
                else if constexpr (std::is_same_v<Loss, SampleLoss<float>>)
                    return detail::SampleLossOf<T>{loss};
                else
                    return MeanSquaredError<T>{};  // losses of class numbers, which were taken above
            },
            get()));
    }
};

/// What a CrossEntropy is of class numbers, of their probabilities, as mixed samples have them. Throws Error(usage) for other losses, and where a class is
/// ignored.
inline AnyLoss of_probabilities(const AnyLoss& loss) {
    const auto* labels = std::get_if<CrossEntropy>(&loss.get());
    if (!labels) fail(ErrorCode::usage, "mixup", "needs CrossEntropy: samples of two classes have no other loss");
    if (labels->ignore_index >= 0) fail(ErrorCode::usage, "mixup", "cannot leave out a class: CrossEntropy's ignore_index must be negative");
    return SoftCrossEntropy<float>{.label_smoothing = labels->label_smoothing, .class_weights = labels->class_weights, .reduction = labels->reduction};
}

}  // namespace dla
