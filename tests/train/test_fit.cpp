// SPDX-License-Identifier: MIT
// fit with networks of one's own: regression, classification, an autoencoder; what data and options do.
#include <doctest/doctest.h>

#include "fit_data.hpp"
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <atomic>
#include <cmath>

using namespace fit_tests;

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
    CHECK(contains(error_of([&] { predict_classes(logit, std::vector<float>{1, 2}); }),
                   "of logits of yes and no, predict_label_probabilities gives the probabilities"));
    CHECK(contains(error_of([&] { predict_probabilities(logit, std::vector<float>{1, 2}); }), "gives a score for each of two classes or more"));
}

TEST_CASE("probabilities of several labels at once are those of each by itself") {
    Classifier model(Seed{1});
    const ArrayData data(Shape{2}, {1, 2, -3, 0.5f}, Shape{3}, std::vector<float>(6));
    const std::vector<float> logits = predict(model, data), shares = predict_label_probabilities(model, data);
    REQUIRE(shares.size() == 6);
    for (std::size_t i = 0; i < 6; ++i) CHECK(shares[i] == doctest::Approx(1 / (1 + std::exp(-static_cast<double>(logits[i])))).epsilon(1e-6));
    CHECK(predict_label_probabilities(*any_model(model), data.inputs()) == shares);
    const Model<Sequential<Linear<2, 1>>, Shape{2}> one(Seed{1});
    CHECK(predict_label_probabilities(one, data.inputs()).size() == 2);
}

namespace {

/// The same samples, each as often as its weight says.
ArrayData repeated(const ArrayData& data, const std::vector<double>& weights) {
    std::vector<float> x, y;
    std::vector<std::int32_t> labels;
    const auto in = static_cast<std::size_t>(data.input_shape().size()), out = static_cast<std::size_t>(data.target_shape().size());
    for (std::size_t i = 0; i < weights.size(); ++i)
        for (int k = 0; k < static_cast<int>(weights[i]); ++k) {
            x.insert(x.end(), data.inputs().begin() + static_cast<std::ptrdiff_t>(i * in), data.inputs().begin() + static_cast<std::ptrdiff_t>((i + 1) * in));
            if (data.classes() > 0)
                labels.push_back(data.labels()[i]);
            else
                y.insert(y.end(), data.targets().begin() + static_cast<std::ptrdiff_t>(i * out),
                         data.targets().begin() + static_cast<std::ptrdiff_t>((i + 1) * out));
        }
    return data.classes() > 0 ? ArrayData(data.input_shape(), std::move(x), std::move(labels))
                              : ArrayData(data.input_shape(), std::move(x), data.target_shape(), std::move(y));
}

}  // namespace

