// SPDX-License-Identifier: MIT
// fit with networks that compute in other numbers than float: they learn, resume to the last bit, and their files hold what they compute with.
#include <doctest/doctest.h>

#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>
#include "fit_data.hpp"

#include <algorithm>

using namespace fit_tests;

namespace {

using Net = Sequential<Linear<2, 16>, BatchNorm1d<>, Tanh, Dropout, Linear<16, 2>>;

template <class P>
std::vector<std::vector<std::byte>> bytes_of(BasicModel<P>& model) {
    return take_weights(*any_model(model)).arrays;
}

template <class P>
void resumes_to_the_bit(StoredType stored) {
    const ArrayData data = surface(200);
    const TemporaryFolder folder;
    FitOptions o = quiet(4);
    o.validation_share = 0.2;
    o.optimizer = Adam({.learning_rate = 0.01});
    o.checkpoint_dir = folder / "whole";
    Model<Net, Shape{2}, P> whole(Seed{1});
    const TrainingResult expected = fit(whole, data, o);
    CHECK(expected.state.history.back().train_loss < expected.state.history.front().train_loss);

    o.checkpoint_dir = folder / "broken";
    o.resume = true;
    for (const int steps : {7, 9}) {
        Stop stop(steps);
        o.callbacks = {&stop};
        Model<Net, Shape{2}, P> model(Seed{1});
        CHECK_THROWS_WITH(fit(model, data, o), "stop");
    }
    o.callbacks.clear();
    Model<Net, Shape{2}, P> model(Seed{99});
    const TrainingResult got = fit(model, data, o);
    CHECK(bytes_of(model) == bytes_of(whole));
    for (std::size_t i = 0; i < 4; ++i) CHECK(got.state.history[i].val_loss == expected.state.history[i].val_loss);

    const SafetensorsFile file = SafetensorsFile::read(folder / "broken/model_epoch_4.safetensors");
    for (const char* name : {"0.weight", "1.running_var", "optimizer.exp_avg.0.weight", "best.0.weight"}) {
        REQUIRE(file.find(name) != nullptr);
        CHECK(file.find(name)->type == stored);
    }
    // A network of the same parameters that computes in other numbers is another run.
    Model<Net, Shape{2}> floats(Seed{1});
    CHECK(contains(error_of([&] { fit(floats, data, o); }), "none of the checkpoints of 'model' serves"));
}

}  // namespace

TEST_CASE("fit: a model in double resumes to the last bit of its doubles") {
    resumes_to_the_bit<Cpu<double>>(StoredType::f64);
    // Nothing went through a float on the way: most doubles are none.
    Model<Net, Shape{2}, Cpu<double>> model(Seed{1});
    fit(model, surface(200), quiet(1));
    std::vector<double> weights(32);
    model.parameters().read(ParamPart::value, model.parameters().parameter("0.weight"), weights);
    CHECK(std::ranges::count_if(weights, [](double w) { return w != static_cast<double>(static_cast<float>(w)); }) > 28);
}

TEST_CASE("fit: statistics leave a model in double as it is, to the last bit of its gradients") {
    Model<Net, Shape{2}, Cpu<double>> plain(Seed{1}), watched(Seed{1});
    FitOptions o = quiet(2);
    fit(plain, surface(200), o);
    o.stats = true;
    fit(watched, surface(200), o);
    CHECK(bytes_of(plain) == bytes_of(watched));
    for (const ParamRow& row : plain.parameters().parameters) {
        std::vector<double> a(static_cast<std::size_t>(row.count)), b = a;
        plain.parameters().read(ParamPart::gradient, row, a), watched.parameters().read(ParamPart::gradient, row, b);
        CHECK(a == b);
    }
}

TEST_CASE("fit: a model in bf16 resumes to the last bit of its masters") { resumes_to_the_bit<Cpu<bf16>>(StoredType::f32); }

TEST_CASE("fit: a classifier in double and in bf16 learns as one in float, and says so of its classes") {
    const ArrayData data = stripes();
    FitOptions o = quiet(30);
    o.optimizer = Adam({.learning_rate = 0.02});
    o.metrics = {std::make_shared<TopK>(2)};
    o.validation = data;
    const auto learns = [&]<class P>(P) {
        Model<Sequential<Linear<2, 16>, ReLU, Linear<16, 3>>, Shape{2}, P> model(Seed{3});
        const TrainingResult result = fit(model, data, o);
        CHECK(accuracy(model, data) > 97);
        CHECK(predict_classes(model, data) == predict_classes(model, data.inputs()));
        const std::vector<float> outputs = predict(model, data);
        const auto classes = predict_classes(model, data);
        for (std::size_t i = 0; i < classes.size(); ++i)
            CHECK(outputs[3 * i + static_cast<std::size_t>(classes[i])] == *std::max_element(&outputs[3 * i], &outputs[3 * i] + 3));
        return result.state.history.back().train_loss;
    };
    const double expected = learns(Cpu<float>());
    CHECK(learns(Cpu<double>()) == doctest::Approx(expected).epsilon(0.01));
    CHECK(learns(Cpu<bf16>()) == doctest::Approx(expected).epsilon(0.3));
}
