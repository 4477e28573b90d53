// SPDX-License-Identifier: MIT
// What watched kernels do wrong is named, whichever order their threads run in; what they do right is let be. This file is compiled as watched kernels are.
#include "../support/cuda/device_code.hpp"
#include "emulated_check.hpp"

using namespace emulated_check;

extern "C" {

__global__ void watched_neighbours(float* y, bool barrier, bool second) {
    __shared__ float room[64];
    const unsigned t = threadIdx.x;
    for (int i = 0; i < 2; ++i) {
        room[t] = static_cast<float>(t);
        if (barrier) __syncthreads();
        y[blockIdx.x * blockDim.x + t] = room[(t + 1) % blockDim.x];
        if (second) __syncthreads();
    }
}

__global__ void watched_far(float* y, int far) {
    __shared__ float room[64];
    room[threadIdx.x + static_cast<unsigned>(far)] = 1;
    y[threadIdx.x] = room[threadIdx.x];
}

/// The sum of all x, in one word that each thread adds to.
__global__ void watched_adds(const float* x, float* y) { y[0] += x[threadIdx.x]; }

__global__ void watched_adds_shared(const float* x, float* y, bool barrier) {
    __shared__ float total;
    if (threadIdx.x == 7) total = x[7];
    if (barrier) __syncthreads();
    y[threadIdx.x] = total;
}

/// A tree whose lower half is in no order.
__global__ void watched_tree(const float* x, float* y, unsigned least) {
    __shared__ float room[64];
    room[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    for (unsigned half = 32; half > 0; half /= 2) {
        if (threadIdx.x < half) room[threadIdx.x] += room[threadIdx.x + half];
        if (half >= least) __syncthreads();
    }
    if (threadIdx.x == 0) y[0] = room[0];
}

/// All read one word, the lanes of a warp meet, and a lane of it writes.
__global__ void watched_readers(float* y) {
    const float read = y[0];
    __syncwarp();
    if (threadIdx.x == 2) y[0] = read + 1;
}

/// Shared memory of a function that several kernels call.
__attribute__((noinline)) void watched_exchange(float* y) {
    __shared__ float of_all[32];
    of_all[threadIdx.x] = y[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = of_all[31 - threadIdx.x];
}
__global__ void watched_one(float* y) { watched_exchange(y); }
__global__ void watched_two(float* y) { watched_exchange(y); }

__global__ void watched_index(float* y, int far) {
    __shared__ float room[32];
    float* beyond = room + far;
    *beyond = 1;
    y[threadIdx.x] = room[threadIdx.x];
}

__global__ void watched_lends(float** y) {
    __shared__ float room[64];
    room[threadIdx.x] = 1;
    if (threadIdx.x == 0) *y = room;
}

__global__ void watched_borrows(float** y) { (*y)[threadIdx.x] = 2; }

/// y[i] for i in [first, first + threads of a block), by every block.
__global__ void watched_writes(float* y, int first) { y[first + static_cast<int>(threadIdx.x)] = 1; }

__global__ void watched_reads(const float* x, float* y, int first) { y[blockIdx.x * blockDim.x + threadIdx.x] = x[first + static_cast<int>(threadIdx.x)]; }

/// Each lane reads what its neighbour then overwrites.
__global__ void watched_warp(float* y, bool sync) {
    const float read = y[(threadIdx.x + 1) % blockDim.x];
    if (sync)
        __syncwarp();
    else
        (void)__shfl_xor_sync(0xffffffffu, read, 1);  // which orders no memory
    y[threadIdx.x] = read;
}

}  // extern "C"

namespace {

template <class... Args>
std::string watched(void (*kernel)(Args...), dim3 grid, dim3 block, std::type_identity_t<Args>... arguments) {
    std::string said;
    for (const Order order : {Order::ascending, Order::descending, Order::shuffled}) {
        emulated::settings().order = order;
        const std::string now = fault_of([&] { launch(kernel, grid, block, arguments...); });
        if (order != Order::ascending) CHECK(now.empty() == said.empty());
        said = now;
    }
    CAPTURE(said);
    return said;
}

}  // namespace

TEST_CASE("a barrier that is missing between threads of a block") {
    const Fresh fresh;
    const Device<float> y(128);
    CHECK(watched(watched_neighbours, 2, 64, y.data(), true, true) == "");
    CHECK(contains(watched(watched_neighbours, 2, 64, y.data(), false, true), "of `room` that thread ("));
    const std::string said = watched(watched_neighbours, 2, 64, y.data(), true, false);
    CHECK(contains(said, "kernel test_kernel, block ("));
    CHECK(contains(said, "writes 4 bytes of `room` that thread ("));
    CHECK(contains(said, "has read, with nothing between that puts them in order"));
}

TEST_CASE("shared memory outside of a variable, and another kernel's") {
    const Fresh fresh;
    const Device<float> y(64);
    CHECK(watched(watched_far, 1, 32, y.data(), 0) == "");
    CHECK(contains(watched(watched_far, 1, 32, y.data(), 33), "outside of an array in "));
    CHECK(watched(watched_index, 1, 1, y.data(), 31) == "");
    CHECK(contains(watched(watched_index, 1, 1, y.data(), 32), "writes 4 bytes of shared memory outside of its variables, behind `room`"));
    const Device<float*> lent(1);
    CHECK(watched(watched_lends, 1, 32, lent.data()) == "");
    CHECK(contains(watched(watched_borrows, 1, 32, lent.data()), "writes 4 bytes of `room`, which is shared memory of another kernel"));
    CHECK(watched(watched_one, 1, 32, y.data()) == "");
    CHECK(watched(watched_two, 1, 32, y.data()) == "");
}

TEST_CASE("memory outside of an allocation, to the byte") {
    const Fresh fresh;
    const Device<float> x(Floats(40, 1)), y(64);
    CHECK(watched(watched_reads, 1, 32, x.data(), y.data(), 8) == "");
    CHECK(contains(watched(watched_reads, 1, 32, x.data(), y.data(), 9), "reads 4 bytes at 0x"));
    CHECK(contains(watched(watched_writes, 1, 32, x.data(), 9), ", outside of every allocation"));
    CHECK(contains(watched(watched_writes, 1, 32, x.data(), -1), ", outside of every allocation"));
}

TEST_CASE("a value that is read, changed and written back") {
    const Fresh fresh;
    const Device<float> x(Floats(64, 1)), y(Floats(64, 0));
    CHECK(watched(watched_adds, 1, 1, x.data(), y.data()) == "");
    CHECK(contains(watched(watched_adds, 1, 64, x.data(), y.data()), "has written, with nothing between"));
    CHECK(contains(watched(watched_adds, 4, 1, x.data(), y.data()), " of block ("));
    CHECK(watched(watched_adds_shared, 1, 64, x.data(), y.data(), true) == "");
    CHECK(contains(watched(watched_adds_shared, 1, 64, x.data(), y.data(), false), "4 bytes of `total` that thread ("));
    CHECK(watched(watched_tree, 1, 64, x.data(), y.data(), 1) == "");
    CHECK(contains(watched(watched_tree, 1, 64, x.data(), y.data(), 32), "4 bytes of `room` that thread ("));
}

TEST_CASE("many readers, of which only some have met the one that writes") {
    const Fresh fresh;
    const Device<float> y(Floats(1, 0));
    CHECK(watched(watched_readers, 1, 32, y.data()) == "");
    for (unsigned seed = 1; seed <= 40; ++seed) {
        emulated::settings().order = Order::shuffled, emulated::settings().seed = seed;
        // A reader of the other warp has read before, or will after.
        CHECK(contains(fault_of([&] { launch(watched_readers, 1, 64, y.data()); }), "with nothing between"));
    }
}

TEST_CASE("two blocks at one place") {
    const Fresh fresh;
    const Device<float> x(Floats(64, 1)), y(64);
    CHECK(watched(watched_reads, 2, 32, x.data(), y.data(), 0) == "");
    const std::string said = watched(watched_writes, 2, 32, y.data(), 0);
    CHECK(contains(said, "writes 4 bytes at 0x"));
    CHECK(contains(said, " of block ("));
    CHECK(contains(said, "has written, with nothing between"));
}

TEST_CASE("lanes of a warp that meet, and some that only exchange values") {
    const Fresh fresh;
    const Device<float> y(Floats(64, 1));
    CHECK(watched(watched_warp, 1, 32, y.data(), true) == "");
    CHECK(contains(watched(watched_warp, 1, 32, y.data(), false), "writes 4 bytes at 0x"));
    CHECK(contains(watched(watched_warp, 1, 64, y.data(), true), "has read"));  // by a lane of the other warp
}
