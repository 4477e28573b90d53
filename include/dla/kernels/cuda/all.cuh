// SPDX-License-Identifier: MIT
// All kernels that run on a CUDA device.
#pragma once

#include <dla/kernels/cuda/conv2d.cuh>
#include <dla/kernels/cuda/eltwise.cuh>
#include <dla/kernels/cuda/gemm.cuh>
#include <dla/kernels/cuda/group_norm.cuh>
#include <dla/kernels/cuda/merge.cuh>
#include <dla/kernels/cuda/norm.cuh>
#include <dla/kernels/cuda/optim.cuh>
#include <dla/kernels/cuda/pool.cuh>
#include <dla/kernels/cuda/reduce.cuh>
#include <dla/kernels/cuda/resize.cuh>
#include <dla/kernels/cuda/softmax.cuh>
#include <dla/kernels/cuda/step.cuh>
