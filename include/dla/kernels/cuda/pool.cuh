// SPDX-License-Identifier: MIT
// 2-d pooling on a CUDA device: each value of the result gathers what it is made of, in the reference's order.
#pragma once

#include <dla/kernels/cuda/block.cuh>

namespace dla {

extern "C" {

/// y = largest value of each window, argmax (or null) = its ih * width + iw, or -1 where a window misses the image.
__global__ void __launch_bounds__(256) dla_cuda_max_pool2d_forward(Pool2dDims d, const float* x, float* y, std::int32_t* argmax) {
    const index_t n = d.batch * d.out_height * d.out_width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel out(i, d.out_height, d.out_width, d.channels);
        float best = -HUGE_VALF;
        index_t where = -1;
        for (index_t kh = 0; kh < d.kernel_h; ++kh) {
            const index_t ih = out.h * d.stride_h - d.pad_h + kh * d.dilation_h;
            if (ih < 0 || ih >= d.height) continue;
            for (index_t kw = 0; kw < d.kernel_w; ++kw) {
                const index_t iw = out.w * d.stride_w - d.pad_w + kw * d.dilation_w;
                if (iw < 0 || iw >= d.width) continue;
                const float value = x[((out.n * d.height + ih) * d.width + iw) * d.channels + out.c];
                if (where < 0 || value > best || value != value) {
                    best = value;
                    where = ih * d.width + iw;
                }
            }
        }
        y[i] = best;
        if (argmax != nullptr) argmax[i] = static_cast<std::int32_t>(where);
    }
}

/// dx overwritten; windows that overlap add up in the order of the windows.
__global__ void __launch_bounds__(256) dla_cuda_max_pool2d_backward(Pool2dDims d, const float* dy, const std::int32_t* argmax, float* dx) {
    const index_t n = d.batch * d.height * d.width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel in(i, d.height, d.width, d.channels);
        float sum = 0;
        detail::windows_of_pixel(d, in.h, in.w, [&](index_t oh, index_t ow) {
            const index_t out = ((in.n * d.out_height + oh) * d.out_width + ow) * d.channels + in.c;
            if (argmax[out] == in.h * d.width + in.w) sum += dy[out];
        });
        dx[i] = sum;
    }
}

/// y = mean of each window; a window outside the image gives 0.
__global__ void __launch_bounds__(256) dla_cuda_avg_pool2d_forward(Pool2dDims d, const float* x, float* y) {
    const index_t n = d.batch * d.out_height * d.out_width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel out(i, d.out_height, d.out_width, d.channels);
        const detail::AverageWindow window(d, out.h, out.w);
        double sum = 0;
        for (index_t ih = window.top; ih < window.bottom; ++ih)
            for (index_t iw = window.left; iw < window.right; ++iw)
                sum += static_cast<double>(x[((out.n * d.height + ih) * d.width + iw) * d.channels + out.c]);
        y[i] = window.empty() ? 0.0f : static_cast<float>(sum / static_cast<double>(window.divisor));
    }
}

/// dx overwritten: each value of dy is spread evenly over its window.
__global__ void __launch_bounds__(256) dla_cuda_avg_pool2d_backward(Pool2dDims d, const float* dy, float* dx) {
    const index_t n = d.batch * d.height * d.width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel in(i, d.height, d.width, d.channels);
        float sum = 0;
        detail::windows_of_pixel(d, in.h, in.w, [&](index_t oh, index_t ow) {
            sum += dy[((in.n * d.out_height + oh) * d.out_width + ow) * d.channels + in.c] / static_cast<float>(detail::AverageWindow(d, oh, ow).divisor);
        });
        dx[i] = sum;
    }
}

}  // extern "C"

}  // namespace dla
