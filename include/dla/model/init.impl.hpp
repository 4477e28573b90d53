// SPDX-License-Identifier: MIT
// How first values are drawn.
#pragma once

#include <algorithm>

namespace dla {

namespace detail {

DLA_ONCE std::vector<double> first_values(const ParamRow& row, std::size_t i, Seed seed) {
    std::vector<double> values(static_cast<std::size_t>(row.count), row.init.fixed);
    if (row.init.bound > 0) {
        RandomStream random({static_cast<std::uint64_t>(seed), static_cast<std::uint32_t>(i), 0}, RandomUse::initialisation);
        for (double& value : values) value = row.init.bound * (2.0 * static_cast<double>(random.uniform()) - 1.0);
    }
    return values;
}

DLA_ONCE std::string names_text(const std::vector<std::string>& names, const char* what) {
    if (names.empty()) return "";
    std::string out = ", " + std::to_string(names.size()) + what;
    for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 4); ++i) out += (i ? ", " : " (") + names[i];
    return out + (names.size() > 4 ? ", ...)" : ")");
}

}  // namespace detail

DLA_ONCE std::string CopyReport::text() const {
    return std::to_string(copied.size()) + " arrays copied" + detail::names_text(missing, " not in the source") +
           detail::names_text(unexpected, " of the source not used") + detail::names_text(mismatched, " of another size");
}

}  // namespace dla
