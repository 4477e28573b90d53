// SPDX-License-Identifier: MIT
// Dropout.
#pragma once

#include <dla/layers/concept.hpp>

namespace dla {

/// Training: each value becomes 0 with probability p, else x / (1 - p); inference: x (Srivastava et al. 2014; PyTorch's nn.Dropout).
/// The mask depends on seed, epoch, step and position alone, and is drawn again in backward instead of being stored.
struct Dropout {
    double p = 0.5;

    static constexpr Needs needs{.x = false, .y = false};
    static constexpr InPlace in_place{.forward = true, .backward = true};
    static constexpr bool has_parameters = false;
    template <class P>
    struct State {
        std::uint32_t stream = 0;
    };

    constexpr Text name() const { return "Dropout"; }
    Text settings() const { return detail::Settings().add("p", p).text; }
    constexpr ShapeResult out_shape(Shape s) const {
        if (!(p >= 0 && p <= 1)) return refuse("its probability must lie in [0, 1]");
        return s;
    }

    template <class P, class Builder>
    State<P> build(Builder& b, const Shape&) const {
        return {b.random_stream()};
    }
    template <class P>
    void infer(Context<P>& c, const State<P>&, ConstView<P> x, View<P> y) const {
        if (x.data != y.data) copy(c.policy, x.size(), x.data, y.data);
    }
    template <class P>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y) const {
        dropout(c.policy, x.size(), p, c.random, state.stream, x.data, y.data);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P>, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        dropout(c.policy, dy.size(), p, c.random, state.stream, dy.data, dx.data);
    }
};

}  // namespace dla
