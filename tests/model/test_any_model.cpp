// SPDX-License-Identifier: MIT
// AnyModel's inference is const and safe from many threads at once: each call has a workspace that nobody else has.
#include <doctest/doctest.h>

#include <dla/model/any_model.hpp>
#include <support/error_of.hpp>
#include <support/networks.hpp>
#include <support/run_layer.hpp>

#include <atomic>
#include <limits>
#include <thread>

using namespace dla;
using support::Data;
using support::image;
using support::same_bits;

namespace {

void check_from_eight_threads(const std::unique_ptr<const AnyModel>& model) {
    const CrossEntropy plain, weighted{.label_smoothing = 0.1, .class_weights = {1, 2, 0.5}};
    constexpr std::size_t count = 8;
    std::vector<Data<float>> data;
    std::vector<std::vector<float>> logits(count);
    std::vector<LossResult> results(count);
    for (std::size_t t = 0; t < count; ++t) {
        data.emplace_back(static_cast<index_t>(1 + 5 * t % 13), static_cast<std::uint32_t>(t));
        logits[t].resize(3 * data[t].labels.size());
        model->predict(data[t].images, logits[t]);
        results[t] = model->evaluate(t % 2 ? plain : weighted, data[t].images, data[t].labels);
    }
    std::array<std::atomic<int>, count> wrong{};
    std::atomic<std::size_t> ready{0};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < count; ++t)
        threads.emplace_back([&, t] {
            ++ready;
            while (ready < count) std::this_thread::yield();
            for (std::size_t i = 0; i < 24; ++i) {
                const std::size_t at = (t + i) % count;  // batches that grow and shrink
                std::vector<float> out(logits[at].size(), -1.0f);
                model->predict(data[at].images, out);
                const LossResult r = model->evaluate(at % 2 ? plain : weighted, data[at].images, data[at].labels);
                wrong[t] += !same_bits(out, logits[at]) || r.loss != results[at].loss || r.correct != results[at].correct;
            }
        });
    for (std::thread& thread : threads) thread.join();
    for (const auto& n : wrong) CHECK(n == 0);
}

}  // namespace

TEST_CASE("predict and evaluate from eight threads, with batches of their own, have the bits of one thread") {
    Cpu<float> policy;
    policy.threads = 1;
    check_from_eight_threads(any_model(Model<support::ResNet, image, Cpu<float>>(support::resnet(), Seed{5}, policy)));
    check_from_eight_threads(any_model(Model<support::Cnn, image, Reference<double>>(Seed{5})));
}

TEST_CASE("a model that is looked at may be assigned another one") {
    Model<support::Mlp, image, Cpu<float>> model(Seed{5});
    const auto any = any_model(model);
    const Data<float> data(6);
    model = Model<support::Mlp, image, Cpu<float>>(Seed{6});
    std::vector<float> seen(18), bias(static_cast<std::size_t>(any->index().parameters[0].count)), expected = bias;
    any->predict(data.images, seen);
    CHECK(seen == model.predict(data.images));
    any->read(ParamPart::value, any->index().parameters[0], std::span(bias));
    model.parameters().read(ParamPart::value, model.parameters().parameters[0], expected);
    CHECK(bias == expected);
}

TEST_CASE("a call that is refused leaves nothing behind, and weights told by one loss do not stay for the next") {
    const auto model = any_model(Model<support::Mlp, image, Cpu<float>>(Seed{5}));
    const Data<float> data(6);
    const double expected = model->evaluate(CrossEntropy{}, data.images, data.labels).loss;
    Data<float> bad = data;
    bad.labels[3] = 9;
    CHECK(contains(error_of([&] { model->evaluate(CrossEntropy{.class_weights = {9, 9, 1}}, bad.images, bad.labels); }), "label 9 of sample 3"));
    CHECK(contains(error_of([&] { model->evaluate(CrossEntropy{.class_weights = {1}}, data.images, data.labels); }), "class_weights has 1 values"));
    std::vector<float> logits(17);
    CHECK(contains(error_of([&] { model->predict(data.images, logits); }), "error[model] predict: "));
    CHECK(model->evaluate(CrossEntropy{.class_weights = {9, 9, 1}}, data.images, data.labels).loss != expected);
    CHECK(model->evaluate(CrossEntropy{}, data.images, data.labels).loss == expected);
    logits.resize(18);
    CHECK_NOTHROW(model->predict(data.images, logits));
}

