// SPDX-License-Identifier: MIT
// Networks whose layers and sizes are drawn when the test runs: the CPU's kernels against the reference in double, gradients included.
#include <doctest/doctest.h>

#include <dla/nn.hpp>

using namespace dla;

namespace {

// Every layer may be there or not, so one type stands for many networks.
using Body =
    Sequential<Repeat<Linear<>>, Repeat<BatchNorm1d<>>, Repeat<ReLU>, Repeat<LayerNorm<>>, Repeat<GELU>, Repeat<Dropout>, Repeat<Tanh>, Repeat<Softmax<1>>>;
using Vectors = Sequential<Repeat<Body>, Repeat<Residual<Body, Repeat<Linear<>>, ReLU>>, Linear<>>;
using Filter = Sequential<Repeat<Conv2d<>>, Repeat<BatchNorm2d<>>, Repeat<ReLU>, Repeat<MaxPool2d<2>>, Repeat<SiLU>, Repeat<Dropout>, Repeat<AvgPool2d<2>>>;
using Images = Sequential<Repeat<Filter>, Repeat<Residual<Filter, Repeat<Conv2d<Dyn, Dyn, 1>>>>, Flatten, Repeat<Body>, Linear<>>;

/// Draws one network after another.
class Draw {
public:
    explicit Draw(std::uint32_t seed) : random_({seed, 0, 0}, RandomUse::synthesis) {}
    index_t from(index_t low, index_t high) { return low + static_cast<index_t>(random_.below(static_cast<std::uint32_t>(high - low + 1))); }
    index_t odd(index_t high) { return 2 * from(0, (high - 1) / 2) + 1; }
    bool chance(int percent) { return from(1, 100) <= percent; }
    int copies(int percent) { return chance(percent) ? 1 : 0; }
    float value() { return 2 * random_.uniform() - 1; }

