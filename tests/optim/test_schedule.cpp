// SPDX-License-Identifier: MIT
// Learning-rate schedules against PyTorch's, and their behaviour as a trainer sees it.
#include "golden_rules.hpp"

#include <bit>
#include <cmath>

using namespace dla;
using namespace optim_test;

namespace {

bool is_plateau(const Case& c) { return c.text("kind") == "plateau"; }

/// One unit of training: an epoch of three steps, or one step in epochs of four.
void advance(AnySchedule& s, ScheduleUnit unit, std::int64_t i, double metric) {
    if (unit == ScheduleUnit::epoch) {
        for (int step = 0; step < 3; ++step) s.after_step();
        s.after_epoch(metric);
    } else {
        s.after_step();
        if (i % 4 == 3) s.after_epoch(metric);
    }
}

double metric_of(const Case& c, std::int64_t i) { return is_plateau(c) ? c.tensor("metrics").values[static_cast<std::size_t>(i)] : 0; }

void check_close(double got, double expected) { CHECK(std::abs(got - expected) <= 1e-12 * std::abs(expected)); }

/// PyTorch steps the cosine recursively: its own rounding grows and, where the rate is nearly 0, is all there is.
double tolerance_of(const Case& c, double expected) {
    return c.text("kind") == "cosine" || c.text("kind") == "warmup_cosine" ? 1e-12 * c.number("learning_rate") + 1e-12 * std::abs(expected)
                                                                           : 1e-12 * std::abs(expected);
}

}  // namespace

TEST_CASE("schedules against PyTorch") {
    int cases = 0;
    for (const Case& c : golden::load("scheduler"))
        for (const ScheduleUnit unit : {ScheduleUnit::epoch, ScheduleUnit::step}) {
            if (is_plateau(c) && unit == ScheduleUnit::step) continue;
            ++cases;
            CAPTURE(c.name);
            AnySchedule s = schedule_of(c, unit);
            const Tensor& rates = c.tensor("learning_rates");
            for (std::int64_t i = 0; i < rates.size(); ++i) {
                CAPTURE(i);
                if (is_plateau(c)) advance(s, unit, i, metric_of(c, i));
                const double expected = rates.values[static_cast<std::size_t>(i)];
                CAPTURE(expected);
                CAPTURE(s.learning_rate());
                CHECK(std::abs(s.learning_rate() - expected) <= tolerance_of(c, expected));
                CHECK(s.momentum().has_value() == c.has("momenta"));
                if (c.has("momenta")) check_close(*s.momentum(), c.tensor("momenta").values[static_cast<std::size_t>(i)]);
                if (!is_plateau(c)) advance(s, unit, i, 0);
            }
        }
    CHECK(cases == 29 * 2 + 14);
}

TEST_CASE("a restored schedule continues bit for bit") {
    for (const Case& c : golden::load("scheduler")) {
        CAPTURE(c.name);
        const ScheduleUnit unit = is_plateau(c) ? ScheduleUnit::epoch : ScheduleUnit::step;
        const std::int64_t length = c.tensor("learning_rates").size();
        AnySchedule first = schedule_of(c, unit);
        for (std::int64_t i = 0; i < length; ++i) {
            AnySchedule through = first, resumed = schedule_of(c, unit);
            const std::vector<NamedNumber> state = first.state();
            for (const NamedNumber& n : state) CHECK(std::isfinite(n.value));
            resumed.restore(state);
            for (std::int64_t j = i; j < length; ++j) {
                CHECK(std::bit_cast<std::uint64_t>(resumed.learning_rate()) == std::bit_cast<std::uint64_t>(through.learning_rate()));
                CHECK(resumed.momentum() == through.momentum());
                advance(through, unit, j, metric_of(c, j));
                advance(resumed, unit, j, metric_of(c, j));
            }
            advance(first, unit, i, metric_of(c, i));
        }
    }
}

