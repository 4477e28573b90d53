// SPDX-License-Identifier: MIT
// What a program of the library does first, so that files and messages go where they belong.
#pragma once

#include <csignal>

#include <fcntl.h>

namespace dla {

/// Holds the descriptors 0, 1 and 2 if the program was started with some of them closed: otherwise the next file that is opened gets the number, and what is
/// printed goes into it. Reading gives the end of the file, printing fails, as on what is closed.
inline void hold_standard_streams() {
    for (int fd = 0; fd <= 2; ++fd)
        if (::fcntl(fd, F_GETFD) < 0) (void)::open("/dev/null", O_RDONLY);  // gets the lowest number that is free
}

/// A write beyond the limit of `ulimit -f` fails with an error instead of ending the process without a word.
inline void ignore_file_size_signal() { std::signal(SIGXFSZ, SIG_IGN); }

}  // namespace dla
