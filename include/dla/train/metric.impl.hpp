// SPDX-License-Identifier: MIT
// How metrics count.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>

namespace dla {

namespace detail {

/// Outputs of one sample, at least 1. Throws Error(data) when the numbers do not fit.
inline std::size_t values_of_sample(const char* who, std::span<const float> outputs, const Targets& targets, index_t samples) {
    if (outputs.size() != targets.values.size())
        fail(ErrorCode::data, who,
             text("got ", outputs.size(), " outputs and ", targets.values.size(), " target values; it takes a value for each output",
                  targets.labels.empty() ? "" : " (for class numbers: TopK, ClassScore)")
                 .view());
    const auto n = static_cast<std::size_t>(std::max<index_t>(samples, 1));
    if (outputs.size() % n != 0) fail(ErrorCode::data, who, text("got ", outputs.size(), " outputs of ", samples, " samples").view());
    return std::max<std::size_t>(outputs.size() / n, 1);
}
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

DLA_ONCE std::ostream& operator<<(std::ostream& out, const Metric& metric) {
    char number[32];
    std::snprintf(number, sizeof number, " %.4g", metric.value());
    return out << metric.name() << number;
}

DLA_ONCE void TopK::add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights) {
    const auto count = static_cast<std::size_t>(samples);
    const std::size_t n = detail::outputs_of_sample("TopK", outputs, targets.labels.size()), each = detail::labels_of_sample("TopK", targets.labels, count);
    detail::check_weights("TopK", weights, count);
    for (std::size_t i = 0; i < targets.labels.size(); ++i) {
        const std::int32_t label = targets.labels[i];
        if (label < 0) continue;
        if (static_cast<std::size_t>(label) >= n)
            fail(ErrorCode::data, "TopK", text("sample ", i / each, " has the label ", label, "; expected 0 to ", static_cast<index_t>(n) - 1).view());
        const std::span<const float> y = outputs.subspan(i * n, n);
        const float own = y[static_cast<std::size_t>(label)];
        index_t larger = 0;
        for (std::size_t c = 0; c < n; ++c) larger += y[c] > own || (y[c] == own && c < static_cast<std::size_t>(label)) ? 1 : 0;
        const double weight = detail::weight_of(weights, i / each);
        right_ += own == own && larger < k_ ? weight : 0;
        count_ += weight;
    }
}
DLA_ONCE double TopK::value() const { return count_ == 0 ? detail::no_metric : 100.0 * right_ / count_; }

DLA_ONCE double ClassScore::value() const {
    if (kind_ == Kind::precision) return matrix_.macro_precision();
    if (kind_ == Kind::recall) return matrix_.macro_recall();
    return kind_ == Kind::f1 ? matrix_.macro_f1() : matrix_.macro_iou();
}

DLA_ONCE std::string BinaryScore::name() const {
    constexpr const char* names[] = {"binary_accuracy", "binary_precision", "binary_recall", "binary_f1", "iou"};
    return name_.empty() ? names[static_cast<int>(kind_)] : name_;
}
DLA_ONCE std::string BinaryScore::settings() const {
    if (const std::string six = std::to_string(threshold_); std::strtod(six.c_str(), nullptr) == threshold_) return six;  // as earlier versions wrote it
    char number[32];
    std::snprintf(number, sizeof number, "%.17g", threshold_);
    return number;
}
DLA_ONCE void BinaryScore::add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights) {
    const std::size_t n = detail::values_of_sample("BinaryScore", outputs, targets, samples);
    detail::check_weights("BinaryScore", weights, outputs.size() / n);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const bool wanted = targets.values[i] > 0.5f, got = static_cast<double>(outputs[i]) > threshold_;
        counts_[(wanted ? 2 : 0) + (got ? 1 : 0)] += detail::weight_of(weights, i / n);
    }
}
DLA_ONCE double BinaryScore::value() const {
    const auto [no, false_yes, false_no, yes] = counts_;
    const double total = no + false_yes + false_no + yes;
    if (total == 0) return detail::no_metric;
    const auto ratio = [](double a, double b) { return b == 0 ? 0 : a / b; };
    switch (kind_) {
        case Kind::accuracy: return 100 * (no + yes) / total;
        case Kind::precision: return ratio(yes, yes + false_yes);
        case Kind::recall: return ratio(yes, yes + false_no);
        case Kind::f1: return ratio(2 * yes, 2 * yes + false_yes + false_no);
        case Kind::iou: break;
    }
    return ratio(yes, yes + false_yes + false_no);
}

