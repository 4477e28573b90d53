// SPDX-License-Identifier: MIT
// What a training step decides and joins on a CUDA device, so that the host need not look before the step is over.
#pragma once

#include <dla/kernels/cuda/block.cuh>

namespace dla {

extern "C" {

/// *to becomes the result of the rows of both. One thread.
__global__ void __launch_bounds__(256) dla_cuda_join_losses(const LossResult* from, LossResult* to) {
    to->loss += from->loss;
    to->weight += from->weight;
    to->correct += from->correct;
    to->counted += from->counted;
    if (to->bad_row < 0) to->bad_row = from->bad_row, to->bad_label = from->bad_label;
}

__global__ void __launch_bounds__(256) dla_cuda_scale(index_t n, float factor, float* x) {
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) x[i] = x[i] * factor;
}

/// Whether the step is taken; see the reference's decide_step. One thread: `count` is the number of runs of parameters.
__global__ void __launch_bounds__(256) dla_cuda_decide_step(index_t count, const double* squares, double* total, RandomPosition* position, StepReport* report) {
    double sum = 0;
    for (index_t i = 0; i < count; ++i) sum += squares[i];
    *total = sum;
    report->gradient_norm = std::sqrt(sum);
    const double loss = report->loss.loss;
    const bool applied = report->loss.bad_row < 0 && loss - loss == 0 && sum - sum == 0;
    report->applied = applied ? 1 : 0;
    if (applied)
        ++position->step;
    else
        ++report->refused;
    report->position = *position;
}

/// to = from unless the step was taken.
__global__ void __launch_bounds__(256) dla_cuda_restore_unless_applied(const StepReport* report, index_t bytes, const unsigned char* from, unsigned char* to) {
    if (report->applied != 0) return;
    DLA_ROLLED
    for (index_t i = device::first(); i < bytes; i += device::stride()) to[i] = from[i];
}

}  // extern "C"

}  // namespace dla
