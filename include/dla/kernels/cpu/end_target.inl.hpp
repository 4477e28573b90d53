// SPDX-License-Identifier: MIT
// Closes the region opened by begin_avx2.inl.hpp or begin_avx512.inl.hpp. No include guard on purpose.
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
