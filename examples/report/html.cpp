// SPDX-License-Identifier: MIT
#include "html.hpp"

#include <dla/core/finite.hpp>
#include <dla/io/gnuplot.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace report {

namespace {

std::string number(double v) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", v);
    return text;
}
std::string place(double v) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", v);
    return text;
}

std::string base64(const std::string& bytes) {
    constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t bits = 0;
        for (std::size_t k = 0; k < 3; ++k) bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
        for (std::size_t k = 0; k < 4; ++k) out += i + k <= bytes.size() ? letters[bits >> (18 - 6 * k) & 63] : '=';
    }
    return out;
}

/// One axis: from values to pixels, and where its ticks stand.
class Axis {
public:
    Axis(double low, double high, bool logarithmic, bool whole, double from, double to) : logarithmic_(logarithmic), from_(from), to_(to) {
        if (!(low <= high)) low = 0, high = 1;
        if (logarithmic) {
            low_ = std::log10(low) - 0.04, high_ = std::log10(high) + 0.04;
            if (high_ - low_ < 0.3) low_ -= 0.15, high_ += 0.15;
        } else {
            const bool flat = !(high - low > 1e-9 * std::max(std::abs(low), std::abs(high)));  // but for roundings
            const double margin = !flat ? (whole ? 0 : 0.04 * (high - low)) : high == 0 ? 0.5 : 0.3 * std::abs(high);
            low_ = low - margin, high_ = high + margin;
        }
        find_ticks(whole);
    }
    double operator()(double v) const { return from_ + ((logarithmic_ ? std::log10(v) : v) - low_) / (high_ - low_) * (to_ - from_); }
    const std::vector<double>& ticks() const { return ticks_; }

private:
    void find_ticks(bool whole) {
        if (logarithmic_) {
            const bool wide = high_ - low_ > 2.5;
            for (int e = static_cast<int>(std::floor(low_)); e <= static_cast<int>(std::ceil(high_)); ++e)
                for (const double m : {1.0, 2.0, 5.0}) {
                    const double v = m * std::pow(10.0, e), at = std::log10(v);
                    if (at >= low_ && at <= high_ && (!wide || m == 1.0)) ticks_.push_back(v);
                }
            return;
        }
        double step = std::pow(10.0, std::floor(std::log10((high_ - low_) / 5)));
        while ((high_ - low_) / step > 7) step *= (high_ - low_) / step > 14 ? 5 : 2;
        if (whole) step = std::max(1.0, std::round(step));
        const double begin = std::ceil(low_ / step);
        for (int i = 0; i < 20 && (begin + i) * step <= high_ + 1e-9 * step; ++i) ticks_.push_back((begin + i) * step + 0.0);
    }

    bool logarithmic_;
    double low_ = 0, high_ = 1, from_, to_;
    std::vector<double> ticks_;
};

}  // namespace

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '&')
            out += "&amp;";
        else if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '"')
            out += "&quot;";
        else
            out += static_cast<unsigned char>(c) < 0x20 && c != '\n' ? ' ' : c;
    }
    return out;
}

std::string picture(std::span<const std::uint8_t> pixels, int width, int height, int channels, int scale, const std::string& alternative) {
    // A bitmap of 24 bits a pixel: rows from the bottom, blue first, each row filled up to a multiple of four bytes.
    const auto w = static_cast<std::size_t>(width), h = static_cast<std::size_t>(height), c = static_cast<std::size_t>(channels);
    const std::size_t row = (3 * w + 3) / 4 * 4;
    std::string bytes = "BM";
    const auto add = [&](std::size_t value, int count) {
        for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i) & 255);
    };
    add(54 + row * h, 4), add(0, 4), add(54, 4), add(40, 4), add(w, 4), add(h, 4), add(1, 2), add(24, 2);
    add(0, 4), add(row * h, 4), add(2835, 4), add(2835, 4), add(0, 4), add(0, 4);
    for (std::size_t y = h; y-- > 0;) {
        for (std::size_t x = 0; x < w; ++x)
            for (std::size_t k = 3; k-- > 0;) bytes += static_cast<char>(pixels[(y * w + x) * c + (c == 3 ? k : 0)]);
        bytes.append(row - 3 * w, '\0');
    }
    return "<img src=\"data:image/bmp;base64," + base64(bytes) + "\" width=\"" + std::to_string(width * scale) + "\" height=\"" +
           std::to_string(height * scale) + "\" alt=\"" + escaped(alternative) + "\">";
}

