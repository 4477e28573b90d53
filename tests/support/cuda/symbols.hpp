// SPDX-License-Identifier: MIT
// What the program's table of symbols says of variables in shared memory.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace emulated {

struct SharedVariable {
    const std::byte* begin;
    std::size_t bytes;
    std::string name;
    const void* function;  ///< that declares it; nullptr if it was inlined everywhere
};

/// All of them; read from the program's file when this is first called.
const std::vector<SharedVariable>& shared_variables();

}  // namespace emulated
