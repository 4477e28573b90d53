// SPDX-License-Identifier: MIT
// What joins the outputs of branches, of Cpu<float>.
#pragma once

#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/cpu/simd_math.hpp>

#include <cstring>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/merge.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/merge.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/merge.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla {

DLA_ONCE void copy_columns(const Cpu<float>& p, index_t rows, index_t columns, const float* x, index_t x_stride, float* y, index_t y_stride) {
    const detail::Chunks c = detail::cut(rows, columns, 1, 256);
    detail::parallel_for(p.threads, c.count, [&](index_t i, int) {
        for (index_t r = c.begin(i); r < c.begin(i) + c.length(i); ++r)
            std::memcpy(y + r * y_stride, x + r * x_stride, static_cast<std::size_t>(columns) * sizeof(float));
    });
}

DLA_ONCE void scale_channels(const Cpu<float>& p, index_t batch, index_t pixels, index_t channels, const float* x, const float* factor, float* y) {
    const auto multiply = detail::select_isa(detail::base::multiply, detail::avx2::multiply, detail::avx512::multiply);
    if (pixels == 1) return detail::for_elements(p, batch * channels, [&](index_t at, index_t length) { multiply(length, x + at, factor + at, y + at); });
    const detail::Chunks c = detail::cut(batch * pixels, channels, 1, 256);
    detail::parallel_for(p.threads, c.count, [&](index_t i, int) {
        for (index_t r = c.begin(i); r < c.begin(i) + c.length(i); ++r) multiply(channels, x + r * channels, factor + r / pixels * channels, y + r * channels);
    });
}

DLA_ONCE void scale_channels_backward(const Cpu<float>& p, index_t batch, index_t pixels, index_t channels, const float* x, const float* dy, float* dfactor) {
    if (pixels == 1) return scale_channels(p, batch, 1, channels, x, dy, dfactor);
    const auto sum = detail::select_isa(detail::base::sum_of_products, detail::avx2::sum_of_products, detail::avx512::sum_of_products);
    const detail::Chunks c = detail::cut(batch, pixels * channels, 1, 256);
    detail::parallel_for(p.threads, c.count, [&](index_t i, int) {
        for (index_t n = c.begin(i); n < c.begin(i) + c.length(i); ++n)
            sum(pixels, channels, x + n * pixels * channels, dy + n * pixels * channels, dfactor + n * channels);
    });
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
