// SPDX-License-Identifier: MIT
// The reference kernels with 16-bit activations: each must give what the reference in double (or float, where single operations define the kernel) gives
// for the same numbers, rounded once to the type of the output. No tolerances: the sums are the same.
#include <doctest/doctest.h>

#include <cmath>
#include <dla/kernels/contract.hpp>
#include <dla/kernels/reference.hpp>
#include <support/kernel_check.hpp>
#include <vector>

using namespace dla;
using support::index_t;

static_assert(kernel::Backend<Reference<bf16>> && kernel::Backend<Reference<f16>>);
static_assert(kernel::Backend<Cpu<bf16>>, "a Cpu policy falls back to the reference kernels");

namespace {

struct Derived : Reference<bf16> {};
static_assert(kernel::Backend<Derived>);

// What adds up or is trained must not be narrow: such calls do not compile.
template <class P, class T>
concept SumsColumnsTo = requires(const P& p, kernel::ConstActivationPtr<P> x, T* y) {
    column_sum(p, nullptr, 1, 1, x, y);
};
template <class P, class T>
concept Trains = requires(const P& p, const SgdScalars* sgd, T* value) {
    sgd_step(p, 1, sgd, value, value, nullptr);
};
static_assert(SumsColumnsTo<Reference<bf16>, float> && !SumsColumnsTo<Reference<bf16>, bf16>);
static_assert(Trains<Reference<f16>, float> && !Trains<Reference<f16>, f16>);

template <class To, class From>
std::vector<To> as(const std::vector<From>& from) {
    std::vector<To> to;
    for (const From& x : from) to.push_back(static_cast<To>(x));
    return to;
}

/// Inputs that the activations of P can hold exactly, drawn in H; masters and statistics have all digits of a float.
template <class P, class H>
struct Inputs {
    static auto activations(std::uint32_t seed, index_t n, float scale = 2) { return as<typename P::activation>(as<H>(support::reals(seed, n, scale))); }
    static auto weights(std::uint32_t seed, index_t n) { return as<typename P::weight>(as<H>(support::reals(seed, n))); }
    static auto masters(std::uint32_t seed, index_t n) { return as<typename P::master>(support::reals(seed, n)); }
    static auto statistics(std::uint32_t seed, index_t n, float offset = 0) { return as<typename P::statistic>(support::reals(seed, n, 1, offset)); }
    static auto unwritten(index_t n) { return as<typename P::activation>(support::poisoned(n)); }
};

/// Outputs of one call, in order: activations, what float holds, and what every policy reports in double.
struct Outputs {
    std::vector<double> activations, others, exact;
    template <class T>
    void activation(const std::vector<T>& v) {
        for (const T& x : v) activations.push_back(static_cast<double>(x));
    }
    template <class T>
    void other(const std::vector<T>& v) {
        for (const T& x : v) others.push_back(static_cast<double>(x));
    }
};

/// run(policy, inputs, outputs) with Reference<H> and with the oracle.
template <class H, class Oracle, class Run>
void check_against(const Run& run) {
    Outputs got, want;
    run(Reference<H>{}, Inputs<Reference<H>, H>{}, got);
    run(Oracle{}, Inputs<Oracle, H>{}, want);
    REQUIRE(got.activations.size() == want.activations.size());
    REQUIRE(got.others.size() == want.others.size());
    int wrong = 0, unwritten = 0;
    for (std::size_t i = 0; i < got.activations.size(); ++i) {
        wrong += static_cast<H>(got.activations[i]).bits() != static_cast<H>(want.activations[i]).bits();
        unwritten += std::isnan(got.activations[i]);
    }
    for (std::size_t i = 0; i < got.others.size(); ++i) {
        wrong += got.others[i] != static_cast<double>(static_cast<float>(want.others[i]));
        unwritten += std::isnan(got.others[i]);
    }
    CHECK(wrong == 0);
    CHECK(unwritten == 0);
    CHECK(got.exact == want.exact);
}

}  // namespace

