// SPDX-License-Identifier: MIT
// Cpu<bf16>: products as sums of pairs in float, in the order of AVX-512 BF16; all else as Cpu<float> computes it, rounded once.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <dla/core/arena.hpp>
#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>
#include <support/kernel_check.hpp>
#include <vector>

using namespace dla;
using support::index_t;

static_assert(kernel::Backend<Cpu<bf16>>);

namespace {

using P = Cpu<bf16>;
using Narrow = std::vector<bf16>;
using Floats = std::vector<float>;
const Reference<bf16> reference;

P with_threads(int threads) {
    P p;
    p.threads = threads;
    return p;
}
Cpu<float> in_float(int threads = 0) {
    Cpu<float> p;
    p.threads = threads;
    return p;
}
std::size_t size(index_t n) { return static_cast<std::size_t>(n); }

Narrow narrow(const Floats& from) {
    Narrow to;
    for (const float x : from) to.push_back(static_cast<bf16>(x));
    return to;
}
Floats wide(const Narrow& from) { return Floats(from.begin(), from.end()); }
Narrow unwritten(index_t n) { return Narrow(size(n), std::numeric_limits<bf16>::quiet_NaN()); }
Narrow reals(std::uint32_t seed, index_t n, float scale = 2) { return narrow(support::reals(seed, n, scale)); }
/// Integers in [-limit, limit].
Narrow integers(std::uint32_t seed, index_t n, int limit) {
    Narrow out;
    for (const float x : support::reals(seed, n, 1)) out.push_back(static_cast<bf16>(std::floor(x * static_cast<float>(limit) + 0.5f)));
    return out;
}
bool same(const Narrow& a, const Narrow& b) { return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(bf16)) == 0); }
bool same(const Floats& a, const Floats& b) { return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0); }

/// f(scratch) with scratch of exactly so many bytes, poisoned, and a guard behind it.
template <class F>
void with_scratch(index_t bytes, const F& f) {
    Arena<P> scratch(P{}, bytes + 256);
    std::memset(scratch.data(), 0xff, size(bytes + 256));
    f(scratch.data());
    int changed = 0;
    for (index_t i = 0; i < 256; ++i) changed += scratch.data()[bytes + i] != std::byte{0xff};
    CHECK_MESSAGE(changed == 0, "scratch overrun");
}

template <class Out>
std::vector<Out> product(const GemmDims& d, const Narrow& a, const Narrow& b, const bf16* bias, float beta, std::vector<Out> c, int threads) {
    const P p = with_threads(threads);
    with_scratch(gemm_scratch(p, d), [&](std::byte* scratch) { gemm(p, scratch, d, a.data(), b.data(), bias, beta, c.data()); });
    return c;
}

/// Largest distance of got from want, in units of a bf16's last place of want (at least of 1/8).
double ulps(const Narrow& got, const Narrow& want) {
    REQUIRE(got.size() == want.size());
    double worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
        if (std::isnan(static_cast<float>(got[i])) != std::isnan(static_cast<float>(want[i]))) return HUGE_VAL;
        const double w = static_cast<double>(want[i]), unit = std::ldexp(1.0, std::max(-3, std::ilogb(w == 0 ? 1e-9 : w)) - 7);
        worst = std::max(worst, std::abs(static_cast<double>(got[i]) - w) / unit);
    }
    return worst;
}
double distance(const Floats& got, const Floats& want) {
    REQUIRE(got.size() == want.size());
    double worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
        if (std::isnan(got[i]) != std::isnan(want[i])) return HUGE_VAL;
        worst = std::max(worst, std::abs(static_cast<double>(got[i]) - want[i]) / std::max(1.0, std::abs(static_cast<double>(want[i]))));
    }
    return worst;
}

const index_t lengths[] = {0, 1, 3, 15, 16, 17, 511, 512, 513, 1030, 70001};

}  // namespace

