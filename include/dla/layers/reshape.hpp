// SPDX-License-Identifier: MIT
// Layers that change no value: Identity, Flatten, and the two that change the order in memory.
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

/// The same image with its values in another order in memory, where it is not in that order yet; one of another rank passes. PyTorch's
/// `x.to(memory_format=...)`. `ToChannelsLast` stands in front of convolutions where a network takes images [channels, height, width] as other programs store
/// them: `Model<Sequential<ToChannelsLast, Conv2d<3, 16, 3>, ...>, Shape{3, 32, 32}.contiguous()>`; `ToContiguous` behind them where it gives such.
template <MemoryOrder Order>
struct ToMemoryOrder {
    static constexpr Needs needs{};

    [[gnu::cold]] constexpr Text name() const { return Order == MemoryOrder::channels_last ? "ToChannelsLast" : "ToContiguous"; }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.is_flattened_image()) return refuse("the axes of a flattened image are gone; put it before Flatten");
        return Order == MemoryOrder::channels_last ? s.channels_last() : s.contiguous();
    }
    template <class P>
    void infer(Context<P>& c, ConstView<P> x, View<P> y) const {
        move(c, x, y);
    }
    template <class P>
    void backward(Context<P>& c, ConstView<P>, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        if (dx) move(c, dy, dx);
    }

private:
    template <class P>
    static void move(Context<P>& c, const ConstView<P>& from, const View<P>& to) {
        if (from.shape.order == to.shape.order) return detail::pass_on<P>(c, from, to);
        const index_t channels = from.shape.d[0], pixels = from.shape.d[1] * from.shape.d[2];
        if (from.shape.is_image())
            transpose(c.policy, from.batch, pixels, channels, from.data, to.data);
        else
            transpose(c.policy, from.batch, channels, pixels, from.data, to.data);
    }
};
using ToChannelsLast = ToMemoryOrder<MemoryOrder::channels_last>;  ///< images as convolutions want them
using ToContiguous = ToMemoryOrder<MemoryOrder::contiguous>;       ///< and as other programs store them

/// All axes of a sample become one (start_dim = 1). No value moves: the features of an image lie in (height, width, channels) order, and what
/// follows remembers that, so that its weights are saved and loaded in PyTorch's (channels, height, width) order. Of contiguous axes they lie as written.
struct Flatten {
    static constexpr Needs needs{};
    static constexpr bool is_view = true;

    [[gnu::cold]] constexpr Text name() const { return "Flatten"; }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        return s.rank <= 1 ? s : s.flattened();
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
