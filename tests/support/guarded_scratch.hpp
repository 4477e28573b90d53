// SPDX-License-Identifier: MIT
// Scratch memory for a kernel under test.
#pragma once

#include <dla/backend/policy.hpp>

#include <doctest/doctest.h>

#include <cstring>

namespace support {

/// Exactly `bytes`, poisoned, with a guard behind it that nobody may have written to when it ends.
class GuardedScratch {
public:
    explicit GuardedScratch(dla::index_t bytes) : bytes_(bytes), arena_({}, bytes + guard) {
        std::memset(arena_.data(), 0xff, static_cast<std::size_t>(bytes + guard));
    }
    ~GuardedScratch() {
        bool guarded = true;
        for (dla::index_t i = 0; i < guard; ++i) guarded = guarded && arena_.data()[bytes_ + i] == std::byte{0xff};
        CHECK_MESSAGE(guarded, "scratch overrun");
    }
    std::byte* data() { return arena_.data(); }

private:
    static constexpr dla::index_t guard = 256;
    dla::index_t bytes_;
    dla::Arena<dla::Reference<float>> arena_;
};

}  // namespace support
