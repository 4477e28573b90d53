// SPDX-License-Identifier: MIT
// Linear, BatchNorm1d and ReLU as one: within rounding of the layers one after the other, on any sizes; the same bits at any number of threads and with an
// observer.
#include <doctest/doctest.h>

#include <support/fused.hpp>

#include <string>

using namespace dla;
using support::distance, support::Plain, support::Runner, support::train;

namespace {

using Normed = Sequential<Linear<>, BatchNorm1d<>>;
using Block = Sequential<Linear<>, BatchNorm1d<>, ReLU>;
using Nested = Sequential<Flatten, Linear<Dyn, 7>, Sequential<BatchNorm1d<>, ReLU>, Repeat<Block>, Residual<Sequential<Block, Normed>, Identity, ReLU>,
                          Sequential<Sequential<Linear<Dyn, 5>>, BatchNorm1d<>>, ReLU, BatchNorm1d<>, ReLU, Linear<Dyn, 3>>;

template <class Net>
Net net_of(index_t out, bool bias = true) {
    Net net;
    get<0>(net.layers) = {.out = out, .bias = bias};
    return net;
}
Nested nested() {
    Nested net;
    for (const index_t out : {19, 16, 33}) get<3>(net.layers).blocks.push_back(net_of<Block>(out));
    get<4>(net.layers) = Residual<Sequential<Block, Normed>, Identity, ReLU>({net_of<Block>(16), net_of<Normed>(33)});
    return net;
}

struct Case {
    index_t in, out, batch;
};
const Case cases[] = {
    {1, 1, 5},        // nothing is a whole vector
    {19, 37, 33},     // odd sizes
    {32, 32, 128},    // narrow: each chunk of rows makes its own gradient of the weights
    {32, 48, 71},     // and the last chunk is shorter
    {64, 64, 2048},   // as many chunks as there may be
    {1, 2, 4200},     // and larger ones, for there may be no more
    {12, 40, 300},    // narrow, but rows of x are no whole vectors
    {96, 80, 100},    // wide: one product for all rows
    {784, 128, 128},  // a first layer
    {1100, 500, 37},  // weights larger than caches: layers one by one
    {33, 256, 7},     // few rows: weights are read where they are
};

template <class Net, class P>
constexpr std::size_t units = Net::template Units<P>::count;

template <class P, class Net>
support::Outcome<typename P::scalar> run(const Net& net, const Case& k, bool want_dx = true, int threads = 1, index_t planned = 0) {
    P policy;
    if constexpr (requires { policy.threads; }) policy.threads = threads;
    return Runner<P>(net, Shape{k.in}, std::max(planned, k.batch), policy, want_dx).run(k.batch);
}

}  // namespace

TEST_CASE("Cpu<float> claims Linear and BatchNorm1d, and the ReLU behind them, wherever they are neighbours") {
    CHECK(units<Block, Cpu<float>> == 1);
    CHECK(units<Normed, Cpu<float>> == 1);
    CHECK(units<Block, Reference<float>> == 3);
    CHECK(units<Block, Cpu<double>> == 3);
    CHECK(units<Block, Plain> == 3);
    CHECK(units<Nested, Reference<float>> == 12);
    CHECK(units<Nested, Cpu<float>> == 8);  // Flatten | block | Repeat | Residual | block | BatchNorm | ReLU | Linear
    CHECK(units<Sequential<Linear<>, BatchNorm1d<>, Tanh>, Cpu<float>> == 2);
    CHECK(units<Sequential<Linear<>, ReLU, BatchNorm1d<>>, Cpu<float>> == 3);
    CHECK(units<Sequential<Block, Block, Linear<>>, Cpu<float>> == 3);
}

TEST_CASE("a fused block is within rounding of its layers, and of the reference in double") {
    for (const Case& k : cases) {
        CAPTURE(k.in);
        CAPTURE(k.out);
        CAPTURE(k.batch);
        const double bound = 2e-5;
        for (const bool want_dx : {true, false}) {
            for (const bool bias : {true, false}) {
                const auto block = net_of<Block>(k.out, bias);
                const auto fused = run<Cpu<float>>(block, k, want_dx);
                CHECK(distance(fused, run<Plain>(block, k, want_dx)) < bound);
                CHECK(distance(fused, run<Reference<double>>(block, k, want_dx)) < bound);
            }
            const auto normed = net_of<Normed>(k.out);
            CHECK(distance(run<Cpu<float>>(normed, k, want_dx), run<Reference<double>>(normed, k, want_dx)) < bound);
        }
    }
}

TEST_CASE("a fused block without an affine part, and one whose average counts all batches alike") {
    Block block = net_of<Block>(17);
    get<1>(block.layers) = {.momentum = cumulative_average, .affine = false};
    CHECK(distance(run<Cpu<float>>(block, cases[1]), run<Plain>(block, cases[1])) < 2e-5);
}

TEST_CASE("rows of features, whose channels are the rows, go through the layers one by one") {
    const Sequential rows(Linear<Dyn, 6>{}, BatchNorm1d<>{}, ReLU{});
    const auto fused = Runner<Cpu<float>>(rows, Shape{4, 5}, 7).run();
    CHECK(distance(fused, Runner<Plain>(rows, Shape{4, 5}, 7).run()) < 1e-6);
    const Sequential bare(Linear<Dyn, 6>{}, BatchNorm1d<>{});
    CHECK(distance(Runner<Cpu<float>>(bare, Shape{4, 5}, 7).run(), Runner<Plain>(bare, Shape{4, 5}, 7).run()) < 1e-6);
}

