// SPDX-License-Identifier: MIT
// From a checked configuration to a run of it.
#pragma once

#include <dla/config/experiment.hpp>
#include <dla/data/dataset.hpp>
#include <dla/optim/make_optimizer.hpp>
#include <dla/train/fit.hpp>

namespace dla::inline DLA_ABI_TAG {

/// The optimizer of a configuration.
DLA_ONCE Optimizer make_optimizer(const TrainingConfig& config);

/// What a configuration says, for `fit(model, data.train, fit_options(config, data))`: all but where files go and what is shown. The images that it validates on
/// are chosen by its seed, and checkpoints carry it as text. It refers to `data.test`, which must outlive it.
DLA_ONCE FitOptions fit_options(const ExperimentConfig& config, const DatasetPair& data);

}  // namespace dla::inline DLA_ABI_TAG

#if DLA_BODIES
#include <dla/zoo/experiment.impl.hpp>
#endif