std::string chart(const dla::PlotPanel& p, int width, int height) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    double low_x = infinity, high_x = -infinity, low_y = infinity, high_y = -infinity;
    const auto drawable = [&](double x, double y) { return dla::is_finite(x) && dla::is_finite(y) && (!p.log_x || x > 0) && (!p.log_y || y > 0); };
    const auto cover = [&](double x, double y) {
        if (!drawable(x, y)) return;
        low_x = std::min(low_x, x), high_x = std::max(high_x, x);
        low_y = std::min(low_y, y), high_y = std::max(high_y, y);
    };
    for (const dla::PlotSeries& s : p.series)
        for (std::size_t i = 0; i < s.x.size(); ++i) cover(s.x[i], s.y[i]);
    for (const dla::PlotMark& m : p.marks) cover(m.x, m.y);
    const double left = 62, right = width - 12.0, top = 30, bottom = height - 40.0;
    std::string out = "<svg viewBox=\"0 0 " + std::to_string(width) + " " + std::to_string(height) + "\" width=\"" + std::to_string(width) + "\" height=\"" +
                      std::to_string(height) + "\" role=\"img\" aria-label=\"" + escaped(p.y_label + " over " + p.x_label) + "\">\n";
    const auto text = [&](double x, double y, const char* anchor, const std::string& what) {
        out += "<text x=\"" + place(x) + "\" y=\"" + place(y) + "\" text-anchor=\"" + anchor + "\">" + escaped(what) + "</text>\n";
    };
    if (!(low_x <= high_x)) {
        text(width / 2.0, height / 2.0, "middle", "no data");
        return out + "</svg>\n";
    }
    const Axis x(low_x, high_x, p.log_x, p.whole_x, left, right), y(low_y, high_y, p.log_y, false, bottom, top);
    for (const double v : y.ticks()) {
        out += "<line class=\"grid\" x1=\"" + place(left) + "\" x2=\"" + place(right) + "\" y1=\"" + place(y(v)) + "\" y2=\"" + place(y(v)) + "\"/>";
        text(left - 6, y(v) + 4, "end", number(v));
    }
    for (const double v : x.ticks()) text(x(v), bottom + 17, "middle", number(v));
    out += "<path class=\"axis\" d=\"M" + place(left) + " " + place(top) + "V" + place(bottom) + "H" + place(right) + "\"/>\n";
    text((left + right) / 2, height - 6.0, "middle", p.x_label);
    double legend = left;
    for (std::size_t i = 0; i < p.series.size(); ++i) {
        const dla::PlotSeries& s = p.series[i];
        const std::string color = dla::detail::plot_color(s.color == -1 ? static_cast<int>(i) : s.color);
        const std::string stroke = " stroke=\"" + color + "\"" + (s.dashed ? " stroke-dasharray=\"6 4\"" : "");
        std::string path;
        bool pen = false;
        for (std::size_t k = 0; k < s.x.size(); ++k) {
            if (!drawable(s.x[k], s.y[k])) {
                pen = false;
                continue;
            }
            path += (pen ? "L" : "M") + place(x(s.x[k])) + " " + place(y(s.y[k]));
            pen = true;
            if (s.points || s.x.size() == 1) out += "<circle cx=\"" + place(x(s.x[k])) + "\" cy=\"" + place(y(s.y[k])) + "\" r=\"3\" fill=\"" + color + "\"/>";
        }
        if (s.line) out += "<path class=\"curve\" d=\"" + path + "\"" + stroke + "/>\n";
        if (s.label.empty()) continue;
        out += "<path class=\"curve\" d=\"M" + place(legend) + " 14h22\"" + stroke + "/>";
        text(legend + 27, 18, "start", s.label);
        legend += 48 + 7.5 * static_cast<double>(s.label.size());
    }
    for (const dla::PlotMark& m : p.marks)
        if (drawable(m.x, m.y))
            out += "<circle class=\"mark\" cx=\"" + place(x(m.x)) + "\" cy=\"" + place(y(m.y)) + "\" r=\"6\" stroke=\"" + dla::detail::plot_color(m.color) +
                   "\"><title>" + escaped(m.label) + "</title></circle>\n";
    return out + "</svg>\n";
}

std::string page(const std::string& title, const std::string& body) {
    return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>" +
           escaped(title) +
           "</title>\n<style>\n"
           "body { font: 15px/1.45 system-ui, 'DejaVu Sans', sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em; color: #1b1b1b; background: #fff "
           "}\n"
           "h1 { font-size: 1.6em } h2 { font-size: 1.2em; margin-top: 2em; border-bottom: 1px solid #ccc }\n"
           "table { border-collapse: collapse } td, th { padding: 2px 9px; text-align: right; font-variant-numeric: tabular-nums }\n"
           "th { font-weight: 600 } .left { text-align: left } .numbers { display: flex; flex-wrap: wrap; gap: 12px }\n"
           ".numbers div { border: 1px solid #ddd; border-radius: 6px; padding: 8px 16px } .numbers b { display: block; font-size: 1.5em }\n"
           "svg text { font-size: 12px; fill: #333 } .grid { stroke: #e4e4e4 } .axis { stroke: #333; fill: none } .curve { fill: none; stroke-width: 2 }\n"
           ".mark { fill: none; stroke-width: 2.5 } img { image-rendering: pixelated; display: block; border: 1px solid #ccc }\n"
           ".mistakes { display: flex; flex-wrap: wrap; gap: 14px } figure { margin: 0; width: 116px } figcaption { font-size: 13px }\n"
           "pre { background: #f6f6f6; padding: 10px; overflow-x: auto } .wide { overflow-x: auto } .bar { background: #0072b2; height: 12px; display: inline-block }\n"
           "</style>\n</head>\n<body>\n" +
           body + "</body>\n</html>\n";
}

}  // namespace report