TEST_CASE("samples that weigh more count as if they were there more often, in loss, accuracy and metrics") {
    std::vector<double> weights;
    for (int i = 0; i < 60; ++i) weights.push_back(i * 7 % 4);  // 0 to 3
    const Model<Sequential<Linear<2, 5>, Tanh, Linear<5, 3>>, Shape{2}> classifier(Seed{3});
    const Model<Sequential<Linear<2, 5>, Tanh, Linear<5, 2>>, Shape{2}> regressor(Seed{3});
    const auto both = [&](const auto& model, const ArrayData& data, const AnyLoss& loss, const std::shared_ptr<Metric>& metric, index_t batch) {
        const ArrayData more = repeated(data, weights);
        const Evaluation weighted = evaluate(model, data, {.loss = loss, .metrics = {metric}, .sample_weights = weights, .batch_size = batch});
        const Evaluation plain = evaluate(model, more, {.loss = loss, .metrics = {metric}, .batch_size = 1000});
        CHECK(weighted.loss == doctest::Approx(plain.loss).epsilon(1e-6));
        CHECK(weighted.loss != evaluate(model, data, {.loss = loss}).loss);
        if (loss.counts_correct())
            CHECK(weighted.accuracy == doctest::Approx(plain.accuracy));
        else
            CHECK(std::isnan(weighted.accuracy));
        CHECK(weighted.metrics.at(0).value == doctest::Approx(plain.metrics.at(0).value).epsilon(1e-6));
        CHECK(weighted.samples == 60);
    };
    const auto f1 = std::make_shared<ClassScore>();
    const auto mae = std::make_shared<MeanAbsoluteError>();
    for (const index_t batch : {7, 60}) {
        CAPTURE(batch);
        both(classifier, stripes(60), CrossEntropy{}, f1, batch);
        both(classifier, stripes(60), CrossEntropy{.label_smoothing = 0.1, .ignore_index = 1, .class_weights = {1, 2, 0.25}}, f1, batch);
        both(regressor, surface(60), MeanSquaredError<float>{}, mae, batch);
        both(regressor, surface(60), Huber<float>{.delta = 0.25}, mae, batch);
        both(regressor, surface(60), BCEWithLogits<float>{.pos_weight = {2, 3}}, mae, batch);
        both(regressor, surface(60),
             SampleLoss<float>{[](auto y, auto t, auto) { return static_cast<double>((y[0] - t[0]) * (y[0] - t[0]) + std::abs(y[1] - t[1])); }}, mae, batch);
    }
    for (const std::int32_t ignored : {0, 1, 2}) {
        const CrossEntropy loss{.ignore_index = ignored};
        std::vector<double> alike(60, 1), one(60);
        const Evaluation plain = evaluate(classifier, stripes(60), {.loss = loss}),
                         ones = evaluate(classifier, stripes(60), {.loss = loss, .sample_weights = alike});
        CHECK(ones.accuracy == plain.accuracy);
        CHECK(ones.counted == plain.counted);
        for (std::size_t i = 0; i < 60; ++i) one[i] = stripes(60).labels()[i] == ignored ? 1 : 0;  // what counts weighs nothing
        CHECK(evaluate(classifier, stripes(60), {.loss = loss, .sample_weights = one}).counted == 0);
        FitOptions o = quiet(1);
        o.loss = loss;
        o.validation = stripes(60);
        o.validation_weights = one;
        Classifier model(Seed{3});
        CHECK(contains(error_of([&] { fit(model, stripes(60), o); }), "the validation set has no label that counts; all are ignored or weigh nothing"));
    }
    const ArrayData data = stripes(60);
    Loader loader(data, evaluation_options(16));
    CHECK(evaluate(classifier, CrossEntropy{}, loader, {}, weights).loss ==
          doctest::Approx(evaluate(classifier, data, {.sample_weights = weights}).loss).epsilon(1e-6));
    both(classifier, stripes(60), CrossEntropy{.reduction = Reduction::sum}, f1, 60);
    both(regressor, surface(60), L1<float>{.reduction = Reduction::sum}, mae, 60);

    const auto refused = [&](std::vector<double> w) { return error_of([&] { evaluate(classifier, stripes(60), {.sample_weights = std::move(w)}); }); };
    CHECK(refused({1, 2}) == "error[data] evaluate: got 2 weights; expected one for each of 60 samples, or none");
    CHECK(contains(refused(std::vector<double>(60)), "the weights of all samples are 0; there is nothing to measure"));
    weights[5] = -1;
    CHECK(contains(refused(weights), "weights of samples must be finite and not negative"));
}

TEST_CASE("fit: what is validated on may have weights") {
    const ArrayData data = stripes(120);
    FitOptions o = quiet(2);
    o.validation_share = 0.25;
    o.metrics = {std::make_shared<ClassScore>()};
    for (std::size_t i = 0; i < 120; ++i) o.validation_weights.push_back(static_cast<double>(i % 5));
    Classifier model(Seed{3});
    const EpochMetrics last = fit(model, data, o).state.history.back();
    FitOptions none = o;
    none.validation_weights.clear();
    Classifier same(Seed{3});
    const EpochMetrics plain = fit(same, data, none).state.history.back();
    CHECK(last.train_loss == plain.train_loss);
    CHECK(last.val_loss != plain.val_loss);

    FitOptions apart = quiet(1);
    apart.validation = data;
    apart.validation_weights = o.validation_weights;
    Classifier third(Seed{3});
    const EpochMetrics m = fit(third, data, apart).state.history.back();
    const Evaluation e = evaluate(third, data, {.sample_weights = o.validation_weights});
    CHECK(m.val_loss == doctest::Approx(e.loss).epsilon(1e-6));
    CHECK(m.val_accuracy == e.accuracy);

    apart.validation_weights.assign(120, 0);
    const std::vector<float> before = all_values(third);
    CHECK(contains(error_of([&] { fit(third, data, apart); }), "the weights of all samples are 0"));
    apart.validation_weights = {1};
    CHECK(contains(error_of([&] { fit(third, data, apart); }), "validation_weights: got 1 weights; expected one for each of 120 samples"));
    apart.validation.reset();
    CHECK(contains(error_of([&] { fit(third, data, apart); }), "validation_weights need something to validate on"));
    apart.split = Split{all_samples(data), {}};
    CHECK(contains(error_of([&] { fit(third, data, apart); }), "validation_weights need something to validate on"));
    CHECK(all_values(third) == before);
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
    CHECK(contains(error_of([&] { fit(third, data, given); }), "none of the checkpoints of 'model' serves"));
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
