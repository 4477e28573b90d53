// SPDX-License-Identifier: MIT
// A ReLU that learns its slope below 0.
#pragma once

#include <dla/layers/axis.hpp>
#include <dla/layers/concept.hpp>

namespace dla {

/// y = x > 0 ? x : weight * x (He et al. 2015, "Delving Deep into Rectifiers"; torch.nn.PReLU). `PReLU<>` learns one weight, `PReLU<C>` one for each of C
/// channels or features, `PReLU<Dyn>` one for each of what comes. Weight decay pulls it towards ReLU; a group of parameters can leave it out.
template <index_t Weights = 1>
struct PReLU {
    double init = 0.25;

    static constexpr Needs needs{.x = true, .y = false};
    static constexpr InPlace in_place{.forward = false, .backward = true};

    template <class P>
    struct State {
        Param<P> weight;
    };

    [[gnu::cold]] constexpr Text name() const { return text("PReLU<", dim_text(Weights), ">"); }
    template <class V>
    constexpr void attributes(V& v) const {
        v("weights", Weights, in_shapes);
        v("init", init, 0.25);
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank != 0 && Weights != 1 && !compatible(s.d[0], Weights))
            return refuse("expected ", Weights, " channels; did you mean PReLU<", s.d[0], ">, or PReLU<> with one weight for all?");
        return s;
    }

    template <class P, class Builder>
    [[gnu::cold]] State<P> build(Builder& b, const Shape& s) const {
        const bool shared = Weights == 1;
        return {b.parameter("weight", ParamKind::weight, {shared ? 1 : s.d[0]}, Init{.fixed = init}, shared ? DiskOrder{} : feature_order(s))};
    }
    template <class P>
    index_t scratch(const P& policy, const Shape& s, index_t batch, Pass pass) const {
        return pass == Pass::backward ? prelu_scratch(policy, dims(batch, s)) : 0;
    }
    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        prelu_forward(c.policy, dims(x.batch, x.shape), x.data, state.weight.master, y.data);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        prelu_backward(c.policy, c.scratch, dims(x.batch, x.shape), x.data, state.weight.master, dy.data, dx.data, state.weight.grad);
    }

private:
    static constexpr NormDims dims(index_t batch, const Shape& s) {
        return Weights == 1 ? NormDims{.outer = batch, .channels = 1, .inner = s.size()} : detail::channel_dims(batch, s);
    }
};

}  // namespace dla