TEST_CASE_TEMPLATE("16-bit gemm: weights make activations, activations make masters", H, bf16, f16) {
    for (const GemmDims d : {GemmDims{1, 1, 1}, GemmDims{5, 7, 129, false, true}, GemmDims{3, 9, 17, true, false}, GemmDims{2, 3, 0}, GemmDims{0, 3, 2}})
        for (const float beta : {0.0f, 1.0f, 0.3f}) {
            check_against<H, Reference<double>>([&](const auto& p, const auto& in, Outputs& out) {
                const auto a = in.activations(1, d.m * d.k), a2 = in.activations(2, d.k * d.n);
                const auto w = in.weights(2, d.k * d.n), bias = in.weights(3, d.n);
                auto y = in.activations(4, d.m * d.n), plain = beta == 0 ? in.unwritten(d.m * d.n) : y;
                auto dw = in.masters(5, d.m * d.n);
                gemm(p, nullptr, d, a.data(), w.data(), bias.data(), beta, y.data());
                gemm(p, nullptr, d, a.data(), w.data(), nullptr, beta, plain.data());
                gemm(p, nullptr, d, a.data(), a2.data(), nullptr, beta, dw.data());
                out.activation(y), out.activation(plain), out.other(dw);
            });
        }
}

TEST_CASE_TEMPLATE("16-bit conv2d", H, bf16, f16) {
    for (const index_t batch : {0, 1, 3}) {
        Conv2dDims d{.batch = batch, .height = 7, .width = 5, .in_channels = 6, .out_channels = 4, .kernel_h = 3, .kernel_w = 2, .stride_h = 2, .stride_w = 1};
        d.pad_top = 1, d.pad_left = 1, d.dilation_w = 2, d.out_height = 4, d.out_width = 5, d.groups = 2;
        check_against<H, Reference<double>>([&](const auto& p, const auto& in, Outputs& out) {
            const auto x = in.activations(1, batch * 7 * 5 * 6), dy = in.activations(2, batch * 4 * 5 * 4);
            const auto w = in.weights(3, 4 * 3 * 2 * 3), bias = in.weights(4, 4);
            auto y = in.unwritten(batch * 4 * 5 * 4), plain = y, dx = in.unwritten(batch * 7 * 5 * 6);
            auto dw = in.masters(5, 4 * 3 * 2 * 3), dbias = in.masters(6, 4), alone = dw;
            conv2d_forward(p, nullptr, d, x.data(), w.data(), bias.data(), y.data());
            conv2d_forward(p, nullptr, d, x.data(), w.data(), nullptr, plain.data());
            conv2d_backward_data(p, nullptr, d, dy.data(), w.data(), dx.data());
            conv2d_backward_weights(p, nullptr, d, x.data(), dy.data(), dw.data(), dbias.data());
            conv2d_backward_weights(p, nullptr, d, x.data(), dy.data(), alone.data(), nullptr);
            out.activation(y), out.activation(plain), out.activation(dx), out.other(dw), out.other(dbias), out.other(alone);
        });
    }
}

TEST_CASE_TEMPLATE("16-bit pooling: overlapping windows add up in float", H, bf16, f16) {
    Pool2dDims d{.batch = 2, .height = 9, .width = 7, .channels = 5, .kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 2, .pad_h = 1, .pad_w = 1};
    d.out_height = 9, d.out_width = 4;
    for (const bool count_include_pad : {true, false}) {
        d.count_include_pad = count_include_pad;
        std::vector<std::int32_t> argmax(2 * 9 * 4 * 5);
        check_against<H, Reference<double>>([&](const auto& p, const auto& in, Outputs& out) {
            const auto x = in.activations(1, 2 * 9 * 7 * 5);
            auto largest = in.unwritten(2 * 9 * 4 * 5), mean = largest;
            max_pool2d_forward(p, d, x.data(), largest.data(), argmax.data());
            avg_pool2d_forward(p, d, x.data(), mean.data());
            out.activation(largest), out.activation(mean), out.other(argmax);
        });
        check_against<H, Reference<float>>([&](const auto& p, const auto& in, Outputs& out) {
            const auto dy = in.activations(2, 2 * 9 * 4 * 5);
            auto largest = in.unwritten(2 * 9 * 7 * 5), mean = largest;
            max_pool2d_backward(p, d, dy.data(), argmax.data(), largest.data());
            avg_pool2d_backward(p, d, dy.data(), mean.data());
            out.activation(largest), out.activation(mean);
        });
    }
}

