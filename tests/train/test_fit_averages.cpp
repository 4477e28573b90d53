// SPDX-License-Identifier: MIT
// fit with a moving average of the weights, and with mixed samples.
#include <doctest/doctest.h>

#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>
#include "fit_data.hpp"

#include <cmath>

using namespace fit_tests;

namespace {

/// The weights after each step, as a callback sees them.
struct Trace : TrainingCallback {
    const AnyModel* model = nullptr;
    std::vector<Weights> after;
    void progress(int, std::int64_t, std::int64_t) override { after.push_back(take_weights(*model)); }
};

FitOptions averaged(double decay) {
    FitOptions o = quiet(5);
    o.validation_share = 0.2;
    o.optimizer = Adam({.learning_rate = 0.02});
    o.ema_decay = decay;
    return o;
}

}  // namespace

TEST_CASE("fit: the average of the weights is that of every step, and it is what is validated and kept") {
    const ArrayData data = surface();
    Regressor model(Seed{1}), plain(Seed{1});
    const auto any = any_model(model);
    Trace trace;
    trace.model = any.get();
    FitOptions o = averaged(0.9);
    o.callbacks = {&trace};
    const TrainingResult result = fit(*any, data, o);
    REQUIRE(trace.after.size() == 50);

    // By hand: in double, from the weights after each step.
    std::vector<std::vector<double>> average;
    std::size_t step = 0;
    std::vector<std::vector<std::vector<double>>> at_epoch;
    for (const Weights& w : trace.after) {
        ++step;
        const double d = std::min(0.9, (1.0 + static_cast<double>(step)) / (10.0 + static_cast<double>(step)));
        for (std::size_t a = 0; a < w.arrays.size(); ++a) {
            const auto now = dla::detail::values_in<float>(std::span<const std::byte>(w.arrays[a]));
            if (step == 1) average.emplace_back(now.begin(), now.end());
            for (std::size_t i = 0; i < now.size(); ++i)
                average[a][i] = step == 1 ? static_cast<double>(now[i]) : d * average[a][i] + (1 - d) * static_cast<double>(now[i]);
        }
        if (step % 10 == 0) at_epoch.push_back(average);
    }
    const Weights kept = take_weights(*any);
    const auto& expected = at_epoch[static_cast<std::size_t>(result.state.stopping.best_epoch) - 1];
    for (std::size_t a = 0; a < kept.arrays.size(); ++a) {
        const auto values = dla::detail::values_in<float>(std::span<const std::byte>(kept.arrays[a]));
        for (std::size_t i = 0; i < values.size(); ++i) CHECK(static_cast<double>(values[i]) == doctest::Approx(expected[a][i]).epsilon(1e-5).scale(1));
    }

    CHECK(kept.counters == trace.after[static_cast<std::size_t>(10 * result.state.stopping.best_epoch) - 1].counters);
    REQUIRE(!kept.counters.empty());
    CHECK(kept.counters[0] > 0);

    // Training itself goes the same way as without.
    Trace without;
    const auto other = any_model(plain);
    without.model = other.get();
    FitOptions p = averaged(0);
    p.callbacks = {&without};
    const TrainingResult undisturbed = fit(*other, data, p);
    CHECK(without.after == trace.after);
    CHECK(undisturbed.state.history[2].train_loss == result.state.history[2].train_loss);
    CHECK(undisturbed.state.history[2].val_loss != result.state.history[2].val_loss);

    // What is kept has the loss that was told.
    const Split split = random_split(data.size(), 80, o.seed);
    const AnyData all(data);
    const auto loader = all.loader(split.validation, evaluation_options(32, 0));
    CHECK(evaluate(*any, MeanSquaredError<float>{}, *loader).loss ==
          result.state.history[static_cast<std::size_t>(result.state.stopping.best_epoch) - 1].val_loss);
}

TEST_CASE("fit: without validation the model ends with the average") {
    const ArrayData data = surface();
    FitOptions o = averaged(0.9);
    o.validation_share = 0;
    Regressor model(Seed{1});
    const TrainingResult result = fit(model, data, o);
    CHECK(take_weights(model) == result.state.average);
}

TEST_CASE("fit: a resumed average gives the bits of a run that was never stopped") {
    const ArrayData data = stripes();
    const TemporaryFolder folder;
    FitOptions o = averaged(0.95);
    o.mixup = 0.4;
    o.loss = CrossEntropy{.label_smoothing = 0.1};
    o.checkpoint_dir = folder / "whole";
    Classifier whole(Seed{1});
    const TrainingResult expected = fit(whole, data, o);
    o.checkpoint_dir = folder / "broken";
    o.resume = true;
    for (const int steps : {13, 25, 3}) {
        Stop stop(steps);
        o.callbacks = {&stop};
        Classifier model(Seed{1});
        CHECK_THROWS_WITH(fit(model, data, o), "stop");
    }
    o.callbacks.clear();
    Classifier model(Seed{99});
    const TrainingResult got = fit(model, data, o);
    CHECK(all_values(model) == all_values(whole));
    CHECK(got.state.average == expected.state.average);
    CHECK(got.state.stopping == expected.state.stopping);
    o.ema_decay = 0.9;
    CHECK(error_of([&] { fit(model, data, o); }).find("ema_decay") != std::string::npos);
    o.ema_decay = 0.95;
    o.mixup = 0;
    CHECK(error_of([&] { fit(model, data, o); }).find("mixup") != std::string::npos);
}

