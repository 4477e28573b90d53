// SPDX-License-Identifier: MIT
// Elementary functions that give the same bits on every machine: libm picks variants by the processor when a program starts, and their last bits differ.
// Integer arithmetic only, so neither fused multiply-adds nor -ffast-math can change a result, and the compiler can evaluate them.
#pragma once

#include <dla/core/finite.hpp>

#include <limits>

namespace dla {
namespace detail {

/// Upper 64 bits of a product; halves by hand where the compiler has no type of 128 bits.
constexpr std::uint64_t multiply_high_portable(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
    const std::uint64_t first = a1 * b0 + (a0 * b0 >> 32), second = a0 * b1 + (first & 0xffffffffu);
    return a1 * b1 + (first >> 32) + (second >> 32);
}
/// floor(a * 2^63 / b) for b >= 2^63.
constexpr std::uint64_t divide_portable(std::uint64_t a, std::uint64_t b) {
    std::uint64_t quotient = a >= b ? 1 : 0, rest = a >= b ? a - b : a;
    for (int i = 0; i < 63; ++i) {
        const bool one = (rest >> 63) != 0 || 2 * rest >= b;  // rest < b, so twice the rest is less than 2 b
        rest = 2 * rest - (one ? b : 0);
        quotient = 2 * quotient + (one ? 1 : 0);
    }
    return quotient;
}

#if defined(__SIZEOF_INT128__)
constexpr std::uint64_t multiply_high(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide128 = unsigned __int128;
    return static_cast<std::uint64_t>(static_cast<Wide128>(a) * b >> 64);
}
constexpr std::uint64_t divide(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide128 = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<Wide128>(a) << 63) / b);
}
#else
constexpr std::uint64_t multiply_high(std::uint64_t a, std::uint64_t b) { return multiply_high_portable(a, b); }
constexpr std::uint64_t divide(std::uint64_t a, std::uint64_t b) { return divide_portable(a, b); }
#endif

constexpr std::uint64_t shift_right(std::uint64_t v, std::int64_t by) { return by >= 64 ? 0 : by >= 0 ? v >> by : v << -by; }

/// A positive number, (high + low 2^-64) 2^(exponent - 63); the top bit of `high` is set.
struct Mantissa {
    std::uint64_t high = 0, low = 0;
    std::int64_t exponent = 0;

    constexpr Mantissa() = default;
    constexpr Mantissa(std::uint64_t h, std::uint64_t l, std::int64_t e) : high(h), low(l), exponent(e) {
        if (high == 0) high = low, low = 0, exponent -= 64;
        if (const int zeros = std::countl_zero(high); zeros > 0 && zeros < 64) {
            high = high << zeros | low >> (64 - zeros);
            low <<= zeros;
            exponent -= zeros;
        }
    }
    /// |v|, which is neither 0, infinite nor NaN.
    constexpr explicit Mantissa(double v) {
        const std::uint64_t bits = std::bit_cast<std::uint64_t>(v) & 0x7fffffffffffffffu, fraction = bits & 0x000fffffffffffffu;
        const bool normal = bits != fraction;
        *this = Mantissa((normal ? fraction | 0x0010000000000000u : fraction) << 11, 0, normal ? static_cast<std::int64_t>(bits >> 52) - 1023 : -1022);
    }

    /// Truncated after 128 bits; exponents far outside those of a double stay there.
    constexpr Mantissa operator*(const Mantissa& o) const {
        const std::uint64_t cross1 = multiply_high(high, o.low), cross2 = multiply_high(low, o.high), bottom = high * o.high;
        const std::uint64_t sum = bottom + cross1, total = sum + cross2;
        const std::uint64_t carry = (sum < bottom ? 1u : 0u) + (total < sum ? 1u : 0u);
        constexpr std::int64_t limit = std::int64_t{1} << 32;
        const std::int64_t e = exponent + o.exponent + 1;
        return {multiply_high(high, o.high) + carry, total, e > limit ? limit : e < -limit ? -limit : e};
    }

