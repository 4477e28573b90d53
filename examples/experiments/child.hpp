// SPDX-License-Identifier: MIT
// A program that runs beside this one, and ends when this one does.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace experiments {

/// A process whose output goes to a file. It is in a process group of its own: Ctrl-C is for this program, which passes it on. When this program ends, however
/// it ends, the child gets SIGTERM.
class Child {
public:
    Child() = default;
    /// Starts `words[0]`, a path, with the others as arguments; stdout and stderr are appended to `log`. Throws Error(io).
    Child(const std::vector<std::string>& words, const std::string& log);

    /// Whether it has ended; then `status` is known.
    bool ended();
    /// Its exit status, or 128 + the signal that ended it.
    int status() const { return status_; }
    /// Waits until it has ended.
    void wait();
    /// Asks it to end (SIGTERM).
    void stop() const;

private:
    int process_ = 0;
    int status_ = 0;
    bool ended_ = false;
};

}  // namespace experiments
