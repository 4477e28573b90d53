// SPDX-License-Identifier: MIT
// The emulated device notices what it is there for: each mistake that a kernel, a launch or a use of memory can hold is made here once.
#include <cstring>
#include <set>

#include "../support/cuda/device_code.hpp"
#include "emulated_check.hpp"
#include "emulated_kernels.cuh"

using namespace emulated_check;

namespace {

constexpr Order orders[] = {Order::ascending, Order::descending, Order::shuffled};

template <class Test>
void in_every_order(const Test& test) {
    for (const Order order : orders)
        for (unsigned seed = 1; seed <= (order == Order::shuffled ? 5u : 1u); ++seed) {
            emulated::settings().order = order, emulated::settings().seed = seed;
            CAPTURE(static_cast<int>(order));
            CAPTURE(seed);
            test();
        }
}

}  // namespace

TEST_CASE("every thread of every block runs once, and knows where it is") {
    const Fresh fresh;
    in_every_order([] {
        const dim3 grid(3, 2, 2), block(5, 3, 2);
        Device<unsigned> y(std::vector<unsigned>(12 * 30, 0));
        REQUIRE(launch(test_places, grid, block, y.data()) == cudaSuccess);
        const auto got = y.get();
        for (unsigned i = 0; i < got.size(); ++i) CHECK(got[i] == 1 + i / 30 * 1000 + i % 30);
    });
    CHECK(emulated::counters().launches == 7);
    CHECK(emulated::counters().launches_of["test_kernel"] == 7);
}

TEST_CASE("threads and blocks run in the order that is asked for") {
    const Fresh fresh;
    const auto recorded = [](Order order, unsigned seed) {
        emulated::settings().order = order, emulated::settings().seed = seed;
        const Device<int> log(std::vector<int>(1 + 3 * 70, 0));
        REQUIRE(launch(test_record, 3, 70, log.data()) == cudaSuccess);
        const auto all = log.get();
        return std::vector<int>(all.begin() + 1, all.end());
    };
    std::vector<int> up;
    for (int i = 0; i < 3 * 70; ++i) up.push_back(i / 70 * 100 + i % 70);
    CHECK(recorded(Order::ascending, 1) == up);
    CHECK(recorded(Order::descending, 1) == std::vector<int>(up.rbegin(), up.rend()));
    const auto one = recorded(Order::shuffled, 1), two = recorded(Order::shuffled, 2);
    for (const auto& shuffled : {one, two}) {
        CHECK(std::is_permutation(shuffled.begin(), shuffled.end(), up.begin()));
        CHECK(!std::is_sorted(shuffled.begin(), shuffled.begin() + 70));
    }
    CHECK(one != two);
    CHECK(recorded(Order::shuffled, 1) == one);
    emulated::reset();
    CHECK(recorded(Order::shuffled, 1) == one);
    std::set<int> first_blocks;
    for (unsigned seed = 1; seed <= 20; ++seed) first_blocks.insert(recorded(Order::shuffled, seed)[0] / 100);
    CHECK(first_blocks.size() == 3);
}

TEST_CASE("a reduction over a block is right in every order, and without barriers it is not") {
    const Fresh fresh;
    const Floats x = small_integers(4 * 128, 1);
    Floats exact(4, 0);
    for (std::size_t i = 0; i < x.size(); ++i) exact[i / 128] += x[i];
    const Device<float> device_x(x);
    std::vector<Floats> without;
    in_every_order([&] {
        const Device<float> y(4);
        REQUIRE(launch(test_block_sum, 4, 128, device_x.data(), y.data(), true) == cudaSuccess);
        CHECK(y.get() == exact);
        REQUIRE(launch(test_block_sum, 4, 128, device_x.data(), y.data(), false) == cudaSuccess);
        without.push_back(y.get());
    });
    CHECK(without[0] != exact);
    CHECK(without[1] == exact);  // each thread finds what it needs, by luck: one order is not enough
    for (std::size_t i = 2; i < without.size(); ++i) CHECK(without[i] != exact);
    CHECK(std::memcmp(without[0].data(), without[1].data(), 16) != 0);
}

TEST_CASE("shared memory that no thread of this block wrote is not a number, whatever another block left there") {
    const Fresh fresh;
    const Device<float> y(128);
    REQUIRE(launch(test_half_written, 2, 64, y.data()) == cudaSuccess);
    const Floats got = y.get();
    for (std::size_t i = 0; i < 128; ++i) CHECK((i % 64 < 32 ? got[i] == 1 : std::isnan(got[i])));
}

