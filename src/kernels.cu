// SPDX-License-Identifier: MIT
#include <dla/kernels/cuda/object.cuh>
