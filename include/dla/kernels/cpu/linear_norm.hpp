// SPDX-License-Identifier: MIT
// A Linear with what usually follows it: batch normalisation, ReLU. Rows are cut into chunks, and what is done to a chunk is done by the thread in whose
// cache it lies: products and moments, then normalisation; in the backward pass sums, then what goes on to z, x and, of narrow layers, the weights.
#pragma once

#include <dla/kernels/cpu/linear.hpp>
#include <dla/kernels/cpu/norm_rows.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// How the rows are cut: a function of the sizes only.
struct LinearNormPlan {
    static constexpr index_t narrow = 4096;  // weights up to which each chunk makes its own gradient of them
    static constexpr index_t most_chunks = 64;

    const LinearDims& d;
    Chunks chunks;   // sixteen rows are whole tiles of every instruction set
    bool by_chunks;  // the weights' gradient is

    explicit LinearNormPlan(const LinearDims& dims) : d(dims), by_chunks(dims.in * dims.out <= narrow && dims.in % active_tile().lanes == 0) {
        const index_t size = std::max(least_rows(d), round_up(ceil_div(d.rows, most_chunks), 16));
        chunks = {d.rows, size, ceil_div(d.rows, size)};
    }
    /// Rows of a hundred thousand multiplications: some 2 us.
    static index_t least_rows(const LinearDims& d) {
        return std::clamp(round_up((1 << 17) / std::max<index_t>(1, d.in * d.out), 16), index_t{16}, index_t{64});
    }
    static index_t most_pieces(const LinearDims& d) { return std::min(most_chunks, ceil_div(d.rows, least_rows(d))); }
    int threads(const Cpu<float>& p) const { return d.rows * d.in * d.out < (1 << 16) ? 1 : p.threads; }
    index_t part() const { return padded_count<float>(d.in * d.out); }
};

