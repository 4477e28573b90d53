// SPDX-License-Identifier: MIT
// How a convolution is cut into pieces: which part of the source each piece reads, and how large pieces are. Functions of the sizes only.
#pragma once

#include <dla/kernels/cpu/conv2d_task.hpp>
#include <dla/kernels/cpu/tile.hpp>
#include <dla/kernels/types.hpp>

#include <numeric>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// One dimension of a correlation: result i, kept at place + i * place_step, sums the taps u < taps of source[origin + i * step + u * spacing] times
/// kernel[first + u * kernel_step].
struct ConvAxis {
    index_t count = 0, place = 0, place_step = 1, origin = 0, step = 1, taps = 0, spacing = 1, first = 0, kernel_step = 1;
};

constexpr ConvAxis forward_axis(index_t out, index_t kernel, index_t stride, index_t pad, index_t dilation) {
    return {.count = out, .origin = -pad, .step = stride, .taps = kernel, .spacing = dilation};
}

/// Positions phase, phase + stride, ... of dx. The kernel rows that reach them lie stride / gcd apart, their values of dy dilation / gcd, in falling order.
constexpr ConvAxis backward_axis(index_t size, index_t kernel, index_t stride, index_t pad, index_t dilation, index_t phase) {
    const index_t common = std::gcd(stride, dilation), every = stride / common, spacing = dilation / common;
    ConvAxis axis{.count = phase < size ? ceil_div(size - phase, stride) : 0, .place = phase, .place_step = stride, .spacing = spacing, .kernel_step = -every};
    index_t first = 0;
    while (first < every && (phase + pad - first * dilation) % stride != 0) ++first;
    if (first == every || first >= kernel) return axis;
    axis.taps = ceil_div(kernel - first, every);
    axis.first = first + (axis.taps - 1) * every;
    axis.origin = (phase + pad - first * dilation) / stride - (axis.taps - 1) * spacing;
    return axis;
}

/// Source positions [low, high) that a piece reads; some may lie outside the image, where zeros are.
struct ConvWindow {
    index_t low = 0, high = 0;
    constexpr index_t size() const { return high - low; }
    constexpr bool inside(index_t extent) const { return low >= 0 && high <= extent; }
    constexpr void include(const ConvAxis& axis, index_t first, index_t last) {
        if (axis.taps == 0 || first >= last) return;
        const index_t from = axis.origin + first * axis.step, to = axis.origin + (last - 1) * axis.step + (axis.taps - 1) * axis.spacing + 1;
        low = size() == 0 ? from : std::min(low, from);
        high = size() == 0 ? to : std::max(high, to);
    }
};

/// A convolution (forward: x to y) or its transpose (dy to dx), as correlations from a source to a destination: one for each phase of the stride.
struct ConvPlan {
    Conv2dDims d;
    bool backward = false;
    index_t phases_h = 1, phases_w = 1;
    index_t src_h = 0, src_w = 0, src_c = 0, src_group = 0;  // src_group, dst_group: channels of one group
    index_t dst_h = 0, dst_w = 0, dst_c = 0, dst_group = 0;
    index_t packed_row = 0;                  // floats of packed weights a step of the reduction takes
    index_t column_block = 0;                // destination channels at a time: their weights stay in L2
    index_t unit_rows = 1, image_units = 1;  // a unit is some rows of one image
    index_t task_units = 1;
    index_t source_floats = 0;  // a thread's copy of what one unit reads, with its border of zeros
    ConvWindow columns;

