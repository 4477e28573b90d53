// SPDX-License-Identifier: MIT
// Optimizers, schedules and parameter tables for the golden cases.
#pragma once

#include <doctest/doctest.h>

#include <dla/kernels/reference.hpp>
#include <dla/model/params.hpp>
#include <dla/optim/any_schedule.hpp>
#include <dla/optim/make_optimizer.hpp>

#include <optional>
#include <support/golden.hpp>

#if __has_include(<dla/kernels/cpu.hpp>)
#include <dla/kernels/cpu.hpp>
#define OPTIM_POLICIES dla::Reference<double>, dla::Reference<float>, dla::Cpu<float>
#else
#define OPTIM_POLICIES dla::Reference<double>, dla::Reference<float>
#endif

namespace optim_test {

using golden::Case;
using golden::Tensor;

inline dla::Optimizer optimizer_of(const Case& c) {
    dla::OptimizerOptions o{.learning_rate = c.number("learning_rate"), .weight_decay = c.number("weight_decay")};
    if (c.text("kind") == "sgd") {
        o.momentum = c.number("momentum");
        o.dampening = c.number("dampening");
        o.nesterov = c.number("nesterov") != 0;
    } else {
        o.beta1 = c.number("beta1");
        o.beta2 = c.number("beta2");
        o.eps = c.number("eps");
    }
    return dla::make_optimizer(c.text("kind"), o);
}

inline std::vector<std::int64_t> milestones_of(const std::string& list) {
    std::vector<std::int64_t> out;
    std::istringstream in(list);
    for (std::string word; std::getline(in, word, ',');) out.push_back(std::stoll(word));
    return out;
}

/// The schedule of a case of scheduler.txt, counting in `unit` (plateau: epochs).
inline dla::AnySchedule schedule_of(const Case& c, dla::ScheduleUnit unit) {
    using namespace dla;
    const std::string& kind = c.text("kind");
    AnyScheduleOptions o{.learning_rate = c.number("learning_rate")};
    if (c.has("warmup")) o.warmup = LinearWarmup({.start_factor = c.number("warmup_start", 0.1), .length = c.integer("warmup"), .unit = unit});
    if (kind == "cosine" || kind == "warmup_cosine") {
        o.rule = CosineSchedule({.length = c.integer("t_max"), .min_learning_rate = c.number("eta_min"), .unit = unit});
    } else if (kind == "one_cycle") {
        o.rule = OneCycle({.length = c.integer("total_steps"),
                           .pct_start = c.number("pct_start"),
                           .div_factor = c.number("div_factor"),
                           .final_div_factor = c.number("final_div_factor"),
                           .base_momentum = c.number("base_momentum"),
                           .max_momentum = c.number("max_momentum"),
                           .unit = unit});
    } else if (kind == "linear") {
        o.rule =
            LinearWarmup({.start_factor = c.number("start_factor"), .end_factor = c.number("end_factor"), .length = c.integer("total_iters"), .unit = unit});
    } else if (kind == "step") {
        o.rule = StepSchedule({.period = c.integer("step_size"), .gamma = c.number("gamma"), .unit = unit});
    } else if (kind == "multi_step") {
        o.rule = MultiStepSchedule({.milestones = milestones_of(c.text("milestones")), .gamma = c.number("gamma"), .unit = unit});
    } else if (kind == "exponential") {
        o.rule = ExponentialSchedule({.gamma = c.number("gamma"), .unit = unit});
    } else {
        REQUIRE(kind == "plateau");
        o.rule = ReduceOnPlateau({.factor = c.number("factor"),
                                  .patience = c.integer("patience"),
                                  .threshold = c.number("threshold"),
                                  .relative = c.text("threshold_mode") == "rel",
                                  .maximize = c.text("mode") == "max",
                                  .cooldown = c.integer("cooldown"),
                                  .min_learning_rate = c.number("min_lr"),
                                  .eps = c.number("eps")});
    }
    return AnySchedule(o);
}

/// A table of 1-d parameters.
template <class P>
dla::ParamTable<P> table_of(const std::vector<std::pair<dla::ParamKind, std::int64_t>>& rows) {
    dla::ParamTable<P> table;
    for (const auto& [kind, count] : rows) {
        dla::ParamRow row;
        row.path = std::to_string(table.parameters.size()) + (kind == dla::ParamKind::weight || kind == dla::ParamKind::norm_weight ? ".weight" : ".bias");
        row.kind = kind;
        row.dims = dla::Dims(count);
        row.offset = table.value_count;
        row.count = count;
        table.parameters.push_back(row);
        table.value_count += dla::padded_count<typename P::scalar>(count);
    }
    table.allocate();
    return table;
}

/// Writes `count` values of a golden tensor, from `first` on, to row `row`.
template <class P>
void put(dla::ParamTable<P>& table, dla::ParamPart part, std::size_t row, const Tensor& from, std::int64_t first = 0) {
    const dla::ParamRow& r = table.parameters[row];
    std::vector<typename P::scalar> values;
    for (std::int64_t i = 0; i < r.count; ++i) values.push_back(static_cast<typename P::scalar>(from.values.at(static_cast<std::size_t>(first + i))));
    table.write(part, r, values);
}

template <class P>
std::vector<typename P::scalar> get(const dla::ParamTable<P>& table, dla::ParamPart part, std::size_t row) {
    std::vector<typename P::scalar> values(static_cast<std::size_t>(table.parameters[row].count));
    table.read(part, table.parameters[row], values);
    return values;
}

/// The code of the dla::Error that f throws, if it throws one.
template <class F>
std::optional<dla::ErrorCode> code_of(const F& f) {
    try {
        f();
    } catch (const dla::Error& error) {
        return error.code();
    }
    return std::nullopt;
}

}  // namespace optim_test
