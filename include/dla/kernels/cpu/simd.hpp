// SPDX-License-Identifier: MIT
// The vector types of each target: namespaces detail::base, detail::avx2 and detail::avx512 with the same names in each.
#pragma once

#include <dla/kernels/cpu/isa.hpp>
#include <dla/kernels/types.hpp>

#include <cmath>
#include <cstdint>
#include <limits>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG::base {
inline constexpr int vector_bytes = 16;
#include <dla/kernels/cpu/simd.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
inline constexpr int vector_bytes = 32;
#include <dla/kernels/cpu/simd.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
inline constexpr int vector_bytes = 64;
#include <dla/kernels/cpu/simd.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

#include <dla/core/end_exact.inl.hpp>
