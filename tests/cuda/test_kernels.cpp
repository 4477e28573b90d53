// SPDX-License-Identifier: MIT
// Kernels of Cuda<float> at sizes around those of warps, blocks and chunks, against the reference: both add up in double and round once.
#include <doctest/doctest.h>

#include <dla/core/philox.hpp>
#include <support/cuda/bridge.hpp>
#include <support/cuda/orders.hpp>
#include <support/golden_check.hpp>

using namespace dla;
using bridge::Bridge;
using Floats = golden::Values<Bridge>;
using golden::Integers;
using golden::Scratch;

namespace {

Floats reals(std::uint32_t seed, index_t n, float scale = 1) {
    Floats v(static_cast<std::size_t>(n));
    RandomStream random({seed, 0, 0}, RandomUse::synthesis);
    for (float& e : v) e = scale * (2 * random.uniform() - 1);
    return v;
}

/// The largest difference in units of float rounding at the largest value; infinite where one is NaN and the other is not.
double distance(const Floats& got, const Floats& expected) {
    double scale = 0, worst = 0;
    for (const float e : expected)
        if (std::isfinite(e)) scale = std::max(scale, std::abs(static_cast<double>(e)));
    for (std::size_t i = 0; i < got.size(); ++i) {
        if (std::isnan(got[i]) && std::isnan(expected[i])) continue;
        if (got[i] == expected[i]) continue;
        const double off = std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i]));
        worst = std::isnan(off) ? HUGE_VAL : std::max(worst, off);
    }
    return worst == 0 ? 0 : worst / (scale * 0x1p-24);
}

/// f(policy, arrays) on the reference and on the device, which write into arrays of the same content.
template <class F>
void compare(std::vector<Floats> arrays, double units, const F& f) {
    std::vector<Floats> expected = arrays, got = arrays;
    f(Reference<float>{}, expected);
    f(Bridge{}, got);
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        CAPTURE(i);
        CHECK(distance(got[i], expected[i]) <= units);
    }
}

const index_t sizes[] = {1, 31, 32, 33, 255, 256, 257, 1000, 70001};
const NormDims tensors[] = {{1, 1, 1},  {5, 33, 1},  {3000, 3, 1}, {9001, 32, 1}, {70001, 1, 1},
                            {2, 70, 1}, {6, 5, 700}, {301, 2, 40}, {2, 300, 9},   {1, 1, 5000}};
index_t size_of(const NormDims& d) { return d.outer * d.channels * d.inner; }

}  // namespace

TEST_CASE("elementwise kernels around the sizes of warps and blocks") {
    for (const index_t n : sizes) {
        CAPTURE(n);
        const Floats a = reals(1, n), b = reals(2, n), y(a.size(), NAN);
        compare({a, b, y}, 0, [n](const auto& p, auto& v) { add(p, n, v[0].data(), v[1].data(), v[2].data()); });
        compare({y}, 0, [n](const auto& p, auto& v) { fill(p, n, 0.3f, v[0].data()); });
        compare({a}, 0, [n](const auto& p, auto& v) { fill(p, n, 0.0f, v[0].data()); });
        compare({a, y}, 0, [n](const auto& p, auto& v) { copy(p, n, v[0].data(), v[1].data()); });
        compare({a}, 0, [n](const auto& p, auto& v) { scale(p, n, 0.25, v[0].data()); });
        compare({a, b}, 0, [n](const auto& p, auto& v) { accumulate(p, n, v[0].data(), v[1].data()); });
        compare({a, b, y, y}, 0, [n](const auto& p, auto& v) {
            std::vector<std::uint32_t, support::Registered<std::uint32_t>> mask(static_cast<std::size_t>(relu_mask_words(n)), 0xabababab);
            add_relu(p, n, v[0].data(), v[1].data(), v[2].data(), mask.data());
            relu_mask_backward(p, n, mask.data(), v[0].data(), v[3].data());
        });
        for (const index_t first : {0, 1, 2, 3, 7})
            compare({a, y}, 0, [&](const auto& p, auto& v) {
                const RandomPosition at{5, 6, 7};
                dropout(p, n, 0.4, &at, 9, v[0].data(), v[1].data(), first);
            });
    }
}

