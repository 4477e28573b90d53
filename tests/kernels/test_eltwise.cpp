// SPDX-License-Identifier: MIT
// The elementwise Cpu<float> kernels: exact where the operation is, within 4 ulp of the exact value where it is not.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>
#include <support/kernel_check.hpp>

using namespace dla;
using namespace support;

static_assert(kernel::ActivationKernels<Cpu<float>> && kernel::Elementwise<Cpu<float>> && kernel::Dropout<Cpu<float>>);

namespace {

const Activation all_activations[] = {Activation::relu, Activation::leaky_relu, Activation::gelu, Activation::gelu_tanh, Activation::silu,
                                      Activation::sigmoid, Activation::tanh,    Activation::elu,  Activation::softplus,  Activation::hardswish};
const index_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 67, 127, 129, 1003, 32767, 40003};

/// Values of every kind among ordinary ones.
Floats with_edges(std::uint32_t seed, index_t n) {
    Floats x = reals(seed, n, 8.0f);
    const float edges[] = {0.0f,
                           -0.0f,
                           not_a_number,
                           infinite,
                           -infinite,
                           100.0f,
                           -100.0f,
                           std::numeric_limits<float>::denorm_min(),
                           std::numeric_limits<float>::max(),
                           std::numeric_limits<float>::lowest()};
    for (std::size_t i = 0; i < x.size(); ++i)
        if (word(seed + 1, static_cast<index_t>(i)) % 5 == 0) x[i] = edges[word(seed + 2, static_cast<index_t>(i)) % std::size(edges)];
    return x;
}

Floats forward(const Cpu<float>& p, Activation kind, const Floats& x, const ActivationOptions& options = 0.01) {
    Floats y = poisoned(static_cast<index_t>(x.size()));
    activation_forward(p, kind, options, static_cast<index_t>(x.size()), x.data(), y.data());
    return y;
}

/// Worst error of f over x, in ulp; sigmoid's exact value counts as 0 below the smallest normal number.
double worst_ulps(Activation kind, const Floats& x, float& where, double option = static_cast<double>(0.01f)) {
    const Floats y = forward(cpu(), kind, x, option);
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double in = static_cast<double>(x[i]);
        double exact = 0;
        activation_forward(Reference<double>{}, kind, option, 1, &in, &exact);
        if (kind == Activation::sigmoid && exact < static_cast<double>(std::numeric_limits<float>::min())) exact = 0;
        if (ulps(y[i], exact) > worst) {
            worst = ulps(y[i], exact);
            where = x[i];
        }
    }
    return worst;
}

}  // namespace

TEST_CASE("cpu eltwise: exact kernels equal the reference, in place too") {
    const Reference<float> reference;
    for (const index_t n : sizes) {
        CAPTURE(n);
        const Floats a = with_edges(1, n), b = with_edges(5, n);
        Floats expected = poisoned(n), y = poisoned(n);
        add(reference, n, a.data(), b.data(), expected.data());
        add(cpu(), n, a.data(), b.data(), y.data());
        CHECK(same_values(y, expected));
        y = b;
        add(cpu(), n, a.data(), y.data(), y.data());
        CHECK(same_values(y, expected));
        add_relu(reference, n, a.data(), b.data(), expected.data(), nullptr);
        y = a;
        add_relu(cpu(), n, y.data(), b.data(), y.data(), nullptr);
        CHECK(same_values(y, expected));
        y = poisoned(n);
        copy(cpu(), n, a.data(), y.data());
        CHECK(same_bits(y, a));
        fill(cpu(), n, 2.5f, y.data());
        CHECK(y == Floats(static_cast<std::size_t>(n), 2.5f));
        fill(cpu(), n, -0.0f, y.data());
        CHECK(y == Floats(static_cast<std::size_t>(n), 0.0f));
        for (const Activation kind : {Activation::relu, Activation::leaky_relu}) {
            activation_forward(reference, kind, 0.01, n, a.data(), expected.data());
            CHECK(distance(forward(cpu(), kind, a), expected) <= 0x1p-23);  // leaky: a double slope in the reference
            if (kind == Activation::relu) CHECK(same_bits(forward(cpu(), kind, a), expected));
            activation_backward(reference, kind, 0.01, n, a.data(), a.data(), b.data(), expected.data());
            y = b;
            activation_backward(cpu(), kind, 0.01, n, a.data(), a.data(), y.data(), y.data());
            CHECK(distance(y, expected) <= 0x1p-23);
        }
    }
}

