// SPDX-License-Identifier: MIT
// Sums, and the losses of single values, on a CUDA device: first of blocks, then of the blocks' sums, in an order that follows from the sizes.
#pragma once

#include <dla/kernels/cuda/block.cuh>

namespace dla {

extern "C" {

/// The sum of each channel.
__global__ void __launch_bounds__(256) dla_cuda_column_sums(cuda::ChannelCut cut, const float* x, double* parts) {
    __shared__ double room[device::block_size];
    device::channel_sums<1>(cut, room, parts, [&](index_t i, double* sums) { sums[0] += static_cast<double>(x[i]); });
}

/// y [columns] += the sum of all chunks.
__global__ void __launch_bounds__(256) dla_cuda_add_parts(index_t columns, int chunks, const double* parts, float* y) {
    DLA_ROLLED
    for (index_t c = device::first(); c < columns; c += device::stride())
        y[c] = static_cast<float>(static_cast<double>(y[c]) + device::sum_of_chunks(columns, chunks, parts, 0, c));
}

/// The sum of x^2 of each block.
__global__ void __launch_bounds__(256) dla_cuda_squares(index_t n, const float* x, double* parts) {
    __shared__ double room[device::block_size];
    double sum = 0;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    sum = device::block_sum(sum, room);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

/// *sum of `count` numbers. One block.
__global__ void __launch_bounds__(256) dla_cuda_add_up(index_t count, const double* parts, double* sum) {
    __shared__ double room[device::block_size];
    double mine = 0;
    DLA_ROLLED
    for (index_t i = threadIdx.x; i < count; i += blockDim.x) mine += parts[i];
    mine = device::block_sum(mine, room);
    if (threadIdx.x == 0) *sum = mine;
}

/// A part of the loss for each block, which names the first target that is not finite; gradient (or null) may be x.
__global__ void __launch_bounds__(256)
    dla_cuda_element_loss(ElementLossDims d, const float* x, const float* targets, const float* pos_weight, cuda::LossPart* parts, float* gradient) {
    __shared__ double sums[device::block_size];
    __shared__ std::int64_t counts[device::block_size];
    cuda::LossPart mine;
    DLA_ROLLED
    for (index_t i = device::first(); i < d.size(); i += device::stride()) {
        const double value = static_cast<double>(x[i]), target = static_cast<double>(targets[i]);
        const double weight = pos_weight != nullptr ? static_cast<double>(pos_weight[i % d.outputs % d.weights]) : 1.0;
        const detail::LossTerm<double> term =
            d.kind == ElementLoss::bce_with_logits ? detail::logistic_loss(weight, value, target) : detail::difference_loss(d.kind, d.bend, value - target);
        mine.loss += term.loss;
        if (!(target - target == 0)) mine.bad = device::earlier(mine.bad, i);
        if (gradient != nullptr) gradient[i] = static_cast<float>(term.slope / d.divisor);
    }
    device::write_part(mine, sums, counts, parts + blockIdx.x);
}

/// *result of the parts of `count` blocks; a loss that is not finite because a target is not names the target. One block.
__global__ void __launch_bounds__(256)
    dla_cuda_loss_finish(ElementLossDims d, index_t count, index_t counted, const cuda::LossPart* parts, LossResult* result) {
    __shared__ double sums[device::block_size];
    __shared__ std::int64_t counts[device::block_size];
    const cuda::LossPart all = device::join_parts(count, parts, sums, counts);
    if (threadIdx.x != 0) return;
    LossResult out;
    out.loss = all.loss / d.divisor;
    out.weight = static_cast<double>(counted);
    out.counted = counted;
    out.correct = all.correct;
    if (!(out.loss - out.loss == 0) && all.bad >= 0) {
        out.bad_row = d.first_row + all.bad / d.outputs;
        out.bad_label = all.bad % d.outputs;
    }
    *result = out;
}

/// gradient = 0 where the result names a bad target.
__global__ void __launch_bounds__(256) dla_cuda_zero_if_bad(index_t n, const LossResult* result, float* gradient) {
    if (result->bad_row < 0) return;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) gradient[i] = 0;
}

}  // extern "C"

}  // namespace dla
