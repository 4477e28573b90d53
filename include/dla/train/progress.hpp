// SPDX-License-Identifier: MIT
// Progress on a terminal: one line that redraws itself; plain lines when the output is not a terminal.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

namespace dla {

/// `1:02:03` or `02:03` for a number of seconds.
inline std::string duration_text(double seconds) {
    const long s = std::lround(std::max(0.0, seconds));
    char line[48];
    if (s >= 3600)
        std::snprintf(line, sizeof line, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        std::snprintf(line, sizeof line, "%02ld:%02ld", s / 60, s % 60);
    return line;
}

/// Shows how far an epoch is. Redraws at most ten times a second on a terminal, writes a line every ten seconds elsewhere, nothing when quiet.
class Progress {
public:
    using Clock = std::chrono::steady_clock;

    explicit Progress(bool quiet, std::FILE* out = stdout) : Progress(quiet, out, is_terminal(out) ? 0.1 : 10.0) {}
    /// As above, with `interval` seconds between two drawings.
    Progress(bool quiet, std::FILE* out, double interval)
        : out_(out), interval_(interval), quiet_(quiet), terminal_(is_terminal(out)), color_(terminal_ && std::getenv("NO_COLOR") == nullptr) {}

    /// One that can redraw a line: TERM=dumb says that it cannot.
    static bool is_terminal(std::FILE* out) {
        const char* term = std::getenv("TERM");
        return isatty(fileno(out)) != 0 && !(term != nullptr && std::string_view(term) == "dumb");
    }

    /// What is counted in a second.
    void set_unit(const char* unit) { unit_ = unit; }
    /// A new bar of `total` steps that starts at step `done`, e.g. "epoch 3/20".
    void start(std::string title, std::int64_t total, std::int64_t done = 0) {
        title_ = std::move(title);
        total_ = total;
        first_ = done;
        samples_ = 0;
        began_ = shown_ = Clock::now();
    }
    /// `done` of `total` steps are finished; `samples` were used by the last one.
    void update(std::int64_t done, std::int64_t samples, double loss) {
        samples_ += samples;
        if (!is_due()) return;
        const double elapsed = seconds();
        const double eta = elapsed / static_cast<double>(std::max<std::int64_t>(1, done - first_)) * static_cast<double>(total_ - done);
        char numbers[160];
        std::snprintf(numbers, sizeof numbers, "%lld/%lld  loss %.4f  %.0f %s  ETA %s", static_cast<long long>(done), static_cast<long long>(total_), loss,
                      rate(), unit_, duration_text(eta).c_str());
        draw(title_, total_ > 0 ? static_cast<double>(done) / static_cast<double>(total_) : 1, numbers);
    }
    /// True when it is time to draw again.
    bool is_due() {
        if (quiet_) return false;
        const auto now = Clock::now();
        if (std::chrono::duration<double>(now - shown_).count() < interval_) return false;
        shown_ = now;
        return true;
    }
    /// A bar that is full to `share` (0 to 1) between two texts; elsewhere than on a terminal a line of the texts.
    void draw(const std::string& title, double share, const std::string& numbers) {
        if (!terminal_) {
            std::fprintf(out_, "%s  %s\n", title.c_str(), numbers.c_str());
        } else {
            // A line that is wider than the terminal would wrap, and each redraw would scroll.
            const int width = columns() - 1, room = width - static_cast<int>(title.size() + numbers.size()) - 5;
            const int cells = std::clamp(room, 0, 40), full = static_cast<int>(cells * std::clamp(share, 0.0, 1.0));
            std::string bar;
            for (int i = 0; i < cells; ++i) bar += i < full ? "█" : "·";
            if (color_ && cells > 0) bar = "\033[32m" + bar + "\033[0m";
            if (cells > 0)
                std::fprintf(out_, "\r%s %s  %s\033[K", title.c_str(), bar.c_str(), numbers.c_str());
            else
                std::fprintf(out_, "\r%.*s\033[K", width, (title + "  " + numbers).c_str());
        }
        std::fflush(out_);
    }
    /// Removes the bar, so that a line can be written in its place.
    void clear() {
        if (terminal_ && !quiet_) std::fprintf(out_, "\r\033[K");
    }
    double seconds() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }
    /// Samples per second since `start`.
    double rate() const { return static_cast<double>(samples_) / std::max(1e-9, seconds()); }

private:
    int columns() const {
        if (const char* wish = std::getenv("COLUMNS")) {
            const int n = std::atoi(wish);
            if (n > 0) return n;
        }
        winsize size{};
        return ioctl(fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    }

    std::FILE* out_;
    double interval_;  // seconds
    bool quiet_, terminal_, color_;
    std::string title_;
    const char* unit_ = "img/s";
    std::int64_t total_ = 0, first_ = 0, samples_ = 0;
    Clock::time_point began_, shown_;
};

}  // namespace dla
