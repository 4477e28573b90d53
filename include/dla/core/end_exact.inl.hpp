// SPDX-License-Identifier: MIT
// Closes the region opened by begin_exact.inl.hpp. No include guard on purpose.
#if defined(__clang__)
#pragma float_control(pop)
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
