// SPDX-License-Identifier: MIT
// Ranges and ticks of the axes of a plot.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/io/gnuplot.hpp>
#include <dla/io/plot_page.hpp>

#include <algorithm>
#include <limits>
#include <span>

namespace dla::detail {

/// From the smallest to the largest of the values added; empty before the first.
struct PlotRange {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    void add(double v) {
        low = std::min(low, v);
        high = std::max(high, v);
    }
    void add(const PlotRange& r) {
        low = std::min(low, r.low);
        high = std::max(high, r.high);
    }
    bool empty() const { return low > high; }
};

/// Finite, and positive on a logarithmic axis.
inline bool can_draw(double v, bool logarithmic) { return is_finite(v) && !(logarithmic && v <= 0); }

/// What all curves, bands and marks of a panel cover.
struct PanelRange {
    PlotRange x, y;
};
inline PanelRange plot_range(const PlotPanel& p) {
    PanelRange range;
    const auto add = [&](double x, double y) {
        if (!can_draw(x, p.log_x) || !can_draw(y, p.log_y)) return;
        range.x.add(x);
        range.y.add(y);
    };
    for (const PlotSeries& s : p.series)
        for (std::size_t i = 0; i < std::min(s.x.size(), s.y.size()); ++i) {
            add(s.x[i], s.y[i]);
            if (i >= s.low.size() || i >= s.high.size()) continue;
            for (const double end : {s.low[i], s.high[i]}) p.y_names.empty() ? add(s.x[i], end) : add(end, s.y[i]);
        }
    for (const PlotMark& m : p.marks) add(m.x, m.y);
    return range;
}

/// `10⁻⁷`, `2·10⁻⁷`.
inline std::string power_label(int mantissa, int exponent) {
    constexpr std::string_view digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    std::string label = (mantissa == 1 ? "" : std::to_string(mantissa) + "·") + "10";
    for (const char c : std::to_string(exponent)) label += c == '-' ? "⁻" : digits[static_cast<std::size_t>(c - '0')];
    return label;
}

/// The range of a logarithmic axis around `r`: wide enough for two labelled ticks.
inline PlotRange log_axis(PlotRange r) {
    r.low = std::max(r.low / 1.15, 1e-300);
    r.high = std::min(r.high * 1.15, 1e300);
    if (r.high < 5 * r.low) {
        const double wider = std::sqrt(5 * r.low / r.high);
        r.low /= wider;
        r.high *= wider;
    }
    return r;
}

/// Gnuplot's list of ticks for a logarithmic axis: powers of ten with labels where it spans decades, else some of their multiples too.
inline std::string log_ticks(PlotRange axis) {
    const double decades = std::log10(axis.high / axis.low);
    const int first = static_cast<int>(std::floor(std::log10(axis.low))), last = static_cast<int>(std::ceil(std::log10(axis.high)));
    const int step = std::max(1, static_cast<int>(std::ceil(decades / 8)));
    const bool plain = axis.low > 9e-5 && axis.high < 1e5;
    std::string ticks;
    for (int e = first; e <= last; ++e)
        for (int m = 1; m <= 9; ++m) {
            char value[32], text[40];
            std::snprintf(value, sizeof value, "%de%d", m, e);  // text: 2e-5 is not 2 * 1e-5 in doubles
            const double v = std::strtod(value, nullptr);
            const bool labelled = decades > 2.5 ? m == 1 && e % step == 0 : m == 1 || m == 2 || m == 5 || (m == 3 && decades < 1.2);
            if (v < axis.low || v > axis.high || (m > 1 && step > 1)) continue;
            std::snprintf(text, sizeof text, "%g", v);
            if (!ticks.empty()) ticks += ", ";
            ticks += gnuplot_quoted(!labelled ? "" : plain ? text : power_label(m, e));
            ticks += std::string(" ") + value + (labelled ? "" : " 1");
        }
    return "(" + ticks + ")";
}

/// Gnuplot's list of ticks at exactly these values; a label that would run into the one before it is left out. `width` of the axis in pixels.
inline std::string fixed_ticks(std::span<const double> values, PlotRange axis, bool logarithmic, double width) {
    std::vector<double> sorted(values.begin(), values.end());
    std::sort(sorted.begin(), sorted.end());
    const auto scale = [&](double v) { return logarithmic ? std::log(v) : v; };
    double end = -width;  // of the last label
    std::string ticks;
    for (const double v : sorted) {
        if (!can_draw(v, logarithmic)) continue;
        std::string label = plot_number(v);
        const double half = 6.0 * static_cast<double>(label.size());  // DejaVu Sans 18
        const double center = width * (scale(v) - scale(axis.low)) / (scale(axis.high) - scale(axis.low));
        if (center - half < end + 12)
            label.clear();
        else
            end = center + half;
        if (!ticks.empty()) ticks += ", ";
        ticks += gnuplot_quoted(label) + " " + plot_number(v);
    }
    return "(" + ticks + ")";
}

/// Gnuplot's list of ticks at 1, 2, ... with these labels.
inline std::string named_ticks(std::span<const std::string> names) {
    std::string ticks;
    for (std::size_t i = 0; i < names.size(); ++i) ticks += (i == 0 ? "" : ", ") + gnuplot_quoted(names[i]) + " " + std::to_string(i + 1);
    return "(" + ticks + ")";
}

}  // namespace dla::detail
