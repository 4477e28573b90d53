// SPDX-License-Identifier: MIT
// The 16-bit types against a table of their values, written down from the definition of the formats and searched.
#include <dla/core/half.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

using dla::bf16;
using dla::f16;

namespace {

template <class H>
inline constexpr int fraction_bits = std::numeric_limits<H>::digits - 1;

/// Every non-negative number of the format in order, index = bits, and behind the last the next power of two, which stands for infinity.
template <class H>
std::vector<double> table() {
    const int fraction = fraction_bits<H>, exponents = 1 << (15 - fraction), bias = exponents / 2 - 1;
    std::vector<double> values;
    for (int e = 0; e < exponents - 1; ++e)
        for (int f = 0; f < 1 << fraction; ++f)
            values.push_back(e == 0 ? std::ldexp(f, 1 - bias - fraction) : std::ldexp((1 << fraction) + f, e - bias - fraction));
    values.push_back(std::ldexp(1.0, exponents - 1 - bias));
    return values;
}

/// The bits nearest to x, of two equally near the even ones. `values` is table<H>(); the differences are exact (Sterbenz, or far from a tie).
unsigned nearest(const std::vector<double>& values, double x) {
    const unsigned sign = std::signbit(x) ? 0x8000u : 0u;
    x = std::fabs(x);
    const auto above = static_cast<std::size_t>(std::lower_bound(values.begin(), values.end(), x) - values.begin());
    if (above == values.size()) return sign | static_cast<unsigned>(values.size() - 1);
    if (above == 0) return sign;
    const double up = values[above] - x, down = x - values[above - 1];
    const std::size_t best = up < down || (up == down && above % 2 == 0) ? above : above - 1;
    return sign | static_cast<unsigned>(best);
}

}  // namespace

static_assert(sizeof(bf16) == 2 && std::is_trivially_copyable_v<bf16> && std::is_trivially_default_constructible_v<bf16>);
static_assert(sizeof(f16) == 2 && std::is_trivially_copyable_v<f16> && std::is_trivially_default_constructible_v<f16>);
static_assert(!std::is_convertible_v<float, bf16> && !std::is_convertible_v<double, f16> && std::is_convertible_v<bf16, float>);
static_assert(std::is_same_v<decltype(bf16{} * bf16{}), float> && std::is_same_v<decltype(f16{} + 1.0), double>);
static_assert(!std::is_assignable_v<bf16&, float>, "nothing becomes narrow without being told to");
static_assert(bf16(1.0f).bits() == 0x3f80 && f16(1.0).bits() == 0x3c00 && f16(-2).bits() == 0xc000 && bf16{}.bits() == 0, "while compiling");
static_assert(float{bf16::from_bits(0x4049)} == 3.140625f && float{f16::from_bits(0x0001)} == 0x1p-24f);

