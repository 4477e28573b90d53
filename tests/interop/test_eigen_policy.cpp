// SPDX-License-Identifier: MIT
// The policy whose products run through Eigen against the reference: exact on integers, close on reals, the same bits at any number of threads, and a network.
#include <dla/interop/eigen_policy.hpp>

#include <dla/inspect/grad_stats.hpp>
#include <dla/kernels/contract.hpp>
#include <dla/nn.hpp>

#include <doctest/doctest.h>
#include <support/guarded_scratch.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using namespace dla;

namespace {

static_assert(kernel::Backend<EigenCpu<double>> && kernel::Backend<EigenCpu<float>>);

template <class T>
using Values = std::vector<T>;

/// Integers in [-limit, limit], or reals in [-1, 1) for limit 0.
template <class T>
Values<T> filled(std::uint32_t seed, index_t count, int limit) {
    Values<T> out(static_cast<std::size_t>(count));
    for (index_t i = 0; i < count; ++i) {
        const auto word = random_block(RandomPosition{.seed = seed}, 2, static_cast<std::uint32_t>(i))[0];
        out[static_cast<std::size_t>(i)] =
            limit == 0 ? static_cast<T>(word) * T{0x1p-31} - T{1} : static_cast<T>(static_cast<int>(word >> 8) % (2 * limit + 1) - limit);
    }
    return out;
}
/// What a kernel must write over, or never read.
template <class T>
Values<T> poison(std::size_t count) {
    return Values<T>(count, std::numeric_limits<T>::quiet_NaN());
}

using Scratch = support::GuardedScratch;

/// Bits where the sums are exact, otherwise as close as sums of `terms` products in [-1, 1] must be.
template <class T>
void compare(const Values<T>& got, const Values<T>& expected, int limit, index_t terms) {
    REQUIRE(got.size() == expected.size());
    index_t wrong = 0;
    const double bound =
        limit == 0 ? static_cast<double>(std::numeric_limits<T>::epsilon()) * static_cast<double>(terms + 2) * static_cast<double>(terms + 2) : 0;
    for (std::size_t i = 0; i < got.size(); ++i)
        if (!(std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i])) <= bound)) ++wrong;
    CHECK(wrong == 0);
}

template <class T>
void check_gemm(const GemmDims& d, bool with_bias, T beta, int limit) {
    CAPTURE(d.m);
    CAPTURE(d.n);
    CAPTURE(d.k);
    CAPTURE(d.transpose_a);
    CAPTURE(d.transpose_b);
    CAPTURE(beta);
    const auto a = filled<T>(1, d.m * d.k, limit), b = filled<T>(2, d.k * d.n, limit), bias = filled<T>(3, d.n, limit);
    const auto before = beta == T{0} ? poison<T>(static_cast<std::size_t>(d.m * d.n)) : filled<T>(4, d.m * d.n, limit);
    auto expected = before, first = before;
    const T* added = with_bias ? bias.data() : nullptr;
    gemm(Reference<T>{}, nullptr, d, a.data(), b.data(), added, beta, expected.data());
    for (const int threads : {1, 2, 3, 5}) {
        CAPTURE(threads);
        EigenCpu<T> p;
        p.threads = threads;
        auto got = before;
        Scratch scratch(gemm_scratch(p, d));
        gemm(p, scratch.data(), d, a.data(), b.data(), added, beta, got.data());
        if (threads == 1)
            compare(first = got, expected, limit, d.k);
        else
            CHECK(std::memcmp(got.data(), first.data(), got.size() * sizeof(T)) == 0);
    }
}

