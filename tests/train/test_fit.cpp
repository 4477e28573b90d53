// SPDX-License-Identifier: MIT
// fit with networks of one's own: regression, classification, an autoencoder; what is kept, monitored, resumed, and refused.
#include <doctest/doctest.h>

#include <dla/data.hpp>
#include <dla/nn.hpp>
#include <dla/train.hpp>

#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <filesystem>

using namespace dla;

namespace {

/// y = (a b + a / 2, a - b) of points in the square, exact numbers.
ArrayData surface(int count = 400) {
    std::vector<float> x, y;
    RandomStream random({1, 0, 0}, RandomUse::synthesis);
    for (int i = 0; i < count; ++i) {
        const float a = 2 * random.uniform() - 1, b = 2 * random.uniform() - 1;
        x.insert(x.end(), {a, b});
        y.insert(y.end(), {a * b + a / 2, a - b});
    }
    return ArrayData(Shape{2}, std::move(x), Shape{2}, std::move(y));
}
/// Which of three stripes a point lies in; stripe 2 has one in ten.
ArrayData stripes(int count = 400) {
    std::vector<float> x;
    std::vector<std::int32_t> label;
    RandomStream random({2, 0, 0}, RandomUse::synthesis);
    for (int i = 0; i < count; ++i) {
        const std::int32_t c = i % 10 == 0 ? 2 : i % 2;
        x.insert(x.end(), {static_cast<float>(c) + 0.8f * random.uniform() - 0.4f, random.uniform()});
        label.push_back(c);
    }
    return ArrayData(Shape{2}, std::move(x), std::move(label));
}
using Regressor = Model<Sequential<Linear<2, 16>, BatchNorm1d<>, Tanh, Dropout, Linear<16, 2>>, Shape{2}>;
using Classifier = Model<Sequential<Linear<2, 16>, ReLU, Linear<16, 3>>, Shape{2}>;

template <class M>
std::vector<float> all_values(const M& model) {
    std::vector<float> values;
    for (const auto& part : parameter_values(model)) values.insert(values.end(), part.begin(), part.end());
    for (const BufferRow& row : model.parameters().buffers) {
        std::vector<float> host(static_cast<std::size_t>(row.count));
        model.parameters().read(row, host);
        values.insert(values.end(), host.begin(), host.end());
    }
    return values;
}
FitOptions quiet(int epochs) {
    FitOptions o;
    o.epochs = epochs;
    o.batch_size = 32;
    o.quiet = true;
    return o;
}

}  // namespace

TEST_CASE("fit: a regression learns, and its metrics are those of its predictions") {
    const ArrayData data = surface();
    Model<Sequential<Linear<2, 32>, Tanh, Linear<32, 2>>, Shape{2}> model(Seed{3});
    FitOptions o = quiet(30);
    o.optimizer = Adam({.learning_rate = 0.02});
    o.validation_share = 0.25;
    o.metrics = {std::make_shared<R2>(), std::make_shared<MeanAbsoluteError>()};
    o.monitor = "r2";
    const TrainingResult result = fit(model, data, o);
    REQUIRE(result.state.history.size() == 30);
    const EpochMetrics& best = result.state.history[static_cast<std::size_t>(result.state.stopping.best_epoch - 1)];
    CHECK(best.value("r2") == result.state.stopping.best);
    CHECK(best.value("r2") > 0.95);
    CHECK(std::isnan(best.val_accuracy));
    CHECK(std::isnan(best.train_accuracy));
    CHECK(best.val_loss < 0.05);
    for (const EpochMetrics& m : result.state.history) CHECK(m.value("r2") <= result.state.stopping.best);

    const Evaluation e = evaluate(model, data, {.metrics = {std::make_shared<MeanAbsoluteError>()}, .batch_size = 33});
    CHECK(e.samples == 400);
    const std::vector<float> outputs = predict(model, data);
    double mae = 0, mse = 0;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const double d = static_cast<double>(outputs[i]) - static_cast<double>(data.targets()[i]);
        mae += std::abs(d) / 800, mse += d * d / 800;
    }
    CHECK(e.metrics.at(0).value == doctest::Approx(mae).epsilon(1e-6));
    CHECK(e.loss == doctest::Approx(mse).epsilon(1e-5));
    CHECK(std::isnan(e.accuracy));
}