TEST_CASE("cpu bf16 gemm: exact on integers for odd sizes, transposes, bias and beta") {
    const index_t sizes[] = {0, 1, 2, 3, 5, 8, 9, 17, 33, 49};
    int wrong = 0;
    for (const index_t m : sizes)
        for (const index_t n : sizes)
            for (const index_t k : {0, 1, 2, 7, 16, 131})
                for (const bool ta : {false, true})
                    for (const bool tb : {false, true}) {
                        const GemmDims d{m, n, k, ta, tb};
                        const float beta = (m + n + k) % 3 == 0 ? 0.0f : (m + n + k) % 3 == 1 ? 1.0f : -2.0f;
                        const Narrow a = integers(1, m * k, 4), b = integers(2, k * n, 4), bias = integers(3, n, 9);
                        const bf16* offset = (m + n) % 2 == 0 ? bias.data() : nullptr;
                        Narrow c = beta == 0 ? unwritten(m * n) : integers(4, m * n, 9), expected = c;
                        gemm(reference, nullptr, d, a.data(), b.data(), offset, beta, expected.data());
                        wrong += !same(product(d, a, b, offset, beta, c, 1), expected);
                        Floats dw = support::reals(5, m * n), expected_dw = dw;
                        if (beta == 0) dw.assign(dw.size(), std::numeric_limits<float>::quiet_NaN());
                        for (float& x : dw) x = beta == 0 ? x : std::floor(8 * x);
                        expected_dw = dw;
                        gemm(reference, nullptr, d, a.data(), b.data(), nullptr, beta, expected_dw.data());
                        wrong += product(d, a, b, nullptr, beta, dw, 1) != expected_dw;
                    }
    CHECK(wrong == 0);
}

TEST_CASE("cpu bf16 gemm: sums have the order of the instruction, the second of a pair first, at any number of threads") {
    for (const GemmDims& d :
         {GemmDims{5, 37, 1031, false, true}, GemmDims{130, 70, 784, false, true}, GemmDims{61, 33, 2600, true, false}, GemmDims{3, 5, 2}}) {
        const Narrow a = reals(1, d.m * d.k), b = reals(2, d.k * d.n);
        const Floats got = product(d, a, b, nullptr, 0, Floats(size(d.m * d.n)), 1);
        int wrong = 0;
        for (index_t i = 0; i < d.m; ++i)
            for (index_t j = 0; j < d.n; ++j) {
                float sum = 0;
                const auto step = [&](index_t s) {
                    if (s >= d.k) return;
                    const float x = a[size(d.transpose_a ? s * d.m + i : i * d.k + s)], y = b[size(d.transpose_b ? j * d.k + s : s * d.n + j)];
                    sum = std::fma(x, y, sum);
                };
                for (index_t s = 0; s < d.k; s += 2) step(s + 1), step(s);
                wrong += got[size(i * d.n + j)] != sum;
            }
        CHECK(wrong == 0);
        const Narrow rounded = product(d, a, b, nullptr, 0, unwritten(d.m * d.n), 1);
        CHECK(same(rounded, narrow(got)));
        for (int threads = 2; threads <= 5; ++threads) CHECK(same(product(d, a, b, nullptr, 0, unwritten(d.m * d.n), threads), rounded));
    }
}

