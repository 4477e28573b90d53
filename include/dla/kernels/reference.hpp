// SPDX-License-Identifier: MIT
// All kernels of the Reference policy: plain loops that define what each kernel means.
#pragma once

#include <dla/kernels/reference/conv2d.hpp>
#include <dla/kernels/reference/eltwise.hpp>
#include <dla/kernels/reference/gemm.hpp>
#include <dla/kernels/reference/group_norm.hpp>
#include <dla/kernels/reference/merge.hpp>
#include <dla/kernels/reference/norm.hpp>
#include <dla/kernels/reference/optim.hpp>
#include <dla/kernels/reference/pool.hpp>
#include <dla/kernels/reference/reduce.hpp>
#include <dla/kernels/reference/resize.hpp>
#include <dla/kernels/reference/softmax.hpp>
#include <dla/kernels/reference/step.hpp>
