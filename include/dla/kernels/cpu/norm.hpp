// SPDX-License-Identifier: MIT
// Batch normalisation of Cpu<float> where channels are contiguous (inner = 1); the rest is the reference's.
#pragma once

#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/cpu/eltwise.hpp>
#include <dla/kernels/cpu/simd_math.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Rows whose sums are kept in float before they go on in double.
inline constexpr index_t norm_block = 128;

inline Chunks norm_chunks(const NormDims& d) { return cut(d.outer, d.channels, norm_block, 64); }
inline index_t most_norm_chunks(const NormDims& d) { return most_pieces(d.outer, d.channels, norm_block, 64); }

/// Arrays of one value per channel are padded to whole vectors of any target.
constexpr index_t padded_channels(index_t channels) { return round_up(channels, 16); }

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/norm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/norm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/norm.inl.hpp>
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

/// The moments of all pieces, of rows(i) rows each, joined in order into those of the first; inverse = 1 / sqrt(variance + eps).
template <class Rows>
void join_moments(const NormDims& d, double eps, index_t pieces, const Rows& rows, double* means, double* squares, double* inverse) {
    const index_t channels = padded_channels(d.channels);
    const auto merge = select_isa(base::merge_moments, avx2::merge_moments, avx512::merge_moments);
    for (index_t i = 1, before = pieces > 0 ? rows(0) : 0; i < pieces; before += rows(i++))
        merge(channels, before, rows(i), means + i * channels, squares + i * channels, means, squares);
    select_isa(base::inverse_std, avx2::inverse_std, avx512::inverse_std)(channels, static_cast<double>(d.outer), eps, squares, inverse);
}

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla::detail {

template <bool Relu>
void norm_forward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, double eps, double momentum, const float* x, const float* w, const float* b,
                  float* running_mean, float* running_var, std::int64_t* tracked, float* y, float* mean, float* invstd) {
    if (tracked) ++*tracked;
    const Chunks chunks = norm_chunks(d);
    const index_t channels = padded_channels(d.channels), values = d.outer * d.channels;
    auto* means = take<double>(scratch, chunks.count * channels);
    auto* squares = take<double>(scratch, chunks.count * channels);
    auto* work = take<float>(scratch, chunks.count * 3 * channels);
    auto* inverse = take<double>(scratch, channels);
    auto *centre = take<float>(scratch, channels), *gain = take<float>(scratch, channels), *shift = take<float>(scratch, channels);

    const auto moments = select_isa(base::moments, avx2::moments, avx512::moments);
    parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        const index_t first = chunks.begin(i) * d.channels;
        moments(chunks.length(i), d.channels, x + first, values - first, work + i * 3 * channels, means + i * channels, squares + i * channels);
    });
    join_moments(d, eps, chunks.count, [&](index_t i) { return chunks.length(i); }, means, squares, inverse);
    move_running(d, momentum, means, squares, running_mean, running_var, tracked);

    for (index_t c = 0; c < d.channels; ++c) {
        mean[c] = centre[c] = static_cast<float>(means[c]);
        invstd[c] = static_cast<float>(inverse[c]);
        gain[c] = w ? static_cast<float>(inverse[c] * static_cast<double>(w[c])) : invstd[c];
        shift[c] = b ? b[c] : 0.0f;
    }
    const auto normalise = select_isa(base::normalise<Relu>, avx2::normalise<Relu>, avx512::normalise<Relu>);
    parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        const index_t first = chunks.begin(i) * d.channels;
        normalise(chunks.length(i), d.channels, d.channels, x + first, centre, gain, shift, y + first);
    });
}

template <bool Relu>
void norm_infer(const Cpu<float>& p, const NormDims& d, double eps, const float* x, const float* w, const float* b, const float* running_mean,
                const float* running_var, float* y) {
    const Chunks chunks = norm_chunks(d);
    const auto f = select_isa(base::normalise_by_running<Relu>, avx2::normalise_by_running<Relu>, avx512::normalise_by_running<Relu>);
    parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        const index_t first = chunks.begin(i) * d.channels;
        f(chunks.length(i), d.channels, static_cast<float>(eps), x + first, w, b, running_mean, running_var, y + first);
    });
}

