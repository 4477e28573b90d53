// SPDX-License-Identifier: MIT
// Batch normalisation of Cpu<float>: of rows of channels (inner = 1), and of channels whose values lie `inner` at a time.
#pragma once

#include <dla/kernels/cpu/run_norm.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

namespace detail::inline DLA_ABI_TAG {

constexpr NormRowsDims rows_of(const NormDims& d) { return {.images = d.outer, .channels = d.channels}; }

/// Sums as in the backward pass, about the running mean; dx is dy times a number for each channel, which batch_norm_infer knows how to do.
template <class T>
void running_norm_backward(const Cpu<T>& p, std::byte* scratch, const NormDims& d, double eps, const T* x, const float* w, const float* running_mean,
                           const float* running_var, const T* dy, T* dx, float* dw, float* db) {
    auto* zeros = take<float>(scratch, d.channels);
    auto* invstd = take<float>(scratch, d.channels);
    for (index_t c = 0; c < d.channels; ++c) {
        zeros[c] = 0.0f;
        invstd[c] = static_cast<float>(1.0 / std::sqrt(static_cast<double>(running_var[c]) + eps));
    }
    if (dw || db) batch_norm_backward(p, scratch, d, x, w, running_mean, invstd, dy, nullptr, dw, db);
    if (dx) batch_norm_infer(p, d, eps, dy, w, w ? zeros : nullptr, zeros, running_var, dx);
}

}  // namespace detail::inline DLA_ABI_TAG

DLA_ONCE index_t batch_norm_scratch(const Cpu<float>&, const NormDims& d) {
    if (d.inner != 1) return 2 * detail::bytes_of<double>(d.channels) + 2 * detail::bytes_of<float>(d.channels);
    const index_t channels = detail::padded_channels(d.channels), pieces = std::max<index_t>(detail::most_norm_chunks(d), 1);
    const index_t forward =
        2 * detail::bytes_of<double>(pieces * channels) + detail::bytes_of<float>(pieces * 3 * channels) + detail::bytes_of<double>(channels);
    // Behind either, or with running statistics: two of a channel's values.
    return detail::NormRows::bytes(detail::rows_of(d)) + std::max(forward, detail::NormGradient::bytes(d.channels, pieces)) +
           2 * detail::bytes_of<float>(channels);
}

DLA_ONCE void batch_norm_forward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, double eps, double momentum, const float* x, const float* w,
                                 const float* b, float* running_mean, float* running_var, std::int64_t* tracked, float* y, float* mean, float* invstd) {
    if (d.outer == 0)
        return batch_norm_forward(static_cast<const Reference<float>&>(p), scratch, d, eps, momentum, x, w, b, running_mean, running_var, tracked, y, mean,
                                  invstd);
    if (tracked) ++*tracked;
    if (d.inner != 1) return detail::run_norm_forward(p, scratch, d, {eps, momentum, w, b, running_mean, running_var, tracked}, x, y, mean, invstd);
    const detail::Chunks chunks = detail::norm_chunks(d);
    const index_t channels = detail::padded_channels(d.channels), values = d.outer * d.channels;
    auto *means = detail::take<double>(scratch, chunks.count * channels), *squares = detail::take<double>(scratch, chunks.count * channels);
    auto* work = detail::take<float>(scratch, chunks.count * 3 * channels);
    auto* inverse = detail::take<double>(scratch, channels);
    const auto moments = detail::select_isa(detail::base::moments, detail::avx2::moments, detail::avx512::moments);
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        const index_t first = chunks.begin(i) * d.channels;
        moments(chunks.length(i), d.channels, x + first, values - first, work + i * 3 * channels, means + i * channels, squares + i * channels);
    });
    detail::join_moments(d, eps, chunks.count, [&](index_t i) { return chunks.length(i); }, means, squares, inverse, mean, invstd);
    detail::move_running(d, momentum, means, squares, running_mean, running_var, tracked);
    norm_rows_apply(p, scratch, detail::rows_of(d), {eps, momentum, w, b, running_mean, running_var, tracked}, x, mean, invstd, y);
}

DLA_ONCE void batch_norm_infer(const Cpu<float>& p, const NormDims& d, double eps, const float* x, const float* w, const float* b, const float* running_mean,
                               const float* running_var, float* y) {
    if (d.inner != 1) return detail::run_norm_infer(p, d, eps, x, w, b, running_mean, running_var, y);
    const detail::Chunks chunks = detail::norm_chunks(d);
    const auto f = detail::select_isa(detail::base::normalise_by_running, detail::avx2::normalise_by_running, detail::avx512::normalise_by_running);
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        const index_t first = chunks.begin(i) * d.channels;
        f(chunks.length(i), d.channels, static_cast<float>(eps), x + first, w, b, running_mean, running_var, y + first);
    });
}

DLA_ONCE void batch_norm_backward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, const float* x, const float* w, const float* mean,
                                  const float* invstd, const float* dy, float* dx, float* dw, float* db) {
    if (d.outer == 0) return;
    if (d.inner != 1) return detail::run_norm_backward(p, d, x, w, mean, invstd, dy, dx, dw, db);
    const detail::Chunks chunks = detail::norm_chunks(d);
    const detail::NormRows rows(detail::rows_of(d), scratch, {.w = w}, mean, invstd);
    const detail::NormGradient gradient(rows, scratch, chunks.count);
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        const index_t first = chunks.begin(i) * d.channels;
        gradient.sum_piece(i, [&](const auto& add) { add(chunks.length(i), x + first, dy + first); });
    });
    gradient.join(invstd, dw, db, false);
    if (!dx) return;
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        const index_t first = chunks.begin(i) * d.channels;
        gradient.spread(chunks.length(i), x + first, dy + first, dx + first);
    });
}

DLA_ONCE void batch_norm_infer_backward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, double eps, const float* x, const float* w,
                                        const float* running_mean, const float* running_var, const float* dy, float* dx, float* dw, float* db) {
    detail::running_norm_backward(p, scratch, d, eps, x, w, running_mean, running_var, dy, dx, dw, db);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
