// SPDX-License-Identifier: MIT
// The page that shows several runs beside each other: how they went, in what they differ, and on which images.
#pragma once

#include "../common/experiment.hpp"

#include <string>
#include <vector>

namespace report {

/// A run of a comparison.
struct ComparedRun {
    std::string label;  ///< no two alike
    dla::ExperimentConfig config;
    std::vector<dla::EpochMetrics> history;
    int best_epoch = 0;    ///< 0: not known
    int tested_epoch = 0;  ///< whose weights are tested; 0: the best one's
    dla::index_t parameters = 0;
    std::vector<float> probabilities;  ///< of the test images, [images, classes]
};

/// Right and wrong answers of two runs on the same images.
struct Pair {
    dla::index_t only_first = 0, only_second = 0;  ///< images on which one alone is right
    /// The chance that two equally good networks differ as much as these or more: McNemar's test, exact.
    double chance() const;
};
Pair compare_answers(const ComparedRun& a, const ComparedRun& b, const dla::Dataset& test);

/// Labels for files: the part of their paths that tells them apart, the name before the folders; more parts where one does not do it.
std::vector<std::string> labels_of(const std::vector<std::string>& files);

/// A table of the runs as text: test accuracy with its standard error, best validation accuracy, epochs, parameters.
std::string comparison_text(const std::vector<ComparedRun>& runs, const dla::Dataset& test);

/// Writes one self-contained HTML file (no network, no scripts): the table, curves over each other, the settings that differ, the accuracy of each class, each
/// pair's differences with the chance of it, and the images on which the runs disagree. Throws Error(io).
void write_comparison(const std::string& path, const std::vector<ComparedRun>& runs, const dla::Dataset& test);

}  // namespace report
