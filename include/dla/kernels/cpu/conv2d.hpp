// SPDX-License-Identifier: MIT
// Convolutions of the Cpu<float> policy: through Winograd's transforms where that pays (winograd.hpp), else register tiles that read the image in place (or a
// copy with its border, a few rows at a time), never a matrix of patches. The gradient of x is the same correlation with turned weights, one for each phase of
// the stride.
#pragma once

#include <dla/kernels/cpu/conv2d_serial.hpp>
#include <dla/kernels/cpu/winograd.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

DLA_ONCE bool conv2d_uses_winograd(const Cpu<float>& p, const Conv2dDims& d) { return !p.strict && detail::winograd_pays(d); }

DLA_ONCE index_t conv2d_prepare(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const float* w, std::byte* to) {
    if (p.strict || !detail::winograd_saves(d)) return 0;
    Conv2dDims one = d;
    one.batch = 1;
    const detail::WinogradPlan plan(one, false);
    if (to != nullptr) detail::winograd_pack_all(p.threads, plan, w, reinterpret_cast<float*>(to), reinterpret_cast<float*>(scratch));
    return plan.packed_floats() * static_cast<index_t>(sizeof(float));
}

namespace detail::inline DLA_ABI_TAG {

inline constexpr index_t conv2d_parallel = 1 << 20;  // multiplications below which a second thread brings nothing

/// The largest bytes(dims) for d.batch images or fewer. Plans depend on the batch through ceil(16 / batch), the pieces of an image, and within one value
/// of it what they need grows: so the last batch of each value is enough.
template <class Bytes>
index_t conv2d_most(Conv2dDims d, const Bytes& bytes) {
    index_t most = bytes(d);
    for (const index_t last : {1, 2, 3, 5, 7, 15}) {
        if (last >= d.batch) break;
        Conv2dDims fewer = d;
        fewer.batch = last;
        most = std::max(most, bytes(fewer));
    }
    return most;
}

inline index_t conv2d_scratch(const Cpu<float>& p, const Conv2dDims& dims, bool transpose) {
    return conv2d_most(dims, [&](const Conv2dDims& d) {
        const ConvPlan plan(d, transpose);
        const index_t packed = padded_count<float>(plan.packed_floats());
        const index_t direct = (packed + thread_count(p.threads) * padded_count<float>(plan.source_floats)) * static_cast<index_t>(sizeof(float));
        return conv2d_uses_winograd(p, d) ? std::max(direct, WinogradPlan(d, transpose).scratch(thread_count(p.threads))) : direct;
    });
}

/// Packs the weights of all phases, groups and panels.
inline void conv2d_pack_all(const TileTarget& tile, int threads, const ConvPlan& plan, const float* w, float* packed) {
    if (plan.d.is_depthwise()) return depthwise_pack(plan.dst_c, plan.d.kernel_h * plan.d.kernel_w, w, packed);
    const index_t panels = ceil_div(plan.dst_group, tile.panel_width), phases = plan.phases_h * plan.phases_w;
    const bool alone = plan.packed_floats() < 65536;
    for (index_t phase = 0; phase < phases; ++phase) {
        const ConvAxis h = plan.axis_h(phase / plan.phases_w), v = plan.axis_w(phase % plan.phases_w);
        const index_t steps = h.taps * v.taps * plan.src_group;
        if (steps == 0) continue;
        parallel_for(alone ? 1 : threads, plan.d.groups * panels, [&](index_t task, int) {
            const index_t group = task / panels, panel = task % panels;
            conv2d_pack(tile, plan, h, v, group, panel, w, packed + group * steps * plan.packed_row + panel * tile.panel_width * steps);
        });
        packed += plan.d.groups * steps * plan.packed_row;
    }
}

inline void conv2d_correlate(const Cpu<float>& p, std::byte* scratch, const ConvPlan& plan, const ConvSource& src, const float* w, const float* bias,
                             float* dst, const ConvFinish& finish) {
    if (plan.units() == 0 || plan.dst_w == 0 || plan.dst_c == 0) return;
    const TileTarget& tile = active_tile();
    const int threads = plan.work() < conv2d_parallel ? 1 : p.threads;
    auto* packed = reinterpret_cast<float*>(scratch);
    float* space = packed + padded_count<float>(plan.packed_floats());
    conv2d_pack_all(tile, threads, plan, w, packed);
    parallel_for(threads, plan.tasks(), [&](index_t number, int thread) {
        float* own = src.norm != nullptr ? src.window(thread) : space + thread * padded_count<float>(plan.source_floats);
        const ConvTask task = plan.task(number);
        const ConvTarget to = finish.target(task, dst, thread);
        const index_t end = std::min(plan.units(), (number + 1) * plan.task_units);
        for (index_t column = 0; column < plan.dst_group; column += plan.column_block) {
            for (index_t unit = number * plan.task_units; unit < end; ++unit) {
                conv2d_unit(tile, plan, unit, column, std::min(plan.dst_group, column + plan.column_block), src, packed, bias, to, own);
            }
        }
        finish(number, task, to, plan.dst_c, thread);
    });
}

/// y = conv(x, w) + bias, and what follows each of its tasks.
inline void conv2d_forward_then(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const ConvSource& x, const float* w, const float* bias, float* y,
                                const ConvFinish& finish) {
    if (conv2d_uses_winograd(p, d)) return winograd_correlate(p, scratch, WinogradPlan(d, false), x, w, bias, y, finish);
    conv2d_correlate(p, scratch, ConvPlan(d, false), x, w, bias, y, finish);
}

/// Floats of scratch memory to prepare weights, and with them where tiles are few.
inline index_t conv2d_prepared_floats(const Cpu<float>& p, const Conv2dDims& d) {
    if (p.strict || !winograd_saves(d)) return 0;
    Conv2dDims one = d, few = d;
    one.batch = 1, few.batch = std::min(d.batch, winograd_least_images(d) - 1);
    const int threads = thread_count(p.threads);
    const index_t results = few.batch * d.out_height * d.out_width * d.out_channels;
    const index_t preparing = threads * WinogradPlan(one, false).own_floats();
    return few.batch == 0 ? preparing : std::max(preparing, WinogradPlan(few, false).all_floats(threads) + results);
}
/// As conv2d_forward_then; `prepared` is what conv2d_prepare made of w, or null.
inline void conv2d_infer_then(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const float* x, const float* w, const float* bias,
                              const std::byte* prepared, float* y, const ConvFinish& finish) {
    if (prepared == nullptr) return conv2d_forward_then(p, scratch, d, x, w, bias, y, finish);
    const WinogradPlan plan(d, false);
    const auto* packed = reinterpret_cast<const float*>(prepared);
    auto* space = reinterpret_cast<float*>(scratch);
    if (winograd_pays(d)) return winograd_correlate_packed(p, space, plan, x, packed, bias, y, finish);
    winograd_correlate_few(p, space, plan, x, packed, bias, finish.own != nullptr ? space + plan.all_floats(thread_count(p.threads)) : y, finish);
}

/// dw += the partial results of all parts, in order.
inline void conv2d_combine_all(const TileTarget& tile, int threads, const ConvWeightsPlan& plan, float* partial, float* dw) {
    const Conv2dDims& d = plan.d;
    if (d.is_depthwise()) return depthwise_combine(tile, d.out_channels, plan.weights, plan.parts, partial, plan.partial_floats, dw);
    const index_t columns = 16, blocks = ceil_div(plan.out_group, columns);
    parallel_for(threads, d.groups * blocks, [&](index_t task, int) {
        const index_t first = task % blocks * columns;
        conv2d_weights_combine(tile, plan, task / blocks, first, std::min(plan.out_group, first + columns), partial, dw);
    });
}

/// dw += gradient with respect to w; dbias (or null) += sum of dy.
inline void conv2d_weights_from(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const ConvSource& x, const float* dy, float* dw, float* dbias) {
    if (conv2d_uses_winograd(p, d)) return winograd_backward_weights(p, scratch, WinogradWeightsPlan(d), x, dy, dw, dbias);
    const ConvWeightsPlan plan(d);
    if (plan.units() == 0 || d.out_width == 0 || d.out_channels == 0) return;
    const TileTarget& tile = active_tile();
    const int threads = plan.work() < conv2d_parallel ? 1 : p.threads;
    auto* partial = reinterpret_cast<float*>(scratch);
    float* space = partial + plan.parts * plan.partial_floats;
    const index_t own = padded_count<float>(plan.source_floats + plan.panel_floats);
    parallel_for(threads, plan.parts, [&](index_t part, int thread) {
        conv2d_weights_part(tile, plan, part, x, dy, partial + part * plan.partial_floats, dbias != nullptr, space + thread * own);
    });
    conv2d_combine_all(tile, threads, plan, partial, dw);
    if (dbias == nullptr) return;
    const float* sums = partial + d.groups * plan.weights * plan.out_group;
    tile.sum_rows(plan.parts, d.out_channels, sums, plan.partial_floats, nullptr, 1, dbias);
}

}  // namespace detail::inline DLA_ABI_TAG

