// SPDX-License-Identifier: MIT
// What is measured while training: sums over an epoch, a row for each epoch, the best epoch and when to stop.
#pragma once

#include <dla/core/error.hpp>
#include <dla/core/finite.hpp>
#include <dla/kernels/types.hpp>
#include <dla/optim/any_schedule.hpp>

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dla::inline DLA_ABI_TAG {

/// Loss and accuracy of the batches seen so far, summed in their order. Accuracies are weighed by samples (or
/// pixels, or rows); losses by what their means were divided by (the same, or with class weights the sum of these), so that the loss is that of one large
/// batch. Losses that are sums are weighed likewise.
struct RunningMean {
    double loss_sum = 0;  ///< of loss times weight
    double weight = 0;    ///< of the losses; without class weights equal to `count`
    std::int64_t correct = 0, count = 0;

    /// A batch in which every label is ignored does not count. One whose class weights sum to 0 has no mean loss: its predictions count alone.
    void add(const LossResult& batch) {
        if (batch.counted == 0) return;
        if (batch.weight != 0) loss_sum += batch.loss * batch.weight;
        weight += batch.weight;
        correct += batch.correct;
        count += batch.counted;
    }
    /// NaN before anything was added that has a weight.
    double loss() const { return weight == 0 ? std::numeric_limits<double>::quiet_NaN() : loss_sum / weight; }
    /// In percent.
    double accuracy() const { return count == 0 ? 0 : 100.0 * static_cast<double>(correct) / static_cast<double>(count); }
};

/// One finished epoch, counted from 1; accuracies in percent. What is not measured is NaN: accuracies of losses that know no classes, and validation where
/// nothing is set aside for it.
struct EpochMetrics {
    int epoch = 0;
    double train_loss = 0, train_accuracy = 0, val_loss = 0, val_accuracy = 0;
    double learning_rate = 0;               ///< of the epoch's last step
    std::vector<NamedNumber> metrics = {};  ///< of the validation set: what TrainerOptions::metrics ask for

    /// The number of this name: `val_loss`, `val_accuracy`, `train_loss`, `train_accuracy`, or that of a metric, NaN where it was not
    /// measured; nothing when there is no such name.
    std::optional<double> find(std::string_view name) const {
        if (name == "val_loss") return val_loss;
        if (name == "val_accuracy") return val_accuracy;
        if (name == "train_loss") return train_loss;
        if (name == "train_accuracy") return train_accuracy;
        for (const NamedNumber& m : metrics)
            if (m.name == name) return m.value;
        return std::nullopt;
    }
    /// The same. Throws Error(usage) when there is no such name.
    double value(std::string_view name) const {
        if (const auto found = find(name)) return *found;
        std::string others;
        for (const NamedNumber& m : metrics) others += ", " + m.name;
        fail(ErrorCode::usage, "EpochMetrics",
             "no number is called '" + std::string(name) + "'; expected train_loss, train_accuracy, val_loss, val_accuracy" + others);
    }
};

/// The best value so far of the number that is watched, and for how long it has not been beaten.
struct EarlyStopping {
    double best = -1;  ///< nothing while best_epoch is 0
    int best_epoch = 0;
    int epochs_without_improvement = 0;

    /// Notes an epoch; true when it is the best so far. One without the number that is watched, or with one that is not finite, is none.
    bool update(int epoch, std::optional<double> value, bool higher_is_better = true) {
        if (value && is_finite(*value) && (best_epoch == 0 || (higher_is_better ? *value > best : *value < best))) {
            best = *value;
            best_epoch = epoch;
            epochs_without_improvement = 0;
            return true;
        }
        ++epochs_without_improvement;
        return false;
    }
    bool operator==(const EarlyStopping&) const = default;
    bool should_stop(int patience) const { return patience > 0 && epochs_without_improvement >= patience; }
};

}  // namespace dla::inline DLA_ABI_TAG
