// SPDX-License-Identifier: MIT
// What one translation unit of a program sees of the library. unit.cpp is compiled several times with other flags, and abi_test.cpp links them all.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// Name of a computation and its bits: those of its values, NaN and subnormal numbers made alike (a program linked with -ffast-math flushes the latter).
struct Outcome {
    std::string name;
    std::uint64_t bits;
};

struct Unit {
    std::vector<Outcome> (*outcomes)();
};
