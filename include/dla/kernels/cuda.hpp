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

}  // namespace dla
