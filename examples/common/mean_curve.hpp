// SPDX-License-Identifier: MIT
// Several runs as one curve: their mean and its spread.
#pragma once

#include "summary.hpp"

#include <dla/io/plot_page.hpp>

namespace experiment {

/// Mean over the runs that have a value there, as long as these are at least half of them: the mean of the few that are left last is that of other networks.
/// With a band of one standard deviation to both sides where there are two values or more. On a logarithmic axis the band does not go below the smallest
/// value: it would reach down to nothing.
inline dla::PlotSeries mean_curve(const std::vector<std::vector<double>>& runs, bool logarithmic) {
    dla::PlotSeries s;
    std::size_t length = 0;
    for (const std::vector<double>& v : runs) length = std::max(length, v.size());
    for (std::size_t i = 0; i < length; ++i) {
        std::vector<double> here;
        for (const std::vector<double>& v : runs)
            if (i < v.size()) here.push_back(v[i]);
        const Summary summary(here);
        const auto count = static_cast<std::size_t>(summary.count);
        s.x.push_back(static_cast<double>(i + 1));
        s.y.push_back(2 * count >= runs.size() ? summary.mean : std::numeric_limits<double>::quiet_NaN());
        if (runs.size() < 2) continue;
        s.low.push_back(count < 2     ? std::numeric_limits<double>::quiet_NaN()
                        : logarithmic ? std::max(summary.mean - summary.std, summary.low)
                                      : summary.mean - summary.std);
        s.high.push_back(count < 2 ? std::numeric_limits<double>::quiet_NaN() : summary.mean + summary.std);
    }
    return s;
}

}  // namespace experiment
