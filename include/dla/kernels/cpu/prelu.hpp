// SPDX-License-Identifier: MIT
// PReLU of Cpu<float>: pieces by problem size, the sums of the weights' gradients in double, joined in order.
#pragma once

#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/cpu/reduce.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/prelu.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/prelu.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/prelu.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla {
namespace detail::inline DLA_ABI_TAG {

/// How the values of a PReLU are gone through: with one weight they are one run, which is cut anywhere, else whole outer positions stay together.
struct PReLUPieces {
    NormDims runs;
    index_t item;  ///< values that stay together
    Chunks chunks;
    index_t most;  ///< pieces of this or a smaller batch

    explicit PReLUPieces(const NormDims& d)
        : runs(d.channels == 1 ? NormDims{1, 1, d.outer * d.inner} : d),
          item(d.channels == 1 ? 1 : d.channels * d.inner),
          chunks(d.channels == 1 ? sum_chunks(runs.inner) : cut(d.outer, item, 1, 64)),
          most(d.channels == 1 ? most_sum_chunks(runs.inner) : most_pieces(d.outer, item, 1, 64)) {}
    index_t size() const { return runs.outer * runs.channels * runs.inner; }
    index_t bytes() const { return bytes_of<double>(most * runs.channels); }

    /// dw [channels] += the sums over all pieces; add(first, n, sums) adds those of some values.
    template <class Add>
    void sum(int threads, std::byte* scratch, float* dw, const Add& add) const {
        const index_t channels = runs.channels;
        auto* sums = take<double>(scratch, chunks.count * channels);
        parallel_for(threads, chunks.count, [&](index_t i, int) {
            for (index_t c = 0; c < channels; ++c) sums[i * channels + c] = 0;
            add(chunks.begin(i) * item, chunks.length(i) * item, sums + i * channels);
        });
        for (index_t c = 0; c < channels; ++c) {
            double sum = 0;
            for (index_t i = 0; i < chunks.count; ++i) sum += sums[i * channels + c];
            dw[c] = static_cast<float>(static_cast<double>(dw[c]) + sum);
        }
    }
};

}  // namespace detail::inline DLA_ABI_TAG

DLA_ONCE index_t prelu_scratch(const Cpu<float>&, const NormDims& d) { return detail::PReLUPieces(d).bytes(); }

DLA_ONCE void prelu_forward(const Cpu<float>& p, const NormDims& d, const float* x, const float* w, float* y) {
    const detail::PReLUPieces pieces(d);
    const auto f = detail::select_isa(detail::base::prelu, detail::avx2::prelu, detail::avx512::prelu);
    detail::for_elements(p, pieces.size(), [&](index_t at, index_t length) { f(at, length, pieces.runs, x + at, w, x + at, y + at); });
}

DLA_ONCE void prelu_backward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, const float* x, const float* w, const float* dy, float* dx,
                             float* dw) {
    const detail::PReLUPieces pieces(d);
    const auto sums = detail::select_isa(detail::base::prelu_sums, detail::avx2::prelu_sums, detail::avx512::prelu_sums);
    pieces.sum(p.threads, scratch, dw, [&](index_t at, index_t length, double* to) { sums(at, length, pieces.runs, x + at, dy + at, to); });
    if (dx == nullptr) return;
    const auto f = detail::select_isa(detail::base::prelu, detail::avx2::prelu, detail::avx512::prelu);
    detail::for_elements(p, pieces.size(), [&](index_t at, index_t length) { f(at, length, pieces.runs, x + at, w, dy + at, dx + at); });
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
