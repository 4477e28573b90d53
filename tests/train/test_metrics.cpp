// SPDX-License-Identifier: MIT
// Metrics against scikit-learn's numbers, however the samples are cut into batches.
#include <doctest/doctest.h>

#include <dla/train/metric.hpp>
#include <support/error_of.hpp>

#include <cmath>
#include <sstream>

using namespace dla;

namespace {

// Of 12 samples and 4 classes; scikit-learn 1.9 gave the numbers below for the same integers.
std::vector<float> scores() {
    std::vector<float> out;
    for (int i = 0; i < 12; ++i)
        for (int j = 0; j < 4; ++j) out.push_back(static_cast<float>((7 * i * i + 3 * j * i + 5 * j) % 11) - 0.25f * static_cast<float>(j));
    return out;
}
const std::vector<std::int32_t> labels{0, 1, 1, 1, 2, 2, 2, 3, 0, 0, 1, 1};

/// The metric of all samples, `batch` at a time.
double measure(Metric& metric, const std::vector<float>& outputs, const Targets& targets, std::size_t samples, std::size_t batch,
               std::span<const double> weights = {}) {
    metric.reset();
    const std::size_t n = outputs.size() / samples;
    for (std::size_t i = 0; i < samples; i += batch) {
        const std::size_t count = std::min(batch, samples - i), values = targets.values.size() / samples;
        const std::span<const float> out = std::span(outputs).subspan(i * n, count * n);
        metric.add(out, targets.are_labels() ? Targets(targets.labels.subspan(i, count)) : Targets(targets.values.subspan(i * values, count * values)),
                   static_cast<index_t>(count), weights.empty() ? weights : weights.subspan(i, count));
    }
    return metric.value();
}
/// Weights of samples, quarters from 1/4 to 5/4.
std::vector<double> quarters(int samples) {
    std::vector<double> w;
    for (int i = 0; i < samples; ++i) w.push_back(((3 * i + 1) % 5 + 1) / 4.0);
    return w;
}

}  // namespace

TEST_CASE("metrics of classes are scikit-learn's") {
    for (const std::size_t batch : {1u, 5u, 12u}) {
        CAPTURE(batch);
        using Kind = ClassScore::Kind;
        const auto score = [&](Metric&& metric) { return measure(metric, scores(), labels, 12, batch); };
        CHECK(score(TopK(1)) == doctest::Approx(25.0).epsilon(1e-12));
        CHECK(score(TopK(2)) == doctest::Approx(41.66666666666667).epsilon(1e-12));
        CHECK(score(TopK(4)) == 100);
        CHECK(score(ClassScore(Kind::precision)) == doctest::Approx(0.3333333333333333).epsilon(1e-12));
        CHECK(score(ClassScore(Kind::recall)) == doctest::Approx(0.21666666666666667).epsilon(1e-12));
        CHECK(score(ClassScore(Kind::f1)) == doctest::Approx(0.19444444444444442).epsilon(1e-12));
        CHECK(score(ClassScore(Kind::iou)) == doctest::Approx(0.12142857142857143).epsilon(1e-12));
    }
    ConfusionMatrix matrix;
    matrix.add(scores(), labels);
    const index_t expected[4][4] = {{2, 0, 1, 0}, {2, 1, 1, 1}, {2, 0, 0, 1}, {0, 0, 1, 0}};
    for (index_t a = 0; a < 4; ++a)
        for (index_t b = 0; b < 4; ++b) CHECK(matrix.count(a, b) == expected[a][b]);
    CHECK(matrix.total() == 12);
    CHECK(matrix.accuracy() == 25);
    CHECK(matrix.precision(1) == 1);
    CHECK(matrix.recall(1) == 0.2);
    CHECK(matrix.precision(3) == 0);
    std::ostringstream text;
    text << matrix;
    CHECK(text.str() ==
          "label \\ predicted  0  1  2  3  precision  recall      f1\n"
          "0                  2  0  1  0     0.3333  0.6667  0.4444\n"
          "1                  2  1  1  1     1.0000  0.2000  0.3333\n"
          "2                  2  0  0  1     0.0000  0.0000  0.0000\n"
          "3                  0  0  1  0     0.0000  0.0000  0.0000\n");
    const std::vector<std::string> names{"cat", "dog"};
    CHECK(matrix.text(names).starts_with("label \\ predicted  cat  dog  2  3"));
}

