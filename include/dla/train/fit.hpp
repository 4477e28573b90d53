// SPDX-License-Identifier: MIT
// Training in a line, for any model and any data.
#pragma once

#include <dla/train/fit_options.hpp>
#include <dla/train/run_place.hpp>
#include <dla/train/trainer_options.hpp>

namespace dla {

/// Trains the model on the data: `fit(model, data, {.epochs = 20})`. Afterwards it holds the weights of the best epoch, or, where nothing is validated or
/// monitored, the last ones. With a checkpoint_dir SIGINT and SIGTERM end it after the step, when everything is saved (`state.kind` is "interrupted"; a
/// line on stderr says so); without one they end the process. The same options, seed and data give the same bits.
/// What `resume` compares with the run before is all of these, what is frozen and what is in eval mode, but not what functions compute (SampleLoss,
/// transforms).
/// A signal after the last step lets what is left be done (the test) and is then told. Throws Error(data) when data and network do not fit, Error(usage) for
/// options that contradict each other, Error(numeric) when the loss overflows.
DLA_ONCE TrainingResult fit(AnyModel& model, const AnyData& data, FitOptions options = {});
/// In a place that was taken before, e.g. before the data were read: name, checkpoint_dir, log_dir, run_id, resume and overwrite are what its options say;
/// where `options` say them as well (but for the name) Error(usage) is thrown.
DLA_ONCE TrainingResult fit(AnyModel& model, const AnyData& data, FitOptions options, RunPlace& place);
template <class P>
TrainingResult fit(BasicModel<P>& model, const AnyData& data, FitOptions options = {}) {
    return fit(*any_model(model), data, std::move(options));
}
template <class P>
TrainingResult fit(BasicModel<P>& model, const AnyData& data, FitOptions options, RunPlace& place) {
    return fit(*any_model(model), data, std::move(options), place);
}

}  // namespace dla

#if DLA_BODIES
#include <dla/train/fit.impl.hpp>
#endif
