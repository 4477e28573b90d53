// SPDX-License-Identifier: MIT
// Fused neighbours: who is claimed, and that nobody can tell but by the clock.
#include <doctest/doctest.h>

#include <support/networks.hpp>
#include <support/run_layer.hpp>

#include <map>

using namespace dla;

namespace {

/// Cpu<float>'s kernels, without its groups.
struct Plain : Cpu<float> {};

using Block = Sequential<Linear<>, BatchNorm1d<>, ReLU>;
using Nested = Sequential<Flatten, Linear<Dyn, 7>, Sequential<BatchNorm1d<>, ReLU>, Repeat<Block>, Sequential<Sequential<Linear<Dyn, 5>>, BatchNorm1d<>>, ReLU,
                          BatchNorm1d<>, ReLU, Linear<Dyn, 3>>;

Nested nested() {
    Nested net;
    for (const index_t out : {19, 16, 33}) get<3>(net.layers).blocks.push_back({Linear<>{.out = out}, BatchNorm1d<>{}, ReLU{}});
    return net;
}

/// Claims a single layer.
struct Alone : Cpu<float> {};
struct OwnTanh : Group<Tanh> {
    static constexpr Needs needs{.x = false, .y = true};
    static constexpr InPlace in_place{.forward = true, .backward = true};
    template <class P>
    using State = typename Group<Tanh>::template State<P>;
    template <class P>
    void infer(Context<P>& c, const State<P>&, ConstView<P> x, View<P> y) const {
        member<0>().infer(c, x, y);
    }
    template <class P>
    void backward(Context<P>& c, State<P>&, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> dx) const {
        member<0>().backward(c, x, y, dy, dx);
    }
};
struct AlonePattern {
    static constexpr std::size_t length = 1;
    template <class L>
    static constexpr bool matches = std::is_same_v<L, Tanh>;
    template <class L>
    using type = OwnTanh;
};

template <class Net, class P>
constexpr std::size_t units = Net::template Units<P>::count;

/// The values of every layer that an observer is shown.
template <class P>
struct Record : Observer<P> {
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
template <class P, class Net>
Trained<P> train(const Net& net, const Shape& in, index_t batch, bool eval, bool look, int threads) {
    P policy;
    policy.threads = threads;
    Model<Net, Shape{}, P> model(net, in, Seed{3}, policy);
    if (eval) model.parameters().set_eval("*");
    Trained<P> t;
    if (look) model.observer = &t.seen;
    RandomStream random({1, 2, 3}, RandomUse::synthesis);
    std::vector<float> x(static_cast<std::size_t>(batch * in.size()));
    for (float& v : x) v = static_cast<float>(random.normal());
    std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
    for (auto& l : labels) l = static_cast<std::int32_t>(random.below(3));
    Adam adam({.learning_rate = 0.01});
    for (int step = 0; step < 3; ++step) t.losses.push_back(train_step(model, adam, CrossEntropy{}, x, labels).loss);
    t.weights = support::weights(model.parameters());
    t.scores = model.predict(x);
    return t;
}

}  // namespace

template <>
struct dla::Groups<Alone> {
    using type = Patterns<AlonePattern>;
};

namespace {

/// Claims to work in place over layers that change the size.
struct Liar : Cpu<float> {};
template <class L>
struct Overwrites : Group<L> {
    static constexpr Needs needs{.x = false, .y = false};
    static constexpr InPlace in_place{.forward = true, .backward = true};
    template <class P>
    using State = typename Group<L>::template State<P>;
    template <class P>
    void infer(Context<P>&, const State<P>&, ConstView<P>, View<P>) const {}
    template <class P>
    void backward(Context<P>&, State<P>&, ConstView<P>, ConstView<P>, ConstView<P>, View<P>) const {}
};
struct LiarPattern {
    static constexpr std::size_t length = 1;
    template <class L>
    static constexpr bool matches = std::is_same_v<L, Linear<>>;
    template <class L>
    using type = Overwrites<L>;
};

}  // namespace

template <>
struct dla::Groups<Liar> {
    using type = Patterns<LiarPattern>;
};

TEST_CASE("a group that works in place and changes the size is refused") {
    using Net = Sequential<Linear<Dyn, 6>, Linear<>>;
    for (const index_t out : {6, 4096}) {
        Net net;
        get<1>(net.layers).out = out;
        const auto build = [&] { Model<Net, Shape{}, Liar>(net, Shape{5}, Seed{1}); };
        if (out == 6)
            build();
        else
            CHECK_THROWS_WITH_AS(
                build(), "error[shape] network: a group that works in place (in_place) or is a view makes [4096] of [6], which has another size", Error);
    }
}

TEST_CASE("a pattern may take a single layer") {
    using Net = Sequential<Linear<Dyn, 6>, Tanh, Linear<Dyn, 3>>;
    static_assert(std::is_same_v<typename Net::Units<Alone>::Layer<1>, OwnTanh>);
    static_assert(std::is_same_v<typename Net::Units<Plain>::Layer<1>, Tanh>);
    CHECK(support::same_bits(train<Alone>(Net{}, Shape{5}, 7, false, false, 1).weights, train<Plain>(Net{}, Shape{5}, 7, false, false, 1).weights));
}

TEST_CASE("Cpu<float> claims Linear, BatchNorm1d, ReLU wherever they are neighbours") {
    CHECK(units<Block, Cpu<float>> == 1);
    CHECK(units<Block, Reference<float>> == 3);
    CHECK(units<Block, Cpu<double>> == 3);
    CHECK(units<Block, Plain> == 3);
    CHECK(units<Nested, Reference<float>> == 11);
    CHECK(units<Nested, Cpu<float>> == 7);  // Flatten | block | Repeat | block | BatchNorm | ReLU | Linear
    CHECK(units<Sequential<Linear<>, BatchNorm1d<>, Tanh>, Cpu<float>> == 3);
    CHECK(units<Sequential<Linear<>, ReLU, BatchNorm1d<>>, Cpu<float>> == 3);
    CHECK(units<Sequential<Linear<>, BatchNorm1d<>>, Cpu<float>> == 2);
    CHECK(units<Sequential<Block, Block, Linear<>>, Cpu<float>> == 3);
}

TEST_CASE("a fused network has the bits of one that is not") {
    for (const index_t batch : {2, 3, 8, 129, 300}) {
        for (const int threads : {1, 3}) {
            CAPTURE(batch);
            const auto fused = train<Cpu<float>>(nested(), Shape{2, 3, 5}, batch, false, false, threads);
            const auto plain = train<Plain>(nested(), Shape{2, 3, 5}, batch, false, false, threads);
            CHECK(support::same_bits(fused.losses, plain.losses));
            CHECK(support::same_bits(fused.weights, plain.weights));
            CHECK(support::same_bits(fused.scores, plain.scores));
            CHECK(fused.losses[0] != fused.losses[2]);
        }
    }
    // Rows of features, whose normalisation falls back; no affine part; running statistics that stay.
    const Sequential rows(Linear<Dyn, 6>{}, BatchNorm1d<>{}, ReLU{}, Flatten{}, Linear<Dyn, 3>{});
    CHECK(support::same_bits(train<Cpu<float>>(rows, Shape{4, 5}, 7, false, false, 2).weights, train<Plain>(rows, Shape{4, 5}, 7, false, false, 2).weights));
    const Sequential bare(Linear<Dyn, 17>{.bias = false}, BatchNorm1d<>{.momentum = cumulative_average, .affine = false}, ReLU{}, Linear<Dyn, 3>{});
    CHECK(support::same_bits(train<Cpu<float>>(bare, Shape{5}, 21, false, false, 2).weights, train<Plain>(bare, Shape{5}, 21, false, false, 2).weights));
    CHECK(support::same_bits(train<Cpu<float>>(nested(), Shape{2, 3, 5}, 9, true, false, 2).weights,
                             train<Plain>(nested(), Shape{2, 3, 5}, 9, true, false, 2).weights));
}

TEST_CASE("gradients of a group, with and without that of the input") {
    const Block block(Linear<>{.out = 37}, BatchNorm1d<>{}, ReLU{});
    for (const bool want_dx : {false, true}) {
        const auto fused = support::Runner<Cpu<float>>(block, Shape{19}, 33, {}, want_dx).run();
        const auto plain = support::Runner<Plain>(block, Shape{19}, 33, {}, want_dx).run();
        CHECK(support::same_outcome(fused, plain));
        CHECK(fused.gradients.size() > 100);
    }
    // Fewer samples than planned for.
    CHECK(support::same_outcome(support::Runner<Cpu<float>>(block, Shape{19}, 90).run(33), support::Runner<Plain>(block, Shape{19}, 33).run()));
}

TEST_CASE("who looks sees the members of a group, and changes nothing") {
    const auto fused = train<Cpu<float>>(nested(), Shape{2, 3, 5}, 6, false, true, 1);
    const auto plain = train<Plain>(nested(), Shape{2, 3, 5}, 6, false, true, 1);
    const auto unseen = train<Cpu<float>>(nested(), Shape{2, 3, 5}, 6, false, false, 1);
    CHECK(fused.seen.outputs == plain.seen.outputs);
    CHECK(fused.seen.gradients == plain.seen.gradients);
    CHECK(fused.seen.outputs.size() >= 20);
    CHECK(support::same_bits(fused.weights, unseen.weights));
}

TEST_CASE("a group takes less memory than its members") {
    const Block block(Linear<>{.out = 64}, BatchNorm1d<>{}, ReLU{});
    const auto bytes = [&]<class P>(const P&) { return support::Runner<P>(block, Shape{64}, 128).plan().activations; };
    CHECK(bytes(Cpu<float>{}) <= bytes(Plain{}));
}
