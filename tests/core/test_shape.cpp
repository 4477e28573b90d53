// SPDX-License-Identifier: MIT
#include <dla/core/arena.hpp>
#include <dla/core/error.hpp>
#include <dla/core/pack.hpp>
#include <dla/core/shape.hpp>

#include <doctest/doctest.h>

using dla::Dyn;
using dla::Shape;

TEST_CASE("a Dyn axis never silences its neighbours") {
    CHECK(compatible(Shape{3, 32, 32}, Shape{3, Dyn, 32}));
    CHECK_FALSE(compatible(Shape{3, 32, 32}, Shape{4, Dyn, 32}));
    CHECK_FALSE(compatible(Shape{3, 32, 32}, Shape{Dyn, Dyn}));
    CHECK(compatible(Shape{}, Shape{5}));
    CHECK(Shape{3, Dyn, 32}.size() == Dyn);
    CHECK(Shape{3, 4, 5}.size() == 60);
}

TEST_CASE("sentences") {
    constexpr auto line = refusal("Linear<512, 10>", Shape{64, 2, 2}, dla::text("expected ", 512));
    static_assert(line.view() == "Linear<512, 10> refuses input [64, 2, 2] (256 values): expected 512");
    CHECK(to_text(Shape{Dyn, 7}).view() == "[Dyn, 7]");
    CHECK(dla::text(-12, " and ", 0).view() == "-12 and 0");
    const dla::Error error(dla::ErrorCode::data, "a.idx", "truncated; expected 16 bytes, got 3");
    CHECK(std::string(error.what()) == "error[data] a.idx: truncated; expected 16 bytes, got 3");
    CHECK(exit_code(error.code()) == 3);
}

TEST_CASE("sizes that do not fit are the largest number, not a wrong one") {
    constexpr dla::index_t most = std::numeric_limits<dla::index_t>::max();
    static_assert(dla::saturating_mul(1 << 20, 3) == 3 << 20 && dla::saturating_add(most - 1, 1) == most);
    static_assert(dla::saturating_mul(most, 2) == most && dla::saturating_mul(dla::index_t{1} << 32, dla::index_t{1} << 31) == most);
    static_assert(dla::saturating_add(most, 1) == most && dla::saturating_mul(most, 0) == 0);
    static_assert(Shape{most}.size() == most && Shape{most, most}.size() == most && Shape{3, most, 2}.size() == most);
    static_assert(Shape{dla::index_t{1} << 32, dla::index_t{1} << 32}.size() == most);  // 0 without the check
    static_assert(Shape{most, Dyn}.size() == Dyn && Shape{most, Dyn}.is_too_large() && !Shape{Dyn, Dyn}.is_too_large());
    static_assert(!Shape{dla::max_values}.is_too_large() && Shape{dla::max_values + 1}.is_too_large() && !Shape{}.is_too_large());
    static_assert(dla::ShapeResult(Shape{dla::max_values}).ok() && !dla::ShapeResult(Shape{dla::max_values, 2}).ok());
    static_assert(dla::align_up(most) > most - 64 && dla::align_up(most) % 64 == 0 && dla::align_up(65) == 128 && dla::align_up(0) == 0);
    static_assert(dla::padded_count<double>(most) > most / 16);
    CHECK(dla::ShapeResult(Shape{2, most}).why.view() == "a sample [2, 9223372036854775807] has more than 1099511627776 values (2^40)");
    CHECK(dla::text(most, std::numeric_limits<dla::index_t>::min()).view() == "9223372036854775807-9223372036854775808");
    CHECK(dla::text(std::numeric_limits<std::size_t>::max()).view() == "18446744073709551615");
}

TEST_CASE("long text is cut, not overrun") {
    dla::Text t;
    for (int i = 0; i < 1000; ++i) t.append("abc");
    CHECK(t.view().size() == dla::Text::capacity - 1);
    CHECK(t.c_str()[dla::Text::capacity - 1] == '\0');
}

TEST_CASE("pack") {
    dla::Pack<int, double, int> pack;
    dla::get<0>(pack) = 1;
    dla::get<1>(pack) = 2.5;
    dla::get<2>(pack) = 3;
    double sum = 0;
    dla::for_each_index<3>([&](auto i) { sum = 10 * sum + dla::get<i>(pack); });
    CHECK(sum == 128);
    struct Empty {};
    static_assert(sizeof(dla::Pack<Empty, Empty, int>) <= 2 * sizeof(int));
}
