// SPDX-License-Identifier: MIT
// Which classes a classifier takes for which.
#pragma once

#include <dla/core/error.hpp>
#include <dla/core/shape.hpp>

#include <ostream>
#include <span>
#include <string>
#include <vector>

namespace dla {

/// How often samples (or pixels, or rows) of each class were taken for each: rows are labels, columns predictions (the largest output, the first of equals).
/// Labels below 0 do not count. Scores are those of scikit-learn; a ratio without a denominator is 0.
class ConfusionMatrix {
public:
    /// Throws Error(data) for a label that is no class, and for weights that are negative, not finite, or not one for each label.
    void add(std::span<const float> outputs, std::span<const std::int32_t> labels, std::span<const double> weights = {}) {
        add("ConfusionMatrix", outputs, labels, labels.size(), weights);
    }
    void add(std::int32_t label, std::int32_t predicted, double weight = 1);

    index_t classes() const { return classes_; }
    /// How many there were, or the sum of their weights.
    double count(index_t label, index_t predicted) const { return counts_[static_cast<std::size_t>(label * classes_ + predicted)]; }
    double total() const;
    double accuracy() const;  ///< percent, as everywhere; NaN of nothing
    double precision(index_t c) const;
    double recall(index_t c) const;
    double f1(index_t c) const;
    double iou(index_t c) const;  ///< intersection over union: of label and prediction, over either
    /// Means over the classes that occur as a label or a prediction.
    double macro_precision() const { return macro(&ConfusionMatrix::precision); }
    double macro_recall() const { return macro(&ConfusionMatrix::recall); }
    double macro_f1() const { return macro(&ConfusionMatrix::f1); }
    double macro_iou() const { return macro(&ConfusionMatrix::iou); }

    /// As a table, with precision, recall and f1 of each class; names of classes where there are some.
    std::string text(std::span<const std::string> names = {}) const;

private:
    friend class ClassScore;
    /// `who`: is named in errors.
    void add(const char* who, std::span<const float> outputs, std::span<const std::int32_t> labels, std::size_t samples, std::span<const double> weights);
    double of_label(index_t c) const;
    double of_prediction(index_t c) const;
    double macro(double (ConfusionMatrix::*score)(index_t) const) const;
    void grow(index_t classes);

    index_t classes_ = 0;
    std::vector<double> counts_;
    std::vector<bool> seen_;  // as a label or a prediction, whatever it weighed
};
inline std::ostream& operator<<(std::ostream& out, const ConfusionMatrix& matrix) { return out << matrix.text(); }

}  // namespace dla

#if DLA_BODIES
#include <dla/train/confusion_matrix.impl.hpp>
#endif
