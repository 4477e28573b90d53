// SPDX-License-Identifier: MIT
// What a program of the library does first, so that files and messages go where they belong.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <fcntl.h>
#include <pthread.h>

namespace dla {

/// Holds the descriptors 0, 1 and 2 if the program was started with some of them closed: otherwise the next file that is opened gets the number, and what is
/// printed goes into it. Reading gives the end of the file, printing fails, as on what is closed.
inline void hold_standard_streams() {
    for (int fd = 0; fd <= 2; ++fd)
        if (::fcntl(fd, F_GETFD) < 0) (void)::open("/dev/null", O_RDONLY);  // gets the lowest number that is free
}

/// A write beyond the limit of `ulimit -f` fails with an error instead of ending the process without a word.
inline void ignore_file_size_signal() { std::signal(SIGXFSZ, SIG_IGN); }

/// Bytes that OMP_STACKSIZE asks for (`512K`, `2G`; a number alone counts kilobytes), 0 when it says nothing that OpenMP understands.
inline std::size_t openmp_stack_size() {
    const char* text = std::getenv("OMP_STACKSIZE");
    if (!text) return 0;
    char* end = nullptr;
    errno = 0;
    const unsigned long long n = std::strtoull(text, &end, 10);
    while (*end == ' ') ++end;
    const char unit = *end == '\0' ? 'K' : static_cast<char>(*end & ~0x20);
    const int shift = unit == 'B' ? 0 : unit == 'K' ? 10 : unit == 'M' ? 20 : unit == 'G' ? 30 : -1;
    if (end == text || errno != 0 || shift < 0 || n > (SIZE_MAX >> shift)) return 0;
    return static_cast<std::size_t>(n) << shift;
}

/// Whether `count` threads with stacks such as OpenMP's can run at a time here. OpenMP ends the process when it cannot start one.
inline bool can_start_threads(int count) {
    std::atomic<bool> go = false;
    pthread_attr_t attributes;
    if (::pthread_attr_init(&attributes) != 0) return false;
    const std::size_t stack = openmp_stack_size();
    bool all = stack == 0 || ::pthread_attr_setstacksize(&attributes, stack) == 0 || stack < 65536;  // OpenMP passes over what is too small
    std::vector<pthread_t> threads;
    threads.reserve(static_cast<std::size_t>(std::max(0, count)));
    const auto wait = [](void* flag) -> void* {
        static_cast<std::atomic<bool>*>(flag)->wait(false);
        return nullptr;
    };
    for (int i = 1; all && i < count; ++i) {
        pthread_t thread{};
        all = ::pthread_create(&thread, &attributes, wait, &go) == 0;
        if (all) threads.push_back(thread);
    }
    go = true;
    go.notify_all();
    for (const pthread_t thread : threads) ::pthread_join(thread, nullptr);
    ::pthread_attr_destroy(&attributes);
    return all;
}

}  // namespace dla
