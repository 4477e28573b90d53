// SPDX-License-Identifier: MIT
// The losses as a model uses them: their gradients against differences of the loss, what they refuse, and targets that are no numbers.
#include <doctest/doctest.h>

#include <support/error_of.hpp>
#include <support/golden.hpp>
#include <support/networks.hpp>
#include <support/opaque.hpp>
#include <support/run_layer.hpp>

#include <cmath>
#include <limits>

using namespace dla;
using support::Data;
using support::image;
using support::same_bits;

static_assert(std::is_same_v<decltype(Huber{}), Huber<float>> && std::is_same_v<decltype(BCEWithLogits{}), BCEWithLogits<float>>);

namespace {

using Exact = Reference<double>;

/// evaluate on the host, without a model.
template <class Loss>
double evaluate(const Loss& loss, const Shape& shape, const std::vector<double>& x, const std::vector<typename Loss::Target>& targets,
                double* gradient = nullptr) {
    const index_t batch = static_cast<index_t>(x.size()) / shape.size();
    loss.check(shape);
    Context<Exact> c;
    LossResult result;
    std::vector<double> weights;
    if (const auto* given = weights_of(loss)) weights = *given;
    loss.evaluate(c, ConstView<Exact>(x.data(), batch, shape), targets.data(), weights.empty() ? nullptr : weights.data(), &result,
                  gradient ? View<Exact>(gradient, batch, shape) : View<Exact>{});
    return result.loss;
}

/// Values of a place next to each other, from PyTorch's order, which has the classes first.
std::vector<double> by_place(const std::vector<double>& classes_first, index_t samples, index_t classes, index_t places) {
    std::vector<double> ordered;
    for (index_t sample = 0; sample < samples; ++sample)
        for (index_t place = 0; place < places; ++place)
            for (index_t k = 0; k < classes; ++k) ordered.push_back(classes_first[static_cast<std::size_t>((sample * classes + k) * places + place)]);
    return ordered;
}

/// Central differences of the loss, whose error is h^2 / 6 of a third derivative and the rounding of the loss over h.
template <class Loss>
void check_gradient(const Loss& loss, const Shape& shape, const std::vector<typename Loss::Target>& targets, index_t batch) {
    support::Runner<Exact> random(Identity{}, shape, batch);
    std::vector<double> x = random.random_values(batch * shape.size(), 3), gradient(x.size());
    for (double& value : x) value *= 3;
    evaluate(loss, shape, x, targets, gradient.data());
    const double h = 1e-5;
    double worst = 0, largest = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double value = x[i];
        x[i] = value + h;
        const double above = evaluate(loss, shape, x, targets);
        x[i] = value - h;
        const double numeric = (above - evaluate(loss, shape, x, targets)) / (2 * h);
        x[i] = value;
        worst = std::max(worst, std::abs(numeric - gradient[i]));
        largest = std::max(largest, std::abs(gradient[i]));
    }
    CHECK(worst <= 1e-8);
    CHECK(largest > 1e-3);
}

}  // namespace

