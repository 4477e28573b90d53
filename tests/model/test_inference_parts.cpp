// SPDX-License-Identifier: MIT
// A batch that goes through a network in parts gives what it gives as a whole, on any number of threads, and takes less memory.
#include <doctest/doctest.h>

#include <support/centred.hpp>
#include <support/networks.hpp>

#include <stdexcept>

using namespace dla;

namespace {

using Values = std::vector<float>;

bool same(std::span<const float> a, std::span<const float> b) { return std::ranges::equal(std::as_bytes(a), std::as_bytes(b)); }

Cpu<float> on(int threads) {
    Cpu<float> policy;
    policy.threads = threads;
    return policy;
}

Values inputs(index_t batch, const Shape& shape) {
    Values x(static_cast<std::size_t>(batch * shape.size()));
    RandomStream random({17, 0, 0}, RandomUse::synthesis);
    for (float& v : x) v = 2 * random.uniform() - 1;
    return x;
}

/// The model's parameters and running statistics moved from where they begin.
template <class M>
M moved(M model) {
    RandomStream random({18, 0, 0}, RandomUse::synthesis);
    for (const BufferRow& row : model.parameters().buffers) {
        Values v(static_cast<std::size_t>(row.count));
        for (float& value : v) value = 0.5f + random.uniform();
        model.parameters().write(row, v);
    }
    return model;
}

using Wide = Sequential<Linear<48, 96>, BatchNorm1d<>, ReLU, Dropout, Linear<96, 33>, BatchNorm1d<>, ReLU, Linear<33, 5>>;
using Blocks = Sequential<Linear<48, 32>, Residual<Sequential<Linear<32, 32>, BatchNorm1d<>, ReLU, Linear<32, 32>>>, LayerNorm<>,
                          Parallel<Concat, Linear<32, 7>, Sequential<Linear<32, 9>, Tanh>>>;
using Small = Sequential<Conv2d<2, 12, 3>, BatchNorm2d<>, ReLU, MaxPool2d<2>, Conv2d<12, 24, 3>, ReLU, Flatten, Linear<24 * 9, 4>>;
using Images = Sequential<Conv2d<2, 16, 3>, BatchNorm2d<>, ReLU, Residual<Conv2d<16, 16, 3>>, MaxPool2d<2>, Conv2d<16, 4, 3>, GlobalAvgPool2d>;
using Large = Sequential<Conv2d<1, 160, 3>, GELU, Conv2d<160, 4, 1>, ReLU>;

/// Whatever the threads and however large the workspace, each sample gets what it gets among 20 others, alone on one thread.
template <class Net, Shape Input>
void check_parts(index_t most = 331) {
    const Model<Net, Input> reference = moved(Model<Net, Input>(Seed{5}, on(1)));
    const auto in = static_cast<std::size_t>(Input.size()), out = static_cast<std::size_t>(reference.output_shape().size());
    const Values x = inputs(most, Input);
    const auto samples = static_cast<std::size_t>(most);
    Values expected;
    for (std::size_t first = 0; first < samples; first += 20) {
        const Values part = reference.predict(std::span(x).subspan(first * in, std::min<std::size_t>(20, samples - first) * in));
        expected.insert(expected.end(), part.begin(), part.end());
    }
    for (const int threads : {1, 2, 3, 5}) {
        const Model<Net, Input> model = moved(Model<Net, Input>(Seed{5}, on(threads)));
        for (const index_t capacity : {most, 3 * most}) {
            auto workspace = model.inference_workspace(capacity);
            for (const std::size_t batch : {16, 31, 32, 33, 64, 65, 97, 128, 129, 256, 331}) {
                if (batch > samples) continue;
                CAPTURE(threads);
                CAPTURE(capacity);
                CAPTURE(batch);
                Values y(batch * out, std::numeric_limits<float>::quiet_NaN());
                model.predict(std::span(x).first(batch * in), y, workspace);
                CHECK(same(y, std::span(expected).first(batch * out)));
            }
        }
    }
}

}  // namespace

TEST_CASE("parts: a network of narrow layers") { check_parts<Wide, Shape{48}>(); }
TEST_CASE("parts: blocks and branches") { check_parts<Blocks, Shape{48}>(); }
TEST_CASE("parts: convolutions of small images") { check_parts<Small, Shape{2, 6, 7}>(); }
TEST_CASE("parts: a few images each") { check_parts<Images, Shape{2, 24, 20}>(100); }
TEST_CASE("parts: images of which a few are many values, one part after the other") { check_parts<Large, Shape{1, 32, 32}>(40); }

TEST_CASE("parts: an evaluation is the same on any number of threads") {
    const Values x = inputs(200, Shape{48});
    std::vector<std::int32_t> labels;
    for (int i = 0; i < 200; ++i) labels.push_back(i % 5);
    const auto evaluate = [&](int threads) {
        Values y(200 * 5);
        const LossResult result = Model<Wide, Shape{48}>(Seed{5}, on(threads)).evaluate(CrossEntropy{}, x, labels, y);
        return std::pair(result.loss, y);
    };
    const auto one = evaluate(1);
    for (const int threads : {2, 4}) CHECK(evaluate(threads) == one);
}