TEST_CASE("cpu bf16: scratch of a batch covers smaller ones") {
    const auto grows = [](const auto& bytes) {
        int falls = 0;
        for (index_t n = 1, before = 0; n < 700; before = bytes(n++)) falls += bytes(n) < before;
        CHECK(falls == 0);
    };
    for (const int threads : {1, 3}) {
        const P p = with_threads(threads);
        for (const bool ta : {false, true}) {
            grows([&](index_t m) { return gemm_scratch(p, {m, 37, 129, ta, true}); });
            grows([&](index_t k) { return gemm_scratch(p, {19, 37, k, ta, false}); });
        }
        grows([&](index_t n) { return batch_norm_scratch(p, {n, 37, 1}); });
        grows([&](index_t n) { return column_sum_scratch(p, n, 300); });
        Conv2dDims d{};
        d.height = d.width = d.out_height = d.out_width = 20, d.in_channels = 16, d.out_channels = 24, d.kernel_h = d.kernel_w = 3, d.pad_top = d.pad_left = 1;
        const auto with_batch = [&](index_t n) { return d.batch = n, d; };
        grows([&](index_t n) { return conv2d_forward_scratch(p, with_batch(n)); });
        grows([&](index_t n) { return conv2d_backward_data_scratch(p, with_batch(n)); });
        grows([&](index_t n) { return conv2d_backward_weights_scratch(p, with_batch(n)); });
    }
}

TEST_CASE("cpu bf16 gemm: infinities and NaN go where the product puts them") {
    const GemmDims d{3, 20, 5, false, true};
    Narrow a = reals(1, 15), b = reals(2, 100);
    a[7] = std::numeric_limits<bf16>::infinity(), b[5 * 4] = std::numeric_limits<bf16>::quiet_NaN();
    Narrow expected = unwritten(60);
    gemm(reference, nullptr, d, a.data(), b.data(), nullptr, 0, expected.data());
    const Narrow got = product(d, a, b, nullptr, 0, unwritten(60), 1);
    for (std::size_t i = 0; i < 60; ++i) {
        CHECK(std::isnan(static_cast<float>(got[i])) == std::isnan(static_cast<float>(expected[i])));
        CHECK(std::isinf(static_cast<float>(got[i])) == std::isinf(static_cast<float>(expected[i])));
    }
}

TEST_CASE("cpu bf16: every float is rounded to nearest, ties to even, as Half does") {
    Floats x;
    for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 4093) x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
    for (std::uint32_t bits = 0x3f7f0000; bits < 0x3f830000; ++bits) x.push_back(std::bit_cast<float>(bits));
    for (const std::uint32_t bits : {0x7f7fffffu, 0x7f7f8000u, 0x7f7f7fffu, 0x7f800001u, 0xff800001u, 0x7fffffffu, 0x80000001u})
        x.push_back(std::bit_cast<float>(bits));
    Narrow y(x.size());
    cast(P{}, static_cast<index_t>(x.size()), x.data(), y.data());
    CHECK(same(y, narrow(x)));
}

TEST_CASE("cpu bf16 elementwise kernels: what Cpu<float> gives, rounded once, in place too") {
    for (const index_t n : lengths) {
        CAPTURE(n);
        const Narrow a = reals(1, n, 3), b = reals(2, n);
        const Floats fa = wide(a), fb = wide(b);
        Floats want(size(n));
        const auto expect = [&](const Narrow& got) { CHECK(same(got, narrow(want))); };
        for (const int threads : {1, 2, 5}) {
            const P p = with_threads(threads);
            const Cpu<float> f = in_float();
            Narrow y = a;
            add(f, n, fa.data(), fb.data(), want.data());
            add(p, n, y.data(), b.data(), y.data());
            expect(y);
            const auto words = size(relu_mask_words(n));
            std::vector<std::uint32_t> mask(words + 1, 7), other = mask;
            add_relu(f, n, fa.data(), fb.data(), want.data(), other.data());
            add_relu(p, n, a.data(), b.data(), y.data(), mask.data());
            expect(y);
            CHECK(mask == other);
            y = a;
            add_relu(p, n, y.data(), b.data(), y.data(), nullptr);
            expect(y);
            relu_mask_backward(f, n, other.data(), fb.data(), want.data());
            y = b;
            relu_mask_backward(p, n, mask.data(), y.data(), y.data());
            expect(y);
            for (const Activation kind :
                 {Activation::relu, Activation::leaky_relu, Activation::gelu, Activation::gelu_tanh, Activation::silu, Activation::sigmoid, Activation::tanh,
                  Activation::elu, Activation::softplus, Activation::hardswish}) {
                activation_forward(f, kind, 0.1, n, fa.data(), want.data());
                y = a;
                activation_forward(p, kind, 0.1, n, y.data(), y.data());
                expect(y);
                activation_backward(f, kind, 0.1, n, fa.data(), fa.data(), fb.data(), want.data());
                y = b;
                activation_backward(p, kind, 0.1, n, a.data(), a.data(), y.data(), y.data());
                expect(y);
            }
            const RandomPosition at{3, 1, 4};
            for (const index_t first : {0, 4, 5}) {
                dropout(f, n, 0.3, &at, 2, fa.data(), want.data(), first);
                y = unwritten(n);
                dropout(p, n, 0.3, &at, 2, a.data(), y.data(), first);
                CHECK(ulps(y, narrow(want)) <= (first % 4 == 0 ? 0 : 1));  // the first few in double
            }
            y = unwritten(n);
            copy(p, n, a.data(), y.data());
            CHECK(same(y, a));
        }
    }
}

