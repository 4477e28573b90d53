// SPDX-License-Identifier: MIT
// A Residual directly behind Flatten: its identity is added in PyTorch's order of the features, whatever the order in memory.
#include <doctest/doctest.h>

#include <dla/inspect/grad_check.hpp>
#include <support/error_of.hpp>
#include <support/networks.hpp>
#include <support/run_layer.hpp>

#include <cmath>

using namespace dla;

namespace {

using P = Reference<double>;
using Skip = Sequential<Flatten, Residual<Linear<>, Repeat<Linear<>>, ReLU>, Linear<Dyn, 2>>;

Skip skip(index_t features) {
    Skip net;
    get<1>(net.layers).block.out = features;
    return net;
}
std::vector<double> read(const ParamTable<P>& table, const char* path) {
    std::vector<double> v(static_cast<std::size_t>(table.parameter(path).count));
    table.read(ParamPart::value, table.parameter(path), v);
    return v;
}
/// W f + b of weights in PyTorch's order.
std::vector<double> linear(const std::vector<double>& w, const std::vector<double>& b, const std::vector<double>& f) {
    std::vector<double> y = b;
    for (std::size_t o = 0; o < b.size(); ++o)
        for (std::size_t i = 0; i < f.size(); ++i) y[o] += w[o * f.size() + i] * f[i];
    return y;
}

}  // namespace

TEST_CASE("gradients of a Residual behind Flatten") {
    for (const Shape& in : {Shape{3, 2, 4}, Shape{1, 3, 3}, Shape{5, 1, 1}, Shape{2, 1, 3}}) {
        CAPTURE(std::string(to_text(in).view()));
        const GradientReport report = check_gradients(skip(in.size()), in, 3);
        INFO(report.text());
        CHECK(report.ok());
        CHECK(report.text().starts_with("ok: "));
        CHECK(report.nonzero * 2 > report.checked);
    }
    using Deep = Sequential<Flatten, Residual<Sequential<Linear<>, Tanh, BatchNorm1d<>, Linear<>>>, Residual<BatchNorm1d<>>, Residual<Linear<>>>;
    Deep deep;
    auto& block = get<1>(deep.layers).block;
    get<0>(block.layers).out = 5;
    get<3>(block.layers).out = get<3>(deep.layers).block.out = 12;
    const GradientReport report = check_gradients(deep, Shape{3, 2, 2}, 4, {.atol = 1e-6});
    INFO(report.text());
    CHECK(report.ok());
    // A normalisation keeps the order of the image: nothing is put into another.
    CHECK(check_gradients(Sequential<Flatten, Residual<BatchNorm1d<>>, Linear<Dyn, 3>>{}, Shape{3, 2, 2}, 4, {.atol = 1e-6}).ok());
}

TEST_CASE("a block of no copies is a block: it has its row, and does not take the order of others") {
    const Residual<Repeat<Linear<>>, Linear<>, ReLU> around(Repeat<Linear<>>{}, Linear<>{.out = 24});
    CHECK(around.out_shape(Shape{24}).ok());
    CHECK_FALSE(around.out_shape(Shape{3, 2, 4}.flattened()).ok());
    using Net = Sequential<Linear<4, 4>, Residual<Repeat<Linear<>>, Identity, ReLU>>;
    const Model<Net, Shape{}, P> model(Net{}, Shape{4}, Seed{1});
    std::string rows;
    for (const LayerRow& row : model.parameters().layers) rows += row.path + " " + row.type + ", ";
    CHECK(rows == "0 Linear, 1 Residual, 1.block Repeat x0, ");
}

TEST_CASE("weights in PyTorch's order give the result of the channels-first computation") {
    for (const Shape& in : {Shape{3, 2, 4}, Shape{1, 3, 3}, Shape{2, 3, 1}}) {
        const index_t features = in.size(), batch = 3, pixels = in.d[1] * in.d[2];
        Model<Skip, Shape{}, P> model(skip(features), in, Seed{5});
        const auto& table = model.parameters();
        RandomStream random({9, 0, 0}, RandomUse::synthesis);
        std::vector<double> x(static_cast<std::size_t>(batch * features));
        for (double& v : x) v = random.normal();
        const auto w1 = read(table, "1.block.weight"), b1 = read(table, "1.block.bias"), w2 = read(table, "2.weight"), b2 = read(table, "2.bias");
        const auto inferred = model.predict(x);
        const auto trained = model.forward(ConstView<P>(x.data(), batch, in));
        CHECK(std::equal(inferred.begin(), inferred.end(), trained.data));
        for (index_t n = 0; n < batch; ++n) {
            std::vector<double> f(static_cast<std::size_t>(features));  // torch.flatten of (channels, height, width)
            for (index_t c = 0; c < in.d[0]; ++c)
                for (index_t p = 0; p < pixels; ++p) f[static_cast<std::size_t>(c * pixels + p)] = x[static_cast<std::size_t>(n * features + p * in.d[0] + c)];
            auto hidden = linear(w1, b1, f);
            for (std::size_t i = 0; i < f.size(); ++i) hidden[i] = std::max(0.0, hidden[i] + f[i]);
            const auto y = linear(w2, b2, hidden);
            for (std::size_t o = 0; o < 2; ++o) CHECK(std::abs(y[o] - inferred[static_cast<std::size_t>(2 * n) + o]) < 1e-13);  // sums of 24 products below 4
        }
    }
}

TEST_CASE("training it: Cpu has Reference's numbers but for rounding, and orders that cannot be added are refused") {
    const support::Data<float> data(8);
    Model<Skip, Shape{}, Cpu<float>> fast(skip(128), support::image, Seed{5});
    Model<Skip, Shape{}, P> exact(skip(128), support::image, Seed{5});
    copy_weights(exact.parameters(), fast.parameters());
    std::vector<std::int32_t> labels = data.labels;
    for (auto& l : labels) l %= 2;
    Sgd a({.learning_rate = 0.1}), b({.learning_rate = 0.1});
    const std::vector<double> images(data.images.begin(), data.images.end());
    for (int i = 0; i < 4; ++i) {
        const double expected = train_step(exact, b, CrossEntropy{}, images, labels).loss;
        CHECK(train_step(fast, a, CrossEntropy{}, data.images, labels).loss == doctest::Approx(expected).epsilon(1e-5));
    }
    // A block that keeps the image's order around a shortcut that does not: nobody knows what to put where.
    using Mixed = Sequential<Flatten, Residual<BatchNorm1d<>, Linear<Dyn, 12>>>;
    CHECK(contains(error_of([] { Model<Mixed, Shape{}, P>(Mixed{}, Shape{3, 2, 2}, Seed{1}); }), "features of a flattened image cannot be added to features of another order"));
}