TEST_CASE_TEMPLATE("half: every pattern is the number that the format says, and comes back", H, bf16, f16) {
    const auto values = table<H>();
    const auto infinity = static_cast<unsigned>(values.size() - 1);
    int wrong = 0;
    for (unsigned bits = 0; bits < 0x10000; ++bits) {
        const H h = H::from_bits(static_cast<std::uint16_t>(bits));
        const float wide = h;
        const unsigned magnitude = bits & 0x7fffu;
        bool right = std::signbit(wide) == (bits > 0x7fffu);
        if (magnitude > infinity) {  // NaN: quiet, sign and upper payload kept
            const unsigned quiet = bits | 1u << (fraction_bits<H> - 1);
            right = right && std::isnan(wide) && H(wide).bits() == quiet && H(static_cast<double>(wide)).bits() == quiet;
        } else {
            const double exact = magnitude == infinity ? HUGE_VAL : values[magnitude];
            right = right && std::fabs(static_cast<double>(wide)) == exact && H(wide).bits() == bits && H(static_cast<double>(wide)).bits() == bits;
        }
        wrong += !right;
    }
    CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("half: ties go to even, and the least bit beside a tie decides", H, bf16, f16) {
    const auto values = table<H>();
    int wrong = 0;
    for (std::size_t i = 0; i + 1 < values.size(); ++i) {
        const double tie = values[i] + (values[i + 1] - values[i]) / 2;  // exact in double and, but for bf16's smallest, in float
        for (const double x : {tie, std::nextafter(tie, 0.0), std::nextafter(tie, HUGE_VAL), values[i + 1]})
            for (const double signed_x : {x, -x}) wrong += H(signed_x).bits() != nearest(values, signed_x);
        const auto narrow = static_cast<float>(tie);
        for (const float x : {narrow, std::nextafter(narrow, 0.0f), std::nextafter(narrow, HUGE_VALF)})
            for (const float signed_x : {x, -x}) wrong += H(signed_x).bits() != nearest(values, static_cast<double>(signed_x));
    }
    CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("half: numbers of any size", H, bf16, f16) {
    const auto values = table<H>();
    std::mt19937_64 random(1);
    int wrong = 0;
    for (int i = 0; i < 400000; ++i) {
        const std::uint64_t bits = random();
        float narrow = 0;
        double wide = 0;
        const auto low = static_cast<std::uint32_t>(bits);
        std::memcpy(&narrow, &low, sizeof narrow);
        std::memcpy(&wide, &bits, sizeof wide);
        if (!std::isfinite(wide) || wide == 0) continue;
        const double near = std::ldexp(wide, -std::ilogb(wide) + static_cast<int>(bits % 48) - 30);  // in and around f16's range
        if (!std::isnan(narrow)) wrong += H(narrow).bits() != nearest(values, static_cast<double>(narrow));
        wrong += H(wide).bits() != nearest(values, wide);
        wrong += H(near).bits() != nearest(values, near);
    }
    CHECK(wrong == 0);
}

TEST_CASE("half: a double is rounded once") {
    // 1 + 2^-8 is a tie of bf16 and 2^-40 lies above it; by way of float the tie would remain and go down to even.
    CHECK(bf16(1 + 0x1p-8 + 0x1p-40).bits() == 0x3f81);
    CHECK(bf16(static_cast<float>(1 + 0x1p-8 + 0x1p-40)).bits() == 0x3f80);
    CHECK(f16(1 + 0x1p-11 + 0x1p-40).bits() == 0x3c01);
    CHECK(f16(65520.0).bits() == 0x7c00);
    CHECK(f16(65519.999).bits() == 0x7bff);
    CHECK(f16(0x1p-25).bits() == 0);
    CHECK(f16(-0x1.0000000001p-25).bits() == 0x8001);
    CHECK(bf16(std::numeric_limits<double>::denorm_min()).bits() == 0);
    CHECK(bf16(-std::numeric_limits<double>::infinity()).bits() == 0xff80);
}

TEST_CASE_TEMPLATE("half: numeric_limits", H, bf16, f16) {
    using L = std::numeric_limits<H>;
    static_assert(L::is_specialized && L::is_signed && !L::is_integer && L::has_infinity && L::has_quiet_NaN && L::radix == 2);
    const auto values = table<H>();
    CHECK(static_cast<double>(L::max()) == values[values.size() - 2]);
    CHECK(static_cast<double>(L::lowest()) == -values[values.size() - 2]);
    CHECK(static_cast<double>(L::denorm_min()) == values[1]);
    CHECK(static_cast<double>(L::min()) == std::ldexp(1.0, L::min_exponent - 1));
    CHECK(static_cast<double>(L::min()) == values[std::size_t{1} << fraction_bits<H>]);
    CHECK(values.back() == std::ldexp(1.0, L::max_exponent));
    CHECK(H(1 + L::epsilon()).bits() == H(1).bits() + 1);
    CHECK(std::isinf(float{L::infinity()}));
    CHECK(std::isnan(float{L::quiet_NaN()}));
    CHECK(L::max_exponent10 == static_cast<int>(std::floor(std::log10(static_cast<double>(L::max())))));
    CHECK(L::min_exponent10 == static_cast<int>(std::ceil(std::log10(static_cast<double>(L::min())))));
    CHECK(L::digits10 == static_cast<int>(std::floor((L::digits - 1) * std::log10(2.0))));
    CHECK(L::max_digits10 == static_cast<int>(std::ceil(1 + L::digits * std::log10(2.0))));
}
