// SPDX-License-Identifier: MIT
// Batch and layer normalisation on a CUDA device. Moments are sums in double of distances from the first value, so one look at x is as good as two.
#pragma once

#include <dla/kernels/cuda/block.cuh>

namespace dla {

namespace device {

/// Mean and 1 / standard deviation (biased) of n values, of which the sums of their distances from `shift` and of the squares of those are known.
struct Moments {
    double mean, squares, invstd;
    __device__ Moments(double n, double shift, double sum, double square_sum, double eps)
        : mean(shift + sum / n), squares(square_sum - sum * (sum / n)), invstd(1) {
        if (squares < 0) squares = 0;  // rounding; NaN stays
        invstd = 1 / std::sqrt(squares / n + eps);
    }
};

/// The gain and the shift of a channel.
__device__ inline float gain(const float* w, index_t c) { return w != nullptr ? w[c] : 1.0f; }
__device__ inline float shift(const float* b, index_t c) { return b != nullptr ? b[c] : 0.0f; }

}  // namespace device

extern "C" {

/// Sums of x - shift and its square for each channel, shift being the channel's first value. *tracked (or null) is advanced.
__global__ void __launch_bounds__(256) dla_cuda_batch_norm_moments(cuda::ChannelCut cut, const float* x, std::int64_t* tracked, double* parts) {
    __shared__ double room[2 * device::block_size];
    if (tracked != nullptr && blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) ++*tracked;
    const index_t channel = device::own_channel(cut);
    const double shift = channel < cut.channels && cut.values() > 0 ? static_cast<double>(x[device::place_of(cut, channel, 0)]) : 0.0;
    device::channel_sums<2>(cut, room, parts, [&](index_t i, double* sums) {
        const double distance = static_cast<double>(x[i]) - shift;
        sums[0] += distance;
        sums[1] += distance * distance;
    });
}

/// mean and invstd [channels] of the batch; running statistics (or null) take the unbiased variance. An empty batch reports 0.
__global__ void __launch_bounds__(256)
    dla_cuda_batch_norm_finish(cuda::ChannelCut cut, double eps, double momentum, const float* x, const double* parts, float* running_mean, float* running_var,
                               const std::int64_t* tracked, float* mean, float* invstd) {
    const double n = static_cast<double>(cut.values());
    DLA_ROLLED
    for (index_t c = device::first(); c < cut.channels; c += device::stride()) {
        if (cut.values() == 0) {
            mean[c] = invstd[c] = 0;
            continue;
        }
        const device::Moments m(n, static_cast<double>(x[device::place_of(cut, c, 0)]), device::sum_of_chunks(cut.channels, cut.chunks, parts, 0, c),
                                device::sum_of_chunks(cut.channels, cut.chunks, parts, 1, c), eps);
        mean[c] = static_cast<float>(m.mean);
        invstd[c] = static_cast<float>(m.invstd);
        if (running_mean == nullptr) continue;
        const double share = momentum < 0 ? 1.0 / static_cast<double>(*tracked) : momentum;
        running_mean[c] = static_cast<float>((1 - share) * static_cast<double>(running_mean[c]) + share * m.mean);
        running_var[c] = static_cast<float>((1 - share) * static_cast<double>(running_var[c]) + share * (m.squares / (n - 1)));
    }
}

/// y = (x - mean) * invstd * w + b.
__global__ void __launch_bounds__(256)
    dla_cuda_batch_norm_apply(NormDims d, const float* x, const float* w, const float* b, const float* mean, const float* invstd, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < d.outer * d.channels * d.inner; i += device::stride()) {
        const index_t c = device::channel_of(i, d.channels, d.inner);
        y[i] = (x[i] - mean[c]) * (invstd[c] * device::gain(w, c)) + device::shift(b, c);
    }
}

/// The same with running statistics.
__global__ void __launch_bounds__(256) dla_cuda_batch_norm_infer(NormDims d, double eps, const float* x, const float* w, const float* b,
                                                                 const float* running_mean, const float* running_var, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < d.outer * d.channels * d.inner; i += device::stride()) {
        const index_t c = device::channel_of(i, d.channels, d.inner);
        const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(running_var[c]) + eps));
        y[i] = (x[i] - running_mean[c]) * (scale * device::gain(w, c)) + device::shift(b, c);
    }
}

