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
        const bool* eval = nullptr;  // ParamTable::set_eval
    };

    [[gnu::cold]] constexpr Text name() const { return "Dropout"; }
    template <class V>
    constexpr void attributes(V& v) const {
        v("p", p);
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (!(p >= 0 && p <= 1)) return refuse("its probability must lie in [0, 1]");
        return s;
    }

    template <class P, class Builder>
    [[gnu::cold]] State<P> build(Builder& b, const Shape&) const {
        return {b.random_stream(), b.mode()};
    }
    template <class P>
    void infer(Context<P>& c, const State<P>&, ConstView<P> x, View<P> y) const {
        if (x.data != y.data) copy(c.policy, x.size(), x.data, y.data);
    }
    template <class P>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y) const {
        draw(c, state, x, y);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P>, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        draw(c, state, dy, dx);
    }

private:
    template <class P>
    void draw(Context<P>& c, const State<P>& state, const ConstView<P>& from, const View<P>& to) const {
        if (*state.eval) return infer<P>(c, state, from, to);
        dropout(c.policy, from.size(), p, c.random, state.stream, from.data, to.data, c.first_sample * from.shape.size());
    }
};

}  // namespace dla
