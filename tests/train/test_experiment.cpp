// SPDX-License-Identifier: MIT
// A run of a configuration: fit_options, a place that was taken before, the test at the end, and the network from its checkpoint alone.
#include <doctest/doctest.h>

#include "fit_data.hpp"
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <dla/config.hpp>
#include <dla/experiment.hpp>
#include <dla/zoo.hpp>

#include <csignal>
#include <filesystem>
#include <sstream>

using namespace fit_tests;

namespace {

ExperimentConfig small_config(const std::vector<std::string>& more = {}) {
    std::vector<std::string> overrides{"model.name=\"mlp\"",         "model.input_shape=[1, 28, 28]", "model.layer_sizes=[32, 10]", "dataset.name=\"digits\"",
                                       "dataset.size=600",           "dataset.val_size=100",          "training.num_epochs=3",     "training.batch_size=50",
                                       "training.scheduler=\"none\"", "training.early_stopping_patience=0"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return parse_config("", "test", overrides);
}
const DatasetPair& small_digits() {
    static const DatasetPair data = load_dataset("digits", "", {.digits_train = 600, .digits_test = 100});
    return data;
}
FitOptions quiet_options(const ExperimentConfig& config) {
    FitOptions o = fit_options(config, small_digits());
    o.quiet = true;
    return o;
}

}  // namespace

TEST_CASE("a configuration says what is trained, and its checkpoint is enough to have the network again") {
    const TemporaryFolder folder;
    const ExperimentConfig config = small_config({"training.label_smoothing=0.1", "training.clip_grad_norm=2.0", "training.micro_batches=2"});
    FitOptions o = quiet_options(config);
    CHECK(o.epochs == 3);
    CHECK(o.batch_size == 50);
    CHECK(o.split->train.size() == 500);
    CHECK(o.split->validation.size() == 100);
    CHECK(o.clip_norm == 2);
    CHECK(o.micro_batches == 2);
    o.stats = true;
    o.log_dir = folder / "logs";
    o.checkpoint_dir = folder / "out";
    auto model = make_model(config);
    CHECK(take_weights(*model) == take_weights(*make_model(config.model, Seed{42})));  // of the configuration's seed
    const TrainingResult result = fit(*model, small_digits().train, o);

    // The test is of the weights that the model holds now, the best ones.
    REQUIRE(result.test.has_value());
    const Evaluation again = evaluate(*model, small_digits().test, {.loss = *o.loss, .batch_size = 50});
    CHECK(result.test->loss == again.loss);
    CHECK(result.test->accuracy == again.accuracy);
    CHECK(result.test->accuracy > 30);
    CHECK(result.checkpoint == folder / "out/mlp_digits_final.safetensors");
    CHECK(Checkpoint(result.checkpoint).state().test_accuracy == result.test->accuracy);
    CHECK(contains(file_text(folder / "logs/mlp_digits/metrics.jsonl"), "\"type\":\"test\""));
    REQUIRE(result.stats.layers.size() > 0);
    CHECK(result.stats.layers[0].gradient_norm > 0);
    CHECK((result.curve.empty() || std::filesystem::exists(result.curve)));

    const SavedNetwork saved = load_network(result.checkpoint);
    CHECK(to_toml(saved.config, true) == to_toml(config, true));
    CHECK(predict(*saved.model, small_digits().test) == predict(*model, small_digits().test));
    CHECK(saved.data.class_names == small_digits().train.class_names);
    CHECK(normalised(saved.data, small_digits().test.image(3)) == normalised(small_digits().train, small_digits().test.image(3)));
    CHECK(from_metadata(SafetensorsFile::read(folder / "out/mlp_digits_best.safetensors").metadata()).mean == small_digits().train.mean);
}

TEST_CASE("the data of a configuration are as many as it says, and of its network's shape") {
    const DatasetPair data = load_data(small_config());
    CHECK(data.train.size() == 600);
    CHECK(data.test.size() == 100);
    CHECK(load_data(small_config(), "", true).train.size() == 1);
    CHECK(error_of([&] { fit_options(small_config({"dataset.size=700"}), data); }) ==
          "error[data] digits: has 600 training images; dataset.size says 700 (load_data makes as many)");
    ExperimentConfig other = small_config();
    other.model.input_shape = {3, 32, 32};
    CHECK(error_of([&] { load_data(other); }) ==
          "error[data] digits: has images [1, 28, 28]; model.input_shape says [3, 32, 32]");
}

TEST_CASE("the configuration's text is what resume compares") {
    const TemporaryFolder folder;
    const auto run = [&](const ExperimentConfig& config, bool resume) {
        FitOptions o = quiet_options(config);
        o.checkpoint_dir = folder / "out";
        o.resume = resume;
        auto model = make_model(config.model, Seed{1});
        return fit(*model, small_digits().train, o);
    };
    run(small_config(), false);
    CHECK(run(small_config(), true).resumed_from == folder / "out/mlp_digits_epoch_3.safetensors");
    CHECK(contains(error_of([&] { run(small_config({"training.learning_rate=0.5"}), true); }),
                   "written with another configuration: it has `learning_rate = 0.001`, now `learning_rate = 0.5`"));
}

TEST_CASE("fit in a place that was taken before") {
    const TemporaryFolder folder;
    const RunPlaceOptions where{.name = "net", .checkpoint_dir = folder / "out", .log_folder = folder / "logs"};
    FitOptions o = quiet_options(small_config());
    auto model = make_model(small_config().model, Seed{1});
    {
        RunPlace place(where);
        FitOptions both = o;
        both.checkpoint_dir = folder / "elsewhere";
        CHECK(error_of([&] { fit(*model, small_digits().train, both, place); }) ==
              "error[usage] fit: the place of the run says its folders, and what becomes of an earlier run; leave them out of the options");
        both = o;
        both.resume = true;
        CHECK(contains(error_of([&] { fit(*model, small_digits().train, both, place); }), "leave them out of the options"));
        CHECK(fit(*model, small_digits().train, o, place).checkpoint == folder / "out/net_final.safetensors");
        CHECK(std::filesystem::exists(folder / "logs/metrics.jsonl"));
    }
    CHECK(contains(error_of([&] { RunPlace again(where); }),
                   "go on with it (earlier = EarlierRun::resume), remove it and start over (earlier = EarlierRun::overwrite)"));
    const std::string bits = file_text(folder / "out/net_final.safetensors");

    // It goes on with the run, or removes it; and is there for one run.
    const auto run_in = [&](EarlierRun earlier) {
        RunPlaceOptions other = where;
        other.earlier = earlier;
        RunPlace place(other);
        auto own = make_model(small_config().model, Seed{1});
        const TrainingResult result = fit(*own, small_digits().train, o, place);
        CHECK(file_text(folder / "out/net_final.safetensors") == bits);
        CHECK(error_of([&] { fit(*own, small_digits().train, o, place); }) ==
              "error[usage] net: a run has begun in this place already, and its files would be mixed with another's; take a RunPlace for each run");
        return result.resumed_from;
    };
    CHECK(run_in(EarlierRun::resume) == folder / "out/net_epoch_3.safetensors");
    CHECK(run_in(EarlierRun::overwrite) == "");
    const auto refusal = [&](RunPlaceOptions options) { return error_of([&] { RunPlace place(std::move(options)); }); };
    CHECK(refusal({.name = "a/b"}) == "error[usage] run: name must be the beginning of a file name");
    CHECK(refusal({.run_id = "x/y z"}) == "error[usage] run: run_id takes up to 64 letters, digits, _ and -");
    CHECK(refusal({.earlier = EarlierRun::resume}) == "error[usage] run: to resume it needs a checkpoint_dir, or a checkpoint");
}

TEST_CASE("options that are changed behind a configuration are compared, too") {
    const TemporaryFolder folder;
    FitOptions o = quiet_options(small_config());
    o.checkpoint_dir = folder / "out";
    auto model = make_model(small_config().model, Seed{1});
    fit(*model, small_digits().train, o);
    o.resume = true;
    CHECK_NOTHROW(fit(*model, small_digits().train, o));
    FitOptions other = o;
    other.clip_norm = 0.5;
    CHECK(contains(error_of([&] { fit(*model, small_digits().train, other); }),
                   "was written with the same configuration, but other options: it has `clip_norm = 0.0`, now `clip_norm = 0.5`"));
    model->freeze(model->index().parameters[0].path);
    CHECK(contains(error_of([&] { fit(*model, small_digits().train, o); }), "`frozen = "));
}

TEST_CASE("a signal after the last step lets the test be done, and is told") {
    struct Interrupt : TrainingCallback {
        void epoch(const EpochReport& report) override {
            if (report.metrics.epoch == 3) std::raise(SIGTERM);
        }
    } interrupt;
    const TemporaryFolder folder;
    FitOptions o = quiet_options(small_config());
    o.checkpoint_dir = folder / "out";
    o.callbacks = {&interrupt};
    auto model = make_model(small_config().model, Seed{1});
    const TrainingResult result = fit(*model, small_digits().train, o);
    CHECK(result.interrupted_by == SIGTERM);
    REQUIRE(result.test.has_value());
    CHECK(result.checkpoint == folder / "out/mlp_digits_final.safetensors");
    CHECK(result.state.test_accuracy == result.test->accuracy);
    std::ostringstream said;
    said << result;
    CHECK(contains(said.str(), "; test: loss "));
    CHECK(contains(said.str(), "(100 samples); interrupted by signal 15"));
}

TEST_CASE("a signal during the test is told when all is saved") {
    struct Interrupted : Metric {
        int calls = 0;
        std::string name() const override { return "calls"; }
        bool higher_is_better() const override { return true; }
        void reset() override {}
        void add(std::span<const float>, const Targets&, index_t, std::span<const double>) override {
            if (++calls == 2) std::raise(SIGTERM);  // the first is the trial before anything is trained
        }
        double value() const override { return calls; }
    };
    const TemporaryFolder folder;
    FitOptions o = quiet_options(small_config());
    o.checkpoint_dir = folder / "out";
    o.split.reset();
    o.metrics = {std::make_shared<Interrupted>()};
    auto model = make_model(small_config());
    const TrainingResult result = fit(*model, small_digits().train, o);
    CHECK(result.interrupted_by == SIGTERM);
    CHECK(result.state.kind != "interrupted");
    CHECK(result.test.has_value());
    CHECK(std::filesystem::exists(folder / "out/mlp_digits_final.safetensors"));
}

TEST_CASE("what a checkpoint says of its data is checked, and need not be there") {
    const TemporaryFolder folder;
    Dataset own = small_digits().train;
    own.name = "/somewhere/on this machine/numbers/";
    FitOptions o = quiet_options(small_config());
    o.epochs = 1;
    o.checkpoint_dir = folder / "out";
    auto model = make_model(small_config());
    const std::string file = fit(*model, own, o).checkpoint;
    CHECK(load_network(file).data.name == "numbers");
    CHECK(!contains(file_text(file), "somewhere"));
    RunState state = Checkpoint(file).state();
    const auto refusal = [&](const char* key, const char* value) {
        RunState changed = state;
        changed.data[key] = value;
        save_checkpoint(folder / "changed.safetensors", *model, changed);
        return error_of([&] { load_network(folder / "changed.safetensors"); });
    };
    CHECK(contains(refusal("dla.data.mean", "many"), "error[checkpoint] "));
    CHECK(contains(refusal("dla.data.mean", "many"), "what it says of its data is damaged: metadata: 'dla.data.mean' is not"));
    Dataset narrow = own;
    narrow.shape = Shape{1, 28, 27};
    CHECK(contains(refusal("dla.data.shape", to_metadata(narrow).at("dla.data.shape").c_str()),
                   "its data are images [1, 28, 27], its network takes [1, 28, 28]; it is damaged"));
    CHECK(refusal("dla.data.other", "1") == "no error");
    state.data.clear();
    CHECK(contains(refusal("dla.data.other", "1"), "what it says of its data is damaged: metadata: has no 'dla.data.name'"));

    own.class_names[3] = "dr\xfc" "ei";  // not UTF-8: it can be trained on all the same
    o.name = "odd";
    CHECK(load_network(fit(*model, own, o).checkpoint).data.class_names.empty());
}

TEST_CASE("data that are tested in the end must fit before anything is trained") {
    FitOptions o = quiet_options(small_config());
    const DatasetPair other = load_dataset("digits", "", {.digits_train = 20, .digits_test = 20});
    o.test = surface(20);
    auto model = make_model(small_config().model, Seed{1});
    const Weights before = take_weights(*model);
    CHECK(contains(error_of([&] { fit(*model, small_digits().train, o); }), "error[data] fit, test: "));
    o.test = other.test;
    o.split.reset();
    o.metrics = {std::make_shared<R2>()};  // of values, not of classes; nothing but the test has metrics here
    CHECK(error_of([&] { fit(*model, small_digits().train, o); }) != "no error");
    CHECK(take_weights(*model) == before);
    o.metrics = {std::make_shared<ClassScore>(ClassScore::Kind::f1)};
    const TrainingResult result = fit(*model, small_digits().train, o);
    REQUIRE(result.test->metrics.size() == 1);
    CHECK(result.test->metrics[0].value > 0);
    CHECK(result.state.history[0].metrics.empty());
}

TEST_CASE("a checkpoint that is of no configuration, or damaged, is refused in words") {
    const TemporaryFolder folder;
    const ArrayData data = surface(64);
    FitOptions o = quiet(1);
    o.checkpoint_dir = folder / "out";
    Regressor model(Seed{1});
    const std::string file = fit(model, data, o).checkpoint;
    CHECK(error_of([&] { load_network(file); }) ==
          "error[checkpoint] " + file + ": says no configuration of a network; load it into the network that it is of (load_weights)");
    o.config = "[model]\nname = \"mlp\"\nsize = 3\n";
    o.name = "other";
    const std::string odd = fit(model, data, o).checkpoint;
    CHECK(contains(error_of([&] { load_network(odd); }), "error[checkpoint] " + odd + ": its configuration is damaged: "));
    CHECK(!contains(error_of([&] { load_network(odd); }), "\n"));
}

TEST_CASE("fit with probabilities as targets: one-hot ones train as class numbers do, and their accuracy is told") {
    std::vector<float> inputs, probabilities;
    const ArrayData labelled = stripes(200);
    for (index_t i = 0; i < labelled.size(); ++i) {
        float x[2];
        labelled.read({.sample = static_cast<std::uint32_t>(i)}, x);
        inputs.insert(inputs.end(), x, x + 2);
        for (std::int32_t c = 0; c < 3; ++c) probabilities.push_back(labelled.label(i) == c ? 1.0f : 0.0f);
    }
    const ArrayData soft(Shape{2}, inputs, Shape{3}, probabilities);
    FitOptions o = quiet(4);
    o.optimizer = Adam({.learning_rate = 0.05});
    o.validation_share = 0.2;
    Classifier hard_model(Seed{1}), soft_model(Seed{1});
    const TrainingResult hard = fit(hard_model, labelled, o);
    o.loss = SoftCrossEntropy<float>{};
    const TrainingResult got = fit(soft_model, soft, o);
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(got.state.history[i].train_loss == doctest::Approx(hard.state.history[i].train_loss).epsilon(1e-5));
        CHECK(got.state.history[i].val_accuracy == hard.state.history[i].val_accuracy);
    }
    CHECK(got.state.stopping.best > 50);
    CHECK(got.state.monitor == "val_accuracy");
    CHECK(error_of([&] { fit(soft_model, labelled, o); }) ==
          "error[data] fit: the loss takes probabilities; the targets of the data are class numbers, with which `accuracy` and `evaluate` compare the "
          "model when it is trained");
    const ArrayData ignored(Shape{2}, {0, 0, 1, 1}, std::vector<std::int32_t>{0, 255});
    CHECK(error_of([&] { fit(hard_model, ignored, quiet(1)); }) ==
          "error[data] fit: the data have 256 classes; the network gives 3 outputs; where 255 is not to count, data say -100 (dla::uncounted) and ignore_index "
          "stays");
    // Scores are no probabilities, wherever they stand; masks of bytes likewise.
    std::vector<float> scores = probabilities;
    scores[4] = -3.5f;
    const ArrayData wrong(Shape{2}, inputs, Shape{3}, scores);
    const std::string because = ": SoftCrossEntropy takes probabilities; one of sample 1 is -3.5; predict_probabilities makes them of a network's scores";
    CHECK(error_of([&] { fit(soft_model, wrong, o); }) == "error[data] fit" + because);
    o.test = wrong;
    CHECK(error_of([&] { fit(soft_model, soft, o); }) == "error[data] fit, test" + because);
    o.test.reset(), o.validation_share = 0, o.validation = wrong;
    CHECK(error_of([&] { fit(soft_model, soft, o); }) == "error[data] fit, validation" + because);
    o.loss = BCEWithLogits<float>{};
    CHECK(contains(error_of([&] { fit(soft_model, soft, o); }),
                   "error[data] fit, validation: BCEWithLogits takes targets from 0 to 1; one of sample 1 is -3.5"));
    std::vector<double> weights(200, 1);
    weights[3] = 2;
    CHECK(evaluate(soft_model, soft, {.loss = SoftCrossEntropy<float>{}, .sample_weights = weights}).accuracy ==
          doctest::Approx(evaluate(soft_model, labelled, {.sample_weights = weights}).accuracy));
}

TEST_CASE("what a loss ignores does not count for metrics either") {
    const ArrayData data = stripes(100);
    Classifier model(Seed{1});
    ConfusionMatrix all;
    all.add(predict(model, data), [&] {
        std::vector<std::int32_t> labels;
        for (index_t i = 0; i < data.size(); ++i) labels.push_back(data.label(i) == 1 ? uncounted : data.label(i));
        return labels;
    }());
    const auto score = std::make_shared<ClassScore>(ClassScore::Kind::recall);
    const Evaluation e = evaluate(model, data, {.loss = CrossEntropy{.ignore_index = 1}, .metrics = {score}});
    CHECK(e.counted == static_cast<index_t>(all.total()));
    CHECK(score->matrix().total() == all.total());
    CHECK(score->matrix().accuracy() == all.accuracy());
    evaluate(model, data, {.loss = CrossEntropy{}, .metrics = {score}});
    CHECK(score->matrix().total() == 100);
}
