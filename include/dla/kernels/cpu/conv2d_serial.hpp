// SPDX-License-Identifier: MIT
// The pieces of a convolution that one thread does: packing weights, one unit of a correlation, one part of a weight gradient.
#pragma once

#include <dla/kernels/cpu/conv2d_source.hpp>
#include <dla/kernels/cpu/depthwise.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Packs the weights of one phase, group and panel: to [steps, stored width], steps in the order (tap row, tap column, source channel).
inline void conv2d_pack(const TileTarget& tile, const ConvPlan& plan, const ConvAxis& h, const ConvAxis& w, index_t group, index_t panel, const float* weights,
                        float* to) {
    const Conv2dDims& d = plan.d;
    const index_t column = panel * tile.panel_width, cols = std::min(tile.panel_width, plan.dst_group - column), width = tile.stored_width(cols);
    if (!plan.backward) {
        const index_t steps = d.kernel_h * d.kernel_w * plan.src_group;
        return tile.pack_columns(steps, cols, width, weights + (group * plan.dst_group + column) * steps, steps, to);
    }
    const index_t stride = d.kernel_h * d.kernel_w * plan.dst_group;  // between output channels
    for (index_t u = 0; u < h.taps; ++u) {
        for (index_t v = 0; v < w.taps; ++v, to += plan.src_group * width) {
            const index_t tap = (h.first + u * h.kernel_step) * d.kernel_w + w.first + v * w.kernel_step;
            tile.pack_rows(plan.src_group, cols, width, weights + group * plan.src_group * stride + tap * plan.dst_group + column, stride, to);
        }
    }
}

/// One phase of a unit with one channel in a group: `rows` rows of results, the first from `from`, whose rows are `line` apart.
inline void conv2d_depthwise(const ConvPlan& plan, const ConvAxis& h, const ConvAxis& w, index_t rows, const float* from, index_t line, const float* packed,
                             const float* bias, float* to) {
    const index_t channels = plan.dst_c, kernel_line = plan.d.kernel_w * channels;
    const bool reached = h.taps > 0 && w.taps > 0;  // else there is nothing to step through
    active_depthwise().sums({.rows = rows,
                             .columns = w.count,
                             .channels = channels,
                             .taps_h = h.taps,
                             .taps_w = w.taps,
                             .from = from,
                             .down = reached ? h.step * line : 0,
                             .right = reached ? w.step * channels : 0,
                             .tap_down = h.spacing * line,
                             .tap_right = w.spacing * channels,
                             .weights = packed + h.first * kernel_line + w.first * channels,
                             .weight_down = h.kernel_step * kernel_line,
                             .weight_right = w.kernel_step * channels,
                             .bias = bias,
                             .to = to,
                             .to_down = h.place_step * plan.dst_w * channels,
                             .to_right = w.place_step * channels});
}

