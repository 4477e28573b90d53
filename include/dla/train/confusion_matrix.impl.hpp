// SPDX-License-Identifier: MIT
// How classes are counted, and what every metric asks of outputs and weights.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/core/table.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

namespace dla {

namespace detail {

inline constexpr double no_metric = std::numeric_limits<double>::quiet_NaN();

/// Outputs of one sample. Throws Error(data) when the numbers do not fit.
inline std::size_t outputs_of_sample(const char* who, std::span<const float> outputs, std::size_t samples) {
    if (samples == 0 && outputs.empty()) return 0;
    if (samples == 0) fail(ErrorCode::data, who, "takes class numbers as targets, and got none; for logits of yes and no: BinaryScore");
    if (outputs.size() % samples != 0)
        fail(ErrorCode::data, who,
             text("got ", outputs.size(), " outputs for ", samples, " class numbers; it takes one for each sample")
                 .view());
    return outputs.size() / samples;
}
/// How many class numbers a sample has, at least 1.
inline std::size_t labels_of_sample(const char* who, std::span<const std::int32_t> labels, std::size_t samples) {
    if (samples == 0 ? !labels.empty() : labels.size() % samples != 0)
        fail(ErrorCode::data, who, text("got ", labels.size(), " class numbers of ", samples, " samples").view());
    return std::max<std::size_t>(samples == 0 ? 1 : labels.size() / samples, 1);
}
inline void check_weights(const char* who, std::span<const double> weights, std::size_t samples) {
    if (weights.empty()) return;
    if (weights.size() != samples)
        fail(ErrorCode::data, who, text("got ", weights.size(), " weights; expected one for each of ", samples, " samples, or none").view());
    for (const double w : weights)
        if (!(w >= 0 && is_finite(w))) fail(ErrorCode::data, who, "weights of samples must be finite and not negative");
}
inline double weight_of(std::span<const double> weights, std::size_t sample) { return weights.empty() ? 1 : weights[sample]; }

}  // namespace detail

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
DLA_ONCE void ConfusionMatrix::add(const char* who, std::span<const float> outputs, std::span<const std::int32_t> labels, std::size_t samples,
                                    std::span<const double> weights) {
    const std::size_t n = detail::outputs_of_sample(who, outputs, labels.size()), each = detail::labels_of_sample(who, labels, samples);
    detail::check_weights(who, weights, samples);
    if (n > 0 && n < (1 << 14)) grow(static_cast<index_t>(n));
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] < 0) continue;
        if (static_cast<std::size_t>(labels[i]) >= n)
            fail(ErrorCode::data, who,
                 dla::text("sample ", i / each, " has the label ", labels[i], "; expected 0 to ", static_cast<index_t>(n) - 1).view());
        const std::span<const float> y = outputs.subspan(i * n, n);
        add(labels[i], static_cast<std::int32_t>(std::ranges::max_element(y) - y.begin()), detail::weight_of(weights, i / each));
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
DLA_ONCE double ConfusionMatrix::iou(index_t c) const {
    const double n = of_label(c) + of_prediction(c) - count(c, c);
    return n == 0 ? 0 : count(c, c) / n;
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
    std::vector<std::vector<std::string>> rows{{"label \\ predicted"}};
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
    return table_text(rows);
}

}  // namespace dla
