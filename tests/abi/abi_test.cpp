// SPDX-License-Identifier: MIT
// One program of translation units that were compiled with different flags: each must get the code of its own flags, and exact results.
#include "unit.hpp"

#include <doctest/doctest.h>

extern const Unit plain, fast;

TEST_CASE("-ffast-math changes no bit") {
    const std::vector<Outcome> exact = plain.outcomes(), got = fast.outcomes();
    REQUIRE(exact.size() == got.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
        CAPTURE(got[i].name);
        CHECK(got[i].name == exact[i].name);
        CHECK(got[i].bits == exact[i].bits);
        if (got[i].name.starts_with("NaN")) CHECK(got[i].bits == 1);
    }
}