TEST_CASE("metrics of weighted samples are scikit-learn's") {
    const std::vector<double> of_12 = quarters(12), of_10 = quarters(10);
    std::vector<float> target, out;
    for (int i = 0; i < 20; ++i) {
        target.push_back(static_cast<float>((5 * i * i + 2 * i) % 13) / 4);
        out.push_back(target.back() + static_cast<float>((3 * i * i + i) % 7 - 3) / 8);
    }
    for (const std::size_t batch : {1u, 3u, 12u}) {
        CAPTURE(batch);
        using Kind = ClassScore::Kind;
        const auto score = [&](Metric&& metric) { return measure(metric, scores(), labels, 12, batch, of_12); };
        CHECK(score(TopK(1)) == doctest::Approx(18.91891891891892).epsilon(1e-12));
        CHECK(score(TopK(2)) == doctest::Approx(40.54054054054054).epsilon(1e-12));
        CHECK(score(ClassScore(Kind::precision)) == doctest::Approx(0.328125).epsilon(1e-12));
        CHECK(score(ClassScore(Kind::recall)) == doctest::Approx(0.20982142857142858).epsilon(1e-12));
        CHECK(score(ClassScore(Kind::f1)) == doctest::Approx(0.1642512077294686).epsilon(1e-12));
        CHECK(score(ClassScore(Kind::iou)) == doctest::Approx(0.10069444444444445).epsilon(1e-12));
        const auto value = [&](Metric&& metric) { return measure(metric, out, target, 10, batch, of_10); };
        CHECK(value(MeanAbsoluteError()) == doctest::Approx(0.14791666666666667).epsilon(1e-12));
        CHECK(value(RootMeanSquaredError()) == doctest::Approx(0.20854156260403664).epsilon(1e-12));
        CHECK(value(R2()) == doctest::Approx(0.958933525308303).epsilon(1e-12));
    }
    ConfusionMatrix matrix;
    matrix.add(scores(), labels, of_12);
    CHECK(matrix.count(1, 2) == 1.25);
    CHECK(matrix.text().starts_with("label \\ predicted     0     1     2     3  precision  recall      f1\n0                  1.25     0  0.50     0"));
    // But its class is: scikit-learn 1.9 gives 2/3.
    ConfusionMatrix three;
    three.add(std::vector<float>{1, 0, 0, 0, 1, 0, 0, 0, 1}, std::vector<std::int32_t>{0, 1, 2}, std::vector<double>{1, 1, 0});
    CHECK(three.macro_f1() == doctest::Approx(2.0 / 3).epsilon(1e-12));
    CHECK(three.macro_recall() == doctest::Approx(2.0 / 3).epsilon(1e-12));
    // A sample that does not count at all is not there, though its values be far away.
    R2 with, without;
    with.add(std::vector<float>{1, 2, 900}, std::vector<float>{1, 3, 5}, 3, std::vector<double>{1, 2, 0});
    without.add(std::vector<float>{1, 2, 2}, std::vector<float>{1, 3, 3}, 3);
    CHECK(with.value() == doctest::Approx(without.value()).epsilon(1e-12));
}

TEST_CASE("scores of yes and no, one by one, are scikit-learn's") {
    std::vector<float> target, out;
    for (int i = 0; i < 20; ++i) {
        target.push_back((i * i + 3 * i) % 7 < 3 ? 1.0f : 0.0f);
        out.push_back(static_cast<float>((4 * i * i + 5 * i) % 11 - 4) / 2);
    }
    const std::vector<double> weights = quarters(10);
    using Kind = BinaryScore::Kind;
    const double expected[][2] = {{30, 33.33333333333333},
                                  {0.16666666666666666, 0.16216216216216217},
                                  {0.3333333333333333, 0.4},
                                  {0.2222222222222222, 0.23076923076923078},
                                  {0.125, 0.13043478260869565}};
    for (const std::size_t batch : {1u, 4u, 10u})
        for (const Kind kind : {Kind::accuracy, Kind::precision, Kind::recall, Kind::f1, Kind::iou}) {
            BinaryScore score(kind);
            CAPTURE(score.name());
            CHECK(measure(score, out, target, 10, batch) == doctest::Approx(expected[static_cast<int>(kind)][0]).epsilon(1e-12));
            CHECK(measure(score, out, target, 10, batch, weights) == doctest::Approx(expected[static_cast<int>(kind)][1]).epsilon(1e-12));
        }
    BinaryScore of_probabilities(Kind::accuracy, 0.5), iou(Kind::iou), precision(Kind::precision);
    const std::vector<float> half{0.4f, 0.6f}, yes{1, 1}, no{0, 0};
    CHECK(measure(of_probabilities, half, yes, 2, 2) == 50);
    CHECK(measure(iou, {-1, -1}, no, 2, 2) == 0);  // without a denominator
    CHECK(measure(precision, {-1, -1}, yes, 2, 2) == 0);
    CHECK(std::isnan(BinaryScore().value()));
    std::ostringstream text;
    text << of_probabilities << ", " << iou;
    CHECK(text.str() == "binary_accuracy 50, iou 0");
    CHECK(BinaryScore(Kind::iou, 0.25, "strict").name() == "strict");
    CHECK(BinaryScore(Kind::iou, 0.25).settings() != BinaryScore(Kind::iou).settings());
}