DLA_ONCE std::string LabelScore::name() const {
    constexpr const char* names[] = {"label_precision", "label_recall", "label_f1"};
    return name_.empty() ? names[static_cast<int>(kind_)] : name_;
}
DLA_ONCE std::string LabelScore::settings() const {
    char number[32];
    std::snprintf(number, sizeof number, "%.17g", threshold_);
    return number;
}
DLA_ONCE void LabelScore::add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights) {
    const std::size_t n = detail::values_of_sample("LabelScore", outputs, targets, samples);
    detail::check_weights("LabelScore", weights, outputs.size() / n);
    if (outputs.empty()) return;
    if (counts_.empty()) counts_.resize(n);
    if (counts_.size() != n)
        fail(ErrorCode::data, "LabelScore", text("got ", outputs.size(), " outputs of ", samples, " samples; expected as many of each as before").view());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        Count& c = counts_[i % n];
        const bool wanted = targets.values[i] > 0.5f, got = static_cast<double>(outputs[i]) > threshold_;
        const double weight = detail::weight_of(weights, i / n);
        c.total += weight;
        if (wanted) c.wanted += weight;
        if (got) c.got += weight;
        if (wanted && got) c.right += weight;
    }
}
DLA_ONCE double LabelScore::of(index_t label) const {
    if (label < 0 || label >= labels())
        fail(ErrorCode::usage, "LabelScore",
             labels() == 0 ? "nothing was added yet" : text("there is no label ", label, "; expected 0 to ", labels() - 1).view());
    const Count& c = counts_[static_cast<std::size_t>(label)];
    if (c.total == 0) return detail::no_metric;
    const double right = kind_ == Kind::f1 ? 2 * c.right : c.right;
    const double all = kind_ == Kind::precision ? c.got : kind_ == Kind::recall ? c.wanted : c.got + c.wanted;
    return all == 0 ? 0 : right / all;
}
DLA_ONCE double LabelScore::value() const {
    double sum = 0;
    for (index_t label = 0; label < labels(); ++label) sum += of(label);
    return labels() == 0 ? detail::no_metric : sum / static_cast<double>(labels());
}

DLA_ONCE void MeanAbsoluteError::add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights) {
    const std::size_t n = detail::values_of_sample("MeanAbsoluteError", outputs, targets, samples);
    detail::check_weights("MeanAbsoluteError", weights, outputs.size() / n);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const double weight = detail::weight_of(weights, i / n);
        sum_ += weight * std::abs(static_cast<double>(outputs[i]) - static_cast<double>(targets.values[i]));
        count_ += weight;
    }
}
DLA_ONCE double MeanAbsoluteError::value() const { return count_ == 0 ? detail::no_metric : sum_ / count_; }

DLA_ONCE void RootMeanSquaredError::add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights) {
    const std::size_t n = detail::values_of_sample("RootMeanSquaredError", outputs, targets, samples);
    detail::check_weights("RootMeanSquaredError", weights, outputs.size() / n);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const double d = static_cast<double>(outputs[i]) - static_cast<double>(targets.values[i]), weight = detail::weight_of(weights, i / n);
        sum_ += weight * d * d;
        count_ += weight;
    }
}
DLA_ONCE double RootMeanSquaredError::value() const { return count_ == 0 ? detail::no_metric : std::sqrt(sum_ / count_); }

DLA_ONCE void R2::add(std::span<const float> outputs, const Targets& targets, index_t samples, std::span<const double> weights) {
    const std::size_t n = detail::values_of_sample("R2", outputs, targets, samples);
    detail::check_weights("R2", weights, outputs.size() / n);
    if (outputs.empty()) return;
    if (columns_.empty()) columns_.resize(n);
    if (columns_.size() != n)
        fail(ErrorCode::data, "R2", dla::text("got ", outputs.size(), " outputs of ", samples, " samples; expected as many of each as before").view());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const double weight = detail::weight_of(weights, i / n);
        if (weight == 0) continue;
        Column& c = columns_[i % n];
        const double t = static_cast<double>(targets.values[i]), d = t - static_cast<double>(outputs[i]), before = t - c.mean;
        c.error += weight * d * d;
        c.weight += weight;
        c.mean += before * (weight / c.weight);
        c.spread += weight * before * (t - c.mean);
    }
}
DLA_ONCE double R2::value() const {
    if (columns_.empty() || columns_.front().weight == 0) return detail::no_metric;
    double sum = 0;
    for (const Column& c : columns_) sum += c.spread > 0 ? 1 - c.error / c.spread : c.error > 0 ? 0 : 1;
    return sum / static_cast<double>(columns_.size());
}

}  // namespace dla
