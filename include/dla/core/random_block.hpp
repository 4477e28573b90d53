// SPDX-License-Identifier: MIT
// Random words by their place (Philox4x32-10): a value depends on seed and position only, never on order, thread or device.
// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <array>
#include <cstdint>

namespace dla {

/// Four 32-bit words of Philox4x32-10 for a 128-bit counter and a 64-bit key.
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
        const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
        counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
                   static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    return counter;
}

/// Where in training a random number is drawn. Plain integers: this is the whole state of the generator.
struct RandomPosition {
    std::uint64_t seed = 0;
    std::uint32_t epoch = 0;
    std::uint32_t step = 0;
    constexpr bool operator==(const RandomPosition&) const = default;
};

/// Block number `block` (four words) of the stream at this position: counter = (stream, epoch, step, block), key = seed.
constexpr std::array<std::uint32_t, 4> random_block(const RandomPosition& at, std::uint32_t stream, std::uint32_t block) {
    return philox4x32({stream, at.epoch, at.step, block}, {static_cast<std::uint32_t>(at.seed), static_cast<std::uint32_t>(at.seed >> 32)});
}

/// Uniform in [0, 1) with 24 bits, exact in float.
constexpr float to_unit_float(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

}  // namespace dla