TEST_CASE("parts: memory of a large batch is bounded, of small networks and of large images") {
    const auto bytes = [](const auto& model, index_t samples) {
        return model.inference_workspace(samples).bytes() - samples * model.output_shape().size() * static_cast<index_t>(sizeof(float));
    };
    const Model<Wide, Shape{48}> wide(Seed{1}, on(2));
    CHECK(bytes(wide, 100000) < bytes(wide, 128) + 1000);
    using Net = Sequential<Conv2d<3, 32, 3>, ReLU, Conv2d<32, 32, 3>, ReLU, GlobalAvgPool2d, Linear<32, 10>>;
    const Model<Net, Shape{3, 64, 64}> images(Seed{1}, on(2));
    CHECK(bytes(images, 10000) < 200 << 20);  // 0.5 MB for each activation of a sample
    const Model<Net, Shape{3, 64, 64}, Reference<float>> plain(Seed{1});
    CHECK(bytes(plain, 10000) < 200 << 20);
}

TEST_CASE_TEMPLATE("parts: a batch that is cut because it is large is predicted as its halves", P, Reference<float>, Cpu<float>) {
    // 256 kB of activations a sample and 1.3 MB of weights: 82 at a time.
    const Model<Sequential<Linear<2, 65536>, ReLU, Linear<65536, 2>>, Shape{2}, P> model(Seed{3});
    const Values x = inputs(301, Shape{2});
    const Values y = model.predict(x);
    for (const auto& [first, count] : {std::pair<std::size_t, std::size_t>{0, 150}, {150, 151}})
        CHECK(same(model.predict(std::span(x).subspan(2 * first, 2 * count)), std::span(y).subspan(2 * first, 2 * count)));
}

TEST_CASE("parts: samples that depend on each other stay together, wherever their layer stands") {
    using support::Centred;
    const auto check = [](const auto& net) {
        using Net = std::remove_cvref_t<decltype(net)>;
        const Values x = inputs(150, Shape{6});
        const auto together = [&](const Values& y) {
            const std::size_t size = y.size() / 150;
            double all = 0, some = 0;  // the largest sum of an output over the batch, and over the part that would be the first
            for (std::size_t i = 0; i < size; ++i) {
                double sum = 0;
                for (std::size_t n = 0; n < 150; ++n) {
                    sum += static_cast<double>(y[n * size + i]);
                    if (n == 29) some = std::max(some, std::abs(sum));
                }
                all = std::max(all, std::abs(sum));
            }
            CHECK(all < 1e-3);
            CHECK(some > 0.1);
        };
        together(Model<Net, Shape{6}>(net, Seed{1}, on(2)).predict(x));
        together(Model<Net, Shape{6}, Reference<float>>(net, Seed{1}).predict(x));
    };
    check(Sequential<Centred>());
    check(Sequential<Linear<6, 4>, Centred>());
    check(Repeat<Sequential<Linear<6, 6>, Centred>>(2));
    check(Residual<Sequential<Centred>, Sequential<Linear<6, 6>, Centred>>());
    check(Parallel<Concat, Centred, Sequential<Linear<6, 6>, Sequential<Centred>>>());
}

namespace {

/// Refuses samples that begin with a number above its limit.
struct Picky {
    float limit = 1;
    static constexpr Needs needs{};
    constexpr Text name() const { return "Picky"; }
    constexpr ShapeResult out_shape(Shape s) const { return s; }
    template <class P>
    void infer(Context<P>&, ConstView<P> x, View<P> y) const {
        for (index_t n = 0; n < x.batch; ++n)
            if (x.data[n * x.shape.size()] > limit) throw std::runtime_error("sample " + std::to_string(x.data[n * x.shape.size()]));
        std::copy_n(x.data, x.size(), y.data);
    }
    template <class P>
    void backward(Context<P>&, ConstView<P>, ConstView<P>, ConstView<P>, View<P>) const {}
};

}  // namespace

TEST_CASE("parts: what a layer throws reaches the caller, that of the first part, and the next prediction works") {
    for (const int threads : {1, 2, 4}) {
        const Model<Sequential<Linear<6, 6>, Picky, Linear<6, 2>>, Shape{6}> late(Seed{1}, on(threads));
        const Model<Sequential<Picky, Linear<6, 2>>, Shape{6}> model(Seed{1}, on(threads));
        Values x = inputs(300, Shape{6});
        const Values expected = model.predict(x);
        x[6 * 200] = 200, x[6 * 100] = 100, x[6 * 299] = 299;
        for (int i = 0; i < 20; ++i) CHECK_THROWS_WITH_AS(model.predict(x), doctest::Contains("sample 100"), std::runtime_error);
        x = inputs(300, Shape{6});
        CHECK(same(model.predict(x), expected));
    }
}
