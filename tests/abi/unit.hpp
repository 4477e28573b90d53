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
    std::string (*isa)();                                       ///< name of the instruction set its kernels use
    int (*threads)();                                           ///< how many threads it runs when four are asked for
    float (*library)(float value, float rate, float gradient);  ///< value - rate * gradient by a kernel of the library
    float (*by_hand)(float value, float rate, float gradient);  ///< the same, written in the unit itself
    double (*library_mean)(double loss, double weight);         ///< loss * weight - 1 as the library sums the losses of batches
    double (*mean_by_hand)(double loss, double weight);         ///< the same, written in the unit itself
    std::string (*types)();                                     ///< the linker's names of types whose code depends on flags
    std::string (*read)(const std::string& path);               ///< the content of a file, or why it cannot be read
    const void* active_isa;                                     ///< where the library's function lies that this unit calls
};
