// SPDX-License-Identifier: MIT
// fit that is interrupted, resumed, and told that something else cannot be.
#include <doctest/doctest.h>

#include "fit_data.hpp"
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <csignal>
#include <filesystem>

using namespace fit_tests;

TEST_CASE("fit: resuming a model of one's own gives the bytes of a run that was never stopped") {
    const ArrayData data = surface();
    const TemporaryFolder folder;
    FitOptions o = quiet(6);
    o.validation_share = 0.2;
    o.metrics = {std::make_shared<R2>()};
    o.monitor = "r2";
    o.early_stopping_patience = 5;
    o.optimizer = Adam({.learning_rate = 0.01, .groups = {{.path = "0.*", .learning_rate = 0.02}, {.path = "*"}}});
    o.schedule = CosineSchedule({.length = 6});
    o.checkpoint_dir = folder / "whole";
    Regressor whole(Seed{1});
    const TrainingResult expected = fit(whole, data, o);

    o.checkpoint_dir = folder / "broken";
    o.log_dir = folder / "logs";
    o.resume = true;  // there is nothing yet
    for (const int steps : {13, 25, 3}) {
        Stop stop(steps);
        o.callbacks = {&stop};
        Regressor model(Seed{1});
        CHECK_THROWS_WITH(fit(model, data, o), "stop");
    }
    o.callbacks.clear();
    Regressor model(Seed{99});  // what it begins with does not matter any more
    const TrainingResult got = fit(model, data, o);
    CHECK(all_values(model) == all_values(whole));
    CHECK(expected.resumed_from.empty());
    CHECK(got.resumed_from.starts_with(folder / "broken/model_epoch_"));
    CHECK(error_of([&] { got.state.history[0].value("R2"); }) ==
          "error[usage] EpochMetrics: no number is called 'R2'; expected train_loss, train_accuracy, val_loss, val_accuracy, r2");
    put_weights(model, take_weights(whole));
    CHECK(take_weights(model) == take_weights(*any_model(whole)));
    REQUIRE(got.state.history.size() == expected.state.history.size());
    for (std::size_t i = 0; i < got.state.history.size(); ++i) {
        CHECK(got.state.history[i].train_loss == expected.state.history[i].train_loss);
        CHECK(got.state.history[i].val_loss == expected.state.history[i].val_loss);
        CHECK(got.state.history[i].value("r2") == expected.state.history[i].value("r2"));
    }
    CHECK(got.state.stopping == expected.state.stopping);
    CHECK(std::filesystem::exists(folder / "logs/model/metrics.jsonl"));

    // Weights of the best epoch, byte for byte but for the name of the run.
    const Checkpoint a(folder / "whole/model_best.safetensors"), b(folder / "broken/model_best.safetensors");
    Regressor one(Seed{7}), two(Seed{8});
    a.load_weights(*any_model(one)), b.load_weights(*any_model(two));
    CHECK(all_values(one) == all_values(two));

    // What is there is not mixed with something else.
    o.resume = false;
    CHECK(contains(error_of([&] { fit(model, data, o); }), "an earlier run left model_best.safetensors and 6 more; go on with it (resume = true)"));
    o.resume = true;
    o.batch_size = 16;
    CHECK(contains(error_of([&] { fit(model, data, o); }), "none of the checkpoints of 'model' serves"));
    o.resume = false, o.overwrite = true;
    CHECK_NOTHROW(fit(model, data, o));
}

TEST_CASE("fit: what a resumed run must have in common is everything that can be compared") {
    const ArrayData data = surface();
    const TemporaryFolder folder;
    FitOptions o = quiet(4);
    o.loss = Huber<float>{.delta = 0.5};
    o.optimizer = Adam({.learning_rate = 0.01});
    o.schedule = CosineSchedule({.length = 4});
    o.checkpoint_dir = folder / "run";
    o.validation_share = 0.1;
    o.metrics = {std::make_shared<BinaryScore>(BinaryScore::Kind::recall, -5)};
    o.clip_norm = 1;
    Stop stop(15);
    o.callbacks = {&stop};
    Regressor model(Seed{1});
    CHECK_THROWS_WITH(fit(model, data, o), "stop");
    o.callbacks.clear();
    o.resume = true;
    const auto refused = [&](const char* what, const auto& change) {
        CAPTURE(what);
        FitOptions other = o;
        change(other);
        Regressor again(Seed{1});
        CHECK(contains(error_of([&] { fit(again, data, other); }), "none of the checkpoints of 'model' serves"));
    };
    refused("monitor", [](FitOptions& c) { c.monitor = "train_loss"; });
    refused("seed", [](FitOptions& c) { c.seed = Seed{7}; });
    refused("a number of the loss", [](FitOptions& c) { c.loss = Huber<float>{.delta = 0.25}; });
    refused("a number of the optimizer", [](FitOptions& c) { c.optimizer = Adam({.learning_rate = 0.01, .beta2 = 0.9}); });
    refused("a rate of a group", [](FitOptions& c) { c.optimizer = Adam({.learning_rate = 0.01, .groups = {{.path = "*", .learning_rate = 0.02}}}); });
    refused("a number of the schedule", [](FitOptions& c) { c.schedule = CosineSchedule({.length = 5}); });
    refused("a warm-up", [](FitOptions& c) { c.warmup = LinearWarmup({.start_factor = 0.1, .length = 1}); });
    refused("a metric's threshold", [](FitOptions& c) { c.metrics = {std::make_shared<BinaryScore>(BinaryScore::Kind::recall, 5)}; });
    refused("a metric", [](FitOptions& c) { c.metrics = {std::make_shared<R2>()}; });
    refused("clipping", [](FitOptions& c) { c.clip_norm = 2; });
    refused("parts", [](FitOptions& c) { c.micro_batches = 2; });
    refused("the validation set", [](FitOptions& c) { c.validation_share = 0.2; });
    refused("patience", [](FitOptions& c) { c.early_stopping_patience = 3; });
    refused("epochs", [](FitOptions& c) { c.epochs = 5; });
    Regressor frozen(Seed{1});
    frozen.parameters().freeze("0.*");
    CHECK(contains(error_of([&] { fit(frozen, data, o); }), "none of the checkpoints of 'model' serves"));
    Regressor eval(Seed{1});
    eval.parameters().set_eval("1");
    CHECK(contains(error_of([&] { fit(eval, data, o); }), "it has no such setting as `eval = [\"1\"]`, which there is now"));
    const ArrayData fewer = surface(396);
    Regressor other(Seed{1});
    CHECK(contains(error_of([&] { fit(other, fewer, o); }), "none of the checkpoints of 'model' serves"));
    CHECK_NOTHROW(fit(model, data, o));
}

