// SPDX-License-Identifier: MIT
// A whitening first layer: its outputs are uncorrelated, and the network of a configuration that has one trains, resumes and is found again.
#include <doctest/doctest.h>

#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>
#include "fit_data.hpp"

#include <dla/config.hpp>
#include <dla/experiment.hpp>
#include <dla/train/whitening.hpp>

#include <cmath>
#include <numeric>

using namespace fit_tests;

namespace {

/// Images whose pixels hang together: neighbours and channels are alike.
Dataset smooth_images(index_t count) {
    Dataset d;
    d.name = "smooth";
    d.shape = {3, 9, 8};
    d.num_classes = 2;
    d.class_names = {"a", "b"};
    RandomStream random({7, 0, 0}, RandomUse::synthesis);
    for (index_t n = 0; n < count; ++n) {
        d.labels.push_back(static_cast<std::int32_t>(n % 2));
        double brightness = 0;
        for (int pixel = 0; pixel < 72; ++pixel) {
            brightness = 0.8 * brightness + 0.6 * random.normal();
            for (int c = 0; c < 3; ++c)
                d.images.push_back(static_cast<std::uint8_t>(std::clamp(128 + 30 * (brightness + 0.5 * (c + 1) * random.normal()), 0.0, 255.0)));
        }
    }
    compute_statistics(d);
    d.check();
    return d;
}
/// All parameters, one after another.
std::vector<float> values_of(const AnyModel& model) {
    std::vector<float> all;
    for (const ParamRow& row : model.index().parameters) {
        std::vector<float> host(static_cast<std::size_t>(row.count));
        model.read(ParamPart::value, row, std::span(host));
        all.insert(all.end(), host.begin(), host.end());
    }
    return all;
}
using Whitening = Sequential<Conv2d<3, 24, 2, 1, 0>>;

}  // namespace

TEST_CASE("outputs of a whitening layer are uncorrelated, of variance 1, and come with their opposites") {
    const Dataset data = smooth_images(200);
    Model<Whitening, Shape{3, 9, 8}> model(Seed{1});
    auto any = any_model(model);
    whiten_first_convolution(*any, data, all_samples(data), {.images = 200, .eps = 1e-6});
    const std::vector<float> y = predict(*any, data);  // [N, 8, 7, 24]
    REQUIRE(y.size() == 200u * 24 * 56);
    std::vector<double> moments(24 * 24);
    for (std::size_t n = 0; n < 200; ++n)
        for (std::size_t pixel = 0; pixel < 56; ++pixel)
            for (std::size_t i = 0; i < 24; ++i)
                for (std::size_t j = 0; j < 24; ++j)
                    moments[i * 24 + j] += static_cast<double>(y[(n * 56 + pixel) * 24 + i]) * static_cast<double>(y[(n * 56 + pixel) * 24 + j]) / (200 * 56);
    for (std::size_t i = 0; i < 24; ++i)
        for (std::size_t j = 0; j < 24; ++j) {
            CAPTURE(i);
            CAPTURE(j);
            const double expected = i == j ? 1 : i % 12 == j % 12 ? -1 : 0;
            CHECK(std::abs(moments[i * 24 + j] - expected) < 1e-4);
        }
    for (const float b : values_of(*any)) CHECK(std::isfinite(b));

    // Directions that images show most come first, with the smallest filters.
    std::vector<float> filters(24 * 12), bias(24, 1.0f);
    any->read(ParamPart::value, any->index().parameters[0], std::span(filters));
    any->read(ParamPart::value, any->index().parameters[1], std::span(bias));
    CHECK(bias == std::vector<float>(24));
    const auto length = [&](std::size_t i) { return std::inner_product(&filters[i * 12], &filters[i * 12] + 12, &filters[i * 12], 0.0); };
    for (std::size_t i = 1; i < 12; ++i) CHECK(length(i) >= length(i - 1));
    CHECK(length(11) > 4 * length(0));

    // No more than the first images are looked at, and eps bounds what is enlarged.
    Model<Whitening, Shape{3, 9, 8}> few(Seed{1}), same(Seed{1}), damped(Seed{1});
    const auto of = [&](auto& m, std::vector<std::uint32_t> samples, const WhiteningOptions& o) {
        auto a = any_model(m);
        whiten_first_convolution(*a, data, samples, o);
        return values_of(*a);
    };
    CHECK(of(few, all_samples(data), {.images = 3}) == of(same, {0, 1, 2}, {}));
    std::vector<float> weights = of(damped, all_samples(data), {.eps = 1e6});
    CHECK(*std::max_element(weights.begin(), weights.end()) < 1.001e-3f);
}

TEST_CASE("whitening of images in which nothing happens: each value by itself, no larger than eps allows") {
    Dataset data = smooth_images(3);
    std::fill(data.images.begin(), data.images.end(), std::uint8_t{128});
    compute_statistics(data);
    Model<Whitening, Shape{3, 9, 8}> model(Seed{1});
    auto any = any_model(model);
    whiten_first_convolution(*any, data, all_samples(data), {.eps = 0.01});
    const std::vector<float> filters = values_of(*any);
    for (std::size_t i = 0; i < 12; ++i) {
        const auto filter = std::span(filters).subspan(i * 12, 12);
        CHECK(std::abs(std::inner_product(filter.begin(), filter.end(), filter.begin(), 0.0) - 100) < 1e-3);
    }
}

