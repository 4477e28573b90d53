// SPDX-License-Identifier: MIT
// A batch in parts: the same gradients as the whole but for rounding, the same masks, statistics of each part, and one order of every sum.
#include <doctest/doctest.h>

#include <support/error_of.hpp>
#include <support/networks.hpp>
#include <support/opaque.hpp>
#include <support/run_layer.hpp>

#include <cmath>

using namespace dla;
using support::Data;
using support::gradients;
using support::image;
using support::same_bits;

namespace {

using Exact = Reference<double>;
using Plain = Sequential<Flatten, Linear<Dyn, 5>, Tanh, Linear<Dyn, 3>>;
using Dropping = Sequential<Flatten, Linear<Dyn, 5>, Tanh, Dropout, Linear<Dyn, 3>>;

template <class T>
std::span<const std::int32_t> targets_of(const CrossEntropy&, const Data<T>& data) {
    return data.labels;
}
template <class T>
std::span<const T> targets_of(const auto&, const Data<T>& data) {
    return data.targets;
}

/// One step of a model: its gradients, its result, its weights and statistics afterwards.
template <class P>
struct Outcome {
    using T = typename P::scalar;
    std::vector<T> gradients, weights;
    StepResult result;
};
template <class P, class Net, class Loss, class T = typename P::scalar>
Outcome<P> outcome(const Net& net, const Loss& loss, const Data<T>& data, int parts, const P& policy = {}) {
    Model<Net, Shape{}, P> model(net, image, Seed{5}, policy);
    Adam adam({.learning_rate = 0.01});
    Outcome<P> o;
    o.result = train_step(model, adam, loss, data.images, targets_of(loss, data), {.micro_batches = parts});
    o.gradients = gradients(model.parameters());
    o.weights = support::weights(model.parameters());
    return o;
}

/// In parts as whole, but for the roundings of sums of 10 samples: a unit of 2^-53 for each, of values of at most `scale`.
template <class Loss>
void check_parts(const Loss& loss, Data<double> data) {
    if constexpr (std::is_same_v<Loss, CrossEntropy>) data.labels[0] = data.labels[7] = -100;
    const auto whole = outcome<Exact>(Dropping{}, loss, data, 1);
    double scale = std::abs(whole.result.loss);
    for (const double g : whole.gradients) scale = std::max(scale, std::abs(g));
    for (const int parts : {2, 4, 8}) {
        CAPTURE(parts);
        const auto cut = outcome<Exact>(Dropping{}, loss, data, parts);
        const double allowed = 64 * 0x1p-53 * scale;  // sums of 10 terms that may cancel, a few roundings each
        CHECK(std::abs(cut.result.loss - whole.result.loss) <= allowed);
        CHECK(std::abs(cut.result.weight - whole.result.weight) <= allowed * 10);
        CHECK(cut.result.correct == whole.result.correct);
        CHECK(cut.result.counted == whole.result.counted);
        double worst = 0;
        for (std::size_t i = 0; i < whole.gradients.size(); ++i) worst = std::max(worst, std::abs(cut.gradients[i] - whole.gradients[i]));
        CHECK(worst <= allowed);
        CHECK(cut.result.applied);
    }
}

}  // namespace

TEST_CASE("loss and gradients are those of the whole batch, cut evenly or not") {
    const Data<double> ten(10);
    check_parts(CrossEntropy{}, ten);
    check_parts(CrossEntropy{.label_smoothing = 0.1, .class_weights = {1, 20, 0.5}}, ten);
    check_parts(CrossEntropy{.class_weights = {3, 1, 0}, .reduction = Reduction::sum}, ten);
    check_parts(MeanSquaredError<double>{}, ten);
    check_parts(MeanSquaredError<double>{.reduction = Reduction::sum}, ten);
    check_parts(L1<double>{}, ten);
    check_parts(Huber<double>{.delta = 0.3}, ten);
    check_parts(SmoothL1<double>{.beta = 0.3}, ten);
    check_parts(BCEWithLogits<double>{.pos_weight = {1, 20, 0.5}}, ten);
    check_parts(BCEWithLogits<double>{.pos_weight = {2}, .reduction = Reduction::sum}, ten);
    check_parts(SoftCrossEntropy<double>{.label_smoothing = 0.1, .class_weights = {1, 20, 0.5}}, ten);
    check_parts(SoftCrossEntropy<double>{.reduction = Reduction::sum}, ten);
    // A part of which no row counts: samples 0 to 2 of 10 in 4 parts are its first and more.
    Data<double> ignored(10);
    std::fill(ignored.labels.begin(), ignored.labels.begin() + 3, -100);
    check_parts(CrossEntropy{}, ignored);
}

