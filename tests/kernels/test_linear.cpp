// SPDX-License-Identifier: MIT
// A Linear with weights that were packed beforehand: exact on integers, and the bits of the product that packs them itself.
#include <doctest/doctest.h>

#include <support/guarded_scratch.hpp>

#include <dla/core/philox.hpp>
#include <dla/kernels/cpu.hpp>

#include <limits>
#include <vector>

using namespace dla;

namespace {

using Floats = std::vector<float>;

/// Integers in [-4, 4], or reals.
Floats filled(std::uint32_t stream, index_t count, bool integers) {
    RandomStream random({31, 0, stream}, RandomUse::synthesis);
    Floats v(static_cast<std::size_t>(count));
    for (float& x : v) x = integers ? static_cast<float>(random.below(9)) - 4.0f : 2 * random.uniform() - 1;
    return v;
}

Cpu<float> on(int threads) {
    Cpu<float> p;
    p.threads = threads;
    return p;
}

void check(const LinearDims& most, index_t rows, bool with_bias) {
    CAPTURE(most.in);
    CAPTURE(most.out);
    CAPTURE(rows);
    const LinearDims d{.rows = rows, .in = most.in, .out = most.out};
    for (const bool integers : {true, false}) {
        const Floats x = filled(1, rows * d.in, integers), w = filled(2, d.in * d.out, integers), b = filled(3, d.out, integers);
        const float* bias = with_bias ? b.data() : nullptr;
        Floats expected(static_cast<std::size_t>(rows * d.out), std::numeric_limits<float>::quiet_NaN());
        if (integers) {
            gemm(Reference<float>{}, nullptr, d.forward(), x.data(), w.data(), bias, 0.0f, expected.data());
        } else {
            support::GuardedScratch scratch(gemm_scratch(on(1), d.forward()));
            gemm(on(1), scratch.data(), d.forward(), x.data(), w.data(), bias, 0.0f, expected.data());
        }
        for (const int threads : {1, 2, 3, 5}) {
            support::GuardedScratch prepared(linear_prepare(on(threads), most, w.data(), nullptr));
            const index_t bytes = linear_prepare(on(threads), most, w.data(), prepared.data());
            support::GuardedScratch scratch(gemm_scratch(on(threads), d.forward()));
            Floats y(expected.size(), std::numeric_limits<float>::quiet_NaN());
            linear_infer(on(threads), scratch.data(), d, x.data(), w.data(), bias, bytes > 0 ? prepared.data() : nullptr, y.data());
            CHECK(std::equal(y.begin(), y.end(), expected.begin(), [](float a, float e) { return std::memcmp(&a, &e, sizeof a) == 0; }));
        }
    }
}

index_t bytes(const LinearDims& most) { return linear_prepare(Cpu<float>{}, most, nullptr, nullptr); }

}  // namespace

TEST_CASE("linear: packed weights, odd sizes, fewer rows than were planned") {
    for (const index_t in : {1, 7, 16, 33, 300, 513})
        for (const index_t out : {1, 5, 16, 31, 48, 130}) {
            REQUIRE(bytes({70, in, out}) >= in * out * 4);
            for (const index_t rows : {1, 8, 9, 17, 70}) check({70, in, out}, rows, (in + out + rows) % 2 == 0);
        }
    check({200, 1200, 300}, 200, true);  // several blocks of steps and of columns, on several threads
    check({200, 2047, 40}, 131, false);
}

TEST_CASE("linear: weights are packed where that pays") {
    CHECK(bytes({8, 100, 100}) == 0);       // few rows read them where they are
    CHECK(bytes({9, 100, 100}) > 0);
    CHECK(bytes({200, 2048, 40}) == 0);     // cut by the batch
    CHECK(bytes({200, 1024, 2000}) == 0);   // larger than caches
    CHECK(bytes({200, 0, 10}) == 0);
    CHECK(bytes({200, 10, 0}) == 0);
    check({200, 2048, 40}, 200, true);
    check({200, 0, 10}, 20, true);
    check({0, 12, 10}, 0, true);
}
