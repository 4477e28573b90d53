// SPDX-License-Identifier: MIT
// How a matrix product of the Cpu<float> policy is cut into blocks and parts.
#pragma once

#include <dla/kernels/cpu/tile.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

inline constexpr index_t gemm_steps = 512;         // of the reduction at a time: eight rows of A take half of L1
inline constexpr index_t gemm_columns = 256;       // of B at a time at most ...
inline constexpr index_t gemm_l2 = 65536;          // ... and so many of its values: 256 KB, half of a small L2
inline constexpr index_t gemm_long = 2048;         // reductions from here on are cut into parts if C is small ...
inline constexpr index_t gemm_small = 32768;       // ... that is, has at most so many values
inline constexpr index_t gemm_parallel = 1 << 18;  // multiplications, some 4 us, below which a second thread brings nothing
inline constexpr index_t gemm_packed = 1 << 20;    // values of B, 4 MB, that are packed at a time
inline constexpr index_t gemm_few = 8;             // rows up to which packing B costs more than it saves

/// How one product is cut; a function of its sizes and the instruction set only.
struct GemmPlan {
    const TileTarget& tile;
    bool pack;           // B is copied into panels
    index_t parts;       // of the reduction, summed in order at the end
    index_t part_steps;  // of each part but the last
    index_t packed_row;  // floats a step of packed B takes
    index_t column_block;
    index_t range_columns;  // of B that are packed at a time

    explicit GemmPlan(const GemmDims& d) : tile(active_tile()) {
        pack = packs(d, tile);
        parts = 1;
        if (d.k >= gemm_long && d.m * d.n <= gemm_small) parts = most_parts(d.k);
        part_steps = parts == 1 ? d.k : round_up(ceil_div(d.k, parts), gemm_steps);
        parts = std::max<index_t>(1, ceil_div(d.k, std::max<index_t>(1, part_steps)));
        packed_row = round_up(d.n, tile.panel_width);
        const index_t most = std::clamp<index_t>(gemm_l2 / std::clamp<index_t>(d.k, 1, gemm_steps), 4 * tile.panel_width, gemm_columns);
        column_block = round_up(ceil_div(d.n, std::max<index_t>(1, ceil_div(d.n, most))), tile.panel_width);
        const index_t wanted = std::max<index_t>(1024, gemm_packed / std::max<index_t>(1, d.k));
        range_columns = std::max<index_t>(1, wanted / column_block) * column_block;
        if (range_columns >= packed_row) range_columns = packed_row;
    }
    /// Where the steps of the reduction end that are packed together with step `first`: whole blocks, as many as there is room for.
    index_t range_end(const GemmDims& d, index_t first) const;
    /// Rows of a task, for threads that end together. Each value of C is one chain of sums, so how C is cut changes no bit.
    index_t row_block(const GemmDims& d, index_t cols, int threads) const {
        const index_t columns = ceil_div(cols, column_block), wanted = ceil_div(6 * threads, columns);
        return round_up(ceil_div(d.m, std::clamp<index_t>(wanted, 1, std::max<index_t>(1, ceil_div(d.m, 16)))), 16);
    }
    /// Rows of B that lie far apart cost an entry of the TLB each, and those that lie a multiple of 1 KB apart evict each other from L1.
    static bool packs(const GemmDims& d, const TileTarget& tile) {
        return d.transpose_b || d.n % tile.lanes != 0 || (d.m >= 64 && d.k * d.n > (d.n % 256 == 0 ? 8192 : 49152));
    }
    static index_t most_parts(index_t k) { return std::min<index_t>(32, k / 1024); }

    /// The most floats that a product with m rows or fewer and a reduction of k steps or fewer needs: either one is the batch.
    static index_t most_floats(const GemmDims& d, int threads) {
        if (d.m == 0 || d.n == 0) return 0;
        const TileTarget& tile = active_tile();
        GemmDims whole = d, cut = d;  // the largest that is not cut into parts, and that is
        if (d.m * d.n <= gemm_small) whole.k = std::min(d.k, gemm_long - 1);
        cut.m = std::min(d.m, gemm_small / std::max<index_t>(1, d.n));
        const index_t packed_row = round_up(d.n, tile.panel_width), packed = packs(whole, tile) ? std::min(whole.k * packed_row, gemm_packed) : 0;
        if (d.k < gemm_long || cut.m == 0) return packed;
        const index_t own = packs(cut, tile) ? thread_count(threads) * gemm_steps * packed_row : 0;
        return std::max(packed, own + padded_count<float>(cut.m * cut.n) * most_parts(d.k));
    }
    index_t packed_floats(const GemmDims& d, int threads) const {
        if (!pack) return 0;
        return parts == 1 ? std::min(d.k * packed_row, gemm_packed) : thread_count(threads) * gemm_steps * packed_row;
    }
    index_t partial_floats(const GemmDims& d) const { return parts == 1 ? 0 : padded_count<float>(d.m * d.n) * parts; }
};

/// Length of the next block when `left` steps remain: equal blocks of at most gemm_steps.
constexpr index_t next_steps(index_t left) { return ceil_div(left, std::max<index_t>(1, ceil_div(left, gemm_steps))); }

inline index_t GemmPlan::range_end(const GemmDims& d, index_t first) const {
    index_t end = first;
    do end += next_steps(d.k - end);
    while (end < d.k && (end - first + next_steps(d.k - end)) * range_columns <= gemm_packed);
    return end;
}

}  // namespace dla::detail::inline DLA_ABI_TAG

#include <dla/core/end_exact.inl.hpp>
