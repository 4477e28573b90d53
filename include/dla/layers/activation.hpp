// SPDX-License-Identifier: MIT
// Activation functions, applied to each value, Softmax and its logarithm.
#pragma once

#include <dla/layers/concept.hpp>
#include <dla/layers/axis.hpp>

namespace dla {

/// y = f(x) for each value; use the names below. Definitions and edge values are PyTorch's.
template <Activation Kind>
struct Pointwise {
    double slope = 0.01;              ///< LeakyReLU only: y = slope * x for negative x
    double alpha = 1;                 ///< ELU only: y goes to -alpha
    double beta = 1, threshold = 20;  ///< Softplus only: not 0; y = x where beta * x is above the threshold

    static constexpr bool reads_y = Kind == Activation::relu || Kind == Activation::sigmoid || Kind == Activation::tanh;
    static constexpr Needs needs{.x = !reads_y, .y = reads_y};
    static constexpr InPlace in_place{.forward = true, .backward = true};
    static constexpr bool rectifies = Kind == Activation::relu;

    [[gnu::cold]] constexpr Text name() const {
        switch (Kind) {
            case Activation::relu:
                return "ReLU";
            case Activation::leaky_relu:
                return "LeakyReLU";
            case Activation::gelu:
                return "GELU";
            case Activation::gelu_tanh:
                return "GELUTanh";
            case Activation::silu:
                return "SiLU";
            case Activation::sigmoid:
                return "Sigmoid";
            case Activation::tanh:
                return "Tanh";
            case Activation::elu:
                return "ELU";
            case Activation::softplus:
                return "Softplus";
            case Activation::hardswish:
                return "Hardswish";
        }
        return "";
    }
    template <class V>
    constexpr void attributes(V& v) const {
        if (Kind == Activation::leaky_relu) v("slope", slope);
        if (Kind == Activation::elu) v("alpha", alpha, 1.0);
        if (Kind == Activation::softplus) v("beta", beta, 1.0), v("threshold", threshold, 20.0);
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (Kind == Activation::softplus && !(beta < 0 || beta > 0)) return refuse("beta must not be 0 or NaN");
        return s;
    }
    constexpr ActivationOptions options() const {
        return {Kind == Activation::elu ? alpha : Kind == Activation::softplus ? beta : slope, threshold};
    }

    template <class P>
    void infer(Context<P>& c, ConstView<P> x, View<P> y) const {
        activation_forward(c.policy, ActivationIs<Kind>{}, options(), x.size(), x.data, y.data);
    }
    template <class P>
    void backward(Context<P>& c, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> dx) const {
        const kernel::ConstPtr<P> none{};
        activation_backward(c.policy, ActivationIs<Kind>{}, options(), dy.size(), needs.x ? x.data : none, needs.y ? y.data : none, dy.data, dx.data);
    }
};

using ReLU = Pointwise<Activation::relu>;             ///< max(x, 0)
using LeakyReLU = Pointwise<Activation::leaky_relu>;  ///< x > 0 ? x : slope * x
using GELU = Pointwise<Activation::gelu>;             ///< x Phi(x), exact (erf)
using GELUTanh = Pointwise<Activation::gelu_tanh>;    ///< x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
using SiLU = Pointwise<Activation::silu>;             ///< x sigmoid(x)
using Sigmoid = Pointwise<Activation::sigmoid>;       ///< 1 / (1 + exp(-x))
using Tanh = Pointwise<Activation::tanh>;             ///< tanh(x)
using ELU = Pointwise<Activation::elu>;               ///< x > 0 ? x : alpha * (exp(x) - 1)
using Softplus = Pointwise<Activation::softplus>;     ///< log(1 + exp(beta x)) / beta
using Hardswish = Pointwise<Activation::hardswish>;   ///< x min(max(x + 3, 0), 6) / 6

/// exp(x) / sum exp(x) along PyTorch's dimension `Dim` of the batch (0 is the batch and not allowed): `Softmax<1>` for class scores.
template <int Dim>
struct Softmax {
    static_assert(Dim >= 1 && Dim <= 3, "dla: Softmax<Dim> counts as PyTorch does, 0 is the batch; class scores [N, classes] take Softmax<1>");

    static constexpr Needs needs{.x = false, .y = true};
    static constexpr InPlace in_place{.forward = false, .backward = true};

    [[gnu::cold]] constexpr Text name() const { return text("Softmax<", Dim, ">"); }
    template <class V>
    constexpr void attributes(V& v) const {
        v("dim", Dim);
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank != 0 && Dim > s.rank) return refuse("it has no dimension ", Dim, " (0 is the batch)");
        return s;
    }

    template <class P>
    void infer(Context<P>& c, ConstView<P> x, View<P> y) const {
        softmax_forward(c.policy, detail::axis_dims(x.batch, x.shape, Dim), x.data, y.data);
    }
    template <class P>
    void backward(Context<P>& c, ConstView<P>, ConstView<P> y, ConstView<P> dy, View<P> dx) const {
        softmax_backward(c.policy, detail::axis_dims(dy.batch, dy.shape, Dim), y.data, dy.data, dx.data);
    }
};

/// log(exp(x) / sum exp(x)) along PyTorch's dimension `Dim` of the batch, as Softmax counts them (torch.nn.LogSoftmax).
template <int Dim>
struct LogSoftmax {
    static_assert(Dim >= 1 && Dim <= 3, "dla: LogSoftmax<Dim> counts as PyTorch does, 0 is the batch; class scores [N, classes] take LogSoftmax<1>");

    static constexpr Needs needs{.x = false, .y = true};
    static constexpr InPlace in_place{.forward = false, .backward = true};

    [[gnu::cold]] constexpr Text name() const { return text("LogSoftmax<", Dim, ">"); }
    template <class V>
    constexpr void attributes(V& v) const {
        v("dim", Dim);
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const { return Softmax<Dim>{}.out_shape(s); }

    template <class P>
    void infer(Context<P>& c, ConstView<P> x, View<P> y) const {
        log_softmax_forward(c.policy, detail::axis_dims(x.batch, x.shape, Dim), x.data, y.data);
    }
    template <class P>
    void backward(Context<P>& c, ConstView<P>, ConstView<P> y, ConstView<P> dy, View<P> dx) const {
        log_softmax_backward(c.policy, detail::axis_dims(dy.batch, dy.shape, Dim), y.data, dy.data, dx.data);
    }
};

}  // namespace dla
