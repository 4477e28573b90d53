// SPDX-License-Identifier: MIT
// Weights that a workspace prepares for inference follow the model's: whoever writes these, a prediction is that of a new workspace.
#include <doctest/doctest.h>

#include <dla/io.hpp>
#include <dla/nn.hpp>
#include <dla/train.hpp>
#include <support/count_new.hpp>
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

using namespace dla;

namespace {

constexpr Shape image{40, 9, 10};
// A pair of blocks, a block, convolutions alone, in containers of each kind: each takes its part of what is prepared.
using Block = Sequential<Conv2d<40, 40, 3>, BatchNorm2d<>, ReLU, Conv2d<40, 44, 3>, BatchNorm2d<>, ReLU, MaxPool2d<2>>;
using Branches = Residual<Sequential<Conv2d<44, 44, 3>, ReLU, Conv2d<44, 44, 3>>, Conv2d<44, 44, 1>>;
using Copies = Repeat<Conv2d<44, 44, 3>, BatchNorm2d<>>;
using Net = Sequential<Conv2d<40, 40, 3>, Block, Branches, Copies, Conv2d<44, 48, 3>, Flatten, Linear<Dyn, 3>>;
using Cnn = Model<Net, image>;
Net net() { return {{}, {}, {}, Copies(2), {}, {}, {}}; }

std::vector<float> images(index_t batch) {
    std::vector<float> x(static_cast<std::size_t>(batch * image.size()));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 7919 % 1009) / 504.5f - 1;
    return x;
}
bool same(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}
const std::vector<std::int32_t> labels{0, 1, 2, 1};

/// y = w^2 x of a layer of a user's own: inference squares w beforehand.
struct SquareScale {
    static constexpr Needs needs{.x = true};
    template <class P>
    struct State {
        Param<P> weight;
    };
    constexpr Text name() const { return "SquareScale"; }
    constexpr ShapeResult out_shape(Shape s) const { return s; }
    template <class P, class Builder>
    State<P> build(Builder& b, const Shape&) const {
        return {b.parameter("weight", ParamKind::weight, {1}, Init{.fixed = 3})};
    }
    template <class P>
    index_t prepare(const Context<P>&, const State<P>& state, const Shape&, PreparedPtr<P> to) const {
        if (to != nullptr) *reinterpret_cast<typename P::scalar*>(to) = state.weight.value[0] * state.weight.value[0];
        return static_cast<index_t>(sizeof(typename P::scalar));
    }
    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        const bool prepared = c.prepared != nullptr;
        const auto factor = prepared ? *reinterpret_cast<const typename P::scalar*>(c.prepared) : state.weight.value[0] * state.weight.value[0];
        for (index_t i = 0; i < x.size(); ++i) y.data[i] = factor * x.data[i] + (prepared ? 0.5f : 0.0f);  // shows who was asked
    }
    template <class P>
    void backward(Context<P>&, State<P>&, ConstView<P>, ConstView<P>, ConstView<P>, View<P>) const {}
};

}  // namespace

TEST_CASE_TEMPLATE("a layer of one's own prepares its weights on any policy", P, Reference<float>, Cpu<float>) {
    Model<Sequential<SquareScale, Residual<SquareScale>, Repeat<SquareScale>>, Shape{2}, P> model({SquareScale(), {}, Repeat<SquareScale>(2)}, Seed{1});
    auto workspace = model.inference_workspace(1);
    const std::vector<float> x{1, 2};
    std::vector<float> y(2);
    const auto expected = [](float v, float a) {
        v = a * v + 0.5f;
        v = v + (9 * v + 0.5f);
        v = 9 * v + 0.5f;
        return 9 * v + 0.5f;
    };
    model.predict(x, y, workspace);
    CHECK(y == std::vector<float>{expected(1, 9), expected(2, 9)});
    model.parameters().write(ParamPart::value, model.parameters().parameters.front(), std::vector<float>{2});
    model.predict(x, y, workspace);
    CHECK(y == std::vector<float>{expected(1, 4), expected(2, 4)});
}

TEST_CASE("what a layer finds prepared does not depend on how many samples there are") {
    // A Linear packs its weights for many samples only, and few samples do not read what it packed.
    Model<Sequential<Linear<2, 3>, SquareScale, Linear<3, 2>, SquareScale>, Shape{2}> model(Seed{1});
    std::vector<float> x(2 * 70);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) - 3;
    const auto all = model.predict(x);
    for (const index_t capacity : {index_t{3}, index_t{30}, index_t{70}, index_t{500}}) {
        auto workspace = model.inference_workspace(capacity);
        std::vector<float> y(6);
        model.predict(std::span(x).first(6), y, workspace);
        for (std::size_t i = 0; i < y.size(); ++i) CHECK(y[i] == doctest::Approx(all[i]).epsilon(1e-5));
    }
}

