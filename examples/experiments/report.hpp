// SPDX-License-Identifier: MIT
// What experiments gave, as tables in Markdown and as figures.
#pragma once

#include "results.hpp"

#include <dla/io/plot.hpp>

namespace experiments {

/// An experiment of the list with its runs, in the order of its seeds.
struct Row {
    const Experiment* experiment = nullptr;
    std::vector<const Run*> tested, diverged;

    /// `value` of each run that was tested.
    template <class Value>
    experiment::Summary summary(Value&& value) const {
        std::vector<double> values;
        for (const Run* run : tested) values.push_back(value(*run));
        return experiment::Summary(values);
    }
    /// `residual MLP, tuned`
    std::string title() const { return experiment->title + (experiment->recipe.empty() ? "" : ", " + experiment->recipe); }
};

/// The experiments on one data set, in the order of the list.
struct Section {
    std::string dataset;
    std::vector<Row> rows;
};

/// By data set, in the order in which the list first names them.
std::vector<Section> sections(const List& list, const Results& results);

/// The table of a section in Markdown: published accuracy, validation and test accuracy, as mean and sample standard deviation, best epoch, time.
std::string section_table(const Section& section);

/// The whole page. `figures`: the folder of the figures, as links on the page name it.
std::string results_page(const List& list, const Results& results, const std::string& figures);

/// A figure and the name of its file, without extension.
struct Figure {
    std::string name;
    dla::PlotPage page;
};

/// For each data set that has results: accuracy_DATASET and curves_DATASET; then time.
std::vector<Figure> figures(const List& list, const Results& results);

/// Writes `stem`.md and the figures (PNG, and what gnuplot draws them from) to the folder `stem`. Throws Error(io) when the page cannot be written.
std::vector<dla::PlotResult> write_report(const List& list, const Results& results, const std::string& stem);

}  // namespace experiments
