// SPDX-License-Identifier: MIT
// Cpu<float> softmax and cross-entropy against the reference in double, over few and many classes.
#include <doctest/doctest.h>

#include <algorithm>
#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>
#include <support/kernel_check.hpp>

using namespace dla;
using namespace support;

static_assert(kernel::Softmax<Cpu<float>> && kernel::LogSoftmax<Cpu<float>> && kernel::CrossEntropyKernels<Cpu<float>>);

namespace {

const index_t class_counts[] = {1, 2, 3, 7, 10, 16, 17, 33, 63, 64, 65, 100, 513};
const index_t row_counts[] = {0, 1, 2, 15, 16, 17, 33, 128};

std::vector<std::int32_t> labels(std::uint32_t seed, index_t rows, index_t classes, bool some_ignored) {
    std::vector<std::int32_t> out(static_cast<std::size_t>(rows));
    for (index_t r = 0; r < rows; ++r) {
        const auto w = word(seed, r);
        out[static_cast<std::size_t>(r)] = some_ignored && w % 4 == 0 ? -100 : static_cast<std::int32_t>((w >> 8) % static_cast<std::uint32_t>(classes));
    }
    return out;
}

void check_result(const LossResult& got, const LossResult& exact) {
    if (std::isnan(exact.loss))
        CHECK(std::isnan(got.loss));
    else
        CHECK(got.loss == doctest::Approx(exact.loss).epsilon(2e-6));
    CHECK(got.weight == doctest::Approx(exact.weight).epsilon(1e-12));
    CHECK(got.correct == exact.correct);
    CHECK(got.counted == exact.counted);
    CHECK(got.bad_row == exact.bad_row);
}

}  // namespace

TEST_CASE("cpu softmax: forward and backward against the reference in double, in place") {
    for (const index_t classes : class_counts)
        for (const index_t rows : row_counts) {
            CAPTURE(classes);
            CAPTURE(rows);
            const NormDims d{rows, classes, 1};
            const Floats x = reals(1, rows * classes, 10.0f), dy = reals(2, rows * classes);
            std::vector<double> exact(x.size()), dx_exact(x.size());
            softmax_forward(Reference<double>{}, d, doubles(x).data(), exact.data());
            Floats y = x;
            softmax_forward(cpu(), d, y.data(), y.data());
            double worst = 0;  // over what rounding x - max to float costs (half an ulp of a number up to 20), and 8 ulp for the rest
            for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
                const auto first = x.begin() + static_cast<std::ptrdiff_t>(r) * classes;
                const float most = *std::max_element(first, first + classes);
                for (std::size_t i = r * static_cast<std::size_t>(classes); i < (r + 1) * static_cast<std::size_t>(classes); ++i)
                    worst = std::max(worst, ulps(y[i], exact[i]) / (8 + static_cast<double>(most - x[i])));
            }
            CHECK(worst <= 1);
            softmax_backward(Reference<double>{}, d, doubles(y).data(), doubles(dy).data(), dx_exact.data());
            Floats dx = dy;
            softmax_backward(cpu(), d, y.data(), dx.data(), dx.data());
            CHECK(distance(dx, dx_exact) <= 1e-6);
        }
}

TEST_CASE("cpu softmax: infinities, NaN and inner > 1") {
    for (const index_t classes : {3, 70}) {
        Floats x(static_cast<std::size_t>(4 * classes), 1.0f), y = poisoned(4 * classes);
        const auto row = [&](index_t r) { return x.begin() + r * classes; };
        std::fill(row(0), row(1), -infinite);
        row(1)[1] = -infinite;
        row(2)[2] = not_a_number;
        softmax_forward(cpu(), {4, classes, 1}, x.data(), y.data());
        const auto at = [&](index_t r, index_t c) { return y[static_cast<std::size_t>(r * classes + c)]; };
        CHECK(std::isnan(at(0, 0)));
        CHECK(at(1, 1) == 0.0f);
        CHECK(at(1, 0) == doctest::Approx(1.0 / static_cast<double>(classes - 1)).epsilon(1e-6));
        CHECK(std::isnan(at(2, 0)));
        CHECK(at(3, 0) == doctest::Approx(1.0 / static_cast<double>(classes)).epsilon(1e-6));
    }
    for (const index_t inner : {2, 3, 4, 15, 16, 17, 1000})
        for (const index_t channels : {1, 2, 5, 70}) {
            CAPTURE(inner);
            CAPTURE(channels);
            const NormDims d{3, channels, inner};
            Floats x = reals(1, 3 * channels * inner, 5.0f), y = poisoned(3 * channels * inner);
            std::vector<double> exact(x.size());
            softmax_forward(Reference<double>{}, d, doubles(x).data(), exact.data());
            softmax_forward(cpu(), d, x.data(), y.data());
            // Roundings: the exponential twice, a sum of `channels` terms, the division and the product.
            CHECK(distance(y, exact) <= static_cast<double>(channels + 8) * 0x1p-24);
            check_threads([&](const Cpu<float>& p) {
                Floats in_place = x;
                softmax_forward(p, d, in_place.data(), in_place.data());
                return in_place;
            });
            x[static_cast<std::size_t>(inner + 1) % x.size()] = not_a_number;
            softmax_forward(Reference<double>{}, d, doubles(x).data(), exact.data());
            softmax_forward(cpu(), d, x.data(), y.data());
            CHECK(distance(y, exact) < 1);  // NaN in the same places
            const Floats values = reals(2, 3 * channels * inner), dy = reals(3, 3 * channels * inner);
            std::vector<double> dx_exact(dy.size());
            softmax_backward(Reference<double>{}, d, doubles(values).data(), doubles(dy).data(), dx_exact.data());
            check_threads([&](const Cpu<float>& p) {
                Floats dx = dy;  // over dy
                softmax_backward(p, d, values.data(), dx.data(), dx.data());
                CHECK(distance(dx, dx_exact) <= static_cast<double>(channels + 4) * 0x1p-24 * static_cast<double>(channels));
                return dx;
            });
        }
}

