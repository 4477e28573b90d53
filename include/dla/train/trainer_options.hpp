// SPDX-License-Identifier: MIT
// What a trainer is told, and what it gives.
#pragma once

#include <dla/train/checkpoint.hpp>
#include <dla/train/metric.hpp>

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace dla {

/// Everything that a Trainer can be told.
struct TrainerOptions {
    std::string name = "model";                  ///< of the run: prefix of checkpoint files, folder of its events
    std::string checkpoint_dir = "checkpoints";  ///< empty: no checkpoints
    int epochs = 20;
    int log_every = 10;               ///< steps between lines for single steps
    int save_every = 5;               ///< epochs between checkpoints; the best weights are written whenever they improve
    int early_stopping_patience = 5;  ///< epochs without a better value of what is monitored; 0: never stop early
    /// Decides which weights are best: val_accuracy, val_loss, train_loss or the name of a metric. Empty: val_accuracy of a classifier, val_loss of others;
    /// where nothing is validated train_loss, or nothing if training does not stop early either.
    std::string monitor = {};
    std::vector<std::shared_ptr<Metric>> metrics = {};  ///< measured on the validation set after each epoch
    double clip_norm = 0;                               ///< 0: no clipping
    int micro_batches = 1;                              ///< parts in which a batch is computed, a power of two
    bool stats = false;  ///< give callbacks the statistics of one fixed training batch (of one part, if there are several) after each epoch
    bool quiet = false;
};

/// How a run ended.
struct TrainingResult {
    RunState state;
    int interrupted_by = 0;  ///< the signal, or 0
    bool stopped_early = false;
    std::string checkpoint;  ///< the last one written; empty: none
};

/// ` it has `num_epochs = 20`, now `num_epochs = 30`` for the first line in which two configurations differ; empty when they are equal.
inline std::string first_difference(const std::string& then, const std::string& now) {
    std::size_t i = 0, j = 0;
    while (i < then.size() && j < now.size()) {
        const std::string a = then.substr(i, then.find('\n', i) - i), b = now.substr(j, now.find('\n', j) - j);
        if (a != b) return " it has `" + a + "`, now `" + b + "`";
        i += a.size() + 1;
        j += b.size() + 1;
    }
    return i < then.size() || j < now.size() ? " one of the two has more settings" : "";
}

namespace detail {

/// Throws Error(usage) unless every metric is there and has a name that nothing else has.
inline void check_names(const std::vector<std::shared_ptr<Metric>>& metrics) {
    std::set<std::string> taken{"nothing", "train_loss", "train_accuracy", "val_loss", "val_accuracy"};
    for (const auto& metric : metrics) {
        if (!metric) fail(ErrorCode::usage, "trainer", "a metric is null");
        if (!taken.insert(metric->name()).second)
            fail(ErrorCode::usage, "trainer", "a metric is called '" + metric->name() + "', as another number is; give it a name of its own");
    }
}

}  // namespace detail
}  // namespace dla