TEST_CASE("a state that cannot be is refused and changes nothing") {
    const auto plateau = [] { return AnySchedule({.learning_rate = 0.1, .rule = ReduceOnPlateau({.patience = 1}), .warmup = LinearWarmup({.length = 2})}); };
    AnySchedule s = plateau();
    for (int i = 0; i < 5; ++i) s.after_epoch(1);
    const std::vector<NamedNumber> good = s.state();
    REQUIRE(good.size() == 8);
    const auto refused = [&](std::vector<NamedNumber> state) {
        AnySchedule other = plateau();
        const bool threw = code_of([&] { other.restore(state); }) == ErrorCode::checkpoint;
        return threw && other.learning_rate() == plateau().learning_rate() && other.state()[0].value == 0;
    };
    CHECK_FALSE(refused(good));
    for (std::size_t i = 0; i < good.size(); ++i) {
        CAPTURE(good[i].name);
        auto bad = good;
        bad[i].value = std::nan("");
        CHECK(refused(bad));
        bad = good;
        bad[i].name = "unknown";
        CHECK(refused(bad));
        bad = good;
        bad.erase(bad.begin() + static_cast<std::ptrdiff_t>(i));
        CHECK(refused(bad));
        bad = good;
        bad.push_back(good[i]);
        CHECK(refused(bad));
        if (good[i].name == "best") continue;  // any value may be the best
        bad = good;
        bad[i].value = -1;
        CHECK(refused(bad));
        if (good[i].name == "learning_rate") continue;
        bad[i].value = 0.5;
        CHECK(refused(bad));
    }
    AnySchedule cycle({.rule = OneCycle({.length = 3})});
    CHECK(code_of([&] { cycle.restore(good); }) == ErrorCode::checkpoint);
    auto late = cycle.state();
    late[0].value = 4;
    CHECK(code_of([&] { cycle.restore(late); }) == ErrorCode::checkpoint);
}

TEST_CASE("one-cycle ends where it was planned to") {
    AnySchedule s({.learning_rate = 1, .rule = OneCycle({.length = 10})});
    for (int i = 0; i < 10; ++i) {
        CHECK_FALSE(s.finished());
        s.after_step();
    }
    CHECK(s.finished());
    check_close(s.learning_rate(), 4e-6);  // what the last step had
    CHECK(code_of([&] { s.after_step(); }) == ErrorCode::usage);
    check_close(s.learning_rate(), 4e-6);

    const AnySchedule rate_only({.rule = OneCycle({.length = 10, .cycle_momentum = false})});
    CHECK_FALSE(rate_only.momentum().has_value());
}

TEST_CASE("a warm-up in steps holds the epochs back until it is over") {
    // 10 steps of warm-up, epochs of 4 steps: epoch 2 (steps 8 to 11) ends warm and does not count.
    AnySchedule s({.learning_rate = 1,
                   .rule = StepSchedule({.period = 1, .gamma = 0.5}),
                   .warmup = LinearWarmup({.start_factor = 0.1, .length = 10, .unit = ScheduleUnit::step})});
    const double expected[] = {1, 0.5, 0.25};  // epochs 3, 4, 5
    for (int step = 0; step < 24; ++step) {
        const double rate = step < 10 ? 0.1 + 0.9 * step / 10 : step < 12 ? 1 : expected[step / 4 - 3];
        CAPTURE(step);
        check_close(s.learning_rate(), rate);
        CHECK(s.warming_up() == (step < 10));
        s.after_step();
        if (step % 4 == 3) s.after_epoch(0);
    }
    // A whole number of epochs: the first epoch after the warm-up is the rule's first.
    AnySchedule whole({.learning_rate = 1,
                       .rule = StepSchedule({.period = 1, .gamma = 0.5}),
                       .warmup = LinearWarmup({.start_factor = 0.1, .length = 8, .unit = ScheduleUnit::step})});
    for (int step = 0; step < 20; ++step) {
        CAPTURE(step);
        check_close(whole.learning_rate(), step < 8 ? 0.1 + 0.9 * step / 8 : std::pow(0.5, step / 4 - 2));
        whole.after_step();
        if (step % 4 == 3) whole.after_epoch(0);
    }
}

