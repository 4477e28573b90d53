// SPDX-License-Identifier: MIT
// Elementary functions on the vectors of simd.hpp, in the same three namespaces.
#pragma once

#include <dla/core/half.hpp>
#include <dla/kernels/cpu/simd.hpp>

#include <cstring>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/simd_math.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/simd_math.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/simd_math.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

#include <dla/core/end_exact.inl.hpp>