TEST_CASE("transpositions and columns") {
    for (const auto& [count, rows, columns] :
         std::vector<std::array<index_t, 3>>{{1, 1, 1}, {3, 5, 7}, {2, 33, 65}, {1, 100, 31}, {4, 32, 32}, {1, 1, 300}, {1030, 2, 3}, {1, 32 * 1024 + 40, 1}}) {
        const index_t n = count * rows * columns;
        compare({reals(1, n), Floats(static_cast<std::size_t>(n), NAN)}, 0,
                [&, c = count, r = rows, k = columns](const auto& p, auto& v) { transpose(p, c, r, k, v[0].data(), v[1].data()); });
    }
    compare({reals(1, 40 * 9), reals(2, 40 * 13)}, 0, [](const auto& p, auto& v) { copy_columns(p, 40, 5, v[0].data() + 2, 9, v[1].data() + 7, 13); });
    for (const index_t channels : {1, 3, 32, 70})
        compare({reals(1, 6 * 50 * channels), reals(2, 6 * channels), reals(3, 6 * 50 * channels), Floats(static_cast<std::size_t>(6 * channels))}, 2,
                [&](const auto& p, auto& v) {
                    scale_channels_backward(p, 6, 50, channels, v[0].data(), v[2].data(), v[3].data());
                    scale_channels(p, 6, 50, channels, v[0].data(), v[1].data(), v[2].data());
                });
}

TEST_CASE("sums of channels, cut in chunks or not") {
    for (const NormDims& d : tensors) {
        INFO("outer ", d.outer, ", channels ", d.channels, ", inner ", d.inner);
        const index_t n = size_of(d), c = d.channels;
        const Floats x = reals(1, n, 2), dy = reals(2, n), w = reals(3, c), b = reals(4, c), none(static_cast<std::size_t>(n), NAN), dw = reals(5, c),
                     db = reals(6, c);
        const Floats mean = reals(7, c), var(static_cast<std::size_t>(c), 0.7f);
        if (d.inner == 1)
            compare({x, dw}, 2, [&](const auto& p, auto& v) {
                Scratch scratch(column_sum_scratch(p, d.outer, c));
                column_sum(p, scratch.data, d.outer, c, v[0].data(), v[1].data());
            });
        compare({x, w, dy, none, dw}, 4, [&](const auto& p, auto& v) {
            Scratch scratch(prelu_scratch(p, d));
            prelu_backward(p, scratch.data, d, v[0].data(), v[1].data(), v[2].data(), v[3].data(), v[4].data());
            prelu_forward(p, d, v[0].data(), v[1].data(), v[0].data());
        });
        if (d.outer * d.inner > 1)
            compare({x, w, b, mean, var, none, mean, var}, 40, [&](const auto& p, auto& v) {
                Scratch scratch(batch_norm_scratch(p, d));
                std::int64_t tracked = 4;
                batch_norm_forward(p, scratch.data, d, 1e-3, -1, v[0].data(), v[1].data(), v[2].data(), v[3].data(), v[4].data(), &tracked, v[5].data(),
                                   v[6].data(), v[7].data());
                CHECK(tracked == 5);
            });
        compare({x, w, mean, var, dy, none, dw, db}, 40, [&](const auto& p, auto& v) {
            Scratch scratch(batch_norm_scratch(p, d));
            batch_norm_backward(p, scratch.data, d, v[0].data(), v[1].data(), v[2].data(), v[3].data(), v[4].data(), v[5].data(), v[6].data(), v[7].data());
        });
        compare({x, w, mean, var, dy, dw, db}, 40, [&](const auto& p, auto& v) {
            Scratch scratch(batch_norm_scratch(p, d));
            batch_norm_infer_backward(p, scratch.data, d, 1e-3, v[0].data(), v[1].data(), v[2].data(), v[3].data(), v[4].data(), v[4].data(), v[5].data(),
                                      v[6].data());
            batch_norm_infer(p, d, 1e-3, v[0].data(), v[1].data(), v[1].data(), v[2].data(), v[3].data(), v[0].data());
        });
    }
    // Far from 0: the deviation is what matters.
    Floats far = reals(1, 4000);
    for (float& e : far) e = 1000 + e;
    compare({far, far, far, far}, 3000, [&](const auto& p, auto& v) {
        const NormDims d{4000, 1, 1};
        Scratch scratch(batch_norm_scratch(p, d));
        batch_norm_forward(p, scratch.data, d, 1e-5, 0.1, v[0].data(), nullptr, nullptr, nullptr, nullptr, nullptr, v[1].data(), v[2].data(), v[3].data());
        CHECK(std::abs(v[3][0] - 1.732f) < 0.05f);
    });
}