TEST_CASE("fit: signals are taken where something can be saved, and nowhere else") {
    struct Raises : TrainingCallback {
        void progress(int, std::int64_t done, std::int64_t) override {
            if (done == 1 && !raised) raised = true, std::raise(SIGTERM);
        }
        bool raised = false;
    };
    static int handled;
    handled = 0;
    const auto before = std::signal(SIGTERM, [](int) { ++handled; });
    const ArrayData data = surface(96);
    TemporaryFolder folder;
    Regressor model(Seed{3});
    FitOptions o = quiet(3);

    Raises saved;
    o.callbacks = {&saved};
    o.checkpoint_dir = folder.path;
    TrainingResult result = fit(model, data, o);
    CHECK(result.interrupted_by == SIGTERM);
    CHECK(result.state.epoch == 0);
    CHECK(result.checkpoint.ends_with("_interrupted.safetensors"));
    CHECK(handled == 0);

    Raises elsewhere;  // also: the signal before is over
    o.callbacks = {&elsewhere};
    o.checkpoint_dir.clear();
    result = fit(model, data, o);
    CHECK(result.interrupted_by == 0);
    CHECK(result.state.epoch == 3);
    CHECK(handled == 1);

    struct RaisesLate : TrainingCallback {
        void epoch(const EpochReport& report) override {
            if (report.metrics.epoch == 3) std::raise(SIGTERM);
        }
    } late;
    o.callbacks = {&late};
    o.checkpoint_dir = folder.path;
    o.name = "late";
    result = fit(model, data, o);
    CHECK(result.interrupted_by == SIGTERM);
    CHECK(result.state.epoch == 3);
    CHECK(handled == 1);
    o.callbacks.clear();
    o.resume = true;
    CHECK(fit(model, data, o).interrupted_by == 0);
    std::signal(SIGTERM, before);
}

TEST_CASE("fit: data may be a temporary, and runs may have a name of their own") {
    TemporaryFolder folder;
    Regressor model(Seed{3}), again(Seed{3});
    FitOptions o = quiet(2);
    o.checkpoint_dir = folder / "a";
    o.run_id = "twice";
    o.validation = surface(50);
    fit(model, surface(), o);
    o.checkpoint_dir = folder / "b";
    fit(again, surface(), o);
    const auto bytes = [&](const std::string& run) { return file_text(folder / (run + std::string("/model_epoch_2.safetensors"))); };
    CHECK(bytes("a") == bytes("b"));
    o.resume = true;
    o.run_id = "other";
    CHECK(contains(error_of([&] { fit(again, surface(), o); }), "none of the checkpoints of 'model' serves"));
    for (const char* bad : {"2024/11", "a b", "..", "ü"}) {
        o.run_id = bad;
        CHECK(contains(error_of([&] { fit(again, surface(), o); }), "run_id takes up to 64 letters, digits, _ and -"));
    }
    AnyData first(surface(40));
    const AnyData copy = first;
    first = AnyData(surface(50));
    CHECK(copy.size() == 40);
    CHECK(copy.fingerprint() == AnyData(surface(40)).fingerprint());
    CHECK(evaluate(model, surface()).loss == evaluate(model, AnyData(surface())).loss);
    const Dataset digits = make_digits(20, Seed{1});
    CHECK(AnyData(make_digits(20, Seed{1})).fingerprint() == AnyData(digits).fingerprint());
}

TEST_CASE("fit: what cannot be monitored or resumed says what could") {
    const ArrayData data = surface(96);
    Regressor model(Seed{3});
    FitOptions o = quiet(1);
    o.validation_share = 0.25;
    o.metrics = {std::make_shared<R2>(), std::make_shared<MeanAbsoluteError>()};
    o.monitor = "R2";
    CHECK(contains(error_of([&] { fit(model, data, o); }), "cannot monitor 'R2'; expected train_loss, val_loss, r2, mae"));
    TemporaryFolder folder;
    o.monitor.clear();
    o.checkpoint_dir = folder.path;
    fit(model, data, o);
    std::vector<std::string> skipped;
    CHECK(resumable_checkpoints(folder.path, "model", "epochs = 1\nbatch_size = 16\n", "", skipped).empty());
    REQUIRE(skipped.size() == 1);
    CHECK(contains(skipped[0], "written with another configuration: it has `batch_size = 32`, now `batch_size = 16`"));
    put_file(folder / "model_epoch_1.safetensors", "short");
    skipped.clear();
    CHECK(resumable_checkpoints(folder.path, "model", "", "", skipped).empty());
    REQUIRE(skipped.size() == 1);
    CHECK(skipped[0].starts_with(folder / "model_epoch_1.safetensors"));
}
