// SPDX-License-Identifier: MIT
// What joins the outputs of branches, on a CUDA device.
#pragma once

#include <dla/kernels/cuda/block.cuh>

namespace dla {

extern "C" {

/// y[r * y_stride + i] = x[r * x_stride + i] for each of `columns` values of `rows` rows.
__global__ void __launch_bounds__(256) dla_cuda_copy_columns(index_t rows, index_t columns, const float* x, index_t x_stride, float* y, index_t y_stride) {
    DLA_ROLLED
    for (index_t i = device::first(); i < rows * columns; i += device::stride()) {
        const device::Division at = device::divide(i, columns);
        y[at.quotient * y_stride + at.rest] = x[at.quotient * x_stride + at.rest];
    }
}

/// y [batch, pixels, channels] = x * factor [batch, channels]. Where y is factor, pixels is 1.
__global__ void __launch_bounds__(256) dla_cuda_scale_channels(index_t batch, index_t pixels, index_t channels, const float* x, const float* factor, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < batch * pixels * channels; i += device::stride()) {
        const device::Division at = device::divide(i, channels);
        y[i] = x[i] * factor[device::divide(at.quotient, pixels).quotient * channels + at.rest];
    }
}

/// dfactor [batch, channels] = sum of x * dy over the pixels. Grid: channels by 32, samples.
__global__ void __launch_bounds__(256)
    dla_cuda_scale_channels_backward(index_t batch, index_t pixels, index_t channels, const float* x, const float* dy, float* dfactor) {
    __shared__ double room[device::block_size];
    const index_t channel = static_cast<index_t>(blockIdx.x) * 32 + threadIdx.x % 32;
    const int line = static_cast<int>(threadIdx.x / 32);
    DLA_ROLLED
    for (index_t n = blockIdx.y; n < batch; n += gridDim.y) {
        double sum = 0;
        for (index_t i = line; channel < channels && i < pixels; i += 8) {
            const index_t at = (n * pixels + i) * channels + channel;
            sum += static_cast<double>(x[at]) * static_cast<double>(dy[at]);
        }
        room[threadIdx.x] = sum;
        __syncthreads();
        if (line == 0 && channel < channels) {
            for (int i = 1; i < 8; ++i) sum += room[i * 32 + static_cast<int>(threadIdx.x)];
            dfactor[n * channels + channel] = static_cast<float>(sum);
        }
        __syncthreads();
    }
}

}  // extern "C"

}  // namespace dla
