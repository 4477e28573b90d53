// SPDX-License-Identifier: MIT
// The doctor, and trainings that are sick on purpose.
#include <doctest/doctest.h>

#include <support/error_of.hpp>
#include "fit_data.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

using namespace fit_tests;

namespace {

using Net = Model<Sequential<Flatten, Linear<784, 32>, BatchNorm1d<>, ReLU, Linear<32, 10>>, Shape{1, 28, 28}>;
using Kind = Finding::Kind;

const Dataset& digits() {
    static const Dataset data = make_digits(1500, Seed{1});
    return data;
}

FitOptions training() {
    FitOptions o;
    o.batch_size = 50;
    o.validation_share = 0.2;
    o.optimizer = Adam({.learning_rate = 0.003});
    return o;
}

Kind kind(const Diagnosis& d, const char* check) {
    const Finding* f = d.find(check);
    CAPTURE(check);
    REQUIRE(f);
    CHECK(f->remedy.empty() == (f->kind == Kind::good));
    CHECK(!f->sentence.empty());
    return f->kind;
}

}  // namespace

TEST_CASE("doctor: a training that works is found healthy, and left as it was") {
    Net model(Seed{1});
    const auto before = all_values(model);
    const Diagnosis d = diagnose(model, digits(), training());
    INFO(d.text());
    for (const char* check : {"order", "first NaN", "dead ReLUs", "update size", "gradients", "one batch", "learning rate", "labels", "memory"})
        CHECK(kind(d, check) == Kind::good);
    CHECK(d.find("loader"));  // its kind is a matter of time
    CHECK(all_values(model) == before);
    CHECK((d.learning_rate > 1e-5 && d.learning_rate < 1));
    CHECK(d.batch_size == 1024);  // of 1200 samples
    CHECK(d.rates.size() == d.losses.size());
    CHECK(std::is_sorted(d.rates.begin(), d.rates.end()));
    REQUIRE(d.plot().panels[0].marks.size() == 1);
    CHECK(d.plot().panels[0].marks[0].x == d.learning_rate);
    // The same again: but for time nothing is left to chance.
    const Diagnosis again = diagnose(model, digits(), training());
    CHECK(again.losses == d.losses);
    CHECK(again.learning_rate == d.learning_rate);
}

TEST_CASE("doctor: a learning rate that is too large") {
    const Net model(Seed{1});
    FitOptions o = training();
    o.optimizer = Adam({.learning_rate = 8});
    const Diagnosis d = diagnose(model, digits(), o);
    INFO(d.text());
    CHECK(kind(d, "learning rate") == Kind::bad);
    CHECK(d.learning_rate < 1);
    CHECK(d.find("learning rate")->remedy.find("use a learning rate of") == 0);
    CHECK(!d.healthy());
    CHECK(kind(d, "labels") == Kind::notice);  // they may be right: nothing was learned with such steps
    CHECK(kind(d, "one batch") == Kind::good);

    o.optimizer = Adam({.learning_rate = 0.5});
    CHECK(kind(diagnose(model, digits(), o, {.trial_steps = 3}), "update size") == Kind::bad);

    o.optimizer = Adam({.learning_rate = 1e-8});
    const Diagnosis slow = diagnose(model, digits(), o);
    CHECK(kind(slow, "learning rate") == Kind::notice);
}

TEST_CASE("doctor: a schedule's warm-up is part of the trial, and so are fit's checks") {
    const Net model(Seed{1});
    FitOptions o = training();
    o.optimizer = Adam({.learning_rate = 8});
    o.epochs = 200;
    o.warmup = LinearWarmup({.start_factor = 1e-6, .length = 4800, .unit = ScheduleUnit::step});  // 200 epochs of 24 steps
    CHECK(kind(diagnose(model, digits(), o, {.trial_steps = 20, .range_steps = 5}), "update size") == Kind::good);
    o.schedule = OneCycleOptions{};
    o.warmup.reset();
    o.optimizer = Adam({.learning_rate = 0.003});
    o.epochs = 1;
    CHECK(kind(diagnose(model, digits(), o, {.trial_steps = 40, .range_steps = 5}), "first NaN") == Kind::good);  // longer than the schedule

    o = training();
    o.batch_size = 0;
    CHECK(error_of([&] { diagnose(model, digits(), o); }) == "error[usage] diagnose: batch_size must be at least 1");
    o = training();
    o.sampling_weights = {1, 2};
    CHECK(error_of([&] { diagnose(model, digits(), o); }) == "error[usage] diagnose: sampling_weights needs one for each sample of the data");
    o = training();
    o.validation_share = 0;
    o.split = Split{{0, 1, 1500}, {}};
    CHECK(error_of([&] { diagnose(model, digits(), o); }) == "error[usage] diagnose: the split names a sample that the data do not have");
}

