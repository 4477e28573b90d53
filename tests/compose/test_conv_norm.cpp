// SPDX-License-Identifier: MIT
// Conv2d, BatchNorm2d, ReLU and MaxPool2d as one: within rounding of the layers one after the other, on any sizes; the same bits at any number of threads
// and with an observer.
#include <doctest/doctest.h>

#include <support/fused.hpp>

#include <string>

using namespace dla;
using support::distance, support::Plain, support::Runner;

namespace {

using Normed = Sequential<Conv2d<>, BatchNorm2d<>>;
using Block = Sequential<Conv2d<>, BatchNorm2d<>, ReLU>;
using Pooled = Sequential<Conv2d<>, BatchNorm2d<>, ReLU, MaxPool2d<2>>;

struct Case {
    Shape in;
    index_t out, batch;
    Conv2d<> conv;
};
std::vector<Case> cases() {
    const auto conv = [](index_t out, Size2 kernel, Size2 stride, Size2 padding, index_t groups = 1, bool bias = true) {
        return Conv2d<>{.out = out, .kernel = kernel, .stride = stride, .padding = padding, .groups = groups, .bias = bias};
    };
    return {
        {Shape{1, 6, 6}, 16, 4, conv(16, 3, 1, 1)},                 // the first layer
        {Shape{3, 9, 7}, 5, 3, conv(5, 3, 1, 1)},                   // odd sides: rows and columns that no window covers
        {Shape{4, 8, 8}, 33, 2, conv(33, 1, 1, 0, 1, false)},       // 1 x 1, no bias
        {Shape{6, 10, 11}, 18, 5, conv(18, {3, 5}, {2, 1}, 2, 3)},  // strides, groups
        {Shape{16, 12, 12}, 32, 9, conv(32, 3, 1, 1)},              // Winograd's transforms
        {Shape{17, 15, 13}, 35, 9, conv(35, 3, 1, 1)},
        {Shape{16, 4, 250}, 20, 2, conv(20, 3, 1, 1)},  // rows wider than a block of tiles, and than a block of sums
        {Shape{2, 24, 24}, 40, 40, conv(40, 3, 1, 1)},  // many pieces
        {Shape{3, 2, 2}, 4, 1, conv(4, 3, 1, 1)},
    };
}
template <class Net>
Net net_of(const Conv2d<>& conv) {
    Net net;
    get<0>(net.layers) = conv;
    return net;
}

template <class Net>
void check_case(const Case& k, double bound) {
    const Net net = net_of<Net>(k.conv);
    CAPTURE(std::string(net.name().view()));
    for (const bool want_dx : {true, false}) {
        const auto fused = Runner<Cpu<float>>(net, k.in, k.batch, {}, want_dx).run();
        CHECK(distance(fused, Runner<Plain>(net, k.in, k.batch, {}, want_dx).run()) < bound);
        if (want_dx) CHECK(distance(fused, Runner<Reference<double>>(net, k.in, k.batch, {}, want_dx).run()) < bound);
    }
}

using Deep = Sequential<Conv2d<Dyn, 8, 3>, BatchNorm2d<>, ReLU, MaxPool2d<2>,
                        Residual<Sequential<Conv2d<Dyn, 8, 3>, BatchNorm2d<>, ReLU, Conv2d<Dyn, 8, 3>, BatchNorm2d<>>, Identity, ReLU>, Repeat<Block>,
                        MaxPool2d<2>, Flatten, Linear<Dyn, 3>>;
Deep deep() {
    Deep net;
    get<5>(net.layers).blocks.push_back(Block(Conv2d<>{.out = 5, .kernel = 3}, BatchNorm2d<>{}, ReLU{}));
    return net;
}

}  // namespace

TEST_CASE("Cpu<float> claims Conv2d, BatchNorm2d and what follows of ReLU, MaxPool2d") {
    const auto units = []<class Net, class P>(const Net&, const P&) { return Net::template Units<P>::count; };
    CHECK(units(Normed{}, Cpu<float>{}) == 1);
    CHECK(units(Block{}, Cpu<float>{}) == 1);
    CHECK(units(Pooled{}, Cpu<float>{}) == 1);
    CHECK(units(Pooled{}, Plain{}) == 4);
    CHECK(units(Pooled{}, Reference<float>{}) == 4);
    CHECK(units(Sequential<Conv2d<>, BatchNorm2d<>, ReLU, MaxPool2d<3, 1>>{}, Cpu<float>{}) == 1);
    CHECK(units(Sequential<Conv2d<>, BatchNorm2d<>, ReLU, AvgPool2d<2>>{}, Cpu<float>{}) == 2);
    CHECK(units(Sequential<Conv2d<>, BatchNorm2d<>, MaxPool2d<2>>{}, Cpu<float>{}) == 2);
    CHECK(units(Sequential<Conv2d<>, BatchNorm2d<>, Tanh>{}, Cpu<float>{}) == 2);
    CHECK(units(Sequential<Conv2d<>, ReLU, BatchNorm2d<>>{}, Cpu<float>{}) == 3);
}

TEST_CASE("a fused convolution block is within rounding of its layers, and of the reference in double") {
    for (const Case& k : cases()) {
        CAPTURE(k.in.d[0]);
        CAPTURE(k.in.d[1]);
        CAPTURE(k.out);
        check_case<Normed>(k, 2e-5);
        check_case<Block>(k, 2e-5);
        check_case<Pooled>(k, 2e-5);
    }
}

