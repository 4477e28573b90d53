// SPDX-License-Identifier: MIT
// Pieces of pages that need nothing but a browser: text, pictures and charts inside one file.
#pragma once

#include <dla/io/plot_page.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace report {

/// Text as HTML shows it; control characters become spaces.
std::string escaped(std::string_view text);

/// An <img> of pixels [height, width, channels], channels 1 or 3, that is shown `scale` times as large with hard edges.
std::string picture(std::span<const std::uint8_t> pixels, int width, int height, int channels, int scale, const std::string& alternative);

/// A panel as an inline <svg>: its curves with bands, points and marks, axes, and a legend above. Values that are not finite leave gaps.
std::string chart(const dla::PlotPanel& panel, int width, int height);

/// A whole page around a body, with the style that all pages share.
std::string page(const std::string& title, const std::string& body);

}  // namespace report
