// SPDX-License-Identifier: MIT
// The register tile under every matrix product and convolution: a few rows of broadcast values times one panel of vectors.
#pragma once

#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/cpu/simd.hpp>

#include <algorithm>
#include <cstring>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

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

inline constexpr index_t max_tile_rows = 8;     // of any target
inline constexpr index_t max_panel_width = 32;  // of any target; a multiple of the others

/// Many rows of one panel: row i of c, ldc apart, = or += the sum over s < steps of a[i * row_step + s * step] * b[s * ldb ...] + bias (or null). Whole vectors
/// of c are written and of bias read: one for as many columns as a vector has or fewer, else two.
struct PanelRows {
    index_t rows, steps;
    const float* a;
    index_t row_step, step;
    const float* b;
    index_t ldb;
    float* c;
    index_t ldc, cols;
    bool add;
    const float* bias = nullptr;
};

/// Few rows of A times many of B, both as they lie in memory, `steps` long: c[i * ldc + j] = a[i] . b[j] + bias[j] (or null) + beta * c; beta = 0 does not
/// read c.
struct DotRows {
    index_t rows, cols, steps;
    const float *a, *b, *bias;
    float beta;
    float* c;
    index_t ldc;
};

/// What is compiled once for each instruction set. Everything above it is ordinary code, which keeps builds short.
struct TileTarget {
    /// One tile of at most tile_rows rows and panel_width columns; `a` has tile_rows pointers, b advances by ldb each step.
    void (*run)(const TileLoops&, const float* const* a, const float* b, index_t ldb, const TileOut&);
    /// The same sums for rows that lie at even distances: less to say for each tile, which counts where reductions are short.
    void (*run_panel)(const PanelRows&);
    /// to[s * width + j] = from[s * ld + j] for j < cols, else 0.
    void (*pack_rows)(index_t steps, index_t cols, index_t width, const float* from, index_t ld, float* to);
    /// to[s * width + j] = from[j * ld + s] for j < cols, else 0.
    void (*pack_columns)(index_t steps, index_t cols, index_t width, const float* from, index_t ld, float* to);
    void (*dot_rows)(const DotRows&);
    /// to [cols] = the sum of `rows` rows of `from`, ld apart, + beta * to + bias (or null).
    void (*sum_rows)(index_t rows, index_t cols, const float* from, index_t ld, const float* bias, float beta, float* to);
    index_t rows, lanes, panel_width;

    /// Width in memory of the packed panel that holds `cols` columns: one vector or two.
    constexpr index_t stored_width(index_t cols) const { return cols <= lanes ? lanes : panel_width; }
    /// Rows of the next tile when `left` remain: eight are two tiles of four, for one of two would wait for its own sums.
    constexpr index_t next_rows(index_t left) const { return rows == 6 && left == 8 ? 4 : std::min(rows, left); }
};

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/pack.inl.hpp>
#include <dla/kernels/cpu/tile.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/pack.inl.hpp>
#include <dla/kernels/cpu/tile.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/pack.inl.hpp>
#include <dla/kernels/cpu/tile.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla::detail::inline DLA_ABI_TAG {

inline const TileTarget& active_tile() { return *select_isa(&base::tile_target, &avx2::tile_target, &avx512::tile_target); }

}  // namespace dla::detail::inline DLA_ABI_TAG

#include <dla/core/end_exact.inl.hpp>
