// SPDX-License-Identifier: MIT
// Means and spreads of what several runs gave, and how reports write them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

namespace experiment {

/// Of the finite ones among some values; the standard deviation is that of a sample (n - 1), 0 for a single value.
struct Summary {
    int count = 0;
    double mean = std::numeric_limits<double>::quiet_NaN(), std = 0, low = std::numeric_limits<double>::quiet_NaN();  ///< `low`: the smallest value

    explicit Summary(const std::vector<double>& values) {
        double sum = 0, squares = 0;
        for (const double v : values)
            if (std::isfinite(v)) {
                sum += v;
                low = count++ == 0 ? v : std::min(low, v);
            }
        if (count == 0) return;
        mean = sum / count;
        for (const double v : values)
            if (std::isfinite(v)) squares += (v - mean) * (v - mean);
        if (count > 1) std = std::sqrt(squares / (count - 1));
    }
};

inline std::string dataset_title(const std::string& name) {
    return name == "mnist" ? "MNIST" : name == "fashion_mnist" ? "Fashion-MNIST" : name == "cifar10" ? "CIFAR-10" : name;
}

/// `printf` of one number.
inline std::string formatted(const char* format, double value) {
    char text[64];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

/// The text as a Markdown code span of one line.
inline std::string code_span(std::string text) {
    for (char& c : text)
        if (c == '`' || static_cast<unsigned char>(c) < 0x20) c = ' ';
    return "`" + text + "`";
}

}  // namespace experiment
