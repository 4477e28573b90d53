// SPDX-License-Identifier: MIT
// Counts heap allocations of a test program; link count_new.cpp, which replaces operator new, into it.
#pragma once

namespace support {

/// Calls of operator new so far, by any thread.
long allocations();

/// Bytes asked for so far from operator new with an alignment of its own, which arenas use and containers do not.
long long aligned_bytes();

}  // namespace support
