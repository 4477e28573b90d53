// SPDX-License-Identifier: MIT
// fit: what is monitored decides when to stop, what to keep, and when rates fall.
#include <doctest/doctest.h>

#include "fit_data.hpp"
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <algorithm>
#include <cstdio>
#include <sstream>

using namespace fit_tests;

TEST_CASE("fit: early stopping watches what it is told, and keeps the best weights") {
    const ArrayData data = surface();
    Regressor model(Seed{1});
    FitOptions o = quiet(40);
    o.optimizer = Sgd({.learning_rate = 0});  // nothing ever gets better
    o.validation_share = 0.5;
    o.early_stopping_patience = 3;
    const TrainingResult none = fit(model, data, o);
    CHECK(none.stopped_early);
    CHECK(none.state.monitor == "val_loss");
    o.validation_share = 0;
    CHECK(fit(model, data, o).state.monitor == "train_loss");
    o.monitor = "val_loss";
    CHECK(contains(error_of([&] { fit(model, data, o); }),
                   "error[usage] trainer: cannot monitor 'val_loss'; expected train_loss or the name of one of the metrics"));
    o.monitor = "train_accuracy";
    CHECK(contains(error_of([&] { fit(model, data, o); }), "cannot monitor"));
}

TEST_CASE("fit: a schedule that waits for progress follows what is monitored") {
    const ArrayData data = surface();
    const auto rates = [&](const char* monitor, bool maximize) {
        Regressor model(Seed{3});
        FitOptions o = quiet(6);
        o.optimizer = Adam({.learning_rate = 0.03});
        o.schedule = ReduceOnPlateau({.factor = 0.5, .patience = 0, .threshold = 0, .maximize = maximize});
        o.validation_share = 0.25;
        o.metrics = {std::make_shared<R2>(), std::make_shared<MeanAbsoluteError>()};
        o.monitor = monitor;
        const TrainingResult result = fit(model, data, o);
        ReduceOnPlateau rule({.factor = 0.5, .patience = 0, .threshold = 0, .maximize = maximize});
        double rate = 0.03;
        for (const EpochMetrics& m : result.state.history) {
            CHECK(m.learning_rate == rate);
            rate = rule.observe(rate, m.value(monitor[0] ? monitor : "val_loss"));
        }
        const auto& history = result.state.history;  // and the best epoch is the one with the best of it, whichever way is better
        const auto better = [&](const EpochMetrics& x, const EpochMetrics& y) {
            const char* of = monitor[0] ? monitor : "val_loss";
            return maximize ? x.value(of) > y.value(of) : x.value(of) < y.value(of);
        };
        CHECK(result.state.stopping.best_epoch == std::min_element(history.begin(), history.end(), better)->epoch);
        return rate;
    };
    CHECK(rates("r2", true) > 0.03 / 64);  // not every epoch was worse than the one before
    rates("mae", false);
    rates("", false);
    CHECK(contains(error_of([&] { rates("mae", true); }),
                   "ReduceOnPlateau waits for larger values, and 'mae' is better when smaller; set its `maximize` to false"));
    CHECK(contains(error_of([&] { rates("r2", false); }), "set its `maximize` to true"));
    CHECK(contains(error_of([&] { rates("", true); }), "'val_loss' is better when smaller"));
}

TEST_CASE("fit: a callback that has seen enough ends the run after its epoch, and everything is in place") {
    struct Enough : TrainingCallback {
        int at_epoch, steps = 0;
        std::int64_t at_step;
        Enough(int epoch, std::int64_t step) : at_epoch(epoch), at_step(step) {}
        void step(std::int64_t number, int, double, double) override {
            if (number == at_step) stop();
            ++steps;
        }
        void epoch(const EpochReport& report) override {
            if (report.metrics.epoch == at_epoch) stop();
        }
    };
    const ArrayData data = surface();
    const TemporaryFolder folder;
    FitOptions o = quiet(6);
    o.checkpoint_dir = folder / "c";
    o.save_every = 100;
    o.log_every = 1;
    Enough one(100, 0), two(3, 0);
    o.callbacks = {&one, &two};
    Regressor stopped(Seed{1});
    const TrainingResult result = fit(stopped, data, o);
    CHECK(result.state.epoch == 3);
    CHECK(result.stopped_early);
    CHECK(result.interrupted_by == 0);
    CHECK(one.steps == 3 * 13);  // all callbacks are told of all steps
    CHECK(result.checkpoint.ends_with("model_epoch_3.safetensors"));
    // Three epochs of six are not three of three: the rest comes where one goes on, and the callback is heard anew.
    o.resume = true;
    Regressor resumed(Seed{1}), whole(Seed{1});
    CHECK(fit(resumed, data, o).state.epoch == 6);
    FitOptions plain = quiet(6);
    fit(whole, data, plain);
    CHECK(all_values(resumed) == all_values(whole));
    // In the middle of an epoch: the epoch is finished.
    Enough early(100, 15);
    plain.callbacks = {&early};
    plain.log_every = 1;
    CHECK(fit(stopped, data, plain).state.epoch == 2);
    early.stop();  // before a run: not of that
    plain.callbacks = {&early};
    early.at_step = 0;
    CHECK(fit(stopped, data, plain).state.epoch == 6);
    plain.callbacks = {&early, nullptr};
    CHECK(contains(error_of([&] { fit(stopped, data, plain); }), "a callback is null"));
}

