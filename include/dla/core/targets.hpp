// SPDX-License-Identifier: MIT
// What a network is to give for the samples of a batch.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <vector>

namespace dla {

/// A class number for each sample (or for each of its pixels or rows), or values for each, in memory order.
struct Targets {
    std::span<const std::int32_t> labels{};
    std::span<const float> values{};

    Targets() = default;
    template <class Range>
        requires std::convertible_to<const Range&, std::span<const std::int32_t>>
    Targets(const Range& classes) : labels(classes) {}
    template <class Range>
        requires std::convertible_to<const Range&, std::span<const float>>
    Targets(const Range& numbers) : values(numbers) {}

    bool are_labels() const { return values.empty(); }
};

}  // namespace dla
