// SPDX-License-Identifier: MIT
// A convolution with what usually follows it: batch normalisation, ReLU, pooling of 2 x 2. Statistics are taken of results that lie in cache; what is
// normalised is written once, pooled; the backward pass reads the convolution's results and nothing else.
#pragma once

#include <dla/kernels/cpu/conv2d.hpp>
#include <dla/kernels/cpu/norm.hpp>

#include <cmath>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// What is compiled once for each instruction set, for each of: normalisation; and ReLU; and pooling.
struct ConvNormTarget {
    void (*normalise)(index_t rows, index_t channels, index_t stride, const float* x, const float* centre, const float* gain, const float* shift, float* y);
    void (*pool)(index_t windows, index_t line, index_t channels, const float* x, const float* centre, const float* gain, const float* shift, float* y);
    void (*add_sums)(index_t count, index_t line, index_t channels, const float* x, const float* dy, const float* centre, const float* gain, const float* shift,
                     float* sum, float* product);
    void (*spread)(index_t count, index_t line, index_t channels, const float* x, const float* dy, const float* centre, const float* gain, const float* shift,
                   const float* offset, const float* slope, float* dx);
    void (*spread_nothing)(index_t count, index_t channels, const float* x, const float* centre, const float* gain, const float* offset, const float* slope,
                           float* dx);
    void (*flush)(index_t padded, float* sum, float* product, double* sums, double* products);
};

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/conv_norm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/conv_norm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/conv_norm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla::detail::inline DLA_ABI_TAG {

/// What follows the convolution, with the factors of each channel.
struct ConvNormRows {
    const ConvNormDims& d;
    const ConvNormTarget& f;
    index_t channels, width, height;
    float *centre, *gain, *shift;

    ConvNormRows(const ConvNormDims& dims, std::byte*& scratch, const NormParams& n, const float* mean, const float* invstd)
        : d(dims),
          f(**select_isa(base::conv_norm_targets + kind(dims), avx2::conv_norm_targets + kind(dims), avx512::conv_norm_targets + kind(dims))),
          channels(dims.conv.out_channels),
          width(dims.conv.out_width),
          height(dims.conv.out_height) {
        const index_t padded = padded_channels(channels);
        centre = take<float>(scratch, padded), gain = take<float>(scratch, padded), shift = take<float>(scratch, padded);
        for (index_t c = 0; c < padded; ++c) {
            centre[c] = c < channels ? mean[c] : 0.0f;
            gain[c] = c < channels ? (n.w ? invstd[c] * n.w[c] : invstd[c]) : 0.0f;
            shift[c] = c < channels && n.b ? n.b[c] : 0.0f;
        }
    }
    static index_t kind(const ConvNormDims& d) { return d.pool ? 2 : d.relu ? 1 : 0; }
    static index_t bytes(const ConvNormDims& d) { return 3 * bytes_of<float>(padded_channels(d.conv.out_channels)); }

    /// f(row, rows, y): the image's rows from `row` on that a row of windows covers (of the last row of an odd number, itself: rows = 1), counted over all
    /// images, and the place of the results. For pixels [first, last), which are such rows.
    template <class F>
    void for_window_rows(index_t first, index_t last, const F& f_row) const {
        for (index_t row = first / width; row < last / width;) {
            const index_t image = row / height, in_image = row % height, rows = in_image + 1 < height ? 2 : 1;
            f_row(row, rows, (image * (height / 2) + in_image / 2) * (width / 2) * channels);
            row += rows;
        }
    }
    /// x: pixels [first, last), to their place in y.
    void normalise(index_t first, index_t last, const float* x, float* y) const {
        if (!d.pool) return f.normalise(last - first, channels, channels, x, centre, gain, shift, y + first * channels);
        for_window_rows(first, last, [&](index_t row, index_t rows, index_t to) {
            if (rows == 2) f.pool(width / 2, width * channels, channels, x + (row * width - first) * channels, centre, gain, shift, y + to);
        });
    }
    /// Cuts all pixels into pieces for kernels that read them: whole rows of windows.
    Chunks pieces() const {
        if (!d.pool) return norm_chunks(d.norm());
        const index_t lines = d.conv.batch * ceil_div(height, 2);
        return cut(lines, 2 * width * channels, 1, 64);
    }
    index_t first_pixel(const Chunks& pieces, index_t i) const {
        const index_t at = std::min(pieces.n, pieces.begin(i));
        if (!d.pool) return at;
        const index_t lines = ceil_div(height, 2);
        return (at / lines * height + at % lines * 2) * width;
    }
    static index_t most_pieces(const ConvNormDims& d) {
        if (!d.pool) return most_norm_chunks(d.norm());
        return detail::most_pieces(d.conv.batch * ceil_div(d.conv.out_height, 2), 2 * d.conv.out_width * d.conv.out_channels, 1, 64);
    }
};

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

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla {

DLA_ONCE index_t conv_norm_forward_scratch(const Cpu<float>& p, const ConvNormDims& d) {
    const index_t channels = detail::padded_channels(d.conv.out_channels);
    const index_t tasks = detail::most_tasks(p, d.conv);
    const index_t moments = 2 * detail::bytes_of<double>(tasks * channels) + detail::bytes_of<index_t>(tasks) +
                            detail::bytes_of<float>(thread_count(p.threads) * 3 * channels) + detail::bytes_of<double>(channels);
    return detail::ConvNormRows::bytes(d) + moments + conv2d_forward_scratch(p, d.conv);
}
DLA_ONCE index_t conv_norm_infer_scratch(const Cpu<float>& p, const ConvNormDims& d) {
    const index_t own = d.pool ? detail::bytes_of<float>(thread_count(p.threads) * detail::most_task_floats(p, d.conv)) : 0;
    return detail::ConvNormRows::bytes(d) + 2 * detail::bytes_of<float>(d.conv.out_channels) + own + conv2d_forward_scratch(p, d.conv);
}
DLA_ONCE index_t conv_norm_backward_scratch(const Cpu<float>&, const ConvNormDims& d) {
    const index_t channels = detail::padded_channels(d.conv.out_channels), pieces = std::max<index_t>(1, detail::ConvNormRows::most_pieces(d));
    return detail::ConvNormRows::bytes(d) + 2 * detail::bytes_of<double>(pieces * channels) + detail::bytes_of<float>(pieces * 2 * channels) +
           2 * detail::bytes_of<float>(channels);
}

DLA_ONCE void conv_norm_forward(const Cpu<float>& p, std::byte* scratch, const ConvNormDims& d, const NormParams& n, const float* x, const float* w,
                                const float* bias, float* z, float* mean, float* invstd) {
    if (n.tracked) ++*n.tracked;
    const NormDims dims = d.norm();
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
    detail::conv2d_forward_then(p, scratch, d.conv, x, w, bias, z, detail::finish_with(moments));
    detail::join_moments(dims, n.eps, tasks, [&](index_t i) { return rows[i]; }, means, squares, inverse);
    for (index_t c = 0; c < dims.channels; ++c) {
        mean[c] = static_cast<float>(means[c]);
        invstd[c] = static_cast<float>(inverse[c]);
    }
    detail::move_running(dims, n.momentum, means, squares, n.running_mean, n.running_var, n.tracked);
}

DLA_ONCE void conv_norm_apply(const Cpu<float>& p, std::byte* scratch, const ConvNormDims& d, const NormParams& n, const float* z, const float* mean,
                              const float* invstd, float* y) {
    const detail::ConvNormRows rows(d, scratch, n, mean, invstd);
    const detail::Chunks pieces = rows.pieces();
    detail::parallel_for(p.threads, pieces.count, [&](index_t i, int) {
        const index_t first = rows.first_pixel(pieces, i);
        rows.normalise(first, rows.first_pixel(pieces, i + 1), z + first * rows.channels, y);
    });
}

DLA_ONCE void conv_norm_running(const Cpu<float>&, const ConvNormDims& d, const NormParams& n, float* mean, float* invstd) {
    for (index_t c = 0; c < d.conv.out_channels; ++c) {
        mean[c] = n.running_mean[c];
        invstd[c] = static_cast<float>(1.0 / std::sqrt(static_cast<double>(n.running_var[c]) + n.eps));
    }
}

DLA_ONCE void conv_norm_infer(const Cpu<float>& p, std::byte* scratch, const ConvNormDims& d, const NormParams& n, const float* x, const float* w,
                              const float* bias, float* y) {
    auto *mean = detail::take<float>(scratch, d.conv.out_channels), *invstd = detail::take<float>(scratch, d.conv.out_channels);
    conv_norm_running(p, d, n, mean, invstd);
    const detail::ConvNormRows rows(d, scratch, n, mean, invstd);
    const index_t own_floats = d.pool ? detail::most_task_floats(p, d.conv) : 0;
    float* own = d.pool ? detail::take<float>(scratch, thread_count(p.threads) * own_floats) : nullptr;
    const auto normalise = [&](index_t, const detail::ConvTask& task, const float* results, int) { rows.normalise(task.first, task.last, results, y); };
    detail::conv2d_forward_then(p, scratch, d.conv, x, w, bias, y, detail::finish_with(normalise, own, own_floats));
}

DLA_ONCE void conv_norm_backward(const Cpu<float>& p, std::byte* scratch, const ConvNormDims& d, const NormParams& n, const float* z, const float* mean,
                                 const float* invstd, const float* dy, float* dz, float* dw, float* db, bool running) {
    const detail::ConvNormRows rows(d, scratch, n, mean, invstd);
    const detail::ConvNormTarget& f = rows.f;
    const detail::Chunks pieces = rows.pieces();
    const index_t channels = rows.channels, padded = detail::padded_channels(channels), width = rows.width, line = width * channels, windows = width / 2;
    auto *sums = detail::take<double>(scratch, pieces.count * padded), *products = detail::take<double>(scratch, pieces.count * padded);
    auto* work = detail::take<float>(scratch, pieces.count * 2 * padded);
    auto *offset = detail::take<float>(scratch, padded), *slope = detail::take<float>(scratch, padded);
    detail::parallel_for(p.threads, pieces.count, [&](index_t i, int) {
        float *sum = work + i * 2 * padded, *product = sum + padded;
        double *own_sums = sums + i * padded, *own_products = products + i * padded;
        std::fill_n(sum, 2 * padded, 0.0f);
        std::fill_n(own_sums, padded, 0.0), std::fill_n(own_products, padded, 0.0);
        const index_t first = rows.first_pixel(pieces, i), last = rows.first_pixel(pieces, i + 1);
        index_t added = 0;
        const auto add = [&](index_t count, const float* at, const float* from) {
            for (index_t done = 0; done < count;) {
                const index_t here = std::min(count - done, detail::norm_block - added);
                f.add_sums(here, line, channels, at + done * (d.pool ? 2 : 1) * channels, from + done * channels, rows.centre, rows.gain, rows.shift, sum,
                           product);
                done += here;
                if ((added += here) < detail::norm_block) continue;
                f.flush(padded, sum, product, own_sums, own_products);
                added = 0;
            }
        };
        if (d.pool) {
            rows.for_window_rows(first, last, [&](index_t row, index_t two, index_t at) {
                if (two == 2) add(windows, z + row * line, dy + at);
            });
        } else {
            add(last - first, z + first * channels, dy + first * channels);
        }
        f.flush(padded, sum, product, own_sums, own_products);
    });
    for (index_t i = 1; i < pieces.count; ++i)
        for (index_t c = 0; c < padded; ++c) sums[c] += sums[i * padded + c], products[c] += products[i * padded + c];
    const double share = running ? 0.0 : 1.0 / static_cast<double>(d.norm().outer);
    for (index_t c = 0; c < padded; ++c) {
        const double scale = c < channels ? static_cast<double>(invstd[c]) : 0.0;
        offset[c] = static_cast<float>(sums[c] * share);
        slope[c] = static_cast<float>(products[c] * share * scale * scale);
        if (c >= channels) continue;
        if (dw) dw[c] = static_cast<float>(static_cast<double>(dw[c]) + products[c] * scale);
        if (db) db[c] = static_cast<float>(static_cast<double>(db[c]) + sums[c]);
    }
    detail::parallel_for(p.threads, pieces.count, [&](index_t i, int) {
        const index_t first = rows.first_pixel(pieces, i), last = rows.first_pixel(pieces, i + 1);
        if (!d.pool)
            return f.spread(last - first, line, channels, z + first * channels, dy + first * channels, rows.centre, rows.gain, rows.shift, offset, slope,
                            dz + first * channels);
        const auto nothing = [&](index_t pixel, index_t count) {
            f.spread_nothing(count, channels, z + pixel * channels, rows.centre, rows.gain, offset, slope, dz + pixel * channels);
        };
        rows.for_window_rows(first, last, [&](index_t row, index_t two, index_t at) {
            if (two == 1) return nothing(row * width, width);
            f.spread(windows, line, channels, z + row * line, dy + at, rows.centre, rows.gain, rows.shift, offset, slope, dz + row * line);
            if (width % 2 == 1) nothing((row + 1) * width - 1, 1), nothing((row + 2) * width - 1, 1);
        });
    });
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