template <bool Relu>
void norm_backward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, const float* x, const float* y, const float* w, const float* mean,
                   const float* invstd, const float* dy, float* dx, float* dw, float* db) {
    const Chunks chunks = norm_chunks(d);
    const index_t channels = padded_channels(d.channels), values = d.outer * d.channels;
    auto* sums = take<double>(scratch, chunks.count * channels);      // of dy
    auto* products = take<double>(scratch, chunks.count * channels);  // of dy * (x - mean)
    auto* work = take<float>(scratch, chunks.count * 2 * channels);
    auto *centre = take<float>(scratch, channels), *gain = take<float>(scratch, channels);
    auto *offset = take<float>(scratch, channels), *slope = take<float>(scratch, channels);
    for (index_t c = 0; c < channels; ++c) centre[c] = c < d.channels ? mean[c] : 0.0f;

    const auto accumulate = select_isa(base::gradient_sums<Relu>, avx2::gradient_sums<Relu>, avx512::gradient_sums<Relu>);
    parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        const index_t first = chunks.begin(i) * d.channels;
        accumulate(chunks.length(i), d.channels, x + first, y ? y + first : nullptr, dy + first, values - first, centre, work + i * 2 * channels,
                   sums + i * channels, products + i * channels);
    });
    for (index_t i = 1; i < chunks.count; ++i)
        for (index_t c = 0; c < d.channels; ++c) {
            sums[c] += sums[i * channels + c];
            products[c] += products[i * channels + c];
        }
    const double share = 1.0 / static_cast<double>(d.outer);
    for (index_t c = 0; c < d.channels; ++c) {
        const double scale = static_cast<double>(invstd[c]);
        gain[c] = w ? invstd[c] * w[c] : invstd[c];
        offset[c] = static_cast<float>(sums[c] * share);
        slope[c] = static_cast<float>(products[c] * share * scale * scale);
        if (dw) dw[c] = static_cast<float>(static_cast<double>(dw[c]) + products[c] * scale);
        if (db) db[c] = static_cast<float>(static_cast<double>(db[c]) + sums[c]);
    }
    if (!dx) return;
    const auto spread = select_isa(base::input_gradient<Relu>, avx2::input_gradient<Relu>, avx512::input_gradient<Relu>);
    parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        const index_t first = chunks.begin(i) * d.channels;
        spread(chunks.length(i), d.channels, x + first, y ? y + first : nullptr, dy + first, centre, gain, offset, slope, dx + first);
    });
}

}  // namespace dla::detail

namespace dla {

DLA_ONCE index_t batch_norm_scratch(const Cpu<float>&, const NormDims& d) {
    if (d.inner != 1) return 0;
    const index_t channels = detail::padded_channels(d.channels);
    return std::max<index_t>(detail::most_norm_chunks(d), 1) * (2 * detail::bytes_of<double>(channels) + 3 * detail::bytes_of<float>(channels)) +
           detail::bytes_of<double>(channels) + 6 * detail::bytes_of<float>(channels);
}

DLA_ONCE void batch_norm_forward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, double eps, double momentum, const float* x, const float* w,
                                 const float* b, float* running_mean, float* running_var, std::int64_t* tracked, float* y, float* mean, float* invstd) {
    if (d.inner == 1 && d.outer > 0)
        return detail::norm_forward<false>(p, scratch, d, eps, momentum, x, w, b, running_mean, running_var, tracked, y, mean, invstd);
    batch_norm_forward(static_cast<const Reference<float>&>(p), scratch, d, eps, momentum, x, w, b, running_mean, running_var, tracked, y, mean, invstd);
}

