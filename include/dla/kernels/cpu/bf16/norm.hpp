// SPDX-License-Identifier: MIT
// Normalisation of Cpu<bf16>: rows of channels a block at a time in float, with the sums of Cpu<float>; other layouts and LayerNorm as the reference has them.
#pragma once

#include <dla/kernels/cpu/bf16/gemm.hpp>
#include <dla/kernels/cpu/norm.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

namespace detail::inline DLA_ABI_TAG {

/// What a thread has of rows in float, and the moments of them.
struct Bf16Rows {
    float *x, *dy;
    double *mean, *squares;

    Bf16Rows(std::byte*& scratch, index_t channels, int threads)
        : x(take<float>(scratch, threads * norm_block * channels)),
          dy(take<float>(scratch, threads * norm_block * channels)),
          mean(take<double>(scratch, threads * padded_channels(channels))),
          squares(take<double>(scratch, threads * padded_channels(channels))) {}
    static index_t bytes(index_t channels, int threads) {
        return 2 * bytes_of<float>(threads * norm_block * channels) + 2 * bytes_of<double>(threads * padded_channels(channels));
    }
    /// f(first row, rows) over [first, first + rows) in steps that a thread's memory holds.
    template <class F>
    static void for_blocks(index_t first, index_t rows, const F& f) {
        for (index_t done = 0; done < rows; done += norm_block) f(first + done, std::min(norm_block, rows - done));
    }
};

}  // namespace detail::inline DLA_ABI_TAG

