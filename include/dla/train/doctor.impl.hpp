// SPDX-License-Identifier: MIT
// How a training is prepared for the doctor.
#pragma once

#include <dla/train/doctor_checks.hpp>

#include <cmath>
#include <memory>

namespace dla {

DLA_ONCE Diagnosis diagnose(const AnyModel& model, const Optimizer& optimizer, const AnyLoss& loss, Loader& train, Loader* validation,
                            const DoctorOptions& options) {
    if (optimizer.steps() != 0) fail(ErrorCode::usage, "diagnose", "the optimizer has taken steps already; give it a new one");
    return detail::Doctor(model, optimizer, loss, train, validation, options).run();
}

DLA_ONCE Diagnosis diagnose(const AnyModel& model, const AnyData& data, const FitOptions& o, DoctorOptions options) {
    const AnyLoss loss = detail::loss_for(o.loss, data);
    detail::check_fit("diagnose", model, data, &loss);
    Split split{data.samples(), {}};
    if (o.split) split = *o.split;
    if (o.validation_share > 0) split = random_split(data.size(), std::llround(o.validation_share * static_cast<double>(data.size())), o.seed);
    const auto train = data.loader(split.train, detail::training_loader_options(model, data, split, o));
    std::unique_ptr<Loader> validation;
    if (!split.validation.empty()) validation = data.loader(split.validation, evaluation_options(o.batch_size, o.workers));
    if (o.validation) validation = o.validation->loader(o.validation->samples(), evaluation_options(o.batch_size, o.workers));
    options.clip_norm = o.clip_norm;
    options.micro_batches = o.micro_batches;
    return diagnose(model, o.optimizer ? *o.optimizer : Optimizer(Adam()), loss, *train, validation.get(), options);
}

}  // namespace dla
