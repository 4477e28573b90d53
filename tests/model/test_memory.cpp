// SPDX-License-Identifier: MIT
// No heap allocation in a training step, an evaluation or a prediction once memory is claimed.
#include <doctest/doctest.h>

#include <support/count_new.hpp>
#include <support/networks.hpp>

using namespace dla;

namespace {

template <class P, class Net, class Optimizer, class Loss>
void check(const Net& net, Optimizer optimizer, const Loss& loss) {
    using T = typename P::scalar;
    Model<Net, Shape{}, P> model(net, support::image, Seed{5});
    const support::Data<T> data(8);
    const std::span<const T> images(data.images);
    const auto targets = [&] {
        if constexpr (std::is_same_v<typename Loss::Target, std::int32_t>)
            return std::span<const std::int32_t>(data.labels);
        else
            return std::span<const T>(data.targets);
    }();
    const auto step = [&] { return train_step(model, optimizer, loss, images, targets, {.clip_norm = 0.1}); };
    step();  // optimizer slots are claimed by the first step
    auto workspace = model.inference_workspace(8, loss);
    std::vector<T> out(8 * 3);

    long before = support::allocations();
    for (int i = 0; i < 3; ++i) step();
    const auto fewer = static_cast<std::size_t>(5);
    train_step(model, optimizer, loss, images.first(fewer * static_cast<std::size_t>(support::image.size())), targets.first(targets.size() / 8 * fewer));
    CHECK(support::allocations() - before == 0);
    before = support::allocations();
    model.evaluate(loss, images, targets, workspace);
    CHECK(support::allocations() - before == 0);
    before = support::allocations();
    model.predict(images, out, workspace);
    CHECK(support::allocations() - before == 0);
    before = support::allocations();
    step();
    CHECK(support::allocations() - before == 0);
}

template <class P>
void check_all() {
    check<P>(support::Mlp{}, Adam{}, CrossEntropy{.class_weights = {1, 2, 3}});
    check<P>(support::Cnn{}, Sgd({.momentum = 0.9}), CrossEntropy{});
    check<P>(support::resnet(), AdamW({.decay_bias_and_norm = false}), CrossEntropy{.label_smoothing = 0.1});
    check<P>(support::Cnn{}, Sgd{}, MeanSquaredError<typename P::scalar>{});
    check<P>(support::Mlp{}, Sgd{}, BCEWithLogits<typename P::scalar>{.pos_weight = {1, 2, 3}});
}

}  // namespace

TEST_CASE("the counter counts") {
    const long before = support::allocations();
    std::vector<int> v(3);
    CHECK(support::allocations() - before == 1);
    const Arena<Reference<float>> arena({}, 100);
    CHECK(support::allocations() - before == 2);
}

TEST_CASE("a steady training step, evaluation or prediction allocates nothing: Reference") { check_all<Reference<float>>(); }
TEST_CASE("a steady training step, evaluation or prediction allocates nothing: Cpu") { check_all<Cpu<float>>(); }

TEST_CASE("reserve claims everything that a step takes, the model's and the optimizer's") {
    Model<support::Cnn, support::image> model(Seed{1});
    const support::Data<float> data(8);
    CrossEntropy loss;
    const MemoryPlan plan = model.plan(8, loss);
    model.reserve(8, loss);
    CHECK(model.memory().total() == plan.total());
    CHECK(model.memory().activations == plan.activations);
    Sgd sgd;
    sgd.reserve(model.parameters());
    const long before = support::allocations();
    train_step(model, sgd, loss, std::span<const float>(data.images), std::span<const std::int32_t>(data.labels));
    CHECK(support::allocations() - before == 0);
}

TEST_CASE("parts that change from step to step claim nothing that was claimed") {
    Model<support::Cnn, support::image> model(Seed{1});
    const support::Data<float> data(8);
    const CrossEntropy loss;
    Adam adam;
    model.reserve(8, loss);
    model.reserve(8, loss, false, 8);
    adam.reserve(model.parameters());
    const long before = support::allocations();
    for (const int parts : {8, 2, 4, 1, 8, 2})
        CHECK(train_step(model, adam, loss, std::span<const float>(data.images), std::span<const std::int32_t>(data.labels), {.micro_batches = parts}).applied);
    CHECK(support::allocations() - before == 0);
}
