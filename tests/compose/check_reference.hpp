// SPDX-License-Identifier: MIT
// Checks what the CPU's kernels make of a network whose numbers are drawn, against the reference in double: outputs, all gradients, running statistics.
#pragma once

#include <doctest/doctest.h>

#include <dla/nn.hpp>

namespace support {

/// Draws numbers.
class Draw {
public:
    explicit Draw(std::uint32_t seed) : random_({seed, 0, 0}, dla::RandomUse::synthesis) {}
    dla::index_t from(dla::index_t low, dla::index_t high) {
        return low + static_cast<dla::index_t>(random_.below(static_cast<std::uint32_t>(high - low + 1)));
    }
    dla::index_t odd(dla::index_t high) { return 2 * from(0, (high - 1) / 2) + 1; }
    bool chance(int percent) { return from(1, 100) <= percent; }
    int copies(int percent) { return chance(percent) ? 1 : 0; }
    float value() { return 2 * random_.uniform() - 1; }

private:
    dla::RandomStream random_;
};

/// What a model makes of a batch: scores in inference, in training, gradients of the input and of each parameter, running statistics.
using Outcome = std::vector<std::vector<double>>;

/// Parameters are `values` (drawn anew when empty), each changed by up to `change` roundings of a float.
template <class P, class Net>
Outcome outcome(const Net& net, const dla::Shape& in, dla::index_t batch, std::uint32_t seed, double change) {
    using T = typename P::scalar;
    dla::Model<Net, dla::Shape{}, P> model(net, in, dla::Seed{seed});
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
    for (const dla::ParamRow& row : table.parameters) {
        const double bound = row.kind == dla::ParamKind::weight ? std::sqrt(6.0 * static_cast<double>(row.dims.d[0]) / static_cast<double>(row.count)) : 0.5;
        table.write(dla::ParamPart::value, row, row.kind == dla::ParamKind::norm_weight ? numbers(row, 0.5, 1.5) : numbers(row, -bound, bound));
    }
    for (const dla::BufferRow& row : table.buffers) table.write(row, numbers(row, 0.5, 1.5));
    std::vector<T> x(static_cast<std::size_t>(batch * in.size())), dy(static_cast<std::size_t>(batch * model.output_shape().size())), dx(x.size());
    for (T& e : x) e = next(-1, 1);
    for (T& e : dy) e = next(-1, 1);

    Outcome made;
    const auto note = [&made](const auto& v) { made.emplace_back(v.begin(), v.end()); };
    note(model.predict(x));
    model.plan_input_gradient();
    table.zero_gradients();
    const dla::ConstView<P> xv(x.data(), batch, in);
    const auto y = model.forward(xv);
    note(std::vector<T>(y.data, y.data + y.size()));
    model.backward(xv, dla::ConstView<P>(dy.data(), batch, model.output_shape()), dla::View<P>(dx.data(), batch, in));
    note(dx);
    for (const dla::ParamRow& row : table.parameters) {
        std::vector<T> v(static_cast<std::size_t>(row.count));
        table.read(dla::ParamPart::gradient, row, v);
        note(v);
    }
    for (const dla::BufferRow& row : table.buffers) {
        std::vector<T> v(static_cast<std::size_t>(row.count));
        table.read(row, v);
        note(v);
    }
    return made;
}

inline double largest(const std::vector<double>& v) {
    double most = 0;
    for (const double e : v) most = std::max(most, std::abs(e));
    return most;
}
/// Infinite when sizes differ or something is not finite.
inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
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
double check_reference(const Net& net, const dla::Shape& in, dla::index_t batch, std::uint32_t seed) {
    const Outcome exact = outcome<dla::Reference<double>>(net, in, batch, seed, 0);
    const Outcome got = outcome<dla::Cpu<float>>(net, in, batch, seed, 0), plain = outcome<dla::Reference<float>>(net, in, batch, seed, 0);
    std::vector<double> change(exact.size());
    for (int i = 1; i <= 4; ++i) {
        const Outcome changed = outcome<dla::Reference<double>>(net, in, batch, seed, i % 2 == 0 ? i : -i);
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

}  // namespace support
