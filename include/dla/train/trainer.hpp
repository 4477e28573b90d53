// SPDX-License-Identifier: MIT
// The training loop: epochs, validation, schedules, early stopping, checkpoints, resume, and what is reported on the way.
#pragma once

#include <dla/data/loader.hpp>
#include <dla/train/callback.hpp>
#include <dla/train/checkpoint.hpp>
#include <dla/train/evaluate.hpp>
#include <dla/train/trainer_options.hpp>

namespace dla {

class Progress;
/// Trains any model, with any loss. The same configuration, seed and data give the same bits at any number of threads, and after an interruption and `resume`.
class Trainer {
public:
    /// All arguments but the loss and the options must outlive the trainer.
    Trainer(AnyModel& model, Optimizer& optimizer, AnySchedule& schedule, AnyLoss loss, Loader& train, Loader& validation, TrainerOptions options)
        : Trainer(model, optimizer, schedule, std::move(loss), train, &validation, std::move(options)) {}
    /// `validation` may be null: then nothing is validated. Throws Error(usage) when there is nothing of the name that is monitored, or metrics without it.
    Trainer(AnyModel& model, Optimizer& optimizer, AnySchedule& schedule, AnyLoss loss, Loader& train, Loader* validation, TrainerOptions options);

    /// Configuration, seed and fingerprints that checkpoints carry; set before `run`.
    RunState& state() { return state_; }

    /// Continues from a checkpoint. Throws Error(checkpoint) when it belongs to another configuration or other data.
    void resume(const Checkpoint& checkpoint);
    /// Continues from the furthest checkpoint of this configuration that is whole; gives its path, or nothing when there is none. Those of another run than
    /// `run` (empty: any) do not serve. What was passed over is added to `skipped`, with the reasons. Throws Error(checkpoint) as resumable_checkpoints does.
    std::string resume_newest(const std::string& run, std::vector<std::string>& skipped);

    /// Throws now what `run` would throw before its first step; changes nothing but memory that is claimed, and rate and momentum of the optimizer.
    void check();

    /// Trains until the epochs are over, early stopping, a callback's `stop`, or SIGINT or SIGTERM, where there is a folder for checkpoints or the caller has a
    /// SignalGuard; then the model holds the best weights (the last ones after a signal, and where nothing is monitored). Throws Error(numeric) when the loss
    /// is not finite, naming step and first bad layer; checkpoints on disk stay as they are.
    TrainingResult run(TrainingCallback& log);

    /// Writes the final checkpoint: the weights the model holds now, the history, and the accuracy on the test set where it is one of classes. Gives its
    /// path, empty when the options name no folder for checkpoints.
    std::string save_final(const Evaluation& test);

    std::string path(const std::string& suffix) const { return options_.checkpoint_dir + "/" + options_.name + suffix + ".safetensors"; }

private:
    /// Runs the epoch that is under way to its end; gives the signal that interrupted it, or 0.
    int train_epoch(TrainingCallback& log, Progress& progress);

    /// Validates, reports and saves; whether a callback wants no more.
    bool finish_epoch(TrainingCallback& log, Progress& progress, TrainingResult& result);

    void set_monitor();

    /// Path of the first buffer that holds a value that is not finite, or empty; as sentences call it.
    std::string first_bad_buffer() const;

    void save(TrainingResult& result, const std::string& suffix);

    Targets fixed_targets() const;
    /// The first training samples in the order of the data, not augmented, as many as a batch has.
    void take_fixed_batch();

    [[noreturn]] void report_non_finite(const Batch& batch, const std::string& when, const std::string& what);

    AnyModel& model_;
    Optimizer& optimizer_;
    AnySchedule& schedule_;
    AnyLoss loss_, train_loss_;  // of labels; of what training batches have, which may be mixed
    Loader& train_;
    Loader* validation_;
    TrainerOptions options_;
    std::string watched_;  // by a schedule that waits for progress
    bool warned_ = false;
    RunState state_;
    std::vector<float> fixed_inputs_, fixed_values_;
    std::vector<std::int32_t> fixed_labels_;
    std::vector<std::byte> scratch_;
    std::vector<std::vector<float>> before_;  // parameters before the last step of the epoch
};

}  // namespace dla

#if DLA_BODIES
#include <dla/train/trainer.impl.hpp>
#endif
