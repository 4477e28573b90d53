// SPDX-License-Identifier: MIT
// What a trainer is told, and what it gives.
#pragma once

#include <dla/inspect/grad_stats.hpp>
#include <dla/train/evaluate.hpp>
#include <dla/train/run_state.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dla {

/// Everything that a Trainer can be told.
struct TrainerOptions {
    std::string name = "model";       ///< of the run: prefix of checkpoint files, folder of its events
    std::string checkpoint_dir = {};  ///< empty: no checkpoints
    int epochs = 20;
    int log_every = 10;               ///< steps between lines for single steps
    int save_every = 1;               ///< epochs between checkpoints; the best weights are written whenever they improve
    int early_stopping_patience = 0;  ///< epochs without a better value of what is monitored; 0: never stop early
    /// Decides which weights are best: val_accuracy, val_loss, train_loss or the name of a metric. Empty: val_accuracy of a classifier, val_loss of others;
    /// where nothing is validated train_loss, or nothing if training does not stop early either. A ReduceOnPlateau follows it where it is set here (or
    /// where that maximizes), and otherwise val_loss, or train_loss.
    std::string monitor = {};
    std::vector<std::shared_ptr<Metric>> metrics = {};  ///< measured on the validation set after each epoch
    /// How much each sample of the validation data counts in its loss, accuracy and metrics, see EvaluationOptions::sample_weights.
    std::vector<double> validation_weights = {};
    double clip_norm = 0;   ///< 0: no clipping
    int micro_batches = 1;  ///< parts in which a batch is computed, a power of two
    /// A moving average of the weights is kept, and it is what is validated, saved as best and left in the model at the end: after each step
    /// average = d average + (1 - d) weights, with d = min(ema_decay, (1 + steps) / (10 + steps)), so that the first steps are soon forgotten; of
    /// parameters and buffers alike (Polyak and Juditsky 1992; the rule of tf.train.ExponentialMovingAverage). 0: none.
    double ema_decay = 0;
    bool stats = false;  ///< give callbacks the statistics of one fixed training batch (of one part, if there are several) after each epoch
    bool quiet = false;
};

/// How a run ended.
struct TrainingResult {
    RunState state;
    int interrupted_by = 0;          ///< the signal, or 0; where one comes after the last step, all is done and saved, and `state.kind` is not "interrupted"
    bool stopped_early = false;      ///< before all epochs, by early stopping or a callback
    std::string checkpoint;          ///< the last one written; empty: none
    std::string resumed_from;        ///< the checkpoint that the run went on with; empty: it began anew (`fit`)
    GradStats stats;                 ///< after the last epoch, where the options ask for them
    std::optional<Evaluation> test;  ///< of the weights that the model holds now, see FitOptions::test
    std::string curve;               ///< the picture of the training curve; empty: none (`fit`)
};
/// `train loss 0.0123, train accuracy 99.80 %, val loss 0.0456, ...`: what was measured.
DLA_ONCE std::ostream& operator<<(std::ostream& out, const EpochMetrics& m);
/// `20 epochs, the best 17: train loss 0.0123, val loss 0.0456, val accuracy 98.31 %`, and what ended it before its time.
DLA_ONCE std::ostream& operator<<(std::ostream& out, const TrainingResult& result);

}  // namespace dla

#if DLA_BODIES
#include <dla/train/trainer_options.impl.hpp>
#endif
