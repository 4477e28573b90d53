// SPDX-License-Identifier: MIT
// Statistics of layers against PyTorch's (tests/golden/make_grad_stats.py), and what they leave of the model: everything.
#include <doctest/doctest.h>

#include <dla/train.hpp>
#include <support/networks.hpp>
#include <support/opaque.hpp>

#include "curve_networks.hpp"

#include <limits>

using namespace dla;
using namespace curve_networks;
using golden::Case;

namespace {

/// What a case's tensors of one kind, such as "gradient.", say of a path.
double expected(const Case& c, const std::string& key) { return c.tensor(key).values.at(0); }

/// Biases in front of a normalisation have gradient 0 and both sides give what rounding leaves, hence a floor.
void close(double got, double wanted, double tolerance, double floor) { CHECK(std::abs(got - wanted) <= tolerance * std::max(floor, std::abs(wanted))); }

void check(const Case& c, const GradStats& stats, double tolerance) {
    CHECK(stats.non_finite.empty());
    close(stats.loss, expected(c, "loss"), tolerance, 1e-3);
    close(stats.mean_gradient_norm(), expected(c, "mean"), tolerance, 1e-3);
    std::size_t parameters = 0, rectifiers = 0;
    for (const auto& [key, t] : c.tensors) parameters += key.starts_with("gradient."), rectifiers += key.starts_with("dead.");
    CHECK(stats.parameters.size() == parameters);
    std::map<int, std::array<double, 4>> squares;  // of each layer's parameters: value, gradient, update; count
    for (const ParamStats& p : stats.parameters) {
        CAPTURE(p.path);
        // A bias in front of a normalisation moves by its weight decay, of which the rounding of a float gradient that should be 0 is a part: Adam
        // makes steps of full size out of both.
        const bool rounding_moves = tolerance > 1e-6 && expected(c, "gradient." + p.path) < 1e-6;
        close(p.value_norm, expected(c, "value." + p.path), rounding_moves ? 10 * tolerance : tolerance, 1e-3);
        close(p.gradient_norm, expected(c, "gradient." + p.path), tolerance, 1e-2);
        CHECK(p.value_before == p.value_norm);  // measured just before the step
        // Adam makes steps of full size out of rounding where the gradient is 0.
        if (expected(c, "gradient." + p.path) > 1e-6) close(p.update_norm, expected(c, "update." + p.path), tolerance, 1e-2);
        auto& s = squares[p.layer];
        s[0] += p.value_norm * p.value_norm, s[1] += p.gradient_norm * p.gradient_norm, s[2] += p.update_norm * p.update_norm;
        s[3] += static_cast<double>(p.count);
    }
    for (const LayerStats& l : stats.layers) {
        CAPTURE(l.path);
        CAPTURE(l.type);
        if (l.parameters > 0) {
            const auto& s = squares.at(l.layer);
            close(l.value_norm, std::sqrt(s[0]), 1e-12, 0);
            close(l.gradient_norm, std::sqrt(s[1]), 1e-12, 0);
            close(l.update_ratio, std::sqrt(s[2] / s[0]), 1e-12, 0);
            CHECK(static_cast<double>(l.parameters) == s[3]);
            squares.erase(l.layer);
        }
        if (std::isnan(l.dead)) continue;
        CHECK(l.dead == expected(c, "dead." + l.path));
        --rectifiers;
    }
    CHECK(squares.empty());
    CHECK(rectifiers == 0);
}

/// The values of the case's network where make_grad_stats.py begins.
template <class Write>
void put_initial_values(const Case& c, const ParamIndex& index, const Write& write) {
    bool first_norm_bias = true;
    for (std::size_t k = 0; k < index.parameters.size(); ++k) {
        const ParamRow& row = index.parameters[k];
        std::vector<double> values = initial(k, row);
        if (row.kind == ParamKind::norm_bias && std::exchange(first_norm_bias, false))
            std::fill_n(values.begin(), static_cast<std::size_t>(c.integer("dead")), -20.0);
        write(row, values);
    }
}

constexpr OptimizerOptions adam_options{.learning_rate = 1e-2, .weight_decay = 1e-4};

std::string hash(const std::vector<double>& values) { return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double)}; }

}  // namespace