TEST_CASE("gradients of the losses are those of central differences") {
    const index_t batch = 4;
    const Shape scores{5}, picture{2, 3, 2};
    check_gradient(CrossEntropy{.label_smoothing = 0.1, .class_weights = {1, 3}}, picture, {0, 1, 1, 0, -100, 1, 0, 0, 1, 1, -100, 0}, 2);
    check_gradient(CrossEntropy{}, Shape{3, 4}, {0, 1, 3, 2, 2, -100}, 2);
    for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
        check_gradient(CrossEntropy{.label_smoothing = 0.1, .class_weights = {1, 2, 0.5, 3, 1}, .reduction = reduction}, scores, {0, 4, -100, 2}, batch);
        for (const Shape& shape : {scores, picture}) {
            std::vector<double> targets;
            for (index_t i = 0; i < batch * shape.size(); ++i) targets.push_back(0.5 + 0.5 * std::sin(static_cast<double>(i)));
            check_gradient(MeanSquaredError<double>{.reduction = reduction}, shape, targets, batch);
            check_gradient(L1<double>{.reduction = reduction}, shape, targets, batch);
            for (const double bend : {0.3, 1.0, 2.5}) {
                check_gradient(Huber<double>{.delta = bend, .reduction = reduction}, shape, targets, batch);
                check_gradient(SmoothL1<double>{.beta = bend, .reduction = reduction}, shape, targets, batch);
            }
            check_gradient(SmoothL1<double>{.beta = 0, .reduction = reduction}, shape, targets, batch);
            check_gradient(BCEWithLogits<double>{.reduction = reduction}, shape, targets, batch);
            check_gradient(BCEWithLogits<double>{.pos_weight = {3}, .reduction = reduction}, shape, targets, batch);
            check_gradient(SoftCrossEntropy<double>{.reduction = reduction}, shape, targets, batch);
            check_gradient(SoftCrossEntropy<double>{.label_smoothing = 0.2, .reduction = reduction}, shape, targets, batch);
        }
    }
    std::vector<double> targets(48, 0.25), each;
    for (int i = 0; i < 12; ++i) each.push_back(0.5 * i);
    check_gradient(BCEWithLogits<double>{.pos_weight = each}, picture, targets, batch);
    check_gradient(BCEWithLogits<double>{.pos_weight = {3, 0.5}}, picture, targets, batch);
    check_gradient(SoftCrossEntropy<double>{.class_weights = {3, 0.5}}, picture, targets, batch);
    check_gradient(SoftCrossEntropy<double>{.class_weights = {1, 2, 3, 0}}, Shape{3, 4}, targets, batch);
}

TEST_CASE("cross-entropy with probabilities of images and of rows is PyTorch's") {
    const auto cases = golden::load("loss_soft_map");
    REQUIRE(cases.size() == 5);
    for (const golden::Case& c : cases) {
        CAPTURE(c.name);
        const golden::Tensor &x = c.tensor("x"), &targets = c.tensor("targets"), &dx = c.tensor("dx");
        const auto n = static_cast<index_t>(x.dims[0]), classes = static_cast<index_t>(x.dims[1]), places = static_cast<index_t>(x.size()) / n / classes;
        const Shape shape = x.dims.size() == 4 ? Shape{classes, static_cast<index_t>(x.dims[2]), static_cast<index_t>(x.dims[3])} : Shape{places, classes};
        const std::vector<double> in = by_place(x.values, n, classes, places), wanted = by_place(targets.values, n, classes, places),
                                  expected = by_place(dx.values, n, classes, places);
        std::vector<double> gradient(in.size());
        SoftCrossEntropy<double> loss{.label_smoothing = c.number("label_smoothing"),
                                      .reduction = c.text("reduction") == "sum" ? Reduction::sum : Reduction::mean};
        if (c.has("class_weights")) loss.class_weights = c.tensor("class_weights").values;
        // PyTorch divides the mean by samples times places, as we do.
        CHECK(evaluate(loss, shape, in, wanted, gradient.data()) == doctest::Approx(c.tensor("loss").values[0]).epsilon(1e-12));
        for (std::size_t i = 0; i < expected.size(); ++i) CHECK(std::abs(gradient[i] - expected[i]) < 1e-13);
    }
}

TEST_CASE("cross-entropy with probabilities: one-hot ones are class numbers, places are rows") {
    support::Runner<Exact> random(Identity{}, Shape{5}, 6);
    const std::vector<double> x = random.random_values(30, 3);
    const std::vector<std::int32_t> labels{4, 0, 2, 2, 1, 3};
    std::vector<double> one_hot(30), soft(30), of_labels(30), of_probabilities(30), of_rows(30);
    for (std::size_t i = 0; i < 6; ++i) one_hot[i * 5 + static_cast<std::size_t>(labels[i])] = 1;
    for (const double smoothing : {0.0, 0.1})
        for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
            const SoftCrossEntropy<double> loss{.label_smoothing = smoothing, .reduction = reduction};
            const double expected =
                evaluate(CrossEntropy{.label_smoothing = smoothing, .reduction = reduction}, Shape{5}, x, labels, of_labels.data());
            CHECK(evaluate(loss, Shape{5}, x, one_hot, of_probabilities.data()) == doctest::Approx(expected).epsilon(1e-14));
            for (std::size_t i = 0; i < 30; ++i) CHECK(of_probabilities[i] == doctest::Approx(of_labels[i]).epsilon(1e-12));
        }
    for (std::size_t i = 0; i < 30; ++i) soft[i] = 0.2 + 0.1 * std::sin(static_cast<double>(i));
    const SoftCrossEntropy<double> loss{.class_weights = {1, 2, 0.5, 3, 1}};
    const double rows = evaluate(loss, Shape{5}, x, soft, of_rows.data());
    CHECK(evaluate(loss, Shape{5, 3, 2}, x, soft, of_probabilities.data()) == rows);
    CHECK(of_probabilities == of_rows);
    CHECK(evaluate(loss, Shape{3, 5}, x, soft, of_probabilities.data()) == rows);
    CHECK(of_probabilities == of_rows);
    CHECK(loss.targets_per_sample(Shape{5, 3, 2}) == 30);
}