TEST_CASE("ReduceOnPlateau does not see the epochs of the warm-up") {
    AnySchedule s({.learning_rate = 1, .rule = ReduceOnPlateau({.factor = 0.5, .patience = 0}), .warmup = LinearWarmup({.start_factor = 0.5, .length = 2})});
    const double metrics[] = {0.1, 0.1, 3, 3, 2, 2};  // seen: 3, 3 (no better), 2, 2 (no better)
    const double rates[] = {0.5, 0.75, 1, 1, 0.5, 0.5, 0.25};
    for (int epoch = 0; epoch < 6; ++epoch) {
        check_close(s.learning_rate(), rates[epoch]);
        s.after_epoch(metrics[epoch]);
    }
    check_close(s.learning_rate(), rates[6]);
}

TEST_CASE("negative metrics with a relative threshold are reported") {
    AnySchedule s({.learning_rate = 1, .rule = ReduceOnPlateau({.factor = 0.5, .patience = 0})});
    s.after_epoch(1);
    CHECK(s.warning().empty());
    s.after_epoch(-1);
    CHECK(s.warning().find("relative = false") != std::string::npos);
    s.after_epoch(-1);
    s.after_epoch(-1);
    CHECK(s.learning_rate() == 1);  // what the warning says
    AnySchedule absolute({.learning_rate = 1, .rule = ReduceOnPlateau({.factor = 0.5, .patience = 0, .relative = false})});
    absolute.after_epoch(-1);
    CHECK(absolute.warning().empty());
    absolute.after_epoch(-1);
    CHECK(absolute.learning_rate() == 0.5);
    CHECK(AnySchedule().warning().empty());
}

TEST_CASE("impossible schedules are refused") {
    const auto refused = [](const auto& make) { return code_of(make) == ErrorCode::usage; };
    const double nan = std::nan("");
    CHECK(refused([] { CosineSchedule({}); }));
    CHECK(refused([] { CosineSchedule({.length = 3, .min_learning_rate = -1}); }));
    CHECK(refused([] { OneCycle({}); }));
    CHECK(refused([] { OneCycle({.length = 3, .pct_start = 1.5}); }));
    CHECK(refused([&] { OneCycle({.length = 3, .pct_start = nan}); }));
    CHECK(refused([] { OneCycle({.length = 3, .div_factor = 0}); }));
    CHECK(refused([] { OneCycle({.length = 3, .max_momentum = 1}); }));
    CHECK(refused([] { LinearWarmup({.length = 0}); }));
    CHECK(refused([] { LinearWarmup({.start_factor = 0}); }));
    CHECK(refused([] { LinearWarmup({.end_factor = 2}); }));
    CHECK(refused([] { StepSchedule({}); }));
    CHECK(refused([&] { StepSchedule({.period = 1, .gamma = nan}); }));
    CHECK(refused([] { MultiStepSchedule({.milestones = {3, -1}}); }));
    CHECK(refused([] { ExponentialSchedule({.gamma = -0.5}); }));
    CHECK(refused([] { ReduceOnPlateau({.factor = 1}); }));
    CHECK(refused([] { ReduceOnPlateau({.patience = -1}); }));
    CHECK(refused([] { ReduceOnPlateau({.threshold = 1}); }));
    CHECK_FALSE(refused([] { ReduceOnPlateau({.threshold = 1, .relative = false}); }));
    CHECK(refused([] { ReduceOnPlateau({.min_learning_rate = -1}); }));
    CHECK(refused([] { AnySchedule({.learning_rate = -1}); }));
    CHECK(refused([&] { AnySchedule({.learning_rate = nan}); }));
    CHECK(refused([] { AnySchedule({.rule = OneCycle({.length = 5}), .warmup = LinearWarmup()}); }));
}
