// SPDX-License-Identifier: MIT
// An epoch in a line.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/train/progress.hpp>

#include <cstdio>

namespace dla {

DLA_ONCE std::string epoch_line(const EpochReport& report) {
    const EpochMetrics& m = report.metrics;
    char text[96];
    const auto number = [&text](const char* format, double value) {
        std::snprintf(text, sizeof text, format, value);
        return std::string(text);
    };
    const auto accuracy = [&](double percent) { return is_nan(percent) ? std::string() : number("  acc %6.2f %%", percent); };
    std::snprintf(text, sizeof text, "epoch %3d  train loss %.4f", m.epoch, m.train_loss);
    std::string line = text;
    line += accuracy(m.train_accuracy);
    if (!is_nan(m.val_loss)) {
        line += number("   val loss %.4f", m.val_loss);
        line += accuracy(m.val_accuracy);
    }
    for (const NamedNumber& n : m.metrics) line += "  " + n.name + number(" %#.4g", n.value);
    line += report.best ? " *" : "  ";
    line += number("   lr %.2e", m.learning_rate);
    std::snprintf(text, sizeof text, "   %.0f %s  %s", report.samples_per_second, rate_unit(report.model.input_shape()), duration_text(report.seconds).c_str());
    return line + text;
}

}  // namespace dla
