// SPDX-License-Identifier: MIT
// Looks at a training before it is trained: what is sick, and what helps.
#pragma once

#include <dla/train/diagnosis.hpp>
#include <dla/train/fit.hpp>

namespace dla {

/// Tries out a training on copies of the model: trains as it is meant for some steps, learns one batch by heart, raises the learning rate until it diverges.
/// Model and optimizer stay as they are; the optimizer must not have taken steps. `validation` may be null. What depends on time (waiting for batches) differs
/// from run to run, and a check that runs out of time says how far it came; the rest does not. The rate is the optimizer's. Throws what training throws for
/// bad data.
DLA_ONCE Diagnosis diagnose(const AnyModel& model, const Optimizer& optimizer, const AnyLoss& loss, Loader& train, Loader* validation = nullptr,
                            const DoctorOptions& options = {});
/// Of what `fit(model, data, training)` would do: its loss, optimizer, schedule, split, batches, augmentation, clipping and parts. Throws as `fit` for these;
/// what it would test and monitor is not looked at.
DLA_ONCE Diagnosis diagnose(const AnyModel& model, const AnyData& data, const FitOptions& training, DoctorOptions options = {});
template <class P>
Diagnosis diagnose(const BasicModel<P>& model, const AnyData& data, const FitOptions& training, const DoctorOptions& options = {}) {
    return diagnose(*detail::looked_at(model), data, training, options);
}

}  // namespace dla

#if DLA_BODIES
#include <dla/train/doctor.impl.hpp>
#endif
