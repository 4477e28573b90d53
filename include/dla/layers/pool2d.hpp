// SPDX-License-Identifier: MIT
// Pooling of images: maximum, average, average to a given size, and the average of the whole image.
#pragma once

#include <dla/layers/concept.hpp>
#include <dla/layers/window.hpp>

namespace dla {

namespace detail {

/// A stride that is not set is the kernel.
constexpr Size2 pool_stride(Size2 kernel, Size2 stride) { return stride == Size2(Dyn) ? kernel : stride; }

/// The output of a pooling layer, or why it refuses.
constexpr ShapeResult pool_out_shape(const Shape& s, Size2 kernel, Size2 stride, Size2 padding, Size2 dilation, bool ceil_mode) {
    if (s.rank == 0) return Shape{};
    if (!s.is_image()) return detail::refuse_no_image(s);
    if (kernel == Size2(Dyn)) return refuse_unset("its kernel size is not set; write it as the first argument, or {.kernel = 2}");
    if (kernel.h < 1 || kernel.w < 1 || stride.h < 1 || stride.w < 1 || dilation.h < 1 || dilation.w < 1)
        return refuse("kernel, stride and dilation must be at least 1");
    if (!detail::within_max_window(kernel) || !detail::within_max_window(stride) || !detail::within_max_window(dilation))
        return refuse("kernel, stride and dilation must be at most ", detail::max_window);
    const index_t half_h = (dilation.h * (kernel.h - 1) + 1) / 2, half_w = (dilation.w * (kernel.w - 1) + 1) / 2;
    if (padding.h < 0 || padding.w < 0 || padding.h > half_h || padding.w > half_w) return refuse("padding must be between 0 and half the window");
    const Pool2dDims d = detail::pool2d_dims(1, s, kernel, stride, padding, dilation, ceil_mode);
    if ((s.d[1] != Dyn && d.out_height < 1) || (s.d[2] != Dyn && d.out_width < 1))
        return refuse("the window (", kernel.h, " x ", kernel.w, ") is larger than the padded image; pool less often");
    return Shape{s.d[0], s.d[1] == Dyn ? Dyn : d.out_height, s.d[2] == Dyn ? Dyn : d.out_width};
}

template <class V>
constexpr void pool_attributes(V& v, Size2 kernel, Size2 stride, Size2 padding, bool ceil_mode) {
    v("kernel", kernel);
    v("stride", stride, kernel);
    v("padding", padding, 0);
    v("ceil_mode", ceil_mode, false);
}

}  // namespace detail

/// Largest value of each window. x [N, C, H, W]; stride defaults to the kernel. Padding never wins; the first of equal values does; NaN propagates.
template <index_t Kernel = Dyn, index_t Stride = Kernel, index_t Padding = 0>
struct MaxPool2d {
    Size2 kernel = Kernel;
    Size2 stride = Stride;
    Size2 padding = Padding;
    Size2 dilation = 1;
    bool ceil_mode = false;

    static constexpr Needs needs{.x = false, .y = false};
    template <class P>
    struct Tape {
        Planned<P, std::int32_t> argmax;
    };

    [[gnu::cold]] constexpr Text name() const { return text("MaxPool2d<", dim_text(kernel.h), ">"); }
    template <class V>
    constexpr void attributes(V& v) const {
        detail::pool_attributes(v, kernel, detail::pool_stride(kernel, stride), padding, ceil_mode);
        v("dilation", dilation, 1);
    }
    constexpr Pool2dDims dims(const Shape& s, index_t batch) const {
        return detail::pool2d_dims(batch, s, kernel, detail::pool_stride(kernel, stride), padding, dilation, ceil_mode);
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        return detail::pool_out_shape(s, kernel, detail::pool_stride(kernel, stride), padding, dilation, ceil_mode);
    }

    template <class Claim, class P>
    void keep(const Claim& claim, Tape<P>& tape, const Shape& s, index_t batch) const {
        claim(tape.argmax, batch * out_shape(s).shape.size());
    }
    template <class P>
    void infer(Context<P>& c, ConstView<P> x, View<P> y) const {
        max_pool2d_forward(c.policy, dims(x.shape, x.batch), x.data, y.data, kernel::PtrOf<P, std::int32_t>{});
    }
    template <class P>
    void forward(Context<P>& c, ConstView<P> x, View<P> y, Tape<P>& tape) const {
        max_pool2d_forward(c.policy, dims(x.shape, x.batch), x.data, y.data, tape.argmax.data);
    }
    template <class P>
    void backward(Context<P>& c, ConstView<P> x, ConstView<P>, ConstView<P> dy, View<P> dx, Tape<P>& tape) const {
        max_pool2d_backward(c.policy, dims(x.shape, x.batch), dy.data, tape.argmax.data, dx.data);
    }
};

/// Mean of each window. Padding counts as zeros unless count_include_pad is false; divisor_override replaces the divisor when it is not 0.
template <index_t Kernel = Dyn, index_t Stride = Kernel, index_t Padding = 0>
struct AvgPool2d {
    Size2 kernel = Kernel;
    Size2 stride = Stride;
    Size2 padding = Padding;
    bool ceil_mode = false;
    bool count_include_pad = true;
    index_t divisor_override = 0;