template <class T>
void check_conv(Conv2dDims d, index_t pad_bottom, index_t pad_right, int limit) {
    d.out_height = (d.height + d.pad_top + pad_bottom - d.dilation_h * (d.kernel_h - 1) - 1) / d.stride_h + 1;
    d.out_width = (d.width + d.pad_left + pad_right - d.dilation_w * (d.kernel_w - 1) - 1) / d.stride_w + 1;
    CAPTURE(d.height);
    CAPTURE(d.width);
    CAPTURE(d.in_channels);
    CAPTURE(d.out_channels);
    CAPTURE(d.kernel_h);
    CAPTURE(d.groups);
    CAPTURE(d.stride_h);
    const index_t weights = d.out_channels * d.kernel_h * d.kernel_w * d.in_channels / d.groups;
    const index_t inputs = d.batch * d.height * d.width * d.in_channels, outputs = d.batch * d.out_height * d.out_width * d.out_channels;
    const index_t terms =
        std::max({d.kernel_h * d.kernel_w * d.in_channels, d.kernel_h * d.kernel_w * d.out_channels, outputs / std::max<index_t>(1, d.out_channels)});
    const auto x = filled<T>(1, inputs, limit), w = filled<T>(2, weights, limit), bias = filled<T>(3, d.out_channels, limit), dy = filled<T>(4, outputs, limit);
    const auto dw_before = filled<T>(5, weights, limit), dbias_before = filled<T>(6, d.out_channels, limit);

    auto y = poison<T>(static_cast<std::size_t>(outputs)), bare = y, dx = poison<T>(static_cast<std::size_t>(inputs)), dw = dw_before, dbias = dbias_before;
    const Reference<T> reference;
    conv2d_forward(reference, nullptr, d, x.data(), w.data(), bias.data(), y.data());
    conv2d_forward(reference, nullptr, d, x.data(), w.data(), static_cast<const T*>(nullptr), bare.data());
    conv2d_backward_data(reference, nullptr, d, dy.data(), w.data(), dx.data());
    conv2d_backward_weights(reference, nullptr, d, x.data(), dy.data(), dw.data(), dbias.data());
    Values<T> first;
    for (const int threads : {1, 2, 3, 5}) {
        CAPTURE(threads);
        EigenCpu<T> p;
        p.threads = threads;
        auto y1 = poison<T>(y.size()), bare1 = y1, dx1 = poison<T>(dx.size()), dw1 = dw_before, dw2 = dw_before, dbias1 = dbias_before;
        {
            Scratch scratch(conv2d_forward_scratch(p, d));
            conv2d_forward(p, scratch.data(), d, x.data(), w.data(), bias.data(), y1.data());
            conv2d_forward(p, scratch.data(), d, x.data(), w.data(), static_cast<const T*>(nullptr), bare1.data());
        }
        {
            Scratch scratch(conv2d_backward_data_scratch(p, d));
            conv2d_backward_data(p, scratch.data(), d, dy.data(), w.data(), dx1.data());
        }
        {
            Scratch scratch(conv2d_backward_weights_scratch(p, d));
            conv2d_backward_weights(p, scratch.data(), d, x.data(), dy.data(), dw1.data(), dbias1.data());
            conv2d_backward_weights(p, scratch.data(), d, x.data(), dy.data(), dw2.data(), static_cast<T*>(nullptr));
        }
        CHECK(std::memcmp(dw1.data(), dw2.data(), dw1.size() * sizeof(T)) == 0);
        Values<T> all;
        for (const auto* part : {&y1, &bare1, &dx1, &dw1, &dbias1}) all.insert(all.end(), part->begin(), part->end());
        if (threads > 1) {
            CHECK(std::memcmp(all.data(), first.data(), all.size() * sizeof(T)) == 0);
            continue;
        }
        first = all;
        compare(y1, y, limit, terms);
        compare(bare1, bare, limit, terms);
        compare(dx1, dx, limit, terms);
        compare(dw1, dw, limit, terms);
        compare(dbias1, dbias, limit, terms);
    }
}

}  // namespace

TEST_CASE_TEMPLATE("Eigen's matrix product against the reference", T, double, float, long double) {
    const index_t sizes[][3] = {{1, 1, 1}, {1, 7, 3}, {5, 1, 9}, {3, 4, 0}, {0, 3, 2}, {4, 0, 2}, {17, 31, 13}, {129, 10, 65}, {2, 300, 77}, {200, 190, 130}};
    for (const auto& s : sizes)
        for (const int transposed : {0, 1, 2, 3})
            for (const int limit : {4, 0}) {
                const GemmDims d{.m = s[0], .n = s[1], .k = s[2], .transpose_a = (transposed & 1) != 0, .transpose_b = (transposed & 2) != 0};
                check_gemm<T>(d, true, T{0}, limit);
                check_gemm<T>(d, false, T{0}, limit);
                check_gemm<T>(d, true, T{1}, limit);
                check_gemm<T>(d, false, T{-2}, limit);
            }
}

