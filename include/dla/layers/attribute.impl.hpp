// SPDX-License-Identifier: MIT
// How settings are written.
#pragma once

#include <cstdio>

namespace dla {

DLA_ONCE std::string to_text(const std::vector<Attribute>& attributes) {
    const auto written = []<class T>(const T& value) -> std::string {
        if constexpr (std::is_same_v<T, bool>) {
            return value ? "true" : "false";
        } else if constexpr (std::is_same_v<T, double>) {
            char digits[32];
            std::snprintf(digits, sizeof digits, "%g", value);
            return digits;
        } else if constexpr (std::is_same_v<T, Size2>) {
            return value.h == value.w ? std::to_string(value.h) : "(" + std::to_string(value.h) + ", " + std::to_string(value.w) + ")";
        } else if constexpr (std::is_same_v<T, index_t>) {
            return std::to_string(value);
        } else {
            return value;
        }
    };
    std::string out;
    for (const Attribute& a : attributes)
        if (a.shown) out += (out.empty() ? "" : ", ") + a.name + "=" + std::visit(written, a.value);
    return out;
}

}  // namespace dla
