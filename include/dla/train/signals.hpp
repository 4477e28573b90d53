// SPDX-License-Identifier: MIT
// SIGINT and SIGTERM: the first asks to finish the step, a second ends the process at once.
#pragma once

#include <unistd.h>
#include <csignal>

namespace dla {

namespace detail {
inline volatile std::sig_atomic_t caught_signal = 0;
inline int signal_guards = 0;

inline void on_signal(int number) {
    if (caught_signal != 0) _exit(128 + number);
    caught_signal = number;
}
}  // namespace detail

/// While it lives, SIGINT and SIGTERM are noted instead of ending the process. One inside another keeps what was noted. For the main thread.
class SignalGuard {
public:
    SignalGuard() {
        if (detail::signal_guards++ == 0) detail::caught_signal = 0;
        struct sigaction action {};
        action.sa_handler = detail::on_signal;
        sigemptyset(&action.sa_mask);
        action.sa_flags = SA_RESTART;
        take(SIGINT, action, old_int_);
        take(SIGTERM, action, old_term_);
    }
    ~SignalGuard() {
        --detail::signal_guards;
        sigaction(SIGINT, &old_int_, nullptr);
        sigaction(SIGTERM, &old_term_, nullptr);
    }
    SignalGuard(const SignalGuard&) = delete;
    SignalGuard& operator=(const SignalGuard&) = delete;

    /// The signal that was caught since the outermost guard that lives began to, or 0.
    static int caught() { return detail::signal_guards > 0 ? static_cast<int>(detail::caught_signal) : 0; }

private:
    /// What whoever started the process chose to ignore (nohup, a shell's background jobs) stays ignored.
    static void take(int number, const struct sigaction& action, struct sigaction& old) {
        sigaction(number, nullptr, &old);
        if (old.sa_handler != SIG_IGN) sigaction(number, &action, &old);
    }

    struct sigaction old_int_ {};
    struct sigaction old_term_ {};
};

}  // namespace dla