TEST_CASE("dropout draws the masks of the whole batch") {
    using Net = Sequential<Flatten, Dropout, Linear<Dyn, 3>>;
    struct Record : Observer<Exact> {
        std::vector<double> masked;
        void after_forward(int layer, const ConstView<Exact>& y) override {
            if (layer == 1) masked.insert(masked.end(), y.data, y.data + y.size());
        }
        void after_backward(int, const ConstView<Exact>&) override {}
    };
    for (const index_t n : {8, 10, 11}) {
        const Data<double> data(n);
        std::vector<double> masks;
        for (const int parts : {1, 2, 4, 8}) {
            Model<Net, image, Exact> model(Seed{5});
            Record record;
            model.observer = &record;
            Adam adam;
            train_step(model, adam, CrossEntropy{}, data.images, data.labels, {.micro_batches = parts});
            if (parts == 1) masks = record.masked;
            CHECK(same_bits(record.masked, masks));
        }
        CHECK(std::count(masks.begin(), masks.end(), 0.0) > n * 40);
        CHECK(std::count(masks.begin(), masks.end(), 0.0) < n * 88);
    }
}

TEST_CASE("batch normalisation: each part has its own statistics, the running ones become their mean") {
    using Net = Sequential<BatchNorm2d<>, Flatten, Linear<Dyn, 3>>;
    const Data<double> data(10);
    for (const int parts : {2, 4}) {
        Model<Net, image, Exact> model(Seed{5});
        auto& table = model.parameters();
        table.write(table.buffers[0], std::vector<double>{0.5, -0.25});
        table.write(table.buffers[1], std::vector<double>{2, 3});
        table.write(table.counters[0], 6);
        Sgd sgd;
        train_step(model, sgd, CrossEntropy{}, data.images, data.labels, {.micro_batches = parts});
        std::vector<double> mean(2), var(2);
        table.read(table.buffers[0], mean), table.read(table.buffers[1], var);
        for (std::size_t c = 0; c < 2; ++c) {
            double expected_mean = 0, expected_var = 0;
            for (int part = 0; part < parts; ++part) {
                const int first = part * 10 / parts, end = (part + 1) * 10 / parts;
                double sum = 0, squares = 0;
                const double count = 64.0 * (end - first);
                const auto each = [&](auto f) {
                    for (std::size_t i = static_cast<std::size_t>(first) * 64; i < static_cast<std::size_t>(end) * 64; ++i) f(data.images[2 * i + c]);
                };
                each([&](double x) { sum += x; });
                each([&](double x) { squares += (x - sum / count) * (x - sum / count); });
                expected_mean += 0.9 * (c == 0 ? 0.5 : -0.25) + 0.1 * sum / count;
                expected_var += 0.9 * (c == 0 ? 2.0 : 3.0) + 0.1 * squares / (count - 1);
            }
            CHECK(std::abs(mean[c] - expected_mean / parts) < 1e-14);
            CHECK(std::abs(var[c] - expected_var / parts) < 1e-14);
        }
        CHECK(table.read(table.counters[0]) == 7);  // one step
    }
}