    ConvPlan(const Conv2dDims& dims, bool transpose) : d(dims), backward(transpose) {
        src_h = d.height, src_w = d.width, src_c = d.in_channels, dst_h = d.out_height, dst_w = d.out_width, dst_c = d.out_channels;
        if (backward) {
            std::swap(src_h, dst_h), std::swap(src_w, dst_w), std::swap(src_c, dst_c);
            phases_h = d.stride_h, phases_w = d.stride_w;
        }
        src_group = src_c / d.groups, dst_group = dst_c / d.groups;
        packed_row = d.is_depthwise() ? 1 : round_up(dst_group, max_panel_width);
        const index_t steps = std::max<index_t>(1, d.kernel_h * d.kernel_w * src_group), l2 = 160 * 1024;
        const index_t blocks = ceil_div(steps * packed_row, l2);
        column_block = round_up(ceil_div(dst_group, std::max<index_t>(1, blocks)), max_panel_width);
        for (index_t b = 0; b < phases_w; ++b) {
            const ConvAxis w = axis_w(b);
            columns.include(w, 0, w.count);
        }
        cut_rows(steps);
    }

    ConvAxis axis_h(index_t phase) const {
        return backward ? backward_axis(d.height, d.kernel_h, d.stride_h, d.pad_top, d.dilation_h, phase)
                        : forward_axis(d.out_height, d.kernel_h, d.stride_h, d.pad_top, d.dilation_h);
    }
    ConvAxis axis_w(index_t phase) const {
        return backward ? backward_axis(d.width, d.kernel_w, d.stride_w, d.pad_left, d.dilation_w, phase)
                        : forward_axis(d.out_width, d.kernel_w, d.stride_w, d.pad_left, d.dilation_w);
    }

    /// Source rows that destination rows [first, last) read; first is a multiple of phases_h.
    ConvWindow rows(index_t first, index_t last) const {
        ConvWindow window;
        for (index_t a = 0; a < phases_h; ++a) window.include(axis_h(a), first / phases_h, phase_end(last, a));
        return window;
    }
    /// Results of phase `phase` that lie before destination row `last`.
    index_t phase_end(index_t last, index_t phase) const { return last > phase ? ceil_div(last - phase, phases_h) : 0; }

    index_t units() const { return d.batch * image_units; }
    index_t tasks() const { return ceil_div(units(), task_units); }
    ConvTask task(index_t i) const {
        const auto before = [&](index_t unit) { return (unit / image_units * dst_h + unit % image_units * unit_rows) * dst_w; };
        return {before(i * task_units), before(std::min(units(), (i + 1) * task_units))};
    }
    index_t most_pixels() const { return task_units * unit_rows * dst_w; }
    index_t most_tasks() const { return std::max(tasks(), std::min<index_t>(units(), 34)); }
    /// The most floats that a unit reads.
    index_t window_floats() const {
        return most_window([](const ConvWindow&) { return true; });
    }
    index_t packed_floats() const { return d.groups * d.kernel_h * d.kernel_w * src_group * packed_row; }
    index_t work() const { return d.batch * d.out_height * d.out_width * d.kernel_h * d.kernel_w * d.in_channels * (d.out_channels / d.groups); }

private:
    template <class Counts>
    index_t most_window(const Counts& counts) const {
        index_t most = 0;
        for (index_t row = 0; row < dst_h; row += unit_rows) {
            const ConvWindow window = rows(row, std::min(dst_h, row + unit_rows));
            if (counts(window)) most = std::max(most, window.size() * columns.size() * src_c);
        }
        return most;
    }
    void cut_rows(index_t steps) {
        constexpr index_t source_limit = 48 * 1024, least_work = 1 << 18;  // floats of source; multiplications
        const index_t row_work = std::max<index_t>(1, dst_w * steps * dst_group * d.groups);
        const index_t overlap = d.kernel_h * d.dilation_h, source_row = std::max<index_t>(1, columns.size() * src_c);
        index_t fit = std::max<index_t>(1, source_limit / source_row - overlap);
        if (backward) {
            fit *= d.stride_h;
        } else {
            fit = std::max<index_t>(1, fit / d.stride_h);
        }
        const index_t wanted = ceil_div(16, std::max<index_t>(1, d.batch));  // so that a few large images keep all threads busy
        const index_t fair = std::max(ceil_div(dst_h, wanted), ceil_div(least_work, row_work));
        unit_rows = std::max<index_t>(1, std::min({fit, fair, dst_h}));
        unit_rows = round_up(ceil_div(dst_h, std::max<index_t>(1, ceil_div(dst_h, unit_rows))), phases_h);
        unit_rows = std::max(unit_rows, phases_h);
        if (!backward) unit_rows = std::min(round_up(unit_rows, 2), std::max<index_t>(1, dst_h));  // whole windows of a pooling behind it
        image_units = ceil_div(dst_h, unit_rows);
        const index_t unit_work = unit_rows * row_work, enough = std::max<index_t>(1, units() / 16);
        // Several column blocks: more units at a time, for each block of weights comes from L3 once a task.
        const index_t together = std::max(ceil_div(least_work, unit_work), column_block < dst_group ? index_t{4} : index_t{1});
        task_units = std::clamp<index_t>(together, 1, enough);
        source_floats = most_window([&](const ConvWindow& window) { return !window.inside(src_h) || !columns.inside(src_w); });
    }
};