TEST_CASE("cpu bf16 convolutions: Cpu<float>'s, rounded once; pieces of a batch; the same bits at any number of threads") {
    struct Case {
        index_t batch, in, height, width, out, kernel, stride, padding, groups;
    };
    for (const Case& k :
         {Case{3, 3, 9, 7, 5, 3, 1, 1, 1}, Case{2, 16, 12, 12, 20, 3, 1, 1, 1}, Case{5, 6, 10, 11, 12, 5, 2, 2, 3}, Case{4, 8, 5, 5, 8, 3, 1, 1, 8},
          Case{3, 33, 6, 6, 17, 1, 1, 0, 1}, Case{0, 3, 5, 5, 2, 3, 1, 1, 1}, Case{40, 32, 32, 32, 32, 3, 1, 1, 1}}) {
        CAPTURE(k.in);
        CAPTURE(k.batch);
        Conv2dDims d{};
        d.batch = k.batch, d.height = k.height, d.width = k.width, d.in_channels = k.in, d.out_channels = k.out, d.groups = k.groups;
        d.kernel_h = d.kernel_w = k.kernel, d.stride_h = d.stride_w = k.stride, d.pad_top = d.pad_left = k.padding;
        d.out_height = (k.height + 2 * k.padding - k.kernel) / k.stride + 1, d.out_width = (k.width + 2 * k.padding - k.kernel) / k.stride + 1;
        const index_t nx = k.batch * k.height * k.width * k.in, ny = k.batch * d.out_height * d.out_width * k.out,
                      nw = k.out * k.kernel * k.kernel * (k.in / k.groups);
        const Narrow x = reals(1, nx), dy = reals(2, ny), w = reals(3, nw, 1), bias = reals(4, k.out);
        Floats y(size(ny)), dx(size(nx)), dw = support::reals(5, nw), db = support::reals(6, k.out), dw0 = dw, db0 = db;
        const Cpu<float> f = in_float();
        with_scratch(std::max({conv2d_forward_scratch(f, d), conv2d_backward_data_scratch(f, d), conv2d_backward_weights_scratch(f, d)}),
                     [&](std::byte* scratch) {
                         conv2d_forward(f, scratch, d, wide(x).data(), wide(w).data(), wide(bias).data(), y.data());
                         conv2d_backward_data(f, scratch, d, wide(dy).data(), wide(w).data(), dx.data());
                         conv2d_backward_weights(f, scratch, d, wide(x).data(), wide(dy).data(), dw.data(), db.data());
                     });
        Floats unbiased(size(ny));
        with_scratch(conv2d_forward_scratch(f, d),
                     [&](std::byte* s) { conv2d_forward(f, s, d, wide(x).data(), wide(w).data(), nullptr, unbiased.data()); });
        Conv2dDims larger = d;  // scratch is planned for it
        larger.batch += 5;
        Narrow without = unwritten(ny);
        with_scratch(conv2d_forward_scratch(P{}, larger), [&](std::byte* s) { conv2d_forward(P{}, s, d, x.data(), w.data(), nullptr, without.data()); });
        CHECK(ulps(without, narrow(unbiased)) <= (k.batch > 32 ? 1 : 0));
        Narrow first_y, first_dx;
        Floats first_dw, first_db;
        for (const int threads : {1, 2, 5}) {
            const P p = with_threads(threads);
            Narrow got = unwritten(ny), got_dx = unwritten(nx);
            Floats got_dw = dw0, got_db = db0;
            with_scratch(conv2d_forward_scratch(p, d), [&](std::byte* s) { conv2d_forward(p, s, d, x.data(), w.data(), bias.data(), got.data()); });
            with_scratch(conv2d_backward_data_scratch(p, d), [&](std::byte* s) { conv2d_backward_data(p, s, d, dy.data(), w.data(), got_dx.data()); });
            with_scratch(conv2d_backward_weights_scratch(p, d),
                         [&](std::byte* s) { conv2d_backward_weights(p, s, d, x.data(), dy.data(), got_dw.data(), got_db.data()); });
            CHECK(ulps(got, narrow(y)) <= (k.batch > 32 ? 1 : 0));
            CHECK(ulps(got_dx, narrow(dx)) <= (k.batch > 32 ? 1 : 0));
            CHECK(distance(got_dw, dw) < 2e-5 * std::sqrt(static_cast<double>(ny / k.out + 1)));  // sums of so many products
            CHECK(distance(got_db, db) < 1e-5);
            if (threads == 1) first_y = got, first_dx = got_dx, first_dw = got_dw, first_db = got_db;
            CHECK(same(got, first_y));
            CHECK(same(got_dx, first_dx));
            CHECK(same(got_dw, first_dw));
            CHECK(same(got_db, first_db));
        }
    }
}

