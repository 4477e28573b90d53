// SPDX-License-Identifier: MIT
// Learning-rate rules with PyTorch's semantics: closed forms of the number of steps or epochs done, so that a resumed run sees the same bits.
#pragma once

#include <dla/core/error.hpp>
#include <dla/core/math.hpp>
#include <dla/core/text.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <variant>
#include <vector>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::inline DLA_ABI_TAG {

/// What a schedule counts.
enum class ScheduleUnit { epoch, step };

/// The rate stays as it is.
struct ConstantSchedule {
    static constexpr const char* name = "none";
    double learning_rate(double base, std::int64_t) const { return base; }
};

/// Options of LinearWarmup.
struct LinearWarmupOptions {
    double start_factor = 1.0 / 3, end_factor = 1;
    std::int64_t length = 5;  ///< units from start_factor to end_factor
    ScheduleUnit unit = ScheduleUnit::epoch;
};
/// rate = base (start + (end - start) min(t, length) / length) (torch.optim.lr_scheduler.LinearLR).
class LinearWarmup {
public:
    static constexpr const char* name = "linear";
    LinearWarmupOptions options;
    explicit LinearWarmup(const LinearWarmupOptions& o = {}) : options(o) {
        if (o.length < 1) fail(ErrorCode::usage, "LinearWarmup", text("length must be at least 1; got ", o.length).view());
        if (!(o.start_factor > 0 && o.start_factor <= 1)) fail(ErrorCode::usage, "LinearWarmup", "start_factor must lie in (0, 1]");
        if (!(o.end_factor >= 0 && o.end_factor <= 1)) fail(ErrorCode::usage, "LinearWarmup", "end_factor must lie in [0, 1]");
    }
    double learning_rate(double base, std::int64_t t) const {
        const double done = static_cast<double>(std::min(t, options.length)) / static_cast<double>(options.length);
        return base * (options.start_factor + (options.end_factor - options.start_factor) * done);
    }
};

/// Options of CosineSchedule.
struct CosineOptions {
    std::int64_t length = 0;  ///< units from the base rate down to min_learning_rate; PyTorch's T_max; 0 is refused, but by RunSchedule, which fills it in
    double min_learning_rate = 0;
    ScheduleUnit unit = ScheduleUnit::epoch;
};
/// rate = min + (base - min) (1 + cos(pi t / length)) / 2 (CosineAnnealingLR); past `length` it climbs again, as PyTorch's does.
class CosineSchedule {
public:
    static constexpr const char* name = "cosine";
    CosineOptions options;
    explicit CosineSchedule(const CosineOptions& o) : options(o) {
        if (o.length < 1)
            fail(ErrorCode::usage, "CosineSchedule",
                 text("length must be at least 1; got ", o.length, "; give the number of epochs or steps (to `fit`, CosineOptions{} is the whole run)").view());
        if (!(o.min_learning_rate >= 0 && is_finite(o.min_learning_rate)))
            fail(ErrorCode::usage, "CosineSchedule", "min_learning_rate must be finite and not negative");
    }
    double learning_rate(double base, std::int64_t t) const {
        const double low = options.min_learning_rate;
        const std::int64_t phase = t % (2 * options.length);  // exact however long the run is
        return low + (base - low) * (1 + math::cos_pi(static_cast<double>(phase) / static_cast<double>(options.length))) / 2;
    }
};

