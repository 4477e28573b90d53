// SPDX-License-Identifier: MIT
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