TEST_CASE("rows of any length: normalisation, softmax") {
    for (const index_t columns : {1, 2, 5, 10, 31, 32, 33, 64, 129, 1000, 3000}) {
        CAPTURE(columns);
        const index_t rows = 7, n = rows * columns;
        const Floats x = reals(1, n, 3), dy = reals(2, n), w = reals(3, columns), b = reals(4, columns), none(static_cast<std::size_t>(n), NAN);
        const Floats row_mean(7), row_invstd(7);
        compare({x, w, b, none, row_mean, row_invstd, dy, reals(5, columns), reals(6, columns)}, 60, [&](const auto& p, auto& v) {
            layer_norm_forward(p, rows, columns, 1e-2, v[0].data(), v[1].data(), v[2].data(), v[3].data(), v[4].data(), v[5].data());
            Scratch scratch(layer_norm_scratch(p, rows, columns));
            layer_norm_backward(p, scratch.data, rows, columns, v[0].data(), v[1].data(), v[4].data(), v[5].data(), v[6].data(), v[6].data(), v[7].data(),
                                v[8].data());
        });
        for (const index_t inner : {1, 3}) {
            const NormDims d{5, columns, inner};
            const Floats values = reals(8, size_of(d), 8), slopes = reals(9, size_of(d)), room(values.size(), NAN);
            compare({values, room, slopes, values}, 4, [&](const auto& p, auto& v) {
                softmax_forward(p, d, v[0].data(), v[1].data());
                softmax_backward(p, d, v[1].data(), v[2].data(), v[2].data());
                log_softmax_forward(p, d, v[3].data(), v[3].data());
                log_softmax_backward(p, d, v[3].data(), v[0].data(), v[0].data());
            });
        }
    }
    for (const bool first : {false, true})
        for (const auto& [channels, positions, groups] : std::vector<std::array<index_t, 3>>{{6, 1, 2}, {6, 400, 3}, {64, 49, 4}, {3, 1000, 1}, {40, 30, 40}}) {
            const GroupNormDims d{.batch = 3, .channels = channels, .positions = positions, .groups = groups, .channels_first = first};
            const index_t n = 3 * channels * positions;
            const Floats x = reals(1, n, 2), w = reals(2, channels), stats(static_cast<std::size_t>(3 * groups)), dy = reals(3, n);
            compare({x, w, w, x, stats, stats, dy, w, w}, 60, [&](const auto& p, auto& v) {
                Scratch scratch(group_norm_scratch(p, d));
                group_norm_forward(p, scratch.data, d, 1e-2, v[0].data(), v[1].data(), v[2].data(), v[3].data(), v[4].data(), v[5].data());
                group_norm_backward(p, scratch.data, d, v[0].data(), v[1].data(), v[4].data(), v[5].data(), v[6].data(), v[6].data(), v[7].data(), v[8].data());
            });
        }
}

