// SPDX-License-Identifier: MIT
// Layers that change no value: Identity, Flatten, Unflatten, and the two that change the order in memory.
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

/// Features back to an image: [C * H * W] -> [C, H, W], feature (c * H + h) * W + w at channel c, row h and column w, as PyTorch's nn.Unflatten(1, (C, H, W)),
/// so that a decoder may begin with Linear. One of the three may be Dyn: what the others leave. The image has channels last in memory, so its values move; the
/// features of an image that was flattened are in that order already, and become that image again.
template <index_t Channels, index_t Height, index_t Width>
struct Unflatten {
    static_assert(Channels == Dyn || Channels > 0, "dla: Unflatten<C, H, W> takes sizes above 0, or Dyn");
    static_assert(Height == Dyn || Height > 0, "dla: Unflatten<C, H, W> takes sizes above 0, or Dyn");
    static_assert(Width == Dyn || Width > 0, "dla: Unflatten<C, H, W> takes sizes above 0, or Dyn");
    static_assert((Channels == Dyn) + (Height == Dyn) + (Width == Dyn) <= 1,
                  "dla: Unflatten<C, H, W>: only one size follows from the others; write two of them");

    static constexpr Needs needs{};

    [[gnu::cold]] constexpr Text name() const { return text("Unflatten<", dim_text(Channels), ", ", dim_text(Height), ", ", dim_text(Width), ">"); }
    template <class V>
    constexpr void attributes(V& v) const {
        v("channels", Channels, in_shapes);
        v("height", Height, in_shapes);
        v("width", Width, in_shapes);
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank == 0) return Shape{Channels, Height, Width};
        if (s.rank != 1) return refuse("expected features in one axis; put Flatten in front");
        const index_t features = s.d[0], others = (Channels == Dyn ? 1 : Channels) * (Height == Dyn ? 1 : Height) * (Width == Dyn ? 1 : Width);
        const bool open = Channels == Dyn || Height == Dyn || Width == Dyn;
        if (features == Dyn) return Shape{Channels, Height, Width};
        const bool has_pixels = Height > 0 && Width > 0 && others > 0;
        if (!open && has_pixels && features > 0 && features != others && features % (Height * Width) == 0 && !s.is_flattened_image())
            return refuse("expected ", others, " features; did you mean Unflatten<", features / (Height * Width), ", ", Height, ", ", Width, ">?");
        if (open ? features % others != 0 : features != others) return refuse("expected ", open ? "a multiple of " : "", others, " features");
        const index_t rest = features / others;
        const Shape image{Channels == Dyn ? rest : Channels, Height == Dyn ? rest : Height, Width == Dyn ? rest : Width};
        if (s.is_flattened_image() && (s.d[1] != image.d[1] || s.d[2] != image.d[2]))
            return refuse("these are the features of an image ", to_text(Shape{features / (s.d[1] * s.d[2]), s.d[1], s.d[2]}),
                          ", in its order in memory, and only that image can be made of them; for another put ToContiguous in front of Flatten");
        return image;
    }
    template <class P>
    void infer(Context<P>& c, ConstView<P> x, View<P> y) const {
        if (x.shape.is_flattened_image()) return detail::pass_on<P>(c, x, y);
        transpose(c.policy, x.batch, y.shape.d[0], y.shape.d[1] * y.shape.d[2], x.data, y.data);
    }
    template <class P>
    void backward(Context<P>& c, ConstView<P>, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        if (!dx) return;
        if (dx.shape.is_flattened_image()) return detail::pass_on<P>(c, dy, dx);
        transpose(c.policy, dy.batch, dy.shape.d[1] * dy.shape.d[2], dy.shape.d[0], dy.data, dx.data);
    }
};

}  // namespace dla
