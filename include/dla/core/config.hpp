// SPDX-License-Identifier: MIT
// The library's only macros: language check, switches a user may set, and the tag that keeps differently switched
// translation units from being linked together unnoticed.
#pragma once

#if !defined(__cplusplus) || __cplusplus < 202002L
#error "dla needs C++20: compile with -std=c++20 (Meson: cpp_std=c++20) and g++ >= 12 or clang >= 16"
#endif

// The rest of -ffast-math is kept out of the library by core/begin_exact.inl.hpp. This part cannot be: g++ decides comparisons with NaN before a function's
// own options count, and clang marks every float argument and result as never NaN, so a diverged training would go unnoticed.
#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "dla: NaN and infinity must be noticed; add -fno-finite-math-only behind -ffast-math, -Ofast or -ffinite-math-only"
#endif

// DLA_NO_SIMD    define to keep only the baseline kernels (no AVX2/AVX-512 code is compiled).
// DLA_NO_OPENMP  define to run every kernel on the calling thread even when OpenMP is on.
// Both change generated code, so they are part of the name of the Cpu policy (see DLA_ABI_TAG).

#if !defined(DLA_NO_SIMD) && !(defined(__x86_64__) && defined(__GNUC__))
#define DLA_NO_SIMD
#endif

#if defined(_OPENMP) && !defined(DLA_NO_OPENMP)
#define DLA_OPENMP 1
#else
#define DLA_OPENMP 0
#endif

#if defined(DLA_NO_SIMD) && !DLA_OPENMP
#define DLA_ABI_TAG abi_base_serial
#elif defined(DLA_NO_SIMD)
#define DLA_ABI_TAG abi_base_openmp
#elif !DLA_OPENMP
#define DLA_ABI_TAG abi_simd_serial
#else
#define DLA_ABI_TAG abi_simd_openmp
#endif