TEST_CASE("fit: mixed samples train as soft targets do by hand") {
    const ArrayData data = stripes(64);
    FitOptions o = quiet(1);
    o.batch_size = 16;
    o.optimizer = Sgd({.learning_rate = 0.1});
    o.loss = CrossEntropy{.label_smoothing = 0.1};
    o.mixup = 0.5;
    Classifier model(Seed{1}), by_hand(Seed{1});
    const TrainingResult result = fit(model, data, o);

    Optimizer sgd(Sgd({.learning_rate = 0.1}));
    const auto any = any_model(by_hand);
    const AnyData all(data);
    const auto loader = all.loader(all.samples(), {.batch_size = 16, .seed = o.seed, .workers = 0});
    loader->start_epoch(1);
    double sum = 0;
    while (const Batch* batch = loader->next()) {
        std::vector<float> x(batch->inputs.begin(), batch->inputs.end()), p(16 * 3), scratch(2);
        mix_batch(draw_mixup(0.5, o.seed, 1, static_cast<std::uint32_t>(batch->index)), x, batch->labels, p, scratch);
        any->position() = {static_cast<std::uint64_t>(o.seed), 1, static_cast<std::uint32_t>(batch->index)};
        sum += any->train_step(sgd, SoftCrossEntropy<float>{.label_smoothing = 0.1}, x, std::span<const float>(p)).loss;
    }
    CHECK(all_values(model) == all_values(by_hand));
    CHECK(result.state.history[0].train_loss == doctest::Approx(sum / 4));
}

TEST_CASE("fit: the mirrored test averages the outputs for an image and for its mirror image") {
    Dataset data;
    data.name = "noise";
    data.shape = Shape{1, 4, 6};
    data.num_classes = 3;
    data.mean = {0.4f};
    data.std = {0.3f};
    RandomStream random({4, 0, 0}, RandomUse::synthesis);
    for (int i = 0; i < 60 * 24; ++i) data.images.push_back(static_cast<std::uint8_t>(random.bits()));
    for (int i = 0; i < 60; ++i) data.labels.push_back(i % 3);
    using Net = Model<Sequential<Flatten, Linear<24, 3>>, Shape{1, 4, 6}>;
    Net model(Seed{3});
    FitOptions o = quiet(2);
    o.test = data;
    o.test_mirrored = true;
    const TrainingResult result = fit(model, data, o);
    REQUIRE(result.test->metrics.size() == 1);
    CHECK(result.test->metrics[0].name == "accuracy_mirrored");

    int right = 0, plain = 0, differ = 0;
    for (index_t i = 0; i < 60; ++i) {
        const auto image = data.image(i);
        std::vector<std::uint8_t> other(24);
        for (std::size_t y = 0; y < 4; ++y)
            for (std::size_t x = 0; x < 6; ++x) other[y * 6 + 5 - x] = image[y * 6 + x];
        const std::vector<float> inputs = normalised(data, image), mirrored = normalised(data, other);
        std::vector<float> a(3), b(3);
        model.predict(inputs, a), model.predict(mirrored, b);
        const auto best = [](const std::vector<float>& v) { return std::max_element(v.begin(), v.end()) - v.begin(); };
        plain += best(a) == data.labels[static_cast<std::size_t>(i)];
        const auto alone = best(a);
        for (std::size_t k = 0; k < 3; ++k) a[k] += b[k];
        differ += best(a) != alone;
        right += best(a) == data.labels[static_cast<std::size_t>(i)];
    }
    CHECK(result.test->accuracy == doctest::Approx(100.0 * plain / 60));
    CHECK(result.test->metrics[0].value == doctest::Approx(100.0 * right / 60));
    CHECK(differ > 0);
    CHECK(mirrored_accuracy(model, data) == result.test->metrics[0].value);
    CHECK(error_of([&] {
              mirrored_accuracy(model, AnyData(data, [](const SamplePosition&, std::span<const std::uint8_t>, std::span<float>) {}));
          }).find("only images of a Dataset without a transform") != std::string::npos);
    o.test.reset();
    CHECK(error_of([&] { fit(model, data, o); }).find("test_mirrored needs something to test on") != std::string::npos);
}

TEST_CASE("fit: what cannot be mixed or averaged is refused") {
    const ArrayData values = surface(), classes = stripes();
    Regressor regressor(Seed{1});
    Classifier classifier(Seed{1});
    FitOptions o = quiet(1);
    o.mixup = 0.2;
    CHECK(error_of([&] { fit(regressor, values, o); }).find("mixup mixes classes") != std::string::npos);
    o.loss = CrossEntropy{.ignore_index = 2};
    CHECK(error_of([&] { fit(classifier, classes, o); }).find("ignore_index") != std::string::npos);
    o = quiet(1);
    o.ema_decay = 1;
    CHECK(error_of([&] { fit(classifier, classes, o); }).find("ema_decay must be at least 0 and less than 1") != std::string::npos);
}
