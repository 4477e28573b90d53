// SPDX-License-Identifier: MIT
// Numbers and tables as text for people.
#pragma once

#include <dla/core/shape.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dla {

/// `1234567` as `1,234,567`.
DLA_ONCE std::string grouped(index_t n);
/// `12.3 MiB`.
DLA_ONCE std::string byte_text(index_t bytes);
/// Characters of UTF-8 text.
DLA_ONCE std::size_t utf8_length(std::string_view text);

/// What stands around the cells of a table.
enum class TableStyle {
    plain,     ///< nothing
    ruled,     ///< a rule below the first row
    markdown,  ///< as Markdown has them
};

/// How `table_text` writes a table.
struct TableOptions {
    TableStyle style = TableStyle::plain;
    std::string_view align = "lr";  ///< `l` or `r` for each column, the last one for all that follow
};

/// Rows of cells, the first of them the heads, in columns as wide as they need to be. Columns without a cell below the head are left out. A row may be shorter
/// than the first.
DLA_ONCE std::string table_text(std::span<const std::vector<std::string>> rows, const TableOptions& options = {});

}  // namespace dla

#if DLA_BODIES
#include <dla/core/table.impl.hpp>
#endif
