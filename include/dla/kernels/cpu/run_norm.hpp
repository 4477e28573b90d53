// SPDX-License-Identifier: MIT
// Normalisation of runs of neighbouring values: rows of a LayerNorm, and the channels of a batch normalisation whose values lie `inner` at a time.
#pragma once

#include <dla/kernels/cpu/norm_rows.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/run_norm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/run_norm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/run_norm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla::detail::inline DLA_ABI_TAG {

/// Mean and sum of squared distances from it of n values, of which `near` is one: total(f) is the sum of f(run) over the runs that they lie in. Differences
/// from that one are small where the values are alike, so equal values have no distances.
struct RunMoments {
    double mean, squares;

    template <class Total>
    RunMoments(index_t n, float near, const Total& total) {
        const auto sum = select_isa(base::run_offset, avx2::run_offset, avx512::run_offset);
        const auto distances = select_isa(base::run_squares, avx2::run_squares, avx512::run_squares);
        mean = static_cast<double>(near) + total([&](index_t length, const float* x) { return sum(length, x, near); }) / static_cast<double>(n);
        const auto centre = static_cast<float>(mean);
        const double off = mean - static_cast<double>(centre);
        squares = total([&](index_t length, const float* x) { return distances(length, x, centre); }) - static_cast<double>(n) * off * off;
        if (squares < 0) squares = 0;
    }
};

inline Chunks layer_norm_chunks(index_t rows, index_t columns) { return cut(rows, columns, 1, 64); }
inline index_t most_layer_norm_chunks(index_t rows, index_t columns) { return most_pieces(rows, columns, 1, 64); }
/// Of few rows that are wide, as of whole images, sums of each chunk's own would take as long as all else: strips of columns add up all rows instead.
inline bool layer_norm_in_strips(index_t rows, index_t columns) { return columns > 4096 && rows <= 512; }
inline constexpr index_t layer_norm_strip = 512;

inline void layer_norm_parameter_gradients(const Cpu<float>& p, index_t rows, index_t columns, const float* x, const float* mean, const float* invstd,
                                           const float* dy, float* dw, float* db) {
    const auto row = select_isa(base::layer_norm_row, avx2::layer_norm_row, avx512::layer_norm_row);
    const auto flush = select_isa(base::flush_gradient_sums, avx2::flush_gradient_sums, avx512::flush_gradient_sums);
    parallel_for(p.threads, ceil_div(columns, layer_norm_strip), [&](index_t i, int) {
        const index_t first = i * layer_norm_strip, count = std::min(layer_norm_strip, columns - first);
        alignas(64) float product[layer_norm_strip] = {}, sum[layer_norm_strip] = {};
        alignas(64) double products[layer_norm_strip] = {}, sums[layer_norm_strip] = {};
        for (index_t r = 0; r < rows; ++r) {
            row(count, x + r * columns + first, dy + r * columns + first, mean[r], invstd[r], nullptr, product, sum, nullptr);
            if (r + 1 == rows || (r + 1) % norm_block == 0) flush(layer_norm_strip, sum, product, sums, products);
        }
        for (index_t c = 0; c < count; ++c) {
            dw[first + c] = static_cast<float>(static_cast<double>(dw[first + c]) + products[c]);
            db[first + c] = static_cast<float>(static_cast<double>(db[first + c]) + sums[c]);
        }
    });
}

/// f(channel) for all channels, several to a task: each has its sums to itself, whatever the number of threads.
template <class F>
void for_channels(const Cpu<float>& p, const NormDims& d, const F& f) {
    const Chunks pieces = cut(d.channels, d.outer * d.inner, 1, 64);
    parallel_for(p.threads, pieces.count, [&](index_t i, int) {
        for (index_t c = pieces.begin(i); c < pieces.begin(i) + pieces.length(i); ++c) f(c);
    });
}

