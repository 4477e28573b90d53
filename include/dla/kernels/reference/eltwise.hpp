// SPDX-License-Identifier: MIT
// Elementwise kernels of the reference policy; an output may be an input everywhere.
#pragma once

#include <dla/kernels/formulas.hpp>
#include <dla/kernels/reference/wide.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

/// y[n] = f(x[n]). sigmoid gives exactly 0 below the smallest normal number of T (of float, where T has 16 bits).
template <class T>
void activation_forward(const Reference<T>&, Activation kind, const ActivationOptions& options, index_t n, const detail::Of<T>* x, detail::Of<T>* y) {
    using S = detail::Wide<T>;
    for (index_t i = 0; i < n; ++i) {
        const S value = detail::activation(kind, options, static_cast<S>(x[i]));
        const bool tiny = kind == Activation::sigmoid && value < static_cast<S>(std::numeric_limits<detail::Arithmetic<T>>::min());
        y[i] = tiny ? T{0} : static_cast<T>(value);
    }
}

/// dx = dy * f'; reads y for relu, sigmoid and tanh, x for the others (the one not read or null).
template <class T>
void activation_backward(const Reference<T>&, Activation kind, const ActivationOptions& options, index_t n, const detail::Of<T>* x, const detail::Of<T>* y,
                         const detail::Of<T>* dy, detail::Of<T>* dx) {
    using S = detail::Wide<T>;
    const T* read = detail::slope_reads_y(kind) ? y : x;
    for (index_t i = 0; i < n; ++i) dx[i] = static_cast<T>(detail::activation_gradient(kind, options, static_cast<S>(read[i]), static_cast<S>(dy[i])));
}

template <class T>
index_t prelu_scratch(const Reference<T>&, const NormDims&) {
    return 0;
}

/// y = x > 0 ? x : w * x, with w of the value's channel; y may be x.
template <class T>
void prelu_forward(const Reference<T>&, const NormDims& d, const detail::Of<T>* x, const detail::MasterOf<T>* w, detail::Of<T>* y) {
    using S = detail::Wide<T>;
    for (index_t i = 0; i < d.outer * d.channels * d.inner; ++i)
        y[i] = x[i] > T{0} ? x[i] : static_cast<T>(static_cast<S>(w[i / d.inner % d.channels]) * static_cast<S>(x[i]));
}

/// dw [channels] += sum of x * dy where x is not above 0; dx (or null, may be dy) = x > 0 ? dy : w * dy.
template <class T>
void prelu_backward(const Reference<T>&, std::byte*, const NormDims& d, const detail::Of<T>* x, const detail::MasterOf<T>* w, const detail::Of<T>* dy,
                    detail::Of<T>* dx, detail::MasterOf<T>* dw) {
    using S = detail::Wide<T>;
    for (index_t c = 0; c < d.channels; ++c) {
        S sum{};
        for (index_t o = 0; o < d.outer; ++o)
            for (index_t i = 0; i < d.inner; ++i) {
                const index_t at = (o * d.channels + c) * d.inner + i;
                const S gradient = static_cast<S>(dy[at]);
                if (!(x[at] > T{0})) sum += static_cast<S>(x[at]) * gradient;
                if (dx) dx[at] = x[at] > T{0} ? dy[at] : static_cast<T>(static_cast<S>(w[c]) * gradient);
            }
        dw[c] = static_cast<detail::MasterOf<T>>(static_cast<S>(dw[c]) + sum);
    }
}

/// y = a + b.
template <class T>
void add(const Reference<T>&, index_t n, const detail::Of<T>* a, const detail::Of<T>* b, detail::Of<T>* y) {
    for (index_t i = 0; i < n; ++i) y[i] = static_cast<T>(a[i] + b[i]);
}

/// y = max(a + b, 0), NaN stays. `mask` (or null) is set where the gradient passes: where y is not 0.
template <class T>
void add_relu(const Reference<T>&, index_t n, const detail::Of<T>* a, const detail::Of<T>* b, detail::Of<T>* y, std::uint32_t* mask) {
    if (mask)
        for (index_t i = 0; i < relu_mask_words(n); ++i) mask[i] = 0;
    for (index_t i = 0; i < n; ++i) {
        const T sum = static_cast<T>(a[i] + b[i]);
        y[i] = sum < T{0} ? T{0} : sum;
        if (mask && !(sum <= T{0})) mask[i / 32] |= std::uint32_t{1} << i % 32;
    }
}

/// dx = mask ? dy : 0, of a mask that this policy's add_relu has written.
template <class T>
void relu_mask_backward(const Reference<T>&, index_t n, const std::uint32_t* mask, const detail::Of<T>* dy, detail::Of<T>* dx) {
    for (index_t i = 0; i < n; ++i) dx[i] = (mask[i / 32] >> i % 32 & 1) != 0 ? dy[i] : T{0};
}

/// y = x; the same array or two that do not overlap.
template <class T>
void copy(const Reference<T>&, index_t n, const detail::Of<T>* x, detail::Of<T>* y) {
    for (index_t i = 0; i < n; ++i) y[i] = x[i];
}

/// y = value, of activations or of masters.
template <class T>
void fill(const Reference<T>&, index_t n, detail::MasterOf<T> value, detail::Of<T>* y) {
    for (index_t i = 0; i < n; ++i) y[i] = static_cast<T>(value);
}
template <detail::MastersApart T>
void fill(const Reference<T>&, index_t n, detail::MasterOf<T> value, detail::MasterOf<T>* y) {
    for (index_t i = 0; i < n; ++i) y[i] = value;
}

/// Masters rounded to weights as the products read them.
template <class T>
void cast(const Reference<T>&, index_t n, const detail::MasterOf<T>* from, detail::WeightOf<T>* to) {
    for (index_t i = 0; i < n; ++i) to[i] = static_cast<detail::WeightOf<T>>(from[i]);
}

/// y[i] = keep ? x[i] / (1 - probability) : 0, with keep drawn from block k / 4, word k % 4, k = first + i; the divisor is rounded (to float at least), then
/// divides.
template <class T>
void dropout(const Reference<T>&, index_t n, double probability, const RandomPosition* at, std::uint32_t stream, const detail::Of<T>* x, detail::Of<T>* y,
             index_t first = 0) {
    const auto kept = static_cast<detail::Arithmetic<T>>(1.0 - probability);
    for (index_t i = 0; i < n;) {
        const auto words = random_block(*at, stream, static_cast<std::uint32_t>((first + i) / 4));
        for (index_t word = (first + i) % 4; i < n && word < 4; ++i, ++word)
            y[i] = to_unit_float(words[static_cast<std::size_t>(word)]) >= probability ? static_cast<T>(x[i] / kept) : T{0};
    }
}

/// y [count, columns, rows] = x [count, rows, columns], each matrix transposed; y is not x.
template <class T>
void transpose(const Reference<T>&, index_t count, index_t rows, index_t columns, const detail::Of<T>* x, detail::Of<T>* y) {
    for (index_t n = 0; n < count; ++n, x += rows * columns, y += rows * columns)
        for (index_t r = 0; r < rows; ++r)
            for (index_t c = 0; c < columns; ++c) y[c * rows + r] = x[r * columns + c];
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
