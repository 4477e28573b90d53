// SPDX-License-Identifier: MIT
// Layers that only look at the same values differently: Identity and Flatten.
#pragma once

#include <dla/layers/concept.hpp>

namespace dla {

namespace detail {

/// What Identity and Flatten share: no state, no work unless input and output are different buffers.
template <class P>
void pass_on(Context<P>& c, const ConstView<P>& from, const View<P>& to) {
    if (to && from.data != to.data) copy(c.policy, from.size(), from.data, to.data);
}

}  // namespace detail

/// y = x.
struct Identity {
    static constexpr Needs needs{};
    static constexpr bool is_view = true;

    [[gnu::cold]] constexpr Text name() const { return "Identity"; }
    constexpr bool is_identity() const { return true; }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const { return s; }
    template <class P>
    void infer(Context<P>& c, ConstView<P> x, View<P> y) const {
        detail::pass_on<P>(c, x, y);
    }
    template <class P>
    void backward(Context<P>& c, ConstView<P>, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        detail::pass_on<P>(c, dy, dx);
    }
};

/// All axes of a sample become one (start_dim = 1). No value moves: the features of an image lie in (height, width, channels) order, and what
/// follows remembers that, so that its weights are saved and loaded in PyTorch's (channels, height, width) order.
struct Flatten {
    static constexpr Needs needs{};
    static constexpr bool is_view = true;

    [[gnu::cold]] constexpr Text name() const { return "Flatten"; }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank <= 1) return s;
        Shape flat(s.size());
        if (s.rank == 3) flat.d[1] = s.d[1], flat.d[2] = s.d[2];
        if (!flat.is_flattened_image() || s.d[0] == 1) flat.d[1] = flat.d[2] = 0;  // one channel, one pixel: both orders are the same
        return flat;
    }
    template <class P>
    void infer(Context<P>& c, ConstView<P> x, View<P> y) const {
        detail::pass_on<P>(c, x, y);
    }
    template <class P>
    void backward(Context<P>& c, ConstView<P>, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        detail::pass_on<P>(c, dy, dx);
    }
};

}  // namespace dla
