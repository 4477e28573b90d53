// SPDX-License-Identifier: MIT
// The reference kernels against hand-computed values and properties; PyTorch's numbers are in test_golden_kernels.cpp.
#include <doctest/doctest.h>

#include <cmath>
#include <dla/kernels/contract.hpp>
#include <dla/core/philox.hpp>
#include <dla/kernels/reference.hpp>
#include <limits>
#include <vector>

using namespace dla;

static_assert(kernel::Backend<Reference<float>> && kernel::Backend<Reference<double>> && kernel::Backend<Reference<long double>>);
static_assert(kernel::Backend<Cpu<double>>, "a Cpu policy falls back to the reference kernels");

namespace {

template <class P, class Activation, class Weight, class Master, class Statistic>
constexpr bool has_types = std::is_same_v<typename P::scalar, Activation>&& std::is_same_v<typename P::activation, Activation>&&
    std::is_same_v<typename P::weight, Weight>&& std::is_same_v<typename P::master, Master>&& std::is_same_v<typename P::statistic, Statistic>;
static_assert(has_types<Reference<float>, float, float, float, float> && has_types<Reference<double>, double, double, double, double>);
static_assert(has_types<Cpu<float>, float, float, float, float> && has_types<Cpu<double>, double, double, double, double>);
static_assert(has_types<Reference<bf16>, bf16, bf16, float, float> && has_types<Reference<f16>, f16, f16, float, float>);
struct OnlyScalar : HostMemory {
    using scalar = float;
};
static_assert(Policy<Reference<float>> && !Policy<OnlyScalar>);

const float not_a_number = std::numeric_limits<float>::quiet_NaN();
const float infinite = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE_TEMPLATE("reference gemm: all transposes, beta and bias", T, float, double) {
    const Reference<T> p;
    const std::vector<T> a{1, 2, 3, 4, 5, 6}, at{1, 4, 2, 5, 3, 6}, b{1, 0, 2, -1, 3, 1}, bt{1, 2, 3, 0, -1, 1}, bias{10, 20};
    const std::vector<T> product{14, 1, 32, 1};
    for (const bool ta : {false, true})
        for (const bool tb : {false, true}) {
            std::vector<T> c(4, std::numeric_limits<T>::quiet_NaN());  // never read: beta = 0
            gemm(p, nullptr, GemmDims{2, 2, 3, ta, tb}, ta ? at.data() : a.data(), tb ? bt.data() : b.data(), nullptr, 0, c.data());
            CHECK(c == product);
            gemm(p, nullptr, GemmDims{2, 2, 3, ta, tb}, ta ? at.data() : a.data(), tb ? bt.data() : b.data(), bias.data(), 2, c.data());
            CHECK(c == std::vector<T>{52, 23, 106, 23});
        }
    std::vector<T> c{1, 2, 3, 4};
    gemm(p, nullptr, GemmDims{2, 2, 0, false, false}, a.data(), b.data(), bias.data(), 3, c.data());  // k = 0
    CHECK(c == std::vector<T>{13, 26, 19, 32});
    gemm(p, nullptr, GemmDims{0, 2, 3, false, false}, a.data(), b.data(), nullptr, 0, c.data());
    CHECK(c == std::vector<T>{13, 26, 19, 32});
}

TEST_CASE("reference conv2d: 'same' with an even kernel puts the extra zero behind") {
    const Reference<float> p;
    const std::vector<float> x{0, 1, 2, 3}, w{1, 1};
    std::vector<float> y(4, not_a_number);
    Conv2dDims d{.batch = 1, .height = 1, .width = 4, .in_channels = 1, .out_channels = 1, .kernel_h = 1, .kernel_w = 2};
    d.out_height = 1;
    d.out_width = 4;
    conv2d_forward(p, nullptr, d, x.data(), w.data(), nullptr, y.data());
    CHECK(y == std::vector<float>{1, 3, 5, 3});
}

TEST_CASE("reference conv2d: the three passes are one bilinear form") {
    // sum(dy * conv(x, w)) = sum(dx * x) = sum(dw * w), exactly, in integers.
    const Reference<double> p;
    Conv2dDims d{.batch = 2, .height = 5, .width = 6, .in_channels = 4, .out_channels = 6, .kernel_h = 3, .kernel_w = 2, .stride_h = 2, .stride_w = 1};
    d.dilation_w = 2;
    d.pad_top = 1;
    d.pad_left = 1;
    d.out_height = 3;
    d.out_width = 6;
    d.groups = 2;
    const auto integers = [](index_t n, std::uint32_t stream) {
        RandomStream random(RandomPosition{7, 0, 0}, stream);
        std::vector<double> v(static_cast<std::size_t>(n));
        for (double& e : v) e = static_cast<double>(random.below(9)) - 4;
        return v;
    };
    const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
        double sum = 0;
        for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
        return sum;
    };
    const auto x = integers(2 * 5 * 6 * 4, 1), w = integers(6 * 3 * 2 * 2, 2), dy = integers(2 * 3 * 6 * 6, 3);
    std::vector<double> y(dy.size()), dx(x.size(), not_a_number), dw(w.size(), 1), db(6, 1);
    conv2d_forward(p, nullptr, d, x.data(), w.data(), nullptr, y.data());
    conv2d_backward_data(p, nullptr, d, dy.data(), w.data(), dx.data());
    conv2d_backward_weights(p, nullptr, d, x.data(), dy.data(), dw.data(), db.data());
    for (double& e : dw) e -= 1;  // accumulated onto what was there
    CHECK(dot(dy, y) != 0);
    CHECK(dot(dx, x) == dot(dy, y));
    CHECK(dot(dw, w) == dot(dy, y));
    double sum = 0, bias = 0;
    for (const double e : dy) sum += e;
    for (const double e : db) bias += e - 1;
    CHECK(bias == sum);
}

