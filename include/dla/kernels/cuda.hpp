// SPDX-License-Identifier: MIT
// All kernels of Cuda<float>.
#pragma once

#include <dla/kernels/contract.hpp>
#include <dla/kernels/cuda/conv2d.hpp>
#include <dla/kernels/cuda/eltwise.hpp>
#include <dla/kernels/cuda/gemm.hpp>
#include <dla/kernels/cuda/group_norm.hpp>
#include <dla/kernels/cuda/merge.hpp>
#include <dla/kernels/cuda/norm.hpp>
#include <dla/kernels/cuda/optim.hpp>
#include <dla/kernels/cuda/pool.hpp>
#include <dla/kernels/cuda/reduce.hpp>
#include <dla/kernels/cuda/resize.hpp>
#include <dla/kernels/cuda/softmax.hpp>
#include <dla/kernels/cuda/step.hpp>

namespace dla {

static_assert(kernel::Backend<Cuda<float>>);

/// The policy, when the device, the libraries and the kernels are there and work. Throws Error(device) if not; a model asks before it claims memory.
inline Cuda<float> resolve(const Cuda<float>& p) {
    cuda::Queue& queue = p.queue();
    cuda::Products::of(queue);
    cuda::Convolutions::of(queue);
    cuda::launch(p, cuda::kernels::fill, cuda::Blocks{}, index_t{0}, 0.0f, detail::DeviceFloats());  // is there code for this device?
    p.synchronize();
    return p;
}

inline namespace DLA_ABI_TAG {
inline namespace DLA_CUDA_TAG {

template <class T>
std::string Cuda<T>::description() const {
    const auto version = [](std::size_t number) {
        return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." + std::to_string(number % 100);
    };
#if defined(DLA_CUDA_KERNELS_EXTERN)
    const char* compiler = "nvcc";
#else
    const char* compiler = "NVRTC";
#endif
    return "cuda (" + queue().name() + ", cuBLASLt " + version(cuda::cublaslt().cublasLtGetVersion()) + ", cuDNN " + version(cuda::cudnn().cudnnGetVersion()) +
           ", " + compiler + (tf32 ? ", TF32" : "") + (strict ? ", strict" : "") + ")";
}

}  // namespace DLA_CUDA_TAG
}  // namespace DLA_ABI_TAG

}  // namespace dla
