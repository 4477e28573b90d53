// SPDX-License-Identifier: MIT
// Matrix product of the Cpu<float> policy: packed panels of B, register tiles that read A in place, threads over tiles of C.
#pragma once

#include <dla/kernels/cpu/gemm_plan.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Packs panel `panel` of B, reduction steps [first, first + steps), to `to` [steps, stored width].
inline void gemm_pack(const TileTarget& tile, const GemmDims& d, const float* b, index_t panel, index_t first, index_t steps, float* to) {
    const index_t column = panel * tile.panel_width, cols = std::min(tile.panel_width, d.n - column);
    if (d.transpose_b) {
        tile.pack_columns(steps, cols, tile.stored_width(cols), b + column * d.k + first, d.k, to);
    } else {
        tile.pack_rows(steps, cols, tile.stored_width(cols), b + first * d.n + column, d.n, to);
    }
}

/// C rows [row0, row1), columns [panel0 * panel_width, col1) += or = the steps [first, first + steps) of the reduction. `packed` (or null: B is read where it
/// is) has its panels packed_stride floats apart, each starting at step `first`.
inline void gemm_block(const TileTarget& tile, const GemmDims& d, const float* a, const float* b, const float* packed, index_t packed_stride, index_t first,
                       index_t steps, index_t row0, index_t row1, index_t panel0, index_t col1, const float* bias, float beta, float* c) {
    const index_t panels = ceil_div(col1 - panel0 * tile.panel_width, tile.panel_width);
    // Copied rows of A serve several panels from L1, which pays for many rows; where rows lie a multiple of 1 KB apart they would also evict each other.
    const index_t lda = d.transpose_a ? d.m : d.k;
    const bool copy_a = steps <= gemm_steps && ((panels >= 8 && row1 - row0 > 24) || (panels >= 2 && lda % 256 == 0));
    if (!copy_a && (col1 - panel0 * tile.panel_width) % tile.lanes == 0 && (beta == 0 || beta == 1)) {
        const index_t together = std::max<index_t>(24, 8192 / std::max<index_t>(1, steps) / 24 * 24);  // rows of A that stay in L1
        for (index_t row = row0; row < row1; row += together) {
            for (index_t j = 0; j < panels; ++j) {
                const index_t column = (panel0 + j) * tile.panel_width, cols = std::min(tile.panel_width, col1 - column);
                tile.run_panel({.rows = std::min(together, row1 - row),
                                .steps = steps,
                                .a = d.transpose_a ? a + first * d.m + row : a + row * d.k + first,
                                .row_step = d.transpose_a ? 1 : d.k,
                                .step = d.transpose_a ? d.m : 1,
                                .b = packed != nullptr ? packed + j * packed_stride : b + first * d.n + column,
                                .ldb = packed != nullptr ? tile.stored_width(cols) : d.n,
                                .c = c + row * d.n + column,
                                .ldc = d.n,
                                .cols = cols,
                                .add = beta != 0,
                                .bias = bias != nullptr ? bias + column : nullptr});
            }
        }
        return;
    }
    alignas(64) float copied[max_tile_rows * (gemm_steps + 16)];
    TileLoops loops{.count2 = steps, .step2 = d.transpose_a && !copy_a ? d.m : 1};
    if (d.transpose_a && copy_a) loops.step2 = max_tile_rows;
    for (index_t row = row0, rows; row < row1; row += rows) {
        rows = tile.next_rows(row1 - row);
        const float* from[max_tile_rows];
        float* to[max_tile_rows];
        if (copy_a && d.transpose_a) {
            const float* corner = a + first * d.m + row;
            for (index_t s = 0; s < steps; ++s, corner += d.m) {
                if (row + max_tile_rows <= d.m) {
                    std::memcpy(copied + s * max_tile_rows, corner, max_tile_rows * sizeof(float));
                } else {
                    for (index_t i = 0; i < rows; ++i) copied[s * max_tile_rows + i] = corner[i];
                }
            }
        }
        for (index_t i = 0; i < tile.rows; ++i) {
            const index_t r = std::min(i, rows - 1);
            if (d.transpose_a) {
                from[i] = copy_a ? copied + r : a + first * d.m + row + r;
            } else if (copy_a) {
                from[i] = copied + r * (gemm_steps + 16);
                if (i < rows) std::memcpy(copied + i * (gemm_steps + 16), a + (row + i) * d.k + first, static_cast<std::size_t>(steps) * sizeof(float));
            } else {
                from[i] = a + (row + r) * d.k + first;
            }
        }
        for (index_t j = 0; j < panels; ++j) {
            const index_t panel = panel0 + j, column = panel * tile.panel_width, cols = std::min(tile.panel_width, col1 - column);
            for (index_t i = 0; i < rows; ++i) to[i] = c + (row + i) * d.n + column;
            const TileOut out{.c = to, .bias = bias != nullptr ? bias + column : nullptr, .beta = beta, .rows = static_cast<int>(rows), .cols = cols};
            if (packed != nullptr) {
                tile.run(loops, from, packed + j * packed_stride, tile.stored_width(cols), out);
            } else {
                tile.run(loops, from, b + first * d.n + column, d.n, out);
            }
        }
    }
}