TEST_CASE_TEMPLATE("16-bit images of another size: sums in double, one rounding", H, bf16, f16) {
    for (const Resize2dDims& d : {Resize2dDims{2, 3, 4, 5, 6, 9}, Resize2dDims{1, 9, 7, 3, 4, 2}, Resize2dDims{0, 2, 2, 3, 4, 4}})
        check_against<H, Reference<double>>([&](const auto& p, const auto& in, Outputs& out) {
            const index_t inputs = d.batch * d.height * d.width * d.channels, outputs = d.batch * d.out_height * d.out_width * d.channels;
            const auto x = in.activations(1, inputs), dy = in.activations(2, outputs);
            for (const auto& [mode, align] : {std::pair{Interpolation::nearest, false}, {Interpolation::bilinear, false}, {Interpolation::bilinear, true}}) {
                auto y = in.unwritten(outputs), dx = in.unwritten(inputs);
                upsample2d_forward(p, d, mode, align, x.data(), y.data());
                upsample2d_backward(p, d, mode, align, dy.data(), dx.data());
                out.activation(y), out.activation(dx);
            }
            auto mean = in.unwritten(outputs), spread = in.unwritten(inputs), padded = mean;
            adaptive_avg_pool2d_forward(p, d, x.data(), mean.data());
            adaptive_avg_pool2d_backward(p, d, dy.data(), spread.data());
            zero_pad2d(p, d, 1, -1, x.data(), padded.data());
            out.activation(mean), out.activation(spread), out.activation(padded);
        });
}

TEST_CASE_TEMPLATE("16-bit group normalisation", H, bf16, f16) {
    for (const GroupNormDims& d : {GroupNormDims{2, 6, 7, 3}, GroupNormDims{3, 17, 5, 17, true}, GroupNormDims{0, 4, 3, 2}, GroupNormDims{4, 8, 1, 2}})
        for (const bool affine : {true, false})
            check_against<H, Reference<double>>([&](const auto& p, const auto& in, Outputs& out) {
                const index_t n = d.batch * d.channels * d.positions, c = d.channels, statistics = d.batch * d.groups;
                const auto x = in.activations(1, n), dy = in.activations(2, n);
                const auto w = in.masters(3, c), b = in.masters(4, c);
                const auto* gain = affine ? w.data() : nullptr;
                auto y = in.unwritten(n), plain = y, dx = dy;
                auto mean = in.statistics(5, statistics), invstd = mean;
                auto dw = in.masters(7, c), db = in.masters(8, c);
                group_norm_forward(p, nullptr, d, 1e-5, x.data(), gain, affine ? b.data() : nullptr, y.data(), mean.data(), invstd.data());
                group_norm_forward(p, nullptr, d, 1e-5, x.data(), nullptr, nullptr, plain.data(), nullptr, nullptr);
                out.activation(y), out.activation(plain), out.other(mean), out.other(invstd);
                const auto centre = in.statistics(9, statistics), scale = in.statistics(10, statistics, 2);
                group_norm_backward(p, nullptr, d, x.data(), gain, centre.data(), scale.data(), dy.data(), dx.data(), affine ? dw.data() : nullptr,
                                    affine ? db.data() : nullptr);
                out.activation(dx), out.other(dw), out.other(db);
            });
}