TEST_CASE("threads that wait in vain are named") {
    const Fresh fresh;
    const Device<float> y(64);
    const auto says = [&](void (*kernel)(float*), unsigned threads, const char* sentence) {
        const std::string said = fault_of([&] { launch(kernel, 2, threads, y.data()); });
        CAPTURE(said);
        CHECK(contains(said, sentence));
        CHECK(contains(said, "kernel test_kernel, block (0,0,0)"));
        CHECK(emulated::last_sentence() == said);
    };
    says(test_return_before_barrier, 64, "thread (3,0,0) has returned while others wait at __syncthreads (emulated_kernels.cuh:");
    says(test_two_barriers, 32, "all threads of a block come to the same barrier");
    says(test_barrier_and_shuffle, 32, "thread (0,0,0) waits at __shfl_xor_sync (emulated_kernels.cuh:");
    says(test_barrier_and_shuffle, 32, "for thread (5,0,0), which waits at __syncthreads");
    says(test_return_before_shuffle, 32, "for thread (7,0,0), which has returned");
    says(test_two_shuffles, 32, "others, but thread (");
    says(test_other_masks, 32, "thread (0,0,0) is at __shfl_xor_sync");
    says(test_mask_without_itself, 32, "thread (0,0,0) calls __shfl_xor_sync");
    // and the device still works afterwards, however often
    for (int i = 0; i < 1000; ++i) CHECK(fault_of([&] { launch(test_return_before_barrier, 1, 64, y.data()); }) != "");
    const Device<float> x(Floats(128, 1));
    REQUIRE(launch(test_block_sum, 1, 128, x.data(), y.data(), true) == cudaSuccess);
    CHECK(y.get()[0] == 128);
}

TEST_CASE("shuffles and votes do what CUDA says") {
    const Fresh fresh;
    in_every_order([] {
        const Device<int> y(128);
        for (const int width : {32, 16, 4})
            for (const int argument : {0, 1, 3, 5, 17, 31}) {
                CAPTURE(width);
                CAPTURE(argument);
                REQUIRE(launch(test_shuffles, 1, 32, y.data(), argument, width) == cudaSuccess);
                const auto got = y.get();
                for (int me = 0; me < 32; ++me) {
                    const int begin = me - me % width, end = begin + width;
                    const auto at = static_cast<std::size_t>(me);
                    CHECK(got[at] == begin + argument % width);
                    CHECK(got[32 + at] == (me - argument >= begin ? me - argument : me));
                    CHECK(got[64 + at] == (me + argument < end ? me + argument : me));
                    CHECK(got[96 + at] == ((me ^ argument) < end ? me ^ argument : me));
                }
            }
        const Device<double> halves(32);
        REQUIRE(launch(test_halves, 1, 32, halves.data()) == cudaSuccess);
        for (std::size_t i = 0; i < 32; ++i) CHECK(halves.get()[i] == (i < 16 ? 120 : 376));
        std::vector<int> votes(20, 0);
        votes[1] = 1, votes[19] = -5;
        const Device<int> x(votes);
        const Device<unsigned> counted(60);
        REQUIRE(launch(test_votes, 1, 20, x.data(), counted.data()) == cudaSuccess);
        for (std::size_t i = 0; i < 20; ++i) {
            CHECK(counted.get()[3 * i] == 0x80002u);
            CHECK(counted.get()[3 * i + 1] == 1u);
            CHECK(counted.get()[3 * i + 2] == 0u);
        }
    });
    const Device<float> y(20);
    CHECK(contains(fault_of([&] { launch(test_shuffle_down, 1, 20, y.data(), 4u); }), "lane 16 reads from lane 20, which does not"));
    CHECK(fault_of([&] { launch(test_shuffle_down, 1, 20, y.data(), 32u); }) == "");
}

