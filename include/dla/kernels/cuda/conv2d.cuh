// SPDX-License-Identifier: MIT
// 2-d convolutions on a CUDA device where cuDNN has no deterministic one in float: each value gathers what it is made of. Slow, and always there.
#pragma once

#include <dla/kernels/cuda/block.cuh>

namespace dla {

extern "C" {

/// y = conv(x, w) + bias (or null), as the reference defines it.
__global__ void __launch_bounds__(256) dla_cuda_conv2d_forward(Conv2dDims d, const float* x, const float* w, const float* bias, float* y) {
    const index_t in_group = d.in_channels / d.groups, out_group = d.out_channels / d.groups, n = d.batch * d.out_height * d.out_width * d.out_channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel out(i, d.out_height, d.out_width, d.out_channels);
        double sum = bias != nullptr ? static_cast<double>(bias[out.c]) : 0.0;
        for (index_t kh = 0; kh < d.kernel_h; ++kh) {
            const index_t ih = out.h * d.stride_h - d.pad_top + kh * d.dilation_h;
            if (ih < 0 || ih >= d.height) continue;
            for (index_t kw = 0; kw < d.kernel_w; ++kw) {
                const index_t iw = out.w * d.stride_w - d.pad_left + kw * d.dilation_w;
                if (iw < 0 || iw >= d.width) continue;
                const float* pixel = x + ((out.n * d.height + ih) * d.width + iw) * d.in_channels + out.c / out_group * in_group;
                const float* tap = w + ((out.c * d.kernel_h + kh) * d.kernel_w + kw) * in_group;
                for (index_t c = 0; c < in_group; ++c) sum += static_cast<double>(pixel[c]) * static_cast<double>(tap[c]);
            }
        }
        y[i] = static_cast<float>(sum);
    }
}

/// dx overwritten: each input value gathers the output values it took part in.
__global__ void __launch_bounds__(256) dla_cuda_conv2d_backward_data(Conv2dDims d, const float* dy, const float* w, float* dx) {
    const index_t in_group = d.in_channels / d.groups, out_group = d.out_channels / d.groups, n = d.batch * d.height * d.width * d.in_channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel in(i, d.height, d.width, d.in_channels);
        const index_t first = in.c / in_group * out_group;
        double sum = 0;
        for (index_t kh = 0; kh < d.kernel_h; ++kh) {
            const index_t top = in.h + d.pad_top - kh * d.dilation_h;  // oh * stride_h
            if (top < 0) continue;
            const device::Division oh = device::divide(top, d.stride_h);
            if (oh.rest != 0 || oh.quotient >= d.out_height) continue;
            for (index_t kw = 0; kw < d.kernel_w; ++kw) {
                const index_t left = in.w + d.pad_left - kw * d.dilation_w;  // ow * stride_w
                if (left < 0) continue;
                const device::Division ow = device::divide(left, d.stride_w);
                if (ow.rest != 0 || ow.quotient >= d.out_width) continue;
                const float* pixel = dy + ((in.n * d.out_height + oh.quotient) * d.out_width + ow.quotient) * d.out_channels;
                for (index_t o = first; o < first + out_group; ++o)
                    sum += static_cast<double>(pixel[o]) * static_cast<double>(w[((o * d.kernel_h + kh) * d.kernel_w + kw) * in_group + in.c % in_group]);
            }
        }
        dx[i] = static_cast<float>(sum);
    }
}

/// dw +=: a block for each weight.
__global__ void __launch_bounds__(256) dla_cuda_conv2d_backward_weights(Conv2dDims d, const float* x, const float* dy, float* dw) {
    __shared__ double room[device::block_size];
    const index_t in_group = d.in_channels / d.groups, out_group = d.out_channels / d.groups, positions = d.batch * d.out_height * d.out_width;
    DLA_ROLLED
    for (index_t i = blockIdx.x; i < d.out_channels * d.kernel_h * d.kernel_w * in_group; i += gridDim.x) {
        const device::Pixel weight(i, d.kernel_h, d.kernel_w, in_group);  // n: the output channel
        double sum = 0;
        DLA_ROLLED
        for (index_t k = threadIdx.x; k < positions; k += blockDim.x) {
            const device::Pixel out(k, d.out_height, d.out_width, 1);
            const index_t ih = out.h * d.stride_h - d.pad_top + weight.h * d.dilation_h, iw = out.w * d.stride_w - d.pad_left + weight.w * d.dilation_w;
            if (ih < 0 || ih >= d.height || iw < 0 || iw >= d.width) continue;
            sum += static_cast<double>(x[((out.n * d.height + ih) * d.width + iw) * d.in_channels + weight.n / out_group * in_group + weight.c]) *
                   static_cast<double>(dy[k * d.out_channels + weight.n]);
        }
        sum = device::block_sum(sum, room);
        if (threadIdx.x == 0) dw[i] = static_cast<float>(static_cast<double>(dw[i]) + sum);
    }
}

}  // extern "C"

}  // namespace dla
