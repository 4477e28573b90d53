// SPDX-License-Identifier: MIT
// Convolutions of 3 x 3 taps through Winograd's transforms: within a bound of the reference in double, whatever the sides, borders and channels; the same
// bits at any number of threads; direct sums where `strict` asks for them.
#include <doctest/doctest.h>

#include <dla/core/philox.hpp>
#include <dla/kernels/cpu.hpp>
#include <dla/kernels/reference/conv2d.hpp>
#include <support/kernel_check.hpp>

#include <string>
#include <utility>

using namespace dla;
using support::Floats;

namespace {

struct Results {
    Floats y, dx, dw, dbias;
};

struct Problem {
    Conv2dDims d;
    Floats x, w, bias, dy;

    Problem(index_t batch, index_t height, index_t width, index_t in, index_t out, index_t pad_top, index_t pad_left, index_t pad_bottom, index_t pad_right) {
        d = {batch, height, width, in, out, 3, 3, 1, 1, 1, 1, pad_top, pad_left, height + pad_top + pad_bottom - 2, width + pad_left + pad_right - 2, 1};
        x = support::reals(1, batch * height * width * in);
        w = support::reals(2, out * 9 * in);
        bias = support::reals(3, out);
        dy = support::reals(4, batch * d.out_height * d.out_width * out);
    }
    std::string text() const {
        std::string s;
        for (const index_t v : {d.batch, d.height, d.width, d.in_channels, d.out_channels, d.pad_top, d.pad_left, d.out_height, d.out_width})
            s += std::to_string(v) + ' ';
        return s;
    }

    /// The gradients of weights and bias are added to what is there.
    Results run(const Cpu<float>& p, bool with_bias = true) const {
        Results r{support::poisoned(static_cast<index_t>(dy.size())), support::poisoned(static_cast<index_t>(x.size())),
                  support::reals(5, static_cast<index_t>(w.size())), support::reals(6, d.out_channels)};
        support::Scratch forward(conv2d_forward_scratch(p, d)), data(conv2d_backward_data_scratch(p, d)), weights(conv2d_backward_weights_scratch(p, d));
        conv2d_forward(p, forward.data(), d, x.data(), w.data(), with_bias ? bias.data() : nullptr, r.y.data());
        conv2d_backward_data(p, data.data(), d, dy.data(), w.data(), r.dx.data());
        conv2d_backward_weights(p, weights.data(), d, x.data(), dy.data(), r.dw.data(), with_bias ? r.dbias.data() : nullptr);
        return r;
    }
};

struct Exact {
    std::vector<double> y, dx, dw, dbias;
};
Exact exact(const Problem& q, bool magnitudes) {
    const auto wide = [&](const Floats& v) {
        std::vector<double> out(v.begin(), v.end());
        if (magnitudes)
            for (double& e : out) e = std::abs(e);
        return out;
    };
    const Reference<double> r;
    const auto x = wide(q.x), w = wide(q.w), bias = wide(q.bias), dy = wide(q.dy);
    Exact e{std::vector<double>(q.dy.size()), std::vector<double>(q.x.size()), wide(support::reals(5, static_cast<index_t>(q.w.size()))),
            wide(support::reals(6, q.d.out_channels))};
    conv2d_forward(r, nullptr, q.d, x.data(), w.data(), bias.data(), e.y.data());
    conv2d_backward_data(r, nullptr, q.d, dy.data(), w.data(), e.dx.data());
    conv2d_backward_weights(r, nullptr, q.d, x.data(), dy.data(), e.dw.data(), e.dbias.data());
    return e;
}

/// The largest error in units of 2^-24 sqrt(terms) times the largest sum of magnitudes: a transform mixes its neighbours' roundings into each result, so the
/// measure is the largest sum and not each result's own.
double worst(const Floats& got, const std::vector<double>& value, const std::vector<double>& magnitude, index_t terms) {
    double most = 0, scale = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
        most = std::isnan(got[i]) ? HUGE_VAL : std::max(most, std::abs(static_cast<double>(got[i]) - value[i]));
        scale = std::max(scale, magnitude[i]);
    }
    return most / (0x1p-24 * std::sqrt(static_cast<double>(terms)) * scale);
}