TEST_CASE("cpu eltwise: the mask of add_relu lets the gradient through where y is not 0") {
    const Reference<float> reference;
    for (const index_t n : {0, 1, 15, 16, 17, 511, 512, 513, 5000, 100003}) {
        CAPTURE(n);
        const Floats a = with_edges(1, n), b = with_edges(5, n), dy = with_edges(9, n);
        Floats expected = poisoned(n), dx = poisoned(n);
        const auto words = static_cast<std::size_t>(relu_mask_words(n));
        std::vector<std::uint32_t> mask(words + 1, 0xDEADBEEFu), other = mask;
        add_relu(reference, n, a.data(), b.data(), expected.data(), other.data());
        Floats y = a;
        add_relu(cpu(), n, y.data(), b.data(), y.data(), mask.data());
        CHECK(same_values(y, expected));
        CHECK(mask[words] == 0xDEADBEEFu);
        CHECK(other[words] == 0xDEADBEEFu);
        activation_backward(reference, Activation::relu, 0, n, nullptr, y.data(), dy.data(), expected.data());
        relu_mask_backward(reference, n, other.data(), dy.data(), dx.data());
        CHECK(same_bits(dx, expected));
        dx = poisoned(n);
        relu_mask_backward(cpu(), n, mask.data(), dy.data(), dx.data());
        CHECK(same_bits(dx, expected));
        dx = dy;
        relu_mask_backward(cpu(), n, mask.data(), dx.data(), dx.data());
        CHECK(same_bits(dx, expected));
        for (int threads = 1; threads <= 5; ++threads) {
            Cpu<float> p = cpu();
            p.threads = threads;
            std::vector<std::uint32_t> again(words + 1, 0xDEADBEEFu);
            add_relu(p, n, a.data(), b.data(), y.data(), again.data());
            CHECK(again == mask);
        }
    }
}

TEST_CASE("cpu eltwise: activations are within 4 ulp on a dense sample of all floats") {
    Floats x;
    for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 8191) x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
    for (int i = -300000; i < 300000; ++i) x.push_back(static_cast<float>(i) * 3.67e-4f);  // where the functions bend
    for (const Activation kind : all_activations) {
        float where = 0;
        const double worst = worst_ulps(kind, x, where);
        CAPTURE(static_cast<int>(kind));
        CAPTURE(where);
        CHECK(worst <= 4);
    }
    for (const Activation kind : {Activation::elu, Activation::softplus})
        for (const double option : {1.0, 2.5, -1.5}) {
            float where = 0;
            const double worst = worst_ulps(kind, x, where, option);
            CAPTURE(static_cast<int>(kind));
            CAPTURE(option);
            CAPTURE(where);
            CHECK(worst <= 4);
        }
}

TEST_CASE("cpu eltwise: activations are within 4 ulp on every float (nightly: --no-skip)" * doctest::skip()) {
    constexpr std::uint64_t block = 1 << 20;
    for (const Activation kind : all_activations) {
        double worst = 0;
        float where = 0;
        Floats x(block);
        for (std::uint64_t first = 0; first < (std::uint64_t{1} << 32); first += block) {
            for (std::uint64_t i = 0; i < block; ++i) x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(first + i));
            worst = std::max(worst, worst_ulps(kind, x, where));
        }
        MESSAGE("activation ", static_cast<int>(kind), ": ", worst, " ulp at most");
        CHECK(worst <= 4);
    }
}