DLA_ONCE index_t conv2d_forward_scratch(const Cpu<float>& p, const Conv2dDims& d) { return detail::conv2d_scratch(p, d, false); }
DLA_ONCE index_t conv2d_backward_data_scratch(const Cpu<float>& p, const Conv2dDims& d) { return detail::conv2d_scratch(p, d, true); }
DLA_ONCE index_t conv2d_backward_weights_scratch(const Cpu<float>& p, const Conv2dDims& dims) {
    return detail::conv2d_most(dims, [&](const Conv2dDims& d) {
        const detail::ConvWeightsPlan plan(d);
        const index_t own = padded_count<float>(plan.source_floats + plan.panel_floats);
        const index_t direct = (plan.parts * plan.partial_floats + thread_count(p.threads) * own) * static_cast<index_t>(sizeof(float));
        return conv2d_uses_winograd(p, d) ? std::max(direct, detail::WinogradWeightsPlan(d).scratch(thread_count(p.threads))) : direct;
    });
}

/// y = conv(x, w) + bias (or null): cross-correlation with zeros outside the image.
DLA_ONCE void conv2d_forward(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const float* x, const float* w, const float* bias, float* y) {
    detail::conv2d_forward_then(p, scratch, d, x, w, bias, y, {});
}

DLA_ONCE index_t conv2d_infer_scratch(const Cpu<float>& p, const Conv2dDims& d) {
    return std::max(conv2d_forward_scratch(p, d), detail::bytes_of<float>(detail::conv2d_prepared_floats(p, d)));
}
DLA_ONCE void conv2d_infer(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const float* x, const float* w, const float* bias,
                           const std::byte* prepared, float* y) {
    detail::conv2d_infer_then(p, scratch, d, x, w, bias, prepared, y, {});
}

/// dx = gradient with respect to x, overwritten everywhere.
DLA_ONCE void conv2d_backward_data(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const float* dy, const float* w, float* dx) {
    if (conv2d_uses_winograd(p, d)) return detail::winograd_correlate(p, scratch, detail::WinogradPlan(d, true), dy, w, nullptr, dx, {});
    detail::conv2d_correlate(p, scratch, detail::ConvPlan(d, true), dy, w, nullptr, dx, {});
}

/// dw += gradient with respect to w; dbias (or null) += sum of dy.
DLA_ONCE void conv2d_backward_weights(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const float* x, const float* dy, float* dw, float* dbias) {
    detail::conv2d_weights_from(p, scratch, d, x, dy, dw, dbias);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