TEST_CASE("fit: a classifier, its classes and their probabilities") {
    const ArrayData data = stripes();
    Classifier model(Seed{3});
    FitOptions o = quiet(30);
    o.optimizer = Adam({.learning_rate = 0.02});
    const TrainingResult result = fit(model, data, o);
    CHECK(result.state.monitor == "nothing");
    CHECK(result.state.history.back().train_accuracy > 97);
    CHECK(std::isnan(result.state.history.back().val_loss));
    const double percent = accuracy(model, data);
    CHECK(percent > 97);
    const std::vector<std::int32_t> classes = predict_classes(model, data);
    int right = 0;
    for (std::size_t i = 0; i < classes.size(); ++i) right += classes[i] == data.labels()[i] ? 1 : 0;
    CHECK(percent == 100.0 * right / 400);
    CHECK(predict_classes(model, data.inputs()) == classes);
    const std::vector<float> shares = predict_probabilities(model, data.inputs());
    CHECK(shares == predict_probabilities(model, data));
    for (std::size_t i = 0; i < shares.size(); i += 3) CHECK(shares[i] + shares[i + 1] + shares[i + 2] == doctest::Approx(1).epsilon(1e-6));
}

TEST_CASE("fit: an autoencoder of images, with a loss of one's own") {
    std::vector<float> images;
    RandomStream random({4, 0, 0}, RandomUse::synthesis);
    for (int i = 0; i < 64; ++i) {
        const float slope = 2 * random.uniform() - 1, level = random.uniform();
        for (int p = 0; p < 16; ++p) images.push_back(level + slope * static_cast<float>(p % 4) / 4);
    }
    const std::vector<float> same = images;
    const ArrayData data(Shape{1, 4, 4}, std::span<const float>(images), Shape{1, 4, 4}, std::span<const float>(same));
    using Net = Sequential<Conv2d<1, 4, 3>, Tanh, Conv2d<4, 2, 2, 2, 0>, Tanh, ConvTranspose2d<2, 4, 2, 2>, Tanh, Conv2d<4, 1, 3>>;
    FitOptions o = quiet(12);
    o.batch_size = 16;
    o.optimizer = Adam({.learning_rate = 0.01});
    Model<Net, Shape{1, 4, 4}> squared(Seed{5}), own(Seed{5});
    const TrainingResult a = fit(squared, data, o);
    CHECK(a.state.history.back().train_loss < 0.25 * a.state.history.front().train_loss);
    // The same loss from a function of one sample takes the same way, but for roundings.
    o.loss = SampleLoss<float>{[](auto y, auto t, auto dy) {
        double sum = 0;
        for (std::size_t i = 0; i < y.size(); ++i) {
            const float d = y[i] - t[i];
            sum += static_cast<double>(d) * static_cast<double>(d) / static_cast<double>(y.size());
            if (!dy.empty()) dy[i] = 2 * d / static_cast<float>(y.size());
        }
        return sum;
    }};
    const TrainingResult b = fit(own, data, o);
    for (std::size_t i = 0; i < 12; ++i) CHECK(b.state.history[i].train_loss == doctest::Approx(a.state.history[i].train_loss).epsilon(1e-3));
    // In parts it is the same loss, too.
    Model<Net, Shape{1, 4, 4}> parts(Seed{5});
    o.micro_batches = 4;
    const TrainingResult c = fit(parts, data, o);
    for (std::size_t i = 0; i < 12; ++i) CHECK(c.state.history[i].train_loss == doctest::Approx(b.state.history[i].train_loss).epsilon(1e-3));
}