TEST_CASE_TEMPLATE("Eigen's convolutions against the reference", T, double, float) {
    const auto check = [](Conv2dDims d, index_t pad_bottom, index_t pad_right) {
        check_conv<T>(d, pad_bottom, pad_right, 4);
        check_conv<T>(d, pad_bottom, pad_right, 0);
    };
    check({.batch = 2, .height = 7, .width = 5, .in_channels = 3, .out_channels = 6, .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1}, 1, 1);
    check({.batch = 3, .height = 6, .width = 9, .in_channels = 5, .out_channels = 4}, 0, 0);  // 1 x 1
    check({.batch = 1, .height = 9, .width = 4, .in_channels = 2, .out_channels = 7, .kernel_h = 1, .kernel_w = 1, .stride_h = 2, .stride_w = 3}, 0,
          0);  // with a stride
    check({.batch = 2,
           .height = 11,
           .width = 8,
           .in_channels = 4,
           .out_channels = 3,
           .kernel_h = 4,
           .kernel_w = 2,
           .stride_h = 3,
           .stride_w = 2,
           .pad_top = 2,
           .pad_left = 0},
          1, 3);
    check({.batch = 2,
           .height = 9,
           .width = 10,
           .in_channels = 3,
           .out_channels = 5,
           .kernel_h = 3,
           .kernel_w = 2,
           .dilation_h = 2,
           .dilation_w = 3,
           .pad_top = 2,
           .pad_left = 3},
          2, 3);
    check({.batch = 2, .height = 6, .width = 6, .in_channels = 8, .out_channels = 12, .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1, .groups = 2},
          1, 1);
    check({.batch = 2, .height = 5, .width = 6, .in_channels = 6, .out_channels = 6, .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1, .groups = 6}, 1,
          1);
    check({.batch = 2, .height = 4, .width = 5, .in_channels = 8, .out_channels = 8, .groups = 2}, 0, 0);  // groups of 1 x 1
    check({.batch = 1, .height = 2, .width = 3, .in_channels = 2, .out_channels = 2, .kernel_h = 3, .kernel_w = 5, .pad_top = 3, .pad_left = 6}, 3,
          6);  // mostly padding
    check({.batch = 0, .height = 4, .width = 4, .in_channels = 2, .out_channels = 3, .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1}, 1, 1);
    // Several tasks, and blocks, of patches.
    check({.batch = 3, .height = 40, .width = 37, .in_channels = 16, .out_channels = 24, .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1}, 1, 1);
}

TEST_CASE("a network trains through Eigen as through the reference") {
    using Net =
        Sequential<Conv2d<3, 8, 3>, BatchNorm2d<8>, ReLU, MaxPool2d<2>, Residual<Sequential<Conv2d<8, 8, 3>, BatchNorm2d<8>>>, ReLU, Flatten, Linear<Dyn, 10>>;
    Model<Net, Shape{3, 8, 8}, EigenCpu<double>> fast(Seed{3});
    Model<Net, Shape{3, 8, 8}, Reference<double>> slow(Seed{3});
    const auto x = filled<double>(7, 16 * fast.input_shape().size(), 0);
    std::vector<std::int32_t> labels(16);
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i * 7 % 10);
    Adam fast_adam, slow_adam;
    for (int step = 0; step < 5; ++step) {
        const double a = train_step(fast, fast_adam, CrossEntropy{}, x, labels), b = train_step(slow, slow_adam, CrossEntropy{}, x, labels);
        CHECK(a == doctest::Approx(b).epsilon(1e-9));
    }
    EigenCpu<double> three;
    three.threads = 3;
    Model<Net, Shape{3, 8, 8}, EigenCpu<double>> again(Seed{3}, three);
    Adam adam;
    for (int step = 0; step < 5; ++step) train_step(again, adam, CrossEntropy{}, x, labels);
    CHECK(parameter_values(again) == parameter_values(fast));
}
