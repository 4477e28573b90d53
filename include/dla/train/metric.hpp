// SPDX-License-Identifier: MIT
// What is measured on a validation or test set besides the loss; accumulated over batches, so that their sizes change nothing.
#pragma once

#include <dla/core/error.hpp>
#include <dla/core/shape.hpp>
#include <dla/core/targets.hpp>

#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace dla {

/// One number of an evaluation. Derive from it for measures of your own.
class Metric {
public:
    virtual ~Metric() = default;
    /// As logs and `monitor` call it: letters, digits and _.
    virtual std::string name() const = 0;
    virtual bool higher_is_better() const = 0;
    virtual void reset() = 0;
    /// The outputs of a batch of so many samples, those of a sample one after the other, and its targets.
    virtual void add(std::span<const float> outputs, const Targets& targets, index_t samples) = 0;
    virtual double value() const = 0;  ///< NaN before anything was added
};

/// Share of the samples, in percent, whose label is among the `k` largest outputs (of equal ones the first counts as larger). Labels below 0 do not count.
class TopK final : public Metric {
public:
    explicit TopK(index_t k = 5) : k_(k) {
        if (k < 1) fail(ErrorCode::usage, "TopK", text("k must be at least 1; got ", k).view());
    }
    std::string name() const override { return k_ == 1 ? "accuracy" : "top" + std::to_string(k_); }
    bool higher_is_better() const override { return true; }
    void reset() override { right_ = count_ = 0; }
    void add(std::span<const float> outputs, const Targets& targets, index_t samples) override;
    double value() const override;

private:
    index_t k_, right_ = 0, count_ = 0;
};

/// How often samples of each class were taken for each: rows are labels, columns predictions (the largest output, the first of equals). Labels below 0 do not
/// count. Scores are those of scikit-learn; a ratio without a denominator is 0.
class ConfusionMatrix {
public:
    /// Throws Error(data) for a label that is no class.
    void add(std::span<const float> outputs, std::span<const std::int32_t> labels);
    void add(std::int32_t label, std::int32_t predicted);

    index_t classes() const { return classes_; }
    index_t count(index_t label, index_t predicted) const { return counts_[static_cast<std::size_t>(label * classes_ + predicted)]; }
    index_t total() const;
    double accuracy() const;  ///< percent, as everywhere; NaN of nothing
    double precision(index_t c) const;
    double recall(index_t c) const;
    double f1(index_t c) const;
    /// Means over the classes that occur as a label or a prediction.
    double macro_precision() const { return macro(&ConfusionMatrix::precision); }
    double macro_recall() const { return macro(&ConfusionMatrix::recall); }
    double macro_f1() const { return macro(&ConfusionMatrix::f1); }

    /// As a table, with precision, recall and f1 of each class; names of classes where there are some.
    std::string text(std::span<const std::string> names = {}) const;

private:
    index_t of_label(index_t c) const;
    index_t of_prediction(index_t c) const;
    double macro(double (ConfusionMatrix::*score)(index_t) const) const;
    void grow(index_t classes);

    index_t classes_ = 0;
    std::vector<index_t> counts_;
};
inline std::ostream& operator<<(std::ostream& out, const ConfusionMatrix& matrix) { return out << matrix.text(); }

/// Macro-averaged score of a classifier, from 0 to 1 (sklearn.metrics.precision_score, recall_score, f1_score with average="macro").
class ClassScore final : public Metric {
public:
    enum class Kind { precision, recall, f1 };
    explicit ClassScore(Kind kind = Kind::f1) : kind_(kind) {}
    std::string name() const override { return kind_ == Kind::precision ? "precision" : kind_ == Kind::recall ? "recall" : "f1"; }
    bool higher_is_better() const override { return true; }
    void reset() override { matrix_ = {}; }
    void add(std::span<const float> outputs, const Targets& targets, index_t samples) override {
        static_cast<void>(samples), matrix_.add(outputs, targets.labels);
    }
    double value() const override;
    const ConfusionMatrix& matrix() const { return matrix_; }

private:
    Kind kind_;
    ConfusionMatrix matrix_;
};

/// Mean of |output - target| over all values.
class MeanAbsoluteError final : public Metric {
public:
    std::string name() const override { return "mae"; }
    bool higher_is_better() const override { return false; }
    void reset() override { sum_ = 0, count_ = 0; }
    void add(std::span<const float> outputs, const Targets& targets, index_t samples) override;
    double value() const override;

private:
    double sum_ = 0;
    index_t count_ = 0;
};

/// Square root of the mean of (output - target)^2 over all values.
class RootMeanSquaredError final : public Metric {
public:
    std::string name() const override { return "rmse"; }
    bool higher_is_better() const override { return false; }
    void reset() override { sum_ = 0, count_ = 0; }
    void add(std::span<const float> outputs, const Targets& targets, index_t samples) override;
    double value() const override;

private:
    double sum_ = 0;
    index_t count_ = 0;
};

/// 1 - sum (target - output)^2 / sum (target - mean target)^2, the mean over the values of a sample (sklearn.metrics.r2_score); of targets that do
/// not vary 1 if every output is right, else 0.
class R2 final : public Metric {
public:
    std::string name() const override { return "r2"; }
    bool higher_is_better() const override { return true; }
    void reset() override { columns_.clear(); }
    void add(std::span<const float> outputs, const Targets& targets, index_t samples) override;
    double value() const override;

private:
    struct Column {
        double error = 0, mean = 0, spread = 0;  // sums of squares, around the running mean
        index_t count = 0;
    };
    std::vector<Column> columns_;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/train/metric.impl.hpp>
#endif