    /// Ends with `out` features, from `in`.
    Body body(index_t in, index_t out) {
        Body b;
        if (in != out || chance(80)) get<0>(b.layers).blocks.push_back({.out = out, .bias = chance(70)});
        get<1>(b.layers) = Repeat<BatchNorm1d<>>(copies(40));
        get<2>(b.layers) = Repeat<ReLU>(copies(40));
        get<3>(b.layers) = Repeat<LayerNorm<>>(out >= 5 ? copies(25) : 0);  // of few features, the variance may be next to nothing
        get<4>(b.layers) = Repeat<GELU>(copies(25));
        get<5>(b.layers) = Repeat<Dropout>(copies(25), Dropout{.p = 0.25});
        get<6>(b.layers) = Repeat<Tanh>(copies(25));
        get<7>(b.layers) = Repeat<Softmax<1>>(copies(10));
        return b;
    }
    Vectors vectors(index_t width) {
        Vectors net;
        for (index_t n = from(0, 2); n > 0; --n) {
            const index_t out = odd(33);
            get<0>(net.layers).blocks.push_back(body(width, out));
            width = out;
        }
        for (index_t n = from(0, 2); n > 0; --n) {
            const index_t out = chance(50) ? width : odd(33);
            Residual<Body, Repeat<Linear<>>, ReLU> r(body(width, out));
            if (width != out) r.shortcut.blocks.push_back({.out = out});
            get<1>(net.layers).blocks.push_back(r);
            width = out;
        }
        get<2>(net.layers).out = odd(9);
        return net;
    }
    Filter filter(index_t in, index_t out, bool may_shrink) {
        Filter f;
        const index_t kernel = from(1, 3);
        if (in != out || chance(80)) get<0>(f.layers).blocks.push_back({.out = out, .kernel = kernel, .padding = Same, .bias = chance(70)});
        get<1>(f.layers) = Repeat<BatchNorm2d<>>(copies(40));
        get<2>(f.layers) = Repeat<ReLU>(copies(40));
        get<3>(f.layers) = Repeat<MaxPool2d<2>>(may_shrink ? copies(30) : 0);
        get<4>(f.layers) = Repeat<SiLU>(copies(25));
        get<5>(f.layers) = Repeat<Dropout>(copies(20), Dropout{.p = 0.25});
        get<6>(f.layers) = Repeat<AvgPool2d<2>>(may_shrink && get<3>(f.layers).blocks.empty() ? copies(30) : 0);
        return f;
    }
    Images images(index_t channels) {
        Images net;
        for (index_t n = from(0, 2); n > 0; --n) {
            const index_t out = odd(19);
            get<0>(net.layers).blocks.push_back(filter(channels, out, true));
            channels = out;
        }
        for (index_t n = from(0, 2); n > 0; --n) {
            const index_t out = chance(50) ? channels : odd(19);
            Residual<Filter, Repeat<Conv2d<Dyn, Dyn, 1>>> r(filter(channels, out, false));
            if (channels != out) r.shortcut.blocks.push_back({.out = out});
            get<1>(net.layers).blocks.push_back(r);
            channels = out;
        }
        if (chance(50)) get<3>(net.layers).blocks.push_back(body(0, odd(17)));
        get<4>(net.layers).out = odd(9);
        return net;
    }

private:
    RandomStream random_;
};

/// What a model makes of a batch: scores in inference, in training, gradients of the input and of each parameter, running statistics.
using Outcome = std::vector<std::vector<double>>;

/// Parameters are `values` (drawn anew when empty), each changed by up to `change` roundings of a float.
template <class P, class Net>
Outcome outcome(const Net& net, const Shape& in, index_t batch, std::uint32_t seed, double change) {
    using T = typename P::scalar;
    Model<Net, Shape{}, P> model(net, in, Seed{seed});
    Draw values(seed + 1000), nudge(seed + 2000);
    const auto next = [&](double low, double high) {  // a float, as every policy can hold it, unless it is nudged
        const auto v = static_cast<double>(static_cast<float>(low + (high - low) * (0.5 + 0.5 * static_cast<double>(values.value()))));
        return static_cast<T>(v * (1 + change * 0x1p-24 * static_cast<double>(nudge.value())));
    };
    auto& table = model.parameters();
    const auto numbers = [&](const auto& row, double low, double high) {
        std::vector<T> v(static_cast<std::size_t>(row.count));
        for (T& e : v) e = next(low, high);
        return v;
    };
    for (const ParamRow& row : table.parameters) {
        const double bound = row.kind == ParamKind::weight ? std::sqrt(6.0 * static_cast<double>(row.dims.d[0]) / static_cast<double>(row.count)) : 0.5;
        table.write(ParamPart::value, row, row.kind == ParamKind::norm_weight ? numbers(row, 0.5, 1.5) : numbers(row, -bound, bound));
    }
    for (const BufferRow& row : table.buffers) table.write(row, numbers(row, 0.5, 1.5));
    std::vector<T> x(static_cast<std::size_t>(batch * in.size())), dy(static_cast<std::size_t>(batch * model.output_shape().size())), dx(x.size());
    for (T& e : x) e = next(-1, 1);
    for (T& e : dy) e = next(-1, 1);

    Outcome made;
    const auto note = [&made](const auto& v) { made.emplace_back(v.begin(), v.end()); };
    note(model.predict(x));
    model.plan_input_gradient();
    table.zero_gradients();
    const ConstView<P> xv(x.data(), batch, in);
    const auto y = model.forward(xv);
    note(std::vector<T>(y.data, y.data + y.size()));
    model.backward(xv, ConstView<P>(dy.data(), batch, model.output_shape()), View<P>(dx.data(), batch, in));
    note(dx);
    for (const ParamRow& row : table.parameters) {
        std::vector<T> v(static_cast<std::size_t>(row.count));
        table.read(ParamPart::gradient, row, v);
        note(v);
    }
    for (const BufferRow& row : table.buffers) {
        std::vector<T> v(static_cast<std::size_t>(row.count));
        table.read(row, v);
        note(v);
    }
    return made;
}

double largest(const std::vector<double>& v) {
    double most = 0;
    for (const double e : v) most = std::max(most, std::abs(e));
    return most;
}
/// Infinite when sizes differ or something is not finite.
double distance(const std::vector<double>& a, const std::vector<double>& b) {
    double most = a.size() == b.size() ? 0 : std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
        most = std::isfinite(a[i]) && std::isfinite(b[i]) ? std::max(most, std::abs(a[i] - b[i])) : std::numeric_limits<double>::infinity();
    return most;
}

/// A computation in float rounds at each of its steps, and the network passes these roundings on. How far they go is measured: by the reference in float,
/// which adds in double and rounds what it stores, and by changes of a rounding to input and parameters in double. The CPU's kernels also add in float:
/// sums of K terms are off by sqrt(K) roundings, K up to 19 * 9 = 171 in a convolution and 9 * 11 * 11 = 1089 in the gradient of its weights. So they may
/// be off by 32 times what was measured (or one rounding of the largest value), about sqrt(1089).
template <class Net>
double check(const Net& net, const Shape& in, index_t batch, std::uint32_t seed) {
    const Outcome exact = outcome<Reference<double>>(net, in, batch, seed, 0);
    const Outcome got = outcome<Cpu<float>>(net, in, batch, seed, 0), plain = outcome<Reference<float>>(net, in, batch, seed, 0);
    std::vector<double> change(exact.size());
    for (int i = 1; i <= 4; ++i) {
        const Outcome changed = outcome<Reference<double>>(net, in, batch, seed, i % 2 == 0 ? i : -i);
        for (std::size_t j = 0; j < exact.size(); ++j) change[j] = std::max(change[j], distance(changed[j], exact[j]) / i);
    }
    REQUIRE(got.size() == exact.size());
    double worst = 0, steepest = 0;  // a gradient that is 0 in the end, such as that of a bias before BatchNorm, is what remains of larger numbers
    for (std::size_t j = 2; j < exact.size(); ++j) steepest = std::max(steepest, largest(exact[j]));
    for (std::size_t j = 0; j < exact.size(); ++j) {
        CAPTURE(j);
        const double unit = std::max({change[j], distance(plain[j], exact[j]), 0x1p-24 * (j < 2 ? largest(exact[j]) : steepest), 1e-30});
        CHECK(std::isfinite(unit));
        CHECK(distance(got[j], exact[j]) <= 32 * unit);
        worst = std::max(worst, distance(got[j], exact[j]) / unit);
    }
    return worst;
}

}  // namespace

TEST_CASE("200 random networks of odd sizes: Cpu<float> against Reference, gradients included") {
    double worst = 0;
    index_t layers = 0;
    for (std::uint32_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        Draw draw(seed);
        const index_t batch = draw.from(4, 9);
        if (seed % 2 == 0) {
            const Shape in(draw.odd(33));
            const Vectors net = draw.vectors(in.size());
            worst = std::max(worst, check(net, in, batch, seed));
            layers += static_cast<index_t>(get<0>(net.layers).blocks.size() + get<1>(net.layers).blocks.size());
        } else {
            const Shape in(draw.odd(5), draw.odd(5) + 6, draw.from(7, 11));
            const Images net = draw.images(in.d[0]);
            worst = std::max(worst, check(net, in, batch, seed));
            layers += static_cast<index_t>(get<0>(net.layers).blocks.size() + get<1>(net.layers).blocks.size());
        }
    }
    MESSAGE("largest difference: ", worst, " of 32 units");
    CHECK(layers > 300);  // blocks, so that the networks are not all next to empty
}