TEST_CASE("a pooling of other windows behind a fused block") {
    const Case k = cases()[1];
    for (int kind = 0; kind < 4; ++kind) {
        Pooled net = net_of<Pooled>(k.conv);
        MaxPool2d<2>& pool = get<3>(net.layers);
        if (kind == 0) pool.padding = 1;
        if (kind == 1) pool.stride = 1;
        if (kind == 2) pool.ceil_mode = true;
        if (kind == 3) pool.kernel = pool.stride = 3;
        const auto fused = Runner<Cpu<float>>(net, k.in, k.batch).run();
        CHECK(distance(fused, Runner<Plain>(net, k.in, k.batch).run()) < 2e-5);
        CHECK(distance(fused, Runner<Reference<double>>(net, k.in, k.batch).run()) < 2e-5);
    }
}

TEST_CASE("a fused block without an affine part, and one whose average counts all batches alike") {
    const Case k = cases()[4];
    Pooled net = net_of<Pooled>(k.conv);
    get<1>(net.layers) = {.momentum = cumulative_average, .affine = false};
    CHECK(distance(Runner<Cpu<float>>(net, k.in, k.batch).run(), Runner<Plain>(net, k.in, k.batch).run()) < 2e-5);
}

TEST_CASE("the gradient of a bias in front of a normalisation is 0") {
    const Block net = net_of<Block>(cases()[1].conv);
    Runner<Cpu<float>> runner(net, cases()[1].in, 3);
    runner.run();
    for (const ParamRow& row : runner.table.parameters) {
        std::vector<float> gradient(static_cast<std::size_t>(row.count));
        runner.table.read(ParamPart::gradient, row, gradient);
        const bool is_bias = row.path == "0.bias";
        for (const float g : gradient) CHECK((g == 0) == is_bias);
    }
}

TEST_CASE("fused convolution blocks: the same bits at any number of threads, and for fewer samples than planned for") {
    for (const Case& k : cases()) {
        for (const bool pooled : {true, false}) {
            const auto outcome = [&](int threads, index_t planned) {
                Cpu<float> p;
                p.threads = threads;
                return pooled ? Runner<Cpu<float>>(net_of<Pooled>(k.conv), k.in, planned, p).run(k.batch)
                              : Runner<Cpu<float>>(net_of<Block>(k.conv), k.in, planned, p).run(k.batch);
            };
            const auto one = outcome(1, k.batch);
            for (const int threads : {2, 3, 5}) CHECK(support::same_outcome(one, outcome(threads, k.batch)));
            CHECK(support::same_outcome(one, outcome(2, 2 * k.batch + 3)));
        }
    }
}

TEST_CASE("training with fused convolution blocks goes as without, with running statistics as well") {
    for (const bool eval : {false, true}) {
        const auto fused = support::train<Cpu<float>>(deep(), Shape{2, 13, 12}, 6, eval, false);
        const auto plain = support::train<Plain>(deep(), Shape{2, 13, 12}, 6, eval, false);
        CHECK(distance(fused.losses, plain.losses) < 1e-5);
        CHECK(distance(fused.weights, plain.weights) < 1e-4);
        CHECK(distance(fused.scores, plain.scores) < 1e-4);
        CHECK(fused.losses[0] != fused.losses[2]);
    }
}

TEST_CASE("who looks sees the members of a fused convolution block, and changes nothing") {
    for (const bool eval : {false, true}) {
        const auto fused = support::train<Cpu<float>>(deep(), Shape{2, 13, 12}, 6, eval, true),
                   unseen = support::train<Cpu<float>>(deep(), Shape{2, 13, 12}, 6, eval, false);
        const auto plain = support::train<Plain>(deep(), Shape{2, 13, 12}, 6, eval, true);
        CHECK(support::same_bits(fused.weights, unseen.weights));
        REQUIRE(fused.seen.outputs.size() == plain.seen.outputs.size());
        REQUIRE(fused.seen.gradients.size() == plain.seen.gradients.size());
        for (const auto& [layer, values] : plain.seen.outputs) {
            CAPTURE(layer);
            CHECK(distance(fused.seen.outputs.at(layer), values) < 1e-4);
        }
        for (const auto& [layer, values] : plain.seen.gradients) {
            CAPTURE(layer);
            CHECK(distance(fused.seen.gradients.at(layer), values) < 1e-4);
        }
    }
}

TEST_CASE("a NaN in a fused block goes where it goes without") {
    const Case k = cases()[1];
    const Pooled net = net_of<Pooled>(k.conv);
    Model<Pooled, Shape{}, Cpu<float>> fused(net, k.in, Seed{1});
    Model<Pooled, Shape{}, Plain> plain(net, k.in, Seed{1});
    std::vector<float> x = Runner<Cpu<float>>::random_values(k.batch * k.in.size(), 1);
    x[5 * 3] = std::numeric_limits<float>::quiet_NaN();
    const auto a = fused.predict(x), b = plain.predict(x);
    std::size_t lost = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        REQUIRE(std::isnan(a[i]) == std::isnan(b[i]));
        lost += std::isnan(a[i]) ? 1 : 0;
    }
    CHECK(lost > 0);
    CHECK(lost < a.size());
}

TEST_CASE("a fused block takes less memory than its layers") {
    const auto bytes = [&]<class P>(const P&) { return Runner<P>(net_of<Pooled>(cases()[7].conv), cases()[7].in, 40).plan().activations; };
    CHECK(10 * bytes(Cpu<float>{}) < 6 * bytes(Plain{}));
}
