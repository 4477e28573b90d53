// SPDX-License-Identifier: MIT
// Cpu<float> group normalisation against the reference in double: both layouts, odd sizes, data that provoke cancellation, aliasing, threads.
#include <doctest/doctest.h>

#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>
#include <support/kernel_check.hpp>

using namespace dla;
using namespace support;

static_assert(kernel::GroupNorm<Cpu<float>>);

namespace {

index_t values_of(const GroupNormDims& d) { return d.batch * d.channels * d.positions; }

template <class T>
struct Result {
    std::vector<T> y, mean, invstd, dx, dw, db;
    std::vector<T> all() const {
        std::vector<T> v;
        for (const auto* part : {&y, &mean, &invstd, &dx, &dw, &db}) v.insert(v.end(), part->begin(), part->end());
        return v;
    }
};

/// Forward, then backward with the same x; dx goes over a copy of dy. Backward takes mean and invstd from `statistics`, or its own.
template <class T, class P, class U = T>
Result<T> run(const P& p, const GroupNormDims& d, const std::vector<T>& x, const std::vector<T>& dy, bool affine, bool want_dx = true,
              const Result<U>* statistics = nullptr) {
    std::vector<T> w(static_cast<std::size_t>(d.channels));
    for (std::size_t c = 0; c < w.size(); ++c) w[c] = static_cast<T>(c % 5) * T{0.5} - T{1};  // one is 0
    const std::vector<T> b(w.rbegin(), w.rend());
    Result<T> r;
    r.y.assign(x.size(), std::numeric_limits<T>::quiet_NaN());
    r.mean.assign(static_cast<std::size_t>(d.batch * d.groups), std::numeric_limits<T>::quiet_NaN());
    r.invstd = r.mean;
    r.dx = dy;
    r.dw.assign(w.size(), T{1});
    r.db.assign(w.size(), T{-1});
    Scratch scratch(group_norm_scratch(p, d));
    const T *gain = affine ? w.data() : nullptr, *shift = affine ? b.data() : nullptr;
    group_norm_forward(p, scratch.data(), d, 1e-5, x.data(), gain, shift, r.y.data(), r.mean.data(), r.invstd.data());
    std::vector<T> mean = r.mean, invstd = r.invstd;
    if (statistics) {
        mean.assign(statistics->mean.begin(), statistics->mean.end());
        invstd.assign(statistics->invstd.begin(), statistics->invstd.end());
    }
    group_norm_backward(p, scratch.data(), d, x.data(), gain, mean.data(), invstd.data(), r.dx.data(), want_dx ? r.dx.data() : nullptr,
                        affine ? r.dw.data() : nullptr, affine ? r.db.data() : nullptr);
    return r;
}

template <class F>
void for_each_case(const F& f) {
    for (const bool channels_first : {false, true})
        for (const index_t positions : {1, 2, 7, 64, 129, 1100})
            for (const auto& [channels, groups] :
                 {std::pair<index_t, index_t>{1, 1}, {3, 1}, {3, 3}, {6, 2}, {16, 4}, {17, 1}, {17, 17}, {34, 2}, {64, 32}, {100, 5}})
                for (const index_t batch : {0, 1, 3}) {
                    const GroupNormDims d{batch, channels, positions, groups, channels_first};
                    CAPTURE(channels_first);
                    CAPTURE(positions);
                    CAPTURE(channels);
                    CAPTURE(groups);
                    CAPTURE(batch);
                    f(d);
                }
}

}  // namespace

TEST_CASE("cpu group norm: odd sizes against the reference in double, over dy too, within its scratch") {
    for_each_case([](const GroupNormDims& d) {
        if (d.group_values() < 2) return;  // nothing but the mean
        const Floats x = reals(1, values_of(d), 2.0f, 0.5f), dy = reals(2, values_of(d), 1.0f, 0.3f);
        for (const bool affine : {true, false})
            for (const bool want_dx : {true, false}) {
                const auto got = run(cpu(), d, x, dy, affine, want_dx);
                const auto exact = run(Reference<double>{}, d, doubles(x), doubles(dy), affine, want_dx, &got);
                double scale = 4;  // 1 / standard deviation, which of two or three values may be large
                for (const double e : exact.invstd) scale = std::max(scale, 8 * e);
                const double tolerance = 2e-6, sums = std::sqrt(static_cast<double>(d.batch * d.positions));
                CHECK(distance(got.mean, exact.mean) <= 6e-7);
                CHECK(distance(got.invstd, exact.invstd) <= tolerance * scale);
                CHECK(distance(got.y, exact.y) <= tolerance * scale);
                CHECK(distance(got.dx, exact.dx) <= tolerance * scale);
                CHECK(distance(got.dw, exact.dw) <= tolerance * std::max(1.0, sums / 4) * scale);
                CHECK(distance(got.db, exact.db) <= tolerance * std::max(1.0, sums));
            }
    });
}

