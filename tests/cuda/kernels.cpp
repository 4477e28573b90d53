// SPDX-License-Identifier: MIT
// The device's kernels for the emulated device: the same sources as nvcc's, compiled by the host's compiler.
#include <support/cuda/device_code.hpp>

#include <dla/kernels/cuda/all.cuh>

#include <support/cuda/emulated.hpp>

#include <cstring>

extern "C" const void* dla_cuda_kernel(const char* name) {
#define DLA_CUDA_KERNEL(kernel) \
    if (std::strcmp(name, #kernel) == 0) return emulated::entry(#kernel, dla::dla_cuda_##kernel);
#include <dla/kernels/cuda/list.inl.hpp>
#undef DLA_CUDA_KERNEL
    return nullptr;
}