/// The gradient of the weights: for each part of the batch its own sum, added up in order.
struct ConvWeightsPlan {
    Conv2dDims d;
    index_t in_group = 0, out_group = 0;
    index_t weights = 0;                     // of one group and one output channel
    index_t unit_rows = 1, image_units = 1;  // a unit is some output rows of one image
    index_t block_units = 1;                 // units (whole images) copied and summed at a time
    index_t parts = 1;
    index_t source_floats = 0, panel_floats = 0, partial_floats = 0;
    ConvWindow columns;

    explicit ConvWeightsPlan(const Conv2dDims& dims) : d(dims), in_group(d.in_channels / d.groups), out_group(d.out_channels / d.groups) {
        weights = d.kernel_h * d.kernel_w * in_group;
        columns.include(axis_w(), 0, d.out_width);
        constexpr index_t source_limit = 112 * 1024, step_limit = 512;  // floats, output positions: source and a panel of dy stay in L2
        const index_t source_row = std::max<index_t>(1, columns.size() * d.in_channels), overlap = (d.kernel_h - 1) * d.dilation_h + 1;
        const index_t fit = std::max<index_t>(1, (source_limit / source_row - overlap) / d.stride_h + 1);
        const index_t wanted = ceil_div(16, std::max<index_t>(1, d.batch));
        unit_rows = std::max<index_t>(1, std::min({fit, ceil_div(d.out_height, wanted), ceil_div(step_limit, std::max<index_t>(1, d.out_width))}));
        unit_rows = std::max<index_t>(1, ceil_div(d.out_height, std::max<index_t>(1, ceil_div(d.out_height, unit_rows))));
        image_units = ceil_div(d.out_height, unit_rows);
        const index_t unit_source = rows(0, unit_rows).size() * source_row;
        const index_t floats = d.groups * weights * out_group;
        parts = std::clamp<index_t>(units(), 1, floats <= 128 * 1024 ? 16 : floats <= 512 * 1024 ? 8 : 4);
        block_units =
            image_units > 1
                ? 1
                : std::clamp<index_t>(std::min(source_limit / std::max<index_t>(1, unit_source), step_limit / std::max<index_t>(1, unit_rows * d.out_width)), 1,
                                      ceil_div(units(), parts));
        partial_floats = round_up(floats + d.out_channels, 16);
        panel_floats = block_units * unit_rows * d.out_width * max_panel_width;
        source_floats = block_units * unit_source;
    }

    ConvAxis axis_h() const { return forward_axis(d.out_height, d.kernel_h, d.stride_h, d.pad_top, d.dilation_h); }
    ConvAxis axis_w() const { return forward_axis(d.out_width, d.kernel_w, d.stride_w, d.pad_left, d.dilation_w); }
    ConvWindow rows(index_t first, index_t last) const {
        ConvWindow window;
        window.include(axis_h(), first, last);
        return window;
    }
    index_t units() const { return d.batch * image_units; }
    index_t part_begin(index_t part) const { return units() * part / parts; }
    index_t work() const { return d.batch * d.out_height * d.out_width * weights * d.out_channels; }
};

}  // namespace dla::detail::inline DLA_ABI_TAG

#include <dla/core/end_exact.inl.hpp>
