// SPDX-License-Identifier: MIT
// A number that tells data sets apart.
#pragma once

#include <dla/core/hash.hpp>
#include <dla/data/dataset.hpp>

namespace dla {

/// A number that changes with any image or label (FNV-1a over 64-bit words), so that a run is not resumed on other data.
inline std::uint64_t fingerprint(const Dataset& data) {
    Fnv1a hash;
    hash.add_words(data.images.data(), data.images.size());
    hash.add_words(data.labels.data(), data.labels.size() * sizeof(std::int32_t));
    return hash.value();
}

}  // namespace dla
