// SPDX-License-Identifier: MIT
// Softmax and cross-entropy of Cpu<float>.
#pragma once

#include <dla/core/math.hpp>
#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/cpu/simd_math.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Pieces of rows; an exponential weighs as much as several plain operations.
inline Chunks row_chunks(index_t rows, index_t classes) { return cut(rows, 8 * classes, 16, 64); }
inline index_t most_row_chunks(index_t rows, index_t classes) { return most_pieces(rows, 8 * classes, 16, 64); }

/// f(place of its first value) for each outer position of a tensor.
template <class F>
void for_images(const Cpu<float>& p, const NormDims& d, const F& f) {
    const index_t image = d.channels * d.inner;
    const Chunks pieces = row_chunks(d.outer, image);
    parallel_for(p.threads, pieces.count, [&](index_t piece, int) {
        for (index_t o = pieces.begin(piece); o < pieces.begin(piece) + pieces.length(piece); ++o) f(o * image);
    });
}

/// out = f(in...) over pieces of the rows, where channels are contiguous (`along`), or over each outer position (`across`).
template <class F, class... In>
void softmax_pass(const Cpu<float>& p, const NormDims& d, F* along, F* across, float* out, const In*... in) {
    if (d.inner != 1) return for_images(p, d, [&](index_t at) { across(d.channels, d.inner, (in + at)..., out + at); });
    const Chunks chunks = row_chunks(d.outer, d.channels);
    parallel_for(p.threads, chunks.count, [&](index_t i, int) {
        const index_t first = chunks.begin(i) * d.channels;
        along(chunks.length(i), d.channels, (in + first)..., out + first);
    });
}

/// What one piece of the rows adds to a LossResult.
struct LossPart {
    double loss;
    std::int64_t correct, counted;
};

/// Arguments of a cross-entropy that do not depend on the row.
struct LossTask {
    CrossEntropyDims d;
    const float *logits, *targets, *class_weights;
    const std::int32_t* labels;
    float* dlogits;
    double divisor;
};

template <class F>
void cross_entropy_rows(const Cpu<float>& p, std::byte* scratch, const LossTask& task, LossResult* result, F* f) {
    const Chunks chunks = row_chunks(task.d.rows, task.d.classes);
    auto* parts = take<LossPart>(scratch, chunks.count);
    parallel_for(p.threads, chunks.count, [&](index_t i, int) { parts[i] = f(chunks.begin(i), chunks.length(i), task); });
    double loss = 0;
    for (index_t i = 0; i < chunks.count; ++i) {
        loss += parts[i].loss;
        result->correct += parts[i].correct;
        result->counted += parts[i].counted;
    }
    result->loss = loss / task.divisor;
}

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/softmax.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/softmax.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/softmax.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla {

DLA_ONCE void softmax_forward(const Cpu<float>& p, const NormDims& d, const float* x, float* y) {
    const auto along = detail::select_isa(detail::base::softmax_forward, detail::avx2::softmax_forward, detail::avx512::softmax_forward);
    const auto across = detail::select_isa(detail::base::softmax_across, detail::avx2::softmax_across, detail::avx512::softmax_across);
    detail::softmax_pass(p, d, along, across, y, x);
}
DLA_ONCE void softmax_backward(const Cpu<float>& p, const NormDims& d, const float* y, const float* dy, float* dx) {
    const auto along = detail::select_isa(detail::base::softmax_backward, detail::avx2::softmax_backward, detail::avx512::softmax_backward);
    const auto across =
        detail::select_isa(detail::base::softmax_across_backward, detail::avx2::softmax_across_backward, detail::avx512::softmax_across_backward);
    detail::softmax_pass(p, d, along, across, dx, y, dy);
}
DLA_ONCE void log_softmax_forward(const Cpu<float>& p, const NormDims& d, const float* x, float* y) {
    const auto along = detail::select_isa(detail::base::log_softmax_forward, detail::avx2::log_softmax_forward, detail::avx512::log_softmax_forward);
    const auto across = detail::select_isa(detail::base::log_softmax_across, detail::avx2::log_softmax_across, detail::avx512::log_softmax_across);
    detail::softmax_pass(p, d, along, across, y, x);
}
DLA_ONCE void log_softmax_backward(const Cpu<float>& p, const NormDims& d, const float* y, const float* dy, float* dx) {
    const auto along = detail::select_isa(detail::base::log_softmax_backward, detail::avx2::log_softmax_backward, detail::avx512::log_softmax_backward);
    const auto across = detail::select_isa(detail::base::log_softmax_across_backward, detail::avx2::log_softmax_across_backward,
                                           detail::avx512::log_softmax_across_backward);
    detail::softmax_pass(p, d, along, across, dx, y, dy);
}

DLA_ONCE index_t cross_entropy_scratch(const Cpu<float>&, const CrossEntropyDims& d) {
    return detail::bytes_of<detail::LossPart>(detail::most_row_chunks(d.rows, d.classes));
}

DLA_ONCE void cross_entropy(const Cpu<float>& p, std::byte* scratch, const CrossEntropyDims& d, const float* logits, const std::int32_t* labels,
                            const float* class_weights, LossResult* result, float* dlogits, const LossResult* whole) {
    if (detail::refuse_rows(whole, result)) return;
    double weights = 0;
    for (index_t r = 0; r < d.rows; ++r) {
        if (labels[r] == d.ignore_index) continue;
        if (labels[r] < 0 || labels[r] >= d.classes) {
            result->bad_row = r;
            result->bad_label = labels[r];
            return;
        }
        weights += class_weights ? static_cast<double>(class_weights[labels[r]]) : 1.0;
    }
    const detail::LossTask task{d, logits, nullptr, class_weights, labels, dlogits, !d.mean ? 1.0 : whole ? whole->weight : weights};
    detail::cross_entropy_rows(p, scratch, task, result,
                               detail::select_isa(detail::base::cross_entropy, detail::avx2::cross_entropy, detail::avx512::cross_entropy));
    result->weight = weights;
}

DLA_ONCE void cross_entropy_soft(const Cpu<float>& p, std::byte* scratch, const CrossEntropyDims& d, const float* logits, const float* targets,
                                 const float* class_weights, LossResult* result, float* dlogits) {
    *result = {};
    const detail::LossTask task{
        d, logits, targets, class_weights, nullptr, dlogits, d.mean ? static_cast<double>(d.total_rows > 0 ? d.total_rows : d.rows) : 1.0};
    detail::cross_entropy_rows(p, scratch, task, result,
                               detail::select_isa(detail::base::cross_entropy_soft, detail::avx2::cross_entropy_soft, detail::avx512::cross_entropy_soft));
    result->weight = static_cast<double>(d.rows);
    detail::refuse_targets({.rows = d.rows, .outputs = d.classes, .first_row = d.first_row}, targets, result, dlogits);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