TEST_CASE("doctor: a check that runs out of time says so instead of guessing") {
    const Net model(Seed{1});
    const Diagnosis d = diagnose(model, digits(), training(), {.seconds = 1e-9});
    INFO(d.text());
    CHECK(kind(d, "one batch") == Kind::notice);
    CHECK(kind(d, "learning rate") == Kind::notice);
    CHECK(d.find("learning rate")->sentence.find("time was up after") == 0);
    CHECK(is_nan(d.learning_rate));
    CHECK(!d.find("labels"));
    CHECK(d.healthy());
    // A little time: the last step that fits into it is still looked at.
    const Diagnosis little = diagnose(model, digits(), training(), {.trial_steps = 1000000, .overfit_steps = 2, .range_steps = 5, .seconds = 0.3});
    CHECK(little.find("update size"));
    CHECK(little.find("first NaN")->sentence.find("time was up") != std::string::npos);
}

TEST_CASE("doctor: classes of which one is rare are not called mislabelled") {
    Dataset rare = digits();  // a few tens of 1500 are threes, the rest is called other
    for (std::int32_t& label : rare.labels) label = label == 3 ? 1 : 0;
    index_t kept = 0;
    for (std::size_t i = 0; i < rare.labels.size(); ++i)
        if (rare.labels[i] == 1 && ++kept > 45) rare.labels[i] = 0, std::copy_n(&rare.images[0], 784, &rare.images[i * 784]);
    REQUIRE(rare.labels[0] == 0);
    rare.num_classes = 2;
    rare.class_names = {"other", "three"};
    const Model<Sequential<Flatten, Linear<784, 32>, BatchNorm1d<>, ReLU, Linear<32, 2>>, Shape{1, 28, 28}> model(Seed{1});
    for (const bool validated : {true, false}) {
        FitOptions o = training();
        if (!validated) o.validation_share = 0;
        const Diagnosis d = diagnose(model, rare, o);
        INFO(d.text());
        CHECK((!d.find("labels") || d.find("labels")->kind != Kind::bad));
        if (validated) CHECK(d.find("labels")->sentence.find("too few samples of the rarer classes") == 0);
        o.balanced = true;
        const Diagnosis balanced = diagnose(model, rare, o);
        CHECK((!balanced.find("labels") || balanced.find("labels")->kind != Kind::bad));
    }
    // Of one class alone nothing can be told.
    for (std::int32_t& label : rare.labels) label = 0;
    const Diagnosis one = diagnose(model, rare, training());
    INFO(one.text());
    CHECK((!one.find("labels") || one.find("labels")->kind != Kind::bad));
}

TEST_CASE("doctor: a loss below zero that stands still has not been learned by heart, nor blown up") {
    const Regressor regressor(Seed{1});
    FitOptions o = quiet(1);
    o.optimizer = Adam({.learning_rate = 0.01});
    o.loss = SampleLoss<float>{[](std::span<const float>, std::span<const float>, std::span<float>) { return -5.0; }};
    const Diagnosis d = diagnose(regressor, surface(), o);
    INFO(d.text());
    CHECK(kind(d, "one batch") == Kind::bad);
    CHECK(d.find("learning rate")->sentence.find("the loss falls at no learning rate") == 0);
    CHECK(d.losses.size() == 120);
}

TEST_CASE("doctor: no gradient anywhere, sorted samples") {
    using Dead = Model<Sequential<Flatten, Linear<784, 10>, ReLU>, Shape{1, 28, 28}>;
    Dead dead(Seed{1});
    for (const ParamRow& row : dead.parameters().parameters)
        if (row.path == "1.bias") dead.parameters().write(ParamPart::value, row, std::vector<float>(10, -1000.0f));
    const Diagnosis d = diagnose(dead, digits(), training());
    INFO(d.text());
    CHECK(kind(d, "gradients") == Kind::bad);
    CHECK(d.find("gradients")->sentence == "no gradient reaches any layer");

    // Sorted by class: the samples to be learned by heart are of all classes, so that a bias alone does not do it.
    std::vector<std::uint32_t> sorted = all_samples(digits());
    std::stable_sort(sorted.begin(), sorted.end(), [](auto a, auto b) { return digits().labels[a] < digits().labels[b]; });
    using Blind = Model<Sequential<Flatten, Linear<784, 1>, Linear<1, 10>>, Shape{1, 28, 28}>;
    Blind blind(Seed{1});
    blind.parameters().freeze("1.weight");
    for (const ParamRow& row : blind.parameters().parameters)
        if (row.path == "1.weight" || row.path == "2.weight")
            blind.parameters().write(ParamPart::value, row, std::vector<float>(static_cast<std::size_t>(row.count)));
    blind.parameters().freeze("2.weight");
    const auto any = any_model(blind);
    Loader loader(digits(), sorted, {.batch_size = 50});
    CHECK(kind(diagnose(*any, Adam({.learning_rate = 0.01}), CrossEntropy{}, loader), "one batch") == Kind::bad);
}

