// SPDX-License-Identifier: MIT
// Losses of each output alone: squared, absolute, Huber's and logistic ones. Targets have as many values as the outputs, in memory order.
#pragma once

#include <dla/loss/cross_entropy.hpp>

namespace dla {
namespace detail {

/// What these losses do alike.
struct ElementwiseLoss {
    const char* name;
    ElementLoss kind;
    Reduction reduction = Reduction::mean;
    double bend = 1;
    index_t weights = 0;

    template <class P, class T>
    void evaluate(const Context<P>& c, const ConstView<P>& out, kernel::PtrOf<P, const T> targets, kernel::ConstStatisticPtr<P> pos_weight,
                  kernel::PtrOf<P, LossResult> result, const View<P>& gradient, const WholeBatch<P>& whole) const {
        const index_t outputs = out.shape.size(), rows = whole.rows > 0 ? whole.rows : out.batch;
        const ElementLossDims d{.kind = kind,
                                .rows = out.batch,
                                .outputs = outputs,
                                .bend = bend,
                                .divisor = reduction == Reduction::mean ? static_cast<double>(rows * outputs) : 1.0,
                                .weights = weights,
                                .first_row = c.first_sample};
        element_loss(c.policy, c.scratch, d, out.data, targets, pos_weight, result, gradient.data);
    }
    /// Throws Error(data) when a target was not finite.
    void verify(const LossResult& result) const {
        if (result.bad_row >= 0)
            fail(ErrorCode::data, name, text("target ", result.bad_label, " of sample ", result.bad_row, " is infinite or NaN; expected a number").view());
    }
};

}  // namespace detail

/// Mean of (x - target)^2 over ALL elements, or their sum (torch.nn.MSELoss).
template <class T = float>
struct MeanSquaredError {
    using Target = T;

    Reduction reduction = Reduction::mean;

    constexpr detail::ElementwiseLoss any() const { return {.name = "MeanSquaredError", .kind = ElementLoss::squared, .reduction = reduction}; }
    void check(const Shape&) const {}
    index_t targets_per_sample(const Shape& out) const { return out.size(); }
    template <class P>
    index_t scratch(const P& p, index_t rows, const Shape& out) const {
        return sum_of_squares_scratch(p, rows * out.size());
    }
    template <class P>
    void evaluate(const Context<P>& c, ConstView<P> out, kernel::PtrOf<P, const T> targets, kernel::ConstStatisticPtr<P> weights,
                  kernel::PtrOf<P, LossResult> result, View<P> gradient, const WholeBatch<P>& whole = {}) const {
        any().template evaluate<P, T>(c, out, targets, weights, result, gradient, whole);
    }
    void verify(const LossResult& result, const Shape&) const { any().verify(result); }
};

/// Mean of |x - target| over ALL elements, or their sum (torch.nn.L1Loss).
template <class T = float>
struct L1 {
    using Target = T;

    Reduction reduction = Reduction::mean;

    constexpr detail::ElementwiseLoss any() const { return {.name = "L1", .kind = ElementLoss::absolute, .reduction = reduction}; }
    void check(const Shape&) const {}
    index_t targets_per_sample(const Shape& out) const { return out.size(); }
    template <class P>
    index_t scratch(const P& p, index_t rows, const Shape& out) const {
        return sum_of_squares_scratch(p, rows * out.size());
    }
    template <class P>
    void evaluate(const Context<P>& c, ConstView<P> out, kernel::PtrOf<P, const T> targets, kernel::ConstStatisticPtr<P> weights,
                  kernel::PtrOf<P, LossResult> result, View<P> gradient, const WholeBatch<P>& whole = {}) const {
        any().template evaluate<P, T>(c, out, targets, weights, result, gradient, whole);
    }
    void verify(const LossResult& result, const Shape&) const { any().verify(result); }
};

/// Mean over ALL elements, or sum, of |d| < delta ? d^2 / 2 : delta (|d| - delta / 2) with d = x - target (torch.nn.HuberLoss).
template <class T = float>
struct Huber {
    using Target = T;

    double delta = 1;  ///< above 0
    Reduction reduction = Reduction::mean;