inline void run_norm_forward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, const NormParams& n, const float* x, float* y, float* mean,
                             float* invstd) {
    auto *means = take<double>(scratch, d.channels), *squares = take<double>(scratch, d.channels);
    const auto normalise = select_isa(base::run_normalise, avx2::run_normalise, avx512::run_normalise);
    const index_t step = d.channels * d.inner, count = d.outer * d.inner;
    for_channels(p, d, [&](index_t c) {
        const index_t first = c * d.inner;
        const RunMoments moments(count, x[first], [&](const auto& of) {
            double sum = 0;
            for (index_t o = 0; o < d.outer; ++o) sum += of(d.inner, x + first + o * step);
            return sum;
        });
        means[c] = moments.mean, squares[c] = moments.squares;
        mean[c] = static_cast<float>(moments.mean);
        invstd[c] = static_cast<float>(1.0 / std::sqrt(moments.squares / static_cast<double>(count) + n.eps));
        const float gain = n.w ? invstd[c] * n.w[c] : invstd[c], shift = n.b ? n.b[c] : 0.0f;
        for (index_t o = 0; o < d.outer; ++o) normalise(d.inner, x + first + o * step, mean[c], gain, shift, y + first + o * step);
    });
    move_running({.outer = count, .channels = d.channels}, n.momentum, means, squares, n.running_mean, n.running_var, n.tracked);
}

inline void run_norm_infer(const Cpu<float>& p, const NormDims& d, double eps, const float* x, const float* w, const float* b, const float* running_mean,
                           const float* running_var, float* y) {
    const auto normalise = select_isa(base::run_normalise, avx2::run_normalise, avx512::run_normalise);
    const index_t pieces = ceil_div(d.outer * d.channels, std::max<index_t>(1, parallel_values / 2 / std::max<index_t>(1, d.inner)));
    const index_t runs = d.outer * d.channels;
    parallel_for(p.threads, pieces, [&](index_t i, int) {
        for (index_t run = runs * i / pieces; run < runs * (i + 1) / pieces; ++run) {
            const index_t c = run % d.channels;
            const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(running_var[c]) + eps));
            normalise(d.inner, x + run * d.inner, running_mean[c], w ? scale * w[c] : scale, b ? b[c] : 0.0f, y + run * d.inner);
        }
    });
}

inline void run_norm_backward(const Cpu<float>& p, const NormDims& d, const float* x, const float* w, const float* mean, const float* invstd, const float* dy,
                              float* dx, float* dw, float* db) {
    const auto total = select_isa(base::run_total, avx2::run_total, avx512::run_total);
    const auto product = select_isa(base::run_product, avx2::run_product, avx512::run_product);
    const auto spread = select_isa(base::run_input_gradient, avx2::run_input_gradient, avx512::run_input_gradient);
    const index_t step = d.channels * d.inner;
    const double count = static_cast<double>(d.outer * d.inner);
    for_channels(p, d, [&](index_t c) {
        const index_t first = c * d.inner;
        double sum = 0, products = 0;
        for (index_t o = 0; o < d.outer; ++o) {
            sum += total(d.inner, dy + first + o * step);
            products += product(d.inner, x + first + o * step, dy + first + o * step, mean[c]);
        }
        const double scale = static_cast<double>(invstd[c]);
        const float gain = w ? invstd[c] * w[c] : invstd[c], offset = static_cast<float>(sum / count);
        const float slope = static_cast<float>(products / count * scale * scale);
        for (index_t o = 0; dx && o < d.outer; ++o)
            spread(d.inner, x + first + o * step, dy + first + o * step, mean[c], gain, offset, slope, dx + first + o * step);
        if (dw) dw[c] = static_cast<float>(static_cast<double>(dw[c]) + products * scale);
        if (db) db[c] = static_cast<float>(static_cast<double>(db[c]) + sum);
    });
}

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla {

DLA_ONCE index_t layer_norm_scratch(const Cpu<float>&, index_t rows, index_t columns) {
    if (detail::layer_norm_in_strips(rows, columns)) return 0;
    const index_t pieces = std::max<index_t>(1, detail::most_layer_norm_chunks(rows, columns)), padded = detail::padded_channels(columns);
    return 2 * detail::bytes_of<double>(pieces * padded) + detail::bytes_of<float>(pieces * 2 * padded);
}

DLA_ONCE void layer_norm_forward(const Cpu<float>& p, index_t rows, index_t columns, double eps, const float* x, const float* w, const float* b, float* y,
                                 float* mean, float* invstd) {
    const detail::Chunks chunks = detail::layer_norm_chunks(rows, columns);
    const auto normalise = detail::select_isa(detail::base::layer_normalise, detail::avx2::layer_normalise, detail::avx512::layer_normalise);
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        for (index_t r = chunks.begin(i); r < chunks.begin(i) + chunks.length(i); ++r) {
            const float* row = x + r * columns;
            const detail::RunMoments moments(columns, row[0], [&](const auto& of) { return of(columns, row); });
            const auto centre = static_cast<float>(moments.mean);
            const auto scale = static_cast<float>(1.0 / std::sqrt(moments.squares / static_cast<double>(columns) + eps));
            normalise(columns, row, centre, scale, w, b, y + r * columns);
            if (mean) mean[r] = centre;
            if (invstd) invstd[r] = scale;
        }
    });
}

