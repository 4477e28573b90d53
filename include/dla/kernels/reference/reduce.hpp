// SPDX-License-Identifier: MIT
// Sums and the mean squared error of the reference policy.
#pragma once

#include <dla/kernels/reference/wide.hpp>
#include <dla/kernels/types.hpp>

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

/// loss = sum of (x - target)^2, divided by `divisor` (for a mean the number of all values); gradient (or null) = 2 * (x - target) / divisor, may be x.
template <class T>
void mean_squared_error(const Reference<T>&, std::byte*, index_t n, const detail::Of<T>* x, const detail::Of<T>* target, double divisor, LossResult* result,
                        detail::Of<T>* gradient) {
    using Sum = detail::Wide<T>;
    const Sum by = static_cast<Sum>(divisor);
    Sum total{};
    for (index_t i = 0; i < n; ++i) {
        const Sum difference = static_cast<Sum>(x[i]) - static_cast<Sum>(target[i]);
        total += difference * difference;
        if (gradient) gradient[i] = static_cast<T>(2 * difference / by);
    }
    *result = {};
    result->loss = static_cast<double>(total / by);
    result->weight = static_cast<double>(n);
    result->counted = n;
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