TEST_CASE("statistics of layers in double are PyTorch's") {
    for (const Case& c : golden::load("grad_stats")) {
        CAPTURE(c.name);
        with_network(c, [&](const auto& net) {
            using Net = std::remove_cvref_t<decltype(net)>;
            Model<Net, Shape{}, Reference<double>> model(net, image_shape(c), Seed{1});
            put_initial_values(c, model.parameters(),
                               [&](const ParamRow& row, const auto& values) { model.parameters().write(ParamPart::value, row, values); });
            Optimizer adam = make_optimizer("adam", adam_options);
            const auto warm_up = static_cast<std::uint64_t>(c.integer("warm_up"));
            const auto step = [&](std::uint64_t b) {
                const Images data = batch(b, static_cast<std::size_t>(c.integer("batch")), model.input_shape());
                train_step(model, adam, CrossEntropy{}, std::span<const double>(data.images), std::span<const std::int32_t>(data.labels));
            };
            for (std::uint64_t b = 0; b < warm_up; ++b) step(b);
            const Images data = batch(warm_up, static_cast<std::size_t>(c.integer("batch")), model.input_shape());
            const auto before_values = support::weights(model.parameters());
            GradStats stats = grad_stats(model, CrossEntropy{}, data.images, data.labels);
            CHECK(hash(support::weights(model.parameters())) == hash(before_values));  // running means too
            const auto before = parameter_values(model);
            step(warm_up + 1);
            add_updates(stats, model, before);
            check(c, stats, 1e-8);
        });
    }
}

TEST_CASE("statistics of the programs' models, in float on the Cpu kernels, are PyTorch's") {
    for (const Case& c : golden::load("grad_stats")) {
        CAPTURE(c.name);
        auto model = make_model(config_of(c), Seed{1}, 2);
        const auto floats = [](const std::vector<double>& v) { return std::vector<float>(v.begin(), v.end()); };
        put_initial_values(c, model->index(), [&](const ParamRow& row, const auto& values) { model->write(ParamPart::value, row, floats(values)); });
        Optimizer adam = make_optimizer("adam", adam_options);
        const auto warm_up = static_cast<std::uint64_t>(c.integer("warm_up"));
        const auto count = static_cast<std::size_t>(c.integer("batch"));
        const auto step = [&](std::uint64_t b) {
            const Images data = batch(b, count, model->input_shape());
            model->train_step(adam, CrossEntropy{}, floats(data.images), data.labels);
        };
        for (std::uint64_t b = 0; b < warm_up; ++b) step(b);
        const Images data = batch(warm_up, count, model->input_shape());
        GradStats stats = grad_stats(*model, CrossEntropy{}, floats(data.images), data.labels);
        const auto before = parameter_values(*model);
        step(warm_up + 1);
        add_updates(stats, *model, before);
        check(c, stats, 1e-3);
    }
}

