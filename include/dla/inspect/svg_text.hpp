// SPDX-License-Identifier: MIT
// The pieces of an SVG picture: elements, and text whose width is known before a font is.
#pragma once

#include <dla/inspect/graph_label.hpp>

namespace dla::detail {

/// Width of `text` (UTF-8) in a font of 1 unit: that of DejaVu Sans, the widest of the usual sans-serif fonts; Helvetica and Arial take less.
inline double text_width(std::string_view text, bool bold = false) {
    static constexpr unsigned short ascii[] = {// thousandths, from the blank on
                                               318, 401, 460, 838, 637, 951, 780, 275, 391, 391, 500, 838, 318, 361,  318, 337, 637, 637, 637,
                                               637, 637, 637, 637, 637, 637, 637, 337, 337, 838, 838, 838, 531, 1000, 685, 687, 699, 771, 632,
                                               576, 775, 752, 295, 295, 656, 558, 863, 749, 788, 604, 788, 695, 635,  611, 732, 685, 989, 686,
                                               611, 686, 391, 337, 391, 838, 500, 500, 613, 635, 550, 635, 616, 353,  635, 634, 278, 278, 580,
                                               278, 975, 634, 612, 635, 635, 412, 521, 393, 634, 592, 818, 592, 592,  525, 637, 337, 637, 838};
    double width = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x20 + std::size(ascii))
            width += ascii[byte - 0x20] / 1000.0;
        else if ((byte & 0xc0) != 0x80)  // the first byte of another character
            width += 1;
    }
    return bold ? 1.17 * width : width;
}
/// `text`, or its beginning with an ellipsis, such that it is at most `room` wide at `size`.
inline std::string cut_text(std::string text, double room, double size, bool bold = false) {
    if (text_width(text, bold) * size <= room + 0.01) return text;
    while (!text.empty() && (text_width(text, bold) + 1) * size > room) {
        while (text.size() > 1 && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) text.pop_back();
        text.pop_back();
    }
    return text + "\u2026";
}

inline std::string xml_text(std::string_view text) {
    std::string out;
    for (const char c : clean_utf8(text)) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            default:
                out += c;
        }
    }
    return out;
}
/// A coordinate to the tenth, whatever the locale.
inline std::string svg_number(double v) {
    const long long tenths = static_cast<long long>(v * 10 + (v < 0 ? -0.5 : 0.5));
    const std::string sign = tenths < 0 ? "-" : "";
    const long long size = tenths < 0 ? -tenths : tenths;
    return sign + std::to_string(size / 10) + (size % 10 ? "." + std::to_string(size % 10) : "");
}

/// The head of arrows that name it.
inline std::string svg_marker(const char* id, const char* color) {
    return std::string("<marker id=\"") + id + "\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\" " +
           "markerUnits=\"userSpaceOnUse\"><path d=\"M0 0.5 L8 4 L0 7.5 z\" fill=\"" + color + "\"/></marker>\n";
}

struct TextStyle {
    double size = 12;
    bool bold = false;
    const char* anchor = "start";
    const char* color = "#1a1a1a";
};

/// A growing list of elements.
class SvgCanvas {
public:
    void open(const char* kind, const std::string& path = {}) {
        out_ += std::string("<g class=\"") + kind + "\"" + (path.empty() ? "" : " data-path=\"" + xml_text(path) + "\"") + ">\n";
    }
    void tip(const std::string& text) { out_ += "<title>" + xml_text(text) + "</title>\n"; }
    void close() { out_ += "</g>\n"; }
    void rect(double x, double y, double width, double height, double radius, const std::string& style) {
        out_ += "<rect x=\"" + svg_number(x) + "\" y=\"" + svg_number(y) + "\" width=\"" + svg_number(width) + "\" height=\"" + svg_number(height) +
                "\" rx=\"" + svg_number(radius) + "\" " + style + "/>\n";
    }
    void circle(double x, double y, double radius, const std::string& style) {
        out_ += "<circle cx=\"" + svg_number(x) + "\" cy=\"" + svg_number(y) + "\" r=\"" + svg_number(radius) + "\" " + style + "/>\n";
    }
    void path(const std::string& d, const std::string& style) { out_ += "<path d=\"" + d + "\" " + style + "/>\n"; }
    /// `more`: a blank behind the text, in the plain face. A blank character would be left out by some viewers.
    void text(double x, double y, const std::string& content, const TextStyle& s, const std::string& more = {}, const std::string& transform = {}) {
        out_ += "<text x=\"" + svg_number(x) + "\" y=\"" + svg_number(y) + "\" font-size=\"" + svg_number(s.size) + "\" fill=\"" + s.color + "\"" +
                (std::string_view(s.anchor) == "start" ? "" : std::string(" text-anchor=\"") + s.anchor + "\"") + transform + ">";
        out_ += s.bold ? "<tspan font-weight=\"bold\">" + xml_text(content) + "</tspan>" : xml_text(content);
        out_ += (more.empty() ? "" : "<tspan dx=\"" + svg_number(s.size * text_width(" ")) + "\">" + xml_text(more) + "</tspan>") + "</text>\n";
    }
    const std::string& content() const { return out_; }

private:
    std::string out_;
};

/// `M12 30.5` and the like.
inline std::string svg_point(const char* command, double x, double y) { return command + svg_number(x) + " " + svg_number(y); }

}  // namespace dla::detail
