// SPDX-License-Identifier: MIT
// Vectors of float of the target's width, as GCC/Clang vector extensions. Included once per target, see simd.hpp. No include guard on purpose.

using Vec [[gnu::vector_size(vector_bytes)]] = float;
using VecUnaligned [[gnu::vector_size(vector_bytes), gnu::aligned(4), gnu::may_alias]] = float;
using VecInt [[gnu::vector_size(vector_bytes)]] = std::int32_t;
inline constexpr index_t lanes = vector_bytes / 4;

inline Vec load(const float* p) { return *reinterpret_cast<const VecUnaligned*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<VecUnaligned*>(p) = v; }
inline Vec splat(float v) { return v - Vec{}; }
