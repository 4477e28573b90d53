// SPDX-License-Identifier: MIT
// Convolutions of 3 x 3 taps with a quarter of the multiplications (Winograd 1980; Lavin and Gray 2016): tiles of 4 x 4 results, transformed a few at a time,
// multiplied by the transformed weights while they lie in cache, and transformed back. The gradient of w is the same with the roles of w and y exchanged.
// Roundings are larger than those of a direct sum, by the factors 4, 5 and 8 of the transforms: see tests/kernels/test_winograd.cpp for the bound.
#pragma once

#include <dla/kernels/cpu/conv2d_source.hpp>
#include <dla/kernels/cpu/simd_math.hpp>
#include <dla/kernels/cpu/winograd_plan.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// What is compiled once for each instruction set.
struct WinogradTarget {
    void (*input)(const float* image, const WinogradWindow&, index_t channels, float* to, index_t step);
    void (*gradient)(const float* image, const WinogradWindow&, index_t channels, float* to, index_t step);
    void (*output)(const float* from, index_t step, const float* bias, const WinogradWindow&, index_t channels, float* image);
    void (*weights)(const float* w, index_t tap_step, index_t channels, float* to, index_t step);
    void (*taps)(const float* from, index_t parts, index_t part_step, index_t step, index_t channels, float* to, index_t to_step);
};

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/winograd.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/winograd.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/winograd.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla::detail::inline DLA_ABI_TAG {

inline const WinogradTarget& active_winograd() { return *select_isa(&base::winograd_target, &avx2::winograd_target, &avx512::winograd_target); }

/// Transforms the weights of one panel of destination channels; `space` holds own_floats.
inline void winograd_pack(const TileTarget& tile, const WinogradTarget& winograd, const WinogradPlan& plan, index_t panel, const float* w, float* packed,
                          float* space) {
    const index_t column = panel * tile.panel_width, cols = std::min(tile.panel_width, plan.dst_c - column), width = tile.stored_width(cols);
    float* to = packed + column * plan.src_c;
    if (plan.turned) {  // w is [src_c, 9, dst_c]; tap t of the turned kernel is tap 8 - t
        for (index_t s = 0; s < plan.src_c; ++s)
            winograd.weights(w + (s * 9 + 8) * plan.dst_c + column, -plan.dst_c, cols, to + s * width, plan.place_weights());
        return;
    }
    for (index_t s = 0; s < plan.src_c; s += plan.chunk) {
        const index_t here = std::min(plan.chunk, plan.src_c - s);
        for (index_t j = 0; j < cols; ++j)
            winograd.weights(w + (column + j) * 9 * plan.src_c + s, plan.src_c, here, space + j * winograd_places * plan.chunk, plan.chunk);
        for (index_t q = 0; q < winograd_places; ++q)
            tile.pack_columns(here, cols, width, space + q * plan.chunk, winograd_places * plan.chunk, to + q * plan.place_weights() + s * width);
    }
}

/// The patches of a source that tiles depend on, one after the other: those of a row of tiles lie in one window.
class WinogradPatches {
public:
    WinogradPatches(const ConvSource& source, const WinogradTiles& tiles, index_t height, index_t width, index_t channels, index_t pad_h, index_t pad_w,
                    int thread)
        : src(source), of(tiles), h(height), w(width), c(channels), top(pad_h), left(pad_w), window(source.window(thread)) {}

    static index_t window_floats(const WinogradTiles& tiles, index_t channels) { return 6 * tiles.span() * channels; }

    /// The transformed patch of a tile, to to[q * step + channel].
    void transform(const WinogradTarget& winograd, index_t tile, float* to, index_t step) {
        const auto at = of.place(tile);
        const index_t row = at.row - top, column = at.column - left;
        const float* image = src.values + at.image * h * w * c;
        if (src.norm == nullptr)
            return winograd.input(image + (row * w + column) * c, winograd_source(h, w, c, row, column, of.rows(at), of.columns(at)), c, to, step);
        if (tile / of.across != line) {
            const bool goes_on = tile / of.across == line + 1 && row + top > 0;  // its first two rows are the last two of the one above
            const index_t floats = of.span() * c, ready = goes_on ? 2 : 0;
            std::copy_n(window + 4 * floats, ready * floats, window);
            src.copy_window(image, h, w, c, {row + ready, row + 6}, {-left, of.span() - left}, window + ready * floats);
            line = tile / of.across;
        }
        winograd.input(window + at.column * c, {of.span() * c, c, 0, 6, 0, 6, of.rows(at), of.columns(at)}, c, to, step);
    }

private:
    const ConvSource& src;
    const WinogradTiles& of;
    index_t h, w, c, top, left;
    float* window;
    index_t line = -2;  // the row of tiles whose window it is: none
};

/// Tiles [first, first + count), at most a block; `dst` is where result number `origin` goes; `space` holds own_floats.
inline void winograd_block(const TileTarget& tile, const WinogradTarget& winograd, const WinogradPlan& plan, index_t first, index_t count,
                           WinogradPatches& patches, const float* packed, const float* bias, float* dst, index_t origin, float* space) {
    float *transformed = space, *products = space + winograd_places * plan.place_floats;
    const WinogradOrder order(plan.tiles, first, count);
    WinogradOrder::Walk sources(order);
    for (index_t t = first; t < first + count; ++t) patches.transform(winograd, t, transformed + sources.next() * plan.src_row, plan.place_floats);
    for (index_t column0 = 0; column0 < plan.dst_c; column0 += plan.product_row) {
        const index_t columns = std::min(plan.product_row, plan.dst_c - column0);
        for (index_t q = 0; q < winograd_places; ++q) {
            const auto [from, to] = order.tiles_with(q);
            for (index_t j = 0; j < columns; j += tile.panel_width) {
                const index_t cols = std::min(tile.panel_width, columns - j);
                tile.run_panel({.rows = to - from,
                                .steps = plan.src_c,
                                .a = transformed + q * plan.place_floats + from * plan.src_row,
                                .row_step = plan.src_row,
                                .step = 1,
                                .b = packed + q * plan.place_weights() + (column0 + j) * plan.src_c,
                                .ldb = tile.stored_width(cols),
                                .c = products + q * plan.product_floats + from * plan.product_row + j,
                                .ldc = plan.product_row,
                                .cols = cols,
                                .add = false});
            }
        }
        WinogradOrder::Walk results(order);
        for (index_t t = first; t < first + count; ++t) {
            const auto at = plan.tiles.place(t);
            winograd.output(products + results.next() * plan.product_row, plan.product_floats, bias != nullptr ? bias + column0 : nullptr,
                            plan.tiles.results(at, plan.dst_c), columns, dst + (plan.tiles.results_at(at) - origin) * plan.dst_c + column0);
        }
    }
}

/// Transforms all weights; `space` holds own_floats for each thread.
inline void winograd_pack_all(int threads, const WinogradPlan& plan, const float* w, float* packed, float* space) {
    const TileTarget& tile = active_tile();
    const WinogradTarget& winograd = active_winograd();
    parallel_for(threads, plan.panels(tile),
                 [&](index_t panel, int thread) { winograd_pack(tile, winograd, plan, panel, w, packed, space + thread * plan.own_floats()); });
}

/// `packed`: the transformed weights.
inline void winograd_correlate_packed(const Cpu<float>& p, float* space, const WinogradPlan& plan, const ConvSource& src, const float* packed,
                                      const float* bias, float* dst, const ConvFinish& finish) {
    const TileTarget& tile = active_tile();
    const WinogradTarget& winograd = active_winograd();
    parallel_for(p.threads, plan.tasks(), [&](index_t number, int thread) {
        const ConvTask task = plan.task(number);
        const ConvTarget to = finish.target(task, dst, thread);
        const index_t end = std::min(plan.tiles.lines(), (number + 1) * plan.task_lines) * plan.tiles.across;
        WinogradPatches patches(src, plan.tiles, plan.src_h, plan.src_w, plan.src_c, plan.pad_h, plan.pad_w, thread);
        for (index_t first = number * plan.task_lines * plan.tiles.across; first < end; first += plan.block)
            winograd_block(tile, winograd, plan, first, std::min(plan.block, end - first), patches, packed, bias, to.values, to.origin,
                           space + thread * plan.own_floats());
        finish(number, task, to, plan.dst_c, thread);
    });
}

inline void winograd_correlate(const Cpu<float>& p, std::byte* scratch, const WinogradPlan& plan, const ConvSource& src, const float* w, const float* bias,
                               float* dst, const ConvFinish& finish) {
    auto* packed = reinterpret_cast<float*>(scratch);
    float* space = packed + plan.packed_floats();
    winograd_pack_all(p.threads, plan, w, packed, space);
    winograd_correlate_packed(p, space, plan, src, packed, bias, dst, finish);
}

/// As winograd_correlate_packed, the same bits, for few tiles: threads share the destination's channels, so that each reads its part of the weights once.
/// `space` holds all_floats; `results` all of dst where `finish` keeps none of it, else it is dst.
inline void winograd_correlate_few(const Cpu<float>& p, float* space, const WinogradPlan& plan, const float* src, const float* packed, const float* bias,
                                   float* results, const ConvFinish& finish) {
    const TileTarget& tile = active_tile();
    const WinogradTarget& winograd = active_winograd();
    const index_t count = plan.tiles.count, place = plan.all_place_floats(), product_place = plan.all_product_floats(), width = tile.panel_width;
    const ConvSource source(src);
    const WinogradOrder order(plan.tiles, 0, count);
    parallel_for(p.threads, count, [&](index_t t, int thread) {
        WinogradPatches(source, plan.tiles, plan.src_h, plan.src_w, plan.src_c, plan.pad_h, plan.pad_w, thread)
            .transform(winograd, t, space + order.position(t) * plan.src_row, place);
    });
    parallel_for(p.threads, plan.panels(tile), [&](index_t panel, int thread) {
        const index_t column = panel * width, cols = std::min(width, plan.dst_c - column);
        float* products = space + plan.all_patches() + thread * winograd_places * product_place;
        for (index_t q = 0; q < winograd_places; ++q) {
            const auto [from, to] = order.tiles_with(q);
            tile.run_panel({.rows = to - from,
                            .steps = plan.src_c,
                            .a = space + q * place + from * plan.src_row,
                            .row_step = plan.src_row,
                            .step = 1,
                            .b = packed + q * plan.place_weights() + column * plan.src_c,
                            .ldb = tile.stored_width(cols),
                            .c = products + q * product_place + from * width,
                            .ldc = width,
                            .cols = cols,
                            .add = false});
        }
        for (index_t t = 0; t < count; ++t) {
            const auto at = plan.tiles.place(t);
            winograd.output(products + order.position(t) * width, product_place, bias != nullptr ? bias + column : nullptr,
                            plan.tiles.results(at, plan.dst_c), cols, results + plan.tiles.results_at(at) * plan.dst_c + column);
        }
    });
    if (finish.run == nullptr) return;
    parallel_for(p.threads, plan.tasks(), [&](index_t number, int thread) { finish(number, plan.task(number), {results, 0}, plan.dst_c, thread); });
}

/// One part: its sums over its rows of tiles. `space` holds own_floats.
inline void winograd_weights_part(const TileTarget& tile, const WinogradTarget& winograd, const WinogradWeightsPlan& plan, index_t part, const ConvSource& x,
                                  const float* dy, float* sums, bool with_bias, float* space, int thread) {
    const Conv2dDims& d = plan.d;
    const WinogradTiles& tiles = plan.tiles;
    const index_t line0 = plan.lines() * part / plan.parts, line1 = plan.lines() * (part + 1) / plan.parts;
    const index_t in_place = plan.in_place(), out_place = plan.out_place();
    float *inputs = space, *gradients = space + winograd_places * in_place;
    float* bias = sums + winograd_places * plan.place_sums();
    if (with_bias) {
        std::fill_n(bias, d.out_channels, 0.0f);
        for (index_t line = line0; line < line1; ++line) {
            const index_t row = line % tiles.down * 4;
            tile.sum_rows(std::min<index_t>(4, d.out_height - row) * d.out_width, d.out_channels,
                          dy + (line / tiles.down * d.out_height + row) * d.out_width * d.out_channels, d.out_channels, nullptr, 1, bias);
        }
    }
    const index_t end = line1 * tiles.across;
    WinogradPatches patches(x, tiles, d.height, d.width, d.in_channels, d.pad_top, d.pad_left, thread);
    for (index_t first = line0 * tiles.across, start = first; first < end; first += plan.block) {
        const index_t count = std::min(plan.block, end - first);
        const WinogradOrder order(tiles, first, count);
        WinogradOrder::Walk positions(order);
        for (index_t t = first; t < first + count; ++t) {
            const auto at = tiles.place(t);
            const index_t position = positions.next();
            patches.transform(winograd, t, inputs + position * plan.in_row, in_place);
            winograd.gradient(dy + ((at.image * d.out_height + at.row) * d.out_width + at.column) * d.out_channels, tiles.results(at, d.out_channels),
                              d.out_channels, gradients + position * plan.out_row, out_place);
        }
        for (index_t q = 0; q < winograd_places; ++q) {
            const auto [from, to] = order.tiles_with(q);
            for (index_t j = 0; j < d.out_channels; j += tile.panel_width)
                tile.run_panel({.rows = d.in_channels,
                                .steps = to - from,
                                .a = inputs + q * in_place + from * plan.in_row,
                                .row_step = 1,
                                .step = plan.in_row,
                                .b = gradients + q * out_place + from * plan.out_row + j,
                                .ldb = plan.out_row,
                                .c = sums + q * plan.place_sums() + j,
                                .ldc = plan.sums_row(),
                                .cols = std::min(tile.panel_width, d.out_channels - j),
                                .add = first != start});
        }
    }
}

/// dw += the taps of the sums, for some input channels.
inline void winograd_weights_combine(const WinogradTarget& winograd, const WinogradWeightsPlan& plan, index_t first, index_t last, const float* sums,
                                     float* dw) {
    constexpr index_t block = 16;
    const Conv2dDims& d = plan.d;
    for (index_t j = 0; j < d.out_channels; j += block) {
        alignas(64) float taps[16 * 9 * block];
        const index_t cols = std::min(block, d.out_channels - j), rows = last - first;
        for (index_t i = 0; i < rows; ++i)
            winograd.taps(sums + (first + i) * plan.sums_row() + j, plan.parts, plan.part_floats(), plan.place_sums(), cols, taps + i * 9 * block, block);
        for (index_t c = 0; c < cols; ++c) {
            for (index_t t = 0; t < 9; ++t) {
                float* to = dw + ((j + c) * 9 + t) * d.in_channels + first;
                for (index_t i = 0; i < rows; ++i) to[i] += taps[(i * 9 + t) * block + c];
            }
        }
    }
}

inline void winograd_backward_weights(const Cpu<float>& p, std::byte* scratch, const WinogradWeightsPlan& plan, const ConvSource& x, const float* dy, float* dw,
                                      float* dbias) {
    const TileTarget& tile = active_tile();
    const WinogradTarget& winograd = active_winograd();
    auto* sums = reinterpret_cast<float*>(scratch);
    float* space = sums + plan.parts * plan.part_floats();
    parallel_for(p.threads, plan.parts, [&](index_t part, int thread) {
        winograd_weights_part(tile, winograd, plan, part, x, dy, sums + part * plan.part_floats(), dbias != nullptr, space + thread * plan.own_floats(),
                              thread);
    });
    parallel_for(p.threads, ceil_div(plan.d.in_channels, 16),
                 [&](index_t task, int) { winograd_weights_combine(winograd, plan, task * 16, std::min(plan.d.in_channels, task * 16 + 16), sums, dw); });
    if (dbias != nullptr) tile.sum_rows(plan.parts, plan.d.out_channels, sums + winograd_places * plan.place_sums(), plan.part_floats(), nullptr, 1, dbias);
}

}  // namespace dla::detail::inline DLA_ABI_TAG

#include <dla/core/end_exact.inl.hpp>