TEST_CASE("reference max pool: first of equals, NaN, padding, windows without any pixel") {
    const Reference<float> p;
    std::vector<float> y(1);
    std::vector<std::int32_t> at(1);
    Pool2dDims d{.batch = 1, .height = 2, .width = 2, .channels = 1, .kernel_h = 2, .kernel_w = 2};
    d.out_height = d.out_width = 1;
    const auto run = [&](std::vector<float> x) { max_pool2d_forward(p, d, x.data(), y.data(), at.data()); };
    run({1, 3, 3, 3});
    CHECK(y[0] == 3);
    CHECK(at[0] == 1);
    run({not_a_number, 3, not_a_number, 3});
    CHECK(std::isnan(y[0]));
    CHECK(at[0] == 2);  // as torch: a later NaN replaces
    run({-infinite, -infinite, -infinite, -infinite});
    CHECK(y[0] == -infinite);
    CHECK(at[0] == 0);
    d.kernel_h = d.kernel_w = d.dilation_h = d.dilation_w = 2;
    d.dilation_h = d.dilation_w = 4;
    d.pad_h = d.pad_w = 2;  // taps at -2 and 2 of an image of size 2
    run({1, 2, 3, 4});
    CHECK(y[0] == -infinite);
    CHECK(at[0] == -1);
    std::vector<float> dx(4, not_a_number);
    max_pool2d_backward(p, d, y.data(), at.data(), dx.data());
    CHECK(dx == std::vector<float>{0, 0, 0, 0});
}