namespace {

/// A layer of a user's own around a Conv2d, whose `prepare` it does not pass on.
struct Wrapped {
    Conv2d<40, 40, 3> conv;
    static constexpr Needs needs{.x = true};
    template <class P>
    using State = LayerState<Conv2d<40, 40, 3>, P>;
    constexpr Text name() const { return "Wrapped"; }
    constexpr ShapeResult out_shape(Shape s) const { return conv.out_shape(s); }
    template <class P, class Builder>
    State<P> build(Builder& b, const Shape& in) const {
        return conv.template build<P>(b, in);
    }
    template <class P>
    index_t scratch(const P& policy, const Shape& in, index_t batch, Pass pass) const {
        return conv.scratch(policy, in, batch, pass);
    }
    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        conv.infer(c, state, x, y);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> dx) const {
        conv.backward(c, state, x, y, dy, dx);
    }
};

}  // namespace

TEST_CASE("a layer that prepares nothing is not shown what the next one prepared") {
    Model<Sequential<Wrapped, Conv2d<40, 40, 3>, Wrapped>, image> model(Seed{3});
    Cpu<float> strict;
    strict.strict = true;
    Model<Sequential<Wrapped, Conv2d<40, 40, 3>, Wrapped>, image> direct(Seed{3}, strict);
    const auto x = images(1);
    const auto y = model.predict(x), expected = direct.predict(x);
    for (std::size_t i = 0; i < y.size(); ++i) CHECK(y[i] == doctest::Approx(expected[i]).epsilon(1e-3));
}

TEST_CASE("the network of these tests has weights to prepare") {
    for (const auto& [size, in, out] : {std::array<index_t, 3>{9, 40, 40}, {9, 40, 44}, {4, 44, 44}, {4, 44, 48}})
        CHECK(conv2d_prepare(Cpu<float>{}, nullptr, {1, size, size + 1, in, out, 3, 3, 1, 1, 1, 1, 1, 1, size, size + 1, 1}, nullptr, nullptr) > 0);
}

TEST_CASE("a kept workspace predicts as a new one, whoever wrote the weights") {
    Cnn model(net(), Seed{3});
    const auto x = images(4);
    for (const index_t capacity : {index_t{4}, index_t{40}}) {
        auto workspace = model.inference_workspace(capacity);
        std::vector<float> last;
        const auto check = [&](const std::string& what) {
            CAPTURE(what);
            std::vector<float> y(12);
            model.predict(x, y, workspace);
            CHECK(same(y, model.predict(x)));
            CHECK_FALSE(same(y, last));
            last = y;
        };
        check("the seed");
        Adam adam({.learning_rate = 1e-2});
        for (int i = 0; i < 3; ++i) {
            train_step(model, adam, CrossEntropy{}, std::span<const float>(x), std::span<const std::int32_t>(labels));
            check("a training step");
        }
        for (const ParamRow& row : model.parameters().parameters) {
            if (row.dims.rank < 2) continue;
            std::vector<float> v(static_cast<std::size_t>(row.count));
            model.parameters().read(ParamPart::value, row, v);
            for (float& value : v) value *= 1.25f;
            model.parameters().write(ParamPart::value, row, v);
            check(row.path);
        }
        auto& table = model.parameters();
        const ParamRow& first = table.parameters.front();
        float* const kept = table.values(first.offset);
        kept[0] += 1;
        check("values()");
        kept[0] += 1;
        table.refresh_weights();
        check("a pointer that was kept, and refresh_weights()");
        const TemporaryFolder folder;
        const auto file = folder.path + "/w.safetensors";
        Cnn other(net(), Seed{9});
        save_weights(file, other.parameters());
        load_weights(file, model.parameters());
        check("a file");
        model = Cnn(net(), Seed{11});
        check("a model that was moved to it");
    }
}