TEST_CASE("cpu bf16 poolings: the reference's bits") {
    Pool2dDims d{};
    d.batch = 7, d.height = 11, d.width = 10, d.channels = 19, d.kernel_h = 3, d.kernel_w = 2, d.stride_h = 2, d.stride_w = 1, d.pad_h = 1;
    d.out_height = 6, d.out_width = 9;
    const index_t nx = d.batch * d.height * d.width * d.channels, ny = d.batch * d.out_height * d.out_width * d.channels;
    const Narrow x = reals(1, nx), dy = reals(2, ny);
    Narrow y = unwritten(ny), want_y = y, dx = unwritten(nx), want_dx = dx;
    std::vector<std::int32_t> argmax(size(ny)), want_argmax = argmax;
    max_pool2d_forward(reference, d, x.data(), want_y.data(), want_argmax.data());
    max_pool2d_backward(reference, d, dy.data(), want_argmax.data(), want_dx.data());
    for (const int threads : {1, 3}) {
        const P p = with_threads(threads);
        max_pool2d_forward(p, d, x.data(), y.data(), argmax.data());
        max_pool2d_backward(p, d, dy.data(), argmax.data(), dx.data());
        CHECK(same(y, want_y));
        CHECK(argmax == want_argmax);
        CHECK(same(dx, want_dx));
        max_pool2d_forward(p, d, x.data(), y.data(), nullptr);
        CHECK(same(y, want_y));
    }
    Pool2dDims tiles = d;  // windows that tile the image, but for a row that none covers
    tiles.kernel_h = tiles.stride_h = tiles.kernel_w = tiles.stride_w = 2, tiles.pad_h = 0, tiles.out_height = tiles.out_width = 5;
    const index_t few = d.batch * 5 * 5 * d.channels;
    std::fill(dx.begin(), dx.end(), bf16(7.0f));
    max_pool2d_forward(reference, tiles, x.data(), want_y.data(), want_argmax.data());
    max_pool2d_backward(reference, tiles, dy.data(), want_argmax.data(), want_dx.data());
    max_pool2d_forward(with_threads(2), tiles, x.data(), y.data(), argmax.data());
    max_pool2d_backward(with_threads(2), tiles, dy.data(), argmax.data(), dx.data());
    CHECK(std::equal(y.begin(), y.begin() + few, want_y.begin(), [](bf16 a, bf16 b) { return a.bits() == b.bits(); }));
    CHECK(std::equal(argmax.begin(), argmax.begin() + few, want_argmax.begin()));
    CHECK(same(dx, want_dx));
    avg_pool2d_forward(reference, d, x.data(), want_y.data());
    avg_pool2d_backward(reference, d, dy.data(), want_dx.data());
    avg_pool2d_forward(with_threads(2), d, x.data(), y.data());
    avg_pool2d_backward(with_threads(2), d, dy.data(), dx.data());
    CHECK(same(y, want_y));
    CHECK(same(dx, want_dx));
}

