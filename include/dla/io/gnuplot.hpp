// SPDX-License-Identifier: MIT
// Talks to the program gnuplot: quoting, numbers and colours of its language, and running it without a shell.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/io/atomic_file.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>

#include <spawn.h>
#include <sys/wait.h>

extern "C" char** environ;  // POSIX wants the program to declare it

namespace dla::detail {

/// A gnuplot single-quoted string: only the quote itself is special in it. Control characters would end the line.
inline std::string gnuplot_quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text) {
        if (c == '\'')
            out += "''";
        else
            out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out + "'";
}

/// Shortest decimal form; `NaN` for what cannot be drawn.
inline std::string plot_number(double v) {
    if (!is_finite(v)) return "NaN";
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, v).ptr};
}

/// `#rrggbb` of a hue in degrees, a saturation and a lightness between 0 and 1.
inline std::string hsl_color(double hue, double saturation, double lightness) {
    const auto part = [&](double n) {
        const double k = std::fmod(n + hue / 30, 12.0);
        const double v = lightness - saturation * std::min(lightness, 1 - lightness) * std::max(-1.0, std::min({k - 3, 9 - k, 1.0}));
        return static_cast<unsigned>(std::lround(255 * v));
    };
    char text[8];
    std::snprintf(text, sizeof text, "#%02x%02x%02x", part(0) & 255u, part(8) & 255u, part(4) & 255u);
    return text;
}

/// Distinct in colour, in grey and for colour-blind readers (Okabe and Ito, 2008, without yellow; then darker relatives). From the thirteenth on: hues as
/// far from each other as can be had one after another. Negative: black.
inline std::string plot_color(int index) {
    constexpr std::string_view colors[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
                                           "#7f3c8d", "#8b4513", "#666666", "#004d40", "#b22222", "#808000"};
    constexpr int count = std::size(colors);
    if (index < 0) return "#000000";
    if (index < count) return std::string(colors[static_cast<std::size_t>(index)]);
    return hsl_color(std::fmod(137.508 * (index - count), 360), 0.7, index % 2 == 0 ? 0.35 : 0.6);
}

/// Runs gnuplot in `folder`: first the commands `before`, then the file `script`. Neither the user's settings (~/.gnuplot) nor gnuplot's environment
/// variables count. Returns its exit status, 127 if there is no such program; `output` gets what it printed (cut). Status 0 does not mean that an image was
/// written: a full disk is no error to gnuplot.
inline int run_gnuplot(const std::string& folder, const std::string& before, const std::string& script, std::string& output) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return 126;
    FileDescriptor reader(ends[0]), writer(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, writer.get(), 1);
    ::posix_spawn_file_actions_adddup2(&actions, writer.get(), 2);
    ::posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    std::string words[] = {"gnuplot", "-d", "-e", before, script};
    char* const arguments[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(), words[4].data(), nullptr};
    std::vector<char*> variables;
    for (char** v = environ; *v != nullptr; ++v)
        if (!std::string_view(*v).starts_with("GNU")) variables.push_back(*v);  // GNUTERM, GNUPLOT_LIB, ...
    variables.push_back(nullptr);
    pid_t child = 0;
    const int error = ::posix_spawnp(&child, "gnuplot", &actions, nullptr, arguments, variables.data());
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        output = std::generic_category().message(error);
        return error == ENOENT ? 127 : 126;
    }
    writer.close();
    char buffer[512];
    for (ssize_t got = 1; got > 0 || (got < 0 && errno == EINTR);) {
        got = ::read(reader.get(), buffer, sizeof buffer);
        if (got > 0 && output.size() < 2000) output.append(buffer, static_cast<std::size_t>(got));
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}

/// Whether the file is a PNG from its signature to its end chunk.
inline bool whole_png(const std::string& path) try {
    const auto bytes = read_file(path, std::uint64_t{1} << 30);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!text.starts_with("\x89PNG\r\n\x1a\n")) return false;
    for (std::size_t at = 8; text.size() - at >= 12;) {  // chunks: length, kind, content, checksum
        std::size_t length = 0;
        for (std::size_t i = 0; i < 4; ++i) length = length << 8 | static_cast<unsigned char>(text[at + i]);
        if (length > text.size() - at - 12) return false;
        const bool last = text.substr(at + 4, 4) == "IEND";
        at += 12 + length;
        if (last) return at == text.size();
    }
    return false;
} catch (const Error&) {
    return false;
}

/// Whether the file is text that ends as an SVG does.
inline bool whole_svg(const std::string& path) try {
    const auto bytes = read_file(path, std::uint64_t{1} << 30);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return text.substr(0, text.find_last_not_of(" \r\n") + 1).ends_with("</svg>");
} catch (const Error&) {
    return false;
}

}  // namespace dla::detail
