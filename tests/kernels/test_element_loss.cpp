// SPDX-License-Identifier: MIT
// Cpu<float> losses of single values: exact where integers are, against the reference in double elsewhere, the same bits at any number of threads.
#include <doctest/doctest.h>

#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>
#include <support/kernel_check.hpp>

using namespace dla;
using namespace support;

static_assert(kernel::ElementLossKernel<Cpu<float>>);

namespace {

const ElementLoss all_kinds[] = {ElementLoss::squared, ElementLoss::absolute, ElementLoss::huber, ElementLoss::smooth_l1, ElementLoss::bce_with_logits};
const index_t sizes[] = {0, 1, 3, 4, 7, 8, 15, 16, 17, 33, 1001, 40007};

struct Outcome {
    LossResult result;
    Floats gradient;
};
/// Over its inputs, in scratch of exactly the declared size.
Outcome run(const Cpu<float>& p, const ElementLossDims& d, const Floats& x, const Floats& targets, const float* weights = nullptr) {
    Outcome o{{}, x};
    Scratch scratch(sum_of_squares_scratch(p, d.size()));
    element_loss(p, scratch.data(), d, o.gradient.data(), targets.data(), weights, &o.result, o.gradient.data());
    LossResult alone;
    element_loss(p, scratch.data(), d, x.data(), targets.data(), weights, &alone, nullptr);
    CHECK((alone.loss == o.result.loss || std::isnan(o.result.loss)));
    Floats apart = poisoned(d.size());
    element_loss(p, scratch.data(), d, x.data(), targets.data(), weights, &alone, apart.data());
    CHECK(same_bits(apart, o.gradient));
    return o;
}

}  // namespace

TEST_CASE("cpu losses of single values: integers are exact") {
    for (const ElementLoss kind : {ElementLoss::squared, ElementLoss::absolute, ElementLoss::huber, ElementLoss::smooth_l1})
        for (const index_t n : sizes)
            for (const bool mean : {false, true}) {
                CAPTURE(static_cast<int>(kind));
                CAPTURE(n);
                const Floats x = integers(1, n, 100), targets = integers(2, n, 100);
                const ElementLossDims d{.kind = kind, .rows = n, .outputs = 1, .bend = 8, .divisor = mean ? static_cast<double>(n) : 1.0};
                LossResult exact;
                Floats expected = poisoned(n);
                element_loss(Reference<float>{}, nullptr, d, x.data(), targets.data(), nullptr, &exact, expected.data());
                const Outcome got = run(cpu(), d, x, targets);
                CHECK((got.result.loss == exact.loss || (std::isnan(got.result.loss) && std::isnan(exact.loss))));
                CHECK(got.result.counted == exact.counted);
                CHECK(got.result.weight == exact.weight);
                CHECK(distance(got.gradient, expected) <= 0x1p-23);
            }
}

TEST_CASE("cpu losses of single values: reals against the reference in double") {
    for (const ElementLoss kind : all_kinds)
        for (const index_t rows : {1, 2, 9, 101, 2003})  // the last in several pieces
            for (const index_t outputs : {1, 3, 16, 21})
                for (const index_t weights : {index_t{0}, index_t{1}, outputs}) {
                    CAPTURE(static_cast<int>(kind));
                    CAPTURE(rows);
                    CAPTURE(outputs);
                    const ElementLossDims d{.kind = kind, .rows = rows, .outputs = outputs, .bend = 0.7, .divisor = 3, .weights = weights};
                    const Floats x = reals(1, rows * outputs, 20), targets = reals(2, rows * outputs, 0.5f, 0.5f), w = reals(3, weights, 2, 2);
                    const auto xd = doubles(x), td = doubles(targets), wd = doubles(w);
                    LossResult exact;
                    std::vector<double> expected(x.size());
                    element_loss(Reference<double>{}, nullptr, d, xd.data(), td.data(), weights > 0 ? wd.data() : nullptr, &exact, expected.data());
                    const Outcome got = run(cpu(), d, x, targets, weights > 0 ? w.data() : nullptr);
                    CHECK(got.result.loss == doctest::Approx(exact.loss).epsilon(1e-11));  // the exponential's error
                    CHECK(distance(got.gradient, expected) <= 0x1p-23);
                }
}

TEST_CASE("cpu logistic loss: nothing overflows or cancels far from 0") {
    const ElementLossDims d{.kind = ElementLoss::bce_with_logits, .rows = 1, .outputs = 1};
    const auto of = [&](float x, float t) { return run(cpu(), d, {x}, {t}); };
    CHECK(of(1000, 0).result.loss == 1000);
    CHECK(of(-1000, 1).result.loss == 1000);
    CHECK(of(1000, 1).result.loss == 0);
    CHECK(of(30, 1).result.loss == doctest::Approx(std::exp(-30.0)).epsilon(1e-10));
    CHECK(of(30, 1).gradient[0] == doctest::Approx(-std::exp(-30.0)).epsilon(1e-6));
    CHECK(of(-30, 0).gradient[0] == doctest::Approx(std::exp(-30.0)).epsilon(1e-6));
    CHECK(of(0, 0.5f).result.loss == doctest::Approx(0.69314718056).epsilon(1e-11));
}

TEST_CASE("a target that is not finite is named, and the gradient is 0; a large output is the network's own") {
    for (const ElementLoss kind : all_kinds)
        for (const float bad : {not_a_number, infinite, -infinite}) {
            CAPTURE(static_cast<int>(kind));
            CAPTURE(bad);
            Floats x = reals(1, 40), targets = reals(2, 40);
            targets[23] = targets[31] = bad;
            const ElementLossDims d{.kind = kind, .rows = 4, .outputs = 10, .first_row = 100};
            const auto check = [&](const LossResult& result, const Floats& gradient) {
                CHECK(result.bad_row == 102);
                CHECK(result.bad_label == 3);
                CHECK(gradient == Floats(40, 0.0f));
            };
            const Outcome got = run(cpu(), d, x, targets);
            check(got.result, got.gradient);
            LossResult result;
            Floats gradient = poisoned(40);
            element_loss(Reference<float>{}, nullptr, d, x.data(), targets.data(), nullptr, &result, gradient.data());
            check(result, gradient);
            std::swap(x, targets);
            CHECK(run(cpu(), d, x, targets).result.bad_row == -1);
        }
}

TEST_CASE("cpu losses of single values: the same bits at any number of threads") {
    const index_t rows = 4001, outputs = 37, n = rows * outputs;
    const Floats x = reals(1, n, 4), targets = reals(2, n), weights = reals(3, outputs, 1, 1);
    for (const ElementLoss kind : all_kinds)
        check_threads([&](const Cpu<float>& p) {
            const ElementLossDims d{.kind = kind, .rows = rows, .outputs = outputs, .divisor = static_cast<double>(n), .weights = outputs};
            Outcome o = run(p, d, x, targets, weights.data());
            Floats halves(2);
            std::memcpy(halves.data(), &o.result.loss, sizeof(o.result.loss));
            o.gradient.insert(o.gradient.end(), halves.begin(), halves.end());
            return o.gradient;
        });
}