/// Sums of dy and of dy * (x - mean) for each channel.
__global__ void __launch_bounds__(256) dla_cuda_batch_norm_slopes(cuda::ChannelCut cut, const float* x, const float* mean, const float* dy, double* parts) {
    __shared__ double room[2 * device::block_size];
    const index_t channel = device::own_channel(cut);
    const double mu = channel < cut.channels ? static_cast<double>(mean[channel]) : 0.0;
    device::channel_sums<2>(cut, room, parts, [&](index_t i, double* sums) {
        const double slope = static_cast<double>(dy[i]);
        sums[0] += slope;
        sums[1] += slope * (static_cast<double>(x[i]) - mu);
    });
}

/// Joins the chunks in the first of them, and adds to dw and db (or null); 1 / standard deviation is invstd, or that of var, the one that is not null (both:
/// the sums are those of values that are normalised already).
__global__ void __launch_bounds__(256)
    dla_cuda_batch_norm_gradients(cuda::ChannelCut cut, double eps, const float* invstd, const float* var, double* parts, float* dw, float* db) {
    DLA_ROLLED
    for (index_t c = device::first(); c < cut.channels; c += device::stride()) {
        const double sum = device::sum_of_chunks(cut.channels, cut.chunks, parts, 0, c), product = device::sum_of_chunks(cut.channels, cut.chunks, parts, 1, c);
        const double scale = invstd != nullptr ? static_cast<double>(invstd[c]) : var != nullptr ? 1 / std::sqrt(static_cast<double>(var[c]) + eps) : 1.0;
        parts[c] = sum;
        parts[static_cast<index_t>(cut.chunks) * cut.channels + c] = product;
        if (dw != nullptr) dw[c] = static_cast<float>(static_cast<double>(dw[c]) + product * scale);
        if (db != nullptr) db[c] = static_cast<float>(static_cast<double>(db[c]) + sum);
    }
}

/// dx = (dy - mean(dy) - (x - mean) * invstd^2 * mean(dy * (x - mean))) * invstd * w; `sums` as dla_cuda_batch_norm_gradients left them. dx may be dy.
__global__ void __launch_bounds__(256) dla_cuda_batch_norm_backward(cuda::ChannelCut cut, const float* x, const float* w, const float* mean,
                                                                    const float* invstd, const double* sums, const float* dy, float* dx) {
    const double n = static_cast<double>(cut.values());
    const double* products = sums + static_cast<index_t>(cut.chunks) * cut.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < cut.values() * cut.channels; i += device::stride()) {
        const index_t c = device::channel_of(i, cut.channels, cut.inner);
        const float scale = invstd[c], of_all = static_cast<float>(sums[c] / n), of_distance = static_cast<float>(products[c] / n) * scale * scale;
        dx[i] = (dy[i] - of_all - (x[i] - mean[c]) * of_distance) * (scale * device::gain(w, c));
    }
}

/// dx = dy * w / sqrt(var + eps). dx may be dy.
__global__ void __launch_bounds__(256)
    dla_cuda_batch_norm_infer_backward(NormDims d, double eps, const float* w, const float* var, const float* dy, float* dx) {
    DLA_ROLLED
    for (index_t i = device::first(); i < d.outer * d.channels * d.inner; i += device::stride()) {
        const index_t c = device::channel_of(i, d.channels, d.inner);
        dx[i] = dy[i] * (static_cast<float>(1 / std::sqrt(static_cast<double>(var[c]) + eps)) * device::gain(w, c));
    }
}