std::vector<Problem> problems() {
    std::vector<Problem> all;
    // Each number of rows and columns that the last tile may have.
    for (const auto& [height, width] : {std::pair<index_t, index_t>{4, 4}, {5, 12}, {12, 5}, {6, 8}, {8, 6}, {7, 7}, {9, 11}, {10, 9}, {11, 10}})
        all.emplace_back(64 / (((height + 3) / 4) * ((width + 3) / 4)) + 1, height, width, 32, 35, 1, 1, 1, 1);
    all.emplace_back(9, 13, 12, 19, 37, 1, 1, 1, 1);  // tails of channels
    all.emplace_back(9, 12, 13, 33, 40, 0, 0, 0, 0);  // no border
    all.emplace_back(10, 12, 9, 20, 50, 2, 2, 2, 2);  // more border than a 3 x 3 kernel needs
    all.emplace_back(8, 15, 10, 24, 40, 0, 2, 1, 0);  // borders of their own on each side
    all.emplace_back(1, 37, 70, 16, 32, 1, 1, 1, 1);  // one image, many tiles
    all.emplace_back(1, 4, 270, 32, 32, 1, 1, 1, 1);  // one row of tiles, for two parts of the gradient of w
    all.emplace_back(66, 4, 4, 130, 66, 1, 1, 1, 1);  // many images of one tile; weights in several chunks
    all.emplace_back(16, 6, 7, 520, 16, 1, 1, 1, 1);  // more channels than zeros lie behind each other
    all.emplace_back(16, 7, 6, 16, 520, 1, 1, 1, 1);
    all.emplace_back(70, 14, 14, 32, 34, 1, 1, 1, 1);  // several blocks for each thread
    return all;
}

}  // namespace

TEST_CASE("winograd: reals within a bound of the reference in double, next to direct sums") {
    double most = 0, direct = 0;
    for (const Problem& q : problems()) {
        CAPTURE(q.text());
        REQUIRE(conv2d_uses_winograd(Cpu<float>{}, q.d));
        const Exact value = exact(q, false), magnitude = exact(q, true);
        for (const bool strict : {false, true}) {
            Cpu<float> p;
            p.strict = strict;
            const Results got = q.run(p);
            const double y = worst(got.y, value.y, magnitude.y, 9 * q.d.in_channels), dx = worst(got.dx, value.dx, magnitude.dx, 9 * q.d.out_channels),
                         dw = worst(got.dw, value.dw, magnitude.dw, q.d.batch * q.d.out_height * q.d.out_width);
            double& largest = strict ? direct : most;
            largest = std::max({largest, y, dx, dw});
            const double bound = strict ? 0.5 : 1;
            CHECK(y <= bound);
            CHECK(dx <= bound);
            CHECK(dw <= bound);
            CHECK(worst(got.dbias, value.dbias, magnitude.dbias, q.d.batch * q.d.out_height * q.d.out_width) <= 0.5);
        }
    }
    MESSAGE("largest error in 2^-24 sqrt(terms) of the largest sum of magnitudes: ", most, ", of direct sums ", direct);
}

TEST_CASE("winograd: without a bias as with one of zeros") {
    Problem q(9, 12, 12, 16, 20, 1, 1, 1, 1);
    std::fill(q.bias.begin(), q.bias.end(), 0.0f);
    const Results with = q.run({}), without = q.run({}, false);
    CHECK(support::same_values(with.y, without.y));
    CHECK(support::same_bits(with.dw, without.dw));
    CHECK(without.dbias == support::reals(6, q.d.out_channels));
}

TEST_CASE("winograd: the same bits at any number of threads") {
    for (const Problem& q : problems()) {
        CAPTURE(q.text());
        support::check_threads([&](const Cpu<float>& p) {
            Results r = q.run(p);
            for (const Floats* part : {&r.dx, &r.dw, &r.dbias}) r.y.insert(r.y.end(), part->begin(), part->end());
            return r.y;
        });
    }
}

TEST_CASE("winograd: an infinity or NaN reaches what depends on it, and no other image") {
    Problem q(10, 12, 12, 32, 32, 1, 1, 1, 1);
    for (const float special : {support::not_a_number, support::infinite}) {
        q.x[static_cast<std::size_t>((3 * 144 + 5 * 12 + 6) * 32 + 2)] = special;
        const Results r = q.run({});
        const std::size_t image = 144 * 32;
        for (std::size_t i = 0; i < r.y.size(); ++i)
            if (i / image != 3) REQUIRE(std::isfinite(r.y[i]));
        for (const index_t row : {4, 5, 6})
            for (const index_t column : {5, 6, 7}) REQUIRE_FALSE(std::isfinite(r.y[static_cast<std::size_t>((3 * 144 + row * 12 + column) * 32)]));
        CHECK_FALSE(std::isfinite(r.dw[2]));
    }
}

