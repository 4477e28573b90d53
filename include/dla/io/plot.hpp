// SPDX-License-Identifier: MIT
// Line plots on paper-ready PNG and SVG pages, drawn by the program gnuplot; without it the script and the data are kept.
#pragma once

#include <dla/io/plot_script.hpp>

namespace dla {

/// Writes `stem.gp` and `stem.dat` and draws `stem.png` (and `stem.svg`) from them with gnuplot, if it is installed.
/// `gnuplot stem.gp` in that folder draws again. Never throws: see PlotResult.
inline PlotResult draw_plot(PlotPage page, const std::string& stem) try {
    PlotResult result;
    const std::string folder = detail::parent_folder(stem);
    const std::string name = stem.substr(stem.find_last_of('/') + 1);
    const detail::PlotFurniture furniture(page);
    const int rows = (static_cast<int>(page.panels.size()) + page.columns - 1) / std::max(1, page.columns);
    const double left = furniture.left / page.width, bottom = furniture.bottom / page.height, top = page.title.empty() ? 1.0 : 1.0 - 56.0 / page.height;
    for (int i = 0; auto& p : page.panels) {
        if (p.width <= 0) {
            p.width = (1.0 - left) / page.columns;
            p.height = (top - bottom) / rows;
            p.left = left + p.width * (i % page.columns);
            p.bottom = top - p.height * (1 + i / page.columns);
        }
        ++i;
    }
    detail::PlotRange y;
    for (const auto& p : page.panels) y.add(detail::plot_range(p).y);
    detail::PlotScript panels{furniture.commands};
    for (std::size_t i = 0; i < page.panels.size(); ++i) {
        detail::PanelRange range = detail::plot_range(page.panels[i]);
        if (page.same_y) range.y = y;
        panels.panel(page, page.panels[i], range);
        if (i == 0) panels.commands += furniture.removal();
    }
    const auto with_terminal = [&](const std::string& terminal, const std::string& file, const std::string& marker) {
        return "marker = " + marker + "\nset terminal " + terminal + "\nset output " + detail::gnuplot_quoted(file) + "\nset multiplot" +
               (page.title.empty() ? "" : " title " + detail::gnuplot_quoted(page.title) + " font ',24'") + "\n" + panels.commands +
               "unset multiplot\nunset output\n";
    };
    const std::string size = " size " + std::to_string(page.width) + "," + std::to_string(page.height);
    std::string script = "# Draw again with: gnuplot " + name + ".gp\nset encoding utf8\ndata = " + detail::gnuplot_quoted(name + ".dat") +
                         "\nset grid lt 1 lw 1 lc rgb '#dcdcdc'\nset border 3 lw 1.5\nset tics nomirror out\nset format '%g'\n";
    // Of a font of 18 an SVG makes 18 pixels, a PNG 24 (18 points at 96 dots per inch); points and dashes differ too.
    script += with_terminal("pngcairo noenhanced" + size + " background rgb 'white' font 'DejaVu Sans,18'", name + ".png", "1");
    if (page.svg)
        script +=
            with_terminal("svg noenhanced" + size + " background rgb 'white' font 'DejaVu Sans,18' fontscale 1.333 dashlength 0.5", name + ".svg", "0.55");
    write_file(stem + ".dat", panels.data);
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
