// SPDX-License-Identifier: MIT
// Whether a number is finite, decided on its bits: under -ffinite-math-only (part of -ffast-math) a compiler takes std::isfinite for granted.
#pragma once

#include <dla/core/config.hpp>

#include <bit>
#include <cstdint>

namespace dla {

/// Neither infinite nor NaN: the exponent's bits are not all set.
constexpr bool is_finite(float v) { return (std::bit_cast<std::uint32_t>(v) & 0x7f800000u) != 0x7f800000u; }
constexpr bool is_finite(double v) { return (std::bit_cast<std::uint64_t>(v) & 0x7ff0000000000000u) != 0x7ff0000000000000u; }

/// NaN: the exponent's bits are all set, and one of the fraction's.
constexpr bool is_nan(float v) { return (std::bit_cast<std::uint32_t>(v) & 0x7fffffffu) > 0x7f800000u; }
constexpr bool is_nan(double v) { return (std::bit_cast<std::uint64_t>(v) & 0x7fffffffffffffffu) > 0x7ff0000000000000u; }

/// Whether none of the numbers of a range is infinite or NaN.
template <class Range>
constexpr bool all_finite(const Range& values) {
    for (const auto v : values)
        if (!is_finite(v)) return false;
    return true;
}

}  // namespace dla