TEST_CASE("a kept workspace predicts as a new one, whoever moved the running statistics") {
    using Net = Sequential<Linear<4, 20>, BatchNorm1d<>, ReLU, Linear<20, 3>, BatchNorm1d<>>;
    Model<Net, Shape{4}> model(Seed{3});
    std::vector<float> x(4 * 40);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * i % 11) / 4 - 1;
    const std::vector<std::int32_t> classes(40, 1);
    for (const index_t samples : {index_t{2}, index_t{40}}) {
        CAPTURE(samples);
        auto workspace = model.inference_workspace(40);
        const auto some = std::span<const float>(x).first(static_cast<std::size_t>(4 * samples));
        std::vector<float> last;
        const auto check = [&](const std::string& what) {
            CAPTURE(what);
            std::vector<float> y(static_cast<std::size_t>(3 * samples)), fresh(y.size());
            model.predict(some, y, workspace);
            auto own = model.inference_workspace(40);
            model.predict(some, fresh, own);
            CHECK(same(y, fresh));
            CHECK_FALSE(same(y, last));
            last = y;
        };
        check("the seed");
        model.forward(ConstView<Cpu<float>>(x.data(), 40, Shape{4}));
        check("forward()");
        model.compute_gradients(CrossEntropy{}, std::span<const float>(x), std::span<const std::int32_t>(classes));
        check("gradients without a step");
        auto& table = model.parameters();
        const BufferRow& mean = table.buffers.front();
        std::vector<float> values(static_cast<std::size_t>(mean.count));
        table.read(mean, values);
        for (float& v : values) v -= 2;
        table.write(mean, values);
        check("a buffer that was written");
        for (index_t i = 0; i < mean.count; ++i) table.buffer(mean.offset)[i] += 3;
        check("buffer()");
        table.write(ParamPart::value, table.parameter("4.weight"), std::vector<float>(3, 2 + static_cast<float>(samples)));
        check("weights of the normalisation");
    }
}

TEST_CASE("an image alone is predicted as in a batch of any size by convolutions with prepared weights") {
    Model<Sequential<Conv2d<40, 40, 3>, BatchNorm2d<>, ReLU, Conv2d<40, 44, 3>, BatchNorm2d<>, ReLU, Conv2d<44, 40, 3>>, image> model(Seed{3});
    const auto x = images(12);
    const auto batch = model.predict(x);
    for (const index_t count : {1, 2, 5, 11}) {
        std::vector<float> y(static_cast<std::size_t>(count * model.output_shape().size()));
        auto workspace = model.inference_workspace(count);
        model.predict(std::span<const float>(x).first(static_cast<std::size_t>(count * image.size())), y, workspace);
        CHECK(same(y, {batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(y.size())}));
    }
}

TEST_CASE("nothing is allocated when weights are prepared anew, and an empty batch prepares them too") {
    Cnn model(net(), Seed{3});
    const auto x = images(4);
    for (const index_t capacity : {index_t{0}, index_t{4}}) {
        auto workspace = model.inference_workspace(capacity);
        std::vector<float> y(static_cast<std::size_t>(3 * capacity));
        model.parameters().refresh_weights();
        const long before = support::allocations();
        model.predict(std::span<const float>(x).first(static_cast<std::size_t>(capacity * image.size())), y, workspace);
        CHECK(support::allocations() - before == 0);
    }
}

TEST_CASE("a workspace serves another model of the network, and no larger one") {
    Cnn one(net(), Seed{3}), two(net(), Seed{4});
    const auto x = images(4);
    auto workspace = one.inference_workspace(4);
    std::vector<float> y(12);
    one.predict(x, y, workspace);
    two.predict(x, y, workspace);
    CHECK(same(y, two.predict(x)));
    one.predict(x, y, workspace);
    CHECK(same(y, one.predict(x)));
    Model<Conv2d<40, 40, 3>, image> small(Seed{3});
    auto less = small.inference_workspace(4);
    CHECK(error_of([&] { one.predict(x, y, less); }) ==
          "error[model] predict: the workspace was made for another network; make one with this model's inference_workspace()");
}

TEST_CASE("threads prepare their own") {
    const Cnn model(net(), Seed{3});
    const auto x = images(4);
    const auto expected = model.predict(x);
    std::vector<std::vector<float>> results(4, std::vector<float>(12));
    std::vector<std::thread> threads;
    for (auto& y : results)
        threads.emplace_back([&] {
            auto workspace = model.inference_workspace(4);
            for (int i = 0; i < 20; ++i) model.predict(x, y, workspace);
        });
    for (std::thread& t : threads) t.join();
    for (const auto& y : results) CHECK(same(y, expected));
}
