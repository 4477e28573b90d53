// SPDX-License-Identifier: MIT
// Threads of an emulated block: where a thread is, and the points at which it waits for others. What device_code.hpp makes of CUDA's names stands on this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace emulated {

/// As uint3, which the toolkit's headers may or may not have declared.
struct Index {
    unsigned x = 0, y = 0, z = 0;
};

}  // namespace emulated

// One thread of one block runs at a time: these are its own.
inline emulated::Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulated {

enum class WarpCall { sync, shuffle, shuffle_up, shuffle_down, shuffle_xor, ballot, any, all };

/// What a lane hands in when it meets the others of its warp.
struct WarpRequest {
    WarpCall call = WarpCall::sync;
    unsigned mask = 0;
    std::uint64_t value = 0;
    int lane = 0;  ///< or distance, or bits
    int width = 32;
    const char* file = "";
    int line = 0;
};

/// Waits for all threads of the block.
void wait_for_block(const char* file, int line);
/// Waits for the lanes of the mask; the value that this lane gets.
std::uint64_t meet_warp(const WarpRequest& request);

/// Runs `thread` for each thread of the grid. Throws Fault where threads wait for each other in vain.
void run_grid(const char* kernel, const void* function, Index grid, Index block, const std::function<void()>& thread);

/// True while a thread of a kernel runs.
bool in_kernel();
/// "kernel add, block (1,0,0), thread (3,0,0)"
std::string whereabouts();

}  // namespace emulated