TEST_CASE_TEMPLATE("16-bit batch normalisation: statistics and affine parameters in float", H, bf16, f16) {
    for (const NormDims d : {NormDims{2, 1, 1}, NormDims{33, 17, 1}, NormDims{5, 3, 7}})
        for (const bool affine : {true, false})
            check_against<H, Reference<double>>([&](const auto& p, const auto& in, Outputs& out) {
                const index_t n = d.outer * d.channels * d.inner, c = d.channels;
                const auto x = in.activations(1, n), dy = in.activations(2, n);
                const auto w = in.masters(3, c), b = in.masters(4, c);
                const auto* gain = affine ? w.data() : nullptr;
                const auto* shift = affine ? b.data() : nullptr;
                auto y = in.unwritten(n), inferred = y, dx = dy;
                auto running_mean = in.statistics(5, c), running_var = in.statistics(6, c, 2), mean = running_mean, invstd = mean;
                auto dw = in.masters(7, c), db = in.masters(8, c);
                std::int64_t tracked = 3;
                batch_norm_infer(p, d, 1e-5, x.data(), gain, shift, running_mean.data(), running_var.data(), inferred.data());
                batch_norm_forward(p, nullptr, d, 1e-5, -1, x.data(), gain, shift, running_mean.data(), running_var.data(), &tracked, y.data(), mean.data(),
                                   invstd.data());
                out.activation(y), out.activation(inferred);
                out.other(running_mean), out.other(running_var), out.other(mean), out.other(invstd);
                const auto centre = in.statistics(9, c), scale = in.statistics(10, c, 2);  // backward: the same numbers for both, with float's digits
                batch_norm_backward(p, nullptr, d, x.data(), gain, centre.data(), scale.data(), dy.data(), dx.data(), affine ? dw.data() : nullptr,
                                    affine ? db.data() : nullptr);
                out.activation(dx), out.other(dw), out.other(db);
            });
}

TEST_CASE_TEMPLATE("16-bit layer normalisation", H, bf16, f16) {
    for (const auto& [rows, columns] : {std::pair<index_t, index_t>{0, 3}, {1, 2}, {7, 33}})
        for (const bool affine : {true, false})
            check_against<H, Reference<double>>([&, r = rows, c = columns](const auto& p, const auto& in, Outputs& out) {
                const auto x = in.activations(1, r * c), dy = in.activations(2, r * c);
                const auto w = in.masters(3, c), b = in.masters(4, c);
                const auto* gain = affine ? w.data() : nullptr;
                auto y = in.unwritten(r * c), plain = y, dx = dy;
                auto mean = in.statistics(5, r), invstd = mean;
                auto dw = in.masters(7, c), db = in.masters(8, c);
                layer_norm_forward(p, r, c, 1e-5, x.data(), gain, affine ? b.data() : nullptr, y.data(), mean.data(), invstd.data());
                layer_norm_forward(p, r, c, 1e-5, x.data(), nullptr, nullptr, plain.data(), nullptr, nullptr);
                out.activation(y), out.activation(plain), out.other(mean), out.other(invstd);
                const auto centre = in.statistics(9, r), scale = in.statistics(10, r, 2);
                layer_norm_backward(p, nullptr, r, c, x.data(), gain, centre.data(), scale.data(), dy.data(), dx.data(), affine ? dw.data() : nullptr,
                                    affine ? db.data() : nullptr);
                out.activation(dx), out.other(dw), out.other(db);
            });
}

TEST_CASE_TEMPLATE("16-bit activation functions", H, bf16, f16) {
    for (const Activation kind :
         {Activation::relu, Activation::leaky_relu, Activation::gelu, Activation::gelu_tanh, Activation::silu, Activation::sigmoid, Activation::tanh,
          Activation::elu, Activation::softplus, Activation::hardswish})
        check_against<H, Reference<double>>([&](const auto& p, const auto& in, Outputs& out) {
            const auto x = in.activations(1, 333, 12), dy = in.activations(2, 333), y = in.activations(3, 333, 1);
            auto forward = in.unwritten(333), backward = dy;
            activation_forward(p, kind, 0.01, 333, x.data(), forward.data());
            activation_backward(p, kind, 0.01, 333, x.data(), y.data(), backward.data(), backward.data());
            out.activation(forward), out.activation(backward);
        });
    for (const NormDims d : {NormDims{7, 5, 1}, NormDims{3, 1, 11}, NormDims{2, 4, 3}})
        check_against<H, Reference<double>>([&](const auto& p, const auto& in, Outputs& out) {
            const index_t n = d.outer * d.channels * d.inner;
            const auto x = in.activations(1, n), dy = in.activations(2, n);
            const auto w = in.masters(3, d.channels);
            auto y = in.unwritten(n), dx = dy;
            auto dw = in.masters(4, d.channels);
            prelu_forward(p, d, x.data(), w.data(), y.data());
            prelu_backward(p, nullptr, d, x.data(), w.data(), dx.data(), dx.data(), dw.data());
            out.activation(y), out.activation(dx), out.other(dw);
        });
    H least[2]{};
    const H far[2]{H(-10), H(-20)};
    activation_forward(Reference<H>{}, Activation::sigmoid, 0, 2, far, least);  // below f16's normal numbers, and above float's
    CHECK(least[0].bits() == H(1 / (1 + std::exp(10.0))).bits());
    CHECK(least[0] > 0);
    CHECK(least[1].bits() == H(1 / (1 + std::exp(20.0))).bits());
}

