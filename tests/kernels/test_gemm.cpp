// SPDX-License-Identifier: MIT
// The Cpu<float> matrix product: exact on small integers, within a derived bound on reals, the same bits at any number of threads.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <dla/core/arena.hpp>
#include <dla/core/philox.hpp>
#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>
#include <dla/kernels/reference/gemm.hpp>
#include <limits>
#include <string>
#include <support/guarded_scratch.hpp>
#include <utility>
#include <vector>

using namespace dla;

namespace {

static_assert(kernel::Gemm<Cpu<float>> && kernel::Gemm<Cpu<double>>);

using Floats = std::vector<float>;

/// Value i of a sequence that depends on the seed alone: an integer in [-limit, limit], or a real in [-1, 1) for limit 0.
float value(std::uint32_t seed, index_t i, int limit) {
    const auto word = random_block(RandomPosition{.seed = seed}, 1, static_cast<std::uint32_t>(i))[0];
    if (limit == 0) return static_cast<float>(word) * 0x1p-31f - 1.0f;
    return static_cast<float>(static_cast<int>(word >> 8) % (2 * limit + 1) - limit);
}

Floats filled(std::uint32_t seed, index_t count, int limit) {
    Floats out(static_cast<std::size_t>(count));
    for (index_t i = 0; i < count; ++i) out[static_cast<std::size_t>(i)] = value(seed, i, limit);
    return out;
}

/// Runs the product with scratch of exactly the declared size, poisoned, and a guard behind it.
Floats product(const GemmDims& d, const Floats& a, const Floats& b, const float* bias, float beta, Floats c, int threads) {
    Cpu<float> p;
    p.threads = threads;
    support::GuardedScratch scratch(gemm_scratch(p, d));
    gemm(p, scratch.data(), d, a.data(), b.data(), bias, beta, c.data());
    return c;
}

std::string text(const GemmDims& d) {
    return std::to_string(d.m) + "x" + std::to_string(d.n) + "x" + std::to_string(d.k) + (d.transpose_a ? " At" : "") + (d.transpose_b ? " Bt" : "");
}

void check_exact(GemmDims d, bool with_bias, float beta) {
    // Sums stay below 2^24, so every order of addition gives the same float.
    const Floats a = filled(1, d.m * d.k, 4), b = filled(2, d.k * d.n, 4), bias = filled(3, d.n, 9);
    Floats c = filled(4, d.m * d.n, 9);
    if (beta == 0.0f) std::fill(c.begin(), c.end(), std::numeric_limits<float>::quiet_NaN());
    Floats expected = c;
    gemm(Reference<float>{}, nullptr, d, a.data(), b.data(), with_bias ? bias.data() : nullptr, beta, expected.data());
    const Floats got = product(d, a, b, with_bias ? bias.data() : nullptr, beta, c, 1);
    CHECK_MESSAGE(got == expected, text(d), " bias ", with_bias, " beta ", beta);
}

}  // namespace

TEST_CASE("gemm: exact on integers for odd sizes, tails, transposes, bias and beta") {
    const index_t sizes[] = {0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 48, 65};
    for (const index_t m : sizes)
        for (const index_t n : sizes)
            for (const index_t k : {0, 1, 3, 17}) {
                const bool with_bias = (m + n) % 2 == 0;
                const float beta = (m + n + k) % 3 == 0 ? 0.0f : (m + n + k) % 3 == 1 ? 1.0f : -2.0f;
                for (const bool ta : {false, true})
                    for (const bool tb : {false, true}) check_exact({m, n, k, ta, tb}, with_bias, beta);
            }
}

TEST_CASE("gemm: exact on integers where blocks of columns and steps end") {
    for (const bool ta : {false, true})
        for (const bool tb : {false, true}) {
            check_exact({70, 300, 530, ta, tb}, true, 0);   // two blocks of steps, two of columns
            check_exact({33, 544, 1030, ta, tb}, true, 3);  // three blocks of steps
            check_exact({96, 64, 256, ta, tb}, false, 1);   // rows a multiple of 1 KB apart: A is copied
            check_exact({256, 64, 96, ta, tb}, false, 0);
            check_exact({130, 128, 784, ta, tb}, true, 0);  // threads over tiles of C
            check_exact({19, 45, 5000, ta, tb}, true, 0);   // a long reduction in parts
            check_exact({32, 32, 4096, ta, tb}, true, 2);
            check_exact({1, 10, 2048, ta, tb}, false, 0);
            check_exact({8, 70, 530, ta, tb}, true, 0);  // few rows: sums along both operands
            check_exact({7, 33, 5003, ta, tb}, false, 2);
            check_exact({1, 259, 6272, ta, tb}, true, 1);  // in pieces for several threads
        }
}