TEST_CASE("cpu bf16 batch and layer normalisation: within a unit of the reference, masters and statistics within rounding") {
    for (const NormDims& d : {NormDims{2, 3, 1}, NormDims{130, 17, 1}, NormDims{1000, 64, 1}, NormDims{5000, 300, 1}, NormDims{9, 4, 6}, NormDims{129, 1, 1}}) {
        CAPTURE(d.outer);
        CAPTURE(d.channels);
        const index_t n = d.outer * d.channels * d.inner;
        const Narrow x = reals(1, n, 3), dy = reals(2, n);
        const Floats w = support::reals(3, d.channels, 1, 1), b = support::reals(4, d.channels);
        struct Outcome {
            Narrow y, dx, infer, infer_dx;
            Floats mean, invstd, running_mean, running_var, dw, db, infer_dw, infer_db;
            std::int64_t tracked = 0;
        };
        const auto run = [&](const auto& p) {
            Outcome o{unwritten(n), unwritten(n), unwritten(n), unwritten(n), {}, {}, Floats(size(d.channels)), Floats(size(d.channels), 1.0f), w, b, w, b};
            o.mean.resize(size(d.channels)), o.invstd.resize(size(d.channels));
            with_scratch(batch_norm_scratch(p, d), [&](std::byte* s) {
                batch_norm_forward(p, s, d, 1e-5, 0.1, x.data(), w.data(), b.data(), o.running_mean.data(), o.running_var.data(), &o.tracked, o.y.data(),
                                   o.mean.data(), o.invstd.data());
                o.dx = dy;  // dx over dy
                batch_norm_backward(p, s, d, x.data(), w.data(), o.mean.data(), o.invstd.data(), o.dx.data(), o.dx.data(), o.dw.data(), o.db.data());
                batch_norm_infer_backward(p, s, d, 1e-5, x.data(), w.data(), o.running_mean.data(), o.running_var.data(), dy.data(), o.infer_dx.data(),
                                          o.infer_dw.data(), o.infer_db.data());
            });
            batch_norm_infer(p, d, 1e-5, x.data(), w.data(), b.data(), o.running_mean.data(), o.running_var.data(), o.infer.data());
            return o;
        };
        const Outcome want = run(reference), got = run(with_threads(1));
        CHECK(ulps(got.y, want.y) <= 1);
        CHECK(ulps(got.dx, want.dx) <= 1);
        CHECK(ulps(got.infer, want.infer) <= 1);
        CHECK(ulps(got.infer_dx, want.infer_dx) <= 1);
        CHECK(distance(got.mean, want.mean) < 1e-5);
        CHECK(distance(got.invstd, want.invstd) < 1e-5);
        CHECK(distance(got.running_var, want.running_var) < 1e-5);
        CHECK(distance(got.dw, want.dw) < 1e-4);
        CHECK(distance(got.db, want.db) < 1e-4);
        CHECK(distance(got.infer_dw, want.infer_dw) < 1e-4);
        CHECK(distance(got.infer_db, want.infer_db) < 1e-4);
        CHECK(distance(got.running_mean, want.running_mean) < 1e-5);
        CHECK(got.tracked == 1);
        for (const int threads : {2, 5}) {
            const Outcome again = run(with_threads(threads));
            CHECK(same(again.y, got.y));
            CHECK(same(again.dx, got.dx));
            CHECK(same(again.infer, got.infer));
            CHECK(same(again.dw, got.dw));
            CHECK(same(again.mean, got.mean));
        }
    }
    const index_t rows = 300, columns = 130, n = rows * columns;
    const Narrow x = reals(1, n), dy = reals(2, n);
    const Floats w = support::reals(3, columns, 1, 1), b = support::reals(4, columns);
    Narrow y = unwritten(n), want = y, dx = y, want_dx = y;
    Floats mean(size(rows)), invstd(size(rows)), dw = w, db = b, want_dw = w, want_db = b;
    layer_norm_forward(reference, rows, columns, 1e-5, x.data(), w.data(), b.data(), want.data(), mean.data(), invstd.data());
    layer_norm_backward(reference, nullptr, rows, columns, x.data(), w.data(), mean.data(), invstd.data(), dy.data(), want_dx.data(), want_dw.data(),
                        want_db.data());
    layer_norm_forward(with_threads(2), rows, columns, 1e-5, x.data(), w.data(), b.data(), y.data(), mean.data(), invstd.data());
    layer_norm_backward(with_threads(2), nullptr, rows, columns, x.data(), w.data(), mean.data(), invstd.data(), dy.data(), dx.data(), dw.data(), db.data());
    CHECK(same(y, want));
    CHECK(same(dx, want_dx));
    CHECK(same(dw, want_dw));
    CHECK(same(db, want_db));
}

