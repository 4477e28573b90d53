// SPDX-License-Identifier: MIT
// How a run is told in a line.
#pragma once

#include <dla/core/finite.hpp>

#include <cstdio>

namespace dla {

DLA_ONCE std::ostream& operator<<(std::ostream& out, const EpochMetrics& m) {
    const char* comma = "";
    const auto show = [&](const std::string& name, const char* format, double value) {
        if (is_nan(value)) return;
        char number[64];
        std::snprintf(number, sizeof number, format, value);
        out << std::exchange(comma, ", ") << name << number;
    };
    show("train loss", " %.4f", m.train_loss);
    show("train accuracy", " %.2f %%", m.train_accuracy);
    show("val loss", " %.4f", m.val_loss);
    show("val accuracy", " %.2f %%", m.val_accuracy);
    for (const NamedNumber& n : m.metrics) show(n.name, " %.4g", n.value);
    return out;
}

DLA_ONCE std::ostream& operator<<(std::ostream& out, const TrainingResult& result) {
    const RunState& state = result.state;
    out << state.epoch << (state.epoch == 1 ? " epoch" : " epochs");
    if (result.stopped_early) out << " (stopped early)";
    const int best = state.stopping.best_epoch;
    if (best > 0) out << ", the best " << best;
    if (!state.history.empty()) out << ": " << state.history[best > 0 ? static_cast<std::size_t>(best - 1) : state.history.size() - 1];
    if (result.test) out << "; test: " << *result.test;
    if (result.interrupted_by != 0) out << "; interrupted by signal " << result.interrupted_by;
    return out;
}

}  // namespace dla
