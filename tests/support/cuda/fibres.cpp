// SPDX-License-Identifier: MIT
// Runs the threads of emulated blocks: each on a stack of its own as soon as it waits for others, in an order that the test chooses.
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <numeric>
#include <utility>

#include "machine.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

// The shared memory of all kernels that are linked; weak, because there may be none.
extern "C" {
extern std::byte dla_shared_begin[] asm("__start_dla_shared") __attribute__((weak, visibility("hidden")));
extern std::byte dla_shared_end[] asm("__stop_dla_shared") __attribute__((weak, visibility("hidden")));
}

namespace emulated {
namespace {

void start() { machine().work(); }

}  // namespace

Machine& machine() {
    static Machine& the_machine = *new Machine;  // never destroyed: destructors of other statics may still use the device
    return the_machine;
}

Fibre* Fibre::make(std::size_t index) {
    void* memory = mmap(nullptr, guard + stack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    if (mprotect(static_cast<std::byte*>(memory) + guard, stack, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    Fibre* made = new Fibre{{}, static_cast<std::byte*>(memory)};
    made->begin(index);
    return made;
}

void Fibre::begin(std::size_t index) {
#if defined(__SANITIZE_ADDRESS__)
    ASAN_UNPOISON_MEMORY_REGION(memory + guard, stack);
#endif
    // Stacks that end at the same place of their pages would share a few sets of the cache.
    prepare(context, memory + guard, stack - index * 192 % 4096, start);
}

void Machine::run(const char* kernel, const void* function, Index grid, Index block, const std::function<void()>& body) {
    kernel_ = kernel, function_ = function, body_ = &body, order_ = settings().order;
    random_.follow();
    gridDim = grid, blockDim = block, n_ = std::size_t(block.x) * block.y * block.z;
    Index at;
    for (std::size_t i = 0; i < n_; ++i) {
        index_[i] = at;
        if (++at.x == block.x) at.x = 0, ++at.y;
        if (at.y == block.y) at.y = 0, ++at.z;
    }
    const std::size_t blocks = std::size_t(grid.x) * grid.y * grid.z;
    std::vector<std::size_t> turns;
    if (order_ == Order::shuffled) {
        turns.resize(blocks);
        std::iota(turns.begin(), turns.end(), std::size_t(0));
        for (std::size_t i = blocks; i > 1; --i) std::swap(turns[i - 1], turns[random_.below(i)]);
    }
    running_ = true, ++launch_;
    for (std::size_t i = 0; i < blocks; ++i) {
        const std::size_t b = order_ == Order::shuffled ? turns[i] : order_ == Order::descending ? blocks - 1 - i : i;
        blockIdx = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y), static_cast<unsigned>(b / grid.x / grid.y)};
        block_ = static_cast<std::uint32_t>(b);
        run_block();
        if (!fault_.empty()) break;
    }
    running_ = false;
    if (fault_.empty()) return;
    // What waits is given up: its stacks begin anew.
    for (std::size_t i = 0; i < fibres_.size(); ++i) fibres_[i]->begin(i);
    idle_ = fibres_;
    fault(std::exchange(fault_, ""));
}

void Machine::run_block() {
    if (dla_shared_begin != nullptr) std::memset(dla_shared_begin, 0xff, static_cast<std::size_t>(dla_shared_end - dla_shared_begin));
    all_go_on();
    std::fill_n(at_warp_.begin(), (n_ + lanes - 1) / lanes, 0u);
    std::fill_n(fibre_of_.begin(), n_, nullptr);
    returned_ = at_block_ = 0, barriers_ = 0;
    meetings_.fill(0);
    while (returned_ < n_ && fault_.empty()) {
        const std::size_t thread = next();
        if (thread == none) {
            fault_ = "kernel " + std::string(kernel_) + ", block " + name(none) + ": " + standstill();
            break;
        }
        if (fibre_of_[thread] == nullptr) {
            if (idle_.empty()) idle_.push_back(fibres_.emplace_back(Fibre::make(fibres_.size())));
            fibre_of_[thread] = idle_.back();
            idle_.pop_back();
        }
        enter(thread);
        change(scheduler_, fibre_of_[thread]->context);
    }
}

std::size_t Machine::next() {
    const std::size_t words = (n_ + 63) / 64;
    const auto lowest = [](std::uint64_t bits) { return static_cast<std::size_t>(std::countr_zero(bits)); };
    if (order_ == Order::ascending) {
        for (std::size_t w = 0; w < words; ++w)
            if (ready_[w] != 0) return w * 64 + lowest(ready_[w]);
    } else if (order_ == Order::descending) {
        for (std::size_t w = words; w-- > 0;)
            if (ready_[w] != 0) return w * 64 + 63 - static_cast<std::size_t>(std::countl_zero(ready_[w]));
    } else {
        const std::size_t from = random_.below(n_);
        const std::uint64_t behind = ready_[from / 64] >> from % 64;
        if (behind != 0) return from + lowest(behind);
        for (std::size_t i = 1; i <= words; ++i) {
            const std::size_t w = (from / 64 + i) % words;
            if (ready_[w] != 0) return w * 64 + lowest(ready_[w]);
        }
    }
    return none;
}

void Machine::all_go_on() {
    const std::size_t words = (n_ + 63) / 64;
    std::fill_n(ready_.begin(), words, ~std::uint64_t(0));
    if (n_ % 64 != 0) ready_[words - 1] = (std::uint64_t(1) << n_ % 64) - 1;
    std::fill_n(at_.begin(), n_, At::going);
}

/// Lets others run until this thread can go on and is chosen.
void Machine::leave() {
    const std::size_t me = current_, thread = next();
    if (thread == none || fibre_of_[thread] == nullptr) return change(fibre_of_[me]->context, scheduler_);
    enter(thread);
    if (thread != me) change(fibre_of_[me]->context, fibre_of_[thread]->context);
}

void Machine::enter(std::size_t thread) {
    ready_[thread / 64] &= ~(std::uint64_t(1) << thread % 64);
    current_ = thread, threadIdx = index_[thread];
}

void Machine::work() {
    for (;;) {
        (*body_)();
        at_[current_] = At::returned, ++returned_;
        Fibre* mine = fibre_of_[current_];
        const std::size_t thread = next();
        if (thread != none && fibre_of_[thread] == nullptr) {
            fibre_of_[thread] = mine;
            enter(thread);
        } else {
            idle_.push_back(mine);
            change(mine->context, scheduler_);  // comes back with another thread
        }
    }
}

void wait_for_block(const char* file, int line) { machine().wait_for_block(file, line); }
std::uint64_t meet_warp(const WarpRequest& request) { return machine().meet_warp(request); }
void run_grid(const char* kernel, const void* function, Index grid, Index block, const std::function<void()>& thread) {
    machine().run(kernel, function, grid, block, thread);
}
bool in_kernel() { return machine().running(); }

std::string whereabouts() {
    const auto text = [](Index i) { return "(" + std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z) + ")"; };
    return "kernel " + std::string(machine().kernel()) + ", block " + text(blockIdx) + ", thread " + text(threadIdx);
}

}  // namespace emulated