TEST_CASE("fit: resuming a model of one's own gives the bytes of a run that was never stopped") {
    struct Stop : TrainingCallback {
        int after;
        explicit Stop(int steps) : after(steps) {}
        void progress(int, std::int64_t, std::int64_t) override {
            if (--after == 0) throw std::runtime_error("stop");
        }
    };
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
        o.callback = &stop;
        Regressor model(Seed{1});
        CHECK_THROWS_WITH(fit(model, data, o), "stop");
    }
    o.callback = nullptr;
    Regressor model(Seed{99});  // what it begins with does not matter any more
    const TrainingResult got = fit(model, data, o);
    CHECK(all_values(model) == all_values(whole));
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
    CHECK(contains(error_of([&] { fit(model, data, o); }), "an earlier run left model_best.safetensors; go on with it (resume = true)"));
    o.resume = true;
    o.batch_size = 16;
    CHECK(contains(error_of([&] { fit(model, data, o); }), "do not belong to this run"));
    o.resume = false, o.overwrite = true;
    CHECK_NOTHROW(fit(model, data, o));
}

TEST_CASE("fit: the same bits at any number of threads and workers") {
    const ArrayData data = stripes();
    std::vector<float> first;
    for (const int threads : {1, 2, 5})
        for (const int workers : {0, 3}) {
            Cpu<float> policy;
            policy.threads = threads;
            Classifier model(Seed{1}, policy);
            FitOptions o = quiet(3);
            o.workers = workers;
            o.balanced = true;
            fit(model, data, o);
            if (first.empty()) first = all_values(model);
            CHECK(all_values(model) == first);
        }
}

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

TEST_CASE("fit: balanced classes come up alike") {
    const ArrayData data = stripes(1000);
    Loader loader(data, {.batch_size = 1000, .last_batch = LastBatch::keep, .workers = 0, .weights = balanced_weights(data, all_samples(data))});
    index_t count[3] = {};
    for (std::uint32_t epoch = 1; epoch <= 10; ++epoch) {
        loader.start_epoch(epoch);
        for (const std::int32_t c : loader.next()->labels) ++count[c];
    }
    for (const index_t n : count) CHECK(std::abs(static_cast<double>(n) - 10000 / 3.0) < 4 * std::sqrt(10000 * 2 / 9.0));
}

TEST_CASE("fit: data and options that do not fit are refused before anything is trained") {
    const ArrayData values = surface(20), classes = stripes(20);
    Regressor model(Seed{1});
    const std::vector<float> before = all_values(model);
    const auto refused = [&](const AnyData& data, const FitOptions& o) {
        const std::string why = error_of([&] { fit(model, data, o); });
        CHECK(all_values(model) == before);
        return why;
    };
    FitOptions o = quiet(1);
    o.loss = CrossEntropy{};
    CHECK(refused(values, o) == "error[data] fit: the loss takes class numbers; the targets of the data are values");
    CHECK(refused(classes, o) == "error[data] fit: the data have 3 classes; the network gives 2 outputs");
    o.loss = MeanSquaredError<float>{};
    CHECK(refused(classes, o) == "error[data] fit: the loss takes values; the targets of the data are class numbers");
    o.loss.reset();
    const ArrayData wide(Shape{3}, std::vector<float>(6), Shape{2}, std::vector<float>(4));
    CHECK(refused(wide, o) == "error[data] fit: the network takes samples [2]; those of the data are [3]");
    const ArrayData thin(Shape{2}, std::vector<float>(6), Shape{1}, std::vector<float>(3));
    CHECK(contains(refused(thin, o), "the loss compares 2 values for each sample"));
    o.validation = AnyData(wide);
    CHECK(contains(refused(values, o), "error[data] fit, validation: the network takes samples [2]"));
    o.validation_share = 0.5;
    CHECK(contains(refused(values, o), "give one of validation_share, split and validation"));
    o.validation.reset();
    o.validation_share = 1;
    CHECK(contains(refused(values, o), "validation_share must be at least 0 and less than 1"));
    o = quiet(0);
    CHECK(contains(refused(values, o), "epochs must be at least 1"));
    o = quiet(1);
    o.resume = true;
    CHECK(contains(refused(values, o), "resume needs a checkpoint_dir"));
    o = quiet(1);
    o.augmentation = cifar10_augmentation;
    CHECK(contains(refused(values, o), "augmentation and transform are for the images of a Dataset"));
    o = quiet(1);
    o.loss = SampleLoss<float>{};
    CHECK(contains(refused(values, o), "has no function"));
    CHECK(contains(error_of([&] { accuracy(model, values); }), "class numbers"));
}

