// SPDX-License-Identifier: MIT
// Everything a model does, on a policy whose memory the host cannot touch: compiles, and gives Reference's bits.
#include <doctest/doctest.h>

#include <support/networks.hpp>
#include <support/opaque.hpp>
#include <support/run_layer.hpp>
#include <support/train_trace.hpp>

using namespace dla;
using support::same_bits;

namespace {

template <class Net, class Optimizer, class Loss>
void compare(const Net& net, const Optimizer& optimizer, const Loss& loss, double clip = 0) {
    const auto expected = support::train<Reference<float>>(net, optimizer, loss, clip);
    const auto got = support::train<opaque::Opaque<float>>(net, optimizer, loss, clip);
    CHECK(same_bits(expected.numbers, got.numbers));
    CHECK(same_bits(expected.weights, got.weights));
    CHECK(same_bits(expected.logits, got.logits));
    for (const double number : expected.numbers) CHECK(std::isfinite(number));
}

}  // namespace

TEST_CASE("training on opaque memory gives the same bits") {
    compare(support::Mlp{}, Adam({.learning_rate = 0.01, .weight_decay = 0.1}), CrossEntropy{.label_smoothing = 0.1, .class_weights = {1, 2, 0.5}}, 0.5);
    compare(support::Cnn{}, Sgd({.learning_rate = 0.1, .momentum = 0.9, .nesterov = true}), CrossEntropy{});
    compare(support::Cnn{}, AdamW({.learning_rate = 0.01, .decay_bias_and_norm = false}), MeanSquaredError<float>{});
    compare(support::Mlp{}, Sgd({.learning_rate = 0.1}), BCEWithLogits{.pos_weight = {1, 2, 0.5}}, 0.5);
    compare(support::Mlp{}, Sgd({.learning_rate = 0.1}), Huber{.delta = 0.4});
    compare(support::resnet(), Sgd({.learning_rate = 0.1}), CrossEntropy{.reduction = Reduction::sum}, 1e-3);
    compare(Sequential<Flatten, Repeat<Linear<Dyn, 5>, Tanh>, Linear<Dyn, 3>, Softmax<1>>{}, Sgd{}, MeanSquaredError<float>{.reduction = Reduction::sum});
}

TEST_CASE("weights travel between memories") {
    Model<support::Cnn, support::image, Reference<float>> source(Seed{1});
    Model<support::Cnn, support::image, opaque::Opaque<float>> target(Seed{2});
    Model<support::Cnn, support::image, Reference<float>> back(Seed{3});
    CHECK_FALSE(same_bits(support::weights(source.parameters()), support::weights(target.parameters())));
    CHECK(copy_weights(source.parameters(), target.parameters()).missing.empty());
    copy_weights(target.parameters(), back.parameters());
    CHECK(same_bits(support::weights(source.parameters()), support::weights(target.parameters())));
    CHECK(same_bits(support::weights(source.parameters()), support::weights(back.parameters())));
    Model<support::Cnn, support::image, opaque::Opaque<float>> same_seed(Seed{1});
    CHECK(same_bits(support::weights(source.parameters()), support::weights(same_seed.parameters())));
}

TEST_CASE("forward and backward with views of the device's memory") {
    using P = opaque::Opaque<double>;
    Model<support::Cnn, support::image, P> model(Seed{1});
    support::Runner<Reference<double>> reference(support::Cnn{}, support::image, 3);
    Model<support::Cnn, support::image, Reference<double>> host(Seed{1});
    copy_weights(reference.table, model.parameters());
    const auto x = reference.random_values(3 * support::image.size(), 1), dy = reference.random_values(9, 2);
    const auto bytes = [](const auto& v) { return static_cast<index_t>(v.size() * sizeof(double)); };
    const P policy = model.parameters().policy;
    const Arena<P> x_room(policy, bytes(x)), dy_room(policy, bytes(dy)), dx_room(policy, bytes(x));
    policy.copy_in(x_room.data(), x.data(), bytes(x));
    policy.copy_in(dy_room.data(), dy.data(), bytes(dy));
    const ConstView<P> xv(x_room.at<double>(0), 3, support::image), dyv(dy_room.at<double>(0), 3, Shape{3});
    model.plan_input_gradient();
    model.forward(xv);
    model.backward(xv, dyv, View<P>(dx_room.at<double>(0), 3, support::image));
    std::vector<double> dx(x.size());
    policy.copy_out(dx.data(), dx_room.data(), bytes(dx));
    CHECK(same_bits(dx, reference.run().dx));
}