DLA_ONCE void layer_norm_backward(const Cpu<float>& p, std::byte* scratch, index_t rows, index_t columns, const float* x, const float* w, const float* mean,
                                  const float* invstd, const float* dy, float* dx, float* dw, float* db) {
    const detail::Chunks chunks = detail::layer_norm_chunks(rows, columns);
    const auto row = detail::select_isa(detail::base::layer_norm_row, detail::avx2::layer_norm_row, detail::avx512::layer_norm_row);
    if (detail::layer_norm_in_strips(rows, columns)) {
        if (dw) detail::layer_norm_parameter_gradients(p, rows, columns, x, mean, invstd, dy, dw, db);  // first, for dx may be dy
        detail::parallel_for(p.threads, dx ? chunks.count : 0, [&](index_t i, int) {
            for (index_t r = chunks.begin(i); r < chunks.begin(i) + chunks.length(i); ++r)
                row(columns, x + r * columns, dy + r * columns, mean[r], invstd[r], w, nullptr, nullptr, dx + r * columns);
        });
        return;
    }
    const index_t padded = detail::padded_channels(columns);
    auto *products = detail::take<double>(scratch, chunks.count * padded), *sums = detail::take<double>(scratch, chunks.count * padded);
    auto* work = detail::take<float>(scratch, chunks.count * 2 * padded);
    const auto flush = detail::select_isa(detail::base::flush_gradient_sums, detail::avx2::flush_gradient_sums, detail::avx512::flush_gradient_sums);
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        float *product = work + i * 2 * padded, *sum = product + padded;
        double *own_products = products + i * padded, *own_sums = sums + i * padded;
        if (dw) std::fill_n(product, 2 * padded, 0.0f), std::fill_n(own_products, padded, 0.0), std::fill_n(own_sums, padded, 0.0);
        for (index_t k = 0; k < chunks.length(i); ++k) {
            const index_t r = chunks.begin(i) + k, at = r * columns;
            row(columns, x + at, dy + at, mean[r], invstd[r], w, dw ? product : nullptr, sum, dx ? dx + at : nullptr);
            if (dw && (k + 1 == chunks.length(i) || (k + 1) % detail::norm_block == 0)) flush(padded, sum, product, own_sums, own_products);
        }
    });
    detail::parallel_for(columns < 2048 ? 1 : p.threads, dw ? detail::ceil_div(columns, detail::layer_norm_strip) : 0, [&](index_t s, int) {
        for (index_t c = s * detail::layer_norm_strip; c < std::min(columns, (s + 1) * detail::layer_norm_strip); ++c) {
            double weight = 0, bias = 0;
            for (index_t i = 0; i < chunks.count; ++i) weight += products[i * padded + c], bias += sums[i * padded + c];
            dw[c] = static_cast<float>(static_cast<double>(dw[c]) + weight);
            db[c] = static_cast<float>(static_cast<double>(db[c]) + bias);
        }
    });
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
