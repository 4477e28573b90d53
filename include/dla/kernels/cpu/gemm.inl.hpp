// SPDX-License-Identifier: MIT
// Serial parts of the matrix product: packing of one panel of B and one block of C. Included once per target, see gemm.hpp. No include guard on purpose.

/// Packs panel `panel` of B, reduction steps [first, first + steps), to `to` [steps, stored width].
inline void gemm_pack(const GemmDims& d, const float* b, index_t panel, index_t first, index_t steps, float* to) {
    const index_t column = panel * panel_width, cols = std::min(panel_width, d.n - column);
    if (d.transpose_b) {
        pack_columns(steps, cols, stored_width(cols), b + column * d.k + first, d.k, to);
    } else {
        pack_rows(steps, cols, stored_width(cols), b + first * d.n + column, d.n, to);
    }
}

/// C rows [row0, row1), columns [panel0 * panel_width, col1) += or = the steps [first, first + steps) of the reduction. `packed` (or null: B is read where it
/// is) has its panels packed_stride floats apart, each starting at step `first`.
inline void gemm_block(const GemmDims& d, const float* a, const float* b, const float* packed, index_t packed_stride, index_t first, index_t steps, index_t row0, index_t row1,
                       index_t panel0, index_t col1, const float* bias, float beta, float* c) {
    const index_t panels = ceil_div(col1 - panel0 * panel_width, panel_width);
    // Copied rows of A serve several panels from L1; where rows lie a multiple of 1 KB apart they would also evict each other.
    const index_t lda = d.transpose_a ? d.m : d.k;
    const bool copy_a = steps <= gemm_steps && (panels >= 8 || (panels >= 2 && lda % 256 == 0));
    alignas(64) float copied[tile_rows * (gemm_steps + 16)];
    TileLoops loops{.count2 = steps, .step2 = d.transpose_a && !copy_a ? d.m : 1};
    if (d.transpose_a && copy_a) loops.step2 = tile_rows;
    for (index_t row = row0; row < row1; row += tile_rows) {
        const index_t rows = std::min<index_t>(tile_rows, row1 - row);
        const float* from[tile_rows];
        float* to[tile_rows];
        if (copy_a && d.transpose_a) {
            const float* corner = a + first * d.m + row;
            for (index_t s = 0; s < steps; ++s, corner += d.m) {
                if (rows == tile_rows) {
                    std::memcpy(copied + s * tile_rows, corner, tile_rows * sizeof(float));
                } else {
                    for (index_t i = 0; i < rows; ++i) copied[s * tile_rows + i] = corner[i];
                }
            }
        }
        for (index_t i = 0; i < tile_rows; ++i) {
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
            const index_t panel = panel0 + j, column = panel * panel_width, cols = std::min(panel_width, col1 - column);
            for (index_t i = 0; i < rows; ++i) to[i] = c + (row + i) * d.n + column;
            const TileOut out{.c = to, .bias = bias != nullptr ? bias + column : nullptr, .beta = beta, .rows = static_cast<int>(rows), .cols = cols};
            if (packed != nullptr) {
                run_tile(loops, from, packed + j * packed_stride, stored_width(cols), out);
            } else {
                run_tile(loops, from, b + first * d.n + column, d.n, out);
            }
        }
    }
}

/// C [rows, n] = beta * C + bias + the `parts` partial results, `stride` apart, in order.
inline void gemm_combine(index_t rows, index_t n, index_t parts, index_t stride, const float* partial, const float* bias, float beta, float* c) {
    for (index_t row = 0; row < rows; ++row, partial += n, c += n) {
        for (index_t j = 0; j < n; j += lanes) {
            const index_t count = std::min(lanes, n - j);
            Vec sum{};
            for (index_t part = 0; part < parts; ++part) {
                const float* from = partial + part * stride + j;
                sum += count == lanes ? load(from) : load_first(from, count);
            }
            store_row(c + j, sum, bias != nullptr ? bias + j : nullptr, beta, count);
        }
    }
}

inline constexpr GemmTarget gemm_target{&gemm_pack, &gemm_block, &gemm_combine, panel_width, lanes};
