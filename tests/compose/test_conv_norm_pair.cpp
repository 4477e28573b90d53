// SPDX-License-Identifier: MIT
// Two blocks of Conv2d and BatchNorm2d as one: the same bits as one block after the other, on any sizes, at any number of threads and with an observer.
#include <doctest/doctest.h>

#include <support/fused.hpp>

#include <string>

using namespace dla;
using support::Plain, support::Runner;

namespace {

/// Cpu<float>'s kernels, and its groups of one convolution.
struct Single : Cpu<float> {};

}  // namespace

template <>
struct dla::Groups<Single> {
    using type = Patterns<ConvNormPattern<4>, ConvNormPattern<3>, ConvNormPattern<2>>;
};

namespace {

using Normed = Sequential<Conv2d<>, BatchNorm2d<>, ReLU, Conv2d<>, BatchNorm2d<>>;
using Rectified = Sequential<Conv2d<>, BatchNorm2d<>, ReLU, Conv2d<>, BatchNorm2d<>, ReLU>;
using Pooled = Sequential<Conv2d<>, BatchNorm2d<>, ReLU, Conv2d<>, BatchNorm2d<>, ReLU, MaxPool2d<2>>;
using PooledApart = Sequential<Conv2d<>, BatchNorm2d<>, ReLU, Conv2d<>, BatchNorm2d<>, ReLU, MaxPool2d<3, 2>>;

struct Case {
    Shape in;
    index_t batch;
    Conv2d<> first, second;
};
std::vector<Case> cases() {
    const auto conv = [](index_t out, Size2 kernel, Size2 stride, Size2 padding, Size2 dilation = 1, index_t groups = 1, bool bias = true) {
        return Conv2d<>{.out = out, .kernel = kernel, .stride = stride, .padding = padding, .dilation = dilation, .groups = groups, .bias = bias};
    };
    return {
        {Shape{1, 28, 28}, 4, conv(16, 3, 1, 1), conv(32, 3, 1, 1)},             // the first pair of a network
        {Shape{16, 14, 14}, 9, conv(32, 3, 1, 1), conv(48, 3, 1, 1)},            // Winograd's transforms in both
        {Shape{3, 15, 13}, 9, conv(19, 3, 1, 1), conv(37, 3, 1, 0)},             // odd sides, no border
        {Shape{2, 17, 22}, 5, conv(17, 3, 1, 1), conv(21, 3, 1, 2)},             // more border than there need be
        {Shape{2, 4, 250}, 2, conv(20, 3, 1, 1), conv(20, 3, 1, 1)},             // rows wider than a block of tiles
        {Shape{3, 70, 70}, 1, conv(18, 3, 1, 1), conv(24, 3, 1, 1)},             // one image in several tasks
        {Shape{5, 9, 7}, 3, conv(6, 3, 1, 1), conv(10, 1, 1, 0)},                // 1 x 1
        {Shape{4, 12, 11}, 3, conv(6, 1, 1, 0, 1, 1, false), conv(9, 5, 2, 2)},  // strides, large kernels, no bias
        {Shape{4, 16, 15}, 3, conv(8, 3, 2, 1), conv(12, {3, 5}, 1, 2, 2, 4)},   // dilation, groups
        {Shape{6, 10, 9}, 3, conv(12, 3, 1, 1), conv(12, 3, 1, 1, 1, 12)},       // one channel in a group
        {Shape{2, 24, 24}, 24, conv(17, 3, 1, 1), conv(19, 3, 1, 1)},            // many tasks
        {Shape{3, 4, 4}, 1, conv(4, 3, 1, 1), conv(4, 3, 1, 1)},
    };
}
template <class Net>
Net net_of(const Case& k) {
    Net net;
    get<0>(net.layers) = k.first;
    get<3>(net.layers) = k.second;
    return net;
}
template <class Net>
void check_case(const Case& k) {
    const Net net = net_of<Net>(k);
    CAPTURE(std::string(net.name().view()));
    for (const bool want_dx : {true, false}) {
        const auto pair = Runner<Cpu<float>>(net, k.in, k.batch, {}, want_dx).run();
        CHECK(support::same_outcome(pair, Runner<Single>(net, k.in, k.batch, {}, want_dx).run()));
        if (std::is_same_v<Net, Pooled>) CHECK(support::distance(pair, Runner<Reference<double>>(net, k.in, k.batch, {}, want_dx).run()) < 1e-3);
    }
}

using Deep = Sequential<Conv2d<Dyn, 16, 3, 1, 1>, BatchNorm2d<>, ReLU, Conv2d<Dyn, 16, 3, 1, 1>, BatchNorm2d<>, ReLU, MaxPool2d<2>,
                        Residual<Sequential<Conv2d<Dyn, 16, 3, 1, 1>, BatchNorm2d<>, ReLU, Conv2d<Dyn, 16, 3, 1, 1>, BatchNorm2d<>>, Identity, ReLU>, Flatten,
                        Linear<Dyn, 3>>;

}  // namespace