TEST_CASE("cpu bf16: column sums, and what is of masters, are Cpu<float>'s") {
    const index_t rows = 3001, columns = 45;
    const Narrow x = reals(1, rows * columns);
    const Floats start = support::reals(2, columns);
    Floats want = start, first;
    const Cpu<float> f = in_float();
    with_scratch(column_sum_scratch(f, rows, columns), [&](std::byte* s) { column_sum(f, s, rows, columns, wide(x).data(), want.data()); });
    for (const int threads : {1, 2, 5}) {
        const P p = with_threads(threads);
        Floats got = start;
        with_scratch(column_sum_scratch(p, rows, columns), [&](std::byte* s) { column_sum(p, s, rows, columns, x.data(), got.data()); });
        CHECK(distance(got, want) < 1e-5);
        if (threads == 1) first = got;
        CHECK(same(got, first));
    }
    const index_t n = 5003;
    AdamScalars adam{};
    adam.learning_rate = 0.01, adam.beta1 = 0.9, adam.beta2 = 0.999, adam.eps = 1e-8, adam.correction1 = 0.1, adam.correction2 = 0.001;
    const Floats gradient = support::reals(3, n);
    Floats a = support::reals(4, n), b = a, m(size(n)), v(size(n)), m2 = m, v2 = v;
    adam_step(P{}, n, &adam, a.data(), gradient.data(), m.data(), v.data());
    adam_step(f, n, &adam, b.data(), gradient.data(), m2.data(), v2.data());
    CHECK(same(a, b));
    double sum = 0, sum2 = 0;
    with_scratch(sum_of_squares_scratch(P{}, n), [&](std::byte* s) { sum_of_squares(P{}, s, n, gradient.data(), &sum); });
    with_scratch(sum_of_squares_scratch(f, n), [&](std::byte* s) { sum_of_squares(f, s, n, gradient.data(), &sum2); });
    CHECK(sum == sum2);
}
