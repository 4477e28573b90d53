// SPDX-License-Identifier: MIT
// How first values are drawn.
#pragma once

namespace dla::detail {

DLA_ONCE std::vector<double> first_values(const ParamRow& row, std::size_t i, Seed seed) {
    std::vector<double> values(static_cast<std::size_t>(row.count), row.init.fixed);
    if (row.init.bound > 0) {
        RandomStream random({static_cast<std::uint64_t>(seed), static_cast<std::uint32_t>(i), 0}, RandomUse::initialisation);
        for (double& value : values) value = row.init.bound * (2.0 * static_cast<double>(random.uniform()) - 1.0);
    }
    return values;
}

}  // namespace dla::detail