TEST_CASE("Cpu<float> claims two blocks of Conv2d and BatchNorm2d, a ReLU between them") {
    const auto units = []<class Net, class P>(const Net&, const P&) { return Net::template Units<P>::count; };
    CHECK(units(Normed{}, Cpu<float>{}) == 1);
    CHECK(units(Rectified{}, Cpu<float>{}) == 1);
    CHECK(units(Pooled{}, Cpu<float>{}) == 1);
    CHECK(units(Pooled{}, Single{}) == 2);
    CHECK(units(Sequential<Normed, Normed>{}, Cpu<float>{}) == 2);
    CHECK(units(Sequential<Conv2d<>, BatchNorm2d<>, Rectified>{}, Cpu<float>{}) == 2);
    CHECK(units(Sequential<Conv2d<>, BatchNorm2d<>, ReLU, MaxPool2d<2>, Conv2d<>, BatchNorm2d<>>{}, Cpu<float>{}) == 2);
    CHECK(units(Sequential<Conv2d<>, BatchNorm2d<>, ReLU, Conv2d<>, ReLU>{}, Cpu<float>{}) == 3);
}

TEST_CASE("a pair of blocks: the same bits as one block after the other, within rounding of the reference in double") {
    for (const Case& k : cases()) {
        CAPTURE(to_text(k.in).view());
        check_case<Normed>(k);
        check_case<Rectified>(k);
        check_case<Pooled>(k);
        check_case<PooledApart>(k);
    }
}

TEST_CASE("a pair of blocks: the same bits at any number of threads, and for fewer samples than planned for") {
    for (const Case& k : cases()) {
        const auto outcome = [&](int threads, index_t planned) {
            Cpu<float> p;
            p.threads = threads;
            return Runner<Cpu<float>>(net_of<Rectified>(k), k.in, planned, p).run(k.batch);
        };
        const auto one = outcome(1, k.batch);
        for (const int threads : {2, 3, 5}) CHECK(support::same_outcome(one, outcome(threads, k.batch)));
        CHECK(support::same_outcome(one, outcome(2, 2 * k.batch + 3)));
    }
}

TEST_CASE("training with a pair of blocks, and what an observer is shown, is what single blocks give") {
    for (const bool eval : {false, true}) {
        const auto pair = support::train<Cpu<float>>(Deep{}, Shape{2, 13, 12}, 6, eval, true),
                   unseen = support::train<Cpu<float>>(Deep{}, Shape{2, 13, 12}, 6, eval, false);
        const auto single = support::train<Single>(Deep{}, Shape{2, 13, 12}, 6, eval, true);
        CHECK(support::same_bits(pair.weights, unseen.weights));
        CHECK(support::same_bits(pair.weights, single.weights));
        CHECK(support::same_bits(pair.scores, single.scores));
        CHECK(pair.seen.outputs == single.seen.outputs);
        CHECK(pair.seen.gradients == single.seen.gradients);
        const auto plain = support::train<Plain>(Deep{}, Shape{2, 13, 12}, 6, eval, true);
        REQUIRE(pair.seen.outputs.size() == plain.seen.outputs.size());
        for (const auto& [layer, values] : plain.seen.outputs) CHECK(support::distance(pair.seen.outputs.at(layer), values) < 1e-4);
    }
}

TEST_CASE("a pair of blocks takes less memory than two") {
    const Case k = cases()[1];
    const auto bytes = [&]<class P>(const P&) { return Runner<P>(net_of<Rectified>(k), k.in, 100).plan().activations; };
    CHECK(10 * bytes(Cpu<float>{}) < 9 * bytes(Single{}));
}

TEST_CASE("a Residual and the pair in it write their gradients over that of what follows them, and keep a bit of each output") {
    using Pair = Sequential<Conv2d<Dyn, 4, 3, 1, 1>, BatchNorm2d<>, ReLU, Conv2d<Dyn, 4, 3, 1, 1>, BatchNorm2d<>>;
    using Projected = Sequential<Conv2d<Dyn, 4, 1>, Residual<Pair, Conv2d<Dyn, 4, 1>, ReLU>, MaxPool2d<2>, Residual<Pair, Identity, ReLU>, AvgPool2d<2>>;
    const Shape in{3, 16, 16};
    const index_t batch = 8;
    for (const bool want_dx : {true, false}) {
        const auto got = Runner<Cpu<float>>(Projected{}, in, batch, {}, want_dx).run();
        CHECK(support::same_outcome(got, Runner<Single>(Projected{}, in, batch, {}, want_dx).run()));
        CHECK(support::distance(got, Runner<Reference<double>>(Projected{}, in, batch, {}, want_dx).run()) < 1e-4);
    }
    // At most alive at once: the block's input, the results of its two convolutions, the gradient, that of the shortcut's input, that of x.
    const index_t image = batch * 4 * 16 * 16 * static_cast<index_t>(sizeof(float));
    CHECK(Runner<Cpu<float>>(Projected{}, in, batch).plan().activations < 7 * image);
}