TEST_CASE("cpu eltwise: edge values of the activations") {
    const auto of = [](Activation kind, float x) { return forward(cpu(), kind, {x})[0]; };
    for (const Activation kind : all_activations) CHECK(std::isnan(of(kind, not_a_number)));
    CHECK(std::signbit(of(Activation::relu, -0.0f)));
    CHECK(of(Activation::sigmoid, 100.0f) == 1.0f);
    CHECK(of(Activation::sigmoid, -100.0f) == 0.0f);
    CHECK(of(Activation::sigmoid, -infinite) == 0.0f);
    CHECK(of(Activation::tanh, infinite) == 1.0f);
    CHECK(of(Activation::tanh, -infinite) == -1.0f);
    CHECK(std::signbit(of(Activation::tanh, -0.0f)));
    CHECK(of(Activation::gelu, 1.0f) == doctest::Approx(0.8413447).epsilon(1e-7));
    CHECK(of(Activation::gelu_tanh, 1.0f) == doctest::Approx(0.8411920).epsilon(1e-7));
    CHECK(of(Activation::silu, 1.0f) == doctest::Approx(0.7310586).epsilon(1e-7));
    for (const Activation kind : {Activation::gelu, Activation::gelu_tanh, Activation::silu}) {
        CHECK(of(kind, infinite) == infinite);
        CHECK(of(kind, -1e30f) == 0.0f);
    }
    CHECK(forward(cpu(), Activation::elu, {-infinite}, 0.5)[0] == -0.5f);
    CHECK(of(Activation::elu, infinite) == infinite);
    CHECK(std::signbit(of(Activation::elu, -0.0f)));
    CHECK(forward(cpu(), Activation::softplus, {infinite, -infinite, 0.0f, 2.0f}, 1) == Floats{infinite, 0.0f, std::log(2.0f), std::log1p(std::exp(2.0f))});
    CHECK(forward(cpu(), Activation::softplus, {2.0f, 1.0f, -4.0f}, {2, 3})[0] == 2.0f);  // above the threshold
    CHECK(forward(cpu(), Activation::softplus, {1.0f}, {2, 3})[0] > 1.0f);
    CHECK(of(Activation::hardswish, 3.0f) == 3.0f);
    CHECK(of(Activation::hardswish, infinite) == infinite);
    CHECK(std::isnan(of(Activation::hardswish, -infinite)));  // PyTorch's too
    CHECK(std::signbit(of(Activation::hardswish, -0.0f)));
    CHECK(of(Activation::hardswish, std::numeric_limits<float>::max()) == std::numeric_limits<float>::max());
    const auto slopes = [](Activation kind, const Floats& x, const ActivationOptions& options) {
        Floats dx(x.size(), 1.0f);
        activation_backward(cpu(), kind, options, static_cast<index_t>(x.size()), x.data(), nullptr, dx.data(), dx.data());
        return dx;
    };
    CHECK(slopes(Activation::elu, {0.0f, -0.0f, 1.0f, infinite, -infinite}, 0.5) == Floats{0.5f, 0.5f, 1.0f, 1.0f, 0.0f});
    CHECK(slopes(Activation::softplus, {0.0f, infinite, -infinite, 2.0f}, {2, 3}) == Floats{0.5f, 1.0f, 0.0f, 1.0f});
    CHECK(slopes(Activation::hardswish, {-3.0f, 3.0f, 0.0f, infinite, -infinite}, 0) == Floats{0.0f, 1.0f, 0.5f, 1.0f, 0.0f});
    for (const Activation kind : {Activation::elu, Activation::softplus, Activation::hardswish}) CHECK(std::isnan(slopes(kind, {not_a_number}, 1)[0]));
    float dx = not_a_number;
    const float zero = 0, one = 1;
    activation_backward(cpu(), Activation::relu, 0, 1, nullptr, &zero, &one, &dx);
    CHECK(dx == 0.0f);
    activation_backward(cpu(), Activation::relu, 0, 1, nullptr, &not_a_number, &one, &dx);
    CHECK(dx == 1.0f);
    activation_backward(cpu(), Activation::leaky_relu, 0.25, 1, &zero, nullptr, &one, &dx);
    CHECK(dx == 0.25f);
}

TEST_CASE("cpu eltwise: GELU is within 3.5 ulp where it is worst") {
    Floats x;  // all floats from -2.25 to -2.15
    for (float v = -2.25f; v < -2.15f; v = std::nextafter(v, 0.0f)) x.push_back(v);
    float where = 0;
    const double worst = worst_ulps(Activation::gelu, x, where);
    CAPTURE(where);
    CHECK(worst <= 3.5);
}