/// Each row of x [rows, columns] normalised by itself, by a block. w, b [columns] or null; mean, invstd [rows] or null.
__global__ void __launch_bounds__(256) dla_cuda_layer_norm_forward(index_t rows, index_t columns, double eps, const float* x, const float* w, const float* b,
                                                                   float* y, float* mean, float* invstd) {
    __shared__ double room[device::block_size];
    DLA_ROLLED
    for (index_t r = blockIdx.x; r < rows; r += gridDim.x) {
        const float* in = x + r * columns;
        const double shift = static_cast<double>(in[0]);
        double sum = 0, squares = 0;
        DLA_ROLLED
        for (index_t c = threadIdx.x; c < columns; c += blockDim.x) {
            const double distance = static_cast<double>(in[c]) - shift;
            sum += distance;
            squares += distance * distance;
        }
        sum = device::block_sum(sum, room);
        squares = device::block_sum(squares, room);  // all have read in[0] by now: y may be x
        const device::Moments m(static_cast<double>(columns), shift, sum, squares, eps);
        const float scale = static_cast<float>(m.invstd);
        DLA_ROLLED
        for (index_t c = threadIdx.x; c < columns; c += blockDim.x)
            y[r * columns + c] = static_cast<float>(static_cast<double>(in[c]) - m.mean) * scale * device::gain(w, c) + device::shift(b, c);
        if (threadIdx.x == 0 && mean != nullptr) mean[r] = static_cast<float>(m.mean);
        if (threadIdx.x == 0 && invstd != nullptr) invstd[r] = scale;
    }
}

/// Sums of dy and of dy * (x - mean) * invstd for each column.
__global__ void __launch_bounds__(256)
    dla_cuda_layer_norm_slopes(cuda::ChannelCut cut, const float* x, const float* mean, const float* invstd, const float* dy, double* parts) {
    __shared__ double room[2 * device::block_size];
    device::channel_sums<2>(cut, room, parts, [&](index_t i, double* sums) {
        const index_t r = device::divide(i, cut.channels).quotient;
        const double slope = static_cast<double>(dy[i]);
        sums[0] += slope;
        sums[1] += slope * ((static_cast<double>(x[i]) - static_cast<double>(mean[r])) * static_cast<double>(invstd[r]));
    });
}

/// dx = (dy * w - mean(dy * w) - u * mean(dy * w * u)) * invstd with u = (x - mean) * invstd; a block for each row. dx may be dy.
__global__ void __launch_bounds__(256) dla_cuda_layer_norm_backward(index_t rows, index_t columns, const float* x, const float* w, const float* mean,
                                                                    const float* invstd, const float* dy, float* dx) {
    __shared__ double room[device::block_size];
    DLA_ROLLED
    for (index_t r = blockIdx.x; r < rows; r += gridDim.x) {
        const float *in = x + r * columns, *slope = dy + r * columns;
        const float mu = mean[r], scale = invstd[r];
        double sum = 0, product = 0;
        DLA_ROLLED
        for (index_t c = threadIdx.x; c < columns; c += blockDim.x) {
            const double scaled = static_cast<double>(slope[c]) * static_cast<double>(device::gain(w, c));
            sum += scaled;
            product += scaled * (static_cast<double>(in[c] - mu) * static_cast<double>(scale));
        }
        sum = device::block_sum(sum, room);
        product = device::block_sum(product, room);
        const float of_all = static_cast<float>(sum / static_cast<double>(columns)), of_unit = static_cast<float>(product / static_cast<double>(columns));
        DLA_ROLLED
        for (index_t c = threadIdx.x; c < columns; c += blockDim.x)
            dx[r * columns + c] = (slope[c] * device::gain(w, c) - of_all - (in[c] - mu) * scale * of_unit) * scale;
    }
}

}  // extern "C"

}  // namespace dla