/// Panels of B in memory of their own: `values` [whole blocks of steps from `first`, panels from `panel0`, steps of the block, panel_width], or null: B is read
/// where it is. `row`: floats a step takes.
struct GemmPanels {
    const float* values = nullptr;
    index_t row = 0, first = 0, panel0 = 0;
};

/// Rows [row0, row1) and columns [col0, col1) of C, steps [first, stop) of a reduction that ends at `last`.
inline void gemm_run(const GemmPlan& plan, const GemmDims& d, const float* a, const float* b, const GemmPanels& packed, index_t first, index_t stop,
                     index_t last, index_t row0, index_t row1, index_t col0, index_t col1, const float* bias, float beta, float* c) {
    const index_t panel0 = col0 / plan.tile.panel_width;
    index_t at = first;
    do {
        const index_t steps = next_steps(last - at), stride = plan.tile.panel_width * steps;
        const float* block = packed.values == nullptr ? nullptr : packed.values + (at - packed.first) * packed.row + (panel0 - packed.panel0) * stride;
        gemm_block(plan.tile, d, a, b, block, stride, at, steps, row0, row1, panel0, col1, bias, beta, c);
        at += steps, bias = nullptr, beta = 1;
    } while (at < stop);
}

/// Columns [col0, col1) of B, steps [first, stop), into panels at `to`.
inline GemmPanels gemm_pack_range(int threads, const GemmPlan& plan, const GemmDims& d, const float* b, index_t col0, index_t col1, index_t first,
                                  index_t stop, float* to) {
    const index_t width = plan.tile.panel_width, panel0 = col0 / width, panels = ceil_div(col1 - col0, width);
    const index_t together = std::max<index_t>(1, 16384 / std::max<index_t>(1, width * (stop - first)));  // for a task of some 4 us
    parallel_for(threads, ceil_div(panels, together), [&](index_t task, int) {
        for (index_t at = first; at < stop;) {
            const index_t steps = next_steps(d.k - at);
            for (index_t panel = task * together; panel < std::min(panels, (task + 1) * together); ++panel)
                gemm_pack(plan.tile, d, b, panel0 + panel, at, steps, to + (at - first) * panels * width + panel * width * steps);
            at += steps;
        }
    });
    return {to, panels * width, first, panel0};
}
/// All of B.
inline GemmPanels gemm_pack_all(int threads, const GemmPlan& plan, const GemmDims& d, const float* b, float* to) {
    return gemm_pack_range(threads, plan, d, b, 0, d.n, 0, d.k, to);
}

/// Threads for a product: one where it is over before a second has begun.
inline int gemm_threads(const Cpu<float>& p, const GemmDims& d) { return d.m * d.n * d.k < gemm_parallel ? 1 : p.threads; }

/// All rows, columns [col0, col1), steps [first, stop) of the reduction.
inline void gemm_range(int threads, const GemmPlan& plan, const GemmDims& d, const float* a, const float* b, const GemmPanels& packed, index_t col0,
                       index_t col1, index_t first, index_t stop, const float* bias, float beta, float* c) {
    const auto run = [&](index_t row0, index_t row1, index_t from, index_t to) {
        gemm_run(plan, d, a, b, packed, first, stop, d.k, row0, row1, from, to, first == 0 ? bias : nullptr, first == 0 ? beta : 1, c);
    };
    if (threads == 1) return run(0, d.m, col0, col1);
    const index_t block = plan.row_block(d, col1 - col0, thread_count(threads)), row_blocks = ceil_div(d.m, block);
    parallel_for(threads, row_blocks * ceil_div(col1 - col0, plan.column_block), [&](index_t task, int) {
        const index_t row = task % row_blocks * block, column = col0 + task / row_blocks * plan.column_block;
        run(row, std::min(d.m, row + block), column, std::min(col1, column + plan.column_block));
    });
}

