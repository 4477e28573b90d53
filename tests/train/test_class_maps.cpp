// SPDX-License-Identifier: MIT
// A class number for each pixel, or for each row: from data in memory to predictions.
#include <doctest/doctest.h>

#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>
#include "fit_data.hpp"

using namespace fit_tests;

namespace {

constexpr Shape picture{1, 9, 8};
constexpr index_t pixels = 72;

/// A bright and a dark rectangle on noise: classes 1 and 2 of three; of every seventh picture the first row does not count, and is wrong.
ArrayData rectangles(int count, bool with_uncounted = false) {
    std::vector<float> x;
    std::vector<std::int32_t> classes;
    RandomStream random({6, 0, 0}, RandomUse::synthesis);
    for (int i = 0; i < count; ++i) {
        const auto top = 1 + random.below(5), left = random.below(4), height = 2 + random.below(3), width = 2 + random.below(3);
        for (std::uint32_t row = 0; row < 9; ++row)
            for (std::uint32_t column = 0; column < 8; ++column) {
                const bool in = row >= top && row < top + height && column >= left && column < left + width;
                const int label = !in ? 0 : i % 2 == 0 ? 1 : 2;
                x.push_back((label == 1 ? 1.0f : label == 2 ? -1.0f : 0.0f) + 0.5f * random.uniform() - 0.25f);
                classes.push_back(with_uncounted && i % 7 == 0 && row == 0 ? uncounted : label);
            }
    }
    return ArrayData(picture, std::move(x), std::move(classes), picture);
}

using UNet = Sequential<Conv2d<1, 6, 3>, BatchNorm2d<>, ReLU, Residual<Conv2d<6, 6, 3>>, Conv2d<6, 3, 1>>;
using Segmenter = Model<UNet, picture>;

FitOptions options(int epochs) {
    FitOptions o;
    o.epochs = epochs;
    o.batch_size = 16;
    o.validation_share = 0.25;
    o.optimizer = Adam({.learning_rate = 0.02});
    o.quiet = true;
    return o;
}

}  // namespace

TEST_CASE("class maps: a network learns them, on any number of threads, and goes on where it was stopped") {
    const ArrayData data = rectangles(80, true);
    const TemporaryFolder folder;
    FitOptions o = options(15);
    const auto iou = std::make_shared<ClassScore>(ClassScore::Kind::iou);
    o.metrics = {iou};
    o.monitor = "mean_iou";
    o.loss = CrossEntropy{.class_weights = class_weights(data, all_samples(data))};
    Segmenter one(UNet{}, Seed{3}, Cpu<float>{{}, 1}), three(UNet{}, Seed{3}, Cpu<float>{{}, 3}), stopped(Seed{3}), resumed(Seed{8});
    const TrainingResult result = fit(one, data, o);
    REQUIRE(result.state.history.size() == 15);
    const EpochMetrics& last = result.state.history.back();
    CHECK(last.val_accuracy > 97);
    CHECK(last.metrics[0].name == "mean_iou");
    CHECK(last.metrics[0].value > 0.9);
    CHECK(result.state.history.front().val_loss > 2 * last.val_loss);
    fit(three, data, o);
    CHECK(all_values(three) == all_values(one));
    o.checkpoint_dir = folder / "run";
    o.resume = true;
    Stop stop(17);
    o.callbacks = {&stop};
    CHECK_THROWS_WITH(fit(stopped, data, o), "stop");
    o.callbacks.clear();
    fit(resumed, data, o);
    CHECK(all_values(resumed) == all_values(one));

    // What is predicted for each pixel.
    const auto classes = predict_classes(one, data);
    const auto shares = predict_probabilities(one, data);
    REQUIRE(std::ssize(classes) == 80 * pixels);
    REQUIRE(std::ssize(shares) == 80 * pixels * 3);
    double right = 0, counted = 0;
    ConfusionMatrix matrix;
    for (std::size_t i = 0; i < classes.size(); ++i) {
        CHECK(shares[3 * i] + shares[3 * i + 1] + shares[3 * i + 2] == doctest::Approx(1).epsilon(1e-4));
        if (data.labels()[i] == uncounted) continue;
        right += classes[i] == data.labels()[i] ? 1 : 0, counted += 1;
        matrix.add(data.labels()[i], classes[i]);
    }
    CHECK(accuracy(one, data) == doctest::Approx(100 * right / counted));
    const Evaluation e = evaluate(one, data, {.metrics = {std::make_shared<ClassScore>(ClassScore::Kind::iou), std::make_shared<TopK>(1)}});
    CHECK(e.samples == 80);
    CHECK(e.counted == static_cast<index_t>(counted));
    CHECK(e.metrics[0].value == doctest::Approx(matrix.macro_iou()));
    CHECK(e.metrics[1].value == doctest::Approx(e.accuracy));
    // Samples that weigh nothing might as well not be there.
    std::vector<double> weights(80, 2.0);
    for (std::size_t i = 40; i < 80; ++i) weights[i] = 0;
    const Evaluation half = evaluate(one, data, {.metrics = {std::make_shared<ClassScore>(ClassScore::Kind::iou)}, .sample_weights = weights});
    const Evaluation first = evaluate(one, ArrayData(picture, data.inputs().first(40 * pixels), data.labels().first(40 * pixels), picture),
                                      {.metrics = {std::make_shared<ClassScore>(ClassScore::Kind::iou)}});
    CHECK(half.loss == doctest::Approx(first.loss).epsilon(1e-5));
    CHECK(half.accuracy == doctest::Approx(first.accuracy));
    CHECK(half.metrics[0].value == doctest::Approx(first.metrics[0].value));
}