TEST_CASE("fit: what a resumed run must have in common is everything that can be compared") {
    struct Stop : TrainingCallback {
        int after = 15;
        void progress(int, std::int64_t, std::int64_t) override {
            if (--after == 0) throw std::runtime_error("stop");
        }
    };
    const ArrayData data = surface();
    const TemporaryFolder folder;
    FitOptions o = quiet(4);
    o.loss = Huber<float>{.delta = 0.5};
    o.optimizer = Adam({.learning_rate = 0.01});
    o.schedule = CosineSchedule({.length = 4});
    o.checkpoint_dir = folder / "run";
    Stop stop;
    o.callback = &stop;
    Regressor model(Seed{1});
    CHECK_THROWS_WITH(fit(model, data, o), "stop");
    o.callback = nullptr;
    o.resume = true;
    const auto refused = [&](const char* what, const auto& change) {
        CAPTURE(what);
        FitOptions other = o;
        change(other);
        Regressor again(Seed{1});
        CHECK(contains(error_of([&] { fit(again, data, other); }), "do not belong to this run"));
    };
    refused("monitor", [](FitOptions& c) { c.monitor = "train_loss"; });
    refused("seed", [](FitOptions& c) { c.seed = Seed{7}; });
    refused("a number of the loss", [](FitOptions& c) { c.loss = Huber<float>{.delta = 0.25}; });
    refused("a number of the optimizer", [](FitOptions& c) { c.optimizer = Adam({.learning_rate = 0.01, .beta2 = 0.9}); });
    refused("a rate of a group", [](FitOptions& c) { c.optimizer = Adam({.learning_rate = 0.01, .groups = {{.path = "*", .learning_rate = 0.02}}}); });
    refused("a number of the schedule", [](FitOptions& c) { c.schedule = CosineSchedule({.length = 5}); });
    refused("a warm-up", [](FitOptions& c) { c.warmup = LinearWarmup({.start_factor = 0.1, .length = 1}); });
    const ArrayData fewer = surface(396);
    Regressor other(Seed{1});
    CHECK(contains(error_of([&] { fit(other, fewer, o); }), "do not belong to this run"));
    CHECK_NOTHROW(fit(model, data, o));
}

TEST_CASE("fit: last batches that are too small for their parts are left out") {
    const ArrayData data = surface(27);
    Regressor model(Seed{1});
    FitOptions o = quiet(2);
    o.batch_size = 24;
    o.micro_batches = 4;
    CHECK(fit(model, data, o).state.step == 2);
    o.batch_size = index_t{1} << 40;  // the whole set in a batch, without memory for more
    o.micro_batches = 1;
    CHECK(fit(model, data, o).state.step == 2);
}

TEST_CASE("fit: metrics that cannot be told apart, or that the targets are not for, are refused before anything is trained") {
    struct Named final : Metric {
        std::string called;
        double number = 0;
        std::string name() const override { return called; }
        bool higher_is_better() const override { return true; }
        void reset() override {}
        void add(std::span<const float>, const Targets&, index_t) override {}
        double value() const override { return number; }
    };
    const auto named = [](const char* name, double value = 0) {
        auto m = std::make_shared<Named>();
        m->called = name, m->number = value;
        return m;
    };
    const ArrayData data = surface(60);
    Regressor model(Seed{1});
    const std::vector<float> before = all_values(model);
    FitOptions o = quiet(2);
    o.validation_share = 0.5;
    const auto refused = [&](std::vector<std::shared_ptr<Metric>> metrics) {
        o.metrics = std::move(metrics);
        const std::string why = error_of([&] { fit(model, data, o); });
        CHECK(all_values(model) == before);
        return why;
    };
    CHECK(contains(refused({named("val_loss")}), "a metric is called 'val_loss', as another number is"));
    CHECK(contains(refused({named("a"), named("a")}), "a metric is called 'a'"));
    CHECK(contains(refused({nullptr}), "a metric is null"));
    CHECK(contains(refused({std::make_shared<TopK>(1)}), "it takes class numbers"));
    // One that is infinite is never the best, and a checkpoint that says so is whole.
    const TemporaryFolder folder;
    o.checkpoint_dir = folder / "run";
    o.metrics = {named("ratio", HUGE_VAL)};
    o.monitor = "ratio";
    CHECK(fit(model, data, o).state.stopping.best_epoch == 0);
    CHECK_NOTHROW(Checkpoint(folder / "run/model_epoch_2.safetensors"));
}

