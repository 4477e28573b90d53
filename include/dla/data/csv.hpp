// SPDX-License-Identifier: MIT
// Tables of numbers from CSV files, for regression and classification.
#pragma once

#include <dla/data/source.hpp>

namespace dla {

/// A column of a table: by the name in its header, or by number from 0; -1 is the last one, -2 the one before.
struct CsvColumn {
    std::string name{};
    index_t index = 0;  ///< where there is no name

    CsvColumn(std::string column) : name(std::move(column)) {}
    CsvColumn(const char* column) : name(column) {}
    CsvColumn(int column) : index(column) {}
};

/// Whether the first line names the columns. `automatic`: it does when none of the cells that are to be numbers is one.
enum class CsvHeader { automatic, yes, no };

/// What the target columns hold.
enum class CsvTarget {
    classes,  ///< class numbers from 0, in one column
    names,    ///< names of classes, in one column; sorted by their bytes they are numbered from 0
    values,   ///< numbers, in any number of columns
};

/// What the columns of a table are.
struct CsvOptions {
    char separator = ',';
    CsvHeader header = CsvHeader::automatic;
    CsvTarget target = CsvTarget::classes;
    std::vector<CsvColumn> targets{CsvColumn(-1)};
    std::vector<CsvColumn> ignored{};  ///< neither features nor targets, e.g. an identifier; may hold any text
    /// With CsvTarget::names: the classes, in the order of their numbers, instead of those of the file; other names are errors. For a test set, those of the
    /// training set.
    std::vector<std::string> class_names{};
};

/// What a CSV file holds.
struct CsvData {
    ArrayData data;                           ///< [features] for each line; targets are labels, or values [targets]
    std::vector<std::string> columns;         ///< names of the features, in the order of the file; without a header their numbers
    std::vector<std::string> target_columns;  ///< in the order of CsvOptions::targets
    std::vector<std::string> class_names;     ///< with CsvTarget::names
};

/// Reads a table as RFC 4180 describes it: cells in quotes may hold separators, line breaks and doubled quotes; lines end in LF or CR LF. A byte order mark
/// of UTF-8 and empty lines at the end are left out. Numbers are written with a point, whatever the locale, and may have spaces around them.
/// Throws Error(data) with line and column for a cell that is missing or no finite number, a line with another number of cells, quotes in the wrong place,
/// and a table without lines or features; Error(config) for options that do not fit.
DLA_ONCE CsvData read_csv(const std::string& path, const CsvOptions& options = {});

}  // namespace dla

#if DLA_BODIES
#include <dla/data/csv.impl.hpp>
#endif
