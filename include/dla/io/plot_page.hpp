// SPDX-License-Identifier: MIT
// What a page of line plots consists of: curves with bands, panels with axes, legends.
#pragma once

#include <string>
#include <vector>

namespace dla {

inline constexpr int plot_black = -2;  ///< in place of an index of the palette

/// One curve: y over x; a NaN in y leaves a gap.
struct PlotSeries {
    std::string label;  ///< of the panel's legend; empty: no entry
    std::vector<double> x, y;
    int color = -1;  ///< index of the palette, -1: the position among the panel's series
    bool dashed = false;
    bool points = false;                ///< mark each value, for series of few values; hollow where the curve is dashed
    bool steps = false;                 ///< constant until the next value
    bool line = true;                   ///< join the values
    bool bars = false;                  ///< show `low` and `high` as error bars, not as a band
    std::vector<double> low{}, high{};  ///< spread around y, as long as y; empty: none
};

/// A point set off from the curves, such as the best epoch.
struct PlotMark {
    double x = 0, y = 0;
    std::string label;  ///< of the legend; empty: no entry
    int color = plot_black;
};

/// One pair of axes. `left`, `bottom`, `width`, `height` are fractions of the page; width 0 means: a place in the page's grid.
struct PlotPanel {
    std::string title, x_label, y_label;
    std::vector<PlotSeries> series;
    std::vector<PlotMark> marks;
    bool log_x = false, log_y = false;
    double left = 0, bottom = 0, width = 0, height = 0;
    bool whole_x = false;  ///< x counts things (epochs, layers): ticks at whole numbers only
    bool legend = true;
    std::vector<double> x_ticks{};  ///< exactly these; empty: chosen
    /// What y = 1, 2, ... stand for, written beside the axis from its top to its bottom; `low` and `high` of series are then of x. Empty: y is a number.
    std::vector<std::string> y_names{};
};

/// A legend for all panels, below them: a table with a row for each kind of line and a column for each colour. With one column: its rows side by side.
struct PlotLegend {
    struct Row {
        std::string label;
        bool dashed = false, points = false;
    };
    struct Column {
        std::string label;
        int color = plot_black;
    };
    std::string title;  ///< names what the columns differ in
    std::vector<Row> rows;
    std::vector<Column> columns;
};

/// A picture of one or more panels.
struct PlotPage {
    std::string title;
    std::vector<PlotPanel> panels;
    int columns = 2;  ///< of the grid
    int width = 1600, height = 1120;
    bool svg = false;              ///< write an SVG beside the PNG
    std::string x_label, y_label;  ///< of all panels together; empty: each has its own
    bool same_y = false;           ///< the panels' y axes have the same range, so that they compare
    PlotLegend legend;             ///< without rows: each panel has its own
    std::string note;              ///< in small type at the bottom, such as what the bands are
};

/// What became of a plot. A run never fails because of one: `message` says in a line why there is no image and what to do.
struct PlotResult {
    bool drawn = false;
    std::string message;
    std::vector<std::string> files;
};

}  // namespace dla
