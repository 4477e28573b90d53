// SPDX-License-Identifier: MIT
// Images made larger, or to a given size, by interpolation.
#pragma once

#include <dla/layers/concept.hpp>
#include <dla/layers/window.hpp>

namespace dla {

/// `nearest` or `bilinear`.
constexpr std::string_view to_string(Interpolation mode) { return mode == Interpolation::nearest ? "nearest" : "bilinear"; }

/// [C, H, W] -> [C, H * scale.h, W * scale.w], or [C, size.h, size.w] with a size, which may be smaller (PyTorch's nn.Upsample; F.interpolate). Write one of
/// both: `Upsample2d<2>{}`, `Upsample2d<>{.size = {32, 24}}`. With s = in / out along each axis:
/// nearest:  y[o] = x[floor(o * s)], exactly. PyTorch rounds s, and takes the value before at a few places, as of 14 to 46.
/// bilinear: y[o] is read at max(0, (o + 0.5) * s - 0.5), or with align_corners at o * (in - 1) / (out - 1), linearly between the two values around; beyond
///           the last value it is that one. Smaller images are read the same way, without a filter.
template <index_t Scale = Dyn>
struct Upsample2d {
    Size2 scale = Scale;
    Size2 size = 0;  ///< 0: by the scale
    Interpolation mode = Interpolation::nearest;
    bool align_corners = false;  ///< bilinear only: the corners of both images lie upon each other

    static constexpr Needs needs{.x = false, .y = false};

    [[gnu::cold]] constexpr Text name() const {
        Text t("Upsample2d<");
        if (scale != Size2(Dyn)) t.append(scale.h);
        if (scale != Size2(Dyn) && scale.w != scale.h) t.append("x").append(scale.w);
        return t.append(">");
    }
    template <class V>
    constexpr void attributes(V& v) const {
        v("scale", scale, Dyn);
        v("size", size, 0);
        v("mode", to_string(mode), "nearest");
        v("align_corners", align_corners, false);
    }
    constexpr Resize2dDims dims(const Shape& s, index_t batch) const {
        const Shape out = resized(s);
        return {.batch = batch, .height = s.d[1], .width = s.d[2], .channels = s.d[0], .out_height = out.d[1], .out_width = out.d[2]};
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank == 0) return Shape{};
        if (!s.is_image()) return detail::refuse_no_image(s);
        const bool scaled = scale != Size2(Dyn), sized = size != Size2(0);
        if (!scaled && !sized) return refuse_unset("neither its scale nor its size is set; write Upsample2d<2> or Upsample2d<>{.size = {32, 32}}");
        if (scaled && sized) return refuse("its scale and its size are set; write one of them, Upsample2d<2> or Upsample2d<>{.size = {32, 32}}");
        if (scaled && (scale.h < 1 || scale.w < 1))
            return refuse("its scale (", scale.h, " x ", scale.w, ") must be at least 1; for a smaller image write the size, e.g. Upsample2d<>{.size = 16}");
        if (sized && (size.h < 1 || size.w < 1)) return refuse("its size (", size.h, " x ", size.w, ") must be at least 1");
        if (align_corners && mode == Interpolation::nearest) return refuse("align_corners is an option of Interpolation::bilinear; nearest has none");
        const Shape out = resized(s);
        if (!detail::within_max_window({s.d[1], s.d[2]}) || !detail::within_max_window({out.d[1], out.d[2]}))
            return refuse("heights and widths must be at most ", detail::max_window, "; it would give ", to_text(out));
        return out;
    }

    template <class P>
    void infer(Context<P>& c, ConstView<P> x, View<P> y) const {
        upsample2d_forward(c.policy, dims(x.shape, x.batch), mode, align_corners, x.data, y.data);
    }
    template <class P>
    void backward(Context<P>& c, ConstView<P> x, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        upsample2d_backward(c.policy, dims(x.shape, x.batch), mode, align_corners, dy.data, dx.data);
    }

private:
    constexpr Shape resized(const Shape& s) const {
        const auto along = [](index_t in, index_t by, index_t to) { return to != 0 ? to : in == Dyn ? Dyn : saturating_mul(in, by); };
        return {s.d[0], along(s.d[1], scale.h, size.h), along(s.d[2], scale.w, size.w)};
    }
};

}  // namespace dla
