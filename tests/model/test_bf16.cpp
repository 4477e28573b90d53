// SPDX-License-Identifier: MIT
// Models whose activations and weights have 16 bits: masters, statistics and the optimizer keep float.
#include <doctest/doctest.h>

#include <support/networks.hpp>

using namespace dla;

namespace {

struct Trained {
    std::vector<double> losses;
    std::vector<float> weights;
    bool copies_fit = true;  // what products read is the masters, rounded
};

/// A few steps with masters that start alike.
template <class P, class Net, class Optimizer>
Trained train(const Net& net, Optimizer optimizer, int steps, double clip = 0, const P& policy = {}) {
    using T = typename P::activation;
    Model<Net, Shape{}, P> model(net, support::image, Seed{5}, policy);
    const support::Data<float> data(24);
    const std::vector<T> images(data.images.begin(), data.images.end());
    Trained t;
    for (int i = 0; i < steps; ++i) t.losses.push_back(train_step(model, optimizer, CrossEntropy{}, images, data.labels, {.clip_norm = clip}).loss);
    const auto& table = model.parameters();
    for (const ParamRow& row : table.parameters)
        for (index_t j = row.offset; j < row.offset + row.count; ++j)
            t.copies_fit = t.copies_fit && static_cast<float>(table.weights()[j]) == static_cast<float>(static_cast<T>(table.values()[j]));
    t.weights = support::weights(table);
    return t;
}

}  // namespace

TEST_CASE_TEMPLATE("training in 16 bits follows training in float", P, Reference<bf16>, Reference<f16>, Cpu<bf16>) {
    using T = typename P::activation;
    static_assert(std::is_same_v<typename P::master, float>);
    const auto check = [](const auto& net, const auto& optimizer, double clip, double bound) {
        const auto narrow = train<P>(net, optimizer, 12, clip);
        const auto wide = train<Reference<float>>(net, optimizer, 12, clip);
        CHECK(narrow.copies_fit);
        CHECK(narrow.losses.back() < 0.8 * narrow.losses.front());
        // A loss is a mean over logits of a few units, each off by some units in the last of 8 (11) bits.
        for (std::size_t i = 0; i < wide.losses.size(); ++i) CHECK(std::abs(narrow.losses[i] - wide.losses[i]) < bound);
        CHECK(narrow.losses != wide.losses);
        // Masters hold more digits than what products read.
        CHECK(std::any_of(narrow.weights.begin(), narrow.weights.end(), [](float v) { return static_cast<float>(static_cast<T>(v)) != v; }));
    };
    const double bound = std::is_same_v<T, bf16> ? 0.1 : 0.02;
    using Mlp = Sequential<Flatten, Linear<Dyn, 16>, BatchNorm1d<>, ReLU, Linear<Dyn, 3>>;
    check(Mlp{}, Adam({.learning_rate = 0.01, .weight_decay = 1e-3}), 0, bound);
    check(Mlp{}, Sgd({.learning_rate = 0.1, .momentum = 0.9}), 0.5, bound);
    check(Sequential<Conv2d<Dyn, 4, 3>, BatchNorm2d<>, ReLU, MaxPool2d<2>, Flatten, LayerNorm<>, Linear<Dyn, 3>>{}, AdamW({.learning_rate = 0.01}), 0, bound);
}

TEST_CASE("Cpu<bf16> trains to the same bits at any number of threads") {
    using Net = Sequential<Conv2d<Dyn, 24, 3, 1, 1>, BatchNorm2d<>, ReLU, Residual<Sequential<Conv2d<Dyn, 24, 3, 1, 1>, BatchNorm2d<>>, Identity, ReLU>,
                           MaxPool2d<2>, Dropout, Flatten, Linear<Dyn, 64>, BatchNorm1d<>, GELU, LayerNorm<>, Linear<Dyn, 3>>;
    Cpu<bf16> policy;
    policy.threads = 1;
    const Trained one = train(Net{}, Adam({.learning_rate = 0.01}), 5, 1, policy);
    CHECK(one.losses.back() < one.losses.front());
    for (policy.threads = 2; policy.threads <= 5; ++policy.threads) {
        const Trained more = train(Net{}, Adam({.learning_rate = 0.01}), 5, 1, policy);
        CHECK(more.losses == one.losses);
        CHECK(more.weights == one.weights);
    }
}

TEST_CASE("steps that are smaller than a unit in the last place of bf16 are not lost") {
    using Net = Sequential<Linear<1, 1>>;
    Model<Net, Shape{1}, Reference<bf16>> model(Seed{1});
    auto& table = model.parameters();
    const std::vector<float> one{1}, zero{0};
    table.write(ParamPart::value, table.parameters[0], one);
    table.write(ParamPart::value, table.parameters[1], zero);
    CHECK(static_cast<float>(table.weights()[0]) == 1);
    Sgd sgd({.learning_rate = 1.0 / 1024});
    for (int i = 1; i <= 8; ++i) {
        table.write(ParamPart::gradient, table.parameters[0], std::vector<float>{-1});
        sgd.step(table);
        CHECK(table.values()[0] == 1 + static_cast<float>(i) / 1024);
        CHECK(static_cast<float>(table.weights()[0]) == (i <= 4 ? 1.0f : 1.0078125f));  // a tie goes to the even neighbour
    }
}

TEST_CASE("prediction and evaluation in bf16, weights to and from float") {
    Model<support::Cnn, support::image, Reference<bf16>> narrow(Seed{1});
    Model<support::Cnn, support::image, Reference<float>> wide(Seed{2});
    CHECK(copy_weights(narrow.parameters(), wide.parameters()).missing.empty());
    CHECK(support::weights(narrow.parameters()) == support::weights(wide.parameters()));
    const support::Data<float> data(6);
    const std::vector<bf16> images(data.images.begin(), data.images.end());
    const std::vector<bf16> scores = narrow.predict(images);
    const std::vector<float> exact = wide.predict(data.images);
    for (std::size_t i = 0; i < exact.size(); ++i) CHECK(std::abs(static_cast<float>(scores[i]) - exact[i]) < 0.03f);
    const LossResult result = narrow.evaluate(CrossEntropy{.class_weights = {1, 2, 3}}, images, data.labels);
    CHECK(result.loss == doctest::Approx(wide.evaluate(CrossEntropy{.class_weights = {1, 2, 3}}, data.images, data.labels).loss).epsilon(0.02));
}

TEST_CASE("the plan counts the copy of the weights that products read") {
    Model<support::Cnn, support::image, Reference<bf16>> model(Seed{1});
    const support::Data<float> data(6);
    const std::vector<bf16> images(data.images.begin(), data.images.end());
    Adam adam;
    const TrainingMemory planned = planned_memory(model, 6, 2, CrossEntropy{});
    train_step(model, adam, CrossEntropy{}, images, data.labels);
    CHECK(claimed_memory(model) == planned);
    CHECK(planned.parameters.weights == planned.parameters.gradients + align_up(planned.parameters.gradients / 2));
}
