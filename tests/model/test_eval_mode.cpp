// SPDX-License-Identifier: MIT
// Layers that train as they infer (ParamTable::set_eval, PyTorch's module.eval()): statistics stay, dropout passes on, gradients are those of inference.
#include <doctest/doctest.h>

#include <support/error_of.hpp>
#include <support/networks.hpp>
#include <support/run_layer.hpp>

#include <cmath>

using namespace dla;
using support::Data;
using support::gradients;
using support::image;
using support::same_bits;

namespace {

/// Every place where a normalisation may stand: fused (Cpu<float>), alone, in a Residual, in a Repeat.
using Places = Sequential<BatchNorm2d<>, Residual<Sequential<Conv2d<Dyn, 2, 3>, BatchNorm2d<>>, Identity, ReLU>, Flatten, Linear<Dyn, 6>, BatchNorm1d<>, ReLU,
                          Dropout, Repeat<Linear<Dyn, 6>, BatchNorm1d<>, ReLU>, BatchNorm1d<>, Linear<Dyn, 3>>;
Places places() {
    Places net;
    get<7>(net.layers) = Repeat<Linear<Dyn, 6>, BatchNorm1d<>, ReLU>(2);
    return net;
}

/// Statistics and parameters that are not what they start as; the same numbers for every policy.
template <class P>
void unsettle(ParamTable<P>& table) {
    using T = typename P::scalar;
    std::vector<T> v;
    int at = 0;
    for (const BufferRow& row : table.buffers) {
        v.resize(static_cast<std::size_t>(row.count));
        for (T& e : v) e = static_cast<T>(row.path.ends_with("var") ? 0.75 + 0.5 * std::sin(++at) : 0.25 * std::sin(++at));
        table.write(row, v);
    }
    for (const CounterRow& row : table.counters) table.write(row, 11);
    for (const ParamRow& row : table.parameters) {
        v.resize(static_cast<std::size_t>(row.count));
        table.read(ParamPart::value, row, v);
        for (T& e : v) e = static_cast<T>(static_cast<float>(e + static_cast<T>(0.2 * std::sin(++at))));
        table.write(ParamPart::value, row, v);
    }
}
template <class P>
std::vector<typename P::statistic> statistics(const ParamTable<P>& table, const std::string& under = "") {
    std::vector<typename P::statistic> all, part;
    for (const BufferRow& row : table.buffers)
        if (row.path.starts_with(under)) {
            part.resize(static_cast<std::size_t>(row.count));
            table.read(row, std::span(part));
            all.insert(all.end(), part.begin(), part.end());
        }
    for (const CounterRow& row : table.counters)
        if (row.path.starts_with(under)) all.push_back(static_cast<typename P::statistic>(table.read(row)));
    return all;
}
template <class M, class T = typename M::T>
LossResult compute(M& model, const Data<T>& data) {
    model.parameters().zero_gradients();
    return model.compute_gradients(CrossEntropy{}, data.images, data.labels);
}

}  // namespace

TEST_CASE("all in eval mode: the loss of inference, its gradients, and statistics that stay") {
    using M = Model<Places, image, Reference<double>>;
    M model(places(), Seed{5});
    auto& table = model.parameters();
    unsettle(table);
    table.set_eval("*");
    const auto before = statistics(table);
    const Data<double> data(5), one(1);
    const auto inferred = [&] { return model.evaluate(CrossEntropy{}, data.images, data.labels).loss; };
    const LossResult got = compute(model, data);
    CHECK(got.loss == inferred());
    CHECK(same_bits(statistics(table), before));
    CHECK(std::isfinite(compute(model, one).loss));  // no variance is needed
    compute(model, data);
    int nonzero = 0;
    for (const ParamRow& row : table.parameters) {
        std::vector<double> value(static_cast<std::size_t>(row.count)), gradient(value.size());
        table.read(ParamPart::value, row, value), table.read(ParamPart::gradient, row, gradient);
        for (std::size_t i = 0; i < value.size(); i += 1 + value.size() / 12) {
            const double kept = value[i], eps = 1e-6;
            double loss[2];
            for (const int side : {0, 1}) value[i] = kept + (side ? eps : -eps), table.write(ParamPart::value, row, value), loss[side] = inferred();
            value[i] = kept, table.write(ParamPart::value, row, value);
            CAPTURE(row.path);
            const double numeric = (loss[1] - loss[0]) / (2 * eps);
            CHECK(std::abs(numeric - gradient[i]) <= 1e-7 + 1e-5 * std::abs(numeric));
            nonzero += gradient[i] != 0;
        }
    }
    CHECK(nonzero > 60);

    // The fused layers of Cpu<float>: the same in float.
    Model<Places, image, Cpu<float>> fast(places(), Seed{5});
    Model<Places, image, Reference<float>> plain(places(), Seed{5});
    copy_weights(table, fast.parameters()), copy_weights(table, plain.parameters());
    fast.parameters().set_eval("*"), plain.parameters().set_eval("*");
    const Data<float> floats(5);
    const auto held = statistics(fast.parameters());
    const float loss = static_cast<float>(compute(fast, floats).loss);
    CHECK(loss == doctest::Approx(got.loss).epsilon(1e-5));
    compute(plain, floats);
    CHECK(same_bits(statistics(fast.parameters()), held));
    // Seven layers of sums of up to 128 products in float: 1e-4 of the largest is some hundred units in the last place.
    const auto a = gradients(fast.parameters()), b = gradients(plain.parameters());
    const auto exact = gradients(table);
    double scale = 0, worst = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
        scale = std::max(scale, std::abs(exact[i]));
        worst = std::max({worst, std::abs(static_cast<double>(a[i]) - exact[i]), std::abs(static_cast<double>(b[i]) - exact[i])});
    }
    CHECK(worst <= 1e-4 * scale);
}