namespace {

/// y with weights that were prepared, in memory that holds no zeros by chance.
Floats inferred(const Cpu<float>& p, const Problem& q, bool with_bias = true) {
    support::Scratch prepared(conv2d_prepare(p, nullptr, q.d, q.w.data(), nullptr)), scratch(conv2d_infer_scratch(p, q.d));
    CHECK(conv2d_prepare(p, scratch.data(), q.d, q.w.data(), prepared.data()) == conv2d_prepare(p, nullptr, q.d, nullptr, nullptr));
    Floats y = support::poisoned(static_cast<index_t>(q.dy.size()));
    conv2d_infer(p, scratch.data(), q.d, q.x.data(), q.w.data(), with_bias ? q.bias.data() : nullptr, prepared.data(), y.data());
    return y;
}

}  // namespace

TEST_CASE("winograd: with prepared weights an image alone gets the bits that it gets in a batch") {
    for (const Problem& q : problems()) {
        CAPTURE(q.text());
        const Floats batch = q.run({}).y;
        CHECK(support::same_bits(inferred({}, q), batch));
        for (const index_t images : {index_t{0}, index_t{1}, index_t{2}, index_t{3}, q.d.batch / 2}) {
            if (images > q.d.batch) continue;
            Problem few = q;
            few.d.batch = images;
            few.x.resize(few.x.size() / static_cast<std::size_t>(q.d.batch) * static_cast<std::size_t>(images));
            few.dy.resize(few.dy.size() / static_cast<std::size_t>(q.d.batch) * static_cast<std::size_t>(images));
            CHECK(conv2d_infer_scratch({}, few.d) <= conv2d_infer_scratch({}, q.d));
            support::check_threads([&](const Cpu<float>& p) { return inferred(p, few); });
            CHECK(support::same_bits(inferred({}, few), Floats(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(few.dy.size()))));
        }
    }
}

TEST_CASE("winograd: without a bias in inference, and none prepared where direct sums are asked for") {
    Problem q(2, 12, 12, 16, 20, 1, 1, 1, 1);
    std::fill(q.bias.begin(), q.bias.end(), 0.0f);
    CHECK(support::same_values(inferred({}, q), inferred({}, q, false)));
    Cpu<float> strict;
    strict.strict = true;
    CHECK(conv2d_prepare({}, nullptr, q.d, nullptr, nullptr) > 0);
    CHECK(conv2d_prepare(strict, nullptr, q.d, nullptr, nullptr) == 0);
    q.d.groups = 2;
    CHECK(conv2d_prepare({}, nullptr, q.d, nullptr, nullptr) == 0);
}

TEST_CASE("winograd: direct sums for other kernels, few channels, few tiles, and where strict asks for them") {
    const Problem q(16, 8, 8, 32, 32, 1, 1, 1, 1);
    Cpu<float> p;
    CHECK(conv2d_uses_winograd(p, q.d));
    p.strict = true;
    CHECK_FALSE(conv2d_uses_winograd(p, q.d));
    p.strict = false;
    const auto with = [&](auto change) {
        Conv2dDims d = q.d;
        change(d);
        return conv2d_uses_winograd(p, d);
    };
    CHECK_FALSE(with([](Conv2dDims& d) { d.kernel_h = 1; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.kernel_w = 5; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.stride_h = 2; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.stride_w = 2; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.dilation_h = 2; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.dilation_w = 2; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.groups = 2; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.pad_top = 3; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.out_height = 10; }));  // a border of 3 below and on the right: rows of y of which x knows nothing
    CHECK_FALSE(with([](Conv2dDims& d) { d.out_width = 10; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.in_channels = 3; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.out_channels = 15; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.in_channels = d.out_channels = 16; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.out_height = d.out_width = 5; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.batch = 1; }));
    CHECK_FALSE(with([](Conv2dDims& d) { d.out_height = d.out_width = 1; }));
}