TEST_CASE("a look at a model changes nothing but its gradients, on memory the host cannot read too") {
    using Device = opaque::Opaque<double>;
    Model<support::ResNet, support::image, Reference<double>> plain(support::resnet(), Seed{5});
    Model<support::ResNet, support::image, Device> device(support::resnet(), Seed{5});
    const support::Data<double> data(6);
    const auto images = std::span<const double>(data.images);
    const auto labels = std::span<const std::int32_t>(data.labels);
    const GradStats a = grad_stats(plain, CrossEntropy{}, images, labels), b = grad_stats(device, CrossEntropy{}, images, labels);
    CHECK(to_text(a) == to_text(b));
    REQUIRE(a.layers.size() == b.layers.size());
    CHECK(a.mean_gradient_norm() == b.mean_gradient_norm());

    // Training goes on as if nobody had looked: values, running statistics, counters, dropout.
    Model<support::Mlp, support::image, Reference<double>> watched(Seed{6}), alone(Seed{6});
    Adam adam_a({.learning_rate = 1e-2}), adam_b({.learning_rate = 1e-2});
    for (int i = 0; i < 3; ++i) {
        train_step(alone, adam_a, CrossEntropy{}, images, labels);
        (void)grad_stats(watched, CrossEntropy{}, images, labels);
        train_step(watched, adam_b, CrossEntropy{}, images, labels);
        (void)grad_stats(watched, CrossEntropy{}, images, labels);
    }
    CHECK(hash(support::weights(watched.parameters())) == hash(support::weights(alone.parameters())));
    for (std::size_t i = 0; i < watched.parameters().counters.size(); ++i)
        CHECK(watched.parameters().read(watched.parameters().counters[i]) == alone.parameters().read(alone.parameters().counters[i]));
    CHECK(watched.observer == nullptr);
}

TEST_CASE("the first value that is not finite is named") {
    Model<support::Mlp, support::image, Reference<double>> model(Seed{6});
    support::Data<double> data(6);
    const auto stats = [&] { return grad_stats(model, CrossEntropy{}, data.images, data.labels); };
    CHECK(stats().non_finite.empty());
    SUBCASE("a parameter") {
        const ParamRow& row = model.parameters().parameter("5.weight");
        std::vector<double> values(static_cast<std::size_t>(row.count), 1.0);
        values[7] = std::numeric_limits<double>::quiet_NaN();
        model.parameters().write(ParamPart::value, row, values);
        CHECK(stats().non_finite == "parameter 5.weight");
        CHECK(to_text(stats()).find("not finite: parameter 5.weight") != std::string::npos);
    }
    SUBCASE("the input") {
        data.images[3] = std::numeric_limits<double>::infinity();
        CHECK(stats().non_finite == "the input");
    }
    SUBCASE("inside, by overflow") {
        data.images[3] = 1e308;
        data.images[4] = 1e308;
        const ParamRow& row = model.parameters().parameter("1.weight");
        model.parameters().write(ParamPart::value, row, std::vector<double>(static_cast<std::size_t>(row.count), 1e300));
        CHECK(stats().non_finite == "the output of layer 1 Linear<Dyn, 16>");
    }
}

TEST_CASE("a network that is a single layer, or a Residual, has statistics too") {
    const std::vector<std::int32_t> labels{0, 1};
    const std::vector<double> images{-1, -2, -3, -4, -5, -6};
    Model<Linear<3, 2>, Shape{3}, Reference<double>> linear(Seed{1});
    const GradStats a = grad_stats(linear, CrossEntropy{}, images, labels);
    REQUIRE(a.layers.size() == 1);
    CHECK(a.layers[0].layer == -1);
    CHECK(a.layers[0].parameters == 8);
    CHECK(a.layers[0].gradient_norm == doctest::Approx(std::hypot(a.parameters[0].gradient_norm, a.parameters[1].gradient_norm)));
    CHECK(to_text(a).find("\nLinear           8 ") != std::string::npos);

    Model<Residual<Linear<3, 3>, Identity, ReLU>, Shape{3}, Reference<double>> residual(Seed{1});
    for (const ParamRow& row : residual.parameters().parameters) residual.parameters().write(ParamPart::value, row, std::vector<double>(9, 0.0));
    const GradStats b = grad_stats(residual, CrossEntropy{}, std::vector<double>{-1, -2, -3, -4, 5, -6}, labels);
    REQUIRE(b.layers.size() == 2);
    CHECK(b.layers[0].type == "Residual, its ReLU");
    CHECK(b.layers[0].dead == doctest::Approx(2.0 / 3));
    CHECK(b.layers[1].path == "block");
}

