// SPDX-License-Identifier: MIT
// FNV-1a, 64 bits: tells things apart, no defence against anyone.
// Source: Fowler, Noll, Vo and Eastlake, "The FNV non-cryptographic hash algorithm", IETF draft.
#pragma once

#include <cstdint>
#include <string_view>

namespace dla {

class Fnv1a {
public:
    constexpr void add(std::uint64_t word) { value_ = (value_ ^ word) * 0x100000001b3u; }
    constexpr void add(std::string_view bytes) {
        for (const char c : bytes) add(std::uint64_t{static_cast<unsigned char>(c)});
    }
    /// Carries high bits down, where whole words are added and not bytes.
    constexpr void mix() { value_ ^= value_ >> 29; }
    constexpr std::uint64_t value() const { return value_; }

private:
    std::uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace dla
