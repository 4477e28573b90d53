// SPDX-License-Identifier: MIT
// Which instruction set the kernels use: chosen once per process, from what the processor has and what DLA_SIMD allows.
#pragma once

#include <dla/core/error.hpp>

#if DLA_BODIES
#include <cstdlib>
#endif

namespace dla {

/// Instruction sets that the Cpu kernels are compiled for: the baseline of x86-64 (or of another processor), and what they use beyond.
enum class Isa { base, avx2, avx512 };

constexpr const char* to_string(Isa isa) { return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "base"; }

inline namespace DLA_ABI_TAG {

/// The instruction set of the Cpu kernels. The environment variable DLA_SIMD=base|avx2|avx512 asks for a lower one.
/// Throws Error(usage) when DLA_SIMD names an unknown set or one that this processor lacks.
DLA_ONCE Isa active_isa();

}  // namespace DLA_ABI_TAG

#if DLA_BODIES
namespace detail::inline DLA_ABI_TAG {

inline Isa detect_isa() {
    Isa best = Isa::base;
#if !defined(DLA_NO_SIMD)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = Isa::avx2;
    if (best == Isa::avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        best = Isa::avx512;
#endif
    const char* wish = std::getenv("DLA_SIMD");
    if (wish == nullptr || *wish == '\0') return best;
    const std::string_view w(wish);
    const Isa wanted = w == "base" ? Isa::base : w == "avx2" ? Isa::avx2 : Isa::avx512;
    if (wanted == Isa::avx512 && w != "avx512") fail(ErrorCode::usage, "DLA_SIMD", "unknown value '" + std::string(w) + "'; expected base, avx2 or avx512");
    if (wanted > best) fail(ErrorCode::usage, "DLA_SIMD", "this processor or build has no " + std::string(w) + "; the best here is " + to_string(best));
    return wanted;
}

}  // namespace detail::inline DLA_ABI_TAG

inline namespace DLA_ABI_TAG {

DLA_ONCE Isa active_isa() {
    static const Isa isa = detail::detect_isa();
    return isa;
}

}  // namespace DLA_ABI_TAG

namespace detail::inline DLA_ABI_TAG {

/// Whether the processor adds up products of pairs of bf16 in one instruction (AVX-512 BF16).
inline bool has_bf16_dots() {
#if !defined(DLA_NO_SIMD) && defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

/// The variant for the active instruction set of a function compiled once for each.
template <class F>
F* select_isa(F* base, F* avx2, F* avx512) {
    const Isa isa = active_isa();
    return isa == Isa::avx512 ? avx512 : isa == Isa::avx2 ? avx2 : base;
}

#if defined(DLA_NO_SIMD)
namespace base {}
namespace avx2 = base;
namespace avx512 = base;
#endif

}  // namespace detail::inline DLA_ABI_TAG
#endif
}  // namespace dla
