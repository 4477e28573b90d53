// SPDX-License-Identifier: MIT
// A learning-rate schedule chosen at run time, with an optional warm-up, as a trainer drives, saves and restores it.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/optim/schedule.hpp>

#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace dla::inline DLA_ABI_TAG {

/// One number of a state that is saved and restored.
struct NamedNumber {
    std::string name;
    double value = 0;
};

/// A rule, its base rate, and a warm-up in front of it.
struct AnyScheduleOptions {
    double learning_rate = 1e-3;  ///< the base rate; of one-cycle the highest
    ScheduleRule rule = ConstantSchedule{};
    std::optional<LinearWarmup> warmup = {};  ///< runs first; the rule starts when it is over (SequentialLR)
};

/// A schedule as a trainer drives it: read the rate, take a step, call `after_step`; after each epoch call `after_epoch`.
/// The rule's clock starts with the first step (or epoch) that begins after the warm-up: an epoch in which the warm-up ends does not count.
class AnySchedule {
public:
    /// Throws Error(usage) for a rate that is negative or not finite, and for a warm-up in front of one-cycle, which has its own.
    explicit AnySchedule(const AnyScheduleOptions& o = {})
        : base_(o.learning_rate), rule_(o.rule), warmup_(o.warmup), epoch_is_warm_(o.warmup.has_value()), reduced_(o.learning_rate) {
        if (!(base_ >= 0 && is_finite(base_))) fail(ErrorCode::usage, "schedule", "learning_rate must be finite and not negative");
        if (warmup_ && one_cycle()) fail(ErrorCode::usage, "schedule", "one_cycle warms up by itself; expected no warm-up in front of it");
    }

    const char* name() const {
        return std::visit([](const auto& rule) { return rule.name; }, rule_);
    }
    const ScheduleRule& rule() const { return rule_; }
    /// The rate of the next step.
    double learning_rate() const {
        if (warming_up()) return warmup_->learning_rate(base_, warmup_ticks_);
        if (plateau()) return reduced_;
        return std::visit(
            [this](const auto& rule) {
                if constexpr (requires { rule.learning_rate(base_, ticks_); })
                    return rule.learning_rate(base_, ticks_);
                else
                    return base_;
            },
            rule_);
    }
    /// Momentum (Adam: beta1) of the next step, when the schedule sets it.
    std::optional<double> momentum() const {
        const OneCycle* cycle = one_cycle();
        return cycle && cycle->options.cycle_momentum ? std::optional(cycle->momentum(ticks_)) : std::nullopt;
    }
    bool warming_up() const { return warmup_ && warmup_ticks_ < warmup_->options.length; }
    /// One-cycle has given its last step; the next one would be an error.
    bool finished() const { return one_cycle() && ticks_ >= one_cycle()->options.length; }

    /// A training step is done. Throws Error(usage) when it was one more than one-cycle was planned for.
    void after_step() {
        if (warming_up()) {
            if (warmup_->options.unit == ScheduleUnit::step) ++warmup_ticks_;
        } else if (unit() == ScheduleUnit::step) {
            advance();
        }
    }
    /// Whether the rule looks at how training goes: ReduceOnPlateau; and whether it takes larger values for better ones.
    bool watches() const { return plateau() != nullptr; }
    bool maximizes() const { return plateau() && plateau()->options.maximize; }
    /// An epoch is done and its metric is known; only ReduceOnPlateau looks at it.
    void after_epoch(double metric) {
        const bool counts = !epoch_is_warm_;
        if (warming_up() && warmup_->options.unit == ScheduleUnit::epoch) ++warmup_ticks_;
        epoch_is_warm_ = warming_up();
        if (!counts || unit() != ScheduleUnit::epoch) return;
        if (ReduceOnPlateau* rule = plateau()) reduced_ = rule->observe(reduced_, metric);
        advance();
    }
    /// Gives the optimizer the rate and, if scheduled, the momentum of the next step.
    template <class Optimizer>
    void apply(Optimizer& optimizer) const {
        optimizer.set_learning_rate(learning_rate());
        if (const auto m = momentum()) optimizer.set_momentum(*m);
    }

