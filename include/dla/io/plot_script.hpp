// SPDX-License-Identifier: MIT
// A page of plots as gnuplot's commands and data: layout in pixels, legends outside the axes, curves over their bands.
#pragma once

#include <dla/core/table.hpp>
#include <dla/io/plot_axis.hpp>

namespace dla::detail {

/// Sizes in pixels of the page's fonts (DejaVu Sans 18, legends 16, notes 14).
inline constexpr double legend_line = 30, legend_sample = 76, legend_letter = 10.5, note_line = 24, note_letter = 10;

inline double letters(const std::string& text) { return static_cast<double>(utf8_length(text)); }

inline std::string stroke(int color, bool dashed, double width = 2.5) {
    return " lw " + plot_number(width) + (dashed ? " dt (12,6)" : " dt solid") + " lc rgb '" + plot_color(color) + "'";
}

/// What stands outside the panels. Commands are kept until the first panel is drawn: gnuplot has no page to write on, only plots.
class PlotFurniture {
public:
    explicit PlotFurniture(const PlotPage& page) : page_(page) {
        double y = 12;
        const auto lines = lines_of(page.note);
        for (std::size_t i = lines.size(); i-- > 0; y += note_line)
            label(lines[i], page.width / 2.0, y + note_line / 2, "center font ',14' textcolor rgb '#444444'");
        if (!page.note.empty()) y += 10;
        y = legend(y);
        if (!page.x_label.empty()) {
            label(page.x_label, page.width / 2.0, y + 18, "center");
            y += 36;
        }
        bottom = page.x_label.empty() && page.note.empty() && page.legend.rows.empty() ? 0 : y;
        if (!page.y_label.empty()) {
            left = 40;
            label(page.y_label, 26, (bottom + page.height) / 2, "center rotate by 90");
        }
    }
    double bottom = 0, left = 0;  ///< pixels taken from the panels
    std::string commands;

    /// Commands that take the furniture away again.
    std::string removal() const {
        std::string text;
        for (int tag = first_tag; tag < tag_; ++tag) text += "unset label " + std::to_string(tag) + "\nunset arrow " + std::to_string(tag) + "\n";
        return text;
    }

private:
    static constexpr int first_tag = 100;

    /// The lines of a text, broken at spaces where they are longer than the page is wide.
    std::vector<std::string> lines_of(const std::string& text) const {
        const double room = (page_.width - 80) / note_letter;
        std::vector<std::string> lines;
        std::string line, word;
        const auto end_line = [&] {
            if (!line.empty()) lines.push_back(std::exchange(line, ""));
        };
        for (const char c : text + "\n") {
            if (c != ' ' && c != '\n') {
                word += c;
                continue;
            }
            if (!line.empty() && letters(line) + letters(word) >= room) end_line();
            if (!line.empty() && !word.empty()) line += ' ';
            line += std::exchange(word, "");
            if (c == '\n') end_line();
        }
        return lines;
    }
    std::string screen(double x, double y) const { return "screen " + plot_number(x / page_.width) + "," + plot_number(y / page_.height); }
    void label(const std::string& text, double x, double y, const std::string& options) {
        commands += "set label " + std::to_string(tag_++) + " " + gnuplot_quoted(text) + " at " + screen(x, y) + " " + options + "\n";
    }
    /// A piece of a curve whose middle is (x, y).
    void sample(const PlotLegend::Row& row, int color, double x, double y) {
        const double half = (legend_sample - 12) / 2;
        const double width = row.dashed ? 2.5 : 2.51;  // gnuplot's SVG makes one path, with one dash pattern, of arrows that are equal in width and colour
        commands += "set arrow " + std::to_string(tag_++) + " from " + screen(x - half, y) + " to " + screen(x + half, y) + " nohead" +
                    stroke(color, row.dashed, width) + "\n";
        if (!row.points) return;
        label("", x, y, "point pt 7 ps 1.6*marker lc rgb '" + plot_color(color) + "'");
        if (row.dashed) label("", x, y, "point pt 7 ps 0.9*marker lc rgb 'white'");
    }
    /// Draws the legend upwards from `y` and returns where it ends.
    double legend(double y) {
        const PlotLegend& l = page_.legend;
        if (l.rows.empty() || l.columns.empty()) return y;
        const double room = page_.width - 60;
        double longest = letters(l.title);
        for (const auto& row : l.rows) longest = std::max(longest, letters(row.label));
        const std::string font = "font ',16'";
        if (l.columns.size() == 1) {
            const double entry = legend_sample + 8 + legend_letter * longest + 30;
            const auto across = static_cast<std::size_t>(std::clamp(room / entry, 1.0, static_cast<double>(l.rows.size())));
            for (std::size_t end = l.rows.size(); end > 0; y += legend_line) {  // the last line first
                const std::size_t begin = (end - 1) / across * across;
                double x = (page_.width - static_cast<double>(end - begin) * entry + 30) / 2;
                for (std::size_t i = begin; i < end; ++i, x += entry) {
                    sample(l.rows[i], l.columns[0].color, x + legend_sample / 2, y + legend_line / 2);
                    label(l.rows[i].label, x + legend_sample + 8, y + legend_line / 2, "left " + font);
                }
                end = begin;
            }
            return y + 8;
        }
        double cell = legend_sample;
        for (const auto& column : l.columns) cell = std::max(cell, legend_letter * letters(column.label));
        cell += 24;
        const double head = legend_letter * longest + 24;
        const auto across = static_cast<std::size_t>(std::clamp((room - head) / cell, 1.0, static_cast<double>(l.columns.size())));
        for (std::size_t end = l.columns.size(); end > 0; y += 8) {
            const std::size_t begin = (end - 1) / across * across;
            const double left_x = (page_.width - head - static_cast<double>(std::min(across, l.columns.size())) * cell) / 2;
            const auto center = [&](std::size_t i) { return left_x + head + (static_cast<double>(i - begin) + 0.5) * cell; };
            for (std::size_t r = l.rows.size(); r-- > 0; y += legend_line) {
                label(l.rows[r].label, left_x + head - 24, y + legend_line / 2, "right " + font);
                for (std::size_t i = begin; i < end; ++i) sample(l.rows[r], l.columns[i].color, center(i), y + legend_line / 2);
            }
            label(l.title, left_x + head - 24, y + legend_line / 2, "right " + font);
            for (std::size_t i = begin; i < end; ++i) label(l.columns[i].label, center(i), y + legend_line / 2, "center " + font);
            y += legend_line;
            end = begin;
        }
        return y;
    }

