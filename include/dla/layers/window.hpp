// SPDX-License-Identifier: MIT
// Windows that slide over images: from sizes and options of a convolution or a pooling to the numbers that its kernel takes.
#pragma once

#include <dla/core/shape.hpp>
#include <dla/kernels/types.hpp>

namespace dla {

/// Height and width of a window, step or border; one number stands for both.
struct Size2 {
    index_t h = 0, w = 0;
    constexpr Size2() = default;
    constexpr Size2(index_t both) : h(both), w(both) {}
    constexpr Size2(index_t height, index_t width) : h(height), w(width) {}
    constexpr bool operator==(const Size2&) const = default;
};

/// Padding that keeps height and width at stride 1: d (k - 1) zeros in all, the odd one on the right and at the bottom (as PyTorch).
inline constexpr index_t Same = -2;

namespace detail {

/// Why a layer of images does not take this.
[[gnu::cold]] constexpr ShapeResult refuse_no_image(const Shape& s) {
    if (s.rank == 3) return refuse("expected an image with channels last in memory; put ToChannelsLast in front");
    return refuse("expected an image [channels, height, width]");
}

/// Sizes of a window beyond this are refused, so that the geometry below does not overflow.
inline constexpr index_t max_window = index_t{1} << 30;
constexpr bool within_max_window(Size2 s) { return s.h <= max_window && s.w <= max_window; }

/// Positions of a window of `kernel` elements `dilation` apart along `size` values with `before` + `after` zeros; below 1: the window does not fit.
constexpr index_t window_positions(index_t size, index_t before, index_t after, index_t kernel, index_t stride, index_t dilation) {
    const index_t room = size + before + after - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
}

/// The convolution of a batch of images [in, height, width]; `padding` may be Same.
constexpr Conv2dDims conv2d_dims(index_t batch, const Shape& in, index_t out_channels, Size2 kernel, Size2 stride, Size2 padding, Size2 dilation,
                                 index_t groups) {
    Conv2dDims d{.batch = batch, .height = in.d[1], .width = in.d[2], .in_channels = in.d[0], .out_channels = out_channels};
    d.kernel_h = kernel.h, d.kernel_w = kernel.w, d.stride_h = stride.h, d.stride_w = stride.w, d.dilation_h = dilation.h, d.dilation_w = dilation.w;
    d.groups = groups;
    const index_t total_h = padding.h == Same ? dilation.h * (kernel.h - 1) : 2 * padding.h;
    const index_t total_w = padding.w == Same ? dilation.w * (kernel.w - 1) : 2 * padding.w;
    d.pad_top = total_h / 2;
    d.pad_left = total_w / 2;
    d.out_height = window_positions(in.d[1], d.pad_top, total_h - d.pad_top, kernel.h, stride.h, dilation.h);
    d.out_width = window_positions(in.d[2], d.pad_left, total_w - d.pad_left, kernel.w, stride.w, dilation.w);
    return d;
}

/// Windows along one axis: o = floor((size + 2 pad - dilation (kernel - 1) - 1 + (ceil ? stride - 1 : 0)) / stride) + 1, and in ceil mode the last window
/// must start inside the input or the left padding. Below 1: no window fits.
constexpr index_t pool_positions(index_t size, index_t pad, index_t kernel, index_t stride, index_t dilation, bool ceil_mode) {
    const index_t room = size + 2 * pad - dilation * (kernel - 1) - 1 + (ceil_mode ? stride - 1 : 0);
    if (room < 0) return 0;
    const index_t o = room / stride + 1;
    return ceil_mode && (o - 1) * stride >= size + pad ? o - 1 : o;
}

/// The pooling of a batch of images [channels, height, width].
constexpr Pool2dDims pool2d_dims(index_t batch, const Shape& in, Size2 kernel, Size2 stride, Size2 padding, Size2 dilation, bool ceil_mode) {
    Pool2dDims d{.batch = batch, .height = in.d[1], .width = in.d[2], .channels = in.d[0]};
    d.kernel_h = kernel.h, d.kernel_w = kernel.w, d.stride_h = stride.h, d.stride_w = stride.w, d.dilation_h = dilation.h, d.dilation_w = dilation.w;
    d.pad_h = padding.h, d.pad_w = padding.w;
    d.out_height = pool_positions(in.d[1], padding.h, kernel.h, stride.h, dilation.h, ceil_mode);
    d.out_width = pool_positions(in.d[2], padding.w, kernel.w, stride.w, dilation.w, ceil_mode);
    return d;
}

}  // namespace detail
}  // namespace dla