inline index_t linear_norm_packed(const GemmDims& d) { return padded_count<float>(d.k * round_up(d.n, max_panel_width)); }

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla {

DLA_ONCE index_t linear_norm_scratch(const Cpu<float>& p, const LinearNormDims& d) {
    const index_t channels = detail::padded_channels(d.linear.out), chunks = std::max<index_t>(1, detail::LinearNormPlan::most_pieces(d.linear));
    return detail::NormRows::bytes(d.rows()) + detail::bytes_of<float>(detail::linear_norm_packed(d.linear.forward())) +
           2 * detail::bytes_of<double>(chunks * channels) + detail::bytes_of<float>(thread_count(p.threads) * 3 * channels) +
           detail::bytes_of<double>(channels) + 2 * detail::bytes_of<float>(channels);
}
DLA_ONCE index_t linear_norm_backward_scratch(const Cpu<float>& p, const LinearNormDims& d) {
    const detail::LinearNormPlan plan(d.linear);
    const index_t chunks = detail::LinearNormPlan::most_pieces(d.linear);
    return detail::NormRows::bytes(d.rows()) + detail::NormGradient::bytes(d.linear.out, chunks) +
           detail::bytes_of<float>(detail::linear_norm_packed(d.linear.backward_data())) +
           (plan.by_chunks ? detail::bytes_of<float>(chunks * plan.part()) : gemm_scratch(p, d.linear.backward_weights()));
}

DLA_ONCE void linear_norm_forward(const Cpu<float>& p, std::byte* scratch, const LinearNormDims& d, const NormParams& n, const float* x, const float* w,
                                  const float* bias, float* z, float* mean, float* invstd, float* y) {
    if (n.tracked) ++*n.tracked;
    const detail::LinearNormPlan plan(d.linear);
    const GemmDims product = d.linear.forward();
    const detail::GemmPlan gemm(product);
    const NormDims dims = d.rows().norm();
    const index_t out = d.linear.out, channels = detail::padded_channels(out), chunks = plan.chunks.count;
    const int threads = plan.threads(p);
    auto* packed = detail::take<float>(scratch, detail::linear_norm_packed(product));
    auto *means = detail::take<double>(scratch, chunks * channels), *squares = detail::take<double>(scratch, chunks * channels);
    auto* work = detail::take<float>(scratch, thread_count(p.threads) * 3 * channels);
    auto* inverse = detail::take<double>(scratch, channels);
    const auto moments = detail::select_isa(detail::base::moments, detail::avx2::moments, detail::avx512::moments);
    const detail::GemmPanels panels = detail::gemm_pack_all(threads, gemm, product, w, packed);
    detail::parallel_for(threads, chunks, [&](index_t i, int thread) {
        const index_t first = plan.chunks.begin(i), count = plan.chunks.length(i);
        detail::gemm_run(gemm, product, x, w, panels, 0, product.k, product.k, first, first + count, 0, out, bias, 0.0f, z);
        moments(count, out, z + first * out, count * out, work + thread * 3 * channels, means + i * channels, squares + i * channels);
    });
    detail::join_moments(dims, n.eps, chunks, [&](index_t i) { return plan.chunks.length(i); }, means, squares, inverse, mean, invstd);
    detail::move_running(dims, n.momentum, means, squares, n.running_mean, n.running_var, n.tracked);
    const detail::NormRows rows(d.rows(), scratch, n, mean, invstd);
    detail::parallel_for(threads, chunks, [&](index_t i, int) {
        const index_t first = plan.chunks.begin(i);
        rows.normalise(first, first + plan.chunks.length(i), z + first * out, y);
    });
}

DLA_ONCE index_t linear_norm_prepare(const Cpu<float>& p, std::byte* scratch, const LinearNormDims& most, const NormParams& n, const float* w, std::byte* to) {
    const index_t factors = detail::NormRows::bytes(most.rows());
    if (to) {
        auto *mean = detail::take<float>(scratch, most.linear.out), *invstd = detail::take<float>(scratch, most.linear.out);
        norm_rows_running(p, most.rows(), n, mean, invstd);
        detail::NormRows::write_factors(most.linear.out, n, mean, invstd, reinterpret_cast<float*>(to));
    }
    return factors + linear_prepare(p, most.linear, w, to ? to + factors : nullptr);
}
DLA_ONCE void linear_norm_infer(const Cpu<float>& p, std::byte* scratch, const LinearNormDims& d, const float* x, const float* w, const float* bias,
                                const std::byte* prepared, bool packed, float* y) {
    if (d.linear.rows == 0) return;
    const GemmDims product = d.linear.forward();
    const index_t out = d.linear.out;
    const detail::NormRows rows(d.rows(), reinterpret_cast<const float*>(prepared));
    if (detail::gemm_dots(product)) {
        detail::gemm_by_dots(p, product, x, w, bias, 0.0f, y);
        return rows.normalise(0, d.linear.rows, y, y);
    }
    const detail::LinearNormPlan plan(d.linear);
    const detail::GemmPlan gemm(product);
    const int threads = plan.threads(p);
    const detail::GemmPanels panels =
        packed ? detail::linear_panels(gemm, prepared + detail::NormRows::bytes(d.rows()))
               : detail::gemm_pack_all(threads, gemm, product, w, detail::take<float>(scratch, detail::linear_norm_packed(product)));
    detail::parallel_for(threads, plan.chunks.count, [&](index_t i, int) {
        const index_t first = plan.chunks.begin(i), last = first + plan.chunks.length(i);
        detail::gemm_run(gemm, product, x, w, panels, 0, product.k, product.k, first, last, 0, out, bias, 0.0f, y);
        rows.normalise(first, last, y + first * out, y);
    });
}

DLA_ONCE void linear_norm_backward(const Cpu<float>& p, std::byte* scratch, const LinearNormDims& d, const NormParams& n, const float* x, const float* w,
                                   float* z, const float* mean, const float* invstd, const float* dy, float* dx, float* dw, float* dgain, float* dshift,
                                   bool running) {
    if (d.linear.rows == 0) return;
    const detail::LinearNormPlan plan(d.linear);
    const GemmDims data = d.linear.backward_data(), weights = d.linear.backward_weights();
    const index_t in = d.linear.in, out = d.linear.out, chunks = plan.chunks.count;
    const int threads = plan.threads(p);
    const detail::NormRows rows(d.rows(), scratch, n, mean, invstd);
    const detail::NormGradient gradient(rows, scratch, chunks);
    detail::parallel_for(threads, chunks, [&](index_t i, int) {
        const index_t first = plan.chunks.begin(i);
        gradient.sum_piece(i, [&](const auto& add) { add(plan.chunks.length(i), z + first * out, dy + first * out); });
    });
    gradient.join(invstd, dgain, dshift, running);
    const detail::GemmPlan of_data(data), of_weights(weights);
    auto* packed = detail::take<float>(scratch, detail::linear_norm_packed(data));
    auto* parts = plan.by_chunks && dw ? detail::take<float>(scratch, chunks * plan.part()) : nullptr;
    detail::GemmPanels panels;
    if (dx && of_data.pack) panels = detail::gemm_pack_all(threads, of_data, data, w, packed);
    detail::parallel_for(threads, chunks, [&](index_t i, int) {
        const index_t first = plan.chunks.begin(i), last = first + plan.chunks.length(i);
        gradient.spread(last - first, z + first * out, dy + first * out, z + first * out);
        if (dx) detail::gemm_run(of_data, data, z, w, panels, 0, out, out, first, last, 0, in, nullptr, 0.0f, dx);
        if (parts) detail::gemm_run(of_weights, weights, z, x, {}, first, last, last, 0, out, 0, in, nullptr, 0.0f, parts + i * plan.part());
    });
    if (parts)
        of_weights.tile.sum_rows(chunks, in * out, parts, plan.part(), nullptr, 1.0f, dw);
    else if (dw)
        gemm(p, scratch, weights, z, x, nullptr, 1.0f, dw);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
