// SPDX-License-Identifier: MIT
// doctest's main, which reports "skipped" where there is no CUDA device.
#include <dla/backend/cuda/queue.hpp>

#include <cstdio>

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

int main(int argc, char** argv) {
    if (const std::string why = dla::cuda::why_no_device(); !why.empty()) {
        std::printf("SKIPPED: %s\n", why.c_str());
        return 77;  // to meson
    }
    return doctest::Context(argc, argv).run();
}
