// SPDX-License-Identifier: MIT
// 2-d pooling of Cpu<float>, vectors over channels.
#pragma once

#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/cpu/eltwise.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Pieces of the output rows of all images.
inline Chunks output_row_chunks(const Pool2dDims& d) { return cut(d.batch * d.out_height, d.out_width * d.channels * d.kernel_h * d.kernel_w, 1, 256); }

/// Windows tile the image: each input belongs to one window at most.
constexpr bool windows_tile(const Pool2dDims& d) {
    return d.stride_h == d.kernel_h && d.stride_w == d.kernel_w && d.dilation_h == 1 && d.dilation_w == 1 && d.pad_h == 0 && d.pad_w == 0;
}

/// f(image) for all images, on several threads if there is enough to do.
template <class F>
void for_images(const Cpu<float>& p, const Pool2dDims& d, const F& f) {
    const Chunks chunks = cut(d.batch, (d.height * d.width + d.out_height * d.out_width) * d.channels, 1, 256);
    parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        for (index_t n = chunks.begin(i); n < chunks.begin(i) + chunks.length(i); ++n) f(n);
    });
}

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/pool.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/pool.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/pool.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla {

DLA_ONCE void max_pool2d_forward(const Cpu<float>& p, const Pool2dDims& d, const float* x, float* y, std::int32_t* argmax) {
    const detail::Chunks chunks = detail::output_row_chunks(d);
    const auto f = detail::select_isa(detail::base::max_pool_rows<float>, detail::avx2::max_pool_rows<float>, detail::avx512::max_pool_rows<float>);
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) { f(d, chunks.begin(i), chunks.length(i), x, y, argmax); });
}

DLA_ONCE void max_pool2d_backward(const Cpu<float>& p, const Pool2dDims& d, const float* dy, const std::int32_t* argmax, float* dx) {
    const auto tiled = detail::select_isa(detail::base::max_pool_backward_tiled<float>, detail::avx2::max_pool_backward_tiled<float>,
                                          detail::avx512::max_pool_backward_tiled<float>);
    const auto f = detail::windows_tile(d)
                       ? tiled
                       : detail::select_isa(detail::base::max_pool_backward, detail::avx2::max_pool_backward, detail::avx512::max_pool_backward);
    detail::for_images(p, d, [&](index_t n) { f(d, n, dy, argmax, dx); });
}

DLA_ONCE void avg_pool2d_forward(const Cpu<float>& p, const Pool2dDims& d, const float* x, float* y) {
    const detail::Chunks chunks = detail::output_row_chunks(d);
    const auto f = detail::select_isa(detail::base::avg_pool_rows<float>, detail::avx2::avg_pool_rows<float>, detail::avx512::avg_pool_rows<float>);
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) { f(d, chunks.begin(i), chunks.length(i), x, y); });
}

DLA_ONCE void avg_pool2d_backward(const Cpu<float>& p, const Pool2dDims& d, const float* dy, float* dx) {
    const auto f = detail::select_isa(detail::base::avg_pool_backward, detail::avx2::avg_pool_backward, detail::avx512::avg_pool_backward);
    detail::for_images(p, d, [&](index_t n) { f(d, n, dy, dx); });
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
