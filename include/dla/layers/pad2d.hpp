// SPDX-License-Identifier: MIT
// Zeros around images.
#pragma once

#include <dla/layers/concept.hpp>
#include <dla/layers/window.hpp>

#include <algorithm>

namespace dla {

/// [C, H, W] -> [C, top + H + bottom, left + W + right] with zeros around the image (PyTorch's nn.ZeroPad2d, with its order of the four). A negative number
/// cuts as many rows or columns off.
template <index_t Padding = 0>
struct ZeroPad2d {
    static_assert(Padding >= 0, "dla: ZeroPad2d<P> takes a padding of 0 or more (Dyn is none); write what cuts off as a member, ZeroPad2d<>{.left = -1}");
    index_t left = Padding, right = Padding, top = Padding, bottom = Padding;

    static constexpr Needs needs{.x = false, .y = false};

    [[gnu::cold]] constexpr Text name() const {
        Text t = text("ZeroPad2d<", left);
        if (right != left || top != left || bottom != left) t.append(text(", ", right, ", ", top, ", ", bottom));
        return t.append(">");
    }
    template <class V>
    constexpr void attributes(V& v) const {
        v("left", left, 0);
        v("right", right, 0);
        v("top", top, 0);
        v("bottom", bottom, 0);
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank == 0) return Shape{};
        if (!s.is_image()) return detail::refuse_no_image(s);
        for (const index_t n : {left, right, top, bottom})
            if (n > detail::max_window || n < -detail::max_window)
                return refuse("padding must lie between -", detail::max_window, " and ", detail::max_window, "; got ", n);
        if (all_cut_off(s.d[1], top, bottom) || all_cut_off(s.d[2], left, right))
            return refuse("negative padding cuts rows and columns off, and here nothing of the image is left");
        return padded(s);
    }

    template <class P>
    void infer(Context<P>& c, ConstView<P> x, View<P> y) const {
        zero_pad2d(c.policy, dims(x.shape, x.batch, padded(x.shape)), top, left, x.data, y.data);
    }
    template <class P>
    void backward(Context<P>& c, ConstView<P> x, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        zero_pad2d(c.policy, dims(padded(x.shape), x.batch, x.shape), -top, -left, dy.data, dx.data);
    }

private:
    static constexpr bool all_cut_off(index_t size, index_t before, index_t after) {
        return size != Dyn && size + std::min<index_t>(before, 0) + std::min<index_t>(after, 0) < 1;
    }
    constexpr Shape padded(const Shape& s) const { return {s.d[0], s.d[1] == Dyn ? Dyn : s.d[1] + top + bottom, s.d[2] == Dyn ? Dyn : s.d[2] + left + right}; }
    static constexpr Resize2dDims dims(const Shape& from, index_t batch, const Shape& to) {
        return {.batch = batch, .height = from.d[1], .width = from.d[2], .channels = from.d[0], .out_height = to.d[1], .out_width = to.d[2]};
    }
};

}  // namespace dla
