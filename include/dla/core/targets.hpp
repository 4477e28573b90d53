// SPDX-License-Identifier: MIT
// What a network is to give for the samples of a batch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace dla {

/// A class number for each sample, or values for each, in memory order.
struct Targets {
    std::span<const std::int32_t> labels{};
    std::span<const float> values{};

    Targets() = default;
    Targets(std::span<const std::int32_t> classes) : labels(classes) {}
    Targets(std::span<const float> numbers) : values(numbers) {}
    Targets(const std::vector<std::int32_t>& classes) : labels(classes) {}
    Targets(const std::vector<float>& numbers) : values(numbers) {}

    bool are_labels() const { return values.empty(); }
};

}  // namespace dla