    const PlotPage& page_;
    int tag_ = first_tag;
};

/// Where a panel's axes and its own legend go. The legend stands below the axes, so it never hides a curve.
struct PanelLayout {
    std::string commands;
    double axis_width = 0;  ///< pixels

    /// Pixels for what is written beside the axis.
    static double name_room(const PlotPanel& p) {
        double longest = 0;
        for (const std::string& name : p.y_names) longest = std::max(longest, letters(name));
        return std::min(12.5 * longest + 50, 700.0);
    }

    PanelLayout(const PlotPage& page, const PlotPanel& p) {
        std::size_t entries = 0;
        double longest = 0;
        const auto count = [&](const std::string& label) {
            if (label.empty()) return;
            ++entries;
            longest = std::max(longest, letters(label));
        };
        for (const auto& s : p.series) count(s.label);
        for (const auto& m : p.marks) count(m.label);
        const double wide = p.width * page.width, entry = 11.5 * longest + 115.0;
        const auto columns = std::clamp<std::size_t>(static_cast<std::size_t>(std::max(1.0, (wide - 60) / entry)), 1, std::max<std::size_t>(1, entries));
        const std::size_t rows = p.legend && page.legend.rows.empty() ? (entries + columns - 1) / columns : 0;
        const double below = (p.x_label.empty() ? 60.0 : 100.0) + 30.0 * static_cast<double>(rows),
                     left = p.y_names.empty() ? (p.y_label.empty() ? 100 : 170) : name_room(p);
        const auto x = [&](double pixels) { return plot_number(p.left + pixels / page.width); };
        const auto y = [&](double pixels) { return plot_number(p.bottom + pixels / page.height); };
        axis_width = wide - 35 - left;
        commands = "set lmargin at screen " + x(left) + "\nset rmargin at screen " + x(wide - 35) + "\nset bmargin at screen " + y(below) +
                   "\nset tmargin at screen " + y(p.height * page.height - (p.title.empty() ? 25 : 55)) + "\n";
        commands += rows == 0 ? "unset key\n"
                              : "set key at screen " + x((p.y_names.empty() ? 100 + wide : left + wide) / 2) + "," + y(below - 90) +
                                    " center top vertical maxrows " + std::to_string(rows) + " Left reverse samplen 2.5 spacing 1.1 font ',16'\n";
    }
};

/// Collects the commands and the data of panels, one after another.
struct PlotScript {
    std::string commands, data = "# x y, or x y low high; blocks are separated by two empty lines\n";
    int block = 0;

