// SPDX-License-Identifier: MIT
// Images of another size, of Cpu<float>: rows of pixels on several threads, vectors over channels.
#pragma once

#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/cpu/simd.hpp>

#include <cstring>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/resize.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/resize.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/resize.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla::detail::inline DLA_ABI_TAG {

/// f(first, rows) over pieces of the rows of all images, `height` each, of which one is `weight` values of work.
template <class F>
void for_image_rows(const Cpu<float>& p, const Resize2dDims& d, index_t height, index_t weight, const F& f) {
    const Chunks chunks = cut(d.batch * height, weight, 1, 256);
    parallel_for(p.threads, chunks.count, [&](index_t i, int) { f(chunks.begin(i), chunks.length(i)); });
}

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla {

DLA_ONCE void upsample2d_forward(const Cpu<float>& p, const Resize2dDims& d, Interpolation mode, bool align_corners, const float* x, float* y) {
    const auto f = detail::select_isa(detail::base::upsample_rows, detail::avx2::upsample_rows, detail::avx512::upsample_rows);
    const detail::ResizedImage image(d, mode, align_corners);
    const index_t reads = mode == Interpolation::nearest ? 1 : 4;
    detail::for_image_rows(p, d, d.out_height, d.out_width * d.channels * reads, [&](index_t first, index_t rows) { f(d, image, first, rows, x, y); });
}

DLA_ONCE void upsample2d_backward(const Cpu<float>& p, const Resize2dDims& d, Interpolation mode, bool align_corners, const float* dy, float* dx) {
    const auto f = detail::select_isa(detail::base::upsample_backward_rows, detail::avx2::upsample_backward_rows, detail::avx512::upsample_backward_rows);
    const detail::ResizedImage image(d, mode, align_corners);
    const index_t rows_of_outputs = detail::ceil_div(d.out_height, d.height) * (mode == Interpolation::nearest ? 1 : 4);  // that one row is made of, about
    detail::for_image_rows(p, d, d.height, (d.width + d.out_width * rows_of_outputs) * d.channels,
                           [&](index_t first, index_t rows) { f(d, image, first, rows, dy, dx); });
}

DLA_ONCE void adaptive_avg_pool2d_forward(const Cpu<float>& p, const Resize2dDims& d, const float* x, float* y) {
    const auto f = detail::select_isa(detail::base::adaptive_avg_pool_rows, detail::avx2::adaptive_avg_pool_rows, detail::avx512::adaptive_avg_pool_rows);
    const index_t window = std::max(detail::ceil_div(d.height, d.out_height) * d.width, d.out_width);
    detail::for_image_rows(p, d, d.out_height, window * d.channels, [&](index_t first, index_t rows) { f(d, first, rows, x, y); });
}

DLA_ONCE void adaptive_avg_pool2d_backward(const Cpu<float>& p, const Resize2dDims& d, const float* dy, float* dx) {
    const auto f = detail::select_isa(detail::base::adaptive_avg_pool_backward_rows, detail::avx2::adaptive_avg_pool_backward_rows,
                                      detail::avx512::adaptive_avg_pool_backward_rows);
    const index_t windows = std::max(detail::ceil_div(d.out_height, d.height) * d.out_width, d.width);
    detail::for_image_rows(p, d, d.height, windows * d.channels, [&](index_t first, index_t rows) { f(d, first, rows, dy, dx); });
}

DLA_ONCE void zero_pad2d(const Cpu<float>& p, const Resize2dDims& d, index_t top, index_t left, const float* x, float* y) {
    // Columns [begin, end) of y are columns of x.
    const index_t begin = std::clamp<index_t>(left, 0, d.out_width), end = std::clamp<index_t>(left + d.width, begin, d.out_width);
    detail::for_image_rows(p, d, d.out_height, d.out_width * d.channels, [&](index_t first, index_t rows) {
        for (index_t row = first; row < first + rows; ++row) {
            const index_t ih = row % d.out_height - top;
            float* to = y + row * d.out_width * d.channels;
            if (ih < 0 || ih >= d.height || begin == end) {
                std::fill_n(to, d.out_width * d.channels, 0.0f);
                continue;
            }
            const float* from = x + ((row / d.out_height * d.height + ih) * d.width + begin - left) * d.channels;
            std::fill_n(to, begin * d.channels, 0.0f);
            std::copy_n(from, (end - begin) * d.channels, to + begin * d.channels);
            std::fill_n(to + end * d.channels, (d.out_width - end) * d.channels, 0.0f);
        }
    });
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
