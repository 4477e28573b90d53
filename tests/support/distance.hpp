// SPDX-License-Identifier: MIT
// How far results in float are from exact ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace support {

/// Largest |a - b| in units of float rounding at the largest value of `exact`; infinite when sizes or NaN differ.
inline double distance(const std::vector<float>& a, const std::vector<double>& exact) {
    if (a.size() != exact.size()) return std::numeric_limits<double>::infinity();
    double scale = 0, worst = 0;
    for (const double e : exact) scale = std::max(scale, std::abs(e));
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (std::isnan(a[i]) != std::isnan(exact[i])) return std::numeric_limits<double>::infinity();
        if (!std::isnan(a[i])) worst = std::max(worst, std::abs(static_cast<double>(a[i]) - exact[i]));
    }
    return worst == 0 ? 0 : worst / (scale * 0x1p-24);
}

}  // namespace support