/// Options of OneCycle.
struct OneCycleOptions {
    std::int64_t length = 0;  ///< all training steps of the run; PyTorch's total_steps; 0 is refused, but by RunSchedule
    double pct_start = 0.3;   ///< fraction of the run that climbs
    double div_factor = 25, final_div_factor = 1e4;
    bool cycle_momentum = true;  ///< momentum (Adam: beta1) goes from max_momentum to base_momentum and back
    double base_momentum = 0.85, max_momentum = 0.95;
    ScheduleUnit unit = ScheduleUnit::step;
};
/// Climbs from base / div_factor to base, falls to base / div_factor / final_div_factor, both along half a cosine (OneCycleLR; Smith and Topin 2017).
/// The last of the `length` steps has the lowest rate; a step too many is an error.
class OneCycle {
public:
    static constexpr const char* name = "one_cycle";
    OneCycleOptions options;
    explicit OneCycle(const OneCycleOptions& o) : options(o) {
        if (o.length < 1)
            fail(ErrorCode::usage, "OneCycle",
                 text("length must be at least 1; got ", o.length, "; give the number of training steps of the whole run (to `fit`, OneCycleOptions{} is that)")
                     .view());
        if (!(o.pct_start >= 0 && o.pct_start <= 1)) fail(ErrorCode::usage, "OneCycle", "pct_start must lie in [0, 1]");
        if (!(o.div_factor > 0 && o.final_div_factor > 0)) fail(ErrorCode::usage, "OneCycle", "div_factor and final_div_factor must be above 0");
        for (const double m : {o.base_momentum, o.max_momentum})
            if (!(m > 0 && m < 1)) fail(ErrorCode::usage, "OneCycle", "base_momentum and max_momentum must lie between 0 and 1");
    }
    double learning_rate(double base, std::int64_t t) const {
        const double low = base / options.div_factor;
        return anneal(t, low, base, low / options.final_div_factor);
    }
    double momentum(std::int64_t t) const { return anneal(t, options.max_momentum, options.base_momentum, options.max_momentum); }

private:
    /// start at step 0, middle where the climb ends, end at the last step.
    double anneal(std::int64_t t, double start, double middle, double end) const {
        const double last = static_cast<double>(options.length - 1), turn = options.pct_start * static_cast<double>(options.length) - 1;
        const double now = std::min(static_cast<double>(t), last);  // after the last step the rate stays
        if (now <= turn) return between(start, middle, turn > 0 ? now / turn : 1);
        return between(middle, end, (now - turn) / (last - turn));
    }
    static double between(double from, double to, double done) { return to + (from - to) / 2 * (math::cos_pi(done) + 1); }
};

/// Options of StepSchedule.
struct StepScheduleOptions {
    std::int64_t period = 0;  ///< units between two drops; PyTorch's step_size; there is no default
    double gamma = 0.1;
    ScheduleUnit unit = ScheduleUnit::epoch;
};
/// rate = base gamma^floor(t / period) (StepLR).
class StepSchedule {
public:
    static constexpr const char* name = "step";
    StepScheduleOptions options;
    explicit StepSchedule(const StepScheduleOptions& o) : options(o) {
        if (o.period < 1) fail(ErrorCode::usage, "StepSchedule", text("period must be at least 1; got ", o.period).view());
        if (!(o.gamma >= 0 && is_finite(o.gamma))) fail(ErrorCode::usage, "StepSchedule", "gamma must be finite and not negative");
    }
    double learning_rate(double base, std::int64_t t) const { return base * math::power(options.gamma, t / options.period); }
};

/// Options of MultiStepSchedule.
struct MultiStepOptions {
    std::vector<std::int64_t> milestones = {};
    double gamma = 0.1;
    ScheduleUnit unit = ScheduleUnit::epoch;
};
/// rate = base gamma^(number of milestones that are reached) (MultiStepLR).
class MultiStepSchedule {
public:
    static constexpr const char* name = "multi_step";
    MultiStepOptions options;
    explicit MultiStepSchedule(const MultiStepOptions& o) : options(o) {
        for (const std::int64_t m : o.milestones)
            if (m < 0) fail(ErrorCode::usage, "MultiStepSchedule", text("milestones must not be negative; got ", m).view());
        if (!(o.gamma >= 0 && is_finite(o.gamma))) fail(ErrorCode::usage, "MultiStepSchedule", "gamma must be finite and not negative");
    }
    double learning_rate(double base, std::int64_t t) const {
        const auto reached = std::count_if(options.milestones.begin(), options.milestones.end(), [t](std::int64_t m) { return m <= t; });
        return base * math::power(options.gamma, reached);
    }
};

