// SPDX-License-Identifier: MIT
// Optimizer steps of Cpu<float>: one pass over the flat arena, in the order of operations of torch.optim.
#pragma once

#include <dla/kernels/cpu/eltwise.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// SgdScalars and AdamScalars rounded to float, with what does not depend on the element worked out.
struct SgdFloats {
    float decay, momentum, rest, rate;
    bool has_momentum, nesterov, first;
};
struct MuonFloats {
    float momentum, rest;
    bool nesterov;
};
struct AdamFloats {
    float decay, shrink, beta1, rest1, beta2, rest2, step, root, eps;
};

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/optim.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/optim.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/optim.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla {

DLA_ONCE void sgd_step(const Cpu<float>& p, index_t n, const SgdScalars* sgd, float* value, const float* grad, float* velocity) {
    if (sgd->skip) return;
    const detail::SgdFloats s{static_cast<float>(sgd->weight_decay),
                              static_cast<float>(sgd->momentum),
                              static_cast<float>(1.0 - sgd->dampening),
                              static_cast<float>(sgd->learning_rate),
                              sgd->momentum != 0,
                              sgd->nesterov,
                              sgd->first};
    const auto f = detail::select_isa(detail::base::sgd_step, detail::avx2::sgd_step, detail::avx512::sgd_step);
    detail::for_elements(p, n, [&](index_t at, index_t length) { f(length, s, value + at, grad + at, s.has_momentum ? velocity + at : nullptr); });
}

DLA_ONCE void adam_step(const Cpu<float>& p, index_t n, const AdamScalars* adam, float* value, const float* grad, float* m, float* v) {
    const AdamScalars& a = *adam;
    if (a.skip) return;
    const detail::AdamFloats s{a.decoupled ? 0.0f : static_cast<float>(a.weight_decay),
                               a.decoupled ? static_cast<float>(1.0 - a.learning_rate * a.weight_decay) : 1.0f,
                               static_cast<float>(a.beta1),
                               static_cast<float>(1.0 - a.beta1),
                               static_cast<float>(a.beta2),
                               static_cast<float>(1.0 - a.beta2),
                               static_cast<float>(a.learning_rate / a.correction1),
                               static_cast<float>(std::sqrt(a.correction2)),
                               static_cast<float>(a.eps)};
    const auto f = detail::select_isa(detail::base::adam_step, detail::avx2::adam_step, detail::avx512::adam_step);
    detail::for_elements(p, n, [&](index_t at, index_t length) { f(length, s, value + at, grad + at, m + at, v + at); });
}

DLA_ONCE void muon_direction(const Cpu<float>& p, index_t n, const MuonScalars* muon, const float* grad, float* velocity, float* direction) {
    if (muon->skip) return;
    const detail::MuonFloats s{.momentum = static_cast<float>(muon->momentum), .rest = static_cast<float>(1.0 - muon->momentum), .nesterov = muon->nesterov};
    const auto f = detail::select_isa(detail::base::muon_direction, detail::avx2::muon_direction, detail::avx512::muon_direction);
    detail::for_elements(p, n, [&](index_t at, index_t length) { f(length, s, grad + at, velocity + at, direction + at); });
}

DLA_ONCE void divide_by_norm(const Cpu<float>& p, index_t n, const double* squares, double eps, float* x) {
    const double norm = std::sqrt(*squares);
    const auto factor = static_cast<float>(1 / (norm < eps ? eps : norm));
    const auto f = detail::select_isa(detail::base::scale, detail::avx2::scale, detail::avx512::scale);
    detail::for_elements(p, n, [&](index_t at, index_t length) { f(length, factor, x + at, x + at); });
}

DLA_ONCE void muon_update(const Cpu<float>& p, index_t n, const MuonScalars* muon, const float* direction, float* value) {
    const MuonScalars& s = *muon;
    if (s.skip) return;
    const auto shrink = static_cast<float>(1.0 - s.learning_rate * s.weight_decay), rate = static_cast<float>(s.learning_rate * s.factor);
    const auto f = detail::select_isa(detail::base::muon_update, detail::avx2::muon_update, detail::avx512::muon_update);
    detail::for_elements(p, n, [&](index_t at, index_t length) { f(length, shrink, rate, direction + at, value + at); });
}

DLA_ONCE void clip_scale(const Cpu<float>& p, index_t n, const double* squares, double max_norm, float* value) {
    const double coefficient = max_norm / (std::sqrt(*squares) + 1e-6);
    if (!is_finite(*squares) || !(coefficient < 1)) return;
    const auto f = detail::select_isa(detail::base::scale, detail::avx2::scale, detail::avx512::scale);
    detail::for_elements(p, n, [&](index_t at, index_t length) { f(length, static_cast<float>(coefficient), value + at, value + at); });
}

DLA_ONCE void accumulate(const Cpu<float>& p, index_t n, const float* from, float* to) { add(p, n, to, from, to); }

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