TEST_CASE_TEMPLATE("16-bit elementwise kernels and dropout", H, bf16, f16) {
    const RandomPosition at{7, 1, 2};
    for (const index_t n : {0, 1, 37})
        check_against<H, Reference<float>>([&](const auto& p, const auto& in, Outputs& out) {
            const auto a = in.activations(1, n, 3), b = in.activations(2, n);
            auto sum = in.unwritten(n), positive = sum, copied = sum, filled = sum, dropped = sum, passed = sum;
            std::vector<std::uint32_t> mask(static_cast<std::size_t>(relu_mask_words(n)));
            auto masters = support::poisoned(n);
            add(p, n, a.data(), b.data(), sum.data());
            add_relu(p, n, a.data(), b.data(), positive.data(), mask.data());
            relu_mask_backward(p, n, mask.data(), b.data(), passed.data());
            copy(p, n, a.data(), copied.data());
            fill(p, n, 1.0f / 3, filled.data());
            fill(p, n, 1.0f / 3, masters.data());
            dropout(p, n, 0.1, &at, 3, a.data(), dropped.data());
            out.activation(sum), out.activation(positive), out.activation(copied), out.activation(filled), out.activation(dropped), out.activation(passed);
            out.other(masters);
        });
}

TEST_CASE_TEMPLATE("16-bit joined branches: copies are copies, products are rounded once, sums over pixels are wide", H, bf16, f16) {
    for (const index_t batch : {0, 1, 3})
        for (const index_t pixels : {1, 5, 40})
            for (const index_t channels : {1, 3, 17}) {
                const index_t n = batch * pixels * channels, rows = batch * pixels;
                check_against<H, Reference<double>>([&](const auto& p, const auto& in, Outputs& out) {
                    const auto x = in.activations(1, n), dy = in.activations(2, n), factor = in.activations(3, batch * channels);
                    auto scaled = in.unwritten(n), factors = in.unwritten(batch * channels), wide = in.activations(4, rows * (channels + 2)), back = scaled;
                    scale_channels(p, batch, pixels, channels, x.data(), factor.data(), scaled.data());
                    scale_channels_backward(p, batch, pixels, channels, x.data(), dy.data(), factors.data());
                    copy_columns(p, rows, channels, x.data(), channels, wide.data() + 1, channels + 2);
                    copy_columns(p, rows, channels, wide.data() + 1, channels + 2, back.data(), channels);
                    out.activation(scaled), out.activation(factors), out.activation(wide), out.activation(back);
                });
            }
}

