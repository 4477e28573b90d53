// SPDX-License-Identifier: MIT
// The experiments of a depth study that differ in nothing but the run, and their means.
#pragma once

#include "../common/summary.hpp"
#include "results.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace depth_study {

using experiment::Summary, experiment::dataset_title;

/// The runs of one network.
struct Group {
    int depth = 0;
    bool residual = false;
    std::vector<const Experiment*> tested, diverged;  ///< in the order of the runs

    std::size_t count() const { return tested.size() + diverged.size(); }
    /// `value` of each experiment that was tested.
    template <class Value>
    Summary summary(Value&& value) const {
        std::vector<double> values;
        for (const Experiment* e : tested) values.push_back(value(*e));
        return Summary(values);
    }
    /// `depth 30 plain`
    std::string name() const { return "depth " + std::to_string(depth) + (residual ? " residual" : " plain"); }
};

/// By depth, plain before residual; groups without experiments are there too.
inline std::vector<Group> groups(const Results& r) {
    std::map<std::pair<int, bool>, Group> all;
    for (const int depth : r.depths)
        for (const bool residual : {false, true}) all.emplace(std::pair(depth, residual), Group{depth, residual, {}, {}});
    std::vector<const Experiment*> by_run;
    for (const Experiment& e : r.experiments)
        if (e.run < r.runs) by_run.push_back(&e);
    std::stable_sort(by_run.begin(), by_run.end(), [](const Experiment* a, const Experiment* b) { return a->run < b->run; });
    for (const Experiment* e : by_run)
        if (const auto group = all.find({e->depth, e->residual}); group != all.end())
            (e->diverged.empty() ? group->second.tested : group->second.diverged).push_back(e);
    std::vector<Group> sorted;
    for (auto& [network, group] : all) sorted.push_back(std::move(group));
    return sorted;
}

}  // namespace depth_study
