// SPDX-License-Identifier: MIT
// How pages are written for gnuplot, and drawn.
#pragma once

#include <dla/io/plot_script.hpp>

#include <algorithm>
#include <optional>

#include <limits.h>
#include <stdlib.h>

namespace dla {

namespace detail {

/// The commands and the data of a page for gnuplot; `name` of the files, without folder and end.
struct PlotText {
    std::string script, data;

    PlotText(PlotPage& page, const std::string& name) {
        const PlotFurniture furniture(page);
        place(page, furniture);
        PlotRange y;
        for (const auto& p : page.panels) y.add(plot_range(p).y);
        PlotScript panels{furniture.commands};
        for (std::size_t i = 0; i < page.panels.size(); ++i) {
            PanelRange range = plot_range(page.panels[i]);
            if (page.same_y) range.y = y;
            panels.panel(page, page.panels[i], range);
            if (i == 0) panels.commands += furniture.removal();
        }
        data = panels.data;
        // draw_images names other files, so that no image appears before it is whole.
        script = "# Draw again with: gnuplot " + name + ".gp\nif (!exists('png')) png = " + gnuplot_quoted(name + ".png") + "\n";
        if (page.svg) script += "if (!exists('svg')) svg = " + gnuplot_quoted(name + ".svg") + "\n";
        script += "reset\nset encoding utf8\ndata = " + gnuplot_quoted(name + ".dat") +
                  "\nset grid lt 1 lw 1 lc rgb '#dcdcdc'\nset border 3 lw 1.5\nset tics nomirror out\nset format '%g'\n";
        const std::string size = " size " + std::to_string(page.width) + "," + std::to_string(page.height);
        const auto with_terminal = [&](const std::string& terminal, const char* output, const char* marker) {
            script += "marker = " + std::string(marker) + "\nset terminal " + terminal + "\nset output " + output + "\nset multiplot" +
                      (page.title.empty() ? "" : " title " + gnuplot_quoted(page.title) + " font ',24'") + "\n" + panels.commands +
                      "unset multiplot\nunset output\n";
        };
        // Of a font of 18 an SVG makes 18 pixels, a PNG 24 (18 points at 96 dots per inch); points and dashes differ too.
        with_terminal("pngcairo noenhanced" + size + " background rgb 'white' font 'DejaVu Sans,18'", "png", "1");
        if (page.svg) with_terminal("svg noenhanced" + size + " background rgb 'white' font 'DejaVu Sans,18' fontscale 1.333 dashlength 0.5", "svg", "0.55");
    }

private:
    /// Gives panels without a size their place in the page's grid.
    static void place(PlotPage& page, const PlotFurniture& furniture) {
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
    }
};

inline bool has_content(const std::string& path, std::string_view text) try {
    const auto bytes = read_file(path, text.size());
    return bytes.size() == text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
} catch (const Error&) {
    return false;
}

inline void remove_images(const std::string& stem, bool svg) {
    ::unlink((stem + ".png").c_str());
    if (svg) ::unlink((stem + ".svg").c_str());
}

/// Runs `stem.gp` and puts the images in their places when all of them are whole. Returns why there are none, or nothing.
inline std::string draw_images(const std::string& stem, bool with_svg) try {
    const std::string folder = parent_folder(stem), script = stem.substr(stem.find_last_of('/') + 1) + ".gp";
    AtomicFile png(stem + ".png");
    std::optional<AtomicFile> svg;
    if (with_svg) svg.emplace(stem + ".svg");
    const auto variable = [](const char* name, const std::string& path) {
        char absolute[PATH_MAX];  // gnuplot runs in another folder
        return std::string(name) + " = " + gnuplot_quoted(::realpath(path.c_str(), absolute) ? absolute : path) + "; ";
    };
    std::string output;
    const int status = run_gnuplot(folder, variable("png", png.temporary()) + (svg ? variable("svg", svg->temporary()) : ""), script, output);
    if (status == 127) {
        struct stat old{};
        return (::stat((stem + ".png").c_str(), &old) == 0 ? "no new image " + stem + ".png, the old one is of the same data" : "no image " + stem + ".png") +
               ": gnuplot is not installed (Debian: apt install gnuplot-nox); then: gnuplot " + script;
    }
    std::string reason = status != 0 ? "gnuplot ended with status " + std::to_string(status) : "";
    if (status == 0 && (!whole_png(png.temporary()) || (svg && !whole_svg(svg->temporary())))) reason = "gnuplot did not write all of it; is the disk full?";
    if (reason.empty()) {
        png.commit();
        if (svg) svg->commit();
        return "";
    }
    remove_images(stem, with_svg);
    return "no image " + stem + ".png: " + reason + (output.empty() ? "" : ": " + output.substr(0, 300));
} catch (const Error& e) {
    remove_images(stem, with_svg);
    return e.what();
}

}  // namespace detail

DLA_ONCE PlotResult draw_plot(PlotPage page, const std::string& stem) try {
    const detail::PlotText text(page, stem.substr(stem.find_last_of('/') + 1));
    if (!detail::has_content(stem + ".gp", text.script) || !detail::has_content(stem + ".dat", text.data)) {
        AtomicFile script(stem + ".gp"), data(stem + ".dat");
        script.write(text.script);
        data.write(text.data);
        detail::remove_images(stem, page.svg);  // before the data are there: a process killed in between leaves no image beside other data
        script.commit();
        data.commit();
    }
    PlotResult result;
    result.message = detail::draw_images(stem, page.svg);
    result.drawn = result.message.empty();
    if (result.drawn) result.files.push_back(stem + ".png");
    if (result.drawn && page.svg) result.files.push_back(stem + ".svg");
    result.files.push_back(stem + ".gp");
    result.files.push_back(stem + ".dat");
    return result;
} catch (const std::exception& e) {
    return {false, e.what(), {}};
}

DLA_ONCE PlotPage training_plot(const TrainingCurves& c) {
    PlotPage page;
    page.title = c.title;
    const auto panel = [&](const char* title, const char* y_label, const std::vector<double>& train, const std::vector<double>& val) {
        PlotPanel p;
        p.title = title;
        p.x_label = "Epoch";
        p.y_label = y_label;
        p.whole_x = true;
        for (const auto& [name, values] : {std::pair{"training", &train}, {"validation", &val}})
            if (std::any_of(values->begin(), values->end(), [](double v) { return v == v; })) p.series.push_back({name, c.epoch, *values});
        for (std::size_t i = 0; i < std::min(c.epoch.size(), val.size()); ++i)
            if (c.epoch[i] == c.best_epoch && val[i] == val[i]) p.marks.push_back({c.epoch[i], val[i], "best epoch"});
        return p;
    };
    const bool rate = !c.learning_rate.empty();
    const double top = c.title.empty() ? 1.0 : 0.95, bottom = rate ? 0.3 : 0.0;
    PlotPanel accuracy = panel("Accuracy", "Accuracy (%)", c.train_accuracy, c.val_accuracy);
    const bool classifies = !accuracy.series.empty();
    page.panels = {panel("Loss", classifies ? "Cross-entropy" : "Loss", c.train_loss, c.val_loss)};
    if (classifies) page.panels.push_back(std::move(accuracy));
    for (std::size_t i = 0; i < page.panels.size(); ++i) {
        auto& p = page.panels[i];
        p.width = 1 / static_cast<double>(page.panels.size());
        p.left = p.width * static_cast<double>(i);
        p.bottom = bottom;
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
