// SPDX-License-Identifier: MIT
// What the doctor sees in the statistics of layers: dead units, steps of the wrong size, gradients that vanish.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/inspect/grad_stats.hpp>
#include <dla/train/diagnosis.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace dla::detail {

inline std::string doctor_number(const char* format, double value) {
    char text[48];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

/// Some layer has parameters that are trained.
inline bool trains_any(const GradStats& stats) {
    return std::any_of(stats.layers.begin(), stats.layers.end(), [](const LayerStats& l) { return l.trainable > 0; });
}

/// What the statistics of the layers tell; `updates`: they have those of the last step.
inline void look_at_layers(Diagnosis& d, const GradStats& stats, bool updates) {
    std::string dead, small, large;
    double least = std::numeric_limits<double>::infinity(), most = 0;
    std::string least_path, most_path;
    for (const LayerStats& l : stats.layers) {
        const std::string name = l.path.empty() ? l.type : l.path + " " + l.type;
        const auto note = [&](std::string& to, const std::string& what) { to += (to.empty() ? "" : ", ") + name + " (" + what + ")"; };
        if (l.dead > 0.5) note(dead, doctor_number("%.0f %%", 100 * l.dead));
        if (l.update_ratio > 0.1) note(large, doctor_number("%.2g", l.update_ratio));
        if (l.update_ratio < 1e-6 && l.trainable > 0) note(small, doctor_number("%.2g", l.update_ratio));
        if (l.trainable == 0 || is_nan(l.gradient_norm)) continue;
        const double each = l.gradient_norm / std::sqrt(static_cast<double>(l.parameters));
        if (each < least) least = each, least_path = name;
        if (each > most) most = each, most_path = name;
    }
    if (!dead.empty())
        d.add("dead ReLUs", Finding::Kind::bad, "units that give 0 for every sample of a batch: " + dead,
              "use a smaller learning rate, normalisation in front of the ReLU, or LeakyReLU");
    else
        d.add("dead ReLUs", Finding::Kind::good, "no layer has more than half of its units dead");
    if (!large.empty())
        d.add("update size", Finding::Kind::bad, "a step changes weights by a tenth of their size or more: " + large,
              "use a smaller learning rate or a warm-up");
    else if (!small.empty())
        d.add("update size", Finding::Kind::notice, "a step changes weights by less than a millionth of their size: " + small,
              "use a larger learning rate, and look whether gradients reach the layer");
    else if (updates)
        d.add("update size", Finding::Kind::good, "steps change weights by a small share of their size");
    if (most == 0 && !trains_any(stats))
        d.add("gradients", Finding::Kind::good, "no layer has parameters that are trained");
    else if (most == 0)
        d.add("gradients", Finding::Kind::bad, "no gradient reaches any layer",
              "look at the end of the network: a dead ReLU behind the last layer, or a loss that does not depend on the outputs");
    else if (least == 0)
        d.add("gradients", Finding::Kind::bad, "no gradient reaches " + least_path,
              "look at what follows that layer: a dead ReLU, or outputs that nothing uses");
    else if (least < most * 1e-5)
        d.add("gradients", Finding::Kind::bad,
              "gradients differ by a factor of " + doctor_number("%.1g", most / least) + " between " + most_path + " and " + least_path,
              "use shortcuts (Residual) or normalisation, so that gradients reach all layers");
    else
        d.add("gradients", Finding::Kind::good, "gradients of all layers are of similar size");
}

}  // namespace dla::detail