TEST_CASE("doctor: values that overflow, and where first") {
    using Plain = Model<Sequential<Flatten, Linear<784, 32>, ReLU, Linear<32, 10>>, Shape{1, 28, 28}>;
    const Plain model(Seed{1});
    FitOptions o = training();
    o.optimizer = Sgd({.learning_rate = 1e12});
    const Diagnosis d = diagnose(model, digits(), o);
    INFO(d.text());
    CHECK(kind(d, "first NaN") == Kind::bad);
    CHECK(d.find("first NaN")->sentence.find("Linear") != std::string::npos);
    CHECK(!d.healthy());
}

TEST_CASE("doctor: samples that are not shuffled") {
    const Net model(Seed{1});
    const auto any = any_model(const_cast<Net&>(model));
    std::vector<std::uint32_t> sorted = all_samples(digits());
    std::stable_sort(sorted.begin(), sorted.end(), [](auto a, auto b) { return digits().labels[a] < digits().labels[b]; });
    const Optimizer adam{Adam({.learning_rate = 0.003})};
    Loader in_order(digits(), sorted, {.batch_size = 50, .shuffle = false});
    const Diagnosis d = diagnose(*any, adam, CrossEntropy{}, in_order);
    INFO(d.text());
    CHECK(kind(d, "order") == Kind::bad);
    CHECK(d.find("order")->sentence.find("of 10 classes in a batch") != std::string::npos);
    Loader shuffled(digits(), sorted, {.batch_size = 50});
    CHECK(kind(diagnose(*any, adam, CrossEntropy{}, shuffled), "order") == Kind::good);
    CHECK(error_of([&] {
              Optimizer used = adam;
              used.set_steps(3);
              diagnose(*any, used, CrossEntropy{}, shuffled);
          }).find("has taken steps already") != std::string::npos);
}

TEST_CASE("doctor: labels that do not belong to their inputs") {
    Dataset wrong = digits();
    RandomStream random({6, 0, 0}, RandomUse::synthesis);
    for (std::int32_t& label : wrong.labels) label = static_cast<std::int32_t>(random.below(10));
    const Net model(Seed{1});
    const Diagnosis d = diagnose(model, wrong, training());
    INFO(d.text());
    CHECK(kind(d, "labels") == Kind::bad);
    CHECK(kind(d, "one batch") == Kind::good);
    CHECK(!d.healthy());
}

TEST_CASE("doctor: a layer that is dead") {
    using Plain = Model<Sequential<Flatten, Linear<784, 32>, ReLU, Linear<32, 10>>, Shape{1, 28, 28}>;
    Plain model(Seed{1});
    for (const ParamRow& row : model.parameters().parameters)
        if (row.path == "1.bias") model.parameters().write(ParamPart::value, row, std::vector<float>(32, -1000.0f));
    const Diagnosis d = diagnose(model, digits(), training());
    INFO(d.text());
    CHECK(kind(d, "dead ReLUs") == Kind::bad);
    CHECK(d.find("dead ReLUs")->sentence.find("100 %") != std::string::npos);
    CHECK(kind(d, "one batch") == Kind::bad);
    CHECK(kind(d, "gradients") == Kind::bad);
    CHECK(d.find("gradients")->sentence == "no gradient reaches 1 Linear");
}

TEST_CASE("doctor: a loader that is slow") {
    struct Slow : DataSource {
        index_t size() const override { return 400; }
        Shape input_shape() const override { return Shape{2}; }
        index_t classes() const override { return 2; }
        std::int32_t label(index_t sample) const override { return static_cast<std::int32_t>(sample % 2); }
        void read(const SamplePosition& at, std::span<float> x) const override {
            std::this_thread::sleep_for(std::chrono::microseconds(500));
            x[0] = static_cast<float>(at.sample % 2), x[1] = 0.5f;
        }
    };
    const Slow slow;
    const Model<Sequential<Linear<2, 8>, ReLU, Linear<8, 2>>, Shape{2}> model(Seed{1});
    FitOptions o;
    o.batch_size = 20;
    const Diagnosis d = diagnose(model, slow, o, {.trial_steps = 30, .range_steps = 30});
    INFO(d.text());
    CHECK(kind(d, "loader") == Kind::bad);
    CHECK(d.loader_share > 0.3);
}

TEST_CASE("doctor: memory that is not there, and data of values") {
    const Net model(Seed{1});
    const Diagnosis d = diagnose(model, digits(), training(), {.trial_steps = 5, .overfit_steps = 2, .range_steps = 10, .memory = 1e3});
    CHECK(kind(d, "memory") == Kind::bad);
    CHECK(d.batch_size == 0);
    CHECK(kind(d, "one batch") == Kind::bad);  // in two steps nobody learns 64 digits

    const Regressor regressor(Seed{1});
    FitOptions o = quiet(1);
    o.optimizer = Adam({.learning_rate = 0.01});
    const Diagnosis values = diagnose(regressor, surface(), o);
    INFO(values.text());
    CHECK(!values.find("labels"));
    CHECK(!values.find("order"));
    CHECK(kind(values, "first NaN") == Kind::good);
    CHECK(kind(values, "learning rate") != Kind::bad);
}