TEST_CASE("losses of many rows and classes") {
    for (const index_t rows : {1, 5, 300, 1100})
        for (const index_t classes : {2, 10, 33}) {
            INFO(rows, " rows, ", classes, " classes");
            const Floats logits = reals(1, rows * classes, 5), weights = reals(2, classes, 0.4f), room(logits.size(), NAN);
            Integers labels(static_cast<std::size_t>(rows));
            for (std::size_t r = 0; r < labels.size(); ++r)
                labels[r] = r % 7 == 3 ? -100 : static_cast<std::int32_t>(r * 31 % static_cast<std::size_t>(classes));
            for (int variant = 0; variant < 8; variant += rows > 1000 ? 7 : 1) {
                CAPTURE(variant);
                const CrossEntropyDims d{.rows = rows, .classes = classes, .label_smoothing = variant & 1 ? 0.1 : 0, .mean = (variant & 2) == 0};
                LossResult results[2], wholes[2];
                int at = 0;
                const auto run = [&](const auto& p, auto& v) {
                    Scratch scratch(cross_entropy_scratch(p, d));
                    const float* w = variant & 4 ? v[1].data() : nullptr;
                    LossResult &result = results[at], &whole = wholes[at];
                    label_weights(p, d, labels.data(), w, &whole);
                    whole.weight += 3;
                    cross_entropy(p, scratch.data, d, v[0].data(), labels.data(), w, &result, v[2].data(), &whole);
                    const float first = v[2][0];
                    cross_entropy(p, scratch.data, d, v[0].data(), labels.data(), w, &result, v[0].data());
                    v[2][0] = first;
                    ++at;
                };
                compare({logits, weights, room}, 4, run);
                CHECK(results[0].loss == doctest::Approx(results[1].loss).epsilon(1e-12));
                CHECK(results[0].weight == doctest::Approx(results[1].weight).epsilon(1e-12));
                CHECK(results[0].correct == results[1].correct);
                CHECK(results[0].counted == results[1].counted);
                CHECK(results[1].bad_row == -1);
            }
            const CrossEntropyDims d{.rows = rows, .classes = classes, .label_smoothing = 0.2, .first_row = 40};
            LossResult soft[2];
            int at = 0;
            const auto run_soft = [&](const auto& p, auto& v) {
                Scratch scratch(cross_entropy_scratch(p, d));
                cross_entropy_soft(p, scratch.data, d, v[0].data(), v[1].data(), v[2].data(), &soft[at++], v[3].data());
            };
            compare({logits, reals(3, rows * classes), weights, room}, 4, run_soft);
            CHECK(soft[0].loss == doctest::Approx(soft[1].loss).epsilon(1e-12));
            CHECK(soft[0].correct == soft[1].correct);
            Floats odd = reals(3, rows * classes);
            odd.back() = HUGE_VALF;
            at = 0;
            compare({logits, odd, weights, room}, 0, run_soft);
            CHECK(soft[1].bad_row == 40 + rows - 1);
            CHECK(soft[1].bad_label == classes - 1);
        }
    Floats logits = reals(1, 3000);
    Integers labels(300, 4);
    labels[211] = 10, labels[250] = -7;
    const CrossEntropyDims d{.rows = 300, .classes = 10};
    const Bridge p;
    LossResult result, whole;
    Scratch scratch(cross_entropy_scratch(p, d));
    Floats gradient(logits.size(), 7);
    cross_entropy(p, scratch.data, d, logits.data(), labels.data(), nullptr, &result, gradient.data());
    CHECK(result.bad_row == 211);
    CHECK(result.bad_label == 10);
    label_weights(p, d, labels.data(), nullptr, &whole);
    CHECK(whole.bad_row == 211);
    labels.assign(300, 4);
    cross_entropy(p, scratch.data, d, logits.data(), labels.data(), nullptr, &result, gradient.data(), &whole);
    CHECK(result.bad_row == 211);
    CHECK(std::isnan(result.loss));
    CHECK(gradient == Floats(logits.size(), 7));
}

TEST_CASE("losses of single values, and squares") {
    for (const index_t n : {1, 100, 2048, 2049, 9000}) {
        const Floats x = reals(1, n, 3), targets = reals(2, n), pos = reals(3, 5), room(x.size(), NAN);
        for (const ElementLoss kind : {ElementLoss::squared, ElementLoss::absolute, ElementLoss::huber, ElementLoss::smooth_l1, ElementLoss::bce_with_logits}) {
            ElementLossDims d{.kind = kind, .rows = 1, .outputs = n, .bend = 0.6, .divisor = 7, .weights = 5, .first_row = 3};
            LossResult results[2];
            int at = 0;
            const auto run = [&](const auto& p, auto& v) {
                Scratch scratch(sum_of_squares_scratch(p, n));
                element_loss(p, scratch.data, d, v[0].data(), v[1].data(), kind == ElementLoss::bce_with_logits ? v[2].data() : nullptr, &results[at++],
                             v[3].data());
            };
            compare({x, targets, pos, room}, 2, run);
            CHECK(results[0].loss == doctest::Approx(results[1].loss).epsilon(1e-12));
            CHECK(results[1].counted == n);
            at = 0;
            Floats odd = targets;
            odd.back() = HUGE_VALF;
            compare({x, odd, pos, room}, 0, run);
            CHECK(results[1].bad_row == 3);
            CHECK(results[1].bad_label == n - 1);
        }
        double sums[2];
        int at = 0;
        compare({x}, 0, [&](const auto& p, auto& v) {
            Scratch scratch(sum_of_squares_scratch(p, n));
            sum_of_squares(p, scratch.data, n, v[0].data(), &sums[at++]);
        });
        CHECK(sums[0] == doctest::Approx(sums[1]).epsilon(1e-13));
    }
}

