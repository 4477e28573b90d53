// SPDX-License-Identifier: MIT
// A convolution with what usually follows it (batch normalisation, ReLU, pooling of 2 x 2) and with a normalisation in front of it. Statistics are taken of
// results that lie in cache; what is normalised is written once, pooled; the backward pass reads the convolution's results and nothing else.
#pragma once

#include <dla/kernels/cpu/conv2d.hpp>
#include <dla/kernels/cpu/norm_rows.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// The largest of(plan) for d.batch images or fewer, whichever way they go.
template <class Of>
index_t conv2d_most_of(const Cpu<float>& p, const Conv2dDims& dims, const Of& of) {
    return conv2d_most(dims, [&](const Conv2dDims& d) {
        const index_t direct = of(ConvPlan(d, false));
        return conv2d_uses_winograd(p, d) ? std::max(direct, of(WinogradPlan(d, false))) : direct;
    });
}
inline index_t conv2d_tasks(const Cpu<float>& p, const Conv2dDims& d) {
    return conv2d_uses_winograd(p, d) ? WinogradPlan(d, false).tasks() : ConvPlan(d, false).tasks();
}
inline index_t most_tasks(const Cpu<float>& p, const Conv2dDims& d) {
    return conv2d_most_of(p, d, [](const auto& plan) { return plan.most_tasks(); });
}
/// Floats that a thread keeps of a task's results.
inline index_t most_task_floats(const Cpu<float>& p, const Conv2dDims& d) {
    return padded_count<float>(conv2d_most_of(p, d, [](const auto& plan) { return plan.most_pixels(); }) * d.out_channels);
}

