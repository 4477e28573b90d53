// SPDX-License-Identifier: MIT
// How CSV files are taken apart and their cells turned into numbers.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/io/atomic_file.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace dla::detail {

/// A number written with a decimal point, spaces and tabs around it allowed. Not finite where the text says so or a float cannot hold it.
enum class CsvNumber { good, missing, not_a_number, not_finite };
inline CsvNumber csv_number(std::string_view text, float& value) {
    const auto space = [](char c) { return c == ' ' || c == '\t'; };
    while (!text.empty() && space(text.front())) text.remove_prefix(1);
    while (!text.empty() && space(text.back())) text.remove_suffix(1);
    if (text.empty()) return CsvNumber::missing;
    if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);  // std::from_chars knows no plus sign
    const char* const end = text.data() + text.size();
    auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc::result_out_of_range) {  // too large, or so small that the nearest float is 0
        double wide = 0;
        const auto again = std::from_chars(text.data(), end, wide);
        if (again.ptr != end) return CsvNumber::not_a_number;
        if (again.ec != std::errc{} || !(wide > -1 && wide < 1)) return CsvNumber::not_finite;
        value = static_cast<float>(wide);
        return CsvNumber::good;
    }
    if (error != std::errc{} || stop != end) return CsvNumber::not_a_number;
    return is_finite(value) ? CsvNumber::good : CsvNumber::not_finite;
}

/// A cell of a file for a message: cut, and without control characters.
inline std::string csv_excerpt(std::string_view cell) {
    std::string shown(cell.substr(0, 40));
    for (char& c : shown)
        if (static_cast<unsigned char>(c) < 32 || c == 127) c = '?';
    return '"' + shown + (cell.size() > 40 ? "...\"" : "\"");
}

/// Walks through the records of a file.
class CsvReader {
public:
    struct Cell {
        std::string_view text;
        std::size_t line = 0;
    };

    CsvReader(const std::string& path, char separator)
        : path_(path), separator_(separator), bytes_(read_file(path, std::uint64_t{max_values}, ErrorCode::data)) {
        at_ = reinterpret_cast<char*>(bytes_.data());
        end_ = at_ + bytes_.size();
        if (std::string_view(at_, bytes_.size()).starts_with("\xef\xbb\xbf")) at_ += 3;
        if (std::find(at_, end_, '\0') != end_) fail(ErrorCode::data, path, "not a text file in UTF-8 or ASCII: it holds zero bytes");
    }

    /// The cells of the next record, valid until the reader ends; none at the end of the file.
    bool next(std::vector<Cell>& cells) {
        cells.clear();
        if (at_ == end_) return false;
        if (at_line_end()) {
            const std::size_t empty = line_;
            while (at_ != end_ && at_line_end()) skip_line_end();
            if (at_ != end_) refuse(empty, "the line is empty; expected a line of cells, or the end of the file");
            return false;
        }
        for (;;) {
            cells.push_back(*at_ == '"' ? quoted() : plain());
            if (at_ == end_) return true;
            if (*at_ != separator_) break;
            if (++at_ == end_) return cells.push_back({{}, line_}), true;
        }
        skip_line_end();
        return true;
    }

    [[noreturn]] void refuse(std::size_t line, const std::string& sentence) const {
        fail(ErrorCode::data, path_, "line " + std::to_string(line) + ": " + sentence);
    }

private:
    bool at_line_end() const { return *at_ == '\n' || *at_ == '\r'; }
    void skip_line_end() {
        if (*at_ == '\r' && (++at_ == end_ || *at_ != '\n')) refuse(line_, "a carriage return without a line feed; expected lines that end in LF or CR LF");
        ++at_, ++line_;
    }
    Cell plain() {
        char* const begin = at_;
        while (at_ != end_ && *at_ != separator_ && !at_line_end())
            if (*at_++ == '"') refuse(line_, "a quote inside a cell that does not begin with one; put the cell in quotes and double those inside");
        return {{begin, static_cast<std::size_t>(at_ - begin)}, line_};
    }
    Cell quoted() {
        const std::size_t first = line_;
        char *const begin = ++at_, *out = at_;  // doubled quotes become one where they are
        for (;; ++at_) {
            if (at_ == end_) refuse(first, "a cell's opening quote has no closing one");
            if (*at_ == '"' && (++at_ == end_ || *at_ != '"')) break;
            line_ += *at_ == '\n';
            *out++ = *at_;
        }
        if (at_ != end_ && *at_ != separator_ && !at_line_end())
            refuse(line_, "text follows a cell's closing quote; expected a separator or the end of the line (quotes inside a cell are doubled)");
        return {{begin, static_cast<std::size_t>(out - begin)}, first};
    }

