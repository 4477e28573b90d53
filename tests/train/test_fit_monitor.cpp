// SPDX-License-Identifier: MIT
// fit: what is monitored decides when to stop, what to keep, and when rates fall.
#include <doctest/doctest.h>

#include "fit_data.hpp"
#include <support/error_of.hpp>

#include <algorithm>

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
