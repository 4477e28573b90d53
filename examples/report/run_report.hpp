// SPDX-License-Identifier: MIT
// The page that a run leaves: how it went, what it learned, where it is wrong.
#pragma once

#include "../common/experiment.hpp"

#include <string>

namespace report {

/// What a page is about. References must outlive the call.
struct RunReport {
    const dla::ExperimentConfig& config;
    const dla::AnyModel& model;  ///< with the weights that are tested
    const dla::Dataset& test;
    const std::vector<dla::EpochMetrics>& history;
    int best_epoch = 0;        ///< 0: not known
    int tested_epoch = 0;      ///< whose weights are tested; 0: the best one's
    std::string layers{};      ///< statistics of the layers after the last epoch, as text; empty: none
    std::string start_line{};  ///< version, kernels, threads
};

/// Whose weights a checkpoint holds; 0: the best epoch's.
inline int tested_epoch(const dla::RunState& state) { return state.kind == "best" || state.kind == "final" ? 0 : state.epoch; }

/// Writes one self-contained HTML file (no network, no scripts): accuracy, curves, confusion matrix, accuracy of each class, the worst mistakes as pictures,
/// layers, configuration and versions. The test images are predicted once more. Throws Error(io).
void write_run_report(const std::string& path, const RunReport& run);

}  // namespace report
