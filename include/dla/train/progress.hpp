// SPDX-License-Identifier: MIT
// Progress on a terminal: one line that redraws itself; plain lines when the output is not a terminal.
#pragma once

#include <dla/core/config.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace dla {

/// `1:02:03` or `02:03` for a number of seconds.
DLA_ONCE std::string duration_text(double seconds);

/// Shows how far an epoch is. Redraws at most ten times a second on a terminal, writes a line every ten seconds elsewhere, nothing when quiet.
class Progress {
public:
    using Clock = std::chrono::steady_clock;

    explicit Progress(bool quiet, std::FILE* out = stdout) : Progress(quiet, out, is_terminal(out) ? 0.1 : 10.0) {}
    /// As above, with `interval` seconds between two drawings.
    Progress(bool quiet, std::FILE* out, double interval);

    /// One that can redraw a line: TERM=dumb says that it cannot.
    static bool is_terminal(std::FILE* out);

    /// What is counted in a second.
    void set_unit(const char* unit) { unit_ = unit; }
    /// A new bar of `total` steps that starts at step `done`, e.g. "epoch 3/20".
    void start(std::string title, std::int64_t total, std::int64_t done = 0);
    /// `done` of `total` steps are finished; `samples` were used by the last one.
    void update(std::int64_t done, std::int64_t samples, double loss);
    /// True when it is time to draw again.
    bool is_due();
    /// A bar that is full to `share` (0 to 1) between two texts; elsewhere than on a terminal a line of the texts.
    void draw(const std::string& title, double share, const std::string& numbers);
    /// Removes the bar, so that a line can be written in its place.
    void clear();
    double seconds() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }
    /// Samples per second since `start`.
    double rate() const;

private:
    int columns() const;

    std::FILE* out_;
    double interval_;  // seconds
    bool quiet_, terminal_, color_;
    std::string title_;
    const char* unit_ = "img/s";
    std::int64_t total_ = 0, first_ = 0, samples_ = 0;
    Clock::time_point began_, shown_;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/train/progress.impl.hpp>
#endif
