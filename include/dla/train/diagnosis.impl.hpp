// SPDX-License-Identifier: MIT
// What the doctor says, as text and as a picture.
#pragma once

#include <algorithm>
#include <utility>

namespace dla {

DLA_ONCE bool Diagnosis::healthy() const {
    return std::ranges::none_of(findings, [](const Finding& f) { return f.kind == Finding::Kind::bad; });
}

DLA_ONCE const Finding* Diagnosis::find(std::string_view check) const {
    for (const Finding& f : findings)
        if (f.check == check) return &f;
    return nullptr;
}

DLA_ONCE std::string Diagnosis::text() const {
    std::string out;
    for (const Finding& f : findings) {
        out += std::string(f.kind == Finding::Kind::good     ? "good  "
                           : f.kind == Finding::Kind::notice ? "note  "
                                                             : "BAD   ") +
               f.check + ": " + f.sentence + "\n";
        if (!f.remedy.empty()) out += "      " + f.remedy + "\n";
    }
    return out;
}

DLA_ONCE PlotPage Diagnosis::plot() const {
    PlotPanel p;
    p.x_label = "Learning rate";
    p.y_label = "Loss (smoothed)";
    p.log_x = true;
    p.series = {{.label = "loss while the rate grows", .x = rates, .y = losses}};
    for (std::size_t i = 0; i < rates.size(); ++i)
        if (rates[i] == learning_rate) p.marks.push_back({rates[i], losses[i], "falls fastest"});
    PlotPage page;
    page.title = "Learning-rate range test";
    page.panels = {std::move(p)};
    page.columns = 1;
    page.height = 800;
    return page;
}

}  // namespace dla
