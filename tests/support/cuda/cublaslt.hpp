// SPDX-License-Identifier: MIT
// Descriptors of cuBLASLt on the emulated device, behind the opaque structures of its header.
#pragma once

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "internal.hpp"

namespace emulated::lt {

struct Matmul final : cublasLtMatmulDescOpaque_t {
    int32_t compute = CUBLAS_COMPUTE_32F, scale = CUDA_R_32F, pointers = CUBLASLT_POINTER_MODE_HOST, bias_type = CUDA_R_32F;
    int32_t transa = CUBLAS_OP_N, transb = CUBLAS_OP_N, transc = CUBLAS_OP_N;
    uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    const void* bias = nullptr;
};

struct Layout final : cublasLtMatrixLayoutOpaque_t {
    uint32_t type = CUDA_R_32F;
    int32_t order = CUBLASLT_ORDER_COL;
    uint64_t rows = 0, cols = 0;
    int64_t ld = 0;

    std::size_t bytes() const { return rows == 0 || cols == 0 ? 0 : ((cols - 1) * static_cast<std::size_t>(ld) + rows) * sizeof(float); }
};

struct Preference final : cublasLtMatmulPreferenceOpaque_t {
    uint32_t search = CUBLASLT_SEARCH_BEST_FIT, reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
    uint64_t workspace = 0;
    uint32_t alignment[4] = {256, 256, 256, 256};  // of A, B, C, D
};

inline cublasStatus_t refuse(cublasStatus_t status, const std::string& sentence) {
    complain("cuBLASLt: " + sentence);
    return status;
}
inline cublasStatus_t invalid(const std::string& sentence) { return refuse(CUBLAS_STATUS_INVALID_VALUE, sentence); }

}  // namespace emulated::lt
