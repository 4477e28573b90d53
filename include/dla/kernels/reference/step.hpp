// SPDX-License-Identifier: MIT
// What a training step decides and joins in the policy's memory, so that the host need not look before the step is over.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/kernels/reference/wide.hpp>
#include <dla/kernels/types.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

/// *to becomes the result of the rows of both; their losses have the same divisor.
template <class T>
void join_losses(const Reference<T>&, const LossResult* from, LossResult* to) {
    to->loss += from->loss;
    to->weight += from->weight;
    to->correct += from->correct;
    to->counted += from->counted;
    if (to->bad_row < 0) to->bad_row = from->bad_row, to->bad_label = from->bad_label;
}

/// to += from.
template <class T, class V>
void accumulate(const Reference<T>&, index_t n, const V* from, V* to) {
    for (index_t i = 0; i < n; ++i) to[i] = to[i] + from[i];
}

/// x *= factor.
template <class T, class V>
void scale(const Reference<T>&, index_t n, double factor, V* x) {
    for (index_t i = 0; i < n; ++i) x[i] = x[i] * static_cast<V>(factor);
}

/// Decides whether the step is taken: *total = the sum of `count` squares, and the loss and the norm (if squares were summed) must be finite and all labels
/// good. A step that is taken advances *position, one that is not report->refused; *report says what was decided.
template <class T>
void decide_step(const Reference<T>&, index_t count, const double* squares, double* total, RandomPosition* position, StepReport* report) {
    *total = 0;
    for (index_t i = 0; i < count; ++i) *total += squares[i];
    report->gradient_norm = std::sqrt(*total);
    report->applied = report->loss.bad_row < 0 && is_finite(report->loss.loss) && is_finite(*total) ? 1 : 0;
    if (report->applied != 0)
        ++position->step;
    else
        ++report->refused;
    report->position = *position;
}

/// to = from (bytes) unless the step was taken.
template <class T>
void restore_unless_applied(const Reference<T>&, const StepReport* report, index_t bytes, const std::byte* from, std::byte* to) {
    if (report->applied == 0) std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