TEST_CASE("class maps: picture and classes are moved together, and only in training") {
    ArrayData data = rectangles(6);
    data.pair_transform = augment_both({.padding = 2, .flip = true}, picture, picture);
    std::vector<float> x(pixels);
    std::vector<std::int32_t> classes(pixels), untouched(pixels);
    int moved = 0;
    for (std::uint32_t i = 0; i < 6; ++i)
        for (std::uint32_t epoch = 0; epoch < 4; ++epoch) {
            data.read_labelled({1, epoch, i, true}, x, classes);
            data.labels(i, untouched);
            moved += classes != untouched ? 1 : 0;
            for (std::size_t p = 0; p < pixels; ++p) CHECK(classes[p] == (x[p] > 0.5f ? 1 : x[p] < -0.5f ? 2 : 0));
            data.read_labelled({1, epoch, i, false}, x, classes);
            CHECK(classes == untouched);
        }
    CHECK(moved > 10);
    data.pair_transform = augment_both({.padding = 3}, picture, picture, uncounted);
    index_t beyond = 0;
    for (std::uint32_t epoch = 0; epoch < 4; ++epoch) {
        data.read_labelled({1, epoch, 0, true}, x, classes);
        for (std::size_t p = 0; p < pixels; ++p) {
            beyond += classes[p] == uncounted ? 1 : 0;
            if (classes[p] == uncounted) CHECK(x[p] == 0);
        }
    }
    CHECK(beyond > 10);
    data.pair_transform = [](const SamplePosition&, std::span<float>, std::span<float> t) { t[5] = 0.5f; };
    CHECK(error_of([&] { data.read_labelled({1, 0, 3, true}, x, classes); }) ==
          "error[data] ArrayData: pair_transform made of a class number of sample 3 what is none (at place 5); expected 0 to 2 or -100");
    data.pair_transform = augment_both({.padding = 2, .flip = true}, picture, picture);
    FitOptions o = options(2);
    o.workers = 2;
    Segmenter one(Seed{3}), two(Seed{3});
    fit(one, data, o);
    o.workers = 0;
    fit(two, data, o);
    CHECK(all_values(two) == all_values(one));
    ArrayData still = rectangles(6);
    Segmenter other(Seed{3});
    fit(other, still, o);
    CHECK(all_values(other) != all_values(one));
}

