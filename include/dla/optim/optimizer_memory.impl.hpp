// SPDX-License-Identifier: MIT
// Which parameters an optimizer treats alike.
#pragma once

#include <dla/core/error.hpp>
#include <dla/core/path.hpp>

#include <algorithm>

namespace dla {

DLA_ONCE OptimizerPlan plan_optimizer(const std::vector<OptimizerRow>& rows, const OptimizerChoice& choice) {
    const std::vector<std::string_view>& groups = choice.groups;
    std::vector<int> matched(groups.size(), 0), named(choice.no_matrices.size(), 0);
    OptimizerPlan plan{.runs = {}, .begin = rows.empty() ? 0 : rows.back().end, .end = 0};
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const OptimizerRow& row = rows[i];
        int group = -1;
        for (std::size_t g = 0; g < groups.size(); ++g)
            if (path_matches(groups[g], row.path)) {
                ++matched[g];
                if (group < 0) group = static_cast<int>(g);
            }
        bool matrix = row.rows > 0;
        for (std::size_t m = 0; m < named.size(); ++m)
            if (path_matches(choice.no_matrices[m], row.path)) ++named[m], matrix = false;
        if (!groups.empty() && group < 0) continue;
        plan.begin = std::min(plan.begin, row.offset);
        plan.end = std::max(plan.end, row.end);
        if (!row.trainable) continue;
        OptimizerRun run{row.offset, row.end - row.offset, group, !choice.by_kind || row.is_weight, i, i + 1};
        if (matrix) run.rows = row.rows, run.columns = row.columns, run.count = row.rows * row.columns;
        OptimizerRun* last = plan.runs.empty() || matrix || plan.runs.back().rows > 0 ? nullptr : &plan.runs.back();
        if (last && last->end == i && last->group == group && last->decays == run.decays && rows[last->first].steps == row.steps)
            last->count += run.count, last->end = i + 1;
        else
            plan.runs.push_back(run);
    }
    for (std::size_t g = 0; g < groups.size(); ++g)
        if (matched[g] == 0) fail(ErrorCode::model, groups[g], "no parameter matches this group of the optimizer; see the paths in summary(model)");
    for (std::size_t m = 0; m < named.size(); ++m)
        if (named[m] == 0)
            fail(ErrorCode::model, choice.no_matrices[m], "no parameter matches this path, which AdamW is to step; see the paths in summary(model)");
    return plan;
}

}  // namespace dla
