// SPDX-License-Identifier: MIT
// Optimizer steps of the reference policy: each operation rounded to the type of the masters in the order of torch.optim's single-tensor path.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/core/math.hpp>
#include <dla/kernels/reference/wide.hpp>
#include <dla/kernels/types.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

/// Begins a step of SGD: *scalars = *settings with what depends on the steps taken; *steps is advanced. Where `report` (or null) refuses the step, it is
/// skipped.
template <class T>
void begin_sgd_step(const Reference<T>&, const SgdScalars* settings, const StepReport* report, std::int64_t* steps, SgdScalars* scalars) {
    *scalars = *settings;
    scalars->first = *steps == 0;
    scalars->skip = report != nullptr && report->applied == 0;
    if (!scalars->skip) ++*steps;
}

/// The same of Adam: the corrections for step number *steps + 1.
template <class T>
void begin_adam_step(const Reference<T>&, const AdamScalars* settings, const StepReport* report, std::int64_t* steps, AdamScalars* scalars) {
    *scalars = *settings;
    scalars->skip = report != nullptr && report->applied == 0;
    if (scalars->skip) return;
    ++*steps;
    scalars->correction1 = 1 - math::power(settings->beta1, *steps);
    scalars->correction2 = 1 - math::power(settings->beta2, *steps);
}

/// The same of Muon, whose numbers do not depend on the steps taken.
template <class T>
void begin_muon_step(const Reference<T>&, const MuonScalars* settings, const StepReport* report, std::int64_t* steps, MuonScalars* scalars) {
    *scalars = *settings;
    scalars->skip = report != nullptr && report->applied == 0;
    if (!scalars->skip) ++*steps;
}

/// One SGD step over n values (see SgdScalars); velocity may be null when momentum is 0.
template <class T>
void sgd_step(const Reference<T>&, index_t n, const SgdScalars* sgd, detail::MasterOf<T>* value, const detail::MasterOf<T>* grad,
              detail::MasterOf<T>* velocity) {
    using Master = detail::MasterOf<T>;
    const SgdScalars s = *sgd;
    if (s.skip) return;
    const Master decay = static_cast<Master>(s.weight_decay), momentum = static_cast<Master>(s.momentum), rest = static_cast<Master>(1.0 - s.dampening),
                 rate = static_cast<Master>(s.learning_rate);
    for (index_t i = 0; i < n; ++i) {
        Master d = grad[i];
        if (s.weight_decay != 0) d = d + decay * value[i];
        if (s.momentum != 0) {
            velocity[i] = s.first ? d : momentum * velocity[i] + rest * d;
            d = s.nesterov ? d + momentum * velocity[i] : velocity[i];
        }
        value[i] = value[i] - rate * d;
    }
}

/// One Adam or AdamW step over n values (see AdamScalars); m and v: first and second moment.
template <class T>
void adam_step(const Reference<T>&, index_t n, const AdamScalars* adam, detail::MasterOf<T>* value, const detail::MasterOf<T>* grad, detail::MasterOf<T>* m,
               detail::MasterOf<T>* v) {
    using std::sqrt;
    using Master = detail::MasterOf<T>;
    const AdamScalars s = *adam;
    if (s.skip) return;
    const Master decay = static_cast<Master>(s.weight_decay), shrink = static_cast<Master>(1.0 - s.learning_rate * s.weight_decay);
    const Master beta1 = static_cast<Master>(s.beta1), rest1 = static_cast<Master>(1.0 - s.beta1), beta2 = static_cast<Master>(s.beta2),
                 rest2 = static_cast<Master>(1.0 - s.beta2);
    const Master step = static_cast<Master>(s.learning_rate / s.correction1), root = static_cast<Master>(std::sqrt(s.correction2)),
                 eps = static_cast<Master>(s.eps);
    for (index_t i = 0; i < n; ++i) {
        Master g = grad[i], p = value[i];
        if (s.weight_decay != 0) {
            if (s.decoupled)
                p = p * shrink;
            else
                g = g + decay * p;
        }
        m[i] = m[i] * beta1 + rest1 * g;
        v[i] = v[i] * beta2 + rest2 * g * g;
        value[i] = p - step * m[i] / (sqrt(v[i]) / root + eps);
    }
}

/// The first half of a Muon step (see MuonScalars): the velocity moves towards the gradient, and `direction` is what is to be orthogonalised.
template <class T>
void muon_direction(const Reference<T>&, index_t n, const MuonScalars* muon, const detail::MasterOf<T>* grad, detail::MasterOf<T>* velocity,
                    detail::MasterOf<T>* direction) {
    using Master = detail::MasterOf<T>;
    const MuonScalars s = *muon;
    if (s.skip) return;
    const Master momentum = static_cast<Master>(s.momentum), rest = static_cast<Master>(1.0 - s.momentum);
    for (index_t i = 0; i < n; ++i) {
        velocity[i] = velocity[i] + rest * (grad[i] - velocity[i]);
        direction[i] = s.nesterov ? grad[i] + momentum * (velocity[i] - grad[i]) : velocity[i];
    }
}

/// x /= max(sqrt(*squares), eps).
template <class T>
void divide_by_norm(const Reference<T>&, index_t n, const double* squares, double eps, detail::MasterOf<T>* x) {
    const double norm = std::sqrt(*squares);
    const auto factor = static_cast<detail::MasterOf<T>>(1 / (norm < eps ? eps : norm));
    for (index_t i = 0; i < n; ++i) x[i] = x[i] * factor;
}

/// The second half of a Muon step: the weights decay and move along the orthogonalised direction.
template <class T>
void muon_update(const Reference<T>&, index_t n, const MuonScalars* muon, const detail::MasterOf<T>* direction, detail::MasterOf<T>* value) {
    using Master = detail::MasterOf<T>;
    const MuonScalars s = *muon;
    if (s.skip) return;
    const Master shrink = static_cast<Master>(1.0 - s.learning_rate * s.weight_decay), rate = static_cast<Master>(s.learning_rate * s.factor);
    for (index_t i = 0; i < n; ++i) value[i] = value[i] * shrink - rate * direction[i];
}

/// value *= min(1, max_norm / (sqrt(*squares) + 1e-6)); a norm that is infinite or NaN leaves the values as they are.
template <class T>
void clip_scale(const Reference<T>&, index_t n, const double* squares, double max_norm, detail::MasterOf<T>* value) {
    const double coefficient = max_norm / (std::sqrt(*squares) + 1e-6);
    if (!is_finite(*squares) || !(coefficient < 1)) return;
    for (index_t i = 0; i < n; ++i) value[i] = value[i] * static_cast<detail::MasterOf<T>>(coefficient);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