TEST_CASE("gemm: exact on integers where B is packed a range at a time") {
    for (const bool tb : {false, true}) {
        check_exact({66, 600, 4000, false, tb}, true, 3);   // ranges of steps, the last one shorter
        check_exact({65, 5001, 300, false, tb}, true, 0);   // ranges of columns
        check_exact({67, 1300, 1531, false, tb}, true, 2);  // both
    }
    check_exact({66, 5001, 280, true, false}, false, 1);
}

TEST_CASE("gemm: reals within 8 sqrt(k) 2^-24 sum |a| |b| of the sum in double") {
    for (const auto& [m, k] : {std::pair<index_t, index_t>{37, 1}, {37, 64}, {37, 784}, {37, 6000}, {3, 1}, {3, 784}, {8, 6001}})
        for (const bool tb : {false, true}) {
            const GemmDims d{m, 41, k, false, tb};
            const Floats a = filled(5, d.m * k, 0), b = filled(6, k * d.n, 0);
            const Floats c = product(d, a, b, nullptr, 0, Floats(static_cast<std::size_t>(d.m * d.n)), 2);
            double worst = 0;
            for (index_t i = 0; i < d.m; ++i)
                for (index_t j = 0; j < d.n; ++j) {
                    double sum = 0, magnitude = 0;
                    for (index_t t = 0; t < k; ++t) {
                        const double left = a[static_cast<std::size_t>(i * k + t)], right = b[static_cast<std::size_t>(tb ? j * k + t : t * d.n + j)];
                        sum += left * right;
                        magnitude += std::abs(left * right);
                    }
                    const double bound = 8 * std::sqrt(static_cast<double>(k)) * 0x1p-24 * magnitude;
                    worst = std::max(worst, std::abs(c[static_cast<std::size_t>(i * d.n + j)] - sum) / bound);
                }
            CHECK_MESSAGE(worst <= 1, text(d), ": ", worst, " of the bound");
        }
}

TEST_CASE("gemm: the same bits at any number of threads") {
    for (const GemmDims& d : {GemmDims{130, 128, 784, false, true}, GemmDims{300, 300, 300, true, false}, GemmDims{20, 33, 9000, true, false},
                              GemmDims{500, 10, 700, false, true}, GemmDims{2, 300, 6000, false, true}, GemmDims{8, 999, 131, false, true},
                              GemmDims{66, 1300, 1531, false, true}}) {
        const Floats a = filled(7, d.m * d.k, 0), b = filled(8, d.k * d.n, 0), bias = filled(9, d.n, 0);
        const Floats c(static_cast<std::size_t>(d.m * d.n), std::numeric_limits<float>::quiet_NaN());
        const Floats one = product(d, a, b, bias.data(), 0, c, 1);
        for (const int threads : {2, 3, 5}) {
            const Floats more = product(d, a, b, bias.data(), 0, c, threads);
            CHECK_MESSAGE(std::memcmp(one.data(), more.data(), one.size() * sizeof(float)) == 0, text(d), ", ", threads, " threads");
        }
    }
}

TEST_CASE("gemm: infinities and NaN go where the product puts them") {
    const GemmDims d{5, 20, 3};
    Floats a = filled(1, 15, 3), b = filled(2, 60, 0);
    a[4] = std::numeric_limits<float>::infinity();   // row 1
    a[9] = std::numeric_limits<float>::quiet_NaN();  // row 3
    const Floats c = product(d, a, b, nullptr, 0, Floats(100), 1);
    for (std::size_t i = 0; i < 5; ++i)
        for (std::size_t j = 0; j < 20; ++j) CHECK((i == 1 ? std::isinf(c[i * 20 + j]) : i == 3 ? std::isnan(c[i * 20 + j]) : std::isfinite(c[i * 20 + j])));
}