    void panel(const PlotPage& page, const PlotPanel& p, PanelRange range) {
        const auto line = [&](const std::string& text) { commands += text + "\n"; };
        const PanelLayout layout(page, p);
        commands += layout.commands;
        line("set title " + gnuplot_quoted(p.title) + " font ',20' offset 0,-0.4");
        line("set xlabel " + gnuplot_quoted(p.x_label) + " offset 0,0.3");
        line("set ylabel " + gnuplot_quoted(p.y_label));
        line(std::string(p.log_x ? "set" : "unset") + " logscale x");
        line(std::string(p.log_y ? "set" : "unset") + " logscale y");
        const std::string plots = curves(p);
        if (plots.empty()) {
            line("set xrange [0:1]\nset yrange [0:1]\nset xtics autofreq\nset ytics autofreq\nunset logscale");
            line("set label 1 'no data' at graph 0.5,0.5 center\nplot NaN notitle\nunset label 1");
            return;
        }
        axes(p, range, layout.axis_width);
        line("plot " + plots);
    }

private:
    void axes(const PlotPanel& p, PanelRange range, double width) {
        PlotRange &x = range.x, &y = range.y;
        const double first = x.low, last = x.high;
        if (p.log_x) {
            x = log_axis(x);
        } else if (x.low >= x.high) {
            x = {x.low - 1, x.high + 1};
        } else if (!p.y_names.empty()) {  // points on the border would be cut
            const double margin = 0.04 * (x.high - x.low);
            x = {x.low - margin, x.high + margin};
        }
        if (!p.y_names.empty()) {
            y = {static_cast<double>(p.y_names.size()) + 0.6, 0.4};  // downwards
        } else if (p.log_y) {
            y = log_axis(y);
        } else {
            const double margin = y.low < y.high ? 0.05 * (y.high - y.low) : std::max(0.5, 0.05 * std::abs(y.high));
            y = {y.low - margin, y.high + margin};
        }
        const double most = std::clamp(width / 65, 2.0, 10.0);
        double step = 1;  // 1, 2, 5, 10, 20, ...: at most about ten ticks
        for (int i = 0; p.whole_x && (last - first) / step > most; ++i) step *= i % 3 == 1 ? 2.5 : 2;
        const auto set = [&](const char* axis, const PlotRange& r, const std::string& ticks) {
            commands += std::string("set ") + axis + "range [" + plot_number(r.low) + ":" + plot_number(r.high) + "]\nset " + axis + "tics " + ticks + "\n";
        };
        set("x", x, !p.x_ticks.empty() ? fixed_ticks(p.x_ticks, x, p.log_x, width) : p.log_x ? log_ticks(x) : p.whole_x ? plot_number(step) : "autofreq");
        set("y", y, !p.y_names.empty() ? named_ticks(p.y_names) : p.log_y ? log_ticks(y) : "autofreq");
    }

    /// The arguments of the command `plot`: bands first, so that no curve lies under one; empty when there is nothing to draw.
    std::string curves(const PlotPanel& p) {
        std::string bands, lines;
        const bool log_spread = p.y_names.empty() ? p.log_y : p.log_x;
        const auto plot = [](std::string& list, int index, const std::string& what, const std::string& title) {
            list += (list.empty() ? "" : ", \\\n     ") + ("data index " + std::to_string(index)) + " using " + what +
                    (title.empty() ? " notitle" : " title " + gnuplot_quoted(title));
        };
        for (std::size_t i = 0; i < p.series.size(); ++i) {
            const PlotSeries& s = p.series[i];
            const std::size_t n = std::min(s.x.size(), s.y.size());
            const bool spread = n > 0 && s.low.size() >= n && s.high.size() >= n;
            std::string rows;
            bool visible = false, spread_visible = false;
            for (std::size_t k = 0; k < n; ++k) {
                const bool drawable = can_draw(s.x[k], p.log_x) && can_draw(s.y[k], p.log_y);
                rows += row(s.x[k], drawable ? s.y[k] : std::nan(""));
                if (spread) {
                    const bool both = drawable && can_draw(s.low[k], log_spread) && can_draw(s.high[k], log_spread);
                    rows.back() = ' ';
                    spread_visible = spread_visible || both;
                    rows += row(both ? s.low[k] : std::nan(""), both ? s.high[k] : std::nan(""));
                }
                visible = visible || drawable;
            }
            if (!visible) continue;
            data += rows + "\n\n";
            const int color = s.color == -1 ? static_cast<int>(i) : s.color;
            const std::string paint = " lc rgb '" + plot_color(color) + "'";
            const bool points = s.points || !s.line || n == 1, bars = s.bars || n == 1;
            if (spread_visible && bars) plot(bands, block, "1:2:3:4 with " + std::string(p.y_names.empty() ? "y" : "x") + "errorbars pt 0 lw 2" + paint, "");
            if (spread_visible && !bars) plot(bands, block, "1:3:4 with filledcurves fs transparent solid 0.18 noborder" + paint, "");
            const std::string style = points ? "points" : s.steps ? "steps" : "lines";
            if (!points)
                plot(lines, block, "1:2 with " + style + stroke(color, s.dashed), s.label);
            else
                plot(lines, block, std::string("1:2 with ") + (s.line && n > 1 ? "linespoints" : "points") + " pt 7 ps 1.6*marker" + stroke(color, s.dashed),
                     s.label);
            if (points && s.dashed) plot(lines, block, "1:2 with points pt 7 ps 0.9*marker lc rgb 'white'", "");
            ++block;
        }
        for (const PlotMark& m : p.marks) {
            if (!can_draw(m.x, p.log_x) || !can_draw(m.y, p.log_y)) continue;
            data += row(m.x, m.y) + "\n\n";
            plot(lines, block++, "1:2 with points pt 6 ps 2.4*marker lw 3 lc rgb '" + plot_color(m.color) + "'", m.label);
        }
        return bands + (bands.empty() || lines.empty() ? "" : ", \\\n     ") + lines;
    }
    static std::string row(double a, double b) { return plot_number(a) + " " + plot_number(b) + "\n"; }
};

}  // namespace dla::detail
