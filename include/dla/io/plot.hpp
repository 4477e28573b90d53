// SPDX-License-Identifier: MIT
// Line plots on paper-ready PNG and SVG pages, drawn by the program gnuplot; without it the script and the data are kept.
#pragma once

#include <dla/io/atomic_file.hpp>
#include <dla/io/gnuplot.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace dla {

/// One curve: y over x; a NaN in y leaves a gap.
struct PlotSeries {
    std::string label;  ///< of the legend; empty: no entry
    std::vector<double> x, y;
    int color = -1;  ///< index of the palette, -1: the position among the panel's series
    bool dashed = false;
    bool points = false;  ///< mark each value, for series of few values
    bool steps = false;   ///< constant until the next value
};

/// A point set off from the curves, such as the best epoch.
struct PlotMark {
    double x = 0, y = 0;
    std::string label;  ///< of the legend; empty: no entry
    int color = -1;     ///< -1: black
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
};

struct PlotPage {
    std::string title;
    std::vector<PlotPanel> panels;
    int columns = 2;  ///< of the grid
    int width = 1600, height = 1120;
    bool svg = false;  ///< write an SVG beside the PNG
};

/// What became of a plot. A run never fails because of one: `message` says in a line why there is no image and what to do.
struct PlotResult {
    bool drawn = false;
    std::string message;
    std::vector<std::string> files;
};