    /// To nearest, ties to even; subnormal numbers are rounded once.
    constexpr double value(bool negative) const {
        std::uint64_t bits = 0;
        if (exponent > 1023) {
            bits = 0x7ff0000000000000u;
        } else if (exponent >= -1075) {
            const int drop = exponent >= -1022 ? 11 : static_cast<int>(-1022 - exponent) + 11;  // up to 64 of the upper bits
            const std::uint64_t kept = drop == 64 ? 0 : high >> drop, rest = high << (64 - drop), half = std::uint64_t{1} << 63;
            const bool up = rest > half || (rest == half && (low != 0 || kept % 2 != 0));
            // A normal number's leading bit adds one to the exponent field, and so does a carry.
            bits = kept + (up ? 1 : 0) + (exponent >= -1022 ? static_cast<std::uint64_t>(exponent + 1022) << 52 : 0);
        }
        return std::bit_cast<double>(bits | (negative ? 0x8000000000000000u : 0));
    }
};

/// x = quarter * 1/2 + (behind ? -1 : 1) * rest with 0 <= rest <= 1/4, exactly, for x >= 0; quarter modulo 4.
struct HalfTurn {
    Mantissa rest;
    bool is_zero = true, behind = false;
    unsigned quarter = 0;

    constexpr explicit HalfTurn(double x) {
        if (x == 0) return;
        const Mantissa m(x);
        if (m.exponent > 53) return;  // an even integer
        if (m.exponent < -2) {
            rest = m, is_zero = false;
            return;
        }
        const int whole = static_cast<int>(62 - m.exponent);  // bits below those of 2 x
        quarter = static_cast<unsigned>(shift_right(m.high, whole) % 4);
        std::uint64_t fraction = m.high << (64 - whole);
        if (fraction > std::uint64_t{1} << 63) fraction = 0 - fraction, behind = true, ++quarter;
        is_zero = fraction == 0;
        if (!is_zero) rest = Mantissa(fraction, 0, -2);
    }
};

/// sin(pi r), cos(pi r) for 0 <= r <= 1/4: Taylor series in r^2, coefficients times 2^61, smallest terms first.
constexpr Mantissa sine_of_rest(const Mantissa& r) {
    constexpr std::uint64_t terms[] = {0x6487ED5110B4611Au, 0xA55DE7312DF295F5u, 0x519AF19DD6AB8749u, 0x132D2CCE62BD85BEu, 0x02A0F0690FDCF037u,
                                       0x003C60E9FBD10E3Fu, 0x0003D1E869A031ACu, 0x00002DF5B73E2AAFu, 0x000001AAEC32AF93u, 0x0000000C52021090u};
    const std::uint64_t square = shift_right(multiply_high(r.high, r.high), -2 * (r.exponent + 1));
    std::uint64_t sum = 0;
    for (int k = 9; k >= 0; --k) sum = terms[k] - multiply_high(sum, square);
    return Mantissa(sum, 0, 2) * r;
}
constexpr Mantissa cosine_of_rest(const Mantissa& r) {
    constexpr std::uint64_t terms[] = {0x2000000000000000u, 0x9DE9E64DF22EF2D2u, 0x81E0F840DAD61D9Bu, 0x2ABA78FC797FF3F9u,
                                       0x0787D41A246EAEBDu, 0x00D368F95102545Du, 0x000FCE9C51BB1E61u, 0x0000DB7127A25894u,
                                       0x000009063161796Cu, 0x0000004A831646BEu, 0x00000001EF6E308Du};
    const std::uint64_t square = shift_right(multiply_high(r.high, r.high), -2 * (r.exponent + 1));
    std::uint64_t sum = 0;
    for (int k = 10; k >= 0; --k) sum = terms[k] - multiply_high(sum, square);
    return Mantissa(sum, 0, 2);
}

/// sin(pi x) for quarter 0, cos(pi x) for quarter 1, and so on round the circle.
constexpr double turned(const HalfTurn& h, unsigned quarter, bool negative) {
    const bool is_cosine = quarter % 2 != 0, is_negative = (quarter % 4 >= 2) != negative;
    if (is_cosine) return h.is_zero ? (is_negative ? -1.0 : 1.0) : cosine_of_rest(h.rest).value(is_negative);
    if (h.is_zero) return 0.0;
    return sine_of_rest(h.rest).value(is_negative != h.behind);
}

}  // namespace detail

