// SPDX-License-Identifier: MIT
// A layer of one's own, written as docs/adding_a_layer.md explains it.
#pragma once

#include <dla/nn.hpp>

#include <cmath>

/// y = x * sigmoid(beta * x) with a learned beta for each feature; x [N, features] (Ramachandran et al. 2017, "Searching for Activation Functions").
struct Swish {
    double first_beta = 1;

    static constexpr dla::Needs needs{.x = true, .y = false};  // backward reads x, so x is kept until then
    template <class P>
    struct State {
        dla::Param<P> beta;  // [features]
    };

    constexpr dla::Text name() const { return "Swish"; }
    constexpr dla::ShapeResult out_shape(dla::Shape in) const {
        return in.rank <= 1 ? dla::ShapeResult(in) : dla::refuse("expected [features]; did you forget Flatten?");
    }

    template <class P, class Builder>
    State<P> build(Builder& b, const dla::Shape& in) const {
        return {b.parameter("weight", dla::ParamKind::weight, {in.d[0]}, {.fixed = first_beta}, dla::feature_order(in))};
    }
    template <class P>
    void infer(dla::Context<P>&, const State<P>& state, dla::ConstView<P> x, dla::View<P> y) const {
        static_assert(P::shares_host, "Swish reads its arguments directly, so it runs on the host only");
        for (dla::index_t i = 0; i < x.size(); ++i) y.data[i] = x.data[i] * sigmoid(state.beta.value[i % x.shape.d[0]] * x.data[i]);
    }
    template <class P>
    void backward(dla::Context<P>&, State<P>& state, dla::ConstView<P> x, dla::ConstView<P>, dla::ConstView<P> dy, dla::View<P> dx) const {
        for (dla::index_t i = 0; i < x.size(); ++i) {
            const dla::index_t f = i % x.shape.d[0];
            const auto beta = state.beta.value[f], s = sigmoid(beta * x.data[i]), bend = s * (1 - s);
            state.beta.grad[f] += dy.data[i] * x.data[i] * x.data[i] * bend;  // added to, never overwritten
            if (dx) dx.data[i] = dy.data[i] * (s + beta * x.data[i] * bend);  // overwritten; empty when nobody asks for it
        }
    }

private:
    template <class T>
    static T sigmoid(T v) {
        return 1 / (1 + std::exp(-v));
    }
};