DLA_ONCE void batch_norm_infer(const Cpu<float>& p, const NormDims& d, double eps, const float* x, const float* w, const float* b, const float* running_mean,
                               const float* running_var, float* y) {
    if (d.inner == 1) return detail::norm_infer<false>(p, d, eps, x, w, b, running_mean, running_var, y);
    batch_norm_infer(static_cast<const Reference<float>&>(p), d, eps, x, w, b, running_mean, running_var, y);
}

DLA_ONCE void batch_norm_backward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, const float* x, const float* w, const float* mean,
                                  const float* invstd, const float* dy, float* dx, float* dw, float* db) {
    if (d.inner == 1 && d.outer > 0) return detail::norm_backward<false>(p, scratch, d, x, nullptr, w, mean, invstd, dy, dx, dw, db);
    batch_norm_backward(static_cast<const Reference<float>&>(p), scratch, d, x, w, mean, invstd, dy, dx, dw, db);
}

// Batch normalisation and the ReLU behind it in one reading: the same operations in the same order, so the same bits as one after the other.

DLA_ONCE void batch_norm_relu_forward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, double eps, double momentum, const float* x, const float* w,
                                      const float* b, float* running_mean, float* running_var, std::int64_t* tracked, float* y, float* mean, float* invstd) {
    if (d.inner == 1 && d.outer > 0)
        return detail::norm_forward<true>(p, scratch, d, eps, momentum, x, w, b, running_mean, running_var, tracked, y, mean, invstd);
    batch_norm_forward(p, scratch, d, eps, momentum, x, w, b, running_mean, running_var, tracked, y, mean, invstd);
    activation_forward(p, ActivationIs<Activation::relu>{}, 0, d.outer * d.channels * d.inner, y, y);
}

DLA_ONCE void batch_norm_relu_infer(const Cpu<float>& p, const NormDims& d, double eps, const float* x, const float* w, const float* b,
                                    const float* running_mean, const float* running_var, float* y) {
    if (d.inner == 1) return detail::norm_infer<true>(p, d, eps, x, w, b, running_mean, running_var, y);
    batch_norm_infer(p, d, eps, x, w, b, running_mean, running_var, y);
    activation_forward(p, ActivationIs<Activation::relu>{}, 0, d.outer * d.channels * d.inner, y, y);
}

DLA_ONCE void batch_norm_relu_backward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, const float* x, const float* y, const float* w,
                                       const float* mean, const float* invstd, const float* dy, float* dx, float* dw, float* db) {
    if (d.inner == 1 && d.outer > 0) return detail::norm_backward<true>(p, scratch, d, x, y, w, mean, invstd, dy, dx, dw, db);
    activation_backward(p, ActivationIs<Activation::relu>{}, 0, d.outer * d.channels * d.inner, nullptr, y, dy, dx);
    batch_norm_backward(p, scratch, d, x, w, mean, invstd, dx, dx, dw, db);
}

/// Sums as in the backward pass, about the running mean; dx is dy times a number for each channel, which batch_norm_infer knows how to do.
DLA_ONCE void batch_norm_infer_backward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, double eps, const float* x, const float* w,
                                        const float* running_mean, const float* running_var, const float* dy, float* dx, float* dw, float* db) {
    if (d.inner != 1 || d.outer == 0)
        return batch_norm_infer_backward(static_cast<const Reference<float>&>(p), scratch, d, eps, x, w, running_mean, running_var, dy, dx, dw, db);
    auto* zeros = detail::take<float>(scratch, d.channels);
    auto* invstd = detail::take<float>(scratch, d.channels);
    for (index_t c = 0; c < d.channels; ++c) {
        zeros[c] = 0.0f;
        invstd[c] = static_cast<float>(1.0 / std::sqrt(static_cast<double>(running_var[c]) + eps));
    }
    if (dw || db) batch_norm_backward(p, scratch, d, x, w, running_mean, invstd, dy, nullptr, dw, db);
    if (dx) batch_norm_infer(p, d, eps, dy, w, w ? zeros : nullptr, zeros, running_var, dx);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