namespace math {

/// base^n for n >= 0, within 0.51 ulp; power(x, 0) = 1 for every x, as std::pow.
constexpr double power(double base, std::int64_t n) {
    if (n <= 0) return 1.0;
    const bool negative = (std::bit_cast<std::uint64_t>(base) >> 63) != 0 && n % 2 != 0;
    if (is_nan(base)) return base;
    if (!is_finite(base)) return negative ? base : std::numeric_limits<double>::infinity();
    if (base == 0) return negative ? base : 0.0;
    detail::Mantissa square(base), result(std::uint64_t{1} << 63, 0, 0);
    for (;; square = square * square) {
        if (n % 2 != 0) result = result * square;
        n /= 2;
        if (n == 0) return result.value(negative);
    }
}

/// cos(pi x), within 0.51 ulp; exact at multiples of 1/2; NaN if x is not finite.
constexpr double cos_pi(double x) {
    if (!is_finite(x)) return std::numeric_limits<double>::quiet_NaN();
    const detail::HalfTurn h(x);
    return detail::turned(h, h.quarter + 1, false);
}

/// sin(pi x), within 0.51 ulp; 0 at integers; NaN if x is not finite.
constexpr double sin_pi(double x) {
    if (!is_finite(x)) return std::numeric_limits<double>::quiet_NaN();
    const detail::HalfTurn h(x);
    return detail::turned(h, h.quarter, (std::bit_cast<std::uint64_t>(x) >> 63) != 0);
}

/// Natural logarithm, within 0.51 ulp; -infinity at 0, NaN below and for NaN.
constexpr double log(double x) {
    if (is_nan(x)) return x;
    if (x == 0) return -std::numeric_limits<double>::infinity();
    if ((std::bit_cast<std::uint64_t>(x) >> 63) != 0) return std::numeric_limits<double>::quiet_NaN();
    if (!is_finite(x)) return x;
    // x = m 2^e with m between sqrt(1/2) and sqrt(2); log m = 2 s (1 + s^2 / 3 + s^4 / 5 + ...) with s = (m - 1) / (m + 1).
    const detail::Mantissa m(x);
    const bool below = m.high > 0xB504F333F9DE6484u;
    const std::int64_t e = m.exponent + (below ? 1 : 0);
    std::uint64_t series = 0;  // |log m| = series 2^-(61 + zeros)
    int zeros = 0;
    if (const std::uint64_t distance = below ? (0 - m.high) >> 1 : (m.high - (std::uint64_t{1} << 63)) >> 1; distance != 0) {
        constexpr std::uint64_t terms[] = {0x8000000000000000u, 0x2AAAAAAAAAAAAAABu, 0x199999999999999Au, 0x1249249249249249u, 0x0E38E38E38E38E39u,
                                           0x0BA2E8BA2E8BA2E9u, 0x09D89D89D89D89D9u, 0x0888888888888889u, 0x0787878787878788u, 0x06BCA1AF286BCA1Bu,
                                           0x0618618618618618u, 0x0590B21642C8590Bu, 0x051EB851EB851EB8u, 0x04BDA12F684BDA13u};  // 2^63 / (2 k + 1)
        zeros = std::countl_zero(distance);
        const std::uint64_t s = detail::divide(distance << zeros, (m.high >> 1) + (std::uint64_t{1} << (below ? 63 : 62)));  // times 2^(63 + zeros)
        const std::uint64_t square = detail::shift_right(detail::multiply_high(s, s), 2 * (zeros - 1));
        std::uint64_t sum = 0;
        for (int k = 13; k >= 0; --k) sum = terms[k] + detail::multiply_high(sum, square);
        series = detail::multiply_high(s, sum);
    }
    if (e == 0) return series == 0 ? 0.0 : detail::Mantissa(series, 0, 2 - zeros).value(below);
    const std::uint64_t size = static_cast<std::uint64_t>(e < 0 ? -e : e), ln2 = 0xB17217F7D1CF79ACu;
    std::uint64_t high = detail::multiply_high(size, ln2), low = size * ln2;
    const std::uint64_t part = detail::shift_right(series, zeros - 3);
    if (below == (e < 0)) {
        low += part;
        high += low < part ? 1 : 0;
    } else {
        high -= low < part ? 1 : 0;
        low -= part;
    }
    return detail::Mantissa(high, low, 63).value(e < 0);
}

}  // namespace math
}  // namespace dla
