// SPDX-License-Identifier: MIT
// Cpu<float> sums: exact on small integers, close on reals, the same bits at any number of threads.
#include <doctest/doctest.h>

#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>
#include <support/kernel_check.hpp>

using namespace dla;
using namespace support;

static_assert(kernel::Reductions<Cpu<float>>);

TEST_CASE("cpu column sum: integers are exact and are added to what is there") {
    for (const index_t columns : {1, 3, 10, 15, 16, 17, 64, 65, 256})
        for (const index_t rows : {0, 1, 2, 7, 8, 9, 127, 128, 130, 700}) {
            CAPTURE(rows);
            CAPTURE(columns);
            const Floats x = integers(1, rows * columns, 100);
            Floats y = integers(2, columns, 50), expected = y;
            column_sum(Reference<float>{}, nullptr, rows, columns, x.data(), expected.data());
            Scratch scratch(column_sum_scratch(cpu(), rows, columns));
            column_sum(cpu(), scratch.data(), rows, columns, x.data(), y.data());
            CHECK(y == expected);
        }
}

TEST_CASE("cpu column sum: NaN stays in its column") {
    Floats x = reals(1, 9 * 19), y(19, 0.0f);
    x[19 * 8 + 2] = not_a_number;
    Scratch scratch(column_sum_scratch(cpu(), 9, 19));
    column_sum(cpu(), scratch.data(), 9, 19, x.data(), y.data());
    for (std::size_t c = 0; c < 19; ++c) CHECK(std::isnan(y[c]) == (c == 2));
}

TEST_CASE("cpu sum of squares: integers are exact") {
    for (const index_t n : {0, 1, 3, 4, 7, 8, 15, 16, 17, 33, 1001, 40007}) {
        CAPTURE(n);
        const Floats x = integers(1, n, 100);
        Scratch scratch(sum_of_squares_scratch(cpu(), n));
        double sum = -1, expected = -2;
        sum_of_squares(Reference<float>{}, nullptr, n, x.data(), &expected);
        sum_of_squares(cpu(), scratch.data(), n, x.data(), &sum);
        CHECK(sum == expected);
    }
}

TEST_CASE("cpu sums: the same bits at any number of threads") {
    const index_t rows = 4001, columns = 37, n = rows * columns;
    const Floats x = reals(1, n);
    check_threads([&](const Cpu<float>& p) {
        Floats y(static_cast<std::size_t>(columns), 0.0f);
        Scratch columns_scratch(column_sum_scratch(p, rows, columns)), scratch(sum_of_squares_scratch(p, n));
        column_sum(p, columns_scratch.data(), rows, columns, x.data(), y.data());
        double sum = 0;
        sum_of_squares(p, scratch.data(), n, x.data(), &sum);
        Floats halves(2);
        std::memcpy(halves.data(), &sum, sizeof(sum));
        y.insert(y.end(), halves.begin(), halves.end());
        return y;
    });
}
