// SPDX-License-Identifier: MIT
// What a depth study found, as a table in Markdown and as figures.
#pragma once

#include "results.hpp"

#include <dla/io/plot.hpp>

namespace depth_study {

/// The table in Markdown, aligned so that it reads well as text. A row for each depth, plain and residual: loss and accuracy in the best epoch and of the test,
/// as mean and sample standard deviation when there are several runs; then a line for each network that was not trained or diverged.
std::string results_table(const Results& results);

/// The settings, the table, links to the figures and what the numbers are: results.md.
std::string results_markdown(const Results& results);

/// validation_losses, test_accuracies, gradient_magnitudes, layer_gradient_comparison.
std::vector<dla::PlotPage> figures(const Results& results);

/// Test accuracy over depth of several studies in one figure: plain networks on the left, residual ones on the right, a colour for each study. They are told
/// apart by their networks, or, where these are alike, by `names`.
dla::PlotPage comparison(const std::vector<Results>& studies, const std::vector<std::string>& names);

/// Writes results.md and the figures (PNG, SVG, and what gnuplot draws them from) to `folder`. Throws Error(io) when results.md cannot be written.
std::vector<dla::PlotResult> write_report(const Results& results, const std::string& folder);

}  // namespace depth_study