    const std::string& path_;
    char separator_;
    std::vector<std::byte> bytes_;
    char *at_ = nullptr, *end_ = nullptr;
    std::size_t line_ = 1;
};

/// What becomes of the columns of a table.
struct CsvLayout {
    std::vector<std::string> names;
    bool named = false;  ///< by a header
    std::vector<std::size_t> features, targets;

    std::string column(std::size_t c) const { return "column " + std::to_string(c + 1) + (named ? " " + csv_excerpt(names[c]) : ""); }
};

/// Number of a column that the options ask for. Error: config.
inline std::size_t csv_find(const std::string& path, const CsvColumn& column, const CsvLayout& layout) {
    const auto count = std::ssize(layout.names);
    if (column.name.empty()) {
        const index_t at = column.index < 0 ? count + column.index : column.index;
        if (at < 0 || at >= count)
            fail(ErrorCode::config, path,
                 "there is no column " + std::to_string(column.index) + "; the table has " + std::to_string(count) + ", numbered from 0");
        return static_cast<std::size_t>(at);
    }
    if (!layout.named) fail(ErrorCode::config, path, "the column " + csv_excerpt(column.name) + " is asked for, but the file has no header");
    const auto found = std::find(layout.names.begin(), layout.names.end(), column.name);
    if (found == layout.names.end()) {
        std::string have;
        for (std::size_t c = 0; c < layout.names.size() && c < 20; ++c) have += (c ? ", " : "") + csv_excerpt(layout.names[c]);
        fail(ErrorCode::config, path, "there is no column " + csv_excerpt(column.name) + "; the table has " + have + (layout.names.size() > 20 ? ", ..." : ""));
    }
    if (std::find(found + 1, layout.names.end(), column.name) != layout.names.end())
        fail(ErrorCode::config, path, "there are several columns " + csv_excerpt(column.name) + "; give the number of the one that is meant");
    return static_cast<std::size_t>(found - layout.names.begin());
}

inline CsvLayout csv_layout(const std::string& path, const std::vector<CsvReader::Cell>& first, const CsvOptions& options) {
    CsvLayout layout;
    layout.named = options.header == CsvHeader::yes;
    for (std::size_t c = 0; c < first.size(); ++c) layout.names.push_back(layout.named ? std::string(first[c].text) : std::to_string(c));
    const auto assign = [&] {
        std::vector<char> use(first.size(), 'f');
        const auto mark = [&](const CsvColumn& column, char as) {
            const std::size_t c = csv_find(path, column, layout);
            if (use[c] != 'f') fail(ErrorCode::config, path, layout.column(c) + " is given twice, as target or as ignored");
            use[c] = as;
            return c;
        };
        layout.features.clear(), layout.targets.clear();
        for (const CsvColumn& column : options.ignored) mark(column, 'i');
        for (const CsvColumn& column : options.targets) layout.targets.push_back(mark(column, 't'));
        for (std::size_t c = 0; c < use.size(); ++c)
            if (use[c] == 'f') layout.features.push_back(c);
    };
    const auto by_name = [](const std::vector<CsvColumn>& columns) {
        return std::any_of(columns.begin(), columns.end(), [](const CsvColumn& c) { return !c.name.empty(); });
    };
    if (options.header == CsvHeader::automatic) {
        layout.named = by_name(options.targets) || by_name(options.ignored);
        if (!layout.named) {
            assign();
            float unused = 0;
            const auto number = [&](std::size_t c) {
                const CsvNumber is = csv_number(first[c].text, unused);
                return is == CsvNumber::good || is == CsvNumber::not_finite;
            };
            layout.named = std::none_of(layout.features.begin(), layout.features.end(), number) &&
                           (options.target == CsvTarget::names || std::none_of(layout.targets.begin(), layout.targets.end(), number));
        }
        if (layout.named)
            for (std::size_t c = 0; c < first.size(); ++c) layout.names[c] = first[c].text;
    }
    assign();
    if (layout.features.empty())
        fail(ErrorCode::data, path,
             "no column is left for the features: the first line has " + std::to_string(first.size()) + " cells; is " + csv_excerpt({&options.separator, 1}) +
                 " the separator?");
    return layout;
}

inline void csv_check(const std::string& path, const CsvOptions& options) {
    const auto require = [&](bool good, const char* what) {
        if (!good) fail(ErrorCode::config, path, what);
    };
    const char s = options.separator;
    const bool letter = (s >= '0' && s <= '9') || (s >= 'a' && s <= 'z') || (s >= 'A' && s <= 'Z');
    require(!letter && s != '"' && s != '\n' && s != '\r' && s != '\0' && s != '.' && s != '+' && s != '-',
            "the separator may not be part of a number or a quote");
    require(!options.targets.empty(), "no target column is given");
    require(options.target == CsvTarget::values || options.targets.size() == 1, "classes take one target column; for several, ask for CsvTarget::values");
    require(options.target == CsvTarget::names || options.class_names.empty(), "class_names are for CsvTarget::names");
    std::vector<std::string> sorted = options.class_names;
    std::sort(sorted.begin(), sorted.end());
    require(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end(), "a class name is given twice");
}

}  // namespace dla::detail