TEST_CASE("class maps: a class for each row of a sequence") {
    // Which quarter of -1 to 1 the first feature of a row lies in.
    std::vector<float> x;
    std::vector<std::int32_t> classes;
    RandomStream random({8, 0, 0}, RandomUse::synthesis);
    for (int i = 0; i < 60 * 5; ++i) {
        const float v = 2 * random.uniform() - 1;
        x.push_back(v), x.push_back(2 * random.uniform() - 1);
        classes.push_back(v < -0.5f ? 0 : v < 0 ? 1 : v < 0.5f ? 2 : 3);
    }
    const ArrayData data(Shape{5, 2}, x, classes, Shape{5});
    Model<Sequential<Linear<2, 24>, Tanh, Linear<24, 4>>, Shape{5, 2}> model(Seed{1});
    FitOptions o = options(40);
    CHECK(fit(model, data, o).state.history.back().val_accuracy > 90);
    CHECK(std::ssize(predict_classes(model, data)) == 300);
}

TEST_CASE("class maps: counts, and what is refused") {
    const ArrayData data = rectangles(14, true);
    const auto counts = class_counts(data, all_samples(data));
    CHECK(counts.size() == 3);
    CHECK(counts[0] + counts[1] + counts[2] == 14 * pixels - 2 * 8);
    const auto weights = class_weights(data, all_samples(data));
    double sum = 0;
    for (std::size_t c = 0; c < 3; ++c) sum += weights[c] * static_cast<double>(counts[c]);
    CHECK(sum == doctest::Approx(static_cast<double>(14 * pixels - 2 * 8)));
    Segmenter model(Seed{1});
    FitOptions o = options(1);
    const std::string one_class = "takes samples of one class each; these have class numbers [1, 9, 8]";
    o.balanced = true;
    CHECK(error_of([&] { fit(model, data, o); }) == "error[data] balanced_weights: " + one_class);
    CHECK(error_of([&] { stratified_split(data, 4, Seed{1}); }) == "error[data] stratified_split: " + one_class);
    o.balanced = false;
    Model<Sequential<UNet, Flatten, Linear<Dyn, 3>>, picture> flat(Sequential<UNet, Flatten, Linear<Dyn, 3>>{}, Seed{1});
    CHECK(error_of([&] { fit(flat, data, o); }) ==
          "error[data] fit: the loss compares 1 values for each sample with the network's outputs [3]; the targets of the data have 72");
    const std::vector<float> turned_x(3 * pixels);
    const std::vector<std::int32_t> turned(3 * pixels);
    CHECK(error_of([&] { fit(model, ArrayData(picture, turned_x, turned, Shape{1, 8, 9}), o); }) ==
          "error[data] fit: the targets of the data are [1, 8, 9] and the network's outputs [3, 9, 8]: of other sides");
    struct OnlyLabel final : DataSource {
        index_t size() const override { return 4; }
        Shape input_shape() const override { return picture; }
        index_t classes() const override { return 3; }
        Shape target_shape() const override { return picture; }
        void read(const SamplePosition&, std::span<float> x) const override { std::ranges::fill(x, 0.0f); }
        std::int32_t label(index_t) const override { return 1; }
    };
    CHECK(error_of([&] { fit(model, OnlyLabel(), o); }) == "error[data] data: samples have class numbers [1, 9, 8]; the source has no labels()");
    CHECK(error_of([&] { CrossEntropy{}.check(Shape{3, 9, 8}.contiguous()); }) .starts_with("error[model] CrossEntropy: takes images with channels last"));
    Model<Conv2d<1, 2, 3>, picture> two(Seed{1});
    CHECK(error_of([&] { fit(two, data, o); }) == "error[data] fit: the data have 3 classes; the network gives 2 outputs");
    const std::vector<float> x(2 * pixels);
    std::vector<std::int32_t> labels(2 * pixels);
    labels[pixels + 3] = -1;
    CHECK(error_of([&] { ArrayData(picture, x, labels, picture); }) ==
          "error[data] ArrayData: sample 1 has the label -1; class numbers begin with 0, and -100 does not count");
    labels.pop_back();
    CHECK(error_of([&] { ArrayData(picture, x, labels, picture); }) ==
          "error[data] ArrayData: got 143 labels; expected 144, [1, 9, 8] for each of 2 samples");
    labels.assign(2 * pixels, uncounted);
    CHECK(error_of([&] { ArrayData(picture, x, labels, picture); }) == "error[data] ArrayData: no label counts; all are -100");
}
