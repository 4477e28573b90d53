// SPDX-License-Identifier: MIT
// The threads that kernels run on. They wait without holding a processor that others want, and nobody waits for a thread that the system does not run.
#pragma once

#include <dla/kernels/cpu/task.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include <pthread.h>
#include <csignal>
#if defined(__linux__)
#include <sched.h>
#endif

namespace dla::detail::inline DLA_ABI_TAG {

#if DLA_THREADS

/// Processors that this process may use: those it may run on, and no more than its group's quota of time pays for (cgroup v2, as in containers).
inline int usable_processors() {
    int count = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
    if (std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "re")) {
        double quota = 0, period = 0;  // microseconds; "max" instead of a quota is no number
        if (std::fscanf(file, "%lf %lf", &quota, &period) == 2 && quota > 0 && period > 0)
            count = std::min(count, static_cast<int>(std::min(1e6, quota / period + 0.999)));
        std::fclose(file);
    }
#endif
    return std::max(1, count);
}

/// Threads when nobody says how many: OMP_NUM_THREADS, by which users tell it to all numerical libraries, or as many as there are processors.
inline int default_threads() {
    const char* text = std::getenv("OMP_NUM_THREADS");
    const long wish = text ? std::strtol(text, nullptr, 10) : 0;
    return wish > 0 ? static_cast<int>(std::min(wish, 1024l)) : usable_processors();
}

/// Runs numbered tasks on the calling thread and on helpers, which all callers of the process share (those compiled with the same flags, and in one shared
/// object where symbols are hidden): who finds them busy (another thread's kernel, or a
/// kernel within a task) works alone. Each thread begins with its own part of the numbers, so that it meets again what it has in its cache from the kernel
/// before, and then takes what is left of the others' parts: a helper that the system does not run at the moment holds up only the task it has begun.
/// Helpers wait in a short loop, because the next kernel usually follows at once, and then asleep.
/// After fork() the child has no helpers and works alone.
class ThreadTeam {
public:
    static constexpr int most_threads = 1024;

    /// Null when the program ends and its helpers have ended.
    static ThreadTeam* instance() {
        static constinit ThreadTeam team;  // zeros: nothing of it is touched before it is used
        return over_.load(std::memory_order_relaxed) ? nullptr : &team;
    }
    ThreadTeam(const ThreadTeam&) = delete;
    ThreadTeam& operator=(const ThreadTeam&) = delete;

    /// task(index, thread) once for each index in [0, tasks), thread < threads. A task that throws ends the program: others may be at work on its data.
    void run(int threads, index_t tasks, const TaskRef& task) noexcept {
        if (busy_.exchange(true, std::memory_order_acquire)) return task.run_alone(tasks);
        const int team = start(static_cast<int>(std::min<index_t>({threads, tasks, most_threads})));
        if (team == 1) {
            busy_.store(false, std::memory_order_release);
            return task.run_alone(tasks);
        }
        const index_t per_ticket = (tasks + most_tickets - 1) / most_tickets;
        const auto tickets = static_cast<std::uint64_t>((tasks + per_ticket - 1) / per_ticket), size = static_cast<std::uint64_t>(team);
        remaining_.store(static_cast<std::uint32_t>(tickets), std::memory_order_relaxed);
        for (std::uint64_t t = size; t-- > 0;) seats_[t].begin({task, tasks, per_ticket}, {size, t * tickets / size, (t + 1) * tickets / size});
        work(0);
        if (!spin([&] { return remaining_.load(std::memory_order_acquire) == 0; }))
            for (std::uint32_t left; (left = remaining_.load(std::memory_order_acquire)) != 0;) remaining_.wait(left, std::memory_order_acquire);
        busy_.store(false, std::memory_order_release);
    }

    /// Sees to it that so many threads, with the caller, can work, and gives how many can: fewer where the system gives no more, and for as long as another
    /// thread is in a kernel as many as there are.
    int start_now(int threads) {
        if (busy_.exchange(true, std::memory_order_acquire)) return std::max(1, std::min(threads, size()));
        const int team = start(std::min(threads, most_threads));
        busy_.store(false, std::memory_order_release);
        return team;
    }

private:
    /// What is left of one thread's part of the numbers, in one word, so that whoever takes one knows that it is of the job that runs now.
    struct Tickets {
        std::uint64_t team, next, end;

        explicit Tickets(std::uint64_t word) : team(word >> 52), next(word >> 26 & most_tickets), end(word & most_tickets) {}
        Tickets(std::uint64_t t, std::uint64_t n, std::uint64_t e) : team(t), next(n), end(e) {}
        std::uint64_t word() const { return team << 52 | next << 26 | end; }
    };
    static constexpr std::uint64_t one_ticket = 1 << 26;
    static constexpr index_t most_tickets = one_ticket - 1;

