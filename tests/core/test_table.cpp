// SPDX-License-Identifier: MIT
// Numbers and tables as people read them.
#include <doctest/doctest.h>

#include <dla/core/table.hpp>

#include <limits>

using namespace dla;

TEST_CASE("numbers in groups of three, and bytes with a unit") {
    CHECK(grouped(0) == "0");
    CHECK(grouped(999) == "999");
    CHECK(grouped(1000) == "1,000");
    CHECK(grouped(1234567) == "1,234,567");
    CHECK(grouped(-999) == "-999");
    CHECK(grouped(-123456) == "-123,456");
    CHECK(grouped(std::numeric_limits<index_t>::min()) == "-9,223,372,036,854,775,808");
    CHECK(byte_text(1023) == "1023 B");
    CHECK(byte_text(1536) == "1.5 KiB");
    CHECK(byte_text(index_t{3} << 30) == "3.0 GiB");
    CHECK(byte_text(index_t{4096} << 40) == "4096.0 TiB");
}

TEST_CASE("tables in each style") {
    const std::vector<std::vector<std::string>> rows{{"Depth", "Über", "Empty", "n"}, {"5", "ä", "", "10"}, {"100", "longer"}};
    CHECK(table_text(rows) ==
          "Depth    Über   n\n"
          "5           ä  10\n"
          "100    longer\n");
    CHECK(table_text(rows, {.style = TableStyle::ruled, .align = "rl"}) ==
          "Depth  Über    n\n"
          "-----------------\n"
          "    5  ä       10\n"
          "  100  longer\n");
    CHECK(table_text(rows, {.style = TableStyle::markdown, .align = "rlr"}) ==
          "| Depth | Über   |  n |\n"
          "| ----: | ------ | -: |\n"
          "|     5 | ä      | 10 |\n"
          "|   100 | longer |    |\n");
    CHECK(table_text(std::vector<std::vector<std::string>>{{"a|b", "c"}, {"1", "||"}}, {.style = TableStyle::markdown}) ==
          "| a\\|b |    c |\n"
          "| ---- | ---: |\n"
          "| 1    | \\|\\| |\n");
    CHECK(table_text({}) == "");
    CHECK(table_text(std::vector<std::vector<std::string>>{{"a", "b"}}) == "a  b\n");
    CHECK(utf8_length("Über ± 1") == 8);
}