DLA_ONCE index_t batch_norm_scratch(const Cpu<bf16>& p, const NormDims& d) {
    if (d.inner != 1) return 0;
    return detail::Bf16Rows::bytes(d.channels, thread_count(p.threads)) + batch_norm_scratch(detail::float_policy(p), d);
}
DLA_ONCE void batch_norm_forward(const Cpu<bf16>& p, std::byte* scratch, const NormDims& d, double eps, double momentum, const bf16* x, const float* w,
                                 const float* b, float* running_mean, float* running_var, std::int64_t* tracked, bf16* y, float* mean, float* invstd) {
    if (d.outer == 0 || d.inner != 1)
        return batch_norm_forward(static_cast<const Reference<bf16>&>(p), scratch, d, eps, momentum, x, w, b, running_mean, running_var, tracked, y, mean,
                                  invstd);
    if (tracked) ++*tracked;
    const detail::Chunks chunks = detail::norm_chunks(d);
    const index_t channels = d.channels, padded = detail::padded_channels(channels);
    const detail::Bf16Rows own(scratch, channels, thread_count(p.threads));
    auto *means = detail::take<double>(scratch, chunks.count * padded), *squares = detail::take<double>(scratch, chunks.count * padded);
    auto* work = detail::take<float>(scratch, chunks.count * 3 * padded);
    auto* inverse = detail::take<double>(scratch, padded);
    const auto moments = detail::select_isa(detail::base::moments, detail::avx2::moments, detail::avx512::moments);
    const auto merge = detail::select_isa(detail::base::merge_moments, detail::avx2::merge_moments, detail::avx512::merge_moments);
    const auto [wide, narrow] = detail::bf16_conversions();
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int thread) {
        float* rows = own.x + thread * detail::norm_block * channels;
        double *block_mean = own.mean + thread * padded, *block_squares = own.squares + thread * padded;
        std::fill_n(means + i * padded, padded, 0.0), std::fill_n(squares + i * padded, padded, 0.0);
        detail::Bf16Rows::for_blocks(chunks.begin(i), chunks.length(i), [&](index_t first, index_t count) {
            wide(count * channels, x + first * channels, rows);
            moments(count, channels, rows, count * channels, work + i * 3 * padded, block_mean, block_squares);
            merge(padded, first - chunks.begin(i), count, block_mean, block_squares, means + i * padded, squares + i * padded);
        });
    });
    detail::join_moments(d, eps, chunks.count, [&](index_t i) { return chunks.length(i); }, means, squares, inverse, mean, invstd);
    detail::move_running(d, momentum, means, squares, running_mean, running_var, tracked);
    const detail::NormRows normed(detail::rows_of(d), scratch, {.w = w, .b = b}, mean, invstd);
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int thread) {
        float* rows = own.x + thread * detail::norm_block * channels;
        detail::Bf16Rows::for_blocks(chunks.begin(i), chunks.length(i), [&](index_t first, index_t count) {
            wide(count * channels, x + first * channels, rows);
            normed.normalise(0, count, rows, rows);
            narrow(count * channels, rows, y + first * channels);
        });
    });
}
DLA_ONCE void batch_norm_infer(const Cpu<bf16>& p, const NormDims& d, double eps, const bf16* x, const float* w, const float* b, const float* running_mean,
                               const float* running_var, bf16* y) {
    if (d.inner != 1) return batch_norm_infer(static_cast<const Reference<bf16>&>(p), d, eps, x, w, b, running_mean, running_var, y);
    const detail::Chunks chunks = detail::norm_chunks(d);
    const auto f = detail::select_isa(detail::base::normalise_by_running, detail::avx2::normalise_by_running, detail::avx512::normalise_by_running);
    const auto [wide, narrow] = detail::bf16_conversions();
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        constexpr index_t most_rows = 16, most_channels = 256;
        alignas(64) float part[most_rows * most_channels];
        for (index_t row = chunks.begin(i), end = row + chunks.length(i); row < end; row += most_rows)
            for (index_t c = 0; c < d.channels; c += most_channels) {
                const index_t rows = std::min(most_rows, end - row), count = std::min(most_channels, d.channels - c);
                for (index_t r = 0; r < rows; ++r) wide(count, x + (row + r) * d.channels + c, part + r * count);
                f(rows, count, static_cast<float>(eps), part, w ? w + c : nullptr, b ? b + c : nullptr, running_mean + c, running_var + c, part);
                for (index_t r = 0; r < rows; ++r) narrow(count, part + r * count, y + (row + r) * d.channels + c);
            }
    });
}
DLA_ONCE void batch_norm_backward(const Cpu<bf16>& p, std::byte* scratch, const NormDims& d, const bf16* x, const float* w, const float* mean,
                                  const float* invstd, const bf16* dy, bf16* dx, float* dw, float* db) {
    if (d.inner != 1) return batch_norm_backward(static_cast<const Reference<bf16>&>(p), scratch, d, x, w, mean, invstd, dy, dx, dw, db);
    if (d.outer == 0) return;
    const detail::Chunks chunks = detail::norm_chunks(d);
    const index_t channels = d.channels;
    const detail::Bf16Rows own(scratch, channels, thread_count(p.threads));
    const detail::NormRows rows(detail::rows_of(d), scratch, {.w = w}, mean, invstd);
    const detail::NormGradient gradient(rows, scratch, chunks.count);
    const auto [wide, narrow] = detail::bf16_conversions();
    // f(first row, rows, x, dy) of piece i, in float.
    const auto blocks = [&, wide = wide](index_t i, int thread, const auto& f) {
        float *of_x = own.x + thread * detail::norm_block * channels, *of_dy = own.dy + thread * detail::norm_block * channels;
        detail::Bf16Rows::for_blocks(chunks.begin(i), chunks.length(i), [&](index_t first, index_t count) {
            wide(count * channels, x + first * channels, of_x);
            wide(count * channels, dy + first * channels, of_dy);
            f(first, count, of_x, of_dy);
        });
    };
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int thread) {
        gradient.sum_piece(
            i, [&](const auto& add) { blocks(i, thread, [&](index_t, index_t count, const float* of_x, const float* of_dy) { add(count, of_x, of_dy); }); });
    });
    gradient.join(invstd, dw, db, false);
    if (!dx) return;
    detail::parallel_for(p.threads, chunks.count, [&, narrow = narrow](index_t i, int thread) {
        blocks(i, thread, [&](index_t first, index_t count, float* of_x, const float* of_dy) {
            gradient.spread(count, of_x, of_dy, of_x);
            narrow(count * channels, of_x, dx + first * channels);
        });
    });
}
DLA_ONCE void batch_norm_infer_backward(const Cpu<bf16>& p, std::byte* scratch, const NormDims& d, double eps, const bf16* x, const float* w,
                                        const float* running_mean, const float* running_var, const bf16* dy, bf16* dx, float* dw, float* db) {
    if (d.inner != 1)
        return batch_norm_infer_backward(static_cast<const Reference<bf16>&>(p), scratch, d, eps, x, w, running_mean, running_var, dy, dx, dw, db);
    detail::running_norm_backward(p, scratch, d, eps, x, w, running_mean, running_var, dy, dx, dw, db);
}
DLA_ONCE void layer_norm_forward(const Cpu<bf16>& p, index_t rows, index_t columns, double eps, const bf16* x, const float* w, const float* b, bf16* y,
                                 float* mean, float* invstd) {
    detail::each_sample(p, rows, columns, [&](index_t r, const auto& one) {
        layer_norm_forward(one, 1, columns, eps, x + r * columns, w, b, y + r * columns, mean ? mean + r : nullptr, invstd ? invstd + r : nullptr);
    });
}
DLA_ONCE void layer_norm_backward(const Cpu<bf16>& p, std::byte* scratch, index_t rows, index_t columns, const bf16* x, const float* w, const float* mean,
                                  const float* invstd, const bf16* dy, bf16* dx, float* dw, float* db) {
    if (dw || db) layer_norm_backward(static_cast<const Reference<bf16>&>(p), scratch, rows, columns, x, w, mean, invstd, dy, nullptr, dw, db);
    if (!dx) return;
    detail::each_sample(p, rows, columns, [&](index_t r, const auto& one) {
        layer_norm_backward(one, nullptr, 1, columns, x + r * columns, w, mean + r, invstd + r, dy + r * columns, dx + r * columns, nullptr, nullptr);
    });
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