    constexpr detail::ElementwiseLoss any() const { return {.name = "Huber", .kind = ElementLoss::huber, .reduction = reduction, .bend = delta}; }
    /// Throws Error(model) when the options do not fit.
    void check(const Shape&) const {
        if (!(delta > 0)) fail(ErrorCode::model, "Huber", "delta must be above 0");
    }
    index_t targets_per_sample(const Shape& out) const { return out.size(); }
    template <class P>
    index_t scratch(const P& p, index_t rows, const Shape& out) const {
        return sum_of_squares_scratch(p, rows * out.size());
    }
    template <class P>
    void evaluate(const Context<P>& c, ConstView<P> out, kernel::PtrOf<P, const T> targets, kernel::ConstStatisticPtr<P> weights,
                  kernel::PtrOf<P, LossResult> result, View<P> gradient, const WholeBatch<P>& whole = {}) const {
        any().template evaluate<P, T>(c, out, targets, weights, result, gradient, whole);
    }
    void verify(const LossResult& result, const Shape&) const { any().verify(result); }
};

/// Mean over ALL elements, or sum, of |d| < beta ? d^2 / (2 beta) : |d| - beta / 2 with d = x - target (torch.nn.SmoothL1Loss).
template <class T = float>
struct SmoothL1 {
    using Target = T;

    double beta = 1;  ///< 0: as L1
    Reduction reduction = Reduction::mean;

    constexpr detail::ElementwiseLoss any() const {
        return {.name = "SmoothL1", .kind = beta > 0 ? ElementLoss::smooth_l1 : ElementLoss::absolute, .reduction = reduction, .bend = beta};
    }
    /// Throws Error(model) when the options do not fit.
    void check(const Shape&) const {
        if (!(beta >= 0)) fail(ErrorCode::model, "SmoothL1", "beta must not be negative or NaN");
    }
    index_t targets_per_sample(const Shape& out) const { return out.size(); }
    template <class P>
    index_t scratch(const P& p, index_t rows, const Shape& out) const {
        return sum_of_squares_scratch(p, rows * out.size());
    }
    template <class P>
    void evaluate(const Context<P>& c, ConstView<P> out, kernel::PtrOf<P, const T> targets, kernel::ConstStatisticPtr<P> weights,
                  kernel::PtrOf<P, LossResult> result, View<P> gradient, const WholeBatch<P>& whole = {}) const {
        any().template evaluate<P, T>(c, out, targets, weights, result, gradient, whole);
    }
    void verify(const LossResult& result, const Shape&) const { any().verify(result); }
};

/// Mean over ALL elements, or sum, of -(w t log(s) + (1 - t) log(1 - s)) with s = sigmoid(x), target t, and pos_weight w (torch.nn.BCEWithLogitsLoss):
/// outputs are logits, targets probabilities, though not held to [0, 1].
template <class T = float>
struct BCEWithLogits {
    using Target = T;

    /// Empty: all 1. One for each output of a sample, in memory order; one for each channel of an image; or one for all.
    std::vector<double> pos_weight{};
    Reduction reduction = Reduction::mean;

    constexpr detail::ElementwiseLoss any() const {
        return {.name = "BCEWithLogits", .kind = ElementLoss::bce_with_logits, .reduction = reduction, .weights = static_cast<index_t>(pos_weight.size())};
    }
    /// Throws Error(model) when the options do not fit.
    void check(const Shape& out) const {
        const auto count = static_cast<index_t>(pos_weight.size());
        if (count > 1 && count != out.size() && !(out.is_image() && count == out.d[0]))
            fail(ErrorCode::model, "BCEWithLogits",
                 text("pos_weight has ", count, " values; expected one for each of ", out.size(), " outputs", out.is_image() ? ", one for each channel" : "",
                      " or one for all")
                     .view());
        for (const double w : pos_weight)
            if (!is_finite(w)) fail(ErrorCode::model, "BCEWithLogits", "pos_weight must be finite");
    }
    index_t targets_per_sample(const Shape& out) const { return out.size(); }
    template <class P>
    index_t scratch(const P& p, index_t rows, const Shape& out) const {
        return sum_of_squares_scratch(p, rows * out.size());
    }
    template <class P>
    void evaluate(const Context<P>& c, ConstView<P> out, kernel::PtrOf<P, const T> targets, kernel::ConstStatisticPtr<P> weights,
                  kernel::PtrOf<P, LossResult> result, View<P> gradient, const WholeBatch<P>& whole = {}) const {
        any().template evaluate<P, T>(c, out, targets, weights, result, gradient, whole);
    }
    void verify(const LossResult& result, const Shape&) const { any().verify(result); }
};

}  // namespace dla
