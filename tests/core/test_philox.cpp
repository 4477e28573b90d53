// SPDX-License-Identifier: MIT
#include <dla/core/philox.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <vector>

using dla::philox4x32;

// Known answers of the Random123 distribution for philox4x32-10.
TEST_CASE("philox known answers") {
    using Block = std::array<std::uint32_t, 4>;
    CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    CHECK(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) == Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) == Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("below is in range and about uniform") {
    dla::RandomStream random({7, 0, 0}, dla::RandomUse::split);
    int count[10]{};
    for (int i = 0; i < 100000; ++i) {
        const auto v = random.below(10);
        REQUIRE(v < 10);
        ++count[v];
    }
    for (int c : count) CHECK(std::abs(c - 10000) < 400);  // 4 standard deviations are 380
}

TEST_CASE("shuffle is a permutation that depends on seed and position only") {
    std::vector<int> a(1000);
    std::iota(a.begin(), a.end(), 0);
    auto b = a, c = a;
    dla::shuffle(a, dla::RandomStream({1, 2, 0}, dla::RandomUse::shuffle));
    dla::shuffle(b, dla::RandomStream({1, 2, 0}, dla::RandomUse::shuffle));
    dla::shuffle(c, dla::RandomStream({1, 3, 0}, dla::RandomUse::shuffle));
    CHECK(a == b);
    CHECK(a != c);
    std::sort(a.begin(), a.end());
    for (int i = 0; i < 1000; ++i) CHECK(a[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("normal has mean 0 and variance 1") {
    dla::RandomStream random({3, 0, 0}, dla::RandomUse::synthesis);
    double sum = 0, squares = 0;
    constexpr int n = 200000;
    for (int i = 0; i < n; ++i) {
        const double v = random.normal();
        sum += v;
        squares += v * v;
    }
    CHECK(std::abs(sum / n) < 0.01);
    CHECK(squares / n == doctest::Approx(1).epsilon(0.02));
}
