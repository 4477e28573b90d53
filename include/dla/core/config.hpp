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
// DLA_NO_THREADS define to run every kernel on the calling thread.
// DLA_HAVE_ZLIB, DLA_HAVE_PNG, DLA_HAVE_JPEG, DLA_HAVE_CURL  define when the program links with zlib, libpng, libjpeg, or libcurl and libcrypto.
// All of them change generated code; see the tags below (what needs libcurl is one header, which is there or not).

// DLA_KERNELS_EXTERN     define in a unit that takes what depends on no network (kernels, mostly) from another unit of the program, which defines
// DLA_KERNELS_IMPLEMENT  before it includes <dla/nn.hpp>. Neither: every unit has its own copy, and the linker keeps one.
#if defined(DLA_KERNELS_EXTERN) && defined(DLA_KERNELS_IMPLEMENT)
#error "dla: DLA_KERNELS_EXTERN and DLA_KERNELS_IMPLEMENT exclude each other; exactly one unit of a program implements"
#endif
#if defined(DLA_KERNELS_EXTERN)
#define DLA_BODIES 0  // of what depends on no network; they lie in *.impl.hpp
#define DLA_ONCE
#define DLA_TEMPLATE_ONCE(...) extern template __VA_ARGS__;
#elif defined(DLA_KERNELS_IMPLEMENT)
#define DLA_BODIES 1
#define DLA_ONCE
#define DLA_TEMPLATE_ONCE(...) template __VA_ARGS__;
#else
#define DLA_BODIES 1
#define DLA_ONCE inline
#define DLA_TEMPLATE_ONCE(...)
#endif

// A function that a device calls as well, and one that the host launches on it: kernels/cuda/.
#if defined(__CUDACC__)
#define DLA_ANYWHERE __host__ __device__
#define DLA_GLOBAL __global__
#else
#define DLA_ANYWHERE
#define DLA_GLOBAL
#endif
// In front of a loop whose step is known at run time: nvcc would divide 64 bits to find how often to unroll it, which is a call, around which registers are
// saved in memory.
#if defined(__CUDACC__)
#define DLA_ROLLED _Pragma("unroll 1")
#else
#define DLA_ROLLED
#endif

#if !defined(DLA_NO_SIMD) && !(defined(__x86_64__) && defined(__GNUC__))
#define DLA_NO_SIMD
#endif

#if !defined(DLA_NO_THREADS)
#define DLA_THREADS 1
#else
#define DLA_THREADS 0
#endif

// What is compiled from one source differs with these, so each combination has names of its own: units of one program that disagree each run their own code
// where they keep to themselves, and do not link where they pass each other policies or models.
#define DLA_TAG_JOIN(simd, threads, math, target) abi_##simd##_##threads##_##math##_##target
#define DLA_TAG_EXPAND(simd, threads, math, target) DLA_TAG_JOIN(simd, threads, math, target)
#if defined(DLA_NO_SIMD)
#define DLA_TAG_SIMD base
#else
#define DLA_TAG_SIMD simd
#endif
#if DLA_THREADS
#define DLA_TAG_THREADS threads
#else
#define DLA_TAG_THREADS serial
#endif
// clang names no part of -ffast-math but the last one.
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__) || defined(__NO_MATH_ERRNO__)
#define DLA_TAG_MATH fast
#else
#define DLA_TAG_MATH exact
#endif
#if defined(__AVX512F__)
#define DLA_TAG_TARGET avx512
#elif defined(__FMA__)
#define DLA_TAG_TARGET fma
#elif defined(__AVX__)
#define DLA_TAG_TARGET avx
#elif defined(__SSE4_1__)
#define DLA_TAG_TARGET sse4
#else
#define DLA_TAG_TARGET plain
#endif
#define DLA_ABI_TAG DLA_TAG_EXPAND(DLA_TAG_SIMD, DLA_TAG_THREADS, DLA_TAG_MATH, DLA_TAG_TARGET)

// Where the kernels for CUDA devices come from: an object of nvcc's (DLA_CUDA_KERNELS_EXTERN), or NVRTC when the program runs.
#if defined(DLA_CUDA_KERNELS_EXTERN)
#define DLA_CUDA_TAG abi_cuda_object
#else
#define DLA_CUDA_TAG abi_cuda_nvrtc
#endif

// The same for what reads compressed files, and what reads and writes images.
#if defined(DLA_HAVE_ZLIB)
#define DLA_ZLIB_TAG abi_zlib
#else
#define DLA_ZLIB_TAG abi_no_zlib
#endif
#if defined(DLA_HAVE_PNG)
#define DLA_PNG_TAG abi_png
#else
#define DLA_PNG_TAG abi_no_png
#endif
#if defined(DLA_HAVE_JPEG)
#define DLA_JPEG_TAG abi_jpeg
#else
#define DLA_JPEG_TAG abi_no_jpeg
#endif
