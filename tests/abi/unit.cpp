// SPDX-License-Identifier: MIT
// One translation unit, named by DLA_TEST_UNIT.
#include "unit.hpp"

#include <dla/data/digits.hpp>
#include <dla/data/gzip.hpp>
#include <dla/model/any_model.hpp>
#include <dla/nn.hpp>
#include <dla/optim/any_schedule.hpp>
#include <dla/optim/make_optimizer.hpp>
#include <dla/train/metrics.hpp>

#include <bit>
#include <typeinfo>

// In no namespace of its own, as code of a user: what the library's functions are inlined into, or not, must not matter.
namespace {

using namespace dla;

constexpr float nan_bits = std::bit_cast<float>(0x7fc00000u), infinity_bits = std::bit_cast<float>(0x7f800000u);

class Bits {
public:
    Bits& add(float v) {
        const std::uint32_t b = std::bit_cast<std::uint32_t>(v), magnitude = b & 0x7fffffffu;
        return mix(magnitude > 0x7f800000u ? 0x7fc00000u : magnitude < 0x00800000u ? 0 : b);
    }
    Bits& add(double v) {
        const std::uint64_t b = std::bit_cast<std::uint64_t>(v), magnitude = b & 0x7fffffffffffffffu;
        return mix(magnitude > 0x7ff0000000000000u ? 0x7ff8000000000000u : magnitude < 0x0010000000000000u ? 0 : b);
    }
    template <class T>
    Bits& add(const std::vector<T>& values) {
        for (const T v : values) add(v);
        return *this;
    }
    Bits& mix(std::uint64_t b) {
        hash_ = (hash_ ^ b) * 0x9E3779B97F4A7C15u;
        hash_ ^= hash_ >> 29;
        return *this;
    }
    operator std::uint64_t() const { return hash_; }

private:
    std::uint64_t hash_ = 0xcbf29ce484222325u;
};

/// Normal numbers of every size; some NaN and infinities if `special`.
std::vector<float> values(index_t n, std::uint32_t seed, bool special) {
    std::vector<float> out;
    for (index_t i = 0; i < n; ++i) {
        const auto words = philox4x32({static_cast<std::uint32_t>(i), seed, 0, 0}, {1, 2});
        const float moderate = static_cast<float>(static_cast<std::int32_t>(words[0])) * 0x1p-29f;
        const bool wide = special && i % 2 == 0 && (words[1] & 0x7f800000u) != 0;
        out.push_back(wide ? std::bit_cast<float>(words[1]) : moderate);
    }
    if (special) out[0] = nan_bits, out[1] = infinity_bits, out[2] = -infinity_bits, out[3] = 0.0f;
    return out;
}

void activations(std::vector<Outcome>& out) {
    const Cpu<float> p;
    const std::vector<float> x = values(20011, 1, true), dy = values(20011, 2, false);
    const auto n = static_cast<index_t>(x.size());
    std::vector<float> y(x.size()), dx(x.size());
    const char* names[] = {"relu", "leaky_relu", "gelu", "gelu_tanh", "silu", "sigmoid", "tanh", "elu", "softplus", "hardswish"};
    for (const Activation kind :
         {Activation::relu, Activation::leaky_relu, Activation::gelu, Activation::gelu_tanh, Activation::silu, Activation::sigmoid, Activation::tanh,
          Activation::elu, Activation::softplus, Activation::hardswish}) {
        const std::string name = names[static_cast<int>(kind)];
        activation_forward(p, kind, 0.1, n, x.data(), y.data());
        activation_backward(p, kind, 0.1, n, x.data(), y.data(), dy.data(), dx.data());
        out.push_back({name, Bits{}.add(y)});
        out.push_back({name + " backward", Bits{}.add(dx)});
    }
    std::vector<std::uint32_t> mask(static_cast<std::size_t>(relu_mask_words(n)));
    add_relu(p, n, x.data(), dy.data(), y.data(), mask.data());
    relu_mask_backward(p, n, mask.data(), dy.data(), dx.data());
    out.push_back({"add_relu", Bits{}.add(y)});
    out.push_back({"relu_mask_backward", Bits{}.add(dx)});
}

void pooling(std::vector<Outcome>& out) {
    Pool2dDims d{};
    d.batch = 2, d.height = d.width = 11, d.channels = 5, d.out_height = d.out_width = 5;
    d.kernel_h = d.kernel_w = 3, d.stride_h = d.stride_w = 2;
    const std::vector<float> x = values(d.batch * d.height * d.width * d.channels, 3, true);
    std::vector<float> y(static_cast<std::size_t>(d.batch * d.out_height * d.out_width * d.channels));
    std::vector<std::int32_t> argmax(y.size());
    max_pool2d_forward(Cpu<float>{}, d, x.data(), y.data(), argmax.data());
    Bits bits;
    bits.add(y);
    for (const std::int32_t place : argmax) bits.mix(static_cast<std::uint64_t>(place));
    out.push_back({"max pooling with NaN", bits});
}

void softmax(std::vector<Outcome>& out) {
    const Cpu<float> p;
    for (const index_t classes : {index_t{10}, index_t{100}})
        for (const float special : {0.0f, -infinity_bits, nan_bits}) {
            const std::string name = std::to_string(classes) + " classes" + (is_nan(special) ? ", NaN" : is_finite(special) ? "" : ", -infinity");
            std::vector<float> x = values(33 * classes, 4, false), y(x.size());
            x[17] = special;
            std::vector<std::int32_t> labels;
            for (std::int32_t i = 0; i < 33; ++i) labels.push_back(i % 10);
            softmax_forward(p, NormDims{33, classes, 1}, x.data(), y.data());
            out.push_back({"softmax of " + name, Bits{}.add(y)});
            CrossEntropyDims d{};
            d.rows = 33, d.classes = classes, d.label_smoothing = 0.1;
            LossResult result;
            std::vector<std::byte> scratch(static_cast<std::size_t>(cross_entropy_scratch(p, d)) + 64);
            cross_entropy(p, scratch.data(), d, x.data(), labels.data(), nullptr, &result, y.data());
            out.push_back({"cross-entropy of " + name, Bits{}.add(y).add(result.loss).mix(static_cast<std::uint64_t>(result.correct))});
        }
}

void training(std::vector<Outcome>& out) {
    using Net = Sequential<Conv2d<1, 5, 3>, BatchNorm2d<>, ReLU, MaxPool2d<2>, Flatten, Linear<Dyn, 16>, GELU, Linear<16, 3>>;
    std::vector<float> images = values(32 * 36, 5, false);
    std::vector<std::int32_t> labels;
    for (std::int32_t i = 0; i < 32; ++i) labels.push_back(i % 3);
    for (const bool adam : {true, false}) {
        Model<Net, Shape{1, 6, 6}> model(Seed{42});
        Adam rule;
        Sgd sgd(SgdOptions{.learning_rate = 0.05, .momentum = 0.9, .weight_decay = 1e-3});
        Bits bits;
        for (int i = 0; i < 30; ++i) {
            const std::span<const float> x(images);
            const std::span<const std::int32_t> y(labels);
            bits.add(
                (adam ? train_step(model, rule, CrossEntropy{}, x, y, {.clip_norm = 1.0}) : train_step(model, sgd, CrossEntropy{}, x, y, {.clip_norm = 1.0}))
                    .loss);
        }
        bits.add(model.predict(images));
        out.push_back({adam ? "training with Adam" : "training with SGD", bits});
    }
    images[100] = nan_bits;
    Model<Net, Shape{1, 6, 6}> model(Seed{42});
    Adam rule;
    const LossResult step = train_step(model, rule, CrossEntropy{}, std::span<const float>(images), std::span<const std::int32_t>(labels), {.clip_norm = 1.0});
    out.push_back({"NaN noticed in a step", !is_finite(step.loss) && rule.steps() == 0});
    out.push_back({"NaN seen by all_finite", !all_finite(std::span<const float>(images))});
    ReduceOnPlateau plateau;
    out.push_back({"NaN is no better metric", !plateau.is_better(static_cast<double>(nan_bits))});
    bool refused = false;
    try {
        Sgd bad(SgdOptions{.learning_rate = static_cast<double>(nan_bits)});
    } catch (const Error&) {
        refused = true;
    }
    out.push_back({"NaN refused as a rate", refused});
}

void schedules(std::vector<Outcome>& out) {
    Bits bits;
    for (std::int64_t t = 0; t < 100; ++t) {
        bits.add(CosineSchedule({.length = 100}).learning_rate(0.1, t)).add(StepSchedule({.period = 7}).learning_rate(0.1, t));
        bits.add(OneCycle({.length = 100}).learning_rate(0.1, t)).add(ExponentialSchedule().learning_rate(0.1, t));
    }
    RandomStream random({7, 0, 0}, RandomUse::initialisation);
    for (int i = 0; i < 100; ++i) bits.add(random.normal());
    out.push_back({"schedules and random numbers", bits});
    const Dataset digits = make_digits(20, Seed{1}, DigitsPart::train);
    Bits pixels;
    for (const std::uint8_t byte : digits.images) pixels.mix(byte);
    out.push_back({"digits", pixels});
}

std::vector<Outcome> outcomes() {
    std::vector<Outcome> out;
    activations(out);
    pooling(out);
    softmax(out);
    training(out);
    schedules(out);
    return out;
}

std::string isa() { return to_string(active_isa()); }

int threads() { return thread_count(4); }

// Fused into one rounding or not, as the flags of this unit say.
[[gnu::noinline]] float library(float value, float rate, float gradient) {
    const SgdScalars s{.learning_rate = static_cast<double>(rate)};
    sgd_step(Reference<float>{}, 1, &s, &value, &gradient, nullptr);
    return value;
}
[[gnu::noinline]] float by_hand(float value, float rate, float gradient) { return value - rate * gradient; }

// The same of a function that no template makes. Called through its address: the linker has chosen whose code that is.
[[gnu::noinline]] double library_mean(double loss, double weight) {
    void (RunningMean::*volatile add)(const LossResult&) = &RunningMean::add;
    RunningMean mean;
    (mean.*add)({.loss = -1, .weight = 1, .counted = 1});
    (mean.*add)({.loss = loss, .weight = weight, .counted = 1});
    return mean.loss_sum;
}
[[gnu::noinline]] double mean_by_hand(double loss, double weight) { return loss * weight - 1; }

std::string types() {
    std::string names;
    for (const std::type_info* type : {&typeid(RunningMean), &typeid(CosineSchedule), &typeid(AnySchedule), &typeid(Adam), &typeid(Optimizer),
                                       &typeid(OptimizerOptions), &typeid(Cpu<float>)})
        names += std::string(type->name()) + ' ';
    return names;
}

std::string read(const std::string& path) {
    try {
        ByteReader bytes(path);
        std::string text(64, ' ');
        text.resize(bytes.read(reinterpret_cast<std::uint8_t*>(text.data()), text.size()));
        return text;
    } catch (const Error& e) {
        return e.what();
    }
}

}  // namespace

extern const Unit DLA_TEST_UNIT;
const Unit DLA_TEST_UNIT{.outcomes = &outcomes,
                         .isa = &isa,
                         .threads = &threads,
                         .library = &library,
                         .by_hand = &by_hand,
                         .library_mean = &library_mean,
                         .mean_by_hand = &mean_by_hand,
                         .types = &types,
                         .read = &read,
                         .active_isa = reinterpret_cast<const void*>(&active_isa)};
