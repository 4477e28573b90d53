// SPDX-License-Identifier: MIT
// The register tile, and sums of few rows. Included once per target, see tile.hpp. No include guard on purpose.

// Accumulators are tile_rows x 2 vectors: 16 of 32 registers leave room for eight row pointers in general registers (AVX-512), 12 of 16 (AVX2), 8 of 16 (base).
inline constexpr int tile_rows = vector_bytes == 64 ? 8 : vector_bytes == 32 ? 6 : 4;
inline constexpr index_t panel_width = 2 * lanes;

/// Copies count < lanes floats in at most four moves.
inline void copy_first(float* to, const float* from, index_t count) {
    if constexpr (lanes > 8) {
        if ((count & 8) != 0) std::memcpy(to, from, 32), to += 8, from += 8;
    }
    if constexpr (lanes > 4) {
        if ((count & 4) != 0) std::memcpy(to, from, 16), to += 4, from += 4;
    }
    if ((count & 2) != 0) std::memcpy(to, from, 8), to += 2, from += 2;
    if ((count & 1) != 0) *to = *from;
}

inline Vec load_first(const float* p, index_t count) {
    alignas(vector_bytes) float v[lanes] = {};
    copy_first(v, p, count);
    return load(v);
}

/// The first `count` values of c = v + beta * c + bias.
inline void store_row(float* c, Vec v, const float* bias, float beta, index_t count) {
    const bool whole = count >= lanes;
    if (bias != nullptr) v += whole ? load(bias) : load_first(bias, count);
    if (beta != 0.0f) {
        const Vec old = whole ? load(c) : load_first(c, count);
        v += beta == 1.0f ? old : splat(beta) * old;
    }
    if (whole) return store(c, v);
    alignas(vector_bytes) float values[lanes];
    store(values, v);
    copy_first(c, values, count);
}

/// The rare ends of a tile: columns that are not whole vectors, or a beta that is neither 0 nor 1. sums [rows, width].
[[gnu::noinline]] inline void store_tile(const TileOut& out, const float* sums, index_t width) {
    for (int i = 0; i < out.rows; ++i) {
        for (index_t j = 0; j < out.cols; j += lanes)
            store_row(out.c[i] + j, load(sums + i * width + j), out.bias != nullptr ? out.bias + j : nullptr, out.beta, std::min(lanes, out.cols - j));
    }
}

/// Rows x (Vectors * lanes) sums over the loops; a has Rows pointers (those past out.rows repeat a valid one), b advances by ldb each step.
/// Each sum is one chain in the order of the loops, so the bits do not depend on how C is cut into tiles.
template <int Rows, int Vectors>
[[gnu::noinline]] void tile(const TileLoops& loops, const float* const* rows, const float* b, index_t ldb, const TileOut& out) {
    Vec sum[Rows][Vectors];
    const float* a[Rows];
#pragma GCC unroll 64
    for (int i = 0; i < Rows; ++i) {
        a[i] = rows[i];
#pragma GCC unroll 64
        for (int j = 0; j < Vectors; ++j) sum[i][j] = Vec{};
    }
    if (out.beta != 0.0f) {  // on its way while the sums are made
        for (int i = 0; i < out.rows; ++i) {
            __builtin_prefetch(out.c[i], 1);
            if constexpr (Vectors * vector_bytes > 64) __builtin_prefetch(out.c[i] + lanes, 1);
        }
    }
    const index_t count2 = loops.count2, step2 = loops.step2;
    for (index_t t0 = 0; t0 < loops.count0; ++t0) {
        for (index_t t1 = 0; t1 < loops.count1; ++t1) {
            index_t at = t0 * loops.step0 + t1 * loops.step1;
#pragma GCC unroll 4
            for (index_t left = count2; left > 0; --left) {
                Vec right[Vectors];
#pragma GCC unroll 64
                for (int j = 0; j < Vectors; ++j) right[j] = load(b + j * lanes);
#pragma GCC unroll 64
                for (int i = 0; i < Rows; ++i) {
                    const Vec value = splat(a[i][at]);
#pragma GCC unroll 64
                    for (int j = 0; j < Vectors; ++j) sum[i][j] += value * right[j];
                }
                b += ldb;
                at += step2;
            }
        }
    }
    if (out.cols == Vectors * lanes && (out.beta == 0.0f || out.beta == 1.0f)) {
        Vec bias[Vectors] = {};
        if (out.bias != nullptr) {
            for (int j = 0; j < Vectors; ++j) bias[j] = load(out.bias + j * lanes);
        }
        const bool add = out.beta != 0.0f;
#pragma GCC unroll 64
        for (int i = 0; i < Rows; ++i) {
            if (i >= out.rows) return;
#pragma GCC unroll 64
            for (int j = 0; j < Vectors; ++j) {
                float* c = out.c[i] + j * lanes;
                store(c, add ? sum[i][j] + bias[j] + load(c) : sum[i][j] + bias[j]);
            }
        }
        return;
    }
    alignas(64) float sums[Rows * Vectors * lanes];
#pragma GCC unroll 64
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 64
        for (int j = 0; j < Vectors; ++j) store(sums + (i * Vectors + j) * lanes, sum[i][j]);
    }
    store_tile(out, sums, Vectors * lanes);
}

