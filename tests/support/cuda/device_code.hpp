// SPDX-License-Identifier: MIT
// What the host's compiler needs to know to compile CUDA's device sources for the emulated device; included before them.
//
// Kernels with shared memory must be plain functions: a variable of a template or of an inline function cannot be put into the section below.
#pragma once

// Before the macros: the standard library and the toolkit use some of these names.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fibres.hpp"

#undef __global__
#undef __device__
#undef __host__
#undef __constant__
#undef __forceinline__
#undef __launch_bounds__
#undef __shared__
#define __global__
#define __device__
#define __host__
#define __constant__ const
#define __forceinline__ inline
#define __launch_bounds__(...)
// One block runs at a time, so its shared memory can be static. It is filled with NaN before each block, and found by the name of its section.
// Watched kernels have theirs far apart, so that what is behind one variable is in no other.
#if defined(DLA_EMULATED_WATCH)
#define __shared__ static __attribute__((section("dla_shared"), aligned(16384)))
#else
#define __shared__ static __attribute__((section("dla_shared")))
#endif

namespace emulated::detail {

template <class T>
std::uint64_t to_bits(T value) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t), "a shuffle moves up to 8 bytes");
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
}

template <class T>
T from_bits(std::uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

}  // namespace emulated::detail

// Where a call stands in the source tells barriers apart that look alike.
inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { emulated::wait_for_block(file, line); }

inline void __syncwarp(unsigned mask = 0xffffffffu, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    emulated::meet_warp({emulated::WarpCall::sync, mask, 0, 0, 32, file, line});
}

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return emulated::detail::from_bits<T>(emulated::meet_warp({emulated::WarpCall::shuffle, mask, emulated::detail::to_bits(value), lane, width, file, line}));
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return emulated::detail::from_bits<T>(
        emulated::meet_warp({emulated::WarpCall::shuffle_up, mask, emulated::detail::to_bits(value), static_cast<int>(by), width, file, line}));
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return emulated::detail::from_bits<T>(
        emulated::meet_warp({emulated::WarpCall::shuffle_down, mask, emulated::detail::to_bits(value), static_cast<int>(by), width, file, line}));
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return emulated::detail::from_bits<T>(
        emulated::meet_warp({emulated::WarpCall::shuffle_xor, mask, emulated::detail::to_bits(value), bits, width, file, line}));
}

inline unsigned __ballot_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return static_cast<unsigned>(emulated::meet_warp({emulated::WarpCall::ballot, mask, predicate != 0, 0, 32, file, line}));
}

inline int __any_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return static_cast<int>(emulated::meet_warp({emulated::WarpCall::any, mask, predicate != 0, 0, 32, file, line}));
}

inline int __all_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return static_cast<int>(emulated::meet_warp({emulated::WarpCall::all, mask, predicate != 0, 0, 32, file, line}));
}