TEST_CASE("reference batch norm: an empty batch leaves the running statistics alone, in-place backward, momentum < 0") {
    const Reference<double> p;
    double mean[1]{9}, invstd[1]{9}, running_mean[1]{2}, running_var[1]{3};
    std::int64_t tracked = 0;
    batch_norm_forward(p, nullptr, NormDims{0, 1, 1}, 1e-5, 0.1, nullptr, nullptr, nullptr, running_mean, running_var, &tracked, nullptr, mean, invstd);
    CHECK(tracked == 1);
    CHECK(running_mean[0] == 2);
    CHECK(running_var[0] == 3);
    CHECK(mean[0] == 0);

    const std::vector<double> x{1, 2, 3, 6}, w{2}, dy{1, -1, 0.5, 2};
    std::vector<double> y(4), dx(4), inplace = dy, dw(1), db(1);
    tracked = 1;
    batch_norm_forward(p, nullptr, NormDims{4, 1, 1}, 0, -1, x.data(), w.data(), db.data(), running_mean, running_var, &tracked, y.data(), mean, invstd);
    CHECK(mean[0] == 3);
    CHECK(tracked == 2);
    CHECK(running_mean[0] == 2.5);                                 // (2 + 3) / 2
    CHECK(running_var[0] == doctest::Approx(1.5 + 14.0 / 3 / 2));  // unbiased variance
    batch_norm_backward(p, nullptr, NormDims{4, 1, 1}, x.data(), w.data(), mean, invstd, dy.data(), dx.data(), dw.data(), db.data());
    batch_norm_backward(p, nullptr, NormDims{4, 1, 1}, x.data(), w.data(), mean, invstd, inplace.data(), inplace.data(), nullptr, nullptr);
    CHECK(dx == inplace);
    CHECK(db[0] == 2.5);
}

TEST_CASE_TEMPLATE("reference activations: edge values", T, float, double) {
    const Reference<T> p;
    const auto f = [&](Activation kind, double x) {
        const T in = static_cast<T>(x);
        T out = 7;
        activation_forward(p, kind, 0.01, 1, &in, &out);
        return out;
    };
    CHECK(std::isnan(f(Activation::relu, not_a_number)));
    CHECK(std::signbit(f(Activation::relu, -0.0)));
    CHECK(f(Activation::relu, -3) == 0);
    CHECK(f(Activation::relu, 3) == 3);
    CHECK(f(Activation::leaky_relu, -2) == doctest::Approx(-0.02));
    CHECK(f(Activation::sigmoid, 1000) == 1);
    CHECK(f(Activation::sigmoid, -1000) == 0);
    if (std::is_same_v<T, float>) CHECK(f(Activation::sigmoid, -100) == 0);
    CHECK(f(Activation::sigmoid, -50) > 0);
    CHECK(f(Activation::gelu, 1) == doctest::Approx(0.8413447461));
    CHECK(f(Activation::gelu_tanh, 1) == doctest::Approx(0.8411919906));
    CHECK(f(Activation::silu, 1) == doctest::Approx(0.7310585786));
    CHECK(std::signbit(f(Activation::elu, -0.0)));
    CHECK(f(Activation::elu, -1) == doctest::Approx(-0.0063212056));
    CHECK(f(Activation::hardswish, -1) == doctest::Approx(-1.0 / 3));
    CHECK(f(Activation::hardswish, -3) == 0);
    CHECK(f(Activation::hardswish, 3) == 3);
    const T x = 0, dy = static_cast<T>(infinite);
    T dx = 7;
    activation_backward(p, Activation::relu, 0.0, 1, nullptr, &x, &dy, &dx);
    CHECK(dx == 0);  // even behind an infinite gradient
    const T one = 1;
    activation_backward(p, Activation::leaky_relu, 0.25, 1, &x, nullptr, &one, &dx);
    CHECK(dx == static_cast<T>(0.25));
}

TEST_CASE("reference add_relu, copy, fill") {
    const Reference<float> p;
    const std::vector<float> a{1, -2, not_a_number}, b{1, 1, 1};
    std::vector<float> y(4, 9);
    std::uint32_t mask[16];
    add_relu(p, 3, a.data(), b.data(), y.data(), nullptr);
    CHECK(y[0] == 2);
    CHECK(y[1] == 0);
    CHECK(std::isnan(y[2]));
    CHECK(y[3] == 9);
    y.assign(4, 9);
    add_relu(p, 3, a.data(), b.data(), y.data(), mask);
    CHECK(y[1] == 0);
    std::vector<float> dx(4, 9);
    relu_mask_backward(p, 3, mask, b.data(), dx.data());
    CHECK(dx == std::vector<float>{1, 0, 1, 9});
    fill(p, 2, 5, y.data());
    CHECK(y[1] == 5);
    CHECK(std::isnan(y[2]));
    copy(p, 1, a.data(), y.data());
    CHECK(y[0] == 1);
}

