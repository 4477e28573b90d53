// SPDX-License-Identifier: MIT
// Patterns for the paths of parameters and layers.
#pragma once

#include <dla/core/config.hpp>

#include <string_view>

namespace dla {

/// `path` is `pattern`, lies inside it ("3.block" covers "3.block.0.weight"), or matches it with * for any run of characters.
constexpr bool path_matches(std::string_view pattern, std::string_view path) {
    std::size_t p = 0, s = 0, star = std::string_view::npos, resume = 0;
    while (s < path.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = s;
        } else if (p < pattern.size() && pattern[p] == path[s]) {
            ++p, ++s;
        } else if (p == pattern.size() && path[s] == '.') {
            return true;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            s = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

}  // namespace dla
