// SPDX-License-Identifier: MIT
// Sequences of counter-based random numbers: what is drawn depends on seed and position only, never on order or thread.
#pragma once

#include <dla/core/math.hpp>
#include <dla/core/random_block.hpp>

#include <cmath>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

/// The generator's seed.
enum class Seed : std::uint64_t {};

/// What a random number is for. Layers that draw (dropout) use `first_layer + n`, n the order in which the network builds them.
enum class RandomUse : std::uint32_t { initialisation = 0, split = 1, shuffle = 2, augmentation = 3, synthesis = 4, mixup = 5, first_layer = 1024 };

/// Uniform in [0, 1) with 53 bits.
constexpr double to_unit_double(std::uint32_t high, std::uint32_t low) { return static_cast<double>(((std::uint64_t{high} << 32) | low) >> 11) * 0x1p-53; }

/// A sequence of random numbers at one position and stream, for code that draws one after another.
class RandomStream {
public:
    constexpr RandomStream(const RandomPosition& at, std::uint32_t stream, std::uint32_t first_block = 0) : at_(at), stream_(stream), block_(first_block) {}
    constexpr RandomStream(const RandomPosition& at, RandomUse use, std::uint32_t first_block = 0)
        : RandomStream(at, static_cast<std::uint32_t>(use), first_block) {}

    constexpr std::uint32_t bits() {
        if (used_ == 4) {
            words_ = random_block(at_, stream_, block_++);
            used_ = 0;
        }
        return words_[used_++];
    }
    constexpr float uniform() { return to_unit_float(bits()); }
    constexpr double uniform_double() {
        const std::uint32_t high = bits();
        return to_unit_double(high, bits());
    }
    /// Unbiased integer in [0, n), n >= 1 (multiply-shift with rejection; Lemire, ACM TOMACS 2019).
    constexpr std::uint32_t below(std::uint32_t n) {
        std::uint64_t product = std::uint64_t{bits()} * n;
        if (static_cast<std::uint32_t>(product) < n) {
            const std::uint32_t threshold = (0u - n) % n;
            while (static_cast<std::uint32_t>(product) < threshold) product = std::uint64_t{bits()} * n;
        }
        return static_cast<std::uint32_t>(product >> 32);
    }
    /// Standard normal (Box-Muller, one of the pair).
    double normal() {
        const double u = 1.0 - uniform_double();
        return std::sqrt(-2.0 * math::log(u)) * math::cos_pi(2 * uniform_double());
    }

private:
    RandomPosition at_;
    std::uint32_t stream_;
    std::uint32_t block_;
    std::array<std::uint32_t, 4> words_{};
    std::uint32_t used_ = 4;
};

/// Fisher-Yates shuffle of a random-access range.
template <class Range>
constexpr void shuffle(Range& range, RandomStream random) {
    for (std::size_t i = range.size(); i > 1; --i) {
        const std::size_t j = random.below(static_cast<std::uint32_t>(i));
        auto kept = range[i - 1];
        range[i - 1] = range[j];
        range[j] = kept;
    }
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
