// SPDX-License-Identifier: MIT
// From a checked configuration to the things that a run of it is made of.
#pragma once

#include <dla/config/experiment.hpp>
#include <dla/data/loader.hpp>
#include <dla/loss/cross_entropy.hpp>
#include <dla/optim/any_schedule.hpp>
#include <dla/optim/make_optimizer.hpp>
#include <dla/train/run_schedule.hpp>
#include <dla/train/trainer_options.hpp>

namespace dla::inline DLA_ABI_TAG {

/// The optimizer and the schedule of a configuration.
DLA_ONCE Optimizer make_optimizer(const TrainingConfig& config);
/// The schedule of a configuration.
DLA_ONCE AnySchedule make_schedule(const TrainingConfig& config, index_t steps_per_epoch);

/// Epochs, saving, early stopping, clipping and parts of a configuration. Where files go and what is shown is for the program to say.
DLA_ONCE TrainerOptions trainer_options(const TrainingConfig& config);

/// What a run of a configuration trains and is tested with. `config` and `data` must outlive it.
struct ExperimentRun {
    Split split;
    Loader train, validation, test;
    Optimizer optimizer;
    AnySchedule schedule;
    CrossEntropy loss;

    /// Throws as the Loader does.
    ExperimentRun(const ExperimentConfig& config, const DatasetPair& data, Seed seed);
};

}  // namespace dla::inline DLA_ABI_TAG

#if DLA_BODIES
#include <dla/zoo/experiment.impl.hpp>
#endif