TEST_CASE("fit: labels that are ignored teach nothing and break nothing") {
    struct Few final : DataSource {
        std::int32_t every = 4;
        index_t size() const override { return 64; }
        Shape input_shape() const override { return Shape{2}; }
        index_t classes() const override { return 3; }
        void read(const SamplePosition& at, std::span<float> x) const override { x[0] = static_cast<float>(at.sample % 3), x[1] = 1; }
        std::int32_t label(index_t s) const override { return every > 0 && s % every == 0 ? static_cast<std::int32_t>(s % 3) : -100; }
    };
    const Few data;
    Classifier model(Seed{1});
    FitOptions o = quiet(3);
    o.batch_size = 2;
    const TrainingResult result = fit(model, data, o);
    CHECK(result.state.history.size() == 3);
    CHECK(std::isfinite(result.state.history.back().train_loss));
    CHECK(contains(error_of([&] { balanced_weights(data, all_samples(data)); }), "the label of sample 1 is out of range; expected 0 to 2"));
    Few none;
    none.every = 0;
    o.validation = AnyData(none);
    CHECK(contains(error_of([&] { fit(model, data, o); }), "the validation set has no label that counts"));
}

TEST_CASE("fit: a transform belongs to the data, in training and afterwards") {
    const Dataset digits = make_digits(300, Seed{1});
    const SampleTransform invert = [](const SamplePosition&, std::span<const std::uint8_t> image, std::span<float> out) {
        for (std::size_t i = 0; i < image.size(); ++i) out[i] = 1 - static_cast<float>(image[i]) / 128;
    };
    const AnyData data(digits, invert);
    Model<Sequential<Flatten, Linear<784, 10>>, Shape{1, 28, 28}> model(Seed{1});
    FitOptions o = quiet(5);
    o.validation = data;
    const TrainingResult result = fit(model, data, o);
    const double best = result.state.stopping.best;
    CHECK(accuracy(model, data) == best);
    CHECK(accuracy(model, digits) != best);
}

