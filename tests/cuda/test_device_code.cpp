// SPDX-License-Identifier: MIT
// What kernels calculate with, called on the host.
#include <doctest/doctest.h>

#include <support/cuda/device_code.hpp>

#include <dla/kernels/cuda/block.cuh>

using namespace dla;

TEST_CASE("division of what does not fit into 32 bits") {
    const index_t one = 1;
    for (const index_t a : {index_t{0}, index_t{1}, index_t{7}, (one << 32) - 1, one << 32, (one << 32) + 1, (one << 40) + 12345, (one << 48) - 1, one << 48})
        for (const index_t b :
             {index_t{1}, index_t{2}, index_t{3}, index_t{1000}, (one << 31) + 7, (one << 32) - 1, one << 32, (one << 35) + 1, (one << 48) - 1}) {
            CAPTURE(a);
            CAPTURE(b);
            const device::Division division = device::divide(a, b);
            CHECK(division.quotient == a / b);
            CHECK(division.rest == a % b);
        }
}

TEST_CASE("places of pixels and channels, also far behind") {
    const index_t width = 70000, channels = 3, height = 50000, i = ((index_t{5} * height + 49999) * width + 69998) * channels + 2;
    const device::Pixel pixel(i, height, width, channels);
    CHECK(pixel.n == 5);
    CHECK(pixel.h == 49999);
    CHECK(pixel.w == 69998);
    CHECK(pixel.c == 2);
    CHECK(device::channel_of(i, channels, 1) == 2);
    CHECK(device::channel_of((index_t{4} * 7 + 6) * (index_t{1} << 33) + 5, 7, index_t{1} << 33) == 6);
    const cuda::ChannelCut cut{.outer = 9, .channels = 7, .inner = index_t{1} << 33};
    CHECK(device::place_of(cut, 6, (index_t{4} << 33) + 5) == (index_t{4} * 7 + 6) * (index_t{1} << 33) + 5);
}

TEST_CASE("the earlier of two places, where -1 is none") {
    CHECK(device::earlier(-1, 3) == 3);
    CHECK(device::earlier(3, -1) == 3);
    CHECK(device::earlier(5, 3) == 3);
    CHECK(device::earlier(-1, -1) == -1);
}