TEST_CASE("cpu log-softmax: forward and backward against the reference in double, in place") {
    const auto check = [](const NormDims& d) {
        CAPTURE(d.outer);
        CAPTURE(d.channels);
        CAPTURE(d.inner);
        const index_t n = d.outer * d.channels * d.inner;
        const Floats x = reals(1, n, 10.0f), dy = reals(2, n);
        std::vector<double> exact(x.size()), dx_exact(x.size());
        log_softmax_forward(Reference<double>{}, d, doubles(x).data(), exact.data());
        Floats y = poisoned(n), dx = poisoned(n);
        log_softmax_forward(cpu(), d, x.data(), y.data());
        // Roundings of x - max and of the difference, at most those of a number up to 20; the sum's logarithm has the relative error of the sum.
        CHECK(distance(y, exact) <= static_cast<double>(d.channels + 24) * 0x1p-24);
        Floats in_place = x;
        log_softmax_forward(cpu(), d, in_place.data(), in_place.data());
        CHECK(same_bits(in_place, y));
        log_softmax_backward(Reference<double>{}, d, doubles(y).data(), doubles(dy).data(), dx_exact.data());
        log_softmax_backward(cpu(), d, y.data(), dy.data(), dx.data());
        CHECK(distance(dx, dx_exact) <= static_cast<double>(d.channels + 8) * 0x1p-24 * std::sqrt(static_cast<double>(d.channels)));
        in_place = dy;
        log_softmax_backward(cpu(), d, y.data(), in_place.data(), in_place.data());
        CHECK(same_bits(in_place, dx));
    };
    for (const index_t classes : class_counts)
        for (const index_t rows : row_counts) check({rows, classes, 1});
    for (const index_t inner : {2, 3, 4, 15, 16, 17, 1000})
        for (const index_t channels : {1, 2, 5, 70}) check({3, channels, inner});
}

TEST_CASE("cpu log-softmax: infinities, NaN, and what softmax rounds to 0") {
    for (const index_t inner : {1, 3})
        for (const index_t classes : {3, 70}) {
            const NormDims d{5, classes, inner};
            Floats x(static_cast<std::size_t>(5 * classes * inner), 1.0f), y = poisoned(5 * classes * inner);
            const auto place = [&](index_t row, index_t c) { return static_cast<std::size_t>((row * classes + c) * inner); };
            for (index_t c = 0; c < classes; ++c) x[place(0, c)] = -infinite;
            x[place(1, 1)] = -infinite;
            x[place(2, 2)] = not_a_number;
            x[place(4, 1)] = 1000;
            log_softmax_forward(cpu(), d, x.data(), y.data());
            CHECK(std::isnan(y[place(0, 0)]));
            CHECK(y[place(1, 1)] == -infinite);
            CHECK(y[place(1, 0)] == doctest::Approx(-std::log(static_cast<double>(classes - 1))).epsilon(1e-6));
            CHECK(std::isnan(y[place(2, 0)]));
            CHECK(y[place(3, 0)] == doctest::Approx(-std::log(static_cast<double>(classes))).epsilon(1e-6));
            CHECK(y[place(4, 1)] == 0.0f);
            CHECK(y[place(4, 0)] == -999.0f);
        }
}