template <int Vectors>
void tile_of_rows(const TileLoops& loops, const float* const* rows, const float* b, index_t ldb, const TileOut& out) {
    if (out.rows > 4) return tile<tile_rows, Vectors>(loops, rows, b, ldb, out);
    if (out.rows > 2) return tile<4, Vectors>(loops, rows, b, ldb, out);
    if (out.rows == 2) return tile<2, Vectors>(loops, rows, b, ldb, out);
    tile<1, Vectors>(loops, rows, b, ldb, out);
}

/// One tile of at most tile_rows rows and panel_width columns; `rows` has tile_rows pointers.
[[gnu::noinline]] inline void run_tile(const TileLoops& loops, const float* const* rows, const float* b, index_t ldb, const TileOut& out) {
    if (out.cols > lanes) return tile_of_rows<2>(loops, rows, b, ldb, out);
    tile_of_rows<1>(loops, rows, b, ldb, out);
}

template <int Rows, int Vectors>
[[gnu::always_inline]] inline void panel_tile(const PanelRows& p, index_t row) {
    Vec sum[Rows][Vectors];
    const float* a[Rows];
#pragma GCC unroll 64
    for (int i = 0; i < Rows; ++i) {
        a[i] = p.a + (row + i) * p.row_step;
#pragma GCC unroll 64
        for (int j = 0; j < Vectors; ++j) sum[i][j] = Vec{};
    }
    if (p.add) {  // on its way while the sums are made
#pragma GCC unroll 64
        for (int i = 0; i < Rows; ++i) {
            __builtin_prefetch(p.c + (row + i) * p.ldc, 1);
            if constexpr (Vectors * vector_bytes > 64) __builtin_prefetch(p.c + (row + i) * p.ldc + lanes, 1);
        }
    }
    const float* b = p.b;
    const index_t step = p.step, ldb = p.ldb;
    index_t at = 0;
#pragma GCC unroll 4
    for (index_t left = p.steps; left > 0; --left) {
        Vec right[Vectors];
#pragma GCC unroll 64
        for (int j = 0; j < Vectors; ++j) right[j] = load(b + j * lanes);
#pragma GCC unroll 64
        for (int i = 0; i < Rows; ++i) {
            const Vec value = splat(a[i][at]);
#pragma GCC unroll 64
            for (int j = 0; j < Vectors; ++j) sum[i][j] += value * right[j];
        }
        b += ldb;
        at += step;
    }
    float* c = p.c + row * p.ldc;
    const bool add = p.add;
    if (p.bias != nullptr) {
#pragma GCC unroll 64
        for (int j = 0; j < Vectors; ++j) {
            const Vec bias = load(p.bias + j * lanes);
#pragma GCC unroll 64
            for (int i = 0; i < Rows; ++i) sum[i][j] += bias;
        }
    }
#pragma GCC unroll 64
    for (int i = 0; i < Rows; ++i, c += p.ldc) {
#pragma GCC unroll 64
        for (int j = 0; j < Vectors; ++j) store(c + j * lanes, add ? sum[i][j] + load(c + j * lanes) : sum[i][j]);
    }
}

template <int Vectors>
[[gnu::noinline]] void panel_of_rows(const PanelRows& p) {
    index_t row = 0;
    for (; row + tile_rows <= p.rows && !(tile_rows == 6 && p.rows - row == 8); row += tile_rows) panel_tile<tile_rows, Vectors>(p, row);
    if constexpr (tile_rows > 4)
        for (; row + 4 <= p.rows; row += 4) panel_tile<4, Vectors>(p, row);
    if (row + 2 <= p.rows) panel_tile<2, Vectors>(p, row), row += 2;
    if (row < p.rows) panel_tile<1, Vectors>(p, row);
}