    /// Something the user should know, or empty: a relative threshold on negative values calls every epoch an improvement.
    std::string warning() const {
        const ReduceOnPlateau* rule = plateau();
        if (!rule || !rule->options.relative || rule->options.threshold == 0 || !rule->has_best || rule->best >= 0) return {};
        return "reduce_lr: the metric is negative, so that with a relative threshold even an unchanged value counts as an improvement and the rate never "
               "falls; use relative = false";
    }

    /// All that changes, as finite numbers; `restore` continues from it bit for bit.
    std::vector<NamedNumber> state() const {
        std::vector<NamedNumber> s{{"ticks", real(ticks_)}, {"warmup_ticks", real(warmup_ticks_)}, {"epoch_is_warm", epoch_is_warm_ ? 1.0 : 0.0}};
        if (const ReduceOnPlateau* rule = plateau())
            s.insert(s.end(), {{"learning_rate", reduced_},
                               {"best", rule->best},
                               {"has_best", rule->has_best ? 1.0 : 0.0},
                               {"bad_epochs", real(rule->bad_epochs)},
                               {"cooldown_left", real(rule->cooldown_left)}});
        return s;
    }
    /// Takes up a state of a schedule with the same options. Throws Error(checkpoint), and changes nothing, when a number is missing, unknown or impossible.
    void restore(std::span<const NamedNumber> saved) {
        AnySchedule next = *this;
        std::size_t used = 0;
        const auto number = [&](const char* key, double highest) {
            const NamedNumber* found = nullptr;
            for (const NamedNumber& n : saved)
                if (n.name == key) found = &n;
            if (!found) refuse(key, "is missing");
            ++used;
            if (!(found->value <= highest)) refuse(key, "is impossible here");
            return found->value;
        };
        const auto count = [&](const char* key, double highest = 0x1p53) {
            const double v = number(key, highest);
            if (!(v >= 0 && v == std::floor(v))) refuse(key, "is no count");
            return static_cast<std::int64_t>(v);
        };
        next.ticks_ = count("ticks", one_cycle() ? real(one_cycle()->options.length) : 0x1p53);
        next.warmup_ticks_ = count("warmup_ticks", warmup_ ? real(warmup_->options.length) : 0);
        next.epoch_is_warm_ = count("epoch_is_warm", warmup_ ? 1 : 0) != 0;
        if (ReduceOnPlateau* rule = next.plateau()) {
            next.reduced_ = number("learning_rate", std::numeric_limits<double>::max());
            if (!(next.reduced_ >= 0)) refuse("learning_rate", "is negative");
            rule->best = number("best", std::numeric_limits<double>::infinity());
            rule->has_best = count("has_best", 1) != 0;
            rule->bad_epochs = count("bad_epochs");
            rule->cooldown_left = count("cooldown_left", real(rule->options.cooldown));
        }
        if (used != saved.size())
            fail(ErrorCode::checkpoint, "schedule",
                 text("the saved state does not belong to ", name(), "; expected ", used, " numbers, got ", saved.size()).view());
        *this = std::move(next);
    }

private:
    static double real(std::int64_t n) { return static_cast<double>(n); }
    [[noreturn]] void refuse(const char* key, const char* what) const {
        fail(ErrorCode::checkpoint, "schedule", text("the saved number ", key, " of ", name(), " ", what).view());
    }

    const OneCycle* one_cycle() const { return std::get_if<OneCycle>(&rule_); }
    const ReduceOnPlateau* plateau() const { return std::get_if<ReduceOnPlateau>(&rule_); }
    ReduceOnPlateau* plateau() { return std::get_if<ReduceOnPlateau>(&rule_); }
    ScheduleUnit unit() const {
        return std::visit(
            [](const auto& rule) {
                if constexpr (requires { rule.options.unit; })
                    return rule.options.unit;
                else
                    return ScheduleUnit::epoch;
            },
            rule_);
    }
    void advance() {
        if (finished())
            fail(ErrorCode::usage, "one_cycle",
                 text("the run took more than the planned ", one_cycle()->options.length, " steps; plan all steps of all epochs").view());
        ++ticks_;
    }

    double base_;
    ScheduleRule rule_;
    std::optional<LinearWarmup> warmup_;
    std::int64_t ticks_ = 0, warmup_ticks_ = 0;
    bool epoch_is_warm_;  // the epoch that runs began in the warm-up
    double reduced_;      // the rate of ReduceOnPlateau
};

}  // namespace dla::inline DLA_ABI_TAG