TEST_CASE("the gradient of a Linear's bias in front of a normalisation is 0, unless its statistics stay") {
    for (const bool eval : {false, true}) {
        Runner<Cpu<float>> runner(net_of<Block>(37), Shape{19}, 33);
        if (eval) runner.table.set_eval("*");
        runner.run();
        for (const ParamRow& row : runner.table.parameters) {
            std::vector<float> gradient(static_cast<std::size_t>(row.count));
            runner.table.read(ParamPart::gradient, row, gradient);
            const bool zero = std::all_of(gradient.begin(), gradient.end(), [](float v) { return v == 0; });
            CHECK(zero == (row.path == "0.bias" && !eval));
        }
    }
}

TEST_CASE("fused blocks: the same bits at any number of threads, and for fewer samples than planned for") {
    for (const Case& k : cases) {
        const auto block = net_of<Block>(k.out);
        const auto one = run<Cpu<float>>(block, k);
        for (const int threads : {2, 3, 5}) CHECK(support::same_outcome(one, run<Cpu<float>>(block, k, true, threads)));
        CHECK(support::same_outcome(one, run<Cpu<float>>(block, k, true, 2, 2 * k.batch + 3)));
    }
}

TEST_CASE("training with fused blocks goes as without, with running statistics as well") {
    for (const index_t batch : {8, 129, 300}) {
        for (const bool eval : {false, true}) {
            CAPTURE(batch);
            const auto fused = train<Cpu<float>>(nested(), Shape{2, 3, 5}, batch, eval, false, 2);
            const auto plain = train<Plain>(nested(), Shape{2, 3, 5}, batch, eval, false, 2);
            CHECK(distance(fused.losses, plain.losses) < 1e-4);
            CHECK(distance(fused.weights, plain.weights) < 1e-3);
            CHECK(distance(fused.scores, plain.scores) < 1e-3);
            CHECK(fused.losses[0] != fused.losses[2]);
        }
    }
}

TEST_CASE("who looks sees the members of a fused block, and changes nothing") {
    for (const bool eval : {false, true}) {
        const auto fused = train<Cpu<float>>(nested(), Shape{2, 3, 5}, 16, eval, true), unseen = train<Cpu<float>>(nested(), Shape{2, 3, 5}, 16, eval, false);
        const auto plain = train<Plain>(nested(), Shape{2, 3, 5}, 16, eval, true);
        CHECK(support::same_bits(fused.weights, unseen.weights));
        REQUIRE(fused.seen.outputs.size() == plain.seen.outputs.size());
        REQUIRE(fused.seen.gradients.size() == plain.seen.gradients.size());
        CHECK(fused.seen.outputs.size() >= 20);
        for (const auto& [layer, values] : plain.seen.outputs) {
            CAPTURE(layer);
            CHECK(distance(fused.seen.outputs.at(layer), values) < 1e-3);
        }
        for (const auto& [layer, values] : plain.seen.gradients) {
            CAPTURE(layer);
            CHECK(distance(fused.seen.gradients.at(layer), values) < 1e-3);
        }
    }
}

TEST_CASE("a NaN in a fused block stays in its row, and in training loses all") {
    const Case k = cases[1];
    Model<Block, Shape{}, Cpu<float>> model(net_of<Block>(k.out), Shape{k.in}, Seed{1});
    std::vector<float> x = Runner<Cpu<float>>::random_values(k.batch * k.in, 1);
    x[static_cast<std::size_t>(4 * k.in + 3)] = std::numeric_limits<float>::quiet_NaN();
    const auto y = model.predict(x);
    for (index_t i = 0; i < k.batch * k.out; ++i) REQUIRE(std::isnan(y[static_cast<std::size_t>(i)]) == (i / k.out == 4));
}

TEST_CASE("no samples, no results: nothing is read, and gradients stay as they are") {
    const auto check = [](const auto& net, const Shape& in) {
        Model<std::remove_cvref_t<decltype(net)>, Shape{}, Cpu<float>> model(net, in, Seed{1});
        CHECK(model.predict(std::vector<float>{}).empty());
        model.parameters().set_eval("*");  // with batch statistics an empty batch is refused
        model.parameters().zero_gradients();
        model.compute_gradients(CrossEntropy{}, std::vector<float>{}, std::vector<std::int32_t>{});
        for (const ParamRow& row : model.parameters().parameters) {
            std::vector<float> gradient(static_cast<std::size_t>(row.count));
            model.parameters().read(ParamPart::gradient, row, gradient);
            CHECK(std::all_of(gradient.begin(), gradient.end(), [](float g) { return g == 0; }));
        }
    };
    check(Sequential(Linear<>{.out = 32}, BatchNorm1d<>{}, ReLU{}, Linear<>{.out = 3}), Shape{16});
    check(Sequential(Conv2d<>{.out = 8, .kernel = 3, .padding = 1}, BatchNorm2d<>{}, ReLU{}, MaxPool2d<2>{}, Flatten{}, Linear<>{.out = 3}), Shape{2, 6, 6});
}

TEST_CASE("a fused block takes less memory than its layers") {
    const Block block = net_of<Block>(64);
    const auto bytes = [&]<class P>(const P&) { return Runner<P>(block, Shape{64}, 128).plan().activations; };
    CHECK(bytes(Cpu<float>{}) < bytes(Plain{}));
}