TEST_CASE_TEMPLATE("16-bit softmax and losses: results in double, class weights in float", H, bf16, f16) {
    const std::vector<std::int32_t> labels{3, -100, 0, 12, 5, 5, 1};
    for (const double smoothing : {0.0, 0.1})
        for (const bool mean : {true, false})
            for (const bool weighted : {true, false})
                check_against<H, Reference<double>>([&](const auto& p, const auto& in, Outputs& out) {
                    const CrossEntropyDims d{.rows = 7, .classes = 13, .label_smoothing = smoothing, .mean = mean};
                    const auto x = in.activations(1, 91, 8), targets = in.activations(2, 91);
                    const auto class_weights = in.statistics(3, 13, 2);
                    const auto* weights = weighted ? class_weights.data() : nullptr;
                    auto log_forward = in.unwritten(91), log_backward = targets;
                    auto hard = in.unwritten(91), soft = hard, difference = hard, forward = hard, backward = targets;
                    LossResult results[5];
                    cross_entropy(p, nullptr, d, x.data(), labels.data(), weights, results, hard.data());
                    cross_entropy_soft(p, nullptr, d, x.data(), targets.data(), weights, results + 1, soft.data());
                    ElementLossDims single{.rows = 7, .outputs = 13, .divisor = mean ? 91.0 : 1.0, .weights = weighted ? 13 : 0};
                    element_loss(p, nullptr, single, x.data(), targets.data(), nullptr, results + 2, difference.data());
                    auto logistic = in.unwritten(91), huber = logistic;
                    single.kind = ElementLoss::bce_with_logits;
                    element_loss(p, nullptr, single, x.data(), targets.data(), weights, results + 3, logistic.data());
                    single.kind = ElementLoss::huber;
                    element_loss(p, nullptr, single, x.data(), targets.data(), nullptr, results + 4, huber.data());
                    out.activation(logistic), out.activation(huber);
                    for (const LossResult& r : results)
                        out.exact.insert(out.exact.end(),
                                         {r.loss, r.weight, static_cast<double>(r.correct), static_cast<double>(r.counted), static_cast<double>(r.bad_row)});
                    softmax_forward(p, NormDims{7, 13, 1}, x.data(), forward.data());
                    softmax_backward(p, NormDims{1, 13, 7}, x.data(), backward.data(), backward.data());
                    log_softmax_forward(p, NormDims{7, 13, 1}, x.data(), log_forward.data());
                    log_softmax_backward(p, NormDims{1, 13, 7}, x.data(), log_backward.data(), log_backward.data());
                    out.activation(log_forward), out.activation(log_backward);
                    out.activation(hard), out.activation(soft), out.activation(difference), out.activation(forward), out.activation(backward);
                });
}

TEST_CASE_TEMPLATE("16-bit policies: masters are floats, and trained as such", H, bf16, f16) {
    const SgdScalars sgd{.learning_rate = 1e-3, .momentum = 0.9, .dampening = 0.1, .weight_decay = 1e-2, .nesterov = false, .first = false};
    const AdamScalars adam{.learning_rate = 1e-3, .weight_decay = 1e-2, .correction1 = 0.1, .correction2 = 0.001, .decoupled = true};
    check_against<H, Reference<float>>([&](const auto& p, const auto& in, Outputs& out) {
        const auto x = in.activations(1, 37 * 5);
        auto value = in.masters(2, 37), gradient = in.masters(3, 37), slot = in.masters(4, 37), moment = in.masters(5, 37), columns = in.masters(6, 5);
        for (float& m : moment) m = std::fabs(m);
        double squares = 0;
        column_sum(p, nullptr, 37, 5, x.data(), columns.data());
        sum_of_squares(p, nullptr, 37, gradient.data(), &squares);
        clip_scale(p, 37, &squares, 1, gradient.data());
        sgd_step(p, 37, &sgd, value.data(), gradient.data(), slot.data());
        adam_step(p, 37, &adam, value.data(), gradient.data(), slot.data(), moment.data());
        out.other(value), out.other(gradient), out.other(slot), out.other(moment), out.other(columns);
        out.exact.push_back(squares);
    });
}

TEST_CASE_TEMPLATE("cast rounds masters to weights and copies between equal types", H, bf16, f16) {
    const auto masters = support::reals(1, 37, 3);
    std::vector<H> weights(37);
    cast(Reference<H>{}, 36, masters.data(), weights.data());
    for (std::size_t i = 0; i < 36; ++i) CHECK(weights[i].bits() == H(masters[i]).bits());
    CHECK(weights[36].bits() == 0);
    for (const bool simd : {false, true}) {
        auto copied = support::poisoned(37);
        simd ? cast(Cpu<float>{}, 37, masters.data(), copied.data()) : cast(Reference<float>{}, 37, masters.data(), copied.data());
        CHECK(copied == masters);
    }
}