[[gnu::noinline]] inline void run_panel(const PanelRows& p) {
    if (p.cols > lanes) return panel_of_rows<2>(p);
    panel_of_rows<1>(p);
}

inline constexpr int most_dot_rows = vector_bytes == 64 ? 4 : 2;  // with four columns: 16 sums of 32 registers, or 8 of 16

/// Rows [row, row + M) times columns [col, col + 4), those past d.cols left out.
template <int M>
[[gnu::always_inline]] inline void dot_block(const DotRows& d, index_t row, index_t col) {
    Vec sum[M][4] = {};
    const float* b[4];
#pragma GCC unroll 4
    for (index_t j = 0; j < 4; ++j) b[j] = d.b + std::min(col + j, d.cols - 1) * d.steps;
    const float* a = d.a + row * d.steps;
    index_t s = 0;
    for (; s + lanes <= d.steps; s += lanes) {
#pragma GCC unroll 4
        for (int i = 0; i < M; ++i) {
            const Vec left = load(a + i * d.steps + s);
#pragma GCC unroll 4
            for (int j = 0; j < 4; ++j) sum[i][j] += left * load(b[j] + s);
        }
    }
    if (const index_t rest = d.steps - s; rest > 0) {
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
            const Vec right = load_first(b[j] + s, rest);
#pragma GCC unroll 4
            for (int i = 0; i < M; ++i) sum[i][j] += load_first(a + i * d.steps + s, rest) * right;
        }
    }
    for (int i = 0; i < M; ++i) {
        for (index_t j = 0; j < 4 && col + j < d.cols; ++j) {
            alignas(vector_bytes) float lane[lanes];
            store(lane, sum[i][j]);
            Quad four = *reinterpret_cast<const QuadUnaligned*>(lane);
            for (index_t q = 4; q < lanes; q += 4) four += *reinterpret_cast<const QuadUnaligned*>(lane + q);
            float total = (four[0] + four[2]) + (four[1] + four[3]);
            float& c = d.c[(row + i) * d.ldc + col + j];
            if (d.bias != nullptr) total += d.bias[col + j];
            if (d.beta != 0.0f) total += d.beta * c;
            c = total;
        }
    }
}

/// All rows and columns: each of B's rows is read once from far.
[[gnu::noinline]] inline void dot_rows(const DotRows& d) {
    for (index_t col = 0; col < d.cols; col += 4) {
        index_t row = 0;
        for (; row + most_dot_rows <= d.rows; row += most_dot_rows) dot_block<most_dot_rows>(d, row, col);
        if constexpr (most_dot_rows > 2)
            if (row + 2 <= d.rows) dot_block<2>(d, row, col), row += 2;
        if (row < d.rows) dot_block<1>(d, row, col);
    }
}

/// to [cols] = the sum of `rows` rows of `from`, ld apart, + beta * to + bias (or null).
[[gnu::noinline]] inline void sum_rows(index_t rows, index_t cols, const float* from, index_t ld, const float* bias, float beta, float* to) {
    for (index_t j = 0; j < cols; j += lanes) {
        const index_t count = std::min(lanes, cols - j);
        const auto at = [=](index_t row) __attribute__((always_inline)) {
            return count == lanes ? load(from + row * ld + j) : load_first(from + row * ld + j, count);
        };
        Vec chain[4] = {};  // an addition takes four cycles
        index_t row = 0;
        if (count == lanes) {
            for (; row + 4 <= rows; row += 4) {
#pragma GCC unroll 4
                for (int i = 0; i < 4; ++i) chain[i] += load(from + (row + i) * ld + j);
            }
        } else {
            for (; row + 4 <= rows; row += 4) {
                for (int i = 0; i < 4; ++i) chain[i] += at(row + i);
            }
        }
        if (row < rows) chain[0] += at(row);
        if (row + 1 < rows) chain[1] += at(row + 1);
        if (row + 2 < rows) chain[2] += at(row + 2);
        store_row(to + j, (chain[0] + chain[1]) + (chain[2] + chain[3]), bias != nullptr ? bias + j : nullptr, beta, count);
    }
}

inline constexpr TileTarget tile_target{&run_tile, &run_panel, &pack_rows, &pack_columns, &dot_rows, &sum_rows, tile_rows, lanes, panel_width};