namespace {

/// The training steps of a network of other numbers are those of its own functions, with inputs and targets converted once.
template <class P>
void takes_the_steps_of_its_own(const AnyLoss& any, const auto& own_loss, bool labels) {
    using T = typename P::scalar;
    using Own = std::decay_t<decltype(own_loss)>;
    const Data<float> data(6);
    std::vector<float> values(18);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 5) / 4;
    const std::vector<T> inputs(data.images.begin(), data.images.end()), numbers(values.begin(), values.end());
    Model<support::Cnn, image, P> own(Seed{5}), held(Seed{5});
    const auto model = any_model(held);
    Adam own_adam;
    Optimizer adam{Adam()};
    std::vector<T> own_outputs(18);
    std::vector<float> outputs(18);
    for (int step = 0; step < 3; ++step) {
        const StepResult got = model->train_step(adam, any, data.images, labels ? Targets(data.labels) : Targets(values), {.clip_norm = 1});
        const StepResult expected = [&] {
            if constexpr (std::is_same_v<typename Own::Target, std::int32_t>)
                return train_step(own, own_adam, own_loss, inputs, data.labels, {.clip_norm = 1});
            else
                return train_step(own, own_adam, own_loss, inputs, numbers, {.clip_norm = 1});
        }();
        CHECK(got.loss == expected.loss);
        CHECK(got.gradient_norm == expected.gradient_norm);
        CHECK(got.correct == expected.correct);
    }
    for (const ParamRow& row : own.parameters().parameters) {
        std::vector<typename P::master> a(static_cast<std::size_t>(row.count)), b = a;
        own.parameters().read(ParamPart::value, row, a), model->read(ParamPart::value, row, std::as_writable_bytes(std::span(b)));
        CHECK(a == b);
        own_adam.read(own.parameters(), 1, row, a), model->read(adam, 1, row, std::as_writable_bytes(std::span(b)));
        CHECK(a == b);
    }
    own_outputs = own.predict(inputs);
    model->predict(data.images, outputs);
    for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(outputs[i] == static_cast<float>(own_outputs[i]));
    std::vector<float> seen(18);
    const LossResult result = model->evaluate(any, data.images, labels ? Targets(data.labels) : Targets(values), seen);
    CHECK(seen == outputs);
    CHECK(is_finite(result.loss));
    CHECK(planned_memory(*model, 6, 2, any).total() == claimed_memory(*model).total());
    CHECK(planned_memory(own, 6, 2, any).total() == planned_memory(*model, 6, 2, any).total());
}

template <class P>
void takes_any_loss() {
    using T = typename P::scalar;
    takes_the_steps_of_its_own<P>(CrossEntropy{.label_smoothing = 0.1, .class_weights = {1, 2, 0.5}},
                                  CrossEntropy{.label_smoothing = 0.1, .class_weights = {1, 2, 0.5}}, true);
    takes_the_steps_of_its_own<P>(MeanSquaredError<float>{Reduction::sum}, MeanSquaredError<T>{Reduction::sum}, false);
    takes_the_steps_of_its_own<P>(L1<float>{}, L1<T>{}, false);
    takes_the_steps_of_its_own<P>(Huber<float>{.delta = 0.3}, Huber<T>{.delta = 0.3}, false);
    takes_the_steps_of_its_own<P>(SmoothL1<float>{.beta = 0.3}, SmoothL1<T>{.beta = 0.3}, false);
    takes_the_steps_of_its_own<P>(BCEWithLogits<float>{.pos_weight = {2, 1, 3}}, BCEWithLogits<T>{.pos_weight = {2, 1, 3}}, false);
    takes_the_steps_of_its_own<P>(SoftCrossEntropy<float>{.label_smoothing = 0.1, .class_weights = {1, 2, 0.5}},
                                  SoftCrossEntropy<T>{.label_smoothing = 0.1, .class_weights = {1, 2, 0.5}}, false);
}

}  // namespace

TEST_CASE("AnyModel of a network in double or bf16 takes the steps that the network takes by itself, with any loss") {
    takes_any_loss<Cpu<double>>();
    takes_any_loss<Cpu<bf16>>();
    takes_any_loss<Cpu<float>>();
}