TEST_CASE("anchors: what PyTorch gives") {
    const std::vector<double> x{1, -2, 0.5}, t{0, 1, 0.25};
    const Shape shape{3};
    CHECK(evaluate(MeanSquaredError<double>{}, shape, x, t) == doctest::Approx(3.3541666667));
    CHECK(evaluate(L1<double>{}, shape, x, t) == doctest::Approx(1.4166666667));
    CHECK(evaluate(Huber<double>{}, shape, x, t) == doctest::Approx(1.0104166667));
    CHECK(evaluate(SmoothL1<double>{.beta = 2, .reduction = Reduction::sum}, shape, x, t) == doctest::Approx(2.265625));
    CHECK(evaluate(BCEWithLogits<double>{}, shape, x, t) == doctest::Approx(1.4297555609));
    CHECK(evaluate(BCEWithLogits<double>{.pos_weight = {1, 4, 2}}, shape, x, t) == doctest::Approx(3.5961899873));
}

TEST_CASE("cross-entropy of images and of rows is PyTorch's") {
    const auto cases = golden::load("loss_map");
    REQUIRE(cases.size() == 7);
    for (const golden::Case& c : cases) {
        CAPTURE(c.name);
        const golden::Tensor &x = c.tensor("x"), &labels = c.tensor("labels"), &dx = c.tensor("dx");
        const auto n = static_cast<index_t>(x.dims[0]), classes = static_cast<index_t>(x.dims[1]), places = static_cast<index_t>(x.size()) / n / classes;
        const Shape shape = x.dims.size() == 4 ? Shape{classes, static_cast<index_t>(x.dims[2]), static_cast<index_t>(x.dims[3])} : Shape{places, classes};
        const std::vector<double> in = by_place(x.values, n, classes, places), expected = by_place(dx.values, n, classes, places);
        std::vector<double> gradient(in.size());
        CrossEntropy loss{.label_smoothing = c.number("label_smoothing"),
                          .ignore_index = static_cast<std::int32_t>(c.integer("ignore_index")),
                          .reduction = c.text("reduction") == "sum" ? Reduction::sum : Reduction::mean};
        if (c.has("class_weights")) loss.class_weights = c.tensor("class_weights").values;
        const std::vector<std::int32_t> targets(labels.values.begin(), labels.values.end());
        CHECK(loss.targets_per_sample(shape) == places);
        CHECK(evaluate(loss, shape, in, targets, gradient.data()) == doctest::Approx(c.tensor("loss").values[0]).epsilon(1e-12));
        for (std::size_t i = 0; i < expected.size(); ++i) CHECK(std::abs(gradient[i] - expected[i]) < 1e-13);
    }
}

