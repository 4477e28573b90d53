// SPDX-License-Identifier: MIT
// Softmax and cross-entropy of the reference policy.
#pragma once

#include <dla/kernels/reference/reduce.hpp>
#include <dla/kernels/reference/wide.hpp>
#include <dla/kernels/types.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {
namespace detail {

/// A row's maximum and sum of exp(x - max), kept apart: max + log(sum) would round away digits of the smaller one. NaN if every x is -infinity.
template <class T>
struct RowSum {
    using S = Wide<T>;
    S largest = -std::numeric_limits<S>::infinity(), sum{}, log_sum{};
    RowSum(index_t n, const T* x, index_t step = 1) {
        using std::log;
        for (index_t c = 0; c < n; ++c)
            if (static_cast<S>(x[c * step]) > largest) largest = static_cast<S>(x[c * step]);
        for (index_t c = 0; c < n; ++c) sum += numerator(x[c * step]);
        log_sum = log(sum);
    }
    S numerator(T x) const {
        using std::exp;
        return exp(static_cast<S>(x) - largest);
    }
    S softmax(T x) const { return numerator(x) / sum; }
    S negative_log(T x) const { return (largest - static_cast<S>(x)) + log_sum; }
};

/// First of the largest.
template <class T>
index_t argmax(index_t n, const T* x) {
    index_t best = 0;
    for (index_t i = 1; i < n; ++i)
        if (x[i] > x[best]) best = i;
    return best;
}

/// Starts *result; where the rows of which these are a part (`whole`, or null) hold a bad label, nothing is evaluated and the loss is NaN.
inline bool refuse_rows(const LossResult* whole, LossResult* result) {
    *result = {};
    if (whole == nullptr || whole->bad_row < 0) return false;
    result->bad_row = whole->bad_row;
    result->bad_label = whole->bad_label;
    result->loss = std::numeric_limits<double>::quiet_NaN();
    return true;
}

}  // namespace detail

/// y = exp(x - max) / sum(exp(x - max)) over `channels`; y may be x. A row of -infinity gives NaN.
template <class T>
void softmax_forward(const Reference<T>&, const NormDims& d, const detail::Of<T>* x, detail::Of<T>* y) {
    for (index_t o = 0; o < d.outer; ++o)
        for (index_t i = 0; i < d.inner; ++i) {
            const index_t first = o * d.channels * d.inner + i;
            const detail::RowSum<T> row(d.channels, x + first, d.inner);
            for (index_t c = 0; c < d.channels; ++c) y[first + c * d.inner] = static_cast<T>(row.softmax(x[first + c * d.inner]));
        }
}

/// dx = y * (dy - sum(dy * y)); dx may be dy.
template <class T>
void softmax_backward(const Reference<T>&, const NormDims& d, const detail::Of<T>* y, const detail::Of<T>* dy, detail::Of<T>* dx) {
    using S = detail::Wide<T>;
    for (index_t o = 0; o < d.outer; ++o)
        for (index_t i = 0; i < d.inner; ++i) {
            const index_t first = o * d.channels * d.inner + i;
            S sum{};
            for (index_t c = 0; c < d.channels; ++c) sum += static_cast<S>(dy[first + c * d.inner]) * static_cast<S>(y[first + c * d.inner]);
            for (index_t c = 0; c < d.channels; ++c) {
                const index_t at = first + c * d.inner;
                dx[at] = static_cast<T>(static_cast<S>(y[at]) * (static_cast<S>(dy[at]) - sum));
            }
        }
}

/// y = (x - max) - log(sum(exp(x - max))) over `channels`; y may be x. A row of -infinity gives NaN.
template <class T>
void log_softmax_forward(const Reference<T>&, const NormDims& d, const detail::Of<T>* x, detail::Of<T>* y) {
    for (index_t o = 0; o < d.outer; ++o)
        for (index_t i = 0; i < d.inner; ++i) {
            const index_t first = o * d.channels * d.inner + i;
            const detail::RowSum<T> row(d.channels, x + first, d.inner);
            for (index_t c = 0; c < d.channels; ++c) y[first + c * d.inner] = static_cast<T>(-row.negative_log(x[first + c * d.inner]));
        }
}

/// dx = dy - exp(y) * sum(dy); dx may be dy.
template <class T>
void log_softmax_backward(const Reference<T>&, const NormDims& d, const detail::Of<T>* y, const detail::Of<T>* dy, detail::Of<T>* dx) {
    using S = detail::Wide<T>;
    using std::exp;
    for (index_t o = 0; o < d.outer; ++o)
        for (index_t i = 0; i < d.inner; ++i) {
            const index_t first = o * d.channels * d.inner + i;
            S sum{};
            for (index_t c = 0; c < d.channels; ++c) sum += static_cast<S>(dy[first + c * d.inner]);
            for (index_t c = 0; c < d.channels; ++c) {
                const index_t at = first + c * d.inner;
                dx[at] = static_cast<T>(static_cast<S>(dy[at]) - exp(static_cast<S>(y[at])) * sum);
            }
        }
}

template <class T>
index_t cross_entropy_scratch(const Reference<T>&, const CrossEntropyDims&) {
    return 0;
}

