// SPDX-License-Identifier: MIT
// Networks that are trained on a CUDA device: losses as those of the reference and of PyTorch, the same bits from run to run, weights that move.
#include <doctest/doctest.h>

#include <dla/cuda.hpp>
#include <dla/train.hpp>
#include <support/cuda/orders.hpp>
#include <support/golden.hpp>
#include <support/run_layer.hpp>
#include <support/train_trace.hpp>

#include "../train/curve_networks.hpp"

using namespace dla;
using support::same_bits;

namespace {

/// The paths of all that support::weights gives, value by value.
template <class Net>
std::vector<std::string> paths(const Net& net) {
    const Model<Net, Shape{}, Reference<float>> model(net, support::image, Seed{5});
    std::vector<std::string> all;
    for (const ParamRow& row : model.parameters().parameters) all.insert(all.end(), static_cast<std::size_t>(row.count), row.path);
    for (const BufferRow& row : model.parameters().buffers) all.insert(all.end(), static_cast<std::size_t>(row.count), row.path);
    return all;
}

/// `lost`: values that rounding alone decides, which may be `off` by more than the others.
template <class Net, class Optimizer, class Loss>
void compare(const Net& net, const Optimizer& optimizer, const Loss& loss, double clip = 0, const std::vector<std::string>& lost = {}, float off = 0) {
    const auto expected = support::train<Reference<float>>(net, optimizer, loss, clip);
    const auto got = support::train<Cuda<float>>(net, optimizer, loss, clip);
    REQUIRE(got.numbers.size() == expected.numbers.size());
    for (std::size_t i = 0; i < got.numbers.size(); ++i) CHECK(got.numbers[i] == doctest::Approx(expected.numbers[i]).epsilon(2e-5));
    const std::vector<std::string> names = paths(net);
    REQUIRE(names.size() == got.weights.size());
    for (std::size_t i = 0; i < got.weights.size(); ++i) {
        CAPTURE(names[i]);
        CHECK(std::abs(got.weights[i] - expected.weights[i]) <= (std::ranges::find(lost, names[i]) != lost.end() ? off : 2e-4f));
    }
    for (std::size_t i = 0; i < got.logits.size(); ++i) CHECK(std::abs(got.logits[i] - expected.logits[i]) <= 2e-4f);
    support::in_every_order([&] {
        const auto again = support::train<Cuda<float>>(net, optimizer, loss, clip);
        CHECK(same_bits(again.numbers, got.numbers));
        CHECK(same_bits(again.weights, got.weights));
        CHECK(same_bits(again.logits, got.logits));
    });
}

}  // namespace

TEST_CASE("training on a device follows the reference, and is the same in every order") {
    // The gradient of a bias in front of a normalisation is what rounding leaves of 0, of which Adam makes steps of its full rate, to either side.
    const float three_steps = 6 * 0.01f;
    compare(support::Mlp{}, Adam({.learning_rate = 0.01, .weight_decay = 0.1}), CrossEntropy{.label_smoothing = 0.1, .class_weights = {1, 2, 0.5}}, 0.5,
            {"1.bias", "2.running_mean"}, three_steps);
    compare(support::Cnn{}, Sgd({.learning_rate = 0.1, .momentum = 0.9, .nesterov = true}), CrossEntropy{});
    compare(support::Cnn{}, AdamW({.learning_rate = 0.001, .decay_bias_and_norm = false}), MeanSquaredError<float>{}, 0, {"0.bias", "1.running_mean"},
            three_steps / 10);
    compare(support::Mlp{}, Sgd({.learning_rate = 0.1}), BCEWithLogits{.pos_weight = {1, 2, 0.5}}, 0.5);
    compare(support::Mlp{}, Sgd({.learning_rate = 0.1}), Huber{.delta = 0.4});
    compare(support::resnet(), Sgd({.learning_rate = 0.1}), CrossEntropy{.reduction = Reduction::sum}, 1e-3);
    // Functions of the host's.
    compare(support::Mlp{}, Sgd({.learning_rate = 0.1}), SampleLoss<float>{[](auto y, auto t, auto dy) {
                double sum = 0;
                for (std::size_t i = 0; i < y.size(); ++i) {
                    const float off = y[i] - t[i];
                    sum += std::abs(static_cast<double>(off));
                    if (!dy.empty()) dy[i] = off > 0 ? 1.0f : -1.0f;
                }
                return sum;
            }});
    compare(support::Mlp{}, Sgd({.learning_rate = 0.1}),
            SampleLoss<std::int32_t>{.function =
                                         [](auto y, auto label, auto dy) {
                                             const auto own = static_cast<std::size_t>(label[0]);
                                             if (!dy.empty()) dy[own] = -2 * (1 - y[own]);
                                             return static_cast<double>((1 - y[own]) * (1 - y[own]));
                                         },
                                     .reduction = Reduction::sum});
}

