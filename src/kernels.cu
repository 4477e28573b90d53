// SPDX-License-Identifier: MIT
// The kernels for CUDA devices, compiled by nvcc into one object, and found by name: see <dla/kernels/cuda/library.hpp>. Without Meson:
//     nvcc -std=c++20 -O3 --expt-relaxed-constexpr -arch=sm_90 -I include -c src/kernels.cu -o dla_cuda_kernels.o
#include <dla/kernels/cuda/all.cuh>

#include <cstring>

extern "C" const void* dla_cuda_kernel(const char* name) {
    struct Entry {
        const char* name;
        const void* kernel;
    };
    static const Entry table[] = {
#define DLA_CUDA_KERNEL(name) {#name, reinterpret_cast<const void*>(&dla::dla_cuda_##name)},
#include <dla/kernels/cuda/list.inl.hpp>
#undef DLA_CUDA_KERNEL
    };
    for (const Entry& entry : table)
        if (std::strcmp(entry.name, name) == 0) return entry.kernel;
    return nullptr;
}
