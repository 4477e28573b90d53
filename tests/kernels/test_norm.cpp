// SPDX-License-Identifier: MIT
// Cpu<float> batch normalisation against the reference in double: odd sizes, data that provoke cancellation, aliasing, threads.
#include <doctest/doctest.h>

#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>
#include <support/kernel_check.hpp>

using namespace dla;
using namespace support;

static_assert(kernel::BatchNormForward<Cpu<float>> && kernel::BatchNormInfer<Cpu<float>> && kernel::BatchNormBackward<Cpu<float>> &&
              kernel::LayerNorm<Cpu<float>>);

namespace {

template <class T>
struct Result {
    std::vector<T> y, mean, invstd, running_mean, running_var, dx, dw, db;
    std::int64_t tracked = 4;
};

template <class T>
std::vector<T> gains(index_t channels) {
    std::vector<T> w(static_cast<std::size_t>(channels));
    for (std::size_t c = 0; c < w.size(); ++c) w[c] = static_cast<T>(c % 5) * T{0.5} - T{1};
    return w;
}

/// Forward, then backward with the same x; dx goes over a copy of dy. Backward takes mean and invstd from `statistics`, or its own.
template <class T, class P, class U = T>
Result<T> run(const P& p, const NormDims& d, const std::vector<T>& x, const std::vector<T>& dy, bool affine, double momentum = 0.1,
              const Result<U>* statistics = nullptr) {
    const auto channels = static_cast<std::size_t>(d.channels);
    const std::vector<T> w = gains<T>(d.channels);
    std::vector<T> b(channels);
    for (std::size_t c = 0; c < channels; ++c) b[c] = static_cast<T>(c % 3) - T{1};
    const std::vector<T> unwritten(channels, std::numeric_limits<T>::quiet_NaN());
    Result<T> r;
    r.y.assign(x.size(), unwritten[0]);
    r.mean = r.invstd = unwritten;
    r.running_mean.assign(channels, T{0.5});
    r.running_var.assign(channels, T{2});
    r.dx = dy;
    r.dw.assign(channels, T{1});
    r.db.assign(channels, T{-1});
    Scratch scratch(batch_norm_scratch(p, d));
    const T *gain = affine ? w.data() : nullptr, *shift = affine ? b.data() : nullptr;
    batch_norm_forward(p, scratch.data(), d, 1e-5, momentum, x.data(), gain, shift, r.running_mean.data(), r.running_var.data(), &r.tracked, r.y.data(),
                       r.mean.data(), r.invstd.data());
    std::vector<T> mean = r.mean, invstd = r.invstd;
    if (statistics) {
        mean.assign(statistics->mean.begin(), statistics->mean.end());
        invstd.assign(statistics->invstd.begin(), statistics->invstd.end());
    }
    batch_norm_backward(p, scratch.data(), d, x.data(), gain, mean.data(), invstd.data(), r.dx.data(), r.dx.data(), affine ? r.dw.data() : nullptr,
                        affine ? r.db.data() : nullptr);
    return r;
}

constexpr double tolerance = 2e-6;
constexpr double mean_tolerance = 6e-7;  // what oneDNN allows

void check(const NormDims& d, const Floats& x, bool affine = true, double momentum = 0.1) {
    CAPTURE(d.outer);
    CAPTURE(d.channels);
    CAPTURE(d.inner);
    const Floats dy = reals(9, static_cast<index_t>(x.size()), 1.0f, 0.3f);
    const auto got = run(cpu(), d, x, dy, affine, momentum);
    const auto exact = run(Reference<double>{}, d, doubles(x), doubles(dy), affine, momentum, &got);
    CHECK(distance(got.mean, exact.mean) <= mean_tolerance);
    CHECK(distance(got.invstd, exact.invstd) <= tolerance);
    CHECK(distance(got.running_mean, exact.running_mean) <= mean_tolerance);
    CHECK(distance(got.running_var, exact.running_var) <= tolerance);
    CHECK(got.tracked == exact.tracked);
    double worst = 0;  // of y, in units of what the formula loses where 1 / invstd is small against the mean
    for (std::size_t i = 0; i < x.size(); ++i) {
        const std::size_t c = i / static_cast<std::size_t>(d.inner) % static_cast<std::size_t>(d.channels);
        const double allowed = tolerance * (1 + std::fabs(exact.y[i])) + mean_tolerance * (0.5 + std::fabs(exact.mean[c])) * exact.invstd[c];
        const double error = std::fabs(static_cast<double>(got.y[i]) - exact.y[i]) / allowed;
        worst = std::isnan(error) ? HUGE_VAL : std::max(worst, error);
    }
    CHECK(worst <= 1);
    double scale = 1;  // dx carries a factor invstd
    for (const double s : exact.invstd) scale = std::max(scale, s);
    CHECK(distance(got.dx, exact.dx) <= tolerance * scale);
    // a sum of n products of size about 1
    CHECK(distance(got.dw, exact.dw) <= tolerance * std::sqrt(static_cast<double>(d.outer * d.inner)));
    CHECK(distance(got.db, exact.db) <= tolerance * std::sqrt(static_cast<double>(d.outer * d.inner)));
}

}  // namespace