/// What is packed of B at a time stays in a cache until all rows of A have met it. Each value of C has the same sums however many times that is.
inline void gemm_whole(const Cpu<float>& p, const GemmPlan& plan, float* room, const GemmDims& d, const float* a, const float* b, const float* bias,
                       float beta, float* c) {
    const int threads = gemm_threads(p, d);
    if (!plan.pack) return gemm_range(threads, plan, d, a, b, {}, 0, d.n, 0, d.k, bias, beta, c);
    for (index_t col = 0; col < d.n; col += plan.range_columns) {
        const index_t end = std::min(d.n, col + plan.range_columns);
        index_t first = 0;
        do {
            const index_t stop = plan.range_end(d, first);
            gemm_range(threads, plan, d, a, b, gemm_pack_range(threads, plan, d, b, col, end, first, stop, room), col, end, first, stop, bias, beta, c);
            first = stop;
        } while (first < d.k);
    }
}

/// Long reductions to a small C: each part of the reduction makes its own C, which are then added in order.
inline void gemm_in_parts(const Cpu<float>& p, const GemmPlan& plan, float* packed, float* partial, const GemmDims& d, const float* a, const float* b,
                          const float* bias, float beta, float* c) {
    const index_t stride = padded_count<float>(d.m * d.n);
    parallel_for(p.threads, plan.parts, [&](index_t part, int thread) {
        const index_t last = std::min(d.k, (part + 1) * plan.part_steps);
        float* own = packed + thread * gemm_steps * plan.packed_row;
        bool first = true;
        for (index_t at = part * plan.part_steps; at < last; first = false) {
            const index_t steps = next_steps(last - at), width = plan.tile.panel_width;
            if (plan.pack) {
                for (index_t panel = 0; panel < ceil_div(d.n, width); ++panel) gemm_pack(plan.tile, d, b, panel, at, steps, own + panel * width * steps);
            }
            gemm_block(plan.tile, d, a, b, plan.pack ? own : nullptr, width * steps, at, steps, 0, d.m, 0, d.n, nullptr, first ? 0.0f : 1.0f,
                       partial + part * stride);
            at += steps;
        }
    });
    const index_t rows = ceil_div(d.m, 8);
    parallel_for(p.threads, ceil_div(d.m, rows), [&](index_t task, int) {
        for (index_t row = task * rows; row < std::min(d.m, (task + 1) * rows); ++row)
            plan.tile.sum_rows(plan.parts, d.n, partial + row * d.n, stride, bias, beta, c + row * d.n);
    });
}

/// Few rows times the transpose of a matrix that is read once, where it is: a sample alone, whose product waits for memory.
inline bool gemm_dots(const GemmDims& d) { return d.transpose_b && !d.transpose_a && d.m <= gemm_few && d.k > 0; }
inline void gemm_by_dots(const Cpu<float>& p, const GemmDims& d, const float* a, const float* b, const float* bias, float beta, float* c) {
    const TileTarget& tile = active_tile();
    const index_t columns = std::max<index_t>(4, round_up(ceil_div(65536, d.k * d.m), 4)), tasks = ceil_div(d.n, columns);
    parallel_for(d.m * d.n * d.k < gemm_parallel ? 1 : p.threads, tasks, [&](index_t task, int) {
        const index_t first = task * columns;
        tile.dot_rows({.rows = d.m,
                       .cols = std::min(columns, d.n - first),
                       .steps = d.k,
                       .a = a,
                       .b = b + first * d.k,
                       .bias = bias != nullptr ? bias + first : nullptr,
                       .beta = beta,
                       .c = c + first,
                       .ldc = d.n});
    });
}

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla {

/// Bytes of scratch that `gemm` wants: packed B, and the partial results of a long reduction.
DLA_ONCE index_t gemm_scratch(const Cpu<float>& p, const GemmDims& d) {
    return align_up(detail::GemmPlan::most_floats(d, p.threads) * static_cast<index_t>(sizeof(float)));
}

/// C [m, n] = op(A) [m, k] * op(B) [k, n] + beta * C + bias [n] (or null); beta = 0 never reads C. C overlaps neither A nor B.
DLA_ONCE void gemm(const Cpu<float>& p, std::byte* scratch, const GemmDims& d, const float* a, const float* b, const float* bias, float beta, float* c) {
    if (d.m == 0 || d.n == 0) return;
    if (d.k == 0) a = b = c;  // never read, and null pointers take no offsets
    if (detail::gemm_dots(d)) return detail::gemm_by_dots(p, d, a, b, bias, beta, c);
    const detail::GemmPlan plan(d);
    auto* floats = reinterpret_cast<float*>(scratch);
    if (plan.parts == 1) return detail::gemm_whole(p, plan, floats, d, a, b, bias, beta, c);
    detail::gemm_in_parts(p, plan, floats + plan.partial_floats(d), floats, d, a, b, bias, beta, c);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