namespace detail {

/// Where a panel's axes and legend go, in fractions of the page. The legend stands below the axes, so it never hides a curve.
inline std::string plot_layout(const PlotPage& page, const PlotPanel& p) {
    std::size_t entries = 0, longest = 0;
    const auto count = [&](const std::string& label) {
        if (label.empty()) return;
        ++entries;
        longest = std::max(longest, label.size());
    };
    for (const auto& s : p.series) count(s.label);
    for (const auto& m : p.marks) count(m.label);
    // Sizes in pixels of the page's font, DejaVu Sans 18.
    const double wide = p.width * page.width, entry = 11.5 * static_cast<double>(longest) + 115.0;
    const auto columns = std::clamp<std::size_t>(static_cast<std::size_t>(std::max(1.0, (wide - 60) / entry)), 1, std::max<std::size_t>(1, entries));
    const std::size_t rows = p.legend ? (entries + columns - 1) / columns : 0;
    const double below = 100.0 + 30.0 * static_cast<double>(rows);
    const auto x = [&](double pixels) { return plot_number(p.left + pixels / page.width); };
    const auto y = [&](double pixels) { return plot_number(p.bottom + pixels / page.height); };
    std::string text = "set lmargin at screen " + x(170) + "\nset rmargin at screen " + x(wide - 35) + "\nset bmargin at screen " + y(below) +
                       "\nset tmargin at screen " + y(p.height * page.height - 55) + "\n";
    if (rows == 0) return text + "unset key\n";
    return text + "set key at screen " + x((100 + wide) / 2) + "," + y(below - 90) + " center top vertical maxrows " + std::to_string(rows) +
           " Left reverse samplen 2.5 spacing 1.1 font ',16'\n";
}

/// The range of a logarithmic axis: at least two labelled ticks, no empty decade.
inline std::string log_range(double low, double high) {
    const double decade = std::pow(10.0, std::floor(std::log10(low) + 1e-9));
    const bool narrow = high < 100 * low;
    return "[" + plot_number(narrow ? decade : low / 1.2) + ":" + plot_number(std::max(high * 1.2, narrow ? 10 * decade : 0.0)) + "]";
}

/// Appends one panel's commands to `script` and its rows to `data`.
inline void plot_panel(std::string& script, std::string& data, int& block, const PlotPage& page, const PlotPanel& p) {
    const auto line = [&](const std::string& text) { script += text + "\n"; };
    script += plot_layout(page, p);
    line("set title " + gnuplot_quoted(p.title) + " font ',20' offset 0,-0.4");
    line("set xlabel " + gnuplot_quoted(p.x_label) + " offset 0,0.3");
    line("set ylabel " + gnuplot_quoted(p.y_label));
    line(std::string(p.log_x ? "set" : "unset") + " logscale x");
    line(std::string(p.log_y ? "set" : "unset") + " logscale y");
    constexpr double infinity = std::numeric_limits<double>::infinity();
    double low_x = infinity, high_x = -infinity, low_y = infinity, high_y = -infinity;
    std::string curves;
    const auto add = [&](const std::string& rows, const std::string& style, int color, const std::string& label) {
        data += rows + "\n\n";
        curves += (curves.empty() ? "plot " : ", \\\n     ") + std::string("data index ") + std::to_string(block++) + " using 1:2 with " + style + " lc rgb '" +
                  plot_color(color) + "'" + (label.empty() ? " notitle" : " title " + gnuplot_quoted(label));
    };
    const auto row = [&](double x, double y) {  // grows the ranges by what can be drawn
        const bool drawable = std::isfinite(x) && std::isfinite(y) && !(p.log_x && x <= 0) && !(p.log_y && y <= 0);
        if (drawable) {
            low_x = std::min(low_x, x);
            high_x = std::max(high_x, x);
            low_y = std::min(low_y, y);
            high_y = std::max(high_y, y);
        }
        return std::pair(plot_number(x) + " " + (drawable ? plot_number(y) : "NaN") + "\n", drawable);
    };
    for (std::size_t i = 0; i < p.series.size(); ++i) {
        const PlotSeries& s = p.series[i];
        const std::size_t n = std::min(s.x.size(), s.y.size());
        std::string rows;
        bool visible = false;
        for (std::size_t k = 0; k < n; ++k) {
            const auto [text, drawable] = row(s.x[k], s.y[k]);
            rows += text;
            visible = visible || drawable;
        }
        const int color = s.color >= 0 ? s.color : static_cast<int>(i);
        const std::string style = s.points || n == 1 ? "linespoints pt 7 ps 1.2" : s.steps ? "steps" : "lines";
        if (visible) add(rows, style + " lw 2.5" + (s.dashed ? " dt (12,6)" : ""), color, s.label);
    }
    for (const PlotMark& m : p.marks)
        if (const auto [text, drawable] = row(m.x, m.y); drawable) add(text, "points pt 6 ps 2.4 lw 3", m.color, m.label);
    if (curves.empty()) {
        line("set xrange [0:1]\nset yrange [0:1]\nset label 1 'no data' at graph 0.5,0.5 center\nplot NaN notitle\nunset label 1");
        return;
    }
    const double margin_y = low_y < high_y ? 0.05 * (high_y - low_y) : std::max(0.5, 0.05 * std::abs(high_y));
    line("set yrange " + (p.log_y ? log_range(low_y, high_y) : "[" + plot_number(low_y - margin_y) + ":" + plot_number(high_y + margin_y) + "]"));
    if (p.log_x)
        line("set xrange " + log_range(low_x, high_x));
    else
        line("set xrange [" + plot_number(low_x < high_x ? low_x : low_x - 1) + ":" + plot_number(low_x < high_x ? high_x : high_x + 1) + "]");
    double step = 1;  // 1, 2, 5, 10, 20, ...: at most about ten ticks
    for (int i = 0; p.whole_x && (high_x - low_x) / step > 10; ++i) step *= i % 3 == 1 ? 2.5 : 2;
    line(p.whole_x && !p.log_x ? "set xtics " + plot_number(step) : "set xtics autofreq");
    line(curves);
}

}  // namespace detail

