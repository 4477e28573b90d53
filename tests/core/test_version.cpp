// SPDX-License-Identifier: MIT
// What version.hpp says is what the build says.
#include <doctest/doctest.h>

#include <dla/version.hpp>

#include <string>

TEST_CASE("the version's numbers and texts are the project's") {
    const std::string numbers = std::to_string(DLA_VERSION_MAJOR) + "." + std::to_string(DLA_VERSION_MINOR) + "." + std::to_string(DLA_VERSION_PATCH);
    CHECK(numbers == MESON_VERSION);
    CHECK(std::string(DLA_VERSION_STRING) == MESON_VERSION);
    CHECK(DLA_VERSION == DLA_VERSION_MAJOR * 10000 + DLA_VERSION_MINOR * 100 + DLA_VERSION_PATCH);
}