    static constexpr Needs needs{.x = false, .y = false};

    [[gnu::cold]] constexpr Text name() const { return text("AvgPool2d<", dim_text(kernel.h), ">"); }
    template <class V>
    constexpr void attributes(V& v) const {
        detail::pool_attributes(v, kernel, detail::pool_stride(kernel, stride), padding, ceil_mode);
        v("count_include_pad", count_include_pad, true);
        v("divisor_override", divisor_override, 0);
    }
    constexpr Pool2dDims dims(const Shape& s, index_t batch) const {
        Pool2dDims d = detail::pool2d_dims(batch, s, kernel, detail::pool_stride(kernel, stride), padding, 1, ceil_mode);
        d.count_include_pad = count_include_pad;
        d.divisor_override = divisor_override;
        return d;
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        return detail::pool_out_shape(s, kernel, detail::pool_stride(kernel, stride), padding, 1, ceil_mode);
    }

    template <class P>
    void infer(Context<P>& c, ConstView<P> x, View<P> y) const {
        avg_pool2d_forward(c.policy, dims(x.shape, x.batch), x.data, y.data);
    }
    template <class P>
    void backward(Context<P>& c, ConstView<P> x, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        avg_pool2d_backward(c.policy, dims(x.shape, x.batch), dy.data, dx.data);
    }
};

/// [C, H, W] -> [C, Height, Width], of whatever size the image is (PyTorch's nn.AdaptiveAvgPool2d): y[o] is the mean of x[floor(o * in / out)] to
/// x[ceil((o + 1) * in / out) - 1] along either axis. Such windows may overlap, and repeat values where the image is smaller. `Same` leaves an axis as it is
/// (PyTorch's None); `AdaptiveAvgPool2d<1>` gives [C, 1, 1].
template <index_t Height = Dyn, index_t Width = Height>
struct AdaptiveAvgPool2d {
    Size2 size{Height, Width};

    static constexpr Needs needs{.x = false, .y = false};

    [[gnu::cold]] constexpr Text name() const {
        const auto one = [](index_t n) { return n == Same ? Text("Same") : dim_text(n); };
        Text t = text("AdaptiveAvgPool2d<", one(size.h));
        if (size.w != size.h) t.append(", ").append(one(size.w));
        return t.append(">");
    }
    template <class V>
    constexpr void attributes(V& v) const {
        v("size", size, in_shapes);
    }
    constexpr Resize2dDims dims(const Shape& s, index_t batch) const {
        const Shape out = resized(s);
        return {.batch = batch, .height = s.d[1], .width = s.d[2], .channels = s.d[0], .out_height = out.d[1], .out_width = out.d[2]};
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank == 0) return Shape{};
        if (!s.is_image()) return detail::refuse_no_image(s);
        if (size.h == Dyn || size.w == Dyn) return refuse_unset("its size is not set; write AdaptiveAvgPool2d<7>, or Same for an axis that stays as it is");
        if ((size.h < 1 && size.h != Same) || (size.w < 1 && size.w != Same)) return refuse("its size must be at least 1, or Same");
        if (!detail::within_max_window({s.d[1], s.d[2]}) || !detail::within_max_window(size))
            return refuse("heights and widths must be at most ", detail::max_window);
        return resized(s);
    }

    template <class P>
    void infer(Context<P>& c, ConstView<P> x, View<P> y) const {
        adaptive_avg_pool2d_forward(c.policy, dims(x.shape, x.batch), x.data, y.data);
    }
    template <class P>
    void backward(Context<P>& c, ConstView<P> x, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        adaptive_avg_pool2d_backward(c.policy, dims(x.shape, x.batch), dy.data, dx.data);
    }

private:
    constexpr Shape resized(const Shape& s) const { return {s.d[0], size.h == Same ? s.d[1] : size.h, size.w == Same ? s.d[2] : size.w}; }
};

/// Mean over height and width: [C, H, W] -> [C] (AdaptiveAvgPool2d(1) and Flatten in PyTorch).
struct GlobalAvgPool2d {
    static constexpr Needs needs{.x = false, .y = false};

    [[gnu::cold]] constexpr Text name() const { return "GlobalAvgPool2d"; }
    static constexpr Pool2dDims dims(const Shape& s, index_t batch) { return detail::pool2d_dims(batch, s, {s.d[1], s.d[2]}, {s.d[1], s.d[2]}, 0, 1, false); }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank == 0) return Shape{};
        if (!s.is_image()) return detail::refuse_no_image(s);
        return Shape{s.d[0]};
    }

    template <class P>
    void infer(Context<P>& c, ConstView<P> x, View<P> y) const {
        avg_pool2d_forward(c.policy, dims(x.shape, x.batch), x.data, y.data);
    }
    template <class P>
    void backward(Context<P>& c, ConstView<P> x, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        avg_pool2d_backward(c.policy, dims(x.shape, x.batch), dy.data, dx.data);
    }
};

}  // namespace dla
