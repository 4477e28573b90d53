// SPDX-License-Identifier: MIT
// Compares what a policy computes together with its layers one after the other: within rounding, not bit for bit.
#pragma once

#include <support/networks.hpp>
#include <support/run_layer.hpp>

#include <algorithm>
#include <cmath>
#include <map>

namespace support {

using dla::ConstView;
using dla::index_t;

/// Cpu<float>'s kernels, without its groups.
struct Plain : dla::Cpu<float> {};

/// The largest difference, as a part of the largest value.
template <class A, class B>
double distance(const std::vector<A>& a, const std::vector<B>& b) {
    if (a.size() != b.size()) return HUGE_VAL;
    double most = 0, scale = 1e-30;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
        most = std::isfinite(x) ? std::max(most, std::abs(x - y)) : HUGE_VAL;
        scale = std::max(scale, std::abs(y));
    }
    return most / scale;
}
template <class A, class B>
double distance(const Outcome<A>& a, const Outcome<B>& b) {
    return std::max(
        {distance(a.inferred, b.inferred), distance(a.y, b.y), distance(a.dx, b.dx), distance(a.gradients, b.gradients), distance(a.buffers, b.buffers)});
}

/// What an observer is shown of every layer.
template <class P>
struct Record : dla::Observer<P> {
    std::map<int, std::vector<float>> outputs, gradients;
    void after_forward(int layer, const ConstView<P>& y) override { outputs[layer].assign(y.data, y.data + y.size()); }
    void after_backward(int layer, const ConstView<P>& dx) override {
        if (dx) gradients[layer].assign(dx.data, dx.data + dx.size());
    }
};

template <class P>
struct Trained {
    std::vector<float> weights, scores;
    std::vector<double> losses;
    Record<P> seen;
};
/// Three steps on random samples of three classes.
template <class P, class Net>
Trained<P> train(const Net& net, const dla::Shape& in, index_t batch, bool eval, bool look, int threads = 1) {
    P policy;
    policy.threads = threads;
    dla::Model<Net, dla::Shape{}, P> model(net, in, dla::Seed{3}, policy);
    if (eval) model.parameters().set_eval("*");
    Trained<P> t;
    if (look) model.observer = &t.seen;
    dla::RandomStream random({1, 2, 3}, dla::RandomUse::synthesis);
    std::vector<float> x(static_cast<std::size_t>(batch * in.size()));
    for (float& v : x) v = static_cast<float>(random.normal());
    std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
    for (auto& l : labels) l = static_cast<std::int32_t>(random.below(3));
    dla::Sgd sgd({.learning_rate = 0.05});
    for (int step = 0; step < 3; ++step) t.losses.push_back(train_step(model, sgd, dla::CrossEntropy{}, x, labels).loss);
    t.weights = weights(model.parameters());
    t.scores = model.predict(x);
    return t;
}

}  // namespace support