namespace dla {

DLA_ONCE CsvData read_csv(const std::string& path, const CsvOptions& options) {
    using detail::CsvNumber, detail::csv_excerpt;
    detail::csv_check(path, options);
    detail::CsvReader reader(path, options.separator);
    std::vector<detail::CsvReader::Cell> cells;
    if (!reader.next(cells)) fail(ErrorCode::data, path, "the file is empty; expected a table");
    const detail::CsvLayout layout = detail::csv_layout(path, cells, options);
    std::vector<float> inputs, values;
    std::vector<std::int32_t> labels;
    std::vector<std::string_view> names;
    std::vector<std::size_t> lines;

    const auto refuse = [&](std::size_t c, const std::string& sentence) { reader.refuse(cells[c].line, layout.column(c) + ": " + sentence); };
    const auto number = [&](std::size_t c) {
        float value = 0;
        const CsvNumber is = detail::csv_number(cells[c].text, value);
        if (is == CsvNumber::missing) refuse(c, "the cell is empty; expected a number (what is missing must be filled in or left out before)");
        if (is == CsvNumber::not_a_number) refuse(c, "expected a number, got " + csv_excerpt(cells[c].text));
        if (is == CsvNumber::not_finite) refuse(c, "expected a finite number that a float can hold, got " + csv_excerpt(cells[c].text));
        return value;
    };
    bool more = !layout.named || reader.next(cells);
    if (!more) fail(ErrorCode::data, path, "the table has a header and no lines");
    for (; more; more = reader.next(cells)) {
        if (cells.size() != layout.names.size())
            reader.refuse(cells[0].line,
                          "expected " + std::to_string(layout.names.size()) + " cells as in the first line, got " + std::to_string(cells.size()));
        for (const std::size_t c : layout.features) inputs.push_back(number(c));
        for (const std::size_t c : layout.targets) {
            if (options.target == CsvTarget::names) {
                if (cells[c].text.empty()) refuse(c, "the cell is empty; expected the name of a class");
                names.push_back(cells[c].text);
                lines.push_back(cells[c].line);
                continue;
            }
            const float value = number(c);
            if (options.target == CsvTarget::values) {
                values.push_back(value);
                continue;
            }
            constexpr float limit = 1 << 24;  // up to here floats hold every integer
            if (!(value >= 0 && value < limit) || value != std::floor(value))
                refuse(c, "expected a class number (0, 1, ...), got " + csv_excerpt(cells[c].text) + "; for a regression, ask for CsvTarget::values");
            labels.push_back(static_cast<std::int32_t>(value));
        }
    }

    std::vector<std::string> class_names = options.class_names;
    if (options.target == CsvTarget::names) {
        std::vector<std::string_view> order(names);
        if (!class_names.empty()) order.assign(class_names.begin(), class_names.end());
        std::sort(order.begin(), order.end());
        order.erase(std::unique(order.begin(), order.end()), order.end());
        if (class_names.empty()) class_names.assign(order.begin(), order.end());
        std::vector<std::int32_t> label_of(order.size());
        for (std::size_t k = 0; k < class_names.size(); ++k)
            label_of[static_cast<std::size_t>(std::lower_bound(order.begin(), order.end(), class_names[k]) - order.begin())] = static_cast<std::int32_t>(k);
        for (std::size_t i = 0; i < names.size(); ++i) {
            const auto found = std::lower_bound(order.begin(), order.end(), names[i]);
            if (found == order.end() || *found != names[i])
                reader.refuse(lines[i], layout.column(layout.targets[0]) + ": " + csv_excerpt(names[i]) + " is none of the class names that are given");
            labels.push_back(label_of[static_cast<std::size_t>(found - order.begin())]);
        }
    }

    const auto names_of = [&](const std::vector<std::size_t>& columns) {
        std::vector<std::string> out;
        for (const std::size_t c : columns) out.push_back(layout.names[c]);
        return out;
    };
    const Shape shape{std::ssize(layout.features)};
    const bool are_values = options.target == CsvTarget::values;
    ArrayData data = are_values ? ArrayData(shape, std::move(inputs), Shape{std::ssize(layout.targets)}, std::move(values))
                                : ArrayData(shape, std::move(inputs), std::move(labels));
    return {std::move(data), names_of(layout.features), names_of(layout.targets), std::move(class_names)};
}

}  // namespace dla