TEST_CASE("scores of several labels, each by itself, are scikit-learn's, with weights and without") {
    std::vector<float> out = scores(), target;
    for (float& v : out) v -= 4;
    for (int i = 0; i < 12; ++i)
        for (int j = 0; j < 4; ++j) target.push_back((i * (j + 2) + j) % 3 == 0 ? 1.0f : 0.0f);  // label 1 never
    using Kind = LabelScore::Kind;
    struct Case {
        Kind kind;
        const char* name;
        double mean, weighted, each[4];
    };
    const Case cases[] = {{Kind::precision, "label_precision", 0.19374999999999998, 0.1765527950310559, {0.375, 0, 0.2, 0.2}},
                          {Kind::recall, "label_recall", 0.3125, 0.28273809523809523, {0.75, 0, 0.25, 0.25}},
                          {Kind::f1, "label_f1", 0.2361111111111111, 0.21381205001894654, {0.5, 0, 0.2222222222222222, 0.2222222222222222}}};
    for (const Case& c : cases) {
        LabelScore score(c.kind);
        CHECK(score.name() == c.name);
        CHECK(score.higher_is_better());
        for (const std::size_t batch : {1u, 5u, 12u}) {
            CHECK(measure(score, out, target, 12, batch, quarters(12)) == doctest::Approx(c.weighted).epsilon(1e-12));
            CHECK(measure(score, out, target, 12, batch) == doctest::Approx(c.mean).epsilon(1e-12));
            REQUIRE(score.labels() == 4);
            for (index_t label = 0; label < 4; ++label) CHECK(score.of(label) == doctest::Approx(c.each[label]).epsilon(1e-12));
        }
    }
    LabelScore at_half(Kind::recall, 0.5), none;
    CHECK(measure(at_half, {0.4f, 0.6f}, std::vector<float>{1, 1}, 2, 2) == 0.5);
    CHECK(at_half.settings() != LabelScore(Kind::recall).settings());
    CHECK(std::isnan(none.value()));
    CHECK(error_of([&] { (void)none.of(0); }) == "error[usage] LabelScore: nothing was added yet");
    CHECK(LabelScore(Kind::f1, 0, "mine").name() == "mine");
    CHECK(error_of([&] { (void)at_half.of(1); }) == "error[usage] LabelScore: there is no label 1; expected 0 to 0");
    const std::vector<float> four{1, 1, 1, 1};
    CHECK(contains(error_of([&] { at_half.add(four, four, 2); }), "expected as many of each as before"));
    CHECK(contains(error_of([&] { none.add(four, four, 2, std::vector<double>{1}); }), "got 1 weights"));
    CHECK(std::isnan(measure(none, four, four, 2, 2, std::vector<double>{0, 0})));
}

TEST_CASE("a metric of the other kind of targets names those that are right") {
    const std::vector<float> out{1, 2, 3, 4};
    const std::vector<std::int32_t> two{0, 1};
    CHECK(error_of([&] { BinaryScore().add(out, two, 2); }) ==
          "error[data] BinaryScore: got 4 outputs and 0 target values; it takes a value for each output (for class numbers: TopK, ClassScore)");
    CHECK(error_of([&] { ClassScore().add(out, out, 2); }) ==
          "error[data] ClassScore: takes class numbers as targets, and got none; for logits of yes and no: BinaryScore");
}

TEST_CASE("labels that are to be ignored do not count, and a class that never occurs changes no mean") {
    TopK top(1);
    const std::vector<float> out{1, 0, 0, 0, 1, 0};
    const std::vector<std::int32_t> some{0, -100};
    CHECK(measure(top, out, some, 2, 2) == 100);
    ClassScore f1;
    CHECK(measure(f1, {1, 0, 0, 0, 1, 0}, std::vector<std::int32_t>{0, 1}, 2, 1) == 1);
    CHECK(std::isnan(ClassScore().value()));
    CHECK(std::isnan(TopK(3).value()));
    CHECK(measure(top, {2, 2, 2}, std::vector<std::int32_t>{0}, 1, 1) == 100);  // the first of equals
    CHECK(measure(top, {2, 2, 2}, std::vector<std::int32_t>{1}, 1, 1) == 0);
    CHECK(measure(top, {NAN, NAN}, std::vector<std::int32_t>{0}, 1, 1) == 0);
}