TEST_CASE("what cannot be whitened") {
    const Dataset data = smooth_images(4);
    const auto message = [&](auto& model, const Dataset& with, std::vector<std::uint32_t> samples, const WhiteningOptions& o = {}) {
        return error_of([&] { whiten_first_convolution(*any_model(model), with, samples, o); });
    };
    Model<Sequential<Conv2d<3, 16, 2, 1, 0>>, Shape{3, 9, 8}> narrow(Seed{1});
    CHECK(message(narrow, data, {0}) ==
          "error[model] 0.weight: has 16 filters over patches of 3 x 2 x 2 values; whitening takes 24, two for each value (and groups = 1)");
    Model<Sequential<Flatten, Linear<216, 2>>, Shape{3, 9, 8}> linear(Seed{1});
    CHECK(message(linear, data, {0}) == "error[model] whitening: the network's first parameter is no weight of a convolution");
    Dataset tiny;
    tiny.name = "tiny", tiny.shape = {1, 4, 4}, tiny.num_classes = 2, tiny.images.resize(16), tiny.labels = {0}, tiny.mean = {0}, tiny.std = {1};
    Model<Sequential<Conv2d<1, 50, 5>>, Shape{1, 4, 4}> wide(Seed{1});
    CHECK(message(wide, tiny, {0}) == "error[data] tiny: has images [1, 4, 4], smaller than patches of 5 x 5");
    Model<Whitening, Shape{3, 9, 8}> model(Seed{1});
    const std::vector<float> before = values_of(*any_model(model));
    CHECK(message(model, data, {}) == "error[data] smooth: whitening needs one image at least; got none");
    CHECK(message(model, data, {0, 4}) == "error[data] smooth: has 4 images; sample 4 is out of range");
    CHECK(message(model, data, {0}, {.images = 0}) == "error[usage] whitening: images must be at least 1; got 0");
    CHECK(message(model, data, {0}, {.eps = 0}) == "error[usage] whitening: eps must be above 0");
    CHECK(message(model, make_digits(4, Seed{1}), {0}) == "error[data] digits: has images [1, 28, 28]; the network takes [3, 9, 8]");
    CHECK(values_of(*any_model(model)) == before);
}

TEST_CASE("a whitened_cnn of a configuration: trained by muon, resumed, and found again") {
    const ExperimentConfig config =
        parse_config("", "test",
                     std::vector<std::string>{"model.name=\"whitened_cnn\"", "dataset.name=\"digits\"", "model.input_shape=[1, 28, 28]",
                                              "model.filters=[8, 12]", "dataset.size=700", "dataset.val_size=100", "dataset.augment=false",
                                              "training.optimizer=\"muon\"", "training.learning_rate=0.01", "training.num_epochs=8", "training.batch_size=50",
                                              "training.scheduler=\"one_cycle\"", "training.save_every=1"});
    const DatasetPair data = load_data(config);
    const TemporaryFolder folder;
    const auto run = [&](const std::string& where, bool resume, int stop_after) {
        FitOptions o = fit_options(config, data);
        o.quiet = true;
        o.checkpoint_dir = folder / where;
        o.resume = resume;
        Stop stop(stop_after);
        if (stop_after > 0) o.callbacks = {&stop};
        auto model = make_model(config);
        const std::vector<float> fresh = values_of(*model);
        prepare_model(config, *model, data.train, *o.split);
        CHECK(values_of(*model) != fresh);
        std::vector<float> first(8 * 4);
        model->read(ParamPart::value, model->index().parameters[0], std::span(first));
        TrainingResult result;
        if (stop_after > 0)
            CHECK_THROWS_AS(fit(*model, data.train, o), std::runtime_error);
        else
            result = fit(*model, data.train, o);
        std::vector<float> after(first.size());
        model->read(ParamPart::value, model->index().parameters[0], std::span(after));
        CHECK(first == after);  // frozen
        return std::pair(values_of(*model), result);
    };
    const auto whole = run("a", false, 0);
    CHECK(whole.second.test->accuracy > 60);
    run("b", false, 20);  // in the second epoch
    const auto resumed = run("b", true, 0);
    CHECK(resumed.first == whole.first);
    CHECK(predict(*load_network(whole.second.checkpoint).model, data.test) == predict(*load_network(resumed.second.checkpoint).model, data.test));
}

TEST_CASE("the last layer of every family is found without building it") {
    for (const char* name : {"cnn", "mlp", "whitened_cnn"})
        for (const bool residual : {false, true})
            for (const Integers& sizes : {Integers{4, 6}, Integers{4, 6, 5}, Integers{4, 4, 4, 4}}) {
                ModelConfig config{.name = name, .filters = sizes, .layer_sizes = sizes, .residual = residual};
                if (config.name == "whitened_cnn" && residual) continue;
                CAPTURE(name);
                CAPTURE(residual);
                const auto model = make_model(config, Seed{1});
                const auto& rows = model->index().parameters;
                CHECK(head_weight(config) == rows[rows.size() - 2].path);
            }
}