/// Writes `stem.gp` and `stem.dat` and draws `stem.png` (and `stem.svg`) from them with gnuplot, if it is installed.
/// `gnuplot stem.gp` in that folder draws again. Never throws: see PlotResult.
inline PlotResult draw_plot(PlotPage page, const std::string& stem) try {
    PlotResult result;
    const std::string folder = detail::parent_folder(stem);
    const std::string name = stem.substr(stem.find_last_of('/') + 1);
    const int rows = (static_cast<int>(page.panels.size()) + page.columns - 1) / std::max(1, page.columns);
    const double top = page.title.empty() ? 1.0 : 0.95;
    for (int i = 0; auto& p : page.panels) {
        if (p.width <= 0) {
            p.width = 1.0 / page.columns;
            p.height = top / rows;
            p.left = p.width * (i % page.columns);
            p.bottom = top - p.height * (1 + i / page.columns);
        }
        ++i;
    }
    std::string data = "# x y; blocks are separated by two empty lines\n";
    std::string panels;
    for (int block = 0; const auto& p : page.panels) detail::plot_panel(panels, data, block, page, p);
    const auto with_terminal = [&](const std::string& terminal, const std::string& file) {
        return "set terminal " + terminal + "\nset output " + detail::gnuplot_quoted(file) + "\nset multiplot" +
               (page.title.empty() ? "" : " title " + detail::gnuplot_quoted(page.title) + " font ',24'") + "\n" + panels + "unset multiplot\nunset output\n";
    };
    const std::string size = " size " + std::to_string(page.width) + "," + std::to_string(page.height);
    std::string script = "# Draw again with: gnuplot " + name + ".gp\nset encoding utf8\ndata = " + detail::gnuplot_quoted(name + ".dat") +
                         "\nset datafile missing 'NaN'\nset grid lt 1 lw 1 lc rgb '#dcdcdc'\nset border 3 lw 1.5\nset tics nomirror out\nset format '%g'\n";
    script += with_terminal("pngcairo noenhanced" + size + " background rgb 'white' font 'DejaVu Sans,18'", name + ".png");
    if (page.svg) script += with_terminal("svg noenhanced" + size + " background rgb 'white' font 'DejaVu Sans,18'", name + ".svg");
    write_file(stem + ".dat", data);
    write_file(stem + ".gp", script);
    result.files = {stem + ".gp", stem + ".dat"};
    std::string output;
    const int status = detail::run_gnuplot(folder, name + ".gp", output);
    result.drawn = status == 0;
    if (result.drawn) {
        result.files.insert(result.files.begin(), stem + ".png");
        if (page.svg) result.files.insert(result.files.begin() + 1, stem + ".svg");
    } else if (status == 127) {
        result.message = "no image " + stem + ".png: gnuplot is not installed (Debian: apt install gnuplot-nox); then: gnuplot " + name + ".gp";
    } else {
        result.message = "no image " + stem + ".png: gnuplot ended with status " + std::to_string(status) + ": " + output.substr(0, 300);
    }
    if (!result.drawn) {  // half an image would look like a result
        ::unlink((stem + ".png").c_str());
        if (page.svg) ::unlink((stem + ".svg").c_str());
    }
    return result;
} catch (const std::exception& e) {
    return {false, e.what(), {}};
}

/// What one training run leaves for its plot: a value for each epoch (NaN where there is none); accuracies in percent.
struct TrainingCurves {
    std::string title;
    std::vector<double> epoch, train_loss, val_loss, train_accuracy, val_accuracy;
    std::vector<double> learning_rate;  ///< empty: no panel for it
    double best_epoch = std::numeric_limits<double>::quiet_NaN();
};

/// Loss and accuracy side by side over epochs, the learning rate below, the best epoch marked on the validation curves.
inline PlotPage training_plot(const TrainingCurves& c) {
    PlotPage page;
    page.title = c.title;
    const auto panel = [&](const char* title, const char* y_label, const std::vector<double>& train, const std::vector<double>& val) {
        PlotPanel p;
        p.title = title;
        p.x_label = "Epoch";
        p.y_label = y_label;
        p.whole_x = true;
        p.series = {{"training", c.epoch, train}, {"validation", c.epoch, val}};
        for (std::size_t i = 0; i < std::min(c.epoch.size(), val.size()); ++i)
            if (c.epoch[i] == c.best_epoch) p.marks.push_back({c.epoch[i], val[i], "best epoch"});
        return p;
    };
    const bool rate = !c.learning_rate.empty();
    const double top = c.title.empty() ? 1.0 : 0.95, bottom = rate ? 0.3 : 0.0;
    page.panels = {panel("Loss", "Cross-entropy", c.train_loss, c.val_loss), panel("Accuracy", "Accuracy (%)", c.train_accuracy, c.val_accuracy)};
    for (std::size_t i = 0; i < 2; ++i) {
        auto& p = page.panels[i];
        p.left = 0.5 * static_cast<double>(i);
        p.bottom = bottom;
        p.width = 0.5;
        p.height = top - bottom;
    }
    if (rate) {
        PlotPanel p;
        p.title = "Learning rate";
        p.x_label = "Epoch";
        p.y_label = "Learning rate";
        p.whole_x = p.log_y = true;
        p.legend = false;
        p.series = {{"", c.epoch, c.learning_rate, 2, false, false, true}};
        p.width = 1;
        p.height = bottom;
        page.panels.push_back(std::move(p));
    }
    return page;
}

}  // namespace dla
