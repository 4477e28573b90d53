// SPDX-License-Identifier: MIT
// Where the kernels for a CUDA device come from: an object that nvcc made (DLA_CUDA_KERNELS_EXTERN), or NVRTC, which compiles them from text when the program
// first needs them.
#pragma once

#include <dla/backend/cuda/queue.hpp>

#include <array>

#if defined(DLA_CUDA_KERNELS_EXTERN)
/// Of src/kernels.cu: what cudaLaunchKernel takes for the kernel dla_cuda_NAME, or null.
extern "C" const void* dla_cuda_kernel(const char* name);
#else
#include <dla/kernels/cuda/runtime_compiler.hpp>
#endif

namespace dla::cuda {

#define DLA_CUDA_KERNEL(name) name,
/// Numbers of the kernels.
enum class KernelIndex : std::size_t {
#include <dla/kernels/cuda/list.inl.hpp>
    count
};
#undef DLA_CUDA_KERNEL

#define DLA_CUDA_KERNEL(name) #name,
inline constexpr std::array<const char*, static_cast<std::size_t>(KernelIndex::count)> kernel_names{
#include <dla/kernels/cuda/list.inl.hpp>
};
#undef DLA_CUDA_KERNEL

inline namespace DLA_CUDA_TAG {

/// The kernels of one device, found when they are first asked for.
class Library {
public:
    static Library& of(Queue& queue) { return once_for_device<Library>(queue); }
    explicit Library(Queue& queue) {
        queue.use();
#if !defined(DLA_CUDA_KERNELS_EXTERN)
        const cudaLibrary_t compiled = load_compiled(queue.device());
#endif
        for (std::size_t i = 0; i < kernels_.size(); ++i) {
#if defined(DLA_CUDA_KERNELS_EXTERN)
            kernels_[i] = dla_cuda_kernel(kernel_names[i]);
#else
            cudaKernel_t kernel = nullptr;
            check(cudaLibraryGetKernel(&kernel, compiled, (std::string("dla_cuda_") + kernel_names[i]).c_str()), "cudaLibraryGetKernel");
            kernels_[i] = kernel;
#endif
            if (kernels_[i] == nullptr)
                fail(ErrorCode::device, kernel_names[i], "is no kernel of the object that this program is linked with; build it from the same version of dla");
        }
    }
    const void* kernel(KernelIndex index) const { return kernels_[static_cast<std::size_t>(index)]; }

private:
    std::array<const void*, kernel_names.size()> kernels_{};
};

}  // namespace DLA_CUDA_TAG

}  // namespace dla::cuda
