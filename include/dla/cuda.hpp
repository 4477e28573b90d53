// SPDX-License-Identifier: MIT
// CUDA devices: the policy Cuda<float>, for `Model<Net, Shape{...}, Cuda<float>>`. See docs/cuda.md.
#pragma once

#include <dla/kernels/cuda.hpp>
#include <dla/nn.hpp>