TEST_CASE("a look at a model leaves nothing behind in it, and a network of one output has no classes") {
    Classifier model(Seed{1});
    int calls = 0;
    {
        const auto any = any_model(model);
        any->on_gradients([&](AnyModel&) { ++calls; });
        Sgd sgd;
        any->train_step(sgd, CrossEntropy{}, std::vector<float>{1, 2}, std::vector<std::int32_t>{0});
    }
    Sgd sgd;
    train_step(model, sgd, CrossEntropy{}, std::vector<float>{1, 2}, std::vector<std::int32_t>{0});
    CHECK(calls == 1);
    const Model<Sequential<Linear<2, 1>>, Shape{2}> logit(Seed{1});
    CHECK(contains(error_of([&] { predict_classes(logit, std::vector<float>{1, 2}); }), "the Sigmoid of a single logit is the probability"));
    CHECK(contains(error_of([&] { predict_probabilities(logit, std::vector<float>{1, 2}); }), "gives a score for each of two classes or more"));
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
    o.callback = &saved;
    o.checkpoint_dir = folder.path;
    TrainingResult result = fit(model, data, o);
    CHECK(result.interrupted_by == SIGTERM);
    CHECK(result.state.epoch == 0);
    CHECK(result.checkpoint.ends_with("_interrupted.safetensors"));
    CHECK(handled == 0);

    Raises elsewhere;  // also: the signal before is over
    o.callback = &elsewhere;
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
    o.callback = &late;
    o.checkpoint_dir = folder.path;
    o.name = "late";
    result = fit(model, data, o);
    CHECK(result.interrupted_by == SIGTERM);
    CHECK(result.state.epoch == 3);
    CHECK(handled == 1);
    o.callback = nullptr;
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
    CHECK(contains(error_of([&] { fit(again, surface(), o); }), "do not belong to this run"));
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

TEST_CASE("fit: targets lie in memory as the outputs do") {
    const Shape image{2, 2, 3}, written = image.contiguous();
    const std::vector<float> x(24, 1.0f);
    Model<Sequential<ToChannelsLast, ReLU>, Shape{2, 2, 3}.contiguous()> moves(Seed{1});
    const ArrayData same(written, x, written, x), other(written, x, image, x);
    CHECK(contains(error_of([&] { evaluate(moves, same); }),
                   "the targets of the data are [2, 2, 3] (contiguous) and the network's outputs [2, 2, 3]: in another order in memory"));
    CHECK(evaluate(moves, other).loss == 0);
}

TEST_CASE("fit: a split of one's own is what is trained and validated on") {
    const ArrayData data = surface(50);
    FitOptions shared = quiet(2), given = quiet(2);
    shared.validation_share = 0.25;  // 12.5 samples become 13
    given.split = random_split(50, 13, shared.seed);
    Regressor one(Seed{3}), other(Seed{3}), third(Seed{3});
    const TrainingResult a = fit(one, data, shared), b = fit(other, data, given);
    CHECK(all_values(one) == all_values(other));
    CHECK(a.state.history.back().val_loss == b.state.history.back().val_loss);
    given.split = random_split(50, 13, Seed{7});
    fit(third, data, given);
    CHECK(all_values(third) != all_values(one));

    const auto refused = [&](const Split& split) {
        given.split = split;
        return error_of([&] { fit(third, data, given); });
    };
    CHECK(contains(refused({{}, {1}}), "the split leaves nothing to train on"));
    CHECK(contains(refused({{0, 1, 2}, {2}}), "the split validates on a sample that it trains on"));
    CHECK(contains(refused({{0, 50}, {}}), "the split names a sample that the data do not have"));
    given.validation_share = 0.5;
    CHECK(contains(refused({{0, 1, 2, 3}, {4}}), "give one of validation_share, split and validation"));

    const TemporaryFolder folder;  // another split is another run
    given = quiet(1);
    given.split = random_split(50, 13, Seed{7});
    given.checkpoint_dir = folder.path;
    fit(third, data, given);
    given.resume = true;
    given.split = random_split(50, 13, Seed{8});
    CHECK(contains(error_of([&] { fit(third, data, given); }), "do not belong to this run"));
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

TEST_CASE("a source is told whether its samples are trained on") {
    struct Told : DataSource {
        mutable std::atomic<int> training = 0, other = 0;
        index_t size() const override { return 8; }
        Shape input_shape() const override { return Shape{2}; }
        Shape target_shape() const override { return Shape{2}; }
        void read(const SamplePosition& at, std::span<float> input) const override {
            ++(at.training ? training : other);
            input[0] = input[1] = static_cast<float>(at.sample);
        }
        void target(index_t, std::span<float> values) const override { values[0] = values[1] = 0; }
    } data;
    Model<Sequential<Linear<2, 2>>, Shape{2}> model(Seed{1});
    fit(model, data, quiet(3));
    CHECK(data.training == 24);
    const int before = data.other;  // the fingerprint
    FitOptions o = quiet(2);
    o.validation_share = 0.25;
    fit(model, data, o);
    CHECK(data.training == 24 + 2 * 6);
    CHECK(data.other >= before + 2 * 2);
    evaluate(model, data);
    predict(model, data);
    CHECK(data.training == 36);
}
