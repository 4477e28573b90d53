// SPDX-License-Identifier: MIT
// Opens a region whose functions are compiled for AVX2 + FMA. Standard headers must have been included before. No include guard on purpose.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