TEST_CASE("memory: a touch outside of allocations is the end, in a kernel and on the host") {
    const Fresh fresh;
    const Device<float> before_it(100), y(100), behind_it(100);  // 400 bytes, rounded to 512
    REQUIRE(launch(test_write_at, 1, 1, y.data(), 99L) == cudaSuccess);
    const std::string behind = last_words([&] { launch(test_write_at, dim3(2), 1, y.data(), 128L); });
    CAPTURE(behind);
    CHECK(contains(behind, "emulated device: kernel test_kernel, block (0,0,0), thread (0,0,0) touches 0x"));
    CHECK(contains(behind, ", outside of every allocation; 400 bytes at "));
    CHECK(contains(last_words([&] { launch(test_write_at, 1, 1, y.data(), -1024L); }), "touches 0x"));
    CHECK(contains(last_words([&] { launch(test_write_at, 1, 1, y.data(), 1L << 40); }), "touches 0x"));
    CHECK(contains(last_words([&] { launch(test_pointers_in_structure, 1, 1, {y.data(), y.data()}); }), "an address that was not an argument of the launch"));
    CHECK(contains(last_words([&] { launch(test_deep, 1, 1, y.data(), 65536); }), "touches 0x"));
    char address[32];
    std::snprintf(address, sizeof address, "%p", static_cast<void*>(y.data()));
    CHECK(contains(last_words([&] { *static_cast<volatile float*>(y.data()) = 1; }),
                   std::string("emulated device: the host touches device memory at ") + address));
    CHECK(contains(last_words([&] { return *static_cast<volatile float*>(y.data()); }), "the host touches device memory"));
    CHECK(last_words([] {}) == "lives: ");
    // What lies between the end and the end of the page is looked at when the memory is freed.
    void* raw = nullptr;
    REQUIRE(cudaMalloc(&raw, 400) == cudaSuccess);
    REQUIRE(launch(test_write_at, 1, 1, static_cast<float*>(raw), 100L) == cudaSuccess);
    CHECK(contains(fault_of([&] { cudaFree(raw); }), "somebody wrote behind the end of the 400 bytes at"));
    REQUIRE(cudaMalloc(&raw, 400) == cudaSuccess);
    REQUIRE(launch(test_write_at, 1, 1, static_cast<float*>(raw), -1L) == cudaSuccess);
    CHECK(contains(fault_of([&] { cudaFree(raw); }), "somebody wrote before the beginning"));
}

TEST_CASE("memory: what was freed is gone, and what is new is not a number") {
    const Fresh fresh;
    const std::size_t live = emulated::live_allocations(), bytes = emulated::live_bytes();
    Device<float> y(1000);
    CHECK(emulated::live_bytes() == bytes + 4096);
    for (const float value : y.get()) CHECK(std::isnan(value));
    float* const old = y.data();
    y.free();
    CHECK(emulated::live_allocations() == live);
    CHECK(launch(test_write_at, 1, 1, old, 0L) == cudaErrorIllegalAddress);
    CHECK(contains(emulated::last_sentence(), "kernel test_kernel: argument 0, 0x"));
    CHECK(contains(emulated::last_sentence(), "is in no live allocation"));
    CHECK(cudaFree(old) == cudaErrorInvalidValue);
    float host = 0;
    CHECK(cudaFree(&host) == cudaErrorInvalidValue);
    CHECK(cudaFree(nullptr) == cudaSuccess);
    CHECK(launch(test_add, 1, 1, 1, nullptr, &host, nullptr) == cudaErrorIllegalAddress);
    CHECK(contains(emulated::last_sentence(), "argument 2, 0x"));
    CHECK(contains(emulated::last_sentence(), "is not an address of the device"));
    CHECK(emulated::counters().launches == 0);
    // A kernel that is queued when its memory is freed still finds it.
    emulated::settings().pace = Pace::late;
    Device<float> kept(Floats{1, 2});
    REQUIRE(launch(test_double, 1, 1, kept.data(), 2) == cudaSuccess);
    kept.free();
    for (int i = 0; i < 3000; ++i) Device<float>(300);  // addresses come back in the end
    CHECK(emulated::live_bytes() == bytes);
}