TEST_CASE("optimizers and the decision about a step") {
    for (const index_t n : {1, 257, 5000}) {
        const Floats value = reals(1, n), grad = reals(2, n), m = reals(3, n), v2 = Floats(value.size(), 0.3f);
        for (int variant = 0; variant < 8; ++variant)
            compare({value, grad, m, v2, value, m, grad}, 3, [&](const auto& p, auto& v) {
                StepReport report;
                report.applied = variant == 3 ? 0 : 1;
                AdamScalars settings{.learning_rate = 0.01, .weight_decay = variant & 1 ? 0.1 : 0, .decoupled = (variant & 2) != 0}, scalars;
                SgdScalars of_sgd{.learning_rate = 0.1,
                                  .momentum = variant & 1 ? 0.9 : 0,
                                  .dampening = 0.2,
                                  .weight_decay = variant & 2 ? 0.1 : 0,
                                  .nesterov = (variant & 4) != 0},
                    sgd;
                std::int64_t steps = variant, of_sgd_steps = variant & 2 ? 0 : 3;
                begin_adam_step(p, &settings, &report, &steps, &scalars);
                CHECK(steps == (variant == 3 ? 3 : variant + 1));
                adam_step(p, n, &scalars, v[0].data(), v[1].data(), v[2].data(), v[3].data());
                begin_sgd_step(p, &of_sgd, &report, &of_sgd_steps, &sgd);
                sgd_step(p, n, &sgd, v[4].data(), v[1].data(), variant & 1 ? v[5].data() : nullptr);
                MuonScalars of_muon{.learning_rate = 0.1, .factor = 3, .weight_decay = variant & 1 ? 0.1 : 0, .nesterov = (variant & 2) != 0}, muon;
                std::int64_t of_muon_steps = 5;
                begin_muon_step(p, &of_muon, &report, &of_muon_steps, &muon);
                CHECK(of_muon_steps == (variant == 3 ? 5 : 6));
                muon_direction(p, n, &muon, v[1].data(), v[5].data(), v[6].data());
                const double norm_squares = variant & 4 ? 100 : 1e-20;
                divide_by_norm(p, n, &norm_squares, 1e-7, v[6].data());
                muon_update(p, n, &muon, v[6].data(), v[4].data());
                const double squares = 4;
                clip_scale(p, n, &squares, variant & 1 ? 0.5 : 5, v[1].data());
            });
    }
    for (const double loss : {1.0, HUGE_VAL}) {
        StepReport reports[2];
        RandomPosition positions[2];
        double totals[2];
        const auto decide = [&](const auto& p, int at) {
            reports[at].loss.loss = loss;
            std::vector<double, support::Registered<double>> squares{1, 2, 6};
            decide_step(p, 3, squares.data(), &totals[at], &positions[at], &reports[at]);
        };
        decide(Reference<float>{}, 0), decide(Bridge{}, 1);
        CHECK(reports[0].gradient_norm == reports[1].gradient_norm);
        CHECK(reports[1].applied == (loss == 1 ? 1 : 0));
        CHECK(reports[1].refused == (loss == 1 ? 0 : 1));
        CHECK(positions[0] == positions[1]);
        CHECK(reports[1].position == positions[1]);
        CHECK(totals[1] == 9);
        std::vector<std::byte, support::Registered<std::byte>> from(1000, std::byte{3}), to(1000, std::byte{4});
        restore_unless_applied(Bridge{}, &reports[1], 1000, from.data(), to.data());
        CHECK(to[999] == (loss == 1 ? std::byte{4} : std::byte{3}));
        LossResult a{.loss = 1, .weight = 2, .correct = 3, .counted = 4}, b{.loss = 5, .weight = 6, .correct = 7, .counted = 8, .bad_row = 9, .bad_label = 10};
        join_losses(Bridge{}, &b, &a);
        CHECK(a.loss == 6);
        CHECK(a.counted == 12);
        CHECK(a.bad_row == 9);
    }
}

