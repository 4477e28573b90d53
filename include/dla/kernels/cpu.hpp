// SPDX-License-Identifier: MIT
// All kernels of the Cpu policy: vectorised and parallel ones for float, the reference's for the rest. DLA_KERNELS_EXTERN leaves their bodies out, which
// are most of what this library costs a compiler; see core/config.hpp.
#pragma once

#include <dla/kernels/cpu/bf16/declarations.hpp>
#include <dla/kernels/cpu/declarations.hpp>
#include <dla/kernels/cpu/isa.hpp>
#include <dla/kernels/cpu/parallel.hpp>

#if DLA_BODIES
#include <dla/kernels/cpu/bf16/eltwise.hpp>
#include <dla/kernels/cpu/bf16/images.hpp>
#include <dla/kernels/cpu/bf16/norm.hpp>
#include <dla/kernels/cpu/conv2d.hpp>
#include <dla/kernels/cpu/conv_norm.hpp>
#include <dla/kernels/cpu/eltwise.hpp>
#include <dla/kernels/cpu/gemm.hpp>
#include <dla/kernels/cpu/group_norm.hpp>
#include <dla/kernels/cpu/linear.hpp>
#include <dla/kernels/cpu/linear_norm.hpp>
#include <dla/kernels/cpu/merge.hpp>
#include <dla/kernels/cpu/norm.hpp>
#include <dla/kernels/cpu/optim.hpp>
#include <dla/kernels/cpu/pool.hpp>
#include <dla/kernels/cpu/prelu.hpp>
#include <dla/kernels/cpu/reduce.hpp>
#include <dla/kernels/cpu/resize.hpp>
#include <dla/kernels/cpu/softmax.hpp>
#endif
