// SPDX-License-Identifier: MIT
// Counts heap allocations of a test program; link count_new.cpp, which replaces operator new, into it.
#pragma once

namespace support {

/// Calls of operator new so far, by any thread.
long allocations();

}  // namespace support
