// SPDX-License-Identifier: MIT
// What `fit` can be told.
#pragma once

#include <dla/train/callback.hpp>
#include <dla/train/evaluate.hpp>
#include <dla/train/run_schedule.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace dla {

/// Everything that `fit` can be told; what is left out has the default that stands here.
struct FitOptions {
    int epochs = 20;
    index_t batch_size = 128;
    std::optional<AnyLoss> loss = {};          ///< default: CrossEntropy for class numbers, MeanSquaredError for values
    std::optional<Optimizer> optimizer = {};   ///< default: Adam with its own defaults; may have groups of parameters
    std::optional<RunSchedule> schedule = {};  ///< CosineOptions{} and OneCycleOptions{} without a length: the whole run
    std::optional<LinearWarmup> warmup = {};   ///< in front of the schedule

    double validation_share = 0;                        ///< of the samples, chosen by the seed and not trained on; 0 to less than 1
    std::optional<Split> split = {};                    ///< or a split of your own, e.g. that by which the data were standardised
    std::optional<AnyData> validation = {};             ///< or data of their own
    std::vector<std::shared_ptr<Metric>> metrics = {};  ///< measured on the validation data after each epoch
    /// How much each sample of what is validated on counts there, see EvaluationOptions::sample_weights: one for each sample of `validation`, or of the data.
    std::vector<double> validation_weights = {};
    std::string monitor = {};         ///< what is to become best, see TrainerOptions::monitor
    int early_stopping_patience = 0;  ///< epochs without a better value of what is monitored; 0: never stop early
    /// What the weights are measured on when all is over, with `metrics` too: TrainingResult::test, a line of the log, and a checkpoint NAME_final.
    std::optional<AnyData> test = {};
    /// Measures `test`, images of a Dataset, once more with mirrored_accuracy: as `accuracy_mirrored` among the metrics of TrainingResult::test.
    bool test_mirrored = false;

    Augmentation augmentation = {};  ///< of a Dataset's images, in training
    double mixup = 0;                ///< training samples are mixed in pairs, see LoaderOptions::mixup; 0: not
    bool balanced = false;           ///< samples are drawn so that all classes come up alike, see balanced_weights
    /// Or with chances in proportion to these, one for each sample of the data, see LoaderOptions::weights; empty: each once in an epoch.
    std::vector<double> sampling_weights = {};
    double clip_norm = 0;   ///< of the gradients; 0: no clipping
    int micro_batches = 1;  ///< parts in which a batch is computed, a power of two
    double ema_decay = 0;   ///< of a moving average of the weights, which is what is validated, kept and tested, see TrainerOptions; 0: none
    Seed seed{42};          ///< of the order, the split, augmentation and dropout
    int workers = 1;        ///< threads that prepare batches; 0: none

    std::string name = "model";       ///< of the run: prefix of checkpoint files, folder of its events
    std::string checkpoint_dir = {};  ///< empty: no checkpoints
    int save_every = 1;               ///< epochs between checkpoints
    bool resume = false;              ///< goes on from the newest checkpoint in `checkpoint_dir` if there is one: the same bits as without the interruption
    bool overwrite = false;           ///< removes what an earlier run of this name left there; without either that is an error
    /// What checkpoints say about how they came to be, a line `key = value` for each setting. Empty: these options. `resume` compares both.
    std::string config = {};
    std::string run_id = {};   ///< identity of the run, which its files carry; empty: random, so that two runs' checkpoints differ in these bytes
    int log_every = 10;        ///< steps between lines for single steps
    bool stats = false;        ///< statistics of gradients after each epoch, see TrainerOptions::stats
    std::string log_dir = {};  ///< gets LOG_DIR/NAME with metrics.jsonl, TensorBoard events and the training curve; empty: none
    std::vector<TrainingCallback*> callbacks = {};  ///< told in this order; they must outlive the call
    bool quiet = false;                             ///< no lines on the terminal but notes on stderr
};

}  // namespace dla
