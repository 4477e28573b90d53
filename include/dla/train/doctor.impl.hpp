// SPDX-License-Identifier: MIT
// How a training is prepared for the doctor.
#pragma once

#include <dla/train/doctor_checks.hpp>
#include <dla/train/fit_plan.hpp>

namespace dla {

DLA_ONCE Diagnosis diagnose(const AnyModel& model, const Optimizer& optimizer, const AnyLoss& loss, Loader& train, Loader* validation,
                            const DoctorOptions& options) {
    if (optimizer.steps() != 0) fail(ErrorCode::usage, "diagnose", "the optimizer has taken steps already; give it a new one");
    const AnySchedule constant({.learning_rate = optimizer.learning_rate()});
    return detail::Doctor(model, optimizer, constant, loss, train, validation, options).run();
}

DLA_ONCE Diagnosis diagnose(const AnyModel& model, const AnyData& data, const FitOptions& o, DoctorOptions options) {
    const detail::FitPlan plan = detail::plan_fit("diagnose", model, data, o);
    options.clip_norm = o.clip_norm;
    options.micro_batches = o.micro_batches;
    return detail::Doctor(model, plan.optimizer, plan.schedule, plan.loss, *plan.train, plan.validation.get(), options).run();
}

}  // namespace dla