TEST_CASE("cpu batch norm: odd sizes against the reference in double") {
    for (const index_t channels : {1, 2, 3, 5, 8, 15, 16, 17, 32, 33, 100})
        for (const index_t outer : {2, 3, 7, 8, 9, 16, 31, 127, 128, 129, 300}) check({outer, channels, 1}, reals(1, outer * channels, 2.0f, 0.5f));
    check({128, 128, 1}, reals(2, 128 * 128), false);
    check({128, 64, 1}, reals(3, 128 * 64), true, -1.0);  // momentum 1 / tracked
    check({1500, 48, 1}, reals(4, 1500 * 48));            // several chunks
}

TEST_CASE("cpu batch norm: channels whose values lie several at a time") {
    for (const index_t inner : {2, 3, 7, 8, 16, 31, 100, 1100})
        for (const index_t channels : {1, 3, 17})
            for (const index_t outer : {1, 2, 9})
                check({outer, channels, inner}, reals(5, outer * channels * inner, 2.0f, 0.5f), inner != 7, inner == 16 ? -1.0 : 0.1);
    const NormDims d{7, 11, 5};
    const Floats x = reals(4, d.outer * d.channels * d.inner), w = reals(2, d.channels), b = reals(3, d.channels), mean = reals(4, d.channels),
                 var = reals(5, d.channels, 0.9f, 1.0f);
    for (const bool affine : {true, false}) {
        Floats y = x;
        std::vector<double> exact(x.size());
        batch_norm_infer(cpu(), d, 1e-5, y.data(), affine ? w.data() : nullptr, affine ? b.data() : nullptr, mean.data(), var.data(), y.data());
        const auto wide_w = doubles(w), wide_b = doubles(b);
        batch_norm_infer(Reference<double>{}, d, 1e-5, doubles(x).data(), affine ? wide_w.data() : nullptr, affine ? wide_b.data() : nullptr,
                         doubles(mean).data(), doubles(var).data(), exact.data());
        CHECK(distance(y, exact) <= 2e-6);
    }
    Floats far = reals(8, 3 * 1000, 1.0f, 1000.0f);  // a variance far smaller than the mean
    const auto got = run(cpu(), {1, 3, 1000}, far, far, false);
    const auto exact = run(Reference<double>{}, {1, 3, 1000}, doubles(far), doubles(far), false);
    for (std::size_t c = 0; c < 3; ++c) CHECK(static_cast<double>(got.invstd[c]) == doctest::Approx(exact.invstd[c]).epsilon(1e-6));
}

TEST_CASE("cpu batch norm: small integers give exact statistics") {
    for (const index_t channels : {4, 16, 37}) {
        const NormDims d{256, channels, 1};
        const Floats x = integers(6, d.outer * channels, 8), dy = integers(7, d.outer * channels, 8);
        const auto got = run(cpu(), d, x, dy, true);
        const auto expected = run(Reference<float>{}, d, x, dy, true);
        CHECK(same_bits(got.mean, expected.mean));
        CHECK(same_bits(got.invstd, expected.invstd));
        CHECK(same_bits(got.db, expected.db));
        CHECK(same_bits(got.running_var, expected.running_var));
    }
}