TEST_CASE("images of many pixels: pooling, resizing") {
    const Floats x = reals(1, 3 * 17 * 19 * 5);
    for (const index_t stride : {1, 2, 3}) {
        Pool2dDims d{
            .batch = 3, .height = 17, .width = 19, .channels = 5, .kernel_h = 3, .kernel_w = 2, .stride_h = stride, .stride_w = stride, .pad_h = 1, .pad_w = 1};
        d.out_height = (17 + 2 - 3) / stride + 1, d.out_width = (19 + 2 - 2) / stride + 1;
        const Floats dy = reals(2, 3 * d.out_height * d.out_width * 5), y(dy.size(), NAN);
        compare({x, y, dy, x, y, x}, 2, [&](const auto& p, auto& v) {
            Integers argmax(dy.size());
            max_pool2d_forward(p, d, v[0].data(), v[1].data(), argmax.data());
            max_pool2d_backward(p, d, v[2].data(), argmax.data(), v[3].data());
            avg_pool2d_forward(p, d, v[0].data(), v[4].data());
            avg_pool2d_backward(p, d, v[2].data(), v[5].data());
        });
    }
    for (const index_t size : {1, 8, 30}) {
        const Resize2dDims d{.batch = 3, .height = 17, .width = 19, .channels = 5, .out_height = size, .out_width = size + 3};
        const Floats dy = reals(2, 3 * size * (size + 3) * 5), y(dy.size(), NAN);
        compare({x, y, dy, x, y, x, y, x, y}, 4, [&](const auto& p, auto& v) {
            for (const bool corners : {false, true}) {
                upsample2d_forward(p, d, Interpolation::bilinear, corners, v[0].data(), v[1].data());
                upsample2d_backward(p, d, Interpolation::bilinear, corners, v[2].data(), v[3].data());
            }
            upsample2d_forward(p, d, Interpolation::nearest, false, v[0].data(), v[4].data());
            upsample2d_backward(p, d, Interpolation::nearest, false, v[2].data(), v[5].data());
            adaptive_avg_pool2d_forward(p, d, v[0].data(), v[6].data());
            adaptive_avg_pool2d_backward(p, d, v[2].data(), v[7].data());
            zero_pad2d(p, d, 2, -3, v[0].data(), v[8].data());
        });
    }
}

TEST_CASE("products of integers are exact") {
    const auto integers = [](std::uint32_t seed, index_t n) {
        Floats v = reals(seed, n, 9);
        for (float& e : v) e = std::round(e);
        return v;
    };
    for (const auto& [m, n, k] : std::vector<std::array<index_t, 3>>{{1, 1, 1}, {3, 5, 7}, {17, 1, 64}, {64, 33, 100}, {2, 3, 0}, {0, 4, 4}, {128, 10, 128}})
        for (int variant = 0; variant < 24; ++variant) {
            const GemmDims d{.m = m, .n = n, .k = k, .transpose_a = (variant & 1) != 0, .transpose_b = (variant & 2) != 0};
            const float beta = variant / 8 == 0 ? 0.0f : variant / 8 == 1 ? 1.0f : 0.5f;
            Floats c = integers(4, m * n);
            if (beta == 0) std::fill(c.begin(), c.end(), NAN);
            // Pointers that are not aligned to more than a float.
            compare({integers(1, m * k + 2), integers(2, k * n + 2), integers(3, n + 1), c}, 0, [&](const auto& p, auto& v) {
                Scratch scratch(gemm_scratch(p, d));
                gemm(p, scratch.data, d, v[0].data() + (variant & 1), v[1].data() + (variant & 1), variant & 4 ? v[2].data() + 1 : nullptr, beta, v[3].data());
            });
        }
}