/// One unit of a correlation, destination channels [col0, col1) of every group: dst = correlation + bias. `space` holds plan.source_floats, or the source's
/// window.
inline void conv2d_unit(const TileTarget& tile, const ConvPlan& plan, index_t unit, index_t col0, index_t col1, const ConvSource& src, const float* packed,
                        const float* bias, const ConvTarget& dst, float* space) {
    const index_t image = unit / plan.image_units, row0 = unit % plan.image_units * plan.unit_rows, row1 = std::min(plan.dst_h, row0 + plan.unit_rows);
    const ConvWindow rows = plan.rows(row0, row1), &columns = plan.columns;
    const float* source = src.values + image * plan.src_h * plan.src_w * plan.src_c;
    index_t line = plan.src_w * plan.src_c;
    if (src.norm == nullptr && rows.inside(plan.src_h) && columns.inside(plan.src_w)) {
        source += (rows.low * plan.src_w + columns.low) * plan.src_c;
    } else {
        src.copy_window(source, plan.src_h, plan.src_w, plan.src_c, rows, columns, space);
        source = space;
        line = columns.size() * plan.src_c;
    }
    const index_t target = image * plan.dst_h * plan.dst_w - dst.origin;
    for (index_t a = 0; a < plan.phases_h; ++a) {
        const ConvAxis h = plan.axis_h(a);
        const index_t first = row0 / plan.phases_h, last = plan.phase_end(row1, a);
        for (index_t b = 0; b < plan.phases_w; ++b) {
            const ConvAxis w = plan.axis_w(b);
            const index_t steps = h.taps * w.taps * plan.src_group, count = (last - first) * w.count;
            const bool joined = plan.d.groups == 1 && w.spacing == 1;  // neighbouring taps of a row are neighbours in memory
            TileLoops loops{
                .count0 = h.taps, .count1 = joined ? 1 : w.taps, .count2 = joined ? w.taps * plan.src_c : plan.src_group, .step0 = h.spacing * line};
            loops.step1 = w.spacing * plan.src_c;
            // A phase that no tap reaches has an empty window, and no pointer into it.
            const float* corner = steps == 0 ? source : source + (h.origin + first * h.step - rows.low) * line + (w.origin - columns.low) * plan.src_c;
            const index_t down = steps == 0 ? 0 : h.step * line, right = steps == 0 ? 0 : w.step * plan.src_c;
            if (plan.d.is_depthwise()) {
                float* const to = dst.values + (target + (h.place + first * h.place_step) * plan.dst_w + w.place) * plan.dst_c;
                conv2d_depthwise(plan, h, w, last - first, corner, line, packed, bias, to);
                continue;
            }
            // One tap and results as the sources lie: rows of a matrix product.
            const bool even = h.taps == 1 && w.taps == 1 && right == plan.src_c && down == w.count * plan.src_c && h.place_step == 1 && w.count == plan.dst_w &&
                              (col1 - col0) % tile.lanes == 0;
            for (index_t group = 0; group < plan.d.groups; ++group, packed += steps * plan.packed_row) {
                for (index_t column = col0; even && column < col1; column += tile.panel_width) {
                    const index_t cols = std::min(tile.panel_width, col1 - column), channel = group * plan.dst_group + column;
                    tile.run_panel({.rows = count,
                                    .steps = steps,
                                    .a = corner + group * plan.src_group,
                                    .row_step = plan.src_c,
                                    .step = 1,
                                    .b = packed + column * steps,
                                    .ldb = tile.stored_width(cols),
                                    .c = dst.values + (target + first * plan.dst_w) * plan.dst_c + channel,
                                    .ldc = plan.dst_c,
                                    .cols = cols,
                                    .add = false,
                                    .bias = bias == nullptr ? nullptr : bias + channel});
                }
                if (even) continue;
                index_t i = 0, j = 0;
                for (index_t done = 0; done < count; done += tile.rows) {
                    const float* from[max_tile_rows];
                    float* place[max_tile_rows];
                    const index_t here = std::min(tile.rows, count - done);
                    for (index_t r = 0; r < tile.rows; ++r) {
                        if (r >= here) {
                            from[r] = from[0], place[r] = place[0];
                            continue;
                        }
                        from[r] = corner + i * down + j * right + group * (steps == 0 ? 0 : plan.src_group);
                        const index_t pixel = target + (h.place + (first + i) * h.place_step) * plan.dst_w + w.place + j * w.place_step;
                        place[r] = dst.values + pixel * plan.dst_c + group * plan.dst_group + col0;
                        if (++j == w.count) j = 0, ++i;
                    }
                    for (index_t column = col0; column < col1; column += tile.panel_width) {
                        const index_t cols = std::min(tile.panel_width, col1 - column);
                        const TileOut out{.c = place,
                                          .bias = bias == nullptr ? nullptr : bias + group * plan.dst_group + column,
                                          .beta = 0,
                                          .rows = static_cast<int>(here),
                                          .cols = cols};
                        tile.run(loops, from, packed + column * steps, tile.stored_width(cols), out);
                        for (index_t r = 0; r < here; ++r) place[r] += cols;
                    }
                }
            }
        }
    }
}