TEST_CASE_TEMPLATE("parts are joined in the order ((0 1)(2 3))", P, Reference<float>, opaque::Opaque<float>) {
    const Data<float> data(10, 3);
    for (const int parts : {2, 4}) {
        // The gradients of each part alone, with the divisor of the whole: plain sums of the losses.
        const CrossEntropy loss{.reduction = Reduction::sum};
        std::vector<std::vector<float>> leaves;
        std::vector<double> losses;
        for (int part = 0; part < parts; ++part) {
            Model<Plain, image, P> model(Seed{5});
            const auto first = static_cast<std::size_t>(part * 10 / parts), end = static_cast<std::size_t>((part + 1) * 10 / parts);
            const auto size = static_cast<std::size_t>(image.size());
            losses.push_back(model.compute_gradients(loss, std::span(data.images).subspan(first * size, (end - first) * size),
                                                     std::span(data.labels).subspan(first, end - first)).loss);
            leaves.push_back(gradients(model.parameters()));
        }
        for (std::size_t n = leaves.size(); n > 1; n /= 2)
            for (std::size_t i = 0; i < n / 2; ++i) {
                for (std::size_t j = 0; j < leaves[0].size(); ++j) leaves[i][j] = leaves[2 * i][j] + leaves[2 * i + 1][j];
                losses[i] = losses[2 * i] + losses[2 * i + 1];
            }
        const auto joined = outcome<P>(Plain{}, loss, data, parts);
        CHECK(same_bits(joined.gradients, leaves[0]));
        CHECK(joined.result.loss == losses[0]);
    }
}

TEST_CASE("the same bits at any number of threads") {
    const Data<float> data(64, 2);
    for (const int parts : {1, 2, 8}) {
        Cpu<float> one;
        one.threads = 1;
        const auto expected = outcome(support::Mlp{}, CrossEntropy{}, data, parts, one);
        for (const int threads : {2, 3}) {
            Cpu<float> policy;
            policy.threads = threads;
            const auto got = outcome(support::Mlp{}, CrossEntropy{}, data, parts, policy);
            CHECK(same_bits(got.weights, expected.weights));
            CHECK(same_bits(got.gradients, expected.gradients));
            CHECK(got.result.loss == expected.result.loss);
        }
    }
}

TEST_CASE("on_gradients is called once, before clipping and the optimizer, and what it changes is applied") {
    const Data<double> data(10);
    for (const int parts : {1, 4}) {
        Model<Plain, image, Exact> model(Seed{5});
        const auto before = support::weights(model.parameters());
        const auto own = outcome<Exact>(Plain{}, CrossEntropy{}, data, parts).gradients;
        int calls = 0;
        model.on_gradients = [&](ParamTable<Exact>& table) {
            ++calls;
            CHECK(same_bits(gradients(table), own));
            CHECK(same_bits(support::weights(table), before));
            std::fill(table.gradients(), table.gradients() + table.value_count, 0.0);
            table.gradients(table.parameters[0].offset)[0] = 3;
            table.gradients(table.parameters[0].offset)[1] = 4;
        };
        Sgd sgd({.learning_rate = 0.5});
        const StepResult result = train_step(model, sgd, CrossEntropy{}, data.images, data.labels, {.clip_norm = 1, .micro_batches = parts});
        CHECK(calls == 1);
        CHECK(result.gradient_norm == 5);
        auto expected = before;  // Linear behind Flatten: memory is (height, width, channels), PyTorch has (channels, height, width)
        const double factor = 1 / (5 + 1e-6);
        expected[0] -= 0.5 * (3 * factor);
        expected[64] -= 0.5 * (4 * factor);
        const auto after = support::weights(model.parameters());
        for (std::size_t i = 0; i < after.size(); ++i) CHECK(after[i] == expected[i]);
        model.on_gradients = [&](ParamTable<Exact>& table) { table.gradients()[0] = HUGE_VAL; };
        CHECK_FALSE(train_step(model, sgd, CrossEntropy{}, data.images, data.labels, {.clip_norm = 1, .micro_batches = parts}).applied);
        CHECK(same_bits(support::weights(model.parameters()), after));
        CHECK(model.position.step == 1);
    }
}

TEST_CASE("parts that change from step to step") {
    Model<support::Mlp, image, Cpu<float>> model(Seed{5}), again(Seed{5});
    Adam adam, other;
    const Data<float> data(16);
    model.reserve(16, CrossEntropy{}, false, 8);
    for (const int parts : {1, 8, 2, 4, 1, 2}) {
        const StepResult a = train_step(model, adam, CrossEntropy{}, data.images, data.labels, {.micro_batches = parts});
        const StepResult b = train_step(again, other, CrossEntropy{}, data.images, data.labels, {.micro_batches = parts});
        CHECK(a.loss == b.loss);
        CHECK(a.applied);
    }
    CHECK(same_bits(support::weights(model.parameters()), support::weights(again.parameters())));
    CHECK(model.parameters().read(model.parameters().counters[0]) == 6);
}
