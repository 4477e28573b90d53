// SPDX-License-Identifier: MIT
// A schedule that may be told "the whole run" instead of a length.
#pragma once

#include <dla/core/shape.hpp>
#include <dla/optim/any_schedule.hpp>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

namespace dla {

/// Any of the schedules, or the options of one whose length is that of the run: `CosineOptions{}` falls from the first step (or the end of the warm-up) to the
/// last epoch, `OneCycleOptions{}` takes all steps. Options that name a length keep it.
class RunSchedule {
public:
    template <class Rule>
        requires std::constructible_from<ScheduleRule, const Rule&>
    RunSchedule(const Rule& rule) : rule_(ScheduleRule(rule)) {}
    RunSchedule(const CosineOptions& cosine) : rule_(cosine) {}
    RunSchedule(const OneCycleOptions& cycle) : rule_(cycle) {}

    /// The rule of a run of so many epochs, of so many steps each. Throws Error(usage) as the rule does.
    ScheduleRule of(int epochs, index_t steps_per_epoch, const std::optional<LinearWarmup>& warmup = {}) const {
        if (const auto* rule = std::get_if<ScheduleRule>(&rule_)) return *rule;
        const auto filled = [&](auto options) {
            if (options.length != 0) return options;
            const bool in_steps = options.unit == ScheduleUnit::step;
            std::int64_t warm = warmup ? warmup->options.length : 0;
            if (warmup && in_steps && warmup->options.unit == ScheduleUnit::epoch) warm *= steps_per_epoch;
            if (warmup && !in_steps && warmup->options.unit == ScheduleUnit::step) warm = (warm + steps_per_epoch - 1) / steps_per_epoch;
            options.length = std::max<std::int64_t>(1, (in_steps ? epochs * steps_per_epoch : std::int64_t{epochs}) - warm);
            return options;
        };
        if (const auto* cosine = std::get_if<CosineOptions>(&rule_)) return CosineSchedule(filled(*cosine));
        return OneCycle(filled(std::get<OneCycleOptions>(rule_)));
    }

private:
    std::variant<ScheduleRule, CosineOptions, OneCycleOptions> rule_;
};

}  // namespace dla