TEST_CASE("a loss of one's own, through AnyModel") {
    const SampleLoss<float> squares{[](auto y, auto t, auto dy) {
        double sum = 0;
        for (std::size_t i = 0; i < y.size(); ++i) {
            sum += static_cast<double>((y[i] - t[i]) * (y[i] - t[i]));
            if (!dy.empty()) dy[i] = 2 * (y[i] - t[i]);
        }
        return sum;
    }};
    const support::Data<float> data(6);
    const auto device = any_model(Model<support::Mlp, support::image, Cuda<float>>(Seed{3}));
    const auto host = any_model(Model<support::Mlp, support::image, Reference<float>>(Seed{3}));
    Optimizer a = Sgd({.learning_rate = 0.1}), b = Sgd({.learning_rate = 0.1});
    for (int i = 0; i < 3; ++i)
        CHECK(device->train_step(a, squares, data.images, data.targets).loss ==
              doctest::Approx(host->train_step(b, squares, data.images, data.targets).loss).epsilon(1e-5));
}

TEST_CASE("a step that is refused leaves a model on a device as it was") {
    Model<support::Mlp, support::image, Cuda<float>> model(Seed{3});
    Adam adam;
    const support::Data<float> data(6);
    train_step(model, adam, CrossEntropy{}, data.images, data.labels);
    const auto before = support::weights(model.parameters());
    support::Data<float> bad(6);
    bad.images[7] = HUGE_VALF;
    CHECK_FALSE(train_step(model, adam, CrossEntropy{}, bad.images, bad.labels).applied);
    bad = data;
    bad.labels[2] = 17;
    CHECK_THROWS_WITH(train_step(model, adam, CrossEntropy{}, bad.images, bad.labels), doctest::Contains("label 17 of sample 2 is out of range"));
    CHECK(same_bits(before, support::weights(model.parameters())));
    CHECK(adam.steps() == 1);
}

TEST_CASE("parts of a batch on a device") {
    Model<support::Mlp, support::image, Cuda<float>> model(Seed{3});
    Model<support::Mlp, support::image, Reference<float>> host(Seed{3});
    Adam adam, of_host;
    const support::Data<float> data(8);
    for (int i = 0; i < 3; ++i) {
        const StepOptions options{.clip_norm = 1, .micro_batches = 4};
        const double loss = train_step(model, adam, CrossEntropy{}, data.images, data.labels, options).loss;
        CHECK(loss == doctest::Approx(train_step(host, of_host, CrossEntropy{}, data.images, data.labels, options).loss).epsilon(1e-5));
    }
}

TEST_CASE("weights move between the host and a device") {
    Model<support::Cnn, support::image, Cpu<float>> source(Seed{1});
    Model<support::Cnn, support::image, Cuda<float>> target(Seed{2});
    CHECK(copy_weights(source.parameters(), target.parameters()).missing.empty());
    CHECK(same_bits(support::weights(source.parameters()), support::weights(target.parameters())));
    Model<support::Cnn, support::image, Cuda<float>> same_seed(Seed{1});
    CHECK(same_bits(support::weights(source.parameters()), support::weights(same_seed.parameters())));
    auto second = target.clone();
    CHECK(same_bits(support::weights(second.parameters()), support::weights(target.parameters())));
    const support::Data<float> data(5);
    const auto a = source.predict(data.images), b = target.predict(data.images);
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) <= 1e-5f);
}

TEST_CASE("steps of the programs' models on a device follow PyTorch") {
    using namespace curve_networks;
    for (const Case& c : golden::load("curves")) {
        CAPTURE(c.name);
        with_network(c, [&](const auto& net) {
            const auto model = any_model(Model<std::remove_cvref_t<decltype(net)>, Shape{}, Cuda<float>>(net, image_shape(c), Seed{1}));
            const auto& rows = model->index().parameters;
            const auto floats = [](const std::vector<double>& v) { return std::vector<float>(v.begin(), v.end()); };
            for (std::size_t k = 0; k < rows.size(); ++k) model->write(ParamPart::value, rows[k], floats(initial(k, rows[k])));
            Optimizer optimizer = optimizer_of(c);
            const auto count = static_cast<std::size_t>(c.integer("batch"));
            const auto& losses = c.tensor("losses").values;
            for (std::size_t step = 0; step < 10; ++step) {
                const Images b = batch(step % static_cast<std::uint64_t>(c.integer("batches")), count, model->input_shape());
                const double loss = model->train_step(optimizer, CrossEntropy{}, floats(b.images), b.labels).loss;
                CAPTURE(step);
                CHECK(std::abs(loss - losses[step]) <= 1e-4 * losses[step]);
            }
        });
    }
}