TEST_CASE("gradients and losses that are not finite are named where every output is finite") {
    const std::vector<std::int32_t> labels{0, 1};
    // Reference<float>: kernels of Cpu<float> compiled here, for less speed, could take the place of those that test_threads.cpp hashes.
    Model<Sequential<Linear<1, 1>, Linear<1, 2>>, Shape{1}, Reference<float>> model(Seed{1});
    auto& table = model.parameters();
    table.write(ParamPart::value, table.parameters[0], std::vector<float>{1e-25f});
    table.write(ParamPart::value, table.parameters[2], std::vector<float>{1e20f, -1e20f});
    table.freeze("1");
    const GradStats stats = grad_stats(model, CrossEntropy{}, std::vector<float>{1e20f, 1e20f}, labels);
    CHECK(stats.non_finite == "the gradient of parameter 0.weight");
    CHECK(to_text(stats).find("inf") != std::string::npos);
    CHECK(to_text(stats).find("1  Linear, frozen") != std::string::npos);

    Model<Linear<1, 2>, Shape{1}, Reference<float>> single(Seed{1});
    single.parameters().write(ParamPart::value, single.parameters().parameters[0], std::vector<float>{3e38f, 3e38f});
    CHECK(grad_stats(single, CrossEntropy{}, std::vector<float>{2, 2}, labels).non_finite == "the output of the network");
}

TEST_CASE("a unit is a channel of an image, or a feature of every row") {
    const std::vector<std::int32_t> labels{0, 1};
    Model<Sequential<ReLU, Flatten, Linear<Dyn, 2>>, Shape{2, 3}, Reference<double>> rows(Seed{1});
    // [rows, features]: feature 1 is on in one row of one sample, the others never.
    const GradStats a = grad_stats(rows, CrossEntropy{}, std::vector<double>{-1, -1, -1, -1, 2, -1, -1, -1, -1, -1, -1, -1}, labels);
    CHECK(a.layers.at(0).dead == doctest::Approx(2.0 / 3));
    Model<Sequential<ReLU, Flatten, Linear<Dyn, 2>>, Shape{2, 3, 1}, Reference<double>> images(Seed{1});
    // [2, 3, 1] in memory: pixel by pixel, two channels each; only channel 1 is ever on.
    const GradStats b = grad_stats(images, CrossEntropy{}, std::vector<double>{-1, -1, -1, 3, -1, -1, -1, -1, -1, -1, -1, 1}, labels);
    CHECK(b.layers.at(0).dead == 0.5);
    // The same as it is written: channel after channel.
    Model<Sequential<ReLU, Flatten, Linear<Dyn, 2>>, Shape{2, 3, 1}.contiguous(), Reference<double>> written(Seed{1});
    const GradStats c = grad_stats(written, CrossEntropy{}, std::vector<double>{-1, -1, -1, -1, 3, -1, -1, -1, -1, -1, -1, 1}, labels);
    CHECK(c.layers.at(0).dead == 0.5);
}

TEST_CASE("frozen parameters do not count in the mean, updates need the same model") {
    Model<support::Mlp, support::image, Reference<double>> model(Seed{6});
    const support::Data<double> data(6);
    const auto mean = [&] { return grad_stats(model, CrossEntropy{}, data.images, data.labels); };
    const GradStats all = mean();
    model.parameters().freeze("1");
    double sum = 0;
    int count = 0;
    for (const ParamStats& p : all.parameters)
        if (!p.path.starts_with("1.")) sum += p.gradient_norm, ++count;
    CHECK(mean().mean_gradient_norm() == doctest::Approx(sum / count).epsilon(1e-14));
    GradStats stats = mean();
    CHECK_THROWS_WITH_AS(add_updates(stats, model, std::vector<std::vector<double>>(2)), "error[model] add_updates: got values of 2 parameters; expected 6",
                         Error);
}