TEST_CASE("cpu batch norm: a variance far smaller than the mean, and blocks that do not begin like they go on") {
    const NormDims d{1000, 33, 1};
    Floats x = reals(8, d.outer * d.channels, 1.0f, 1000.0f);
    const auto compare = [&](double relative) {
        const auto got = run(cpu(), d, x, x, false);
        const auto exact = run(Reference<double>{}, d, doubles(x), doubles(x), false);
        for (std::size_t c = 0; c < got.mean.size(); ++c) {
            CHECK(static_cast<double>(got.mean[c]) == doctest::Approx(exact.mean[c]).epsilon(1e-7));
            CHECK(static_cast<double>(got.invstd[c]) == doctest::Approx(exact.invstd[c]).epsilon(relative));
        }
    };
    compare(1e-6);
    for (const index_t odd : {1, 8}) {  // rows at the beginning of each block
        for (index_t r = 0; r < d.outer; ++r)
            if (r % 128 < odd)
                for (index_t c = 0; c < d.channels; ++c) x[static_cast<std::size_t>(r * d.channels + c)] = 0.0f;
        CAPTURE(odd);
        compare(1e-6);
    }
}

TEST_CASE("cpu batch norm: inference, in place too, equals the formula") {
    for (const index_t channels : {1, 3, 16, 17, 300})
        for (const index_t outer : {0, 1, 4, 7, 200}) {
            const NormDims d{outer, channels, 1};
            const Floats x = reals(1, outer * channels), w = reals(2, channels), b = reals(3, channels), mean = reals(4, channels),
                         var = reals(5, channels, 0.9f, 1.0f);
            Floats y = x;
            batch_norm_infer(cpu(), d, 1e-5, y.data(), w.data(), b.data(), mean.data(), var.data(), y.data());
            std::vector<double> exact(x.size());
            batch_norm_infer(Reference<double>{}, d, 1e-5, doubles(x).data(), doubles(w).data(), doubles(b).data(), doubles(mean).data(), doubles(var).data(),
                             exact.data());
            CHECK(distance(y, exact) <= 2e-6);
            batch_norm_infer(cpu(), d, 1e-5, x.data(), nullptr, nullptr, mean.data(), var.data(), y.data());
            batch_norm_infer(Reference<double>{}, d, 1e-5, doubles(x).data(), nullptr, nullptr, doubles(mean).data(), doubles(var).data(), exact.data());
            CHECK(distance(y, exact) <= 2e-6);
        }
}

TEST_CASE("cpu batch norm: no rows, no dx, and NaN stays in its channel") {
    const Floats nothing;
    Floats mean = poisoned(3), invstd = poisoned(3), db = poisoned(3), dw = poisoned(3);
    const NormDims empty{0, 3, 1};
    Scratch none(batch_norm_scratch(cpu(), empty));
    batch_norm_forward(cpu(), none.data(), empty, 1e-5, 0.1, nothing.data(), nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, mean.data(), invstd.data());
    CHECK(mean == Floats{0, 0, 0});

    const NormDims d{50, 19, 1};
    Floats x = reals(1, 50 * 19);
    x[19 * 49 + 4] = not_a_number;
    const auto got = run(cpu(), d, x, x, false);
    for (std::size_t c = 0; c < 19; ++c) CHECK(std::isnan(got.mean[c]) == (c == 4));
    Floats sums(19, 0.0f), products(19, 0.0f);
    Scratch scratch(batch_norm_scratch(cpu(), d));
    batch_norm_backward(cpu(), scratch.data(), d, x.data(), nullptr, got.mean.data(), got.invstd.data(), x.data(), nullptr, products.data(), sums.data());
    for (std::size_t c = 0; c < 19; ++c) CHECK(std::isnan(sums[c]) == (c == 4));
}

