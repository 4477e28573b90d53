// SPDX-License-Identifier: MIT
// Batch normalisation of rows of contiguous channels with the ReLU and the pooling of 2 x 2 that may follow, and the gradients of them: the backward pass
// reads what was normalised and nothing else.
#pragma once

#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/cpu/simd_math.hpp>

#include <cmath>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Rows whose sums are kept in float before they go on in double.
inline constexpr index_t norm_block = 128;

inline Chunks norm_chunks(const NormDims& d) { return cut(d.outer, d.channels, norm_block, 64); }
inline index_t most_norm_chunks(const NormDims& d) { return most_pieces(d.outer, d.channels, norm_block, 64); }

/// Arrays of one value per channel are padded to whole vectors of any target.
constexpr index_t padded_channels(index_t channels) { return round_up(channels, 16); }

/// What is compiled once for each instruction set, for each of: normalisation; and ReLU; and pooling.
struct NormRowsTarget {
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
#include <dla/kernels/cpu/moments.inl.hpp>
#include <dla/kernels/cpu/norm_rows.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/moments.inl.hpp>
#include <dla/kernels/cpu/norm_rows.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/moments.inl.hpp>
#include <dla/kernels/cpu/norm_rows.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla::detail::inline DLA_ABI_TAG {

/// Running statistics (or null) towards a batch's means and sums of squared distances from them.
inline void move_running(const NormDims& d, double momentum, const double* means, const double* squares, float* running_mean, float* running_var,
                         const std::int64_t* tracked) {
    if (!running_mean) return;
    const double m = momentum < 0 ? 1.0 / static_cast<double>(*tracked) : momentum, unbiased = m / static_cast<double>(d.outer - 1);
    for (index_t c = 0; c < d.channels; ++c) {
        running_mean[c] = static_cast<float>((1.0 - m) * static_cast<double>(running_mean[c]) + m * means[c]);
        running_var[c] = static_cast<float>((1.0 - m) * static_cast<double>(running_var[c]) + unbiased * squares[c]);
    }
}

/// The moments of all pieces, of rows(i) rows each, joined in order into those of the first; mean, invstd = 1 / sqrt(variance + eps), work [channels].
template <class Rows>
void join_moments(const NormDims& d, double eps, index_t pieces, const Rows& rows, double* means, double* squares, double* work, float* mean, float* invstd) {
    const index_t channels = padded_channels(d.channels);
    const auto merge = select_isa(base::merge_moments, avx2::merge_moments, avx512::merge_moments);
    for (index_t i = 1, before = pieces > 0 ? rows(0) : 0; i < pieces; before += rows(i++))
        merge(channels, before, rows(i), means + i * channels, squares + i * channels, means, squares);
    select_isa(base::inverse_std, avx2::inverse_std, avx512::inverse_std)(channels, static_cast<double>(d.outer), eps, squares, work);
    for (index_t c = 0; c < d.channels; ++c) {
        mean[c] = static_cast<float>(means[c]);
        invstd[c] = static_cast<float>(work[c]);
    }
}

/// What is normalised, with the factors of each channel.
struct NormRows {
    const NormRowsDims d;
    const NormRowsTarget& f;
    index_t channels, width, height;
    const float *centre, *gain, *shift;

    NormRows(const NormRowsDims& dims, std::byte*& scratch, const NormParams& n, const float* mean, const float* invstd)
        : d(dims),
          f(**select_isa(base::norm_rows_targets + kind(dims), avx2::norm_rows_targets + kind(dims), avx512::norm_rows_targets + kind(dims))),
          channels(dims.channels),
          width(dims.width),
          height(dims.height) {
        auto* factors = take<float>(scratch, 3 * padded_channels(channels));
        write_factors(channels, n, mean, invstd, factors);
        read_factors(factors);
    }
    /// With factors that were written before.
    NormRows(const NormRowsDims& dims, const float* factors)
        : d(dims),
          f(**select_isa(base::norm_rows_targets + kind(dims), avx2::norm_rows_targets + kind(dims), avx512::norm_rows_targets + kind(dims))),
          channels(dims.channels),
          width(dims.width),
          height(dims.height) {
        read_factors(factors);
    }
    /// factors [3, padded_channels]: what is taken away, what the rest is multiplied by, what is added.
    static void write_factors(index_t channels, const NormParams& n, const float* mean, const float* invstd, float* factors) {
        const index_t padded = padded_channels(channels);
        for (index_t c = 0; c < padded; ++c) {
            factors[c] = c < channels ? mean[c] : 0.0f;
            factors[padded + c] = c < channels ? (n.w ? invstd[c] * n.w[c] : invstd[c]) : 0.0f;
            factors[2 * padded + c] = c < channels && n.b ? n.b[c] : 0.0f;
        }
    }
    static index_t kind(const NormRowsDims& d) { return d.pool ? 2 : d.relu ? 1 : 0; }
    static index_t bytes(const NormRowsDims& d) { return 3 * bytes_of<float>(padded_channels(d.channels)); }
    void read_factors(const float* factors) {
        const index_t padded = padded_channels(channels);
        centre = factors, gain = factors + padded, shift = factors + 2 * padded;
    }

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
        const index_t lines = d.images * ceil_div(height, 2);
        return cut(lines, 2 * width * channels, 1, 64);
    }
    index_t first_pixel(const Chunks& pieces, index_t i) const {
        const index_t at = std::min(pieces.n, pieces.begin(i));
        if (!d.pool) return at;
        const index_t lines = ceil_div(height, 2);
        return (at / lines * height + at % lines * 2) * width;
    }
    static index_t most_pieces(const NormRowsDims& d) {
        if (!d.pool) return most_norm_chunks(d.norm());
        return detail::most_pieces(d.images * ceil_div(d.height, 2), 2 * d.width * d.channels, 1, 64);
    }
};

