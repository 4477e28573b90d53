// SPDX-License-Identifier: MIT
// The elementary functions of <dla/core/math.hpp> against long double, whose 64 bits leave an error of 0.001 ulp of a double.
#include <dla/core/math.hpp>
#include <dla/core/philox.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace {

namespace math = dla::math;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// |got - exact| in units of the last place of a double near `exact`.
double ulps(double got, long double exact) {
    if (static_cast<long double>(got) == exact) return 0;
    if (!std::isfinite(got) || !std::isfinite(static_cast<double>(exact))) return got == static_cast<double>(exact) ? 0 : infinity;
    int exponent = 0;
    std::frexp(exact, &exponent);
    return static_cast<double>(std::fabs(static_cast<long double>(got) - exact) / std::ldexp(1.0L, std::max(exponent - 53, -1074)));
}

/// A double with random bits below the given exponents.
double random_double(dla::RandomStream& random, int low, int high) {
    const double fraction = 1 + random.uniform_double();
    return std::ldexp(fraction, low + static_cast<int>(random.below(static_cast<std::uint32_t>(high - low + 1))));
}

constexpr long double pi = 3.14159265358979323846264338327950288L;

/// sin(pi x) with an exact reduction.
long double exact_sin_pi(double x) {
    long double r = std::fmod(static_cast<long double>(x), 2.0L);
    const long double quarters = std::round(2 * r);
    r -= quarters / 2;
    switch (((static_cast<int>(quarters) % 4) + 4) % 4) {
        case 0:
            return std::sin(pi * r);
        case 1:
            return std::cos(pi * r);
        case 2:
            return -std::sin(pi * r);
        default:
            return -std::cos(pi * r);
    }
}
long double exact_cos_pi(double x) {
    long double r = std::fmod(std::fabs(static_cast<long double>(x)), 2.0L);
    const long double quarters = std::round(2 * r);
    r -= quarters / 2;
    switch (static_cast<int>(quarters) % 4) {
        case 0:
            return std::cos(pi * r);
        case 1:
            return -std::sin(pi * r);
        case 2:
            return -std::cos(pi * r);
        default:
            return std::sin(pi * r);
    }
}

}  // namespace

TEST_CASE("power is within 0.51 ulp") {
    dla::RandomStream random({1, 0, 0}, dla::RandomUse::synthesis);
    double worst = 0;
    for (const double base : {0.9, 0.99, 0.999, 0.9999, 0.5, 0.1, 0.95, 1.5, -0.9, -2.0})
        for (std::int64_t n = 0; n < 2000; ++n) worst = std::max(worst, ulps(math::power(base, n), std::pow(static_cast<long double>(base), n)));
    for (int i = 0; i < 200000; ++i) {
        const double base = random_double(random, -3, 2);
        const auto n = static_cast<std::int64_t>(random.below(1100));
        worst = std::max(worst, ulps(math::power(base, n), std::pow(static_cast<long double>(base), n)));
    }
    for (int i = 0; i < 100000; ++i) {  // near 1, to large powers
        const double base = 1 + (random.uniform_double() - 0.5) * 0x1p-20;
        const auto n = static_cast<std::int64_t>(random.below(1u << 26));
        worst = std::max(worst, ulps(math::power(base, n), std::exp(static_cast<long double>(n) * std::log1p(static_cast<long double>(base) - 1))));
    }
    MESSAGE("largest error: ", worst, " ulp");
    CHECK(worst <= 0.51);
}

TEST_CASE("sin_pi and cos_pi are within 0.51 ulp") {
    dla::RandomStream random({2, 0, 0}, dla::RandomUse::synthesis);
    double worst = 0;
    const auto look = [&](double x) { worst = std::max({worst, ulps(math::cos_pi(x), exact_cos_pi(x)), ulps(math::sin_pi(x), exact_sin_pi(x))}); };
    for (std::int64_t length = 1; length < 400; ++length)
        for (std::int64_t t = 0; t <= 2 * length; ++t) look(static_cast<double>(t) / static_cast<double>(length));
    for (int i = 0; i < 200000; ++i) {
        look(random.uniform_double() * 2);
        look(-random_double(random, -40, 60));
        look(random_double(random, -1073, -30));
        look(0.5 * random.below(9) + (random.uniform_double() - 0.5) * std::ldexp(1.0, -static_cast<int>(random.below(50))));
    }
    MESSAGE("largest error: ", worst, " ulp");
    CHECK(worst <= 0.51);
}

