// SPDX-License-Identifier: MIT
// How metrics count.
#pragma once

#include <dla/core/finite.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <set>

namespace dla {

namespace detail {

inline constexpr double no_metric = std::numeric_limits<double>::quiet_NaN();

/// Outputs of one sample. Throws Error(data) when the numbers do not fit.
inline std::size_t outputs_of_sample(const char* who, std::span<const float> outputs, std::size_t samples) {
    if (samples == 0 && outputs.empty()) return 0;
    if (samples == 0 || outputs.size() % samples != 0)
        fail(ErrorCode::data, who, text("got ", outputs.size(), " outputs for ", samples, " targets; it takes class numbers, one for each sample").view());
    return outputs.size() / samples;
}
/// Outputs of one sample, at least 1. Throws Error(data) when the numbers do not fit.
inline std::size_t values_of_sample(const char* who, std::span<const float> outputs, const Targets& targets, index_t samples) {
    if (outputs.size() != targets.values.size())
        fail(ErrorCode::data, who,
             text("got ", outputs.size(), " outputs and ", targets.values.size(), " target values; it takes a value for each output").view());
    const auto n = static_cast<std::size_t>(std::max<index_t>(samples, 1));
    if (outputs.size() % n != 0) fail(ErrorCode::data, who, text("got ", outputs.size(), " outputs of ", samples, " samples").view());
    return std::max<std::size_t>(outputs.size() / n, 1);
}
inline void check_weights(const char* who, std::span<const double> weights, std::size_t samples) {
    if (weights.empty()) return;
    if (weights.size() != samples)
        fail(ErrorCode::data, who, text("got ", weights.size(), " weights; expected one for each of ", samples, " samples, or none").view());
    for (const double w : weights)
        if (!(w >= 0 && is_finite(w))) fail(ErrorCode::data, who, "weights of samples must be finite and not negative");
}
inline double weight_of(std::span<const double> weights, std::size_t sample) { return weights.empty() ? 1 : weights[sample]; }

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

DLA_ONCE void TopK::add(std::span<const float> outputs, const Targets& targets, index_t, std::span<const double> weights) {
    const std::size_t n = detail::outputs_of_sample("TopK", outputs, targets.labels.size());
    detail::check_weights("TopK", weights, targets.labels.size());
    for (std::size_t i = 0; i < targets.labels.size(); ++i) {
        const std::int32_t label = targets.labels[i];
        if (label < 0) continue;
        if (static_cast<std::size_t>(label) >= n)
            fail(ErrorCode::data, "TopK", text("sample ", i, " has the label ", label, "; expected 0 to ", static_cast<index_t>(n) - 1).view());
        const std::span<const float> y = outputs.subspan(i * n, n);
        const float own = y[static_cast<std::size_t>(label)];
        index_t larger = 0;
        for (std::size_t c = 0; c < n; ++c) larger += y[c] > own || (y[c] == own && c < static_cast<std::size_t>(label)) ? 1 : 0;
        const double weight = detail::weight_of(weights, i);
        right_ += own == own && larger < k_ ? weight : 0;
        count_ += weight;
    }
}
DLA_ONCE double TopK::value() const { return count_ == 0 ? detail::no_metric : 100.0 * right_ / count_; }

DLA_ONCE void ConfusionMatrix::grow(index_t classes) {
    if (classes <= classes_) return;
    std::vector<double> counts(static_cast<std::size_t>(classes * classes));
    for (index_t a = 0; a < classes_; ++a)
        for (index_t b = 0; b < classes_; ++b) counts[static_cast<std::size_t>(a * classes + b)] = count(a, b);
    counts_ = std::move(counts);
    seen_.resize(static_cast<std::size_t>(classes));
    classes_ = classes;
}
DLA_ONCE void ConfusionMatrix::add(std::int32_t label, std::int32_t predicted, double weight) {
    detail::check_weights("ConfusionMatrix", std::span(&weight, 1), 1);
    if (label < 0 || predicted < 0 || std::max(label, predicted) >= (1 << 14))
        fail(ErrorCode::data, "ConfusionMatrix",
             dla::text("a class is out of range; expected 0 to ", (1 << 14) - 1, ", got ", label, " taken for ", predicted).view());
    grow(index_t{std::max(label, predicted)} + 1);
    counts_[static_cast<std::size_t>(label * classes_ + predicted)] += weight;
    seen_[static_cast<std::size_t>(label)] = seen_[static_cast<std::size_t>(predicted)] = true;
}
DLA_ONCE void ConfusionMatrix::add(const char* who, std::span<const float> outputs, std::span<const std::int32_t> labels, std::span<const double> weights) {
    const std::size_t n = detail::outputs_of_sample(who, outputs, labels.size());
    detail::check_weights(who, weights, labels.size());
    if (n > 0 && n < (1 << 14)) grow(static_cast<index_t>(n));
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] < 0) continue;
        if (static_cast<std::size_t>(labels[i]) >= n)
            fail(ErrorCode::data, who,
                 dla::text("sample ", i, " has the label ", labels[i], "; expected 0 to ", static_cast<index_t>(n) - 1).view());
        const auto first = outputs.begin() + static_cast<std::ptrdiff_t>(i * n);
        add(labels[i], static_cast<std::int32_t>(std::max_element(first, first + static_cast<std::ptrdiff_t>(n)) - first), detail::weight_of(weights, i));
    }
}
DLA_ONCE double ConfusionMatrix::total() const {
    double sum = 0;
    for (const double n : counts_) sum += n;
    return sum;
}
DLA_ONCE double ConfusionMatrix::of_label(index_t c) const {
    double sum = 0;
    for (index_t b = 0; b < classes_; ++b) sum += count(c, b);
    return sum;
}
DLA_ONCE double ConfusionMatrix::of_prediction(index_t c) const {
    double sum = 0;
    for (index_t a = 0; a < classes_; ++a) sum += count(a, c);
    return sum;
}
DLA_ONCE double ConfusionMatrix::accuracy() const {
    double right = 0;
    for (index_t c = 0; c < classes_; ++c) right += count(c, c);
    return total() == 0 ? detail::no_metric : 100 * right / total();
}
DLA_ONCE double ConfusionMatrix::precision(index_t c) const {
    const double n = of_prediction(c);
    return n == 0 ? 0 : count(c, c) / n;
}
DLA_ONCE double ConfusionMatrix::recall(index_t c) const {
    const double n = of_label(c);
    return n == 0 ? 0 : count(c, c) / n;
}
DLA_ONCE double ConfusionMatrix::f1(index_t c) const {
    const double n = of_label(c) + of_prediction(c);
    return n == 0 ? 0 : 2 * count(c, c) / n;
}
DLA_ONCE double ConfusionMatrix::macro(double (ConfusionMatrix::*score)(index_t) const) const {
    double sum = 0;
    index_t seen = 0;
    for (index_t c = 0; c < classes_; ++c)
        if (seen_[static_cast<std::size_t>(c)]) sum += (this->*score)(c), ++seen;
    return seen == 0 ? detail::no_metric : sum / static_cast<double>(seen);
}
DLA_ONCE std::string ConfusionMatrix::text(std::span<const std::string> names) const {
    const auto name = [&](index_t c) { return static_cast<std::size_t>(c) < names.size() ? names[static_cast<std::size_t>(c)] : std::to_string(c); };
    std::vector<std::vector<std::string>> rows{{"label"}};
    for (index_t c = 0; c < classes_; ++c) rows[0].push_back(name(c));
    for (const char* score : {"precision", "recall", "f1"}) rows[0].emplace_back(score);
    for (index_t a = 0; a < classes_; ++a) {
        auto& row = rows.emplace_back();
        row.push_back(name(a));
        for (index_t b = 0; b < classes_; ++b) {
            char number[32];
            std::snprintf(number, sizeof number, count(a, b) == std::floor(count(a, b)) ? "%.0f" : "%.2f", count(a, b));
            row.emplace_back(number);
        }
        for (const double v : {precision(a), recall(a), f1(a)}) {
            char digits[32];
            std::snprintf(digits, sizeof digits, "%.4f", v);
            row.emplace_back(digits);
        }
    }
    std::vector<std::size_t> width(rows[0].size());
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
    std::string out;
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            const std::string room(width[i] - row[i].size(), ' ');
            out += (i ? "  " : "") + (i ? room + row[i] : row[i] + room);
        }
        out += '\n';
    }
    return out;
}
DLA_ONCE double ClassScore::value() const {
    return kind_ == Kind::precision ? matrix_.macro_precision() : kind_ == Kind::recall ? matrix_.macro_recall() : matrix_.macro_f1();
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