TEST_CASE("cpu group norm: without statistics kept, the same result; a sample's does not depend on the others") {
    for_each_case([](const GroupNormDims& d) {
        if (d.batch < 2) return;
        const Floats x = reals(1, values_of(d));
        const auto whole = run(cpu(), d, x, x, false);
        Floats y = poisoned(values_of(d));
        Scratch scratch(group_norm_scratch(cpu(), d));
        group_norm_forward(cpu(), scratch.data(), d, 1e-5, x.data(), nullptr, nullptr, y.data(), static_cast<float*>(nullptr), nullptr);
        CHECK(same_bits(y, whole.y));
        GroupNormDims one = d;
        one.batch = 1;
        const auto part = [&](const Floats& v) { return Floats(v.begin() + values_of(one), v.begin() + 2 * values_of(one)); };
        const auto alone = run(cpu(), one, part(x), part(x), false);
        CHECK(same_bits(alone.y, part(whole.y)));
        CHECK(same_bits(alone.dx, part(whole.dx)));
    });
}

TEST_CASE("cpu group norm: values that are all alike are exactly at their mean; NaN stays in its group") {
    for_each_case([](const GroupNormDims& d) {
        for (const float value : {0.1f, 197.08f, -1827.6f}) {
            CAPTURE(value);
            const Floats x(static_cast<std::size_t>(values_of(d)), value);
            const auto got = run(cpu(), d, x, x, false);
            CHECK(same_values(got.y, Floats(x.size(), 0.0f)));
            CHECK(same_values(got.invstd, Floats(got.invstd.size(), static_cast<float>(1.0 / std::sqrt(1e-5)))));
        }
        if (d.batch == 0) return;
        Floats x = reals(1, values_of(d));
        x.back() = not_a_number;  // of the last group, whatever the layout
        const auto got = run(cpu(), d, x, reals(2, values_of(d)), false);
        for (std::size_t g = 0; g < got.mean.size(); ++g) CHECK(std::isnan(got.mean[g]) == (g + 1 == got.mean.size()));
        index_t nan = 0, nan_dx = 0;
        for (std::size_t i = 0; i < x.size(); ++i) nan += std::isnan(got.y[i]), nan_dx += std::isnan(got.dx[i]);
        CHECK(nan == d.group_values());
        CHECK(nan_dx == d.group_values());
    });
}

TEST_CASE("cpu group norm: a variance far smaller than the mean, and channels whose means are far apart") {
    for (const bool channels_first : {false, true})
        for (const float apart : {0.0f, 500.0f}) {
            const GroupNormDims d{2, 12, 700, 3, channels_first};
            Floats x = reals(8, values_of(d), 1.0f, 1000.0f);
            for (index_t i = 0; i < values_of(d); ++i) {
                const index_t c = channels_first ? i / d.positions % d.channels : i % d.channels;
                x[static_cast<std::size_t>(i)] += apart * static_cast<float>(c);
            }
            const auto got = run(cpu(), d, x, x, false);
            const auto exact = run(Reference<double>{}, d, doubles(x), doubles(x), false);
            for (std::size_t g = 0; g < got.mean.size(); ++g) {
                CHECK(static_cast<double>(got.mean[g]) == doctest::Approx(exact.mean[g]).epsilon(1e-7));
                CHECK(static_cast<double>(got.invstd[g]) == doctest::Approx(exact.invstd[g]).epsilon(1e-6));
            }
        }
}

TEST_CASE("cpu group norm: the same bits at any number of threads") {
    for (const GroupNormDims& d :
         {GroupNormDims{5, 48, 900, 6, false}, GroupNormDims{1, 20, 5000, 4, false}, GroupNormDims{5, 48, 900, 6, true}, GroupNormDims{900, 48, 1, 6, false}}) {
        const Floats x = reals(1, values_of(d)), dy = reals(2, values_of(d));
        check_threads([&](const Cpu<float>& p) { return run(p, d, x, dy, true).all(); });
    }
}

TEST_CASE("group norm of one channel in a group, and of one group, are what they are named after") {
    const index_t channels = 5, positions = 12;
    const Floats x = reals(1, channels * positions), w{1, 2, 3, 4, 5}, b{5, 4, 3, 2, 1};
    const GroupNormDims one{1, channels, positions, 1, true};
    Floats y = poisoned(channels * positions), expected = y, mean = poisoned(1), invstd = mean;
    Scratch scratch(group_norm_scratch(cpu(), one));
    group_norm_forward(cpu(), scratch.data(), one, 1e-5, x.data(), nullptr, nullptr, y.data(), mean.data(), invstd.data());
    layer_norm_forward(cpu(), 1, channels * positions, 1e-5, x.data(), nullptr, nullptr, expected.data(), nullptr, nullptr);
    CHECK(same_bits(y, expected));

    const GroupNormDims each{1, channels, positions, channels, false};  // one sample: a batch normalisation by its own statistics
    const NormDims rows{positions, channels, 1};
    Scratch own(group_norm_scratch(cpu(), each)), batch(batch_norm_scratch(cpu(), rows));
    Floats means = poisoned(channels), scales = means, other = means;
    group_norm_forward(cpu(), own.data(), each, 1e-5, x.data(), w.data(), b.data(), y.data(), means.data(), scales.data());
    batch_norm_forward(cpu(), batch.data(), rows, 1e-5, 0.1, x.data(), w.data(), b.data(), nullptr, nullptr, nullptr, expected.data(), means.data(),
                       other.data());
    CHECK(distance(y, expected) <= 1e-6);
}
