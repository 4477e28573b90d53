// SPDX-License-Identifier: MIT
// The kernels for CUDA devices, compiled by nvcc into one object, and found by name: see <dla/kernels/cuda/library.hpp>. docs/cuda.md has the command.
#include <dla/kernels/cuda/all.cuh>

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
    const auto equal = [](const char* a, const char* b) {
        while (*a != '\0' && *a == *b) ++a, ++b;
        return *a == *b;
    };
    for (const Entry& entry : table)
        if (equal(entry.name, name)) return entry.kernel;
    return nullptr;
}