TEST_CASE("fit: a schedule of the whole run needs no length") {
    const ArrayData data = surface();
    const auto rates = [&](const FitOptions& options) {
        struct Rates : TrainingCallback {
            std::vector<double> all;
            void step(std::int64_t, int, double, double rate) override { all.push_back(rate); }
        } seen;
        FitOptions o = options;
        o.epochs = 5;
        o.batch_size = 50;  // 8 steps
        o.quiet = true;
        o.log_every = 1;
        o.callbacks = {&seen};
        Regressor model(Seed{1});
        fit(model, data, o);
        REQUIRE(seen.all.size() == 40);
        return seen.all;
    };
    FitOptions a, b;
    a.schedule = CosineOptions{.min_learning_rate = 1e-5}, b.schedule = CosineSchedule({.length = 5, .min_learning_rate = 1e-5});
    CHECK(rates(a) == rates(b));
    a.schedule = CosineOptions{.unit = ScheduleUnit::step}, b.schedule = CosineSchedule({.length = 40, .unit = ScheduleUnit::step});
    CHECK(rates(a) == rates(b));
    a.schedule = CosineOptions{.length = 7}, b.schedule = CosineSchedule({.length = 7});
    CHECK(rates(a) == rates(b));
    a.schedule = OneCycleOptions{}, b.schedule = OneCycle({.length = 40});
    CHECK(rates(a) == rates(b));
    a.schedule = OneCycleOptions{.unit = ScheduleUnit::epoch}, b.schedule = OneCycle({.length = 5, .unit = ScheduleUnit::epoch});
    CHECK(rates(a) == rates(b));
    // A warm-up takes its part of the run.
    const std::pair<ScheduleUnit, std::int64_t> warmups[] = {{ScheduleUnit::epoch, 2}, {ScheduleUnit::step, 16}, {ScheduleUnit::step, 17}, {ScheduleUnit::step, 3}};
    const std::int64_t epochs_left[] = {3, 3, 2, 4}, steps_left[] = {24, 24, 23, 37};
    for (std::size_t i = 0; i < 4; ++i) {
        a.warmup = b.warmup = LinearWarmup({.length = warmups[i].second, .unit = warmups[i].first});
        a.schedule = CosineOptions{}, b.schedule = CosineSchedule({.length = epochs_left[i]});
        CHECK(rates(a) == rates(b));
        a.schedule = CosineOptions{.unit = ScheduleUnit::step}, b.schedule = CosineSchedule({.length = steps_left[i], .unit = ScheduleUnit::step});
        const std::vector<double> seen = rates(a);
        CHECK(seen == rates(b));
        CHECK(seen.back() < 1e-5);  // where the run ends the rate is near its lowest
    }
    a.warmup = LinearWarmup({.length = 5});  // the whole run: nothing is left to fall
    CHECK_NOTHROW(rates(a));
    a.warmup = LinearWarmup({.length = 9});
    CHECK(contains(error_of([&] { rates(a); }), "the warm-up takes 9 epochs, and the run has 5"));
}

TEST_CASE("fit: chances of one's own draw the samples, and change what a resumed run must be") {
    const ArrayData data = stripes(100);
    FitOptions o = quiet(3);
    o.sampling_weights.assign(100, 0);
    for (std::size_t i = 0; i < 100; i += 10) o.sampling_weights[i] = 1;  // only stripe 2
    o.optimizer = Adam({.learning_rate = 0.05});
    Classifier model(Seed{3});
    const TrainingResult result = fit(model, data, o);
    CHECK(result.state.history.back().train_accuracy == 100);
    ConfusionMatrix matrix;
    matrix.add(predict(model, data), data.labels());
    CHECK(matrix.recall(2) == 1);
    CHECK(matrix.count(0, 2) > 0);  // it has never seen another
    const TemporaryFolder folder;
    o.checkpoint_dir = folder / "c";
    Classifier again(Seed{3});
    fit(again, data, o);
    CHECK(all_values(again) == all_values(model));
    o.resume = true;
    o.sampling_weights[1] = 1;
    CHECK(contains(error_of([&] { fit(again, data, o); }), "none of the checkpoints of 'model' serves"));
    o.balanced = true;
    CHECK(contains(error_of([&] { fit(again, data, o); }), "give one of balanced and sampling_weights"));
    o.balanced = false;
    o.sampling_weights.pop_back();
    CHECK(contains(error_of([&] { fit(again, data, o); }), "sampling_weights needs one for each sample of the data"));
}

TEST_CASE("fit: its result is told in a line, and statistics come where they are asked for") {
    const ArrayData data = surface();
    struct Stats : TrainingCallback {
        int with = 0;
        void epoch(const EpochReport& report) override { with += report.stats != nullptr && !report.stats->layers.empty() ? 1 : 0; }
    } seen;
    FitOptions o = quiet(2);
    o.stats = true;
    o.callbacks = {&seen};
    Regressor model(Seed{1});
    const TrainingResult result = fit(model, data, o);
    CHECK(seen.with == 2);
    std::ostringstream line;
    line << result;
    char expected[64];
    std::snprintf(expected, sizeof expected, "2 epochs: train loss %.4f", result.state.history.back().train_loss);
    CHECK(line.str() == expected);

    TrainingResult other;
    other.state.epoch = 3;
    other.state.history = {{1, 2, 50, 1, 60, 0.1}, {2, 1, 70, 0.5, 80, 0.1, {{"top2", 95.5}}}, {3, 1, 70, 0.6, 79, 0.1}};
    other.state.stopping.best_epoch = 2;
    other.stopped_early = true;
    other.interrupted_by = 2;
    std::ostringstream more;
    more << other;
    CHECK(more.str() ==
          "3 epochs (stopped early), the best 2: train loss 1.0000, train accuracy 70.00 %, val loss 0.5000, val accuracy 80.00 %, top2 95.5; interrupted by signal 2");
}