TEST_CASE("metrics of values are scikit-learn's") {
    std::vector<float> target, out;
    for (int i = 0; i < 20; ++i) {
        target.push_back(static_cast<float>((5 * i * i + 2 * i) % 13) / 4);
        out.push_back(target.back() + static_cast<float>((3 * i * i + i) % 7 - 3) / 8);
    }
    for (const std::size_t batch : {1u, 3u, 10u}) {
        CAPTURE(batch);
        const auto value = [&](Metric&& metric) { return measure(metric, out, target, 10, batch); };
        CHECK(value(MeanAbsoluteError()) == doctest::Approx(0.1625).epsilon(1e-12));
        CHECK(value(RootMeanSquaredError()) == doctest::Approx(0.2200852107707376).epsilon(1e-12));
        CHECK(value(R2()) == doctest::Approx(0.9553152791764633).epsilon(1e-12));
    }
    std::vector<float> first, first_out;
    for (std::size_t i = 0; i < 20; i += 2) first.push_back(target[i]), first_out.push_back(out[i]);
    R2 r2;
    CHECK(measure(r2, first_out, first, 10, 4) == doctest::Approx(0.9494556765163297).epsilon(1e-12));
    const std::vector<float> same(4, 2.0f), other(4, 3.0f);
    CHECK(measure(r2, same, same, 4, 4) == 1);
    CHECK(measure(r2, other, same, 4, 4) == 0);
    CHECK(std::isnan(MeanAbsoluteError().value()));
    // Values far from 0: sums of squares alone would lose all digits.
    std::vector<float> far, far_out;
    for (int i = 0; i < 8; ++i) far.push_back(1e6f + static_cast<float>(i)), far_out.push_back(1e6f + static_cast<float>(i) + 0.5f);
    CHECK(measure(r2, far_out, far, 8, 3) == doctest::Approx(1 - 8 * 0.25 / 42).epsilon(1e-9));
}

TEST_CASE("a threshold is among the settings of a score to its last bit") {
    CHECK(BinaryScore(BinaryScore::Kind::f1, 0.1).settings() != BinaryScore(BinaryScore::Kind::f1, std::nextafter(0.1, 1)).settings());
    CHECK(BinaryScore(BinaryScore::Kind::f1, 0.1).settings() == BinaryScore(BinaryScore::Kind::f1, 0.1).settings());
}

TEST_CASE("targets that a metric cannot take are refused") {
    const std::vector<float> out{1, 2, 3, 4};
    CHECK(error_of([&] { TopK(1).add(out, std::vector<std::int32_t>{0, 2}, 2); }) == "error[data] TopK: sample 1 has the label 2; expected 0 to 1");
    CHECK(contains(error_of([&] { TopK(1).add(out, out, 4); }), "takes class numbers as targets, and got none"));
    CHECK(contains(error_of([&] { ClassScore().add(out, out, 4); }), "ClassScore: takes class numbers as targets, and got none"));
    CHECK(contains(error_of([&] { MeanAbsoluteError().add(out, std::vector<std::int32_t>{0, 1}, 2); }), "it takes a value for each output"));
    CHECK(contains(error_of([&] {
                       R2 r2;
                       r2.add(std::vector<float>{1, 2, 3}, std::vector<float>{1, 2, 3}, 1);
                       r2.add(out, out, 2);
                   }),
                   "expected as many of each as before"));
    CHECK(contains(error_of([] { TopK(0); }), "k must be at least 1"));
    CHECK(contains(error_of([] { ConfusionMatrix().add(-1, 2); }), "out of range"));
    const std::vector<double> one{1}, negative{1, -1}, infinite{1, INFINITY};
    const std::vector<std::int32_t> two{0, 1};
    CHECK(contains(error_of([&] { TopK(1).add(out, two, 2, one); }), "got 1 weights; expected one for each of 2 samples, or none"));
    CHECK(contains(error_of([&] { ConfusionMatrix().add(out, two, negative); }), "weights of samples must be finite and not negative"));
    CHECK(contains(error_of([&] { MeanAbsoluteError().add(out, out, 2, infinite); }), "MeanAbsoluteError: weights of samples must be finite"));
    CHECK(contains(error_of([&] { R2().add(out, out, 2, one); }), "R2: got 1 weights"));
    CHECK(contains(error_of([&] { RootMeanSquaredError().add(out, out, 2, one); }), "got 1 weights"));
    CHECK(contains(error_of([&] { BinaryScore().add(out, out, 2, one); }), "got 1 weights"));
    CHECK(contains(error_of([&] { BinaryScore().add(out, out, 3); }), "got 4 outputs of 3 samples"));
}