inline NormRowsDims input_rows(const Conv2dDims& d) {
    return {.images = d.batch, .height = d.height, .width = d.width, .channels = d.in_channels, .relu = true};
}
/// The most floats that a task reads of an input that is normalised as it is read: forward, and for the gradient of the weights.
inline index_t most_window_floats(const Cpu<float>& p, const Conv2dDims& dims) {
    const WinogradTiles tiles(dims.batch, dims.out_height, dims.out_width);
    const bool winograd = conv2d_uses_winograd(p, dims);
    Conv2dDims direct = dims;  // of as many images as are summed directly
    if (winograd) direct.batch = std::min(dims.batch, winograd_least_images(dims) - 1);
    const index_t most =
        conv2d_most(direct, [](const Conv2dDims& d) { return std::max(ConvPlan(d, false).window_floats(), ConvWeightsPlan(d).source_floats); });
    return padded_count<float>(winograd ? std::max(most, WinogradPatches::window_floats(tiles, dims.in_channels)) : most);
}
/// f(source) for x, or for what the input makes of it.
template <class F>
void with_source(const Cpu<float>& p, std::byte*& scratch, const Conv2dDims& d, const NormedInput* input, const float* x, const F& f) {
    if (input == nullptr) return f(ConvSource(x));
    const NormRows rows(input_rows(d), scratch, input->norm, input->mean, input->invstd);
    const index_t floats = most_window_floats(p, d);
    f(ConvSource(x, &rows, take<float>(scratch, thread_count(p.threads) * floats), floats));
}

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla {

DLA_ONCE index_t normed_input_scratch(const Cpu<float>& p, const Conv2dDims& d) {
    return detail::NormRows::bytes(detail::input_rows(d)) + detail::bytes_of<float>(thread_count(p.threads) * detail::most_window_floats(p, d));
}
DLA_ONCE index_t conv_norm_forward_scratch(const Cpu<float>& p, const ConvNormDims& d) {
    const index_t channels = detail::padded_channels(d.conv.out_channels);
    const index_t tasks = detail::most_tasks(p, d.conv);
    const index_t moments = 2 * detail::bytes_of<double>(tasks * channels) + detail::bytes_of<index_t>(tasks) +
                            detail::bytes_of<float>(thread_count(p.threads) * 3 * channels) + detail::bytes_of<double>(channels);
    return detail::NormRows::bytes(d.rows()) + moments + conv2d_forward_scratch(p, d.conv);
}
DLA_ONCE index_t conv_norm_infer_scratch(const Cpu<float>& p, const ConvNormDims& d) {
    const index_t own = d.pool ? detail::bytes_of<float>(thread_count(p.threads) * detail::most_task_floats(p, d.conv)) : 0;
    return detail::NormRows::bytes(d.rows()) + 2 * detail::bytes_of<float>(d.conv.out_channels) + own + conv2d_infer_scratch(p, d.conv);
}
DLA_ONCE index_t conv_norm_backward_scratch(const Cpu<float>&, const ConvNormDims& d) {
    return detail::NormRows::bytes(d.rows()) + detail::NormGradient::bytes(d.conv.out_channels, detail::NormRows::most_pieces(d.rows()));
}

DLA_ONCE void conv_norm_forward(const Cpu<float>& p, std::byte* scratch, const ConvNormDims& d, const NormParams& n, const NormedInput* input, const float* x,
                                const float* w, const float* bias, float* z, float* mean, float* invstd) {
    if (n.tracked) ++*n.tracked;
    const NormDims dims = d.rows().norm();
    const auto piece = detail::select_isa(detail::base::moments, detail::avx2::moments, detail::avx512::moments);
    const index_t channels = detail::padded_channels(dims.channels), tasks = detail::conv2d_tasks(p, d.conv);
    auto *means = detail::take<double>(scratch, tasks * channels), *squares = detail::take<double>(scratch, tasks * channels);
    auto* work = detail::take<float>(scratch, thread_count(p.threads) * 3 * channels);
    auto* inverse = detail::take<double>(scratch, channels);
    auto* rows = detail::take<index_t>(scratch, tasks);  // of each task
    const auto moments = [&](index_t number, const detail::ConvTask& task, const float* results, int thread) {
        const index_t count = rows[number] = task.last - task.first;
        piece(count, dims.channels, results, count * dims.channels, work + thread * 3 * channels, means + number * channels, squares + number * channels);
    };
    detail::with_source(p, scratch, d.conv, input, x, [&](const detail::ConvSource& source) {
        detail::conv2d_forward_then(p, scratch, d.conv, source, w, bias, z, detail::finish_with(moments));
    });
    detail::join_moments(dims, n.eps, tasks, [&](index_t i) { return rows[i]; }, means, squares, inverse, mean, invstd);
    detail::move_running(dims, n.momentum, means, squares, n.running_mean, n.running_var, n.tracked);
}

DLA_ONCE void conv_norm_forward_running(const Cpu<float>& p, std::byte* scratch, const ConvNormDims& d, const NormParams& n, const NormedInput* input,
                                        const float* x, const float* w, const float* bias, float* z, float* mean, float* invstd) {
    norm_rows_running(p, d.rows(), n, mean, invstd);
    detail::with_source(p, scratch, d.conv, input, x,
                        [&](const detail::ConvSource& source) { detail::conv2d_forward_then(p, scratch, d.conv, source, w, bias, z, {}); });
}

DLA_ONCE void conv_norm_weights(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const NormedInput& input, const float* x, const float* dz,
                                float* dw, float* dbias) {
    detail::with_source(p, scratch, d, &input, x, [&](const detail::ConvSource& source) { detail::conv2d_weights_from(p, scratch, d, source, dz, dw, dbias); });
}

DLA_ONCE void conv_norm_infer(const Cpu<float>& p, std::byte* scratch, const ConvNormDims& d, const NormParams& n, const float* x, const float* w,
                              const float* bias, const std::byte* prepared, float* y) {
    auto *mean = detail::take<float>(scratch, d.conv.out_channels), *invstd = detail::take<float>(scratch, d.conv.out_channels);
    norm_rows_running(p, d.rows(), n, mean, invstd);
    const detail::NormRows rows(d.rows(), scratch, n, mean, invstd);
    const index_t own_floats = d.pool ? detail::most_task_floats(p, d.conv) : 0;
    float* own = d.pool ? detail::take<float>(scratch, thread_count(p.threads) * own_floats) : nullptr;
    const auto normalise = [&](index_t, const detail::ConvTask& task, const float* results, int) { rows.normalise(task.first, task.last, results, y); };
    detail::conv2d_infer_then(p, scratch, d.conv, x, w, bias, prepared, y, detail::finish_with(normalise, own, own_floats));
}

DLA_ONCE void conv_norm_backward(const Cpu<float>& p, std::byte* scratch, const ConvNormDims& d, const NormParams& n, const float* z, const float* mean,
                                 const float* invstd, const float* dy, float* dz, float* dw, float* db, bool running) {
    if (d.rows().norm().outer == 0) return;
    const detail::NormRows rows(d.rows(), scratch, n, mean, invstd);
    const detail::Chunks pieces = rows.pieces();
    const detail::NormGradient gradient(rows, scratch, pieces.count);
    const index_t channels = rows.channels, width = rows.width, line = width * channels, windows = width / 2;
    detail::parallel_for(p.threads, pieces.count, [&](index_t i, int) {
        const index_t first = rows.first_pixel(pieces, i), last = rows.first_pixel(pieces, i + 1);
        gradient.sum_piece(i, [&](const auto& add) {
            if (!d.pool) return add(last - first, z + first * channels, dy + first * channels);
            rows.for_window_rows(first, last, [&](index_t row, index_t two, index_t at) {
                if (two == 2) add(windows, z + row * line, dy + at);
            });
        });
    });
    gradient.join(invstd, dw, db, running);
    detail::parallel_for(p.threads, pieces.count, [&](index_t i, int) {
        const index_t first = rows.first_pixel(pieces, i), last = rows.first_pixel(pieces, i + 1);
        if (!d.pool) return gradient.spread(last - first, z + first * channels, dy + first * channels, dz + first * channels);
        const auto nothing = [&](index_t pixel, index_t count) { gradient.spread_nothing(count, z + pixel * channels, dz + pixel * channels); };
        rows.for_window_rows(first, last, [&](index_t row, index_t two, index_t at) {
            if (two == 1) return nothing(row * width, width);
            gradient.spread(windows, z + row * line, dy + at, dz + row * line);
            if (width % 2 == 1) nothing((row + 1) * width - 1, 1), nothing((row + 2) * width - 1, 1);
        });
    });
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
