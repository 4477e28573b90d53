// SPDX-License-Identifier: MIT
// How tables are written.
#pragma once

#include <algorithm>
#include <cstdio>

namespace dla {

DLA_ONCE std::string grouped(index_t n) {
    std::string digits = std::to_string(n);
    for (int i = static_cast<int>(digits.size()) - 3; i > (n < 0); i -= 3) digits.insert(static_cast<std::size_t>(i), 1, ',');
    return digits;
}

DLA_ONCE std::string byte_text(index_t bytes) {
    const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes);
    int unit = 0;
    while (value >= 1024 && unit < 4) value /= 1024, ++unit;
    char line[32];
    std::snprintf(line, sizeof line, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return line;
}

DLA_ONCE std::size_t utf8_length(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

/// What a cell of a Markdown table must be, in which | would end it.
inline std::string markdown_cell(std::string text) {
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, 1, '\\');
    return text;
}

DLA_ONCE std::string table_text(std::span<const std::vector<std::string>> rows, const TableOptions& o) {
    if (rows.empty()) return "";
    const std::size_t columns = rows[0].size();
    const bool markdown = o.style == TableStyle::markdown;
    const auto cell_of = [&](std::size_t n, std::size_t c) {
        return c >= rows[n].size() ? std::string() : markdown ? markdown_cell(rows[n][c]) : rows[n][c];
    };
    std::vector<std::size_t> width(columns), shown;
    for (std::size_t c = 0; c < columns; ++c) {
        bool used = rows.size() == 1;
        for (std::size_t n = 0; n < rows.size(); ++n) {
            if (c >= rows[n].size()) continue;
            width[c] = std::max(width[c], utf8_length(cell_of(n, c)));
            used = used || (n > 0 && !rows[n][c].empty());
        }
        if (used) shown.push_back(c);
    }
    const auto left = [&](std::size_t c) { return !o.align.empty() && o.align[std::min(c, o.align.size() - 1)] == 'l'; };
    std::string out;
    const auto end_line = [&](std::string line) {
        if (markdown) line = "| " + line + " |";
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    };
    for (std::size_t n = 0; n < rows.size(); ++n) {
        std::string line;
        for (const std::size_t c : shown) {
            const std::string cell = cell_of(n, c), room(width[c] - utf8_length(cell), ' ');
            line += (c == shown[0] ? "" : markdown ? " | " : "  ") + (left(c) ? cell + room : room + cell);
        }
        const std::size_t whole = utf8_length(line);
        end_line(line);
        if (n > 0 || o.style == TableStyle::plain) continue;
        if (!markdown) {
            out += std::string(whole, '-') + "\n";
            continue;
        }
        std::string rule;
        for (const std::size_t c : shown)
            rule += (c == shown[0] ? "" : " | ") + (left(c) ? std::string(width[c], '-') : std::string(std::max<std::size_t>(width[c], 2) - 1, '-') + ":");
        end_line(rule);
    }
    return out;
}

}  // namespace dla