/// One part of the batch: partial [groups, weights, out_group] then [out_channels] = gradients of weights and bias over its units.
inline void conv2d_weights_part(const TileTarget& tile, const ConvWeightsPlan& plan, index_t part, const ConvSource& x, const float* dy, float* partial,
                                bool with_bias, float* space) {
    const Conv2dDims& d = plan.d;
    float* bias = partial + d.groups * plan.weights * plan.out_group;
    float* packed = space + plan.source_floats;
    const index_t end = plan.part_begin(part + 1);
    bool first = true;
    for (index_t unit = plan.part_begin(part); unit < end; first = false) {
        const index_t images = std::min(plan.block_units, end - unit), image = unit / plan.image_units;
        const index_t row0 = unit % plan.image_units * plan.unit_rows, row1 = std::min(d.out_height, row0 + plan.unit_rows);
        unit += images;
        const ConvWindow rows = plan.rows(row0, row1), &columns = plan.columns;
        const float* source = x.values + image * d.height * d.width * d.in_channels;
        index_t line = d.width * d.in_channels, image_step = d.height * line;
        if (x.norm == nullptr && rows.inside(d.height) && columns.inside(d.width)) {
            source += rows.low * line + columns.low * d.in_channels;
        } else {
            line = columns.size() * d.in_channels;
            for (index_t i = 0; i < images; ++i)
                x.copy_window(source + i * image_step, d.height, d.width, d.in_channels, rows, columns, space + i * rows.size() * line);
            source = space;
            image_step = rows.size() * line;
        }
        TileLoops loops{.count0 = images,
                        .count1 = row1 - row0,
                        .count2 = d.out_width,
                        .step0 = image_step,
                        .step1 = d.stride_h * line,
                        .step2 = d.stride_w * d.in_channels};
        const index_t steps = images * (row1 - row0) * d.out_width;
        const float* gradient = dy + (image * d.out_height + row0) * d.out_width * d.out_channels;
        if (d.is_depthwise()) {
            const index_t row = d.out_width * d.out_channels;
            for (index_t i = 0; i < images; ++i)
                active_depthwise().products({.rows = row1 - row0,
                                             .columns = d.out_width,
                                             .channels = d.out_channels,
                                             .taps = plan.weights,
                                             .taps_w = d.kernel_w,
                                             .x = source + i * image_step,
                                             .down = loops.step1,
                                             .right = loops.step2,
                                             .tap_down = d.dilation_h * line,
                                             .tap_right = d.dilation_w * d.in_channels,
                                             .dy = gradient + i * d.out_height * row,
                                             .dy_down = row,
                                             .sums = partial,
                                             .add = !first || i > 0});
            if (with_bias) tile.sum_rows(steps, d.out_channels, gradient, d.out_channels, nullptr, first ? 0.0f : 1.0f, bias);
            continue;
        }
        for (index_t group = 0; group < d.groups; ++group) {
            for (index_t column = 0; column < plan.out_group; column += tile.panel_width) {
                const index_t cols = std::min(tile.panel_width, plan.out_group - column), channel = group * plan.out_group + column;
                const float* panel = gradient + channel;
                index_t ld = d.out_channels;
                if (cols % tile.lanes != 0 || (d.out_channels > tile.panel_width && plan.weights > 16)) {
                    ld = tile.stored_width(cols);
                    tile.pack_rows(steps, cols, ld, panel, d.out_channels, packed);
                    panel = packed;
                }
                if (with_bias) tile.sum_rows(steps, cols, panel, ld, nullptr, first ? 0.0f : 1.0f, bias + channel);
                if (plan.weights == plan.in_group && loops.step1 == d.out_width * loops.step2 && (images == 1 || image_step == (row1 - row0) * loops.step1) &&
                    cols % tile.lanes == 0) {  // one tap, and positions at even distances: a matrix product
                    tile.run_panel({.rows = plan.in_group,
                                    .steps = steps,
                                    .a = source + group * plan.in_group,
                                    .row_step = 1,
                                    .step = loops.step2,
                                    .b = panel,
                                    .ldb = ld,
                                    .c = partial + group * plan.weights * plan.out_group + column,
                                    .ldc = plan.out_group,
                                    .cols = cols,
                                    .add = !first});
                    continue;
                }
                for (index_t weight = 0; weight < plan.weights; weight += tile.rows) {
                    const float* from[max_tile_rows];
                    float* to[max_tile_rows];
                    const index_t here = std::min(tile.rows, plan.weights - weight);
                    for (index_t r = 0; r < tile.rows; ++r) {
                        const index_t at = weight + std::min(r, here - 1), tap = at / plan.in_group;
                        from[r] = source + tap / d.kernel_w * d.dilation_h * line + (tap % d.kernel_w * d.dilation_w) * d.in_channels + group * plan.in_group +
                                  at % plan.in_group;
                        to[r] = partial + (group * plan.weights + at) * plan.out_group + column;
                    }
                    tile.run(loops, from, panel, ld, {.c = to, .bias = nullptr, .beta = first ? 0.0f : 1.0f, .rows = static_cast<int>(here), .cols = cols});
                }
            }
        }
    }
}

/// dw, for the output channels [first, last) of one group, += the partial results in order; dw is [out_channels, weights].
inline void conv2d_weights_combine(const TileTarget& tile, const ConvWeightsPlan& plan, index_t group, index_t first, index_t last, const float* partial,
                                   float* dw) {
    constexpr index_t block = 16;  // square blocks: both sides are read and written in whole cache lines
    for (index_t channel = first; channel < last; channel += block) {
        const index_t count = std::min(block, last - channel);
        float* to = dw + (group * plan.out_group + channel) * plan.weights;
        for (index_t weight = 0; weight < plan.weights; weight += block) {
            const index_t rows = std::min(block, plan.weights - weight);
            alignas(64) float sums[block * block];
            for (index_t r = 0; r < rows; ++r) {
                const float* from = partial + (group * plan.weights + weight + r) * plan.out_group + channel;
                tile.sum_rows(plan.parts, count, from, plan.partial_floats, nullptr, 0, sums + r * block);
            }
            for (index_t c = 0; c < count; ++c) {
                for (index_t r = 0; r < rows; ++r) to[c * plan.weights + weight + r] += sums[r * block + c];
            }
        }
    }
}

}  // namespace dla::detail::inline DLA_ABI_TAG

#include <dla/core/end_exact.inl.hpp>