TEST_CASE("copies and memsets are checked, counted, and have the right kind") {
    const Fresh fresh;
    const Device<float> a(Floats{1, 2, 3, 4}), b(4);
    Floats host(8);
    CHECK(cudaMemcpy(host.data(), a.data(), 16, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    CHECK(cudaMemcpy(a.data(), host.data(), 16, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
    CHECK(cudaMemcpy(a.data(), host.data(), 17, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    CHECK(cudaMemcpy(host.data(), a.data() + 1, 16, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
    CHECK(cudaMemcpy(a.data(), a.data() + 1, 8, cudaMemcpyDeviceToDevice) == cudaErrorInvalidValue);
    CHECK(contains(emulated::last_sentence(), "overlap"));
    CHECK(cudaMemset(a.data() + 2, 0, 9) == cudaErrorInvalidValue);
    CHECK(cudaGetLastError() == cudaErrorInvalidValue);
    CHECK(cudaGetLastError() == cudaSuccess);
    CHECK(cudaMemcpy(b.data(), a.data() + 1, 12, cudaMemcpyDeviceToDevice) == cudaSuccess);
    CHECK(cudaMemset(b.data() + 3, 0, 4) == cudaSuccess);
    CHECK(cudaMemcpy(host.data(), b.data(), 16, cudaMemcpyDefault) == cudaSuccess);
    CHECK(Floats(host.begin(), host.begin() + 4) == Floats{2, 3, 4, 0});
    const emulated::Counters& count = emulated::counters();
    CHECK(count.copies_in == 1);
    CHECK(count.bytes_in == 16);
    CHECK(count.copies_within == 1);
    CHECK(count.bytes_within == 12);
    CHECK(count.copies_out == 1);
    CHECK(count.bytes_out == 16);
    CHECK(count.memsets == 1);
    CHECK(count.allocations == 2);
}

TEST_CASE("launches that a device refuses") {
    const Fresh fresh;
    const Device<float> y(64);
    for (const auto& [grid, block] :
         {std::pair(dim3(0), dim3(1)), std::pair(dim3(1), dim3(0)), std::pair(dim3(1), dim3(1025)), std::pair(dim3(1), dim3(32, 33)),
          std::pair(dim3(1), dim3(1, 1, 65)), std::pair(dim3(1, 65536), dim3(1)), std::pair(dim3(1, 1, 65536), dim3(1))})
        CHECK(launch(test_double, grid, block, y.data(), 1) == cudaErrorInvalidConfiguration);
    CHECK(launch(test_double, 1, 1024, y.data(), 1) == cudaSuccess);
    int something = 0;
    CHECK(cudaLaunchKernel(&something, 1, 1, nullptr, 0, nullptr) == cudaErrorInvalidDeviceFunction);
    CHECK(cudaLaunchKernel(nullptr, 1, 1, nullptr, 0, nullptr) == cudaErrorInvalidDeviceFunction);
    CHECK(emulated::entry("a", test_double) == emulated::entry("b", test_double));
    CHECK(emulated::entry("a", test_double) != static_cast<const void*>(emulated::entry("a", test_add)));
    emulated::settings().fail_launch = 2;
    CHECK(launch(test_double, 1, 1, y.data(), 1) == cudaSuccess);
    CHECK(launch(test_double, 1, 1, y.data(), 1) == cudaErrorLaunchOutOfResources);
    CHECK(launch(test_double, 1, 1, y.data(), 1) == cudaSuccess);
}

TEST_CASE("the settings decide what there is") {
    const Fresh fresh;
    int count = -1;
    void* p = nullptr;
    CHECK(cudaGetDeviceCount(&count) == cudaSuccess);
    CHECK(count == 1);
    emulated::settings().devices = 0;
    CHECK(cudaGetDeviceCount(&count) == cudaErrorNoDevice);
    CHECK(count == 0);
    CHECK(cudaMalloc(&p, 4) == cudaErrorNoDevice);
    CHECK(cudaGetLastError() == cudaErrorNoDevice);
    emulated::settings().driver = false;
    CHECK(cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver);
    CHECK(std::string(cudaGetErrorName(cudaErrorInsufficientDriver)) == "cudaErrorInsufficientDriver");
    emulated::reset();
    std::size_t free = 0, total = 0;
    emulated::settings().memory = emulated::live_bytes() + 10000;
    CHECK(cudaMemGetInfo(&free, &total) == cudaSuccess);
    CHECK(free == 10000);
    CHECK(total == emulated::settings().memory);
    const Device<float> y(2000);
    CHECK(cudaMalloc(&p, 4000) == cudaErrorMemoryAllocation);
    CHECK(p == nullptr);
    CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
    CHECK(cudaMalloc(&p, 1500) == cudaSuccess);
    CHECK(reinterpret_cast<std::uintptr_t>(p) % 256 == 0);
    CHECK(cudaFree(p) == cudaSuccess);
    emulated::settings().fail_malloc = 1;
    CHECK(cudaMalloc(&p, 4) == cudaErrorMemoryAllocation);
    CHECK(cudaMalloc(&p, 4) == cudaSuccess);
    CHECK(cudaFree(p) == cudaSuccess);
    CHECK(emulated::counters().frees == 2);
}
