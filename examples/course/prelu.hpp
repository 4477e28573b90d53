// SPDX-License-Identifier: MIT
// A layer of one's own, written as docs/adding_a_layer.md explains it.
#pragma once

#include <dla/nn.hpp>

/// y = x > 0 ? x : slope * x with a learned slope for each feature; x [N, features] (He et al. 2015, "Delving Deep into Rectifiers").
struct PReLU {
    double first_slope = 0.25;

    static constexpr dla::Needs needs{.x = true, .y = false};  // backward reads x, so x is kept until then
    template <class P>
    struct State {
        dla::Param<P> slope;  // [features]
    };

    constexpr dla::Text name() const { return "PReLU"; }
    constexpr dla::ShapeResult out_shape(dla::Shape in) const {
        return in.rank <= 1 ? dla::ShapeResult(in) : dla::refuse("expected [features]; did you forget Flatten?");
    }

    template <class P, class Builder>
    State<P> build(Builder& b, const dla::Shape& in) const {
        return {b.parameter("weight", dla::ParamKind::weight, {in.d[0]}, {.fixed = first_slope}, dla::feature_order(in))};
    }
    template <class P>
    void infer(dla::Context<P>&, const State<P>& state, dla::ConstView<P> x, dla::View<P> y) const {
        static_assert(P::shares_host, "PReLU reads its arguments directly, so it runs on the host only");
        for (dla::index_t i = 0; i < x.size(); ++i) y.data[i] = x.data[i] > 0 ? x.data[i] : state.slope.value[i % x.shape.d[0]] * x.data[i];
    }
    template <class P>
    void backward(dla::Context<P>&, State<P>& state, dla::ConstView<P> x, dla::ConstView<P>, dla::ConstView<P> dy, dla::View<P> dx) const {
        for (dla::index_t i = 0; i < x.size(); ++i) {
            const dla::index_t f = i % x.shape.d[0];
            if (x.data[i] <= 0) state.slope.grad[f] += dy.data[i] * x.data[i];                    // added to, never overwritten
            if (dx) dx.data[i] = x.data[i] > 0 ? dy.data[i] : state.slope.value[f] * dy.data[i];  // overwritten; empty when nobody asks for it
        }
    }
};