TEST_CASE("cpu eltwise: the slope of GELU where its parts meet, on a dense sample, and at the edges") {
    Floats x;
    for (const float seam : {0.625f, 15.0f, 0.7518f, 1e-30f, 1e30f})  // its parts, and where the slope is 0
        for (int i = -300; i <= 300; ++i) {
            const float v = std::bit_cast<float>(static_cast<std::uint32_t>(static_cast<std::int32_t>(std::bit_cast<std::uint32_t>(seam)) + i));
            x.push_back(v), x.push_back(-v);
        }
    for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 40961) {
        const float v = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
        if (std::isfinite(v)) x.push_back(v);
    }
    const auto n = static_cast<index_t>(x.size());
    const auto xd = doubles(x);
    const std::vector<double> ones(x.size(), 1.0);
    std::vector<double> expected(x.size());
    activation_backward(Reference<double>{}, Activation::gelu, 0, n, xd.data(), nullptr, ones.data(), expected.data());
    const Floats one(x.size(), 1.0f);
    Floats dx = poisoned(n);
    activation_backward(cpu(), Activation::gelu, 0, n, x.data(), nullptr, one.data(), dx.data());
    double worst = 0, worst_far = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double error = std::abs(static_cast<double>(dx[i]) - expected[i]);
        if (!(error <= worst)) worst = error;  // NaN too
        if (x[i] < -2 && expected[i] < -1e-30 && !(error / -expected[i] <= worst_far)) worst_far = error / -expected[i];  // no digits are lost in the tail
    }
    CHECK(worst <= 3e-7);
    CHECK(worst_far <= 2e-6);
    const Floats edges{infinite, not_a_number, 0.0f, -0.0f}, all(4, 1.0f);
    Floats slopes(4);
    activation_backward(cpu(), Activation::gelu, 0, 4, edges.data(), nullptr, all.data(), slopes.data());
    CHECK(std::isnan(slopes[0]));  // infinity times a density of 0, as PyTorch's
    CHECK(std::isnan(slopes[1]));
    CHECK(slopes[2] == 0.5f);
    CHECK(slopes[3] == 0.5f);
}

TEST_CASE("cpu eltwise: backward passes against the reference in double") {
    for (const index_t n : {1, 5, 16, 37, 40003}) {
        const Floats x = reals(3, n, 9.0f), dy = reals(4, n, 2.0f);
        for (const Activation kind : all_activations) {
            CAPTURE(static_cast<int>(kind));
            const bool reads_y = kind == Activation::relu || kind == Activation::sigmoid || kind == Activation::tanh;
            const Floats y = forward(cpu(), kind, x);
            const auto xd = doubles(x), yd = doubles(y), dyd = doubles(dy);
            std::vector<double> expected(static_cast<std::size_t>(n));
            activation_backward(Reference<double>{}, kind, 0.01, n, reads_y ? nullptr : xd.data(), reads_y ? yd.data() : nullptr, dyd.data(), expected.data());
            Floats dx = poisoned(n);
            activation_backward(cpu(), kind, 0.01, n, reads_y ? nullptr : x.data(), reads_y ? y.data() : nullptr, dy.data(), dx.data());
            CHECK(distance(dx, expected) <= 1e-6);
        }
    }
}

TEST_CASE("cpu eltwise: a value has the same bits wherever it stands and however many threads there are") {
    const index_t n = 100003;
    const Floats x = with_edges(7, n), dy = reals(8, n);
    for (const Activation kind : all_activations) {
        CAPTURE(static_cast<int>(kind));
        check_threads([&](const Cpu<float>& p) { return forward(p, kind, x); });
        const Floats whole = forward(cpu(), kind, x);
        for (index_t at = 0; at < 200; ++at) {
            const auto i = static_cast<std::size_t>(at);
            CHECK(same_values(forward(cpu(), kind, {x[i]}), {whole[i]}));
        }
    }
}

TEST_CASE("cpu dropout: the bits that the contract names") {
    const RandomPosition at{0x123456789abcdef0u, 3, 17};
    for (const index_t n : sizes) {
        const Floats x = reals(2, n);
        for (const double probability : {0.0, 0.1, 0.5, 0.75, 1.0}) {
            CAPTURE(n);
            CAPTURE(probability);
            Floats expected = poisoned(n), y = x;
            dropout(Reference<float>{}, n, probability, &at, 1030, x.data(), expected.data());
            dropout(cpu(), n, probability, &at, 1030, y.data(), y.data());
            CHECK(same_bits(y, expected));
        }
    }
    // A draw that equals the probability keeps its value.
    const Floats ones(16, 1.0f);
    Floats kept = poisoned(16);
    const auto words = random_block(at, 1030, 1);
    dropout(cpu(), 16, static_cast<double>(to_unit_float(words[2])), &at, 1030, ones.data(), kept.data());
    CHECK(kept[6] > 0.0f);
    const Floats x = reals(2, 100003);
    check_threads([&](const Cpu<float>& p) {
        Floats y = poisoned(100003);
        dropout(p, 100003, 0.3, &at, 1025, x.data(), y.data());
        return y;
    });
}
