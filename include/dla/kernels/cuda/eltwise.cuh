// SPDX-License-Identifier: MIT
// Elementwise kernels on a CUDA device; an output may be an input everywhere but in transpose.
#pragma once

#include <dla/kernels/cuda/block.cuh>

namespace dla {

namespace device {

/// In float they lose digits (arguments of erfc are rounded) or overflow (x^2 where the slope is 0 or 1).
__device__ inline bool wants_double(Activation kind) { return kind == Activation::gelu || kind == Activation::gelu_tanh; }

}  // namespace device

extern "C" {

/// y = f(x). sigmoid gives exactly 0 below the smallest normal float.
__global__ void __launch_bounds__(256) dla_cuda_activation_forward(Activation kind, ActivationOptions options, index_t n, const float* x, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const float value = device::wants_double(kind) ? static_cast<float>(detail::activation(kind, options, static_cast<double>(x[i])))
                                                       : detail::activation(kind, options, x[i]);
        y[i] = kind == Activation::sigmoid && value < 0x1p-126f ? 0.0f : value;
    }
}

/// dx = dy * f', found from y or x, whichever `read` is (detail::slope_reads_y).
__global__ void __launch_bounds__(256)
    dla_cuda_activation_backward(Activation kind, ActivationOptions options, index_t n, const float* read, const float* dy, float* dx) {
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride())
        dx[i] = device::wants_double(kind)
                    ? static_cast<float>(detail::activation_gradient(kind, options, static_cast<double>(read[i]), static_cast<double>(dy[i])))
                    : detail::activation_gradient(kind, options, read[i], dy[i]);
}

__global__ void __launch_bounds__(256) dla_cuda_add(index_t n, const float* a, const float* b, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) y[i] = a[i] + b[i];
}

/// y = max(a + b, 0), NaN stays. Bit i % 32 of mask word i / 32 (mask or null): y is not 0.
__global__ void __launch_bounds__(256) dla_cuda_add_relu(index_t n, const float* a, const float* b, float* y, std::uint32_t* mask) {
    // All lanes of a warp stay together until the last of them is done: the mask is a word for each 32 values.
    DLA_ROLLED
    for (index_t i = device::first(); i - static_cast<index_t>(threadIdx.x % 32) < n; i += device::stride()) {
        const float sum = i < n ? a[i] + b[i] : 0.0f;
        if (i < n) y[i] = sum < 0.0f ? 0.0f : sum;
        const std::uint32_t word = __ballot_sync(device::all_lanes, !(sum <= 0.0f));
        if (mask != nullptr && threadIdx.x % 32 == 0) mask[i / 32] = word;
    }
}

__global__ void __launch_bounds__(256) dla_cuda_relu_mask_backward(index_t n, const std::uint32_t* mask, const float* dy, float* dx) {
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) dx[i] = (mask[i / 32] >> i % 32 & 1) != 0 ? dy[i] : 0.0f;
}

__global__ void __launch_bounds__(256) dla_cuda_fill(index_t n, float value, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) y[i] = value;
}

/// y [count, columns, rows] = x [count, rows, columns]; a block moves a tile of 32 x 32 through shared memory, 8 rows at a time. Grid: tiles of columns, of
/// rows, count.
__global__ void __launch_bounds__(256) dla_cuda_transpose(index_t count, index_t rows, index_t columns, const float* x, float* y) {
    __shared__ float tile[32 * 33];  // a column more: neighbours of a column lie in different banks
    const int column = static_cast<int>(threadIdx.x % 32), line = static_cast<int>(threadIdx.x / 32);
    DLA_ROLLED
    for (index_t n = blockIdx.z; n < count; n += gridDim.z) {
        const float* from = x + n * rows * columns;
        float* to = y + n * rows * columns;
        for (index_t top = static_cast<index_t>(blockIdx.y) * 32; top < rows; top += static_cast<index_t>(gridDim.y) * 32) {
            const index_t left = static_cast<index_t>(blockIdx.x) * 32;
            for (int i = line; i < 32; i += 8)
                if (top + i < rows && left + column < columns) tile[i * 33 + column] = from[(top + i) * columns + left + column];
            __syncthreads();
            for (int i = line; i < 32; i += 8)
                if (left + i < columns && top + column < rows) to[(left + i) * rows + top + column] = tile[column * 33 + i];
            __syncthreads();
        }
    }
}

/// As the reference: a value is kept or not by word k % 4 of block k / 4, k = first + i. A thread draws a block at a time.
__global__ void __launch_bounds__(256)
    dla_cuda_dropout(index_t n, double probability, const RandomPosition* at, std::uint32_t stream, const float* x, float* y, index_t first) {
    const float kept = static_cast<float>(1.0 - probability);
    const RandomPosition position = *at;
    DLA_ROLLED
    for (index_t block = first / 4 + device::first(); block * 4 < first + n; block += device::stride()) {
        const auto words = random_block(position, stream, static_cast<std::uint32_t>(block));
        for (int word = 0; word < 4; ++word) {
            const index_t i = block * 4 + word - first;
            if (i >= 0 && i < n) y[i] = to_unit_float(words[static_cast<unsigned>(word)]) >= probability ? x[i] / kept : 0.0f;
        }
    }
}

/// y = x > 0 ? x : w * x, w [channels].
__global__ void __launch_bounds__(256) dla_cuda_prelu_forward(NormDims d, const float* x, const float* w, float* y) {
    const index_t n = d.outer * d.channels * d.inner;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) y[i] = x[i] > 0.0f ? x[i] : w[device::channel_of(i, d.channels, d.inner)] * x[i];
}

/// Sums of x * dy where x is not above 0.
__global__ void __launch_bounds__(256) dla_cuda_prelu_sums(cuda::ChannelCut cut, const float* x, const float* dy, double* parts) {
    __shared__ double room[device::block_size];
    device::channel_sums<1>(cut, room, parts, [&](index_t i, double* sums) {
        if (!(x[i] > 0.0f)) sums[0] += static_cast<double>(x[i]) * static_cast<double>(dy[i]);
    });
}

/// dx = x > 0 ? dy : w * dy.
__global__ void __launch_bounds__(256) dla_cuda_prelu_backward(NormDims d, const float* x, const float* w, const float* dy, float* dx) {
    const index_t n = d.outer * d.channels * d.inner;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) dx[i] = x[i] > 0.0f ? dy[i] : w[device::channel_of(i, d.channels, d.inner)] * dy[i];
}

}  // extern "C"

}  // namespace dla
