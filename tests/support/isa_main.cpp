// SPDX-License-Identifier: MIT
// doctest's main, which reports "skipped" where the processor lacks the instruction set that DLA_SIMD asks for.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <dla/kernels/cpu/isa.hpp>

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

int main(int argc, char** argv) {
    constexpr int skipped = 77;  // to meson
    try {
        std::printf("instruction set: %s\n", to_string(dla::active_isa()));
    } catch (const dla::Error& error) {
        std::puts(error.what());
        const std::string_view wish(std::getenv("DLA_SIMD"));
        return wish == "avx2" || wish == "avx512" ? skipped : 1;
    }
    return doctest::Context(argc, argv).run();
}
