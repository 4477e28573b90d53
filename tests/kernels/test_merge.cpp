// SPDX-License-Identifier: MIT
// What joins branches, on Cpu<float>: the reference's values, nothing written besides, the same bits at any number of threads.
#include <doctest/doctest.h>

#include <dla/core/philox.hpp>
#include <dla/kernels/cpu.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using namespace dla;

namespace {

using Values = std::vector<float>;

Values values(index_t n, std::uint32_t stream) {
    RandomStream random({7, 0, stream}, RandomUse::synthesis);
    Values v(static_cast<std::size_t>(n));
    for (float& e : v) e = 2 * random.uniform() - 1;
    return v;
}
Values poisoned(index_t n) { return Values(static_cast<std::size_t>(n), std::numeric_limits<float>::quiet_NaN()); }
bool same_bits(const Values& a, const Values& b) { return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0); }
Cpu<float> with_threads(int n) {
    Cpu<float> p;
    p.threads = n;
    return p;
}

}  // namespace

TEST_CASE("cpu merge: columns are copied to and from their place, and nothing else") {
    for (const index_t rows : {0, 1, 5, 4099})
        for (const index_t columns : {1, 3, 8, 17})
            for (const index_t stride : {columns, columns + 1, columns + 13}) {
                const Values x = values(rows * stride + 32, 1);
                Values expected = poisoned(rows * stride + 32);
                copy_columns(Reference<float>{}, rows, columns, x.data() + 3, columns, expected.data() + 2, stride);
                for (int threads = 1; threads <= 5; ++threads) {
                    Values y = poisoned(rows * stride + 32);
                    copy_columns(with_threads(threads), rows, columns, x.data() + 3, columns, y.data() + 2, stride);
                    REQUIRE(same_bits(y, expected));
                }
                Values back = poisoned(rows * columns + 1), expected_back = back;
                copy_columns(Reference<float>{}, rows, columns, x.data(), stride, expected_back.data(), columns);
                copy_columns(with_threads(3), rows, columns, x.data(), stride, back.data(), columns);
                REQUIRE(same_bits(back, expected_back));
            }
}

TEST_CASE("cpu merge: channels are scaled with the reference's bits, in place too") {
    for (const index_t batch : {0, 1, 3})
        for (const index_t pixels : {1, 2, 49, 1100})
            for (const index_t channels : {1, 3, 8, 17, 40}) {
                const index_t n = batch * pixels * channels;
                const Values x = values(n, 2), factor = values(batch * channels, 3);
                Values expected = poisoned(n + 1);
                scale_channels(Reference<float>{}, batch, pixels, channels, x.data(), factor.data(), expected.data());
                for (int threads = 1; threads <= 5; ++threads) {
                    Values y = poisoned(n + 1);
                    scale_channels(with_threads(threads), batch, pixels, channels, x.data(), factor.data(), y.data());
                    REQUIRE(same_bits(y, expected));
                }
                Values y = x;
                y.push_back(std::numeric_limits<float>::quiet_NaN());
                scale_channels(with_threads(2), batch, pixels, channels, y.data(), factor.data(), y.data());
                REQUIRE(same_bits(y, expected));
            }
}

TEST_CASE("cpu merge: the gradient of a channel's factor is the sum over its pixels") {
    for (const index_t batch : {0, 1, 3, 40})
        for (const index_t pixels : {1, 2, 49, 1100})
            for (const index_t channels : {1, 3, 8, 17, 40}) {
                const index_t n = batch * pixels * channels;
                const Values x = values(n, 4), dy = values(n, 5);
                Values expected = poisoned(batch * channels), first;
                scale_channels_backward(Reference<float>{}, batch, pixels, channels, x.data(), dy.data(), expected.data());
                for (int threads = 1; threads <= 5; ++threads) {
                    Values sums = poisoned(batch * channels + 1);
                    scale_channels_backward(with_threads(threads), batch, pixels, channels, x.data(), dy.data(), sums.data());
                    if (threads == 1) first = sums;
                    REQUIRE(same_bits(sums, first));
                    for (std::size_t i = 0; i < expected.size(); ++i)  // both add in double and round once
                        REQUIRE(std::abs(sums[i] - expected[i]) <= 0x1p-23f * std::abs(expected[i]) + 1e-12f);
                    REQUIRE(std::isnan(sums.back()));
                }
            }
}
