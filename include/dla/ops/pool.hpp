// SPDX-License-Identifier: MIT
// Geometry of 2-d pooling: PyTorch's output size, ceil mode included.
#pragma once

#include <dla/ops/conv2d.hpp>

namespace dla::ops {

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

}  // namespace dla::ops
