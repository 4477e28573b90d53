// SPDX-License-Identifier: MIT
// Tables as text.
#pragma once

#include <dla/core/shape.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

namespace dla::detail {

/// `1234567` as `1,234,567`.
inline std::string grouped(index_t n) {
    std::string digits = std::to_string(n);
    for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) digits.insert(static_cast<std::size_t>(i), 1, ',');
    return digits;
}
/// `12.3 MiB`.
inline std::string byte_text(index_t bytes) {
    const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes);
    int unit = 0;
    while (value >= 1024 && unit < 4) value /= 1024, ++unit;
    char line[32];
    std::snprintf(line, sizeof line, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return line;
}

template <std::size_t Columns>
using TableLine = std::array<std::string, Columns>;

/// Columns as wide as they need to be, the first `left` of them flush left; empty columns are left out. A rule stands below the first line.
template <std::size_t Columns>
std::string table_text(const std::vector<TableLine<Columns>>& lines, std::size_t left) {
    std::array<std::size_t, Columns> width{};
    std::array<bool, Columns> used{};
    for (std::size_t n = 0; n < lines.size(); ++n)
        for (std::size_t i = 0; i < Columns; ++i) {
            width[i] = std::max(width[i], lines[n][i].size());
            used[i] = used[i] || (n > 0 && !lines[n][i].empty());
        }
    std::string out;
    std::size_t rule = 0;
    for (std::size_t n = 0; n < lines.size(); ++n) {
        std::string line;
        for (std::size_t i = 0; i < Columns; ++i) {
            if (!used[i]) continue;
            const std::string pad(width[i] - lines[n][i].size(), ' ');
            line += (line.empty() ? "" : "  ") + (i < left ? lines[n][i] + pad : pad + lines[n][i]);
        }
        rule = line.size();
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
        if (n == 0) out += std::string(rule, '-') + "\n";
    }
    return out;
}

}  // namespace dla::detail
