// SPDX-License-Identifier: MIT
// The state of the emulated processor: who runs, who waits for whom. One block at a time, one thread of it at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "context.hpp"
#include "fibres.hpp"
#include "internal.hpp"

namespace emulated {

inline constexpr std::size_t most_threads = 1024, lanes = 32, none = ~std::size_t(0);

/// A stack, and a thread's place on it. It serves threads one after the other for as long as none of them waits.
struct Fibre {
    Context context;
    std::byte* memory = nullptr;

    static constexpr std::size_t stack = 65536, guard = std::size_t(1) << 20;  // the guard is wider than an array that is too large may reach
    static Fibre* make(std::size_t index);
    void begin(std::size_t index);
};

/// Who touches memory, and when: launches, blocks of the launch, threads of the block, barriers of the block and meetings of the warp so far.
struct Access {
    std::uint32_t launch = 0, block = 0, thread = 0, barriers = 0, meetings = 0;
};

enum class At : unsigned char { going, block, warp, returned };

class Machine {
public:
    void run(const char* kernel, const void* function, Index grid, Index block, const std::function<void()>& body);
    void wait_for_block(const char* file, int line);
    std::uint64_t meet_warp(const WarpRequest& request);
    [[noreturn]] void work();
    bool running() const { return running_; }
    const char* kernel() const { return kernel_; }
    const void* function() const { return function_; }
    Access access() const { return {launch_, block_, static_cast<std::uint32_t>(current_), barriers_, meetings_[current_ / lanes]}; }
    std::string name_of(const Access& access) const;
    /// Gives the launch up: the running thread "<does something wrong>".
    [[noreturn]] void stop(const std::string& sentence) { fail(sentence); }

private:
    void run_block();
    std::size_t next();  // a thread that can go on
    void enter(std::size_t thread);
    void go_on(std::size_t thread) { at_[thread] = At::going, ready_[thread / 64] |= std::uint64_t(1) << thread % 64; }
    void all_go_on();
    void leave();
    [[noreturn]] void fail(const std::string& sentence);
    void exchange(std::size_t first, std::uint32_t members);
    std::uint64_t received(std::size_t first, std::size_t lane, std::uint32_t members);
    std::string standstill() const;
    std::string name(std::size_t thread) const;
    std::string site(std::size_t thread) const;

    // Of a launch.
    const char* kernel_ = "";
    const void* function_ = nullptr;
    const std::function<void()>* body_ = nullptr;
    std::size_t n_ = 0;
    Order order_ = Order::ascending;
    std::array<Index, most_threads> index_;
    std::uint32_t launch_ = 0;
    // Of a block.
    std::array<std::uint64_t, most_threads / 64> ready_{};       // a bit for each thread that can go on and does not run
    std::array<std::uint32_t, most_threads / lanes> at_warp_{};  // lanes of a warp that wait for others of it
    std::array<At, most_threads> at_{};
    std::array<Fibre*, most_threads> fibre_of_{};  // null until a thread begins
    std::array<WarpRequest, most_threads> requests_;
    std::array<std::uint64_t, most_threads> results_{};
    std::size_t current_ = 0, returned_ = 0, at_block_ = 0;
    std::size_t first_at_block_ = 0;  // who came to the barrier first
    std::uint32_t block_ = 0, barriers_ = 0;
    std::array<std::uint32_t, most_threads / lanes> meetings_{};  // of all lanes of a warp
    std::string fault_;
    // Of the machine.
    Context scheduler_;
    std::vector<Fibre*> fibres_, idle_;
    Random random_;
    bool running_ = false;
};

Machine& machine();

}  // namespace emulated