/// The gradients with respect to what was normalised, in two steps: what each piece sums up of dy, then what goes to each row.
struct NormGradient {
    const NormRows& rows;
    const index_t pieces, padded;
    double *sums, *products;  // [pieces, padded]: of dy, of dy * (x - mean)
    float *work, *offset, *slope;

    NormGradient(const NormRows& of, std::byte*& scratch, index_t piece_count) : rows(of), pieces(piece_count), padded(padded_channels(of.channels)) {
        sums = take<double>(scratch, pieces * padded), products = take<double>(scratch, pieces * padded);
        work = take<float>(scratch, pieces * 2 * padded);
        offset = take<float>(scratch, padded), slope = take<float>(scratch, padded);
    }
    static index_t bytes(index_t channels, index_t most_pieces) {
        const index_t padded = padded_channels(channels), pieces = std::max<index_t>(1, most_pieces);
        return 2 * bytes_of<double>(pieces * padded) + bytes_of<float>(pieces * 2 * padded) + 2 * bytes_of<float>(padded);
    }
    /// Sums piece i over what each(add) gives to add(count, x, dy): rows, or with pooling a row of windows.
    template <class Each>
    void sum_piece(index_t i, const Each& each) const {
        float *sum = work + i * 2 * padded, *product = sum + padded;
        double *own_sums = sums + i * padded, *own_products = products + i * padded;
        std::fill_n(sum, 2 * padded, 0.0f);
        std::fill_n(own_sums, padded, 0.0), std::fill_n(own_products, padded, 0.0);
        index_t added = 0;
        each([&](index_t count, const float* x, const float* dy) {
            const index_t channels = rows.channels;
            for (index_t done = 0; done < count;) {
                const index_t here = std::min(count - done, norm_block - added);
                rows.f.add_sums(here, rows.width * channels, channels, x + done * (rows.d.pool ? 2 : 1) * channels, dy + done * channels, rows.centre,
                                rows.gain, rows.shift, sum, product);
                done += here;
                if ((added += here) < norm_block) continue;
                rows.f.flush(padded, sum, product, own_sums, own_products);
                added = 0;
            }
        });
        rows.f.flush(padded, sum, product, own_sums, own_products);
    }
    /// Joins the pieces; dw and db (or null) accumulated. With `running` the statistics are no functions of x.
    void join(const float* invstd, float* dw, float* db, bool running) const {
        for (index_t i = 1; i < pieces; ++i)
            for (index_t c = 0; c < padded; ++c) sums[c] += sums[i * padded + c], products[c] += products[i * padded + c];
        const double share = running ? 0.0 : 1.0 / static_cast<double>(rows.d.norm().outer);
        for (index_t c = 0; c < padded; ++c) {
            const double scale = c < rows.channels ? static_cast<double>(invstd[c]) : 0.0;
            offset[c] = static_cast<float>(sums[c] * share);
            slope[c] = static_cast<float>(products[c] * share * scale * scale);
            if (c >= rows.channels) continue;
            if (dw) dw[c] = static_cast<float>(static_cast<double>(dw[c]) + products[c] * scale);
            if (db) db[c] = static_cast<float>(static_cast<double>(db[c]) + sums[c]);
        }
    }
    /// dx of `count` rows or windows; may be x.
    void spread(index_t count, const float* x, const float* dy, float* dx) const {
        rows.f.spread(count, rows.width * rows.channels, rows.channels, x, dy, rows.centre, rows.gain, rows.shift, offset, slope, dx);
    }
    /// dx of `count` pixels that no window covers.
    void spread_nothing(index_t count, const float* x, float* dx) const {
        rows.f.spread_nothing(count, rows.channels, x, rows.centre, rows.gain, offset, slope, dx);
    }
};

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla {

DLA_ONCE void norm_rows_running(const Cpu<float>&, const NormRowsDims& d, const NormParams& n, float* mean, float* invstd) {
    for (index_t c = 0; c < d.channels; ++c) {
        mean[c] = n.running_mean[c];
        invstd[c] = static_cast<float>(1.0 / std::sqrt(static_cast<double>(n.running_var[c]) + n.eps));
    }
}

DLA_ONCE void norm_rows_apply(const Cpu<float>& p, std::byte* scratch, const NormRowsDims& d, const NormParams& n, const float* x, const float* mean,
                              const float* invstd, float* y) {
    const detail::NormRows rows(d, scratch, n, mean, invstd);
    const detail::Chunks pieces = rows.pieces();
    detail::parallel_for(p.threads, pieces.count, [&](index_t i, int) {
        const index_t first = rows.first_pixel(pieces, i);
        rows.normalise(first, rows.first_pixel(pieces, i + 1), x + first * rows.channels, y);
    });
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