/// Options of ExponentialSchedule.
struct ExponentialOptions {
    double gamma = 0.95;
    ScheduleUnit unit = ScheduleUnit::epoch;
};
/// rate = base gamma^t (ExponentialLR).
class ExponentialSchedule {
public:
    static constexpr const char* name = "exponential";
    ExponentialOptions options;
    explicit ExponentialSchedule(const ExponentialOptions& o = {}) : options(o) {
        if (!(o.gamma >= 0 && is_finite(o.gamma))) fail(ErrorCode::usage, "ExponentialSchedule", "gamma must be finite and not negative");
    }
    double learning_rate(double base, std::int64_t t) const { return base * math::power(options.gamma, t); }
};

/// Options of ReduceOnPlateau.
struct ReduceOnPlateauOptions {
    double factor = 0.1;
    std::int64_t patience = 10;  ///< epochs without improvement that are borne
    double threshold = 1e-4;     ///< smallest change that counts as an improvement
    bool relative = true;        ///< threshold is a fraction of the best value (PyTorch's rel); false: a difference (abs)
    bool maximize = false;       ///< larger is better (PyTorch's mode max)
    std::int64_t cooldown = 0;   ///< epochs after a reduction that do not count
    double min_learning_rate = 0;
    double eps = 1e-8;  ///< smaller changes of the rate are not made
};
/// Multiplies the rate by `factor` when a metric has not improved for more than `patience` epochs (ReduceLROnPlateau). NaN is no improvement.
class ReduceOnPlateau {
public:
    static constexpr const char* name = "reduce_lr";
    ReduceOnPlateauOptions options;
    double best = 0;  ///< meaningless until has_best
    bool has_best = false;
    std::int64_t bad_epochs = 0, cooldown_left = 0;

    explicit ReduceOnPlateau(const ReduceOnPlateauOptions& o = {}) : options(o) {
        if (!(o.factor >= 0 && o.factor < 1)) fail(ErrorCode::usage, "ReduceOnPlateau", "factor must lie in [0, 1)");
        if (o.patience < 0 || o.cooldown < 0) fail(ErrorCode::usage, "ReduceOnPlateau", "patience and cooldown must not be negative");
        if (!(o.threshold >= 0 && is_finite(o.threshold))) fail(ErrorCode::usage, "ReduceOnPlateau", "threshold must be finite and not negative");
        if (o.relative && o.threshold >= 1) fail(ErrorCode::usage, "ReduceOnPlateau", "a relative threshold must be below 1");
        if (!(o.min_learning_rate >= 0 && is_finite(o.min_learning_rate) && o.eps >= 0))
            fail(ErrorCode::usage, "ReduceOnPlateau", "min_learning_rate and eps must not be negative");
    }
    /// The rate after an epoch that ended with this metric.
    double observe(double rate, double metric) {
        if (is_better(metric)) {
            best = metric;
            has_best = true;
            bad_epochs = 0;
        } else {
            ++bad_epochs;
        }
        if (cooldown_left > 0) {
            --cooldown_left;
            bad_epochs = 0;
        }
        if (bad_epochs <= options.patience) return rate;
        cooldown_left = options.cooldown;
        bad_epochs = 0;
        const double reduced = std::max(rate * options.factor, options.min_learning_rate);
        return rate - reduced > options.eps ? reduced : rate;
    }
    bool is_better(double metric) const {
        constexpr double infinity = std::numeric_limits<double>::infinity();
        if (!has_best) return options.maximize ? metric > -infinity : metric < infinity;
        if (options.maximize) return metric > (options.relative ? best * (options.threshold + 1) : best + options.threshold);
        return metric < (options.relative ? best * (1 - options.threshold) : best - options.threshold);
    }
};

/// Any of the schedules.
using ScheduleRule =
    std::variant<ConstantSchedule, LinearWarmup, CosineSchedule, OneCycle, StepSchedule, MultiStepSchedule, ExponentialSchedule, ReduceOnPlateau>;

}  // namespace dla::inline DLA_ABI_TAG

#include <dla/core/end_exact.inl.hpp>
