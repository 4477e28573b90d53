// SPDX-License-Identifier: MIT
// Sums, and the losses of single values, of Cpu<float>: chunks by problem size, partial sums in double, joined in order.
#pragma once

#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/cpu/norm.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Pieces of a sum over n values.
inline Chunks sum_chunks(index_t n) { return cut(n, 1, 64, 64); }
inline index_t most_sum_chunks(index_t n) { return most_pieces(n, 1, 64, 64); }

/// Arguments of an element_loss that do not depend on the value.
struct ElementLossTask {
    ElementLossDims d;
    const float *x, *targets, *pos_weight;
    float* gradient;
    double factor;  ///< 1 / divisor
};

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

namespace detail::inline DLA_ABI_TAG {

template <ElementLoss Kind>
double sum_losses(const Cpu<float>& p, std::byte* scratch, const ElementLossTask& task) {
    const Chunks chunks = sum_chunks(task.d.size());
    auto* partial = take<double>(scratch, chunks.count);
    const auto f = select_isa(base::element_loss<Kind>, avx2::element_loss<Kind>, avx512::element_loss<Kind>);
    parallel_for(p.threads, chunks.count, [&](index_t i, int) { partial[i] = f(chunks.begin(i), chunks.length(i), task); });
    double total = 0;
    for (index_t i = 0; i < chunks.count; ++i) total += partial[i];
    return total;
}
inline double sum_losses(const Cpu<float>& p, std::byte* scratch, const ElementLossTask& task) {
    switch (task.d.kind) {
        case ElementLoss::squared:
            return sum_losses<ElementLoss::squared>(p, scratch, task);
        case ElementLoss::absolute:
            return sum_losses<ElementLoss::absolute>(p, scratch, task);
        case ElementLoss::huber:
            return sum_losses<ElementLoss::huber>(p, scratch, task);
        case ElementLoss::smooth_l1:
            return sum_losses<ElementLoss::smooth_l1>(p, scratch, task);
        case ElementLoss::bce_with_logits:
            return sum_losses<ElementLoss::bce_with_logits>(p, scratch, task);
    }
    return 0;
}

}  // namespace detail::inline DLA_ABI_TAG

DLA_ONCE void element_loss(const Cpu<float>& p, std::byte* scratch, const ElementLossDims& d, const float* x, const float* targets, const float* pos_weight,
                           LossResult* result, float* gradient) {
    const double total = detail::sum_losses(p, scratch, {d, x, targets, pos_weight, gradient, 1.0 / d.divisor});
    *result = {};
    result->loss = total / d.divisor;
    result->weight = static_cast<double>(d.size());
    result->counted = d.size();
    detail::refuse_targets(d, targets, result, gradient);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
