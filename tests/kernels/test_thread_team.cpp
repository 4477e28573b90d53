// SPDX-License-Identifier: MIT
// The threads of kernels: each task runs once, whoever calls from wherever, and a process ends whatever became of its threads.
#include <doctest/doctest.h>

#include <dla/kernels/cpu/parallel.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

using namespace dla;

namespace {

/// Whether each of `tasks` tasks ran once, on a thread with a number below `threads`.
bool runs_each_once(int threads, index_t tasks) {
    std::vector<std::atomic<int>> times(static_cast<std::size_t>(tasks));
    std::atomic<bool> in_range = true;
    detail::parallel_for(threads, tasks, [&](index_t i, int thread) {
        ++times[static_cast<std::size_t>(i)];
        if (thread < 0 || thread >= threads) in_range = false;
    });
    for (const std::atomic<int>& n : times)
        if (n != 1) return false;
    return in_range;
}

/// The status with which a child that runs `body` ends; it is killed after 20 seconds.
template <class Body>
int status_of_child(const Body& body) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::alarm(20);
        body();
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    return status;
}

}  // namespace

// First, while there are no threads yet.
TEST_CASE("a system that gives fewer threads gets fewer, and the work done") {
    CHECK(status_of_child([] {
              const rlimit limit{256 << 20, 256 << 20};  // bytes of addresses: each thread takes 8 MB for its stack
              if (::setrlimit(RLIMIT_AS, &limit) != 0) std::_Exit(1);
              const int threads = start_threads(200);
              std::_Exit(threads >= 1 && threads < 200 && start_threads(200) == threads && runs_each_once(200, 1000) ? 0 : 2);
          }) == 0);
}

TEST_CASE("each task runs once, on threads that were asked for") {
    bool all = true;
    for (const int threads : {1, 2, 3, 5, 8})
        for (const index_t tasks : {0, 1, 2, 3, 7, 64, 1000}) all = all && runs_each_once(threads, tasks);
    for (int round = 0; round < 3000; ++round) all = all && runs_each_once(1 + round % 6, 1 + round % 17);
    CHECK(all);
}

TEST_CASE("who wakes up late does not join a job for fewer threads") {
    CHECK(start_threads(6) == 6);
    std::atomic<int> beyond = 0;
    for (int round = 0; round < 50; ++round) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));  // all asleep
        detail::parallel_for(6, 6, [](index_t, int) {});
        detail::parallel_for(2, 200, [&](index_t, int thread) {
            if (thread >= 2) ++beyond;
            const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(2);
            while (std::chrono::steady_clock::now() < end) {
            }
        });
    }
    CHECK(beyond == 0);
}

TEST_CASE("several threads do the work") {
    REQUIRE(start_threads(3) == 3);
    // Each task waits until the others have begun: one thread alone would wait for ever.
    std::atomic<int> begun = 0;
    std::vector<int> threads(3);
    detail::parallel_for(3, 3, [&](index_t i, int thread) {
        threads[static_cast<std::size_t>(i)] = thread;
        ++begun;
        while (begun < 3) std::this_thread::yield();
    });
    std::sort(threads.begin(), threads.end());  // each begins with its own part, unless it still looks around after the job before
    CHECK(threads == std::vector<int>{0, 1, 2});
}

TEST_CASE("callers that meet, and kernels within tasks, do their own work") {
    std::atomic<bool> all = true;
    std::vector<std::thread> callers;
    for (int c = 0; c < 4; ++c)
        callers.emplace_back([&all, c] {
            for (int round = 0; round < 500; ++round)
                if (!runs_each_once(1 + (round + c) % 4, 1 + round % 9)) all = false;
        });
    for (std::thread& caller : callers) caller.join();
    CHECK(all);
    std::atomic<int> inner = 0;
    detail::parallel_for(4, 8, [&](index_t, int) { detail::parallel_for(4, 5, [&](index_t, int thread) { inner += thread == 0 ? 1 : 1000; }); });
    CHECK(inner == 40);
}

TEST_CASE("a child of fork works alone and ends") {
    CHECK(runs_each_once(4, 100));
    CHECK(status_of_child([] { std::_Exit(runs_each_once(4, 100) ? 0 : 1); }) == 0);
    CHECK(status_of_child([] { std::exit(runs_each_once(4, 100) ? 0 : 1); }) == 0);
    CHECK(status_of_child([] { std::exit(start_threads(12) == 1 && runs_each_once(12, 100) ? 0 : 1); }) == 0);  // more than the parent has
    CHECK(runs_each_once(4, 100));
}

// Each round is a process that ends while a thread of its own starts helpers.
TEST_CASE("a program may end while another of its threads begins to compute") {
    int ended = 0;
    for (int round = 0; round < 40; ++round) {
        std::fflush(nullptr);
        const std::string command = "exec " + std::filesystem::read_symlink("/proc/self/exe").string() + " --no-skip --test-case='ends early' >/dev/null 2>&1";
        ::setenv("DLA_TEST_MICROSECONDS", std::to_string(round * 40).c_str(), 1);
        ended += std::system(command.c_str()) == 0 ? 1 : 0;
    }
    CHECK(ended == 40);
}
TEST_CASE("ends early" * doctest::skip()) {
    const char* text = std::getenv("DLA_TEST_MICROSECONDS");
    if (text == nullptr) return;
    std::thread([] { detail::parallel_for(64, 64, [](index_t, int) {}); }).detach();
    std::this_thread::sleep_for(std::chrono::microseconds(std::atoi(text)));
    std::exit(0);
}

TEST_CASE("a task that throws ends the program") {
    CHECK(WIFSIGNALED(status_of_child([] {
        std::set_terminate([] { ::raise(SIGKILL); });  // without the message
        try {
            detail::parallel_for(1, 2, [](index_t, int) { throw 1; });
        } catch (int) {
        }
        std::_Exit(0);
    })));
}

TEST_CASE("signals go to the program's own threads") {
    CHECK(start_threads(4) == 4);
    static std::atomic<std::thread::id> handled_by;
    const auto before = std::signal(SIGUSR1, [](int) { handled_by = std::this_thread::get_id(); });
    // Blocked here, it would go to any other thread that takes it.
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &set, &old);
    ::kill(::getpid(), SIGUSR1);
    for (int i = 0; i < 50; ++i) detail::parallel_for(4, 100, [](index_t, int) { std::this_thread::yield(); });
    CHECK(handled_by.load() == std::thread::id());
    ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
    CHECK(handled_by.load() == std::this_thread::get_id());
    std::signal(SIGUSR1, before);
}
