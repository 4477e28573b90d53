// SPDX-License-Identifier: MIT
// FNV-1a, 64 bits: tells things apart, no defence against anyone.
// Source: Fowler, Noll, Vo and Eastlake, "The FNV non-cryptographic hash algorithm", IETF draft.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace dla {

/// 16 hexadecimal digits.
inline std::string to_hex(std::uint64_t n) {
    std::string digits(16, '0');
    for (std::size_t i = 16; i-- > 0; n >>= 4) digits[i] = "0123456789abcdef"[n & 15];
    return digits;
}

class Fnv1a {
public:
    constexpr void add(std::uint64_t word) { value_ = (value_ ^ word) * 0x100000001b3u; }
    constexpr void add(std::string_view bytes) {
        for (const char c : bytes) add(std::uint64_t{static_cast<unsigned char>(c)});
    }
    /// Eight bytes at a time; any change of one word changes the value.
    void add_words(const void* bytes, std::size_t count) {
        const auto* p = static_cast<const unsigned char*>(bytes);
        for (std::size_t i = 0; i < count; i += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, p + i, count - i < 8 ? count - i : 8);
            add(word);
            mix();
        }
    }
    /// Carries high bits down, where whole words are added and not bytes.
    constexpr void mix() { value_ ^= value_ >> 29; }
    constexpr std::uint64_t value() const { return value_; }

private:
    std::uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace dla
