// SPDX-License-Identifier: MIT
// The register tile under every matrix product and convolution: a few rows of broadcast values times one panel of vectors.
#pragma once

#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/cpu/simd.hpp>

#include <algorithm>
#include <cstring>

namespace dla::detail {

/// How the reduction walks through A: element t = (t0, t1, t2) of row i is a[i][t0 * step0 + t1 * step1 + t2 * step2]; B follows with its own
/// fixed step. A matrix uses the innermost loop only, a convolution all three (rows of the kernel, columns, channels).
struct TileLoops {
    index_t count0 = 1, count1 = 1, count2 = 0;
    index_t step0 = 0, step1 = 0, step2 = 1;
};

/// Where a tile goes: row i, columns [0, cols) of c[i] become sum + beta * c + bias; beta = 0 does not read c.
struct TileOut {
    float* const* c = nullptr;    // [rows]
    const float* bias = nullptr;  // [cols] or null
    float beta = 0;
    int rows = 0;
    index_t cols = 0;
};

inline constexpr int max_tile_rows = 8;        // of any target
inline constexpr index_t max_panel_width = 32;  // of any target; a multiple of the others

/// Floats that `columns` columns of B take when packed, in rows of reduction steps, for any target.
constexpr index_t packed_width(index_t columns) { return (columns + max_panel_width - 1) / max_panel_width * max_panel_width; }

}  // namespace dla::detail

namespace dla::detail::base {
#include <dla/kernels/cpu/tile.inl.hpp>
}  // namespace dla::detail::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::avx2 {
#include <dla/kernels/cpu/tile.inl.hpp>
}  // namespace dla::detail::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::avx512 {
#include <dla/kernels/cpu/tile.inl.hpp>
}  // namespace dla::detail::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif
