// SPDX-License-Identifier: MIT
// The Cpu<float> convolutions as direct sums (strict) against the reference: exact on small integers, within a derived bound on reals, the same bits at any
// number of threads.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <dla/core/arena.hpp>
#include <dla/core/philox.hpp>
#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>
#include <dla/kernels/reference/conv2d.hpp>
#include <limits>
#include <string>
#include <support/guarded_scratch.hpp>
#include <vector>

using namespace dla;

namespace {

static_assert(kernel::Conv2dForward<Cpu<float>> && kernel::Conv2dBackwardData<Cpu<float>> && kernel::Conv2dBackwardWeights<Cpu<float>>);
static_assert(kernel::Conv2dForward<Cpu<double>>);

using Floats = std::vector<float>;
const float not_a_number = std::numeric_limits<float>::quiet_NaN();

/// `count` values that depend on the seed alone: integers in [-limit, limit], or reals in [-1, 1) for limit 0.
Floats filled(std::uint32_t seed, index_t count, int limit) {
    Floats out(static_cast<std::size_t>(count));
    for (index_t i = 0; i < count; ++i) {
        const auto word = random_block(RandomPosition{.seed = seed}, 2, static_cast<std::uint32_t>(i))[0];
        out[static_cast<std::size_t>(i)] =
            limit == 0 ? static_cast<float>(word) * 0x1p-31f - 1.0f : static_cast<float>(static_cast<int>(word >> 8) % (2 * limit + 1) - limit);
    }
    return out;
}

struct Problem {
    Conv2dDims d;
    Floats x, w, bias, dy;
};

/// Output sizes follow from the padding behind the image, which may differ from the one before it.
Problem problem(Conv2dDims d, index_t pad_bottom, index_t pad_right, int limit) {
    d.out_height = (d.height + d.pad_top + pad_bottom - d.dilation_h * (d.kernel_h - 1) - 1) / d.stride_h + 1;
    d.out_width = (d.width + d.pad_left + pad_right - d.dilation_w * (d.kernel_w - 1) - 1) / d.stride_w + 1;
    return {d, filled(1, d.batch * d.height * d.width * d.in_channels, limit),
            filled(2, d.out_channels * d.kernel_h * d.kernel_w * d.in_channels / d.groups, limit), filled(3, d.out_channels, limit),
            filled(4, d.batch * d.out_height * d.out_width * d.out_channels, limit)};
}

using Scratch = support::GuardedScratch;

struct Results {
    Floats y, dx, dw, dbias;
};

template <class P>
Results run_all(const P& p, const Problem& q, bool with_bias) {
    const Conv2dDims& d = q.d;
    Results r{Floats(q.dy.size(), not_a_number), Floats(q.x.size(), not_a_number), filled(5, static_cast<index_t>(q.w.size()), 3),
              filled(6, d.out_channels, 3)};
    Scratch forward(conv2d_forward_scratch(p, d)), data(conv2d_backward_data_scratch(p, d)), weights(conv2d_backward_weights_scratch(p, d));
    conv2d_forward(p, forward.data(), d, q.x.data(), q.w.data(), with_bias ? q.bias.data() : nullptr, r.y.data());
    conv2d_backward_data(p, data.data(), d, q.dy.data(), q.w.data(), r.dx.data());
    conv2d_backward_weights(p, weights.data(), d, q.x.data(), q.dy.data(), r.dw.data(), with_bias ? r.dbias.data() : nullptr);
    return r;
}

std::string text(const Conv2dDims& d) {
    const auto n = [](index_t v) { return std::to_string(v); };
    return n(d.batch) + "x" + n(d.height) + "x" + n(d.width) + "x" + n(d.in_channels) + " -> " + n(d.out_height) + "x" + n(d.out_width) + "x" +
           n(d.out_channels) + " kernel " + n(d.kernel_h) + "x" + n(d.kernel_w) + " stride " + n(d.stride_h) + "," + n(d.stride_w) + " dilation " +
           n(d.dilation_h) + "," + n(d.dilation_w) + " pad " + n(d.pad_top) + "," + n(d.pad_left) + " groups " + n(d.groups);
}

void check_exact(const Conv2dDims& dims, index_t pad_bottom, index_t pad_right, int threads = 1) {
    const Problem q = problem(dims, pad_bottom, pad_right, 3);
    Cpu<float> p;
    p.threads = threads;
    p.strict = true;
    for (const bool with_bias : {false, true}) {
        const Results expected = run_all(Reference<float>{}, q, with_bias), got = run_all(p, q, with_bias);
        const std::string name = text(q.d) + (with_bias ? " with bias" : "");
        CHECK_MESSAGE(got.y == expected.y, "y of ", name);
        CHECK_MESSAGE(got.dx == expected.dx, "dx of ", name);
        CHECK_MESSAGE(got.dw == expected.dw, "dw of ", name);
        CHECK_MESSAGE(got.dbias == expected.dbias, "dbias of ", name);
    }
}

Conv2dDims square(index_t batch, index_t size, index_t in, index_t out, index_t kernel, index_t stride, index_t pad, index_t dilation = 1, index_t groups = 1) {
    return {batch, size, size, in, out, kernel, kernel, stride, stride, dilation, dilation, pad, pad, 0, 0, groups};
}

}  // namespace

TEST_CASE("conv2d: exact on integers over kernels, strides, paddings and channel tails") {
    for (const index_t size : {1, 5, 8, 11})
        for (const index_t kernel : {1, 2, 3, 5})
            for (const index_t stride : {1, 2, 3})
                for (const index_t pad : {0, 1, 2}) {
                    if (size + 2 * pad < kernel) continue;
                    const index_t in = (size + kernel) % 3 == 0   ? 3
                                       : (size + kernel) % 3 == 1 ? 16
                                                                  : 7,
                                  out = (kernel + stride) % 3 == 0   ? 33
                                        : (kernel + stride) % 3 == 1 ? 10
                                                                     : 16;
                    check_exact(square(2, size, in, out, kernel, stride, pad), pad, pad);
                }
}

TEST_CASE("conv2d: exact on integers for unequal sides, dilation and groups") {
    check_exact({2, 9, 7, 5, 6, 3, 2, 2, 1, 1, 1, 2, 0, 0, 0, 1}, 0, 1);  // padding on one side only
    check_exact({1, 6, 13, 4, 8, 1, 5, 1, 3, 1, 1, 0, 2, 0, 0, 1}, 0, 2);
    check_exact({2, 4, 4, 2, 3, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 1}, 1, 1);  // same padding of an even kernel
    check_exact({1, 5, 5, 3, 4, 3, 3, 1, 1, 1, 1, 4, 3, 0, 0, 1}, 4, 3);  // padding wider than the kernel
    check_exact({1, 8, 8, 3, 4, 3, 3, 3, 3, 1, 1, 0, 0, 0, 0, 1}, 0, 0);  // columns behind the last window
    check_exact({2, 6, 6, 4, 4, 2, 2, 4, 4, 1, 1, 0, 0, 0, 0, 1}, 0, 0);  // positions that no window reads
    for (const index_t dilation : {2, 3, 4})
        for (const index_t stride : {1, 2, 4, 6}) check_exact(square(2, 13, 3, 5, 3, stride, 2, dilation), 2, 2);
    check_exact({1, 12, 14, 3, 5, 3, 3, 4, 2, 2, 3, 1, 2, 0, 0, 1}, 1, 2);
    check_exact(square(2, 7, 8, 12, 3, 1, 1, 1, 4), 1, 1);
    check_exact(square(2, 9, 6, 6, 3, 2, 1, 1, 6), 1, 1);  // depthwise
    check_exact(square(1, 9, 4, 70, 3, 1, 2, 2, 2), 2, 2);
    check_exact(square(0, 8, 3, 4, 3, 1, 1), 1, 1);  // batch 0
}

TEST_CASE("conv2d: exact on integers with one channel in a group") {
    for (const index_t kernel : {1, 2, 3, 5, 7})
        for (const index_t stride : {1, 2, 3})
            for (const index_t dilation : {1, 2})
                for (const index_t channels : {2, 8, 17, 40})
                    for (const index_t pad : {index_t{0}, kernel / 2})
                        check_exact(square(2, 14, channels, channels, kernel, stride, pad, dilation, channels), pad, pad);
    check_exact({3, 9, 7, 12, 12, 3, 2, 2, 1, 1, 3, 2, 0, 0, 0, 12}, 0, 1);
    check_exact({2, 4, 4, 6, 6, 2, 2, 3, 3, 1, 1, 0, 0, 0, 0, 6}, 0, 0);  // positions that no window reads
    check_exact(square(1, 60, 24, 24, 3, 1, 1, 1, 24), 1, 1, 2);          // an image in pieces
    check_exact(square(35, 5, 9, 9, 3, 1, 1, 1, 9), 1, 1, 3);             // several images in one part
    check_exact(square(3, 20, 130, 130, 3, 2, 1, 1, 130), 1, 1, 2);
    check_exact(square(2, 9, 6, 12, 3, 1, 1, 1, 6), 1, 1);  // two results of each channel
    check_exact(square(0, 8, 6, 6, 3, 1, 1, 1, 6), 1, 1);
}

TEST_CASE("conv2d: exact on integers of one tap, which is a matrix product") {
    for (const index_t in : {1, 16, 20})
        for (const index_t out : {8, 10, 16, 40, 64})
            for (const index_t pad : {0, 1}) check_exact(square(3, 9, in, out, 1, 1, pad), pad, pad, 2);
    check_exact(square(3, 9, 24, 32, 1, 1, 0, 1, 2), 0, 0);
    check_exact(square(1, 50, 16, 32, 1, 1, 0), 0, 0, 2);
    check_exact({2, 8, 8, 16, 16, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1}, -1, -1);  // the last row and column are not read
    check_exact({2, 8, 8, 16, 16, 1, 1, 1, 2, 1, 1, 0, 0, 0, 0, 1}, 0, 0);
}

TEST_CASE("conv2d: exact on integers where images are cut, batches are cut, and weights exceed L2") {
    check_exact(square(1, 40, 33, 20, 3, 1, 1), 1, 1, 2);
    check_exact(square(2, 57, 40, 8, 3, 2, 1), 1, 1, 2);
    check_exact(square(35, 6, 5, 9, 3, 1, 1), 1, 1, 3);     // several images in one part
    check_exact(square(5, 6, 130, 300, 3, 1, 1), 1, 1, 2);  // several blocks of weights
    check_exact(square(20, 8, 64, 96, 1, 1, 0), 0, 0, 2);
    check_exact(square(20, 9, 64, 40, 1, 2, 0), 0, 0, 2);
    check_exact(square(1, 70, 64, 3, 7, 2, 3), 3, 3, 2);
}

TEST_CASE("conv2d: reals within 8 sqrt(k) 2^-24 sum |a| |b| of the reference in double") {
    for (const Conv2dDims& dims : {square(3, 12, 32, 40, 3, 1, 1), square(17, 10, 16, 32, 3, 2, 1), square(4, 9, 130, 33, 1, 1, 0)}) {
        const Problem q = problem(dims, dims.pad_top, dims.pad_left, 0);
        const Conv2dDims& d = q.d;
        Cpu<float> p;
        p.strict = true;
        const Results got = run_all(p, q, true);
        const auto wide = [](const Floats& v, bool magnitude) {
            std::vector<double> out(v.begin(), v.end());
            if (magnitude) {
                for (double& value : out) value = std::abs(value);
            }
            return out;
        };
        struct Exact {
            std::vector<double> y, dx, dw;
        };
        const auto exact = [&](bool magnitude) {
            const Reference<double> r;
            const auto x = wide(q.x, magnitude), w = wide(q.w, magnitude), bias = wide(q.bias, magnitude), dy = wide(q.dy, magnitude);
            Exact e{std::vector<double>(q.dy.size()), std::vector<double>(q.x.size()), wide(filled(5, static_cast<index_t>(q.w.size()), 3), magnitude)};
            conv2d_forward(r, nullptr, d, x.data(), w.data(), bias.data(), e.y.data());
            conv2d_backward_data(r, nullptr, d, dy.data(), w.data(), e.dx.data());
            conv2d_backward_weights(r, nullptr, d, x.data(), dy.data(), e.dw.data(), nullptr);
            return e;
        };
        const Exact value = exact(false), magnitude = exact(true);
        const auto worst = [](const Floats& a, const std::vector<double>& b, const std::vector<double>& size, index_t terms) {
            double most = 0;
            for (std::size_t i = 0; i < a.size(); ++i) {
                if (a[i] != b[i]) most = std::max(most, std::abs(a[i] - b[i]) / (8 * std::sqrt(static_cast<double>(terms)) * 0x1p-24 * size[i]));
            }
            return most;
        };
        CHECK_MESSAGE(worst(got.y, value.y, magnitude.y, d.kernel_h * d.kernel_w * d.in_channels) <= 1, "y of ", text(d));
        CHECK_MESSAGE(worst(got.dx, value.dx, magnitude.dx, d.kernel_h * d.kernel_w * d.out_channels) <= 1, "dx of ", text(d));
        CHECK_MESSAGE(worst(got.dw, value.dw, magnitude.dw, d.batch * d.out_height * d.out_width) <= 1, "dw of ", text(d));
    }
}

TEST_CASE("conv2d: the same bits at any number of threads") {
    for (const Conv2dDims& dims : {square(19, 16, 16, 32, 3, 1, 1), square(2, 33, 20, 24, 3, 2, 1), square(1, 30, 130, 70, 3, 1, 1),
                                   square(7, 12, 8, 8, 3, 1, 1, 1, 2), square(9, 30, 40, 40, 3, 1, 1, 1, 40), square(9, 20, 24, 48, 1, 1, 0)}) {
        const Problem q = problem(dims, dims.pad_top, dims.pad_left, 0);
        Cpu<float> p;
        p.threads = 1;
        p.strict = true;
        const Results one = run_all(p, q, true);
        for (const int threads : {2, 3, 5}) {
            p.threads = threads;
            const Results more = run_all(p, q, true);
            const auto same = [](const Floats& a, const Floats& b) { return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0; };
            CHECK_MESSAGE(same(one.y, more.y), "y of ", text(q.d), ", ", threads, " threads");
            CHECK_MESSAGE(same(one.dx, more.dx), "dx of ", text(q.d), ", ", threads, " threads");
            CHECK_MESSAGE(same(one.dw, more.dw), "dw of ", text(q.d), ", ", threads, " threads");
            CHECK_MESSAGE(same(one.dbias, more.dbias), "dbias of ", text(q.d), ", ", threads, " threads");
        }
    }
}
