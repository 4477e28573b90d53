// SPDX-License-Identifier: MIT
// Sums and the mean squared error of Cpu<float>: chunks by problem size, partial sums in double, joined in order.
#pragma once

#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/cpu/norm.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Pieces of a sum over n values.
inline Chunks sum_chunks(index_t n) { return cut(n, 1, 64, 64); }
inline index_t most_sum_chunks(index_t n) { return most_pieces(n, 1, 64, 64); }

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/reduce.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/reduce.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/reduce.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla {

DLA_ONCE index_t column_sum_scratch(const Cpu<float>&, index_t rows, index_t columns) {
    const index_t padded = detail::padded_channels(columns), count = detail::most_norm_chunks({rows, columns, 1});
    return detail::bytes_of<double>(count * padded) + detail::bytes_of<float>(count * padded);
}

DLA_ONCE void column_sum(const Cpu<float>& p, std::byte* scratch, index_t rows, index_t columns, const float* x, float* y) {
    const detail::Chunks chunks = detail::norm_chunks({rows, columns, 1});
    const index_t padded = detail::padded_channels(columns), values = rows * columns;
    auto* sums = detail::take<double>(scratch, chunks.count * padded);
    auto* work = detail::take<float>(scratch, chunks.count * padded);
    const auto f = detail::select_isa(detail::base::column_sums, detail::avx2::column_sums, detail::avx512::column_sums);
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        const index_t first = chunks.begin(i) * columns;
        f(chunks.length(i), columns, x + first, values - first, work + i * padded, sums + i * padded);
    });
    for (index_t c = 0; chunks.count > 0 && c < columns; ++c) {
        double sum = 0;
        for (index_t i = 0; i < chunks.count; ++i) sum += sums[i * padded + c];
        y[c] = static_cast<float>(static_cast<double>(y[c]) + sum);
    }
}

DLA_ONCE index_t sum_of_squares_scratch(const Cpu<float>&, index_t n) { return detail::bytes_of<double>(detail::most_sum_chunks(n)); }

DLA_ONCE void sum_of_squares(const Cpu<float>& p, std::byte* scratch, index_t n, const float* x, double* sum) {
    const detail::Chunks chunks = detail::sum_chunks(n);
    auto* partial = detail::take<double>(scratch, chunks.count);
    const auto f = detail::select_isa(detail::base::squares, detail::avx2::squares, detail::avx512::squares);
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) { partial[i] = f(chunks.length(i), x + chunks.begin(i)); });
    double total = 0;
    for (index_t i = 0; i < chunks.count; ++i) total += partial[i];
    *sum = total;
}

DLA_ONCE void mean_squared_error(const Cpu<float>& p, std::byte* scratch, index_t n, const float* x, const float* target, double divisor, LossResult* result,
                                 float* gradient) {
    const detail::Chunks chunks = detail::sum_chunks(n);
    auto* partial = detail::take<double>(scratch, chunks.count);
    const auto f = detail::select_isa(detail::base::squared_distance, detail::avx2::squared_distance, detail::avx512::squared_distance);
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        const index_t first = chunks.begin(i);
        partial[i] = f(chunks.length(i), x + first, target + first, 2.0 / divisor, gradient ? gradient + first : nullptr);
    });
    double total = 0;
    for (index_t i = 0; i < chunks.count; ++i) total += partial[i];
    *result = {};
    result->loss = total / divisor;
    result->weight = static_cast<double>(n);
    result->counted = n;
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
