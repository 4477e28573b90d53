// SPDX-License-Identifier: MIT
// What cuBLASLt leaves of a matrix product on a CUDA device: a product of nothing, and a bias on its own.
#pragma once

#include <dla/kernels/cuda/block.cuh>

namespace dla {

extern "C" {

/// y [rows, columns] = beta * y + bias [columns] or null; beta = 0 does not read y.
__global__ void __launch_bounds__(256) dla_cuda_bias_rows(index_t rows, index_t columns, float beta, const float* bias, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < rows * columns; i += device::stride()) {
        float value = beta == 0.0f ? 0.0f : beta == 1.0f ? y[i] : beta * y[i];
        if (bias != nullptr) value += bias[device::divide(i, columns).rest];
        y[i] = value;
    }
}

}  // extern "C"

}  // namespace dla
