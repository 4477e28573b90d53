// SPDX-License-Identifier: MIT
// Whether nvcc works, with headers and a host compiler that fit it.
#if CUDART_VERSION < 13000
#error "CUDA toolkit 13 or later"
#endif
#include <cstdint>
#include <type_traits>

__global__ void works(std::uint64_t* y) { *y = std::is_same_v<int, long>; }
