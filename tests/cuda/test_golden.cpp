// SPDX-License-Identifier: MIT
// The kernels of Cuda<float> against PyTorch's results: the tests of the host's kernels, on a policy that takes its arrays to the device and back.
#include <support/cuda/bridge.hpp>

#define POLICIES bridge::Bridge
#include "../kernels/test_golden_images.cpp"
#include "../kernels/test_golden_kernels.cpp"