TEST_CASE("reference dropout: words of the stream decide, survivors are divided, probability 1 gives zeros") {
    const Reference<float> p;
    const RandomPosition at{42, 3, 17};
    const std::vector<float> x(1001, 3.0f);
    std::vector<float> y(1001, not_a_number);
    dropout(p, 1001, 0.25, &at, 1030, x.data(), y.data());
    int kept = 0;
    for (std::size_t i = 0; i < 1001; ++i) {
        const bool keep = to_unit_float(random_block(at, 1030, static_cast<std::uint32_t>(i / 4))[i % 4]) >= 0.25f;
        CHECK(y[i] == (keep ? 3.0f / 0.75f : 0.0f));
        kept += keep;
    }
    CHECK(std::abs(kept - 751) < 5 * 14);  // five standard deviations
    dropout(p, 1001, 1.0, &at, 1030, x.data(), y.data());
    CHECK(y == std::vector<float>(1001, 0.0f));
}

TEST_CASE("reference cross entropy: label out of range, all ignored, counts") {
    const Reference<double> p;
    const std::vector<double> logits{1, 2, 3, 3, 2, 3};
    std::vector<double> dx(6, not_a_number);
    LossResult result;
    const auto run = [&](std::vector<std::int32_t> labels, CrossEntropyDims d = {}) {
        d.rows = 2;
        d.classes = 3;
        cross_entropy(p, nullptr, d, logits.data(), labels.data(), nullptr, &result, dx.data());
    };
    run({2, 3});
    CHECK(result.bad_row == 1);
    run({-1, 0});
    CHECK(result.bad_row == 0);
    run({2, 2});
    CHECK(result.bad_row == -1);
    CHECK(result.correct == 1);  // the second row's first largest is class 0
    CHECK(result.counted == 2);
    CHECK(result.weight == 2);
    run({-100, -100});
    CHECK(std::isnan(result.loss));
    CHECK(dx == std::vector<double>(6, 0));
    run({-100, -100}, {.mean = false});
    CHECK(result.loss == 0);
    CHECK(result.counted == 0);
    run({1, 2}, {.ignore_index = 1});
    CHECK(result.counted == 1);
    CHECK(dx[0] == 0);
    const std::vector<double> impossible{-infinite, 0, 0};  // a class of probability 0 must not spoil the others
    cross_entropy(p, nullptr, CrossEntropyDims{.rows = 1, .classes = 3}, impossible.data(), std::vector<std::int32_t>{1}.data(), nullptr, &result, dx.data());
    CHECK(result.loss == doctest::Approx(std::log(2.0)));
}

TEST_CASE("reference reductions add onto what is there and count in double") {
    const Reference<float> p;
    const std::vector<float> x{1, 2, 3, 4, 5, 6};
    std::vector<float> y{10, 20};
    column_sum(p, nullptr, 3, 2, x.data(), y.data());
    CHECK(y == std::vector<float>{19, 32});
    double sum = 0;
    const std::vector<float> many(100000, 1.0f / 3);
    sum_of_squares(p, nullptr, 100000, many.data(), &sum);
    CHECK(sum == doctest::Approx(100000.0 * (1.0f / 3) * (1.0f / 3)).epsilon(1.2e-11));  // 100000 roundings of 2^-53
}

TEST_CASE("reference clip_scale") {
    const Reference<float> p;
    std::vector<float> v{3, 4};
    double squares = 25;
    clip_scale(p, 2, &squares, 10.0, v.data());
    CHECK(v == std::vector<float>{3, 4});
    clip_scale(p, 2, &squares, 1.0, v.data());
    CHECK(v[0] == doctest::Approx(0.6).epsilon(1e-6));
    squares = not_a_number;
    clip_scale(p, 1, &squares, 1.0, v.data());
    CHECK(v[0] == doctest::Approx(0.6).epsilon(1e-6));
}
