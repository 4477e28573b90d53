// SPDX-License-Identifier: MIT
// The type of sizes and counts, for code on any device.
#pragma once

#include <dla/core/config.hpp>

#include <cstdint>

namespace dla {

/// The type of sizes and counts: signed, 64 bits.
using index_t = std::int64_t;

}  // namespace dla