TEST_CASE("cpu batch norm: the same bits at any number of threads") {
    for (const NormDims& d : {NormDims{3001, 50, 1}, NormDims{60, 50, 50}}) {
        const Floats x = reals(1, d.outer * d.channels * d.inner), dy = reals(2, d.outer * d.channels * d.inner);
        check_threads([&](const Cpu<float>& p) {
            const auto r = run(p, d, x, dy, true);
            Floats all = r.y;
            for (const Floats* part : {&r.mean, &r.invstd, &r.running_mean, &r.running_var, &r.dx, &r.dw, &r.db})
                all.insert(all.end(), part->begin(), part->end());
            return all;
        });
    }
}

namespace {

/// y, mean, invstd, then dx over a copy of dy, dw, db one after the other.
template <class T, class P>
std::vector<T> layer_norm(const P& p, index_t rows, index_t columns, const std::vector<T>& x, const std::vector<T>& dy, bool affine, bool want_dx = true) {
    const std::vector<T> w = gains<T>(columns), b(w.rbegin(), w.rend());
    const T unwritten = std::numeric_limits<T>::quiet_NaN();
    std::vector<T> y(x.size(), unwritten), mean(static_cast<std::size_t>(rows), unwritten), invstd = mean, dx = dy, dw(static_cast<std::size_t>(columns), T{1}),
                                                                                            db = dw;
    Scratch scratch(layer_norm_scratch(p, rows, columns));
    layer_norm_forward(p, rows, columns, 1e-5, x.data(), affine ? w.data() : nullptr, affine ? b.data() : nullptr, y.data(), mean.data(), invstd.data());
    layer_norm_backward(p, scratch.data(), rows, columns, x.data(), affine ? w.data() : nullptr, mean.data(), invstd.data(), dx.data(),
                        want_dx ? dx.data() : nullptr, affine ? dw.data() : nullptr, affine ? db.data() : nullptr);
    for (const auto* part : {&mean, &invstd, &dx, &dw, &db}) y.insert(y.end(), part->begin(), part->end());
    return y;
}

}  // namespace

TEST_CASE("cpu layer norm: odd sizes against the reference in double, over dy too, within its scratch") {
    for (const index_t columns : {2, 3, 7, 16, 17, 33, 100, 1030, 4097, 5000})
        for (const index_t rows : {0, 1, 3, 65, 300})
            for (const bool affine : {true, false})
                for (const bool want_dx : {true, false}) {
                    if (rows * columns > 270000) continue;
                    CAPTURE(rows);
                    CAPTURE(columns);
                    const Floats x = reals(1, rows * columns, 2.0f, 0.5f), dy = reals(2, rows * columns, 1.0f, 0.3f);
                    const Floats got = layer_norm(cpu(), rows, columns, x, dy, affine, want_dx);
                    const auto exact = layer_norm(Reference<double>{}, rows, columns, doubles(x), doubles(dy), affine, want_dx);
                    double scale = 4;  // 1 / standard deviation, which of two or three values may be large
                    for (index_t r = 0; r < rows; ++r) scale = std::max(scale, 8 * exact[static_cast<std::size_t>(rows * columns + rows + r)]);
                    CHECK(distance(got, exact) <= tolerance * scale * std::max(1.0, std::sqrt(static_cast<double>(rows)) / 4));
                }
    Floats x = reals(1, 5 * 40);
    x[3 * 40 + 7] = not_a_number;
    const Floats y = layer_norm(cpu(), 5, 40, x, x, false);
    for (std::size_t i = 0; i < 200; ++i) REQUIRE(std::isnan(y[i]) == (i / 40 == 3));
    layer_norm_forward(cpu(), 5, 40, 1e-5, x.data(), nullptr, nullptr, x.data(), static_cast<float*>(nullptr), nullptr);  // in place, nothing kept
    CHECK(same_bits(x, Floats(y.begin(), y.begin() + 200)));
}