// Where cuDNN has no engine: launched here whether it has or not.
TEST_CASE("convolutions of our own") {
    const auto dims = [](index_t batch, index_t size, index_t in, index_t out, index_t kernel, index_t stride, index_t dilation, index_t pad, index_t groups) {
        Conv2dDims d{.batch = batch, .height = size, .width = size + 2, .in_channels = in, .out_channels = out, .kernel_h = kernel, .kernel_w = kernel};
        d.stride_h = d.stride_w = stride, d.dilation_h = d.dilation_w = dilation, d.pad_top = d.pad_left = pad, d.groups = groups;
        d.out_height = (size + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1,
        d.out_width = (size + 2 + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
        return d;
    };
    for (const Conv2dDims& d :
         {dims(3, 9, 4, 6, 3, 1, 1, 1, 1), dims(2, 8, 6, 4, 3, 2, 1, 1, 2), dims(2, 11, 3, 5, 2, 1, 3, 0, 1), dims(1, 7, 8, 8, 3, 1, 1, 1, 8)}) {
        const index_t inputs = d.batch * d.height * d.width * d.in_channels, outputs = detail::outputs_of(d), weights = detail::weight_count(d);
        const Floats y(static_cast<std::size_t>(outputs), NAN), dx(static_cast<std::size_t>(inputs), NAN);
        compare({reals(1, inputs), reals(2, weights), reals(3, d.out_channels), y, reals(4, outputs), dx, reals(5, weights)}, 4,
                [&]<class P>(const P& p, auto& v) {
                    if constexpr (std::is_same_v<P, Bridge>) {
                        namespace kernels = cuda::kernels;
                        launch(p, kernels::conv2d_forward, cuda::Blocks::over(outputs), d, v[0].data(), v[1].data(), v[2].data(), v[3].data());
                        launch(p, kernels::conv2d_backward_data, cuda::Blocks::over(inputs), d, v[4].data(), v[1].data(), v[5].data());
                        launch(p, kernels::conv2d_backward_weights, cuda::Blocks{.x = weights}, d, v[0].data(), v[4].data(), v[6].data());
                    } else {
                        conv2d_forward(p, nullptr, d, v[0].data(), v[1].data(), v[2].data(), v[3].data());
                        conv2d_backward_data(p, nullptr, d, v[4].data(), v[1].data(), v[5].data());
                        conv2d_backward_weights(p, nullptr, d, v[0].data(), v[4].data(), v[6].data(), nullptr);
                    }
                });
    }
}

TEST_CASE("TF32 is asked for, and rounds no more than it may") {
    Bridge exact, rounded;
    rounded.device.tf32 = true;
    const GemmDims d{.m = 40, .n = 24, .k = 64};
    const Floats a = reals(1, 40 * 64), b = reals(2, 64 * 24);
    const auto product = [&](const Bridge& p) {
        Floats c(40 * 24, NAN);
        gemm(p, static_cast<std::byte*>(nullptr), d, a.data(), b.data(), nullptr, 0, c.data());
        return c;
    };
    const Conv2dDims conv{.batch = 2,
                          .height = 9,
                          .width = 9,
                          .in_channels = 16,
                          .out_channels = 16,
                          .kernel_h = 3,
                          .kernel_w = 3,
                          .pad_top = 1,
                          .pad_left = 1,
                          .out_height = 9,
                          .out_width = 9};
    const Floats x = reals(3, 2 * 81 * 16), w = reals(4, 16 * 9 * 16);
    const auto convolution = [&](const Bridge& p) {
        Floats y(x.size(), NAN);
        conv2d_forward(p, static_cast<std::byte*>(nullptr), conv, x.data(), w.data(), nullptr, y.data());
        return y;
    };
    // Two factors rounded to 11 bits, of products that are as large as their sum at most.
    CHECK(distance(product(rounded), product(exact)) < 0x1p13 * 2);
    CHECK(distance(convolution(rounded), convolution(exact)) < 0x1p13 * 2);
    if (support::device_is_emulated()) {  // a real device may find that tensor cores do not pay
        CHECK(distance(product(rounded), product(exact)) > 100);
        CHECK(distance(convolution(rounded), convolution(exact)) > 100);
    }
    exact.device.strict = true;
    CHECK(distance(convolution(exact), convolution(Bridge())) < 200);
}

TEST_CASE("more values than a grid has threads") {
    const index_t n = (index_t{1} << 20) + 300;  // 4096 blocks of 256
    const Floats a = reals(1, 5000);
    Floats x(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = a[i % a.size()];
    compare({x, Floats(x.size(), NAN)}, 0, [n](const auto& p, auto& v) { add(p, n, v[0].data(), v[0].data(), v[1].data()); });
    compare({x, Floats(x.size(), NAN)}, 0, [n](const auto& p, auto& v) {
        std::vector<std::uint32_t, support::Registered<std::uint32_t>> mask(static_cast<std::size_t>(relu_mask_words(n)));
        add_relu(p, n, v[0].data(), v[0].data(), v[1].data(), mask.data());
        relu_mask_backward(p, n, mask.data(), v[0].data(), v[1].data());
    });
    const index_t batch = 1024 + 30;  // samples to a grid's second dimension
    const Floats pixels = reals(2, batch * 2 * 3);
    compare({pixels, Floats(static_cast<std::size_t>(batch * 3), NAN)}, 2,
            [&](const auto& p, auto& v) { scale_channels_backward(p, batch, 2, 3, v[0].data(), v[0].data(), v[1].data()); });
}