TEST_CASE_TEMPLATE("a class number for each pixel: parts of a batch, refused labels, forgotten Flatten", P, Reference<float>, Cpu<float>, opaque::Opaque<float>) {
    using Net = Sequential<Conv2d<2, 5, 3>, ReLU, Conv2d<5, 3, 1>>;
    Model<Net, image, P> whole(Seed{5}), parts(Seed{5});
    const Data<float> data(8);
    std::vector<std::int32_t> labels;
    for (int i = 0; i < 8 * 64; ++i) labels.push_back(i % 11 == 0 ? -100 : i % 3);
    const CrossEntropy loss{.class_weights = {1, 2, 0.5}};
    const LossResult one = whole.compute_gradients(loss, data.images, labels);
    CHECK(one.counted == std::count_if(labels.begin(), labels.end(), [](int label) { return label >= 0; }));
    CHECK(one.loss == doctest::Approx(whole.evaluate(loss, data.images, labels).loss).epsilon(1e-5));
    Sgd sgd_whole({.learning_rate = 0.5}), sgd_parts({.learning_rate = 0.5});
    train_step(whole, sgd_whole, loss, data.images, labels);
    train_step(parts, sgd_parts, loss, data.images, labels, {.micro_batches = 4});
    const auto a = support::weights(whole.parameters()), b = support::weights(parts.parameters());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-4));
    labels[3 * 64 + 17] = 3;
    CHECK(error_of([&] { whole.evaluate(loss, data.images, labels); }) ==
          "error[data] CrossEntropy: label 3 of sample 3 at place 17 is out of range; expected 0 to 2 or ignore_index -100");
    CHECK(error_of([&] { train_step(whole, sgd_whole, loss, data.images, data.labels); }) ==
          "error[model] model: got 8 targets; expected 512, 64 for each output [3, 8, 8]; did you forget Flatten?");
    CHECK(error_of([&] { train_step(whole, sgd_whole, CrossEntropy{.class_weights = {1, 2}}, data.images, labels); }) ==
          "error[model] CrossEntropy: class_weights has 2 values; expected one for each of 3 classes");
}

TEST_CASE("pos_weight of an image counts by channel, of anything else by output") {
    const Shape picture{2, 2, 1};  // in memory: both channels of the first pixel, then of the second
    const BCEWithLogits<double> loss{.pos_weight = {1, 10}, .reduction = Reduction::sum};
    const double one = evaluate(BCEWithLogits<double>{}, Shape{1}, {0.5}, {1});
    CHECK(evaluate(loss, picture, {0.5, 0.5, 0.5, 0.5}, {1, 1, 1, 1}) == doctest::Approx(22 * one));
    CHECK(evaluate(loss, picture, {0.5, 0.5, 0.5, 0.5}, {1, 1, 1, 1}) != doctest::Approx(4 * one));
    const BCEWithLogits<double> each{.pos_weight = {1, 10, 100, 1000}, .reduction = Reduction::sum};
    CHECK(evaluate(each, Shape{4}, {0.5, 0.5, 0.5, 0.5}, {1, 1, 1, 1}) == doctest::Approx(1111 * one));
}

TEST_CASE("options that do not fit are refused in words") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const auto refusal_of = [](const auto& loss, const Shape& shape) { return error_of([&] { loss.check(shape); }); };
    for (const double bad : {0.0, -1.0, nan}) CHECK(refusal_of(Huber{.delta = bad}, Shape{3}) == "error[model] Huber: delta must be above 0");
    for (const double bad : {-1.0, nan}) CHECK(refusal_of(SmoothL1{.beta = bad}, Shape{3}) == "error[model] SmoothL1: beta must not be negative or NaN");
    CHECK(refusal_of(BCEWithLogits{.pos_weight = {1, nan, 1}}, Shape{3}) == "error[model] BCEWithLogits: pos_weight must be finite");
    CHECK(refusal_of(BCEWithLogits{.pos_weight = {1, 2}}, Shape{3}) ==
          "error[model] BCEWithLogits: pos_weight has 2 values; expected one for each of 3 outputs or one for all");
    CHECK(refusal_of(BCEWithLogits{.pos_weight = {1, 2, 3}}, Shape{2, 4, 4}) ==
          "error[model] BCEWithLogits: pos_weight has 3 values; expected one for each of 32 outputs, one for each channel or one for all");
    CHECK(refusal_of(BCEWithLogits{.pos_weight = {1, 2}}, Shape{2, 4, 4}) == "no error");
    CHECK(refusal_of(SoftCrossEntropy{.class_weights = {1, 2}}, Shape{3}) ==
          "error[model] SoftCrossEntropy: class_weights has 2 values; expected one for each of 3 classes");
}