TEST_CASE_TEMPLATE("one layer in eval mode, the others not; and back", P, Reference<float>, Cpu<float>) {
    const Data<float> data(6);
    Model<Places, image, P> model(places(), Seed{5});
    auto& table = model.parameters();
    unsettle(table);
    const std::vector<std::string> norms{"0.", "1.block.1.", "4.", "8.", "11.", "13."};
    for (const std::string& path : norms) REQUIRE(statistics(table, path).size() >= 5);
    for (const std::string& path : norms) {
        CAPTURE(path);
        const std::string pattern = path.substr(0, path.size() - 1);
        const auto start = statistics(table, path);
        table.set_eval(pattern);
        Adam adam;
        const auto weights = support::weights(table);
        std::vector<std::vector<float>> others;
        for (const std::string& other : norms) others.push_back(statistics(table, other));
        train_step(model, adam, CrossEntropy{}, data.images, data.labels);
        for (std::size_t i = 0; i < norms.size(); ++i) CHECK(same_bits(statistics(table, norms[i]), others[i]) == (norms[i] == path));
        CHECK_FALSE(same_bits(support::weights(table), weights));
        table.set_eval(pattern, false);
        train_step(model, adam, CrossEntropy{}, data.images, data.labels);
        CHECK_FALSE(same_bits(statistics(table, path), start));
        CHECK(statistics(table, path).back() == start.back() + 1);  // num_batches_tracked
    }
}

TEST_CASE("the formulas of eval mode, by hand: y, dx, dw and db of one normalisation, and dropout passes on") {
    using P = Reference<double>;
    Model<Sequential<BatchNorm1d<>, Dropout>, Shape{2}, P> model(Seed{5});
    auto& table = model.parameters();
    unsettle(table);
    table.set_eval("0"), table.set_eval("1");
    std::vector<double> mean(2), var(2), w(2), b(2);
    table.read(table.buffers[0], mean), table.read(table.buffers[1], var);
    table.read(ParamPart::value, table.parameters[0], w), table.read(ParamPart::value, table.parameters[1], b);
    const std::vector<double> x{0.5, -1, 2, 0.25, -0.75, 3}, dy{1, -0.5, 0.25, 2, -1, 0.125};
    std::vector<double> dx(6);
    const ConstView<P> in(x.data(), 3, Shape{2});
    model.plan_input_gradient();
    const auto y = model.forward(in);
    table.zero_gradients();
    model.backward(in, ConstView<P>(dy.data(), 3, Shape{2}), View<P>(dx.data(), 3, Shape{2}));
    const auto g = gradients(table);
    for (std::size_t c = 0; c < 2; ++c) {
        const double scale = 1 / std::sqrt(var[c] + 1e-5);
        double dw = 0, db = 0;
        for (std::size_t i = c; i < 6; i += 2) {
            CHECK(std::abs(y.data[i] - ((x[i] - mean[c]) * scale * w[c] + b[c])) < 1e-15 * 16);
            CHECK(std::abs(dx[i] - dy[i] * w[c] * scale) < 1e-15 * 16);
            dw += dy[i] * (x[i] - mean[c]) * scale, db += dy[i];
        }
        CHECK(std::abs(g[c] - dw) < 1e-15 * 32);
        CHECK(std::abs(g[2 + c] - db) < 1e-15 * 32);
    }
    table.set_eval("1", false);
    int zeros = 0;
    const auto dropped = model.forward(in);
    for (index_t i = 0; i < 6; ++i) zeros += dropped.data[i] == 0;
    CHECK(zeros > 0);
}

TEST_CASE("freeze alone keeps the parameters and lets statistics move; set_eval alone the other way round") {
    const Data<float> data(6);
    Model<Places, image, Cpu<float>> model(places(), Seed{5});
    auto& table = model.parameters();
    const auto values = [&](const char* path) {
        std::vector<float> v(static_cast<std::size_t>(table.parameter(path).count));
        table.read(ParamPart::value, table.parameter(path), v);
        return v;
    };
    Sgd sgd({.learning_rate = 0.1});
    const auto step = [&] { return train_step(model, sgd, CrossEntropy{}, data.images, data.labels); };
    table.freeze("0");
    auto weight = values("0.weight");
    auto stats = statistics(table, "0.");
    step();
    CHECK(same_bits(values("0.weight"), weight));
    CHECK_FALSE(same_bits(statistics(table, "0."), stats));
    table.freeze("0", false);
    table.set_eval("0");
    stats = statistics(table, "0.");
    step();
    CHECK_FALSE(same_bits(values("0.weight"), weight));
    CHECK(same_bits(statistics(table, "0."), stats));
    table.freeze("0");  // both: nothing moves
    weight = values("0.weight");
    step();
    CHECK(same_bits(values("0.weight"), weight));
    CHECK(same_bits(statistics(table, "0."), stats));
}

TEST_CASE("patterns that no such layer matches are refused") {
    Model<Places, image, Cpu<float>> model(places(), Seed{5});
    auto& table = model.parameters();
    for (const std::string pattern : {"3", "99", "", "1.block.0", "0.weight"})
        CHECK(error_of([&] { table.set_eval(pattern); }) ==
              "error[model] " + pattern + ": no layer that trains otherwise than it infers (BatchNorm, Dropout) matches; see the paths in summary(model)");
    for (const char* pattern : {"0", "1", "1.block", "*.block.*", "6", "8", "1*"}) CHECK_NOTHROW(table.set_eval(pattern));
}