TEST_CASE("log is within 0.51 ulp") {
    dla::RandomStream random({3, 0, 0}, dla::RandomUse::synthesis);
    double worst = 0;
    const auto look = [&](double x) { worst = std::max(worst, ulps(math::log(x), std::log(static_cast<long double>(x)))); };
    for (int i = 1; i < 20000; ++i) look(i), look(1.0 / i);
    for (int i = 0; i < 300000; ++i) {
        look(random_double(random, -1074, 1023));
        look(random_double(random, -2, 1));
        look(1 + (random.uniform_double() - 0.5) * std::ldexp(1.0, -static_cast<int>(random.below(50))));
    }
    double near = std::sqrt(0.5);
    for (int i = 0; i < 100; ++i) look(near = std::nextafter(near, 1)), look(2 * near);
    MESSAGE("largest error: ", worst, " ulp");
    CHECK(worst <= 0.51);
}

TEST_CASE("special values of the elementary functions") {
    CHECK(math::power(0.0, 0) == 1);
    CHECK(math::power(not_a_number, 0) == 1);
    CHECK(std::isnan(math::power(not_a_number, 3)));
    CHECK(math::power(0.0, 3) == 0);
    CHECK(std::signbit(math::power(-0.0, 3)));
    CHECK(math::power(-infinity, 3) == -infinity);
    CHECK(math::power(-infinity, 4) == infinity);
    CHECK(math::power(0.5, 1074) == 0x1p-1074);
    CHECK(math::power(0.5, 1075) == 0);
    CHECK(math::power(2.0, 1023) == 0x1p1023);
    CHECK(math::power(2.0, 1024) == infinity);
    CHECK(math::power(1.0, std::numeric_limits<std::int64_t>::max()) == 1);
    CHECK(math::power(0.999, std::numeric_limits<std::int64_t>::max()) == 0);
    CHECK(math::power(-1.001, std::numeric_limits<std::int64_t>::max()) == -infinity);
    CHECK(math::power(0x1p-1074, 1) == 0x1p-1074);
    CHECK(math::power(1 - 0x1p-53, std::int64_t{1} << 53) == doctest::Approx(std::exp(-1.0)).epsilon(1e-15));
    for (int i = -8; i <= 8; ++i) {
        CHECK(math::cos_pi(i) == (i % 2 == 0 ? 1 : -1));
        CHECK(math::sin_pi(i) == 0);
        CHECK(math::cos_pi(i + 0.5) == 0);
        CHECK(math::sin_pi(i + 0.5) == (i % 2 == 0 ? 1 : -1));
    }
    CHECK(math::cos_pi(1e300) == 1);
    CHECK(math::cos_pi(0x1p53 - 1) == -1);
    CHECK(math::cos_pi(0x1p53 + 2) == 1);
    CHECK(math::sin_pi(0x1p-1074) == 3 * 0x1p-1074);
    CHECK(std::isnan(math::cos_pi(infinity)));
    CHECK(std::isnan(math::sin_pi(not_a_number)));
    CHECK(math::log(1.0) == 0);
    CHECK(math::log(0.0) == -infinity);
    CHECK(std::isnan(math::log(-1.0)));
    CHECK(math::log(infinity) == infinity);
    CHECK(std::isnan(math::log(not_a_number)));
    CHECK(math::log(2.0) == 0x1.62e42fefa39efp-1);
    static_assert(math::power(1.5, 2) == 2.25 && math::cos_pi(0.25) == 0x1.6a09e667f3bcdp-1 && math::log(4.0) == 0x1.62e42fefa39efp0);
}

TEST_CASE("128 bits by hand") {
    dla::RandomStream random({4, 0, 0}, dla::RandomUse::synthesis);
    for (int i = 0; i < 100000; ++i) {
        const std::uint64_t a = std::uint64_t{random.bits()} << 32 | random.bits(),
                            b = (std::uint64_t{random.bits()} << 32 | random.bits()) >> random.below(64);
        REQUIRE(dla::detail::multiply_high(a, b) == dla::detail::multiply_high_portable(a, b));
        REQUIRE(dla::detail::divide(a, b | std::uint64_t{1} << 63) == dla::detail::divide_portable(a, b | std::uint64_t{1} << 63));
    }
    CHECK(dla::detail::divide_portable(~std::uint64_t{0}, std::uint64_t{1} << 63) == dla::detail::divide(~std::uint64_t{0}, std::uint64_t{1} << 63));
}
