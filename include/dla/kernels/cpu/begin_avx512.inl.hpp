// SPDX-License-Identifier: MIT
// Opens a region whose functions are compiled for AVX-512 (F, BW, DQ, VL). Standard headers must have been included before. No include guard on purpose.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#endif
