// SPDX-License-Identifier: MIT
// Line plots on paper-ready PNG and SVG pages, drawn by the program gnuplot; without it the script and the data are kept.
#pragma once

#include <dla/core/config.hpp>
#include <dla/io/plot_page.hpp>

#include <limits>

namespace dla {

/// Writes `stem.gp` and `stem.dat` and draws `stem.png` (and `stem.svg`) from them with gnuplot, if it is installed. `gnuplot stem.gp` in that folder draws
/// again. Images appear whole or not at all, and one of other data is removed; one of the same data stays where there is no gnuplot. Never throws: see
/// PlotResult.
DLA_ONCE PlotResult draw_plot(PlotPage page, const std::string& stem);

/// What one training run leaves for its plot: a value for each epoch (NaN where there is none); accuracies in percent.
struct TrainingCurves {
    std::string title;
    std::vector<double> epoch, train_loss, val_loss, train_accuracy, val_accuracy;
    std::vector<double> learning_rate;  ///< empty: no panel for it
    double best_epoch = std::numeric_limits<double>::quiet_NaN();
};

/// Loss and, where there is one, accuracy side by side over epochs, the learning rate below, the best epoch marked on the validation curves.
DLA_ONCE PlotPage training_plot(const TrainingCurves& c);

}  // namespace dla

#if DLA_BODIES
#include <dla/io/plot.impl.hpp>
#endif