    struct Job {
        TaskRef task{};
        index_t tasks = 0, per_ticket = 1;
    };
    /// A thread's part of the job that runs now. All that a helper must fetch to begin lies in one line, which nobody else writes meanwhile.
    struct alignas(128) Seat {  // two lines: processors fetch them in pairs
        std::atomic<std::uint64_t> tickets = 0;
        Job job;  // to be read by who has taken a ticket: until remaining_ is told of it, the job does not end
        std::atomic<std::uint32_t> asleep = 0, calls = 0;

        void begin(const Job& j, const Tickets& part) {
            job = j;
            tickets.store(part.word());  // in one order with what a helper does before it sleeps: it sees the tickets, or is seen asleep
            if (asleep.load() != 0) call();
        }
        void call() {
            calls.fetch_add(1, std::memory_order_release);
            calls.notify_one();
        }
        bool has_tickets() const {
            const Tickets left(tickets.load());
            return left.next != left.end;
        }
    };

    constexpr ThreadTeam() = default;
    ~ThreadTeam() {
        over_ = true;
        // Never given back: who comes now works alone. Held for good where a task ends the program; then the helpers are left as they are.
        for (int patience = 200; busy_.exchange(true, std::memory_order_acquire); --patience) {
            if (patience == 0) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        stopping_ = true;
        for (std::size_t h = 0; helpers_ && h < helpers_->size(); ++h) {
            seats_[h + 1].call();
            (*helpers_)[h].join();
        }
        delete helpers_;
        helpers_ = nullptr;
    }
    int size() const { return 1 + running_.load(std::memory_order_relaxed); }

    int start(int threads) {
        while (size() < threads && !refused_) start_helper();
        return std::max(1, std::min(threads, size()));
    }
    /// In the child of a fork: the helpers are not there, and their objects must not be touched.
    static void forked() {
        if (ThreadTeam* team = instance()) {
            team->helpers_ = nullptr;
            team->running_ = 0;
            team->refused_ = true;
        }
    }
    void start_helper() {
        // The program's signals are for its own threads, but for those that a thread brings upon itself.
        sigset_t others, before;
        sigfillset(&others);
        for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF}) sigdelset(&others, own);
        const bool masked = ::pthread_sigmask(SIG_SETMASK, &others, &before) == 0;
        try {
            if (!helpers_) {
                if (::pthread_atfork(nullptr, nullptr, &forked) != 0) throw std::bad_alloc();
                helpers_ = new std::vector<std::thread>;
            }
            helpers_->emplace_back([this, seat = static_cast<std::size_t>(size())] { help(seat); });
            ++running_;
        } catch (const std::system_error&) {
            refused_ = true;  // asking again with each kernel would cost more than the thread is worth
        } catch (const std::bad_alloc&) {
            refused_ = true;
        }
        if (masked) ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    void help(std::size_t number) {
        Seat& seat = seats_[number];
        const auto ready = [&] { return seat.has_tickets() || stopping_; };
        while (!stopping_) {
            work(number);
            if (spin(ready)) continue;
            const std::uint32_t calls = seat.calls.load(std::memory_order_acquire);
            seat.asleep.store(1);
            if (!ready()) seat.calls.wait(calls, std::memory_order_acquire);
            seat.asleep.store(0);
        }
    }

    /// Takes tickets, its own first, until there are none.
    void work(std::uint64_t thread) {
        std::uint64_t from = thread, visited = 0, team = 0;
        std::uint32_t done = 0;
        do {
            std::uint64_t word = seats_[from].tickets.load(std::memory_order_acquire);
            for (;;) {
                const Tickets left(word);
                team = left.team;
                if (thread >= team || left.next == left.end) break;
                if (!seats_[from].tickets.compare_exchange_weak(word, word + one_ticket, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
                const Job& job = seats_[from].job;
                const index_t first = static_cast<index_t>(left.next) * job.per_ticket, end = std::min(job.tasks, first + job.per_ticket);
                for (index_t i = first; i < end; ++i) job.task.run(job.task.task, i, static_cast<int>(thread));
                word += one_ticket;
                ++done;
            }
            if (++from >= team) from = 0;
        } while (thread < team && ++visited < team);
        if (done > 0 && remaining_.fetch_sub(done, std::memory_order_acq_rel) == done) remaining_.notify_one();
    }

    /// Looks again and again for some microseconds.
    template <class Ready>
    static bool spin(const Ready& ready) {
        for (int spins = 0; spins < spins_before_sleep; ++spins) {
            if (ready()) return true;
#if defined(__x86_64__)
            __builtin_ia32_pause();
#elif defined(__aarch64__)
            asm volatile("yield");
#endif
        }
        return false;
    }

    static constexpr int spins_before_sleep = 4000;  // 40 to 150 microseconds, by processor: longer than most steps between two kernels
    inline static std::atomic<bool> over_ = false;

    std::array<Seat, most_threads> seats_;
    std::atomic<bool> busy_ = false, stopping_ = false;
    std::atomic<int> running_ = 0;  // helpers
    bool refused_ = false;
    std::vector<std::thread>* helpers_ = nullptr;
    alignas(128) std::atomic<std::uint32_t> remaining_ = 0;
};
#endif

}  // namespace dla::detail::inline DLA_ABI_TAG