TEST_CASE("cpu norms: values that are all alike are exactly at their mean") {
    const auto check_zero = [](const Floats& y, const Floats& invstd) {
        for (const float v : y) REQUIRE(v == 0);
        for (const float v : invstd) REQUIRE(v == static_cast<float>(1.0 / std::sqrt(1e-5)));
    };
    for (const float value : {0.1f, 197.08f, 1917.7f, -1827.6f}) {
        CAPTURE(value);
        for (const index_t columns : {3, 100, 768, 4096}) {
            Floats y(static_cast<std::size_t>(columns), value), mean(1), invstd(1);
            layer_norm_forward(cpu(), 1, columns, 1e-5, y.data(), nullptr, nullptr, y.data(), mean.data(), invstd.data());
            check_zero(y, invstd);
        }
        for (const NormDims& d : {NormDims{8, 4, 128}, NormDims{300, 17, 1}}) {
            const Floats x(static_cast<std::size_t>(d.outer * d.channels * d.inner), value);
            const auto got = run(cpu(), d, x, x, false);
            check_zero(got.y, got.invstd);
        }
    }
}

TEST_CASE("cpu layer norm: the same bits at any number of threads") {
    const Floats x = reals(1, 700 * 300), dy = reals(2, 700 * 300);
    check_threads([&](const Cpu<float>& p) { return layer_norm(p, 700, 300, x, dy, true); });
    check_threads([&](const Cpu<float>& p) { return layer_norm(p, 42, 5000, x, dy, true); });  // whole images
}

TEST_CASE("cpu batch norm: backward of inference against the reference in double, over dy too, within its scratch") {
    const auto run_infer = [](const auto& p, const NormDims& d, const auto& x, const auto& dy, bool affine, bool want_dx) {
        using Values = std::remove_cvref_t<decltype(x)>;
        using T = typename Values::value_type;
        const auto channels = static_cast<std::size_t>(d.channels);
        const Floats mean = reals(4, d.channels), var = reals(5, d.channels, 0.9f, 1.0f);
        const Values w = gains<T>(d.channels), mu(mean.begin(), mean.end()), square(var.begin(), var.end());
        Values dx = dy, dw(channels, T{1}), db(channels, T{-1});
        Scratch scratch(batch_norm_scratch(p, d));
        batch_norm_infer_backward(p, scratch.data(), d, 1e-5, x.data(), affine ? w.data() : nullptr, mu.data(), square.data(), dx.data(),
                                  want_dx ? dx.data() : nullptr, affine ? dw.data() : nullptr, affine ? db.data() : nullptr);
        for (const Values* part : {&dw, &db}) dx.insert(dx.end(), part->begin(), part->end());
        return dx;
    };
    for (const bool affine : {true, false})
        for (const bool want_dx : {true, false})
            for (const NormDims& d : {NormDims{0, 3, 1}, NormDims{1, 1, 1}, NormDims{1, 17, 1}, NormDims{7, 33, 1}, NormDims{129, 5, 1}, NormDims{128, 100, 1},
                                      NormDims{300, 16, 1}, NormDims{3001, 50, 1}, NormDims{6, 5, 7}}) {
                CAPTURE(d.outer);
                CAPTURE(d.channels);
                const index_t n = d.outer * d.channels * d.inner;
                const Floats x = reals(1, n, 2.0f, 0.5f), dy = reals(2, n, 1.0f, 0.3f);
                const Floats got = run_infer(cpu(), d, x, dy, affine, want_dx);
                const auto exact = run_infer(Reference<double>{}, d, doubles(x), doubles(dy), affine, want_dx);
                // |1 / sqrt(var)| is at most 3.2; dw and db are sums of products of size about 1.
                CHECK(distance(got, exact) <= tolerance * std::max(4.0, std::sqrt(static_cast<double>(d.outer * d.inner))));
                if (affine || want_dx) CHECK((n == 0 || !same_bits(got, run_infer(cpu(), d, dy, x, affine, want_dx))));
            }
    const NormDims d{3001, 50, 1};
    const Floats x = reals(1, d.outer * d.channels), dy = reals(2, d.outer * d.channels);
    check_threads([&](const Cpu<float>& p) { return run_infer(p, d, x, dy, true, true); });
}
