// SPDX-License-Identifier: MIT
// How progress is drawn.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

namespace dla {

DLA_ONCE std::string duration_text(double seconds) {
    const long s = std::lround(std::max(0.0, seconds));
    char line[48];
    if (s >= 3600)
        std::snprintf(line, sizeof line, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        std::snprintf(line, sizeof line, "%02ld:%02ld", s / 60, s % 60);
    return line;
}

DLA_ONCE Progress::Progress(bool quiet, std::FILE* out, double interval)
    : out_(out), interval_(interval), quiet_(quiet), terminal_(is_terminal(out)), color_(terminal_ && std::getenv("NO_COLOR") == nullptr) {}

DLA_ONCE bool Progress::is_terminal(std::FILE* out) {
    const char* term = std::getenv("TERM");
    return isatty(fileno(out)) != 0 && !(term != nullptr && std::string_view(term) == "dumb");
}

DLA_ONCE void Progress::start(std::string title, std::int64_t total, std::int64_t done) {
    title_ = std::move(title);
    total_ = total;
    first_ = done;
    samples_ = 0;
    began_ = shown_ = Clock::now();
}

DLA_ONCE void Progress::update(std::int64_t done, std::int64_t samples, double loss) {
    samples_ += samples;
    if (!is_due()) return;
    const double elapsed = seconds();
    const double eta = elapsed / static_cast<double>(std::max<std::int64_t>(1, done - first_)) * static_cast<double>(total_ - done);
    char numbers[160];
    std::snprintf(numbers, sizeof numbers, "%lld/%lld  loss %.4f  %.0f %s  ETA %s", static_cast<long long>(done), static_cast<long long>(total_), loss, rate(),
                  unit_, duration_text(eta).c_str());
    draw(title_, total_ > 0 ? static_cast<double>(done) / static_cast<double>(total_) : 1, numbers);
}

DLA_ONCE bool Progress::is_due() {
    if (quiet_) return false;
    const auto now = Clock::now();
    if (std::chrono::duration<double>(now - shown_).count() < interval_) return false;
    shown_ = now;
    return true;
}

DLA_ONCE void Progress::draw(const std::string& title, double share, const std::string& numbers) {
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

DLA_ONCE void Progress::clear() {
    if (terminal_ && !quiet_) std::fprintf(out_, "\r\033[K");
}

DLA_ONCE double Progress::rate() const { return static_cast<double>(samples_) / std::max(1e-9, seconds()); }

DLA_ONCE int Progress::columns() const {
    if (const char* wish = std::getenv("COLUMNS")) {
        const int n = std::atoi(wish);
        if (n > 0) return n;
    }
    winsize size{};
    return ioctl(fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace dla