TEST_CASE("cpu cross-entropy: every option against the reference in double") {
    for (const index_t classes : class_counts)
        for (const index_t rows : row_counts)
            for (const int option : {0, 1, 2, 3, 4, 5, 6, 7}) {
                CAPTURE(classes);
                CAPTURE(rows);
                CAPTURE(option);
                CrossEntropyDims d{rows, classes};
                d.mean = (option & 1) == 0;
                d.label_smoothing = (option & 2) != 0 ? 0.1 : 0.0;
                const Floats x = reals(1, rows * classes, 6.0f), w = reals(2, classes, 0.5f, 1.0f);
                const float* weights = (option & 4) != 0 ? w.data() : nullptr;
                const auto wd = doubles(w), xd = doubles(x);
                const auto label = labels(3, rows, classes, option > 2);
                LossResult got, exact;
                std::vector<double> gradient(x.size());
                cross_entropy(Reference<double>{}, nullptr, d, xd.data(), label.data(), weights ? wd.data() : nullptr, &exact, gradient.data());
                Scratch scratch(cross_entropy_scratch(cpu(), d));
                Floats dx = x;  // the gradient may replace the logits
                cross_entropy(cpu(), scratch.data(), d, dx.data(), label.data(), weights, &got, dx.data());
                check_result(got, exact);
                CHECK(distance(dx, gradient) <= 1e-6);
                LossResult again;
                cross_entropy(cpu(), scratch.data(), d, x.data(), label.data(), weights, &again, nullptr);
                CHECK((again.loss == got.loss || std::isnan(got.loss)));

                Floats target = reals(5, rows * classes, 0.5f, 0.5f);
                const auto td = doubles(target);
                cross_entropy_soft(Reference<double>{}, nullptr, d, xd.data(), td.data(), weights ? wd.data() : nullptr, &exact, gradient.data());
                dx = x;
                cross_entropy_soft(cpu(), scratch.data(), d, dx.data(), target.data(), weights, &got, dx.data());
                check_result(got, exact);
                CHECK(distance(dx, gradient) <= 1e-6 * std::sqrt(static_cast<double>(classes)));  // coefficients add up to about classes / 2
            }
}

TEST_CASE("cpu cross-entropy: anchors, ties, bad labels, rows that do not count") {
    const Floats x{1, 2, 3, 5, 5, 0};
    std::vector<std::int32_t> label{2, 0};
    CrossEntropyDims d{1, 3};
    Scratch scratch(cross_entropy_scratch(cpu(), {2, 3}));
    LossResult result;
    cross_entropy(cpu(), scratch.data(), d, x.data(), label.data(), nullptr, &result, nullptr);
    CHECK(result.loss == doctest::Approx(0.4076059644).epsilon(1e-6));
    d.label_smoothing = 0.1;
    cross_entropy(cpu(), scratch.data(), d, x.data(), label.data(), nullptr, &result, nullptr);
    CHECK(result.loss == doctest::Approx(0.5076059644).epsilon(1e-6));
    d = {2, 3};
    cross_entropy(cpu(), scratch.data(), d, x.data(), label.data(), nullptr, &result, nullptr);
    CHECK(result.correct == 2);  // the first of equals
    label[1] = 1;
    cross_entropy(cpu(), scratch.data(), d, x.data(), label.data(), nullptr, &result, nullptr);
    CHECK(result.correct == 1);
    label[1] = 3;
    cross_entropy(cpu(), scratch.data(), d, x.data(), label.data(), nullptr, &result, nullptr);
    CHECK(result.bad_row == 1);
    label = {-100, -100};
    Floats dx = poisoned(6);
    cross_entropy(cpu(), scratch.data(), d, x.data(), label.data(), nullptr, &result, dx.data());
    CHECK(std::isnan(result.loss));
    CHECK(result.counted == 0);
    CHECK(dx == Floats(6, 0.0f));
    d.mean = false;
    cross_entropy(cpu(), scratch.data(), d, x.data(), label.data(), nullptr, &result, nullptr);
    CHECK(result.loss == 0);
}

TEST_CASE("cpu softmax and cross-entropy: the same bits at any number of threads") {
    for (const index_t classes : {10, 100}) {
        const index_t rows = 5003;
        const Floats x = reals(1, rows * classes, 5.0f);
        const auto label = labels(2, rows, classes, true);
        const CrossEntropyDims d{rows, classes};
        check_threads([&](const Cpu<float>& p) {
            Floats y = poisoned(rows * classes), dx = y, other = y;
            softmax_forward(p, {rows, classes, 1}, x.data(), y.data());
            for (const NormDims& s : {NormDims{rows, classes, 1}, NormDims{rows, classes / 5, 5}}) {
                log_softmax_forward(p, s, x.data(), other.data());
                y.insert(y.end(), other.begin(), other.end());
                log_softmax_backward(p, s, other.data(), x.data(), other.data());
                y.insert(y.end(), other.begin(), other.end());
            }
            Scratch scratch(cross_entropy_scratch(p, d));
            LossResult result;
            cross_entropy(p, scratch.data(), d, x.data(), label.data(), nullptr, &result, dx.data());
            y.insert(y.end(), dx.begin(), dx.end());
            for (int i = 0; i < 2; ++i) {
                float half = 0;
                std::memcpy(&half, reinterpret_cast<const char*>(&result.loss) + 4 * i, 4);
                y.push_back(half);
            }
            y.push_back(static_cast<float>(result.correct));
            return y;
        });
    }
}