/// *whole = summed weight and number of the rows that count, and the first bad row: what a mean over all rows divides by, before any of them is evaluated.
template <class T>
void label_weights(const Reference<T>&, const CrossEntropyDims& d, const std::int32_t* labels, const detail::StatisticOf<T>* class_weights, LossResult* whole) {
    using S = detail::Wide<T>;
    *whole = {};
    S weights{};
    for (index_t r = 0; r < d.rows; ++r) {
        if (labels[r] == d.ignore_index) continue;
        if (labels[r] < 0 || labels[r] >= d.classes) {
            whole->bad_row = r;
            whole->bad_label = labels[r];
            return;
        }
        weights += class_weights ? static_cast<S>(class_weights[labels[r]]) : S{1};
        ++whole->counted;
    }
    whole->weight = static_cast<double>(weights);
}

/// loss = sum over rows of (1 - e) * w[y] * nll[y] + e / C * sum_c w[c] * nll[c], nll = -log_softmax(logits); rows labelled ignore_index do not count;
/// a mean divides by the sum of w[y] (NaN if no row counts), or, where these are some rows of more, by that of `whole` (or null; see label_weights). dlogits
/// (or null) = its gradient, 0 in ignored rows; may be logits.
template <class T>
void cross_entropy(const Reference<T>&, std::byte*, const CrossEntropyDims& d, const detail::Of<T>* logits, const std::int32_t* labels,
                   const detail::StatisticOf<T>* class_weights, LossResult* result, detail::Of<T>* dlogits, const LossResult* whole = nullptr) {
    using S = detail::Wide<T>;
    if (detail::refuse_rows(whole, result)) return;
    const auto weight = [&](index_t c) { return class_weights ? static_cast<S>(class_weights[c]) : S{1}; };
    S loss{}, weights{};
    for (index_t r = 0; r < d.rows; ++r) {
        if (labels[r] == d.ignore_index) continue;
        if (labels[r] < 0 || labels[r] >= d.classes) {
            result->bad_row = r;
            result->bad_label = labels[r];
            return;
        }
        weights += weight(labels[r]);
    }
    const S smooth = static_cast<S>(d.label_smoothing), divisor = !d.mean ? S{1} : whole ? static_cast<S>(whole->weight) : weights;
    for (index_t r = 0; r < d.rows; ++r) {
        const T* row = logits + r * d.classes;
        const index_t label = labels[r];
        if (label == d.ignore_index) {
            for (index_t c = 0; dlogits && c < d.classes; ++c) dlogits[r * d.classes + c] = T{0};
            continue;
        }
        ++result->counted;
        if (detail::argmax(d.classes, row) == label) ++result->correct;
        const detail::RowSum<T> sums(d.classes, row);
        const S hard = smooth > S{0} ? (S{1} - smooth) * weight(label) : weight(label);
        loss += hard * sums.negative_log(row[label]);
        S total = hard;     // of the coefficients of nll
        if (smooth > S{0})  // not added as 0 * infinity when there is no smoothing
            for (index_t c = 0; c < d.classes; ++c) {
                const S share = smooth / static_cast<S>(d.classes) * weight(c);
                loss += share * sums.negative_log(row[c]);
                total += share;
            }
        for (index_t c = 0; dlogits && c < d.classes; ++c) {
            S target = smooth > S{0} ? smooth / static_cast<S>(d.classes) * weight(c) : S{0};
            if (c == label) target += hard;
            dlogits[r * d.classes + c] = static_cast<T>((sums.softmax(row[c]) * total - target) / divisor);
        }
    }
    result->weight = static_cast<double>(weights);
    result->loss = static_cast<double>(loss / divisor);
}

/// loss = sum over rows and classes of w[c] * t[c] * nll[c] with t = (1 - e) * targets + e / C; a mean divides by rows. `correct` compares with the
/// largest target. dlogits (or null) may be logits.
template <class T>
void cross_entropy_soft(const Reference<T>&, std::byte*, const CrossEntropyDims& d, const detail::Of<T>* logits, const detail::Of<T>* targets,
                        const detail::StatisticOf<T>* class_weights, LossResult* result, detail::Of<T>* dlogits) {
    using S = detail::Wide<T>;
    *result = {};
    const S smooth = static_cast<S>(d.label_smoothing), divisor = d.mean ? static_cast<S>(d.total_rows > 0 ? d.total_rows : d.rows) : S{1};
    S loss{};
    for (index_t r = 0; r < d.rows; ++r) {
        const T *row = logits + r * d.classes, *target = targets + r * d.classes;
        const auto coefficient = [&](index_t c) {
            const S t = static_cast<S>(target[c]) * (S{1} - smooth) + smooth / static_cast<S>(d.classes);
            return class_weights ? t * static_cast<S>(class_weights[c]) : t;
        };
        if (detail::argmax(d.classes, row) == detail::argmax(d.classes, target)) ++result->correct;
        const detail::RowSum<T> sums(d.classes, row);
        S total{};
        for (index_t c = 0; c < d.classes; ++c) {
            loss += coefficient(c) * sums.negative_log(row[c]);
            total += coefficient(c);
        }
        for (index_t c = 0; dlogits && c < d.classes; ++c)
            dlogits[r * d.classes + c] = static_cast<T>((sums.softmax(row[c]) * total - coefficient(c)) / divisor);
    }
    result->counted = d.rows;
    result->weight = static_cast<double>(d.rows);
    result->loss = static_cast<double>(loss / divisor);
    detail::refuse_targets({.rows = d.rows, .outputs = d.classes, .first_row = d.first_row}, targets, result, dlogits);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
