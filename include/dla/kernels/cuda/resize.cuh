// SPDX-License-Identifier: MIT
// Images of another size on a CUDA device: interpolated, averaged over windows that adapt to it, or padded; each value of the result gathers what it is made
// of.
#pragma once

#include <dla/kernels/cuda/block.cuh>

namespace dla {

extern "C" {

/// y = x interpolated; a value that does not count is not read.
__global__ void __launch_bounds__(256) dla_cuda_upsample2d_forward(Resize2dDims d, Interpolation mode, bool align_corners, const float* x, float* y) {
    const detail::ResizedImage image(d, mode, align_corners);
    const index_t n = d.batch * d.out_height * d.out_width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel out(i, d.out_height, d.out_width, d.channels);
        const detail::AxisSource row = image.rows.source(out.h), column = image.columns.source(out.w);
        double sum = 0;
        for (index_t ih = row.low; ih <= row.high; ++ih)
            for (index_t iw = column.low; iw <= column.high; ++iw)
                sum += row.weight(ih) * column.weight(iw) * static_cast<double>(x[((out.n * d.height + ih) * d.width + iw) * d.channels + out.c]);
        y[i] = static_cast<float>(sum);
    }
}

/// dx overwritten: each input gathers from the outputs that it is a part of.
__global__ void __launch_bounds__(256) dla_cuda_upsample2d_backward(Resize2dDims d, Interpolation mode, bool align_corners, const float* dy, float* dx) {
    const detail::ResizedImage image(d, mode, align_corners);
    const index_t n = d.batch * d.height * d.width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel in(i, d.height, d.width, d.channels);
        const auto rows = image.rows.outputs(in.h), columns = image.columns.outputs(in.w);
        double sum = 0;
        for (index_t oh = rows.first; oh < rows.last; ++oh)
            for (index_t ow = columns.first; ow < columns.last; ++ow)
                sum += image.rows.source(oh).weight(in.h) * image.columns.source(ow).weight(in.w) *
                       static_cast<double>(dy[((in.n * d.out_height + oh) * d.out_width + ow) * d.channels + in.c]);
        dx[i] = static_cast<float>(sum);
    }
}

/// y = mean of each window.
__global__ void __launch_bounds__(256) dla_cuda_adaptive_avg_pool2d_forward(Resize2dDims d, const float* x, float* y) {
    const index_t n = d.batch * d.out_height * d.out_width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel out(i, d.out_height, d.out_width, d.channels);
        const detail::AdaptiveWindow rows(out.h, d.height, d.out_height), columns(out.w, d.width, d.out_width);
        double sum = 0;
        for (index_t ih = rows.first; ih < rows.last; ++ih)
            for (index_t iw = columns.first; iw < columns.last; ++iw)
                sum += static_cast<double>(x[((out.n * d.height + ih) * d.width + iw) * d.channels + out.c]);
        y[i] = static_cast<float>(sum / static_cast<double>(rows.size() * columns.size()));
    }
}

/// dx overwritten: each value of dy is spread evenly over its window.
__global__ void __launch_bounds__(256) dla_cuda_adaptive_avg_pool2d_backward(Resize2dDims d, const float* dy, float* dx) {
    const index_t n = d.batch * d.height * d.width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel in(i, d.height, d.width, d.channels);
        const detail::AdaptiveWindow rows(in.h, d.out_height, d.height), columns(in.w, d.out_width, d.width);
        double sum = 0;
        for (index_t oh = rows.first; oh < rows.last; ++oh)
            for (index_t ow = columns.first; ow < columns.last; ++ow) {
                const detail::AdaptiveWindow of_rows(oh, d.height, d.out_height), of_columns(ow, d.width, d.out_width);
                sum += static_cast<double>(dy[((in.n * d.out_height + oh) * d.out_width + ow) * d.channels + in.c]) /
                       static_cast<double>(of_rows.size() * of_columns.size());
            }
        dx[i] = static_cast<float>(sum);
    }
}

/// y = x moved down by `top` and to the right by `left`, 0 around it.
__global__ void __launch_bounds__(256) dla_cuda_zero_pad2d(Resize2dDims d, index_t top, index_t left, const float* x, float* y) {
    const index_t n = d.batch * d.out_height * d.out_width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel out(i, d.out_height, d.out_width, d.channels);
        const index_t ih = out.h - top, iw = out.w - left;
        const bool inside = ih >= 0 && ih < d.height && iw >= 0 && iw < d.width;
        y[i] = inside ? x[((out.n * d.height + ih) * d.width + iw) * d.channels + out.c] : 0.0f;
    }
}

}  // extern "C"

}  // namespace dla
