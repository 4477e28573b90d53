// SPDX-License-Identifier: MIT
// What is calculated for one value: activations, their slopes, losses; S is the type in which. For code on any device.
#pragma once

#include <dla/core/config.hpp>
#include <dla/kernels/types.hpp>

#include <cmath>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail {

/// 1 / (1 + exp(-x)); never overflows.
template <class S>
DLA_ANYWHERE S sigmoid(S x) {
    using std::exp;
    if (x < S{0}) return exp(x) / (S{1} + exp(x));
    return S{1} / (S{1} + exp(-x));
}

/// Half of gelu_tanh's logistic argument, sqrt(2 / pi) * (x + 0.044715 x^3): gelu_tanh(x) = x * sigmoid(2 * inner(x)).
template <class S>
DLA_ANYWHERE S gelu_inner(S x) {
    return static_cast<S>(0.79788456080286535588) * (x + static_cast<S>(0.044715) * x * x * x);
}

/// Phi(x), the standard normal distribution; erfc keeps its relative accuracy for negative x.
template <class S>
DLA_ANYWHERE S normal_cdf(S x) {
    using std::erfc;
    return static_cast<S>(0.5) * erfc(-x * static_cast<S>(0.70710678118654752440));
}

template <class S>
DLA_ANYWHERE S activation(Activation kind, const ActivationOptions& options, S x) {
    using std::exp, std::expm1, std::log1p, std::tanh;
    const S value = static_cast<S>(options.value);
    switch (kind) {
        case Activation::relu:
            return x < S{0} ? S{0} : x;  // keeps NaN and -0
        case Activation::leaky_relu:
            return x > S{0} ? x : x * value;
        case Activation::gelu:
            return x * normal_cdf(x);
        case Activation::gelu_tanh:
            return x * sigmoid(2 * gelu_inner(x));
        case Activation::silu:
            return x * sigmoid(x);
        case Activation::sigmoid:
            return sigmoid(x);
        case Activation::tanh:
            return tanh(x);
        case Activation::elu:
            return x < S{0} ? value * expm1(x) : x;  // keeps NaN and -0
        case Activation::softplus: {
            const S z = value * x;
            return z > static_cast<S>(options.threshold) ? x : ((z > S{0} ? z : S{0}) + log1p(exp(z > S{0} ? -z : z))) / value;
        }
        case Activation::hardswish:  // -infinity gives NaN, as 0 * infinity
            return x * ((x < S{-3} ? S{0} : x > S{3} ? S{6} : x + S{3}) / S{6});
    }
    return x;
}

/// df/dx from x, or from y for relu, sigmoid and tanh.
template <class S>
DLA_ANYWHERE S activation_slope(Activation kind, const ActivationOptions& options, S v) {
    using std::exp;
    const S value = static_cast<S>(options.value);
    switch (kind) {
        case Activation::relu:
            return v <= S{0} ? S{0} : S{1};  // NaN lets the gradient through
        case Activation::leaky_relu:
            return v > S{0} ? S{1} : value;
        case Activation::gelu:
            return normal_cdf(v) + v * static_cast<S>(0.39894228040143267794) * exp(-v * v / 2);
        case Activation::gelu_tanh: {
            const S inner = 2 * gelu_inner(v), s = sigmoid(inner);
            return s + v * s * sigmoid(-inner) * (2 * static_cast<S>(0.79788456080286535588)) * (S{1} + 3 * static_cast<S>(0.044715) * v * v);
        }
        case Activation::silu:
            return sigmoid(v) * (S{1} + v * sigmoid(-v));
        case Activation::sigmoid:
            return v * (S{1} - v);
        case Activation::tanh:
            return S{1} - v * v;
        case Activation::elu:
            return v > S{0} ? S{1} : value * exp(v);
        case Activation::softplus:
            return value * v > static_cast<S>(options.threshold) ? S{1} : sigmoid(value * v);
        case Activation::hardswish:  // at the bends as PyTorch 2.8 and later: 0 at -3, 1 at 3
            return v <= S{-3} ? S{0} : v >= S{3} ? S{1} : v / S{3} + S{0.5};
    }
    return S{1};
}

/// Whether a slope is found from y.
constexpr bool slope_reads_y(Activation kind) { return kind == Activation::relu || kind == Activation::sigmoid || kind == Activation::tanh; }

/// dy * f', where f' is 0 by selection: an infinite dy behind a closed unit gives 0.
template <class S>
DLA_ANYWHERE S activation_gradient(Activation kind, const ActivationOptions& options, S read, S dy) {
    if (kind == Activation::relu) return read <= S{0} ? S{0} : dy;
    if (kind == Activation::hardswish && read <= S{-3}) return S{0};
    return dy * activation_slope(kind, options, read);
}

/// A loss of one value, and its derivative.
template <class S>
struct LossTerm {
    S loss, slope;
};

/// Of d = x - target; `bend`: delta or beta.
template <class S>
DLA_ANYWHERE LossTerm<S> difference_loss(ElementLoss kind, S bend, S d) {
    const S size = d < S{0} ? -d : d, sign = d > S{0} ? S{1} : d < S{0} ? S{-1} : S{0};
    const bool bent = size < bend;
    switch (kind) {
        case ElementLoss::absolute:
            return {size, sign};
        case ElementLoss::huber:
            return bent ? LossTerm<S>{d * d / 2, d} : LossTerm<S>{bend * (size - bend / 2), sign * bend};
        case ElementLoss::smooth_l1:
            return bent ? LossTerm<S>{d * d / (2 * bend), d / bend} : LossTerm<S>{size - bend / 2, sign};
        default:
            return {d * d, 2 * d};
    }
}

/// (1 - t) x + w log(1 + exp(-x)) with w = 1 + (weight - 1) t, so that exp never overflows and nothing cancels.
template <class S>
DLA_ANYWHERE LossTerm<S> logistic_loss(S weight, S x, S t) {
    using std::exp, std::log1p;
    const S w = S{1} + (weight - S{1}) * t, e = exp(x < S{0} ? x : -x), share = w * (e / (S{1} + e));
    return {(S{1} - t) * x + w * (log1p(e) + (x < S{0} ? -x : S{0})), x < S{0} ? share - weight * t : (S{1} - t) - share};
}

}  // namespace dla::detail

#include <dla/core/end_exact.inl.hpp>
