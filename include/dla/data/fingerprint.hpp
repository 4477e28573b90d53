// SPDX-License-Identifier: MIT
// A number that tells data sets apart.
#pragma once

#include <dla/core/hash.hpp>
#include <dla/data/dataset.hpp>

#include <algorithm>
#include <cstring>

namespace dla {

/// A number that changes with any image or label (FNV-1a over 64-bit words), so that a run is not resumed on other data.
inline std::uint64_t fingerprint(const Dataset& data) {
    Fnv1a hash;
    const auto add = [&hash](const void* bytes, std::size_t count) {
        const auto* p = static_cast<const unsigned char*>(bytes);
        for (std::size_t i = 0; i < count; i += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, p + i, std::min<std::size_t>(8, count - i));
            hash.add(word);
            hash.mix();
        }
    };
    add(data.images.data(), data.images.size());
    add(data.labels.data(), data.labels.size() * sizeof(std::int32_t));
    return hash.value();
}

}  // namespace dla