TEST_CASE_TEMPLATE("a target that is not finite is named, and everything stays as it was", P, Reference<float>, Cpu<float>, opaque::Opaque<float>) {
    Model<support::Mlp, image, P> model(Seed{5});
    Data<float> data(10);
    Adam adam;
    const auto check = [&](const auto& loss, const std::string& name) {
        train_step(model, adam, loss, data.images, data.targets, {.micro_batches = 2});
        for (const int parts : {1, 4}) {
            Data<float> bad = data;
            bad.targets[3 * 7 + 2] = std::numeric_limits<float>::quiet_NaN();
            bad.targets[3 * 8] = std::numeric_limits<float>::infinity();
            const auto before = support::weights(model.parameters());
            const std::string said = "error[data] " + name +
                                     (name == "SoftCrossEntropy" ? ": the target of class 2 of sample 7 is infinite or NaN; expected a probability"
                                                                 : ": target 2 of sample 7 is infinite or NaN; expected a number");
            CHECK(error_of([&] { train_step(model, adam, loss, bad.images, bad.targets, {.micro_batches = parts}); }) == said);
            CHECK(error_of([&] { model.compute_gradients(loss, bad.images, bad.targets); }) == said);
            CHECK(error_of([&] { model.evaluate(loss, bad.images, bad.targets); }) == said);
            CHECK(same_bits(support::weights(model.parameters()), before));
        }
        // Labels that another loss found bad are not this one's.
        const std::vector<std::int32_t> labels(10, 9);
        CHECK(error_of([&] { model.compute_gradients(CrossEntropy{}, data.images, labels); }) != "no error");
        CHECK(error_of([&] { model.compute_gradients(loss, data.images, data.targets); }) == "no error");
        CHECK(train_step(model, adam, loss, data.images, data.targets, {.micro_batches = 4}).applied);
    };
    check(MeanSquaredError{}, "MeanSquaredError");
    check(L1{}, "L1");
    check(Huber{.delta = 0.5}, "Huber");
    check(SmoothL1{.beta = 0.5}, "SmoothL1");
    check(BCEWithLogits{.pos_weight = {1, 2, 3}}, "BCEWithLogits");
    check(SoftCrossEntropy{.class_weights = {1, 2, 3}}, "SoftCrossEntropy");
    // Of a network of images the place is named, too.
    Model<Conv2d<2, 3, 1>, image, P> places(Seed{5});
    Adam own;
    std::vector<float> probabilities(10 * 3 * 64, 0.25f);
    probabilities[static_cast<std::size_t>((7 * 64 + 11) * 3 + 2)] = std::numeric_limits<float>::quiet_NaN();
    CHECK(error_of([&] { train_step(places, own, SoftCrossEntropy{}, data.images, probabilities, {.micro_batches = 4}); }) ==
          "error[data] SoftCrossEntropy: the target of class 2 of sample 7 at place 11 is infinite or NaN; expected a probability");
}

TEST_CASE("a bad target adds nothing to the gradients") {
    Model<support::Mlp, image> model(Seed{5});
    Data<float> data(4);
    data.targets[5] = std::numeric_limits<float>::infinity();
    model.parameters().zero_gradients();
    CHECK(error_of([&] { model.compute_gradients(Huber{}, data.images, data.targets); }) != "no error");
    for (const float g : support::gradients(model.parameters())) CHECK(g == 0.0f);
}

TEST_CASE("weights of one loss are not those of the next") {
    Model<support::Mlp, image> model(Seed{5});
    const Data<float> data(10);
    const auto loss = [&](const auto& l) { return model.evaluate(l, data.images, data.targets).loss; };
    const double plain = loss(BCEWithLogits{}), weighted = loss(BCEWithLogits{.pos_weight = {5, 7, 0.5}});
    CHECK(plain != weighted);
    auto workspace = model.inference_workspace(10, BCEWithLogits{});
    const auto again = [&](const BCEWithLogits<float>& l) { return model.evaluate(l, data.images, data.targets, workspace).loss; };
    CHECK(again(BCEWithLogits{.pos_weight = {5, 7, 0.5}}) == weighted);
    CHECK(again(BCEWithLogits{}) == plain);
    CHECK(again(BCEWithLogits{.pos_weight = {1}}) == plain);
    CHECK(again(BCEWithLogits{.pos_weight = {5, 7, 0.5}}) == weighted);
}