TEST_CASE("a SampleLoss, which is a function of floats, trains networks of other numbers") {
    const Data<float> data(6);
    std::vector<float> values(18, 0.25f);
    // In double, the squared error of float differences is that of double ones but for roundings.
    const SampleLoss<float> squares{[](auto y, auto t, auto dy) {
        double sum = 0;
        for (std::size_t i = 0; i < y.size(); ++i) {
            const double d = static_cast<double>(y[i]) - static_cast<double>(t[i]);
            sum += d * d / 3;
            if (!dy.empty()) dy[i] = static_cast<float>(2 * d / 3);
        }
        return sum;
    }};
    const SampleLoss<std::int32_t> margin{[](auto y, auto t, auto dy) {
        if (!dy.empty()) dy[static_cast<std::size_t>(t[0])] = -1;
        return -static_cast<double>(y[static_cast<std::size_t>(t[0])]);
    }};
    Model<support::Cnn, image, Cpu<double>> own(Seed{5}), held(Seed{5});
    const auto model = any_model(held);
    const std::vector<double> inputs(data.images.begin(), data.images.end()), numbers(values.begin(), values.end());
    Optimizer a{Sgd({.learning_rate = 0.1})}, b{Sgd({.learning_rate = 0.1})};
    for (int step = 0; step < 3; ++step)
        CHECK(model->train_step(a, squares, data.images, values).loss ==
              doctest::Approx(train_step(own, b, MeanSquaredError<double>{}, inputs, numbers).loss).epsilon(1e-5));
    const double before = model->evaluate(margin, data.images, data.labels).loss;
    for (int step = 0; step < 3; ++step) model->train_step(a, margin, data.images, data.labels);
    CHECK(model->evaluate(margin, data.images, data.labels).loss < before);
    CHECK(contains(error_of([&] { model->train_step(a, margin, data.images, values); }), "it takes class numbers as targets, and got values"));
}

TEST_CASE("a look into a network in double shows floats, and what is not finite is found in its own numbers") {
    struct Sum : Observer<Reference<float>> {
        int outputs = 0, gradients = 0;
        double of_outputs = 0;
        void after_forward(int layer, const ConstView<Reference<float>>& y) override {
            ++outputs;
            if (layer >= 0) return;
            for (index_t i = 0; i < y.size(); ++i) of_outputs += static_cast<double>(y.data[i]);
        }
        void after_backward(int, const ConstView<Reference<float>>&) override { ++gradients; }
    };
    const Data<float> data(6);
    Sum in_float, in_double;
    Model<support::Mlp, image> a(Seed{5});
    Model<support::Mlp, image, Cpu<double>> b(Seed{5});
    any_model(a)->inspect(CrossEntropy{}, data.images, data.labels, &in_float);
    const auto model = any_model(b);
    model->inspect(CrossEntropy{}, data.images, data.labels, &in_double);
    CHECK(in_double.outputs == in_float.outputs);
    CHECK(in_double.gradients == in_float.gradients);
    CHECK(in_double.of_outputs == doctest::Approx(in_float.of_outputs).epsilon(1e-4));
    CHECK(model->find_non_finite(CrossEntropy{}, data.images, data.labels).empty());
    // 1e200 is a number in double, though not in float.
    const ParamRow& row = b.parameters().parameters.back();
    std::vector<double> values(static_cast<std::size_t>(row.count), 1e200);
    b.parameters().write(ParamPart::value, row, values);
    CHECK(model->find_non_finite(MeanSquaredError<float>{}, data.images, std::vector<float>(18)).find("parameter") == std::string::npos);
    values[0] = std::numeric_limits<double>::infinity();
    b.parameters().write(ParamPart::value, row, values);
    CHECK(model->find_non_finite(CrossEntropy{}, data.images, data.labels) == "parameter " + row.path);
}

TEST_CASE("AnyModel: a clone is a second model, whatever the first is") {
    const Data<float> data(6);
    const auto check = [&](AnyModel& model) {
        Optimizer a{Adam()}, b{Adam()};
        model.freeze("0.*");
        model.train_step(a, CrossEntropy{}, data.images, data.labels);
        const auto copy = model.clone();
        std::vector<float> one(18), two(18);
        const auto same = [&] { return model.predict(data.images, one), copy->predict(data.images, two), one == two; };
        CHECK(same());
        CHECK(copy->position() == model.position());
        CHECK_FALSE(copy->index().parameter("0.weight").trainable);
        Optimizer c{Adam()};
        copy->train_step(b, CrossEntropy{}, data.images, data.labels);
        CHECK_FALSE(same());
    };
    Model<support::Cnn, image> looked_at(Seed{5});
    check(*any_model(looked_at));
    check(*any_model(Model<support::Cnn, image, Cpu<double>>(Seed{5})));
    check(*any_model(Model<support::Cnn, image, Cpu<bf16>>(Seed{5})));
}
