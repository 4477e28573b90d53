// SPDX-License-Identifier: MIT
// Sums, and the losses of single values, of the reference policy.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/kernels/formulas.hpp>
#include <dla/kernels/reference/wide.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

template <class T>
index_t column_sum_scratch(const Reference<T>&, index_t, index_t) {
    return 0;
}

/// y [columns] += sum over rows of x [rows, columns].
template <class T>
void column_sum(const Reference<T>&, std::byte*, index_t rows, index_t columns, const detail::Of<T>* x, detail::MasterOf<T>* y) {
    using Sum = detail::Wide<T>;
    for (index_t c = 0; c < columns; ++c) {
        Sum sum{};
        for (index_t r = 0; r < rows; ++r) sum += static_cast<Sum>(x[r * columns + c]);
        y[c] = static_cast<detail::MasterOf<T>>(static_cast<Sum>(y[c]) + sum);
    }
}

template <class T>
index_t sum_of_squares_scratch(const Reference<T>&, index_t) {
    return 0;
}

/// *sum = sum of x^2 of masters or their gradients, added up in double.
template <class T>
void sum_of_squares(const Reference<T>&, std::byte*, index_t n, const detail::MasterOf<T>* x, double* sum) {
    using Sum = detail::Wide<detail::MasterOf<T>>;
    Sum total{};
    for (index_t i = 0; i < n; ++i) total += static_cast<Sum>(x[i]) * static_cast<Sum>(x[i]);
    *sum = static_cast<double>(total);
}

namespace detail {

/// Whether *result is not finite because a target is not: then it names the first of them, and the gradient becomes 0.
template <class T>
bool refuse_targets(const ElementLossDims& d, const T* targets, LossResult* result, T* gradient) {
    if (is_finite(result->loss)) return false;
    for (index_t i = 0; i < d.size(); ++i)
        if (!is_finite(static_cast<double>(targets[i]))) {
            result->bad_row = d.first_row + i / d.outputs;
            result->bad_label = i % d.outputs;
            for (index_t j = 0; gradient && j < d.size(); ++j) gradient[j] = T{0};
            return true;
        }
    return false;
}

}  // namespace detail

/// loss = sum of the losses of all values / d.divisor; gradient (or null, may be x).
template <class T>
void element_loss(const Reference<T>&, std::byte*, const ElementLossDims& d, const detail::Of<T>* x, const detail::Of<T>* targets,
                  const detail::StatisticOf<T>* pos_weight, LossResult* result, detail::Of<T>* gradient) {
    using Sum = detail::Wide<T>;
    const Sum by = static_cast<Sum>(d.divisor);
    Sum total{};
    for (index_t i = 0; i < d.size(); ++i) {
        const Sum value = static_cast<Sum>(x[i]), target = static_cast<Sum>(targets[i]);
        const Sum weight = pos_weight ? static_cast<Sum>(pos_weight[i % d.outputs % d.weights]) : Sum{1};
        const detail::LossTerm<Sum> term = d.kind == ElementLoss::bce_with_logits ? detail::logistic_loss(weight, value, target)
                                                                                  : detail::difference_loss(d.kind, static_cast<Sum>(d.bend), value - target);
        total += term.loss;
        if (gradient) gradient[i] = static_cast<T>(term.slope / by);
    }
    *result = {};
    result->loss = static_cast<double>(total / by);
    result->weight = static_cast<double>(d.size());
    result->counted = d.size();
    detail::refuse_targets(d, targets, result, gradient);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
