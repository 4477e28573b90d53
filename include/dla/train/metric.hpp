// SPDX-License-Identifier: MIT
// What is measured on a validation or test set besides the loss; accumulated over batches, so that their sizes change nothing.
#pragma once

#include <dla/core/targets.hpp>
#include <dla/train/confusion_matrix.hpp>

#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace dla {

/// One number of an evaluation. Derive from it for measures of your own. Those of the library take weights as scikit-learn takes `sample_weight`.
class Metric {
public:
    virtual ~Metric() = default;
    /// As logs and `monitor` call it: letters, digits and _.
    virtual std::string name() const = 0;
    virtual bool higher_is_better() const = 0;
    /// What else decides its value, e.g. a threshold: a run that is resumed must have the same.
    virtual std::string settings() const { return {}; }
    virtual void reset() = 0;
    /// The outputs of a batch of so many samples, those of a sample one after the other, and its targets. `weights` says how much each sample counts; empty:
    /// all alike.
    virtual void add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights = {}) = 0;
    virtual double value() const = 0;  ///< NaN before anything was added
};
/// `f1 0.9312`.
DLA_ONCE std::ostream& operator<<(std::ostream& out, const Metric& metric);

/// Share of the samples (of their class numbers, where they have several), in percent, whose label is among the `k` largest outputs (of equal ones the first
/// counts as larger). Labels below 0 do not count.
class TopK final : public Metric {
public:
    explicit TopK(index_t k = 5) : k_(k) {
        if (k < 1) fail(ErrorCode::usage, "TopK", text("k must be at least 1; got ", k).view());
    }
    std::string name() const override { return k_ == 1 ? "accuracy" : "top" + std::to_string(k_); }
    bool higher_is_better() const override { return true; }
    void reset() override { right_ = count_ = 0; }
    void add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights = {}) override;
    double value() const override;

private:
    index_t k_;
    double right_ = 0, count_ = 0;
};

/// Macro-averaged score of a classifier, from 0 to 1 (sklearn.metrics.precision_score, recall_score, f1_score, jaccard_score with average="macro"). Of
/// samples with several class numbers all count alike: `mean_iou` of images with one for each pixel is the mean intersection over union.
class ClassScore final : public Metric {
public:
    enum class Kind { precision, recall, f1, iou };
    explicit ClassScore(Kind kind = Kind::f1) : kind_(kind) {}
    std::string name() const override {
        constexpr const char* names[] = {"precision", "recall", "f1", "mean_iou"};
        return names[static_cast<int>(kind_)];
    }
    bool higher_is_better() const override { return true; }
    void reset() override { matrix_ = {}; }
    void add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights = {}) override {
        matrix_.add("ClassScore", outputs, targets.labels, static_cast<std::size_t>(samples), weights);
    }
    double value() const override;
    const ConfusionMatrix& matrix() const { return matrix_; }

private:
    Kind kind_;
    ConfusionMatrix matrix_;
};

/// Score of outputs that are logits of yes and no, one by one, as of masks or of several labels at once (BCEWithLogits): yes where the output is above
/// `threshold`, and where the target is above 1/2. Accuracy in percent; the others from 0 to 1, 0 without a denominator (sklearn.metrics.precision_score,
/// recall_score, f1_score, jaccard_score with average="binary", over all values of all samples).
class BinaryScore final : public Metric {
public:
    enum class Kind { accuracy, precision, recall, f1, iou };
    /// Its name is `binary_accuracy`, ..., or `iou`, unless you give another: two of one kind need two.
    explicit BinaryScore(Kind kind = Kind::accuracy, double threshold = 0, std::string name = {})
        : kind_(kind), threshold_(threshold), name_(std::move(name)) {}
    std::string name() const override;
    std::string settings() const override;
    bool higher_is_better() const override { return true; }
    void reset() override { counts_[0] = counts_[1] = counts_[2] = counts_[3] = 0; }
    void add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights = {}) override;
    double value() const override;

private:
    Kind kind_;
    double threshold_;
    std::string name_;
    double counts_[4] = {};  // no taken for no, no for yes, yes for no, yes for yes
};

/// Score of several labels at once, each by itself, from 0 to 1, and their mean (sklearn.metrics.precision_score, recall_score, f1_score with average=None
/// and average="macro"): outputs are logits, yes where one is above `threshold`, and where the target is above 1/2; 0 without a denominator.
class LabelScore final : public Metric {
public:
    enum class Kind { precision, recall, f1 };
    /// Its name is `label_precision`, `label_recall` or `label_f1`, unless you give another: two of one kind need two.
    explicit LabelScore(Kind kind = Kind::f1, double threshold = 0, std::string name = {}) : kind_(kind), threshold_(threshold), name_(std::move(name)) {}
    std::string name() const override;
    std::string settings() const override;
    bool higher_is_better() const override { return true; }
    void reset() override { counts_.clear(); }
    void add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights = {}) override;
    double value() const override;
    index_t labels() const { return std::ssize(counts_); }  ///< 0 before anything was added
    double of(index_t label) const;                         ///< of one label. Throws Error(usage) when there is no such label

private:
    struct Count {
        double total = 0, wanted = 0, got = 0, right = 0;  // sums of weights
    };
    Kind kind_;
    double threshold_;
    std::string name_;
    std::vector<Count> counts_;
};

/// Mean of |output - target| over all values.
class MeanAbsoluteError final : public Metric {
public:
    std::string name() const override { return "mae"; }
    bool higher_is_better() const override { return false; }
    void reset() override { sum_ = 0, count_ = 0; }
    void add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights = {}) override;
    double value() const override;

private:
    double sum_ = 0, count_ = 0;
};

/// Square root of the mean of (output - target)^2 over all values.
class RootMeanSquaredError final : public Metric {
public:
    std::string name() const override { return "rmse"; }
    bool higher_is_better() const override { return false; }
    void reset() override { sum_ = 0, count_ = 0; }
    void add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights = {}) override;
    double value() const override;

private:
    double sum_ = 0, count_ = 0;
};

/// 1 - sum (target - output)^2 / sum (target - mean target)^2, the mean over the values of a sample (sklearn.metrics.r2_score); of targets that do
/// not vary 1 if every output is right, else 0.
class R2 final : public Metric {
public:
    std::string name() const override { return "r2"; }
    bool higher_is_better() const override { return true; }
    void reset() override { columns_.clear(); }
    void add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights = {}) override;
    double value() const override;

private:
    struct Column {
        double error = 0, mean = 0, spread = 0, weight = 0;  // sums of squares, around the running mean
    };
    std::vector<Column> columns_;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/train/metric.impl.hpp>
#endif
