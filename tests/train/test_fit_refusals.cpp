// SPDX-License-Identifier: MIT
// fit refuses what does not fit before anything is trained, and leaves out what cannot be computed.
#include <doctest/doctest.h>

#include "fit_data.hpp"
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <cmath>
#include <filesystem>
#include <set>
#include <string>

using namespace fit_tests;

TEST_CASE("fit: data and options that do not fit are refused before anything is trained") {
    const ArrayData values = surface(20), classes = stripes(20);
    Regressor model(Seed{1});
    const std::vector<float> before = all_values(model);
    const auto refused = [&](const AnyData& data, const FitOptions& o) {
        const std::string why = error_of([&] { fit(model, data, o); });
        CHECK(all_values(model) == before);
        return why;
    };
    FitOptions o = quiet(1);
    o.loss = CrossEntropy{};
    CHECK(refused(values, o) == "error[data] fit: the loss takes class numbers; the targets of the data are values");
    CHECK(refused(classes, o) == "error[data] fit: the data have 3 classes; the network gives 2 outputs");
    o.loss = MeanSquaredError<float>{};
    CHECK(refused(classes, o) == "error[data] fit: the loss takes values; the targets of the data are class numbers");
    o.loss.reset();
    // Images with classes, where the network gives back images or features.
    const Dataset digits = make_digits(12, Seed{1});
    const std::string itself = "the targets of the data are class numbers: for a network that gives back its inputs, give ArrayData with the inputs as "
                               "targets, too";
    Model<Conv2d<1, 1, 3>, Shape{1, 28, 28}> images(Seed{1});
    CHECK(error_of([&] { fit(images, digits, o); }) ==
          "error[data] fit: the network gives [1, 28, 28], scores for each of 784 places, and the data have one class number for each sample; did you "
          "forget Flatten?; " +
              itself);
    o.loss = MeanSquaredError<float>{};
    CHECK(error_of([&] { fit(images, digits, o); }) == "error[data] fit: the loss takes values; " + itself);
    o.loss = SampleLoss<std::int32_t>{[](auto y, auto, auto dy) {
        for (std::size_t i = 0; i < dy.size(); ++i) dy[i] = y[i];
        return 0.0;
    }};
    CHECK(error_of([&] { fit(images, digits, o); }) == "no error");  // it may make of images and class numbers what it likes
    o.loss.reset();
    images.parameters().freeze("*");
    o.loss = SampleLoss<std::int32_t>{[](auto, auto, auto) { return 0.0; }};
    CHECK(error_of([&] { fit(images, digits, o); }) == "error[usage] fit: all parameters are frozen; nothing is left to train");
    Model<Sequential<BatchNorm2d<1>, Flatten, Linear<784, 10>>, Shape{1, 28, 28}> measures(Seed{1});
    measures.parameters().freeze("*");
    o.loss.reset();
    CHECK(error_of([&] { fit(measures, digits, o); }) == "no error");  // running statistics
    const ArrayData wide(Shape{3}, std::vector<float>(6), Shape{2}, std::vector<float>(4));
    CHECK(refused(wide, o) == "error[data] fit: the network takes samples [2]; those of the data are [3]");
    const ArrayData thin(Shape{2}, std::vector<float>(6), Shape{1}, std::vector<float>(3));
    CHECK(contains(refused(thin, o), "the loss compares 2 values for each sample"));
    o.validation = AnyData(wide);
    CHECK(contains(refused(values, o), "error[data] fit, validation: the network takes samples [2]"));
    o.validation_share = 0.5;
    CHECK(contains(refused(values, o), "give one of validation_share, split and validation"));
    o.validation.reset();
    o.validation_share = 1;
    CHECK(contains(refused(values, o), "validation_share must be at least 0 and less than 1"));
    o = quiet(0);
    CHECK(contains(refused(values, o), "epochs must be at least 1"));
    o = quiet(1);
    o.resume = true;
    CHECK(contains(refused(values, o), "resume needs a checkpoint_dir"));
    o = quiet(1);
    o.augmentation = cifar10_augmentation;
    CHECK(contains(refused(values, o), "augmentation and transform are for the images of a Dataset"));
    o = quiet(1);
    o.loss = SampleLoss<float>{};
    CHECK(contains(refused(values, o), "has no function"));
    CHECK(contains(error_of([&] { accuracy(model, values); }), "class numbers"));
}

TEST_CASE("fit: metrics of logits want a loss that makes some, and masks of bytes are no masks") {
    const std::vector<float> x(40);
    std::vector<float> masks(40);
    for (std::size_t i = 0; i < masks.size(); i += 3) masks[i] = 1;
    Model<Linear<2, 2>, Shape{2}> model(Seed{1});
    FitOptions o = quiet(1);
    o.validation_share = 0.5;
    const auto why = [&](const std::vector<float>& targets) {
        const ArrayData data(Shape{2}, x, Shape{2}, targets);
        return error_of([&] { fit(model, data, o); });
    };
    for (const std::shared_ptr<Metric>& metric : {std::shared_ptr<Metric>(std::make_shared<BinaryScore>(BinaryScore::Kind::iou)),
                                                  std::shared_ptr<Metric>(std::make_shared<LabelScore>())}) {
        o.metrics = {metric};
        o.loss.reset();
        CHECK(contains(why(masks), metric->name() + " is measured of outputs that are logits"));
        o.loss = MeanSquaredError<float>{};  // who says so means it
        CHECK(why(masks) == "no error");
        o.loss = BCEWithLogits<float>{};
        CHECK(why(masks) == "no error");
    }
    for (float& m : masks) m *= 255;
    CHECK(why(masks) == "error[data] fit: BCEWithLogits takes targets from 0 to 1; one of sample 0 is 255; divide bytes by 255");
    masks.assign(40, 0.5f);
    masks[7] = -0.25f;
    CHECK(why(masks) == "error[data] fit: BCEWithLogits takes targets from 0 to 1; one of sample 3 is -0.25");
}

TEST_CASE("fit: metrics that nothing would measure and warm-ups longer than the run are refused") {
    const ArrayData data = surface(64);
    Regressor model(Seed{1});
    FitOptions o = quiet(3);
    o.metrics = {std::make_shared<R2>()};
    CHECK(error_of([&] { fit(model, data, o); }) ==
          "error[usage] trainer: metrics are measured on validation data, and there are none; to `fit`, give validation_share, split or validation");
    o.metrics.clear();
    o.warmup = LinearWarmup({.length = 4});
    CHECK(error_of([&] { fit(model, data, o); }) == "error[usage] fit: the warm-up takes 4 epochs, and the run has 3; shorten it");
    o.warmup = LinearWarmup({.length = 7, .unit = ScheduleUnit::step});  // two batches an epoch
    CHECK(error_of([&] { fit(model, data, o); }) == "error[usage] fit: the warm-up takes 7 steps, and the run has 6; shorten it");
    o.warmup = LinearWarmup({.length = 6, .unit = ScheduleUnit::step});
    CHECK_NOTHROW(fit(model, data, o));
}

TEST_CASE("fit: last batches that are too small for their parts are left out") {
    const ArrayData data = surface(27);
    Regressor model(Seed{1});
    FitOptions o = quiet(2);
    o.batch_size = 24;
    o.micro_batches = 4;
    CHECK(fit(model, data, o).state.step == 2);
    o.batch_size = index_t{1} << 40;  // the whole set in a batch, without memory for more
    o.micro_batches = 1;
    CHECK(fit(model, data, o).state.step == 2);
}

TEST_CASE("fit: metrics that cannot be told apart, or that the targets are not for, are refused before anything is trained") {
    struct Named final : Metric {
        std::string called;
        double number = 0;
        std::string name() const override { return called; }
        bool higher_is_better() const override { return true; }
        void reset() override {}
        void add(std::span<const float>, const Targets&, index_t, std::span<const double>) override {}
        double value() const override { return number; }
    };
    const auto named = [](const char* name, double value = 0) {
        auto m = std::make_shared<Named>();
        m->called = name, m->number = value;
        return m;
    };
    const ArrayData data = surface(60);
    Regressor model(Seed{1});
    const std::vector<float> before = all_values(model);
    FitOptions o = quiet(2);
    o.validation_share = 0.5;
    const auto refused = [&](std::vector<std::shared_ptr<Metric>> metrics) {
        o.metrics = std::move(metrics);
        const std::string why = error_of([&] { fit(model, data, o); });
        CHECK(all_values(model) == before);
        return why;
    };
    CHECK(contains(refused({named("val_loss")}), "a metric is called 'val_loss', as another number is"));
    CHECK(contains(refused({named("a"), named("a")}), "a metric is called 'a'"));
    CHECK(contains(refused({nullptr}), "a metric is null"));
    CHECK(contains(refused({std::make_shared<TopK>(1)}), "takes class numbers as targets, and got none"));
    // One that is infinite is never the best, and a checkpoint that says so is whole.
    const TemporaryFolder folder;
    o.checkpoint_dir = folder / "run";
    o.metrics = {named("ratio", HUGE_VAL)};
    o.monitor = "ratio";
    CHECK(fit(model, data, o).state.stopping.best_epoch == 0);
    CHECK_NOTHROW(Checkpoint(folder / "run/model_epoch_2.safetensors"));
}

TEST_CASE("fit: what is refused has not removed an earlier run") {
    const ArrayData data = surface();
    const TemporaryFolder folder;
    FitOptions o = quiet(2);
    o.checkpoint_dir = folder / "c";
    o.log_dir = folder / "logs";
    Regressor model(Seed{1});
    fit(model, data, o);
    const auto files = [&] {
        std::set<std::string> all;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path))
            if (entry.path().extension() != ".lock") all.insert(entry.path().string());
        return all;
    };
    const auto before = files();
    CHECK(before.size() > 3);
    o.overwrite = true;
    FitOptions metric = o, schedule = o;
    metric.metrics = {std::make_shared<TopK>(1)};
    metric.validation_share = 0.2;
    CHECK(contains(error_of([&] { fit(model, data, metric); }), "takes class numbers as targets, and got none"));
    CHECK(files() == before);
    schedule.optimizer = Sgd({.learning_rate = 0.01});
    schedule.schedule = OneCycleOptions{};
    CHECK(contains(error_of([&] { fit(model, data, schedule); }), "momentum cannot be switched on or off"));
    CHECK(files() == before);
    CHECK_NOTHROW(fit(model, data, o));
    o.sampling_weights.assign(400, 1);
    o.sampling_weights[3] = NAN;
    CHECK(contains(error_of([&] { fit(model, data, o); }), "sampling_weights must be finite and not negative"));
}

TEST_CASE("fit: labels that are ignored teach nothing and break nothing") {
    struct Few final : DataSource {
        std::int32_t every = 4;
        index_t size() const override { return 64; }
        Shape input_shape() const override { return Shape{2}; }
        index_t classes() const override { return 3; }
        void read(const SamplePosition& at, std::span<float> x) const override { x[0] = static_cast<float>(at.sample % 3), x[1] = 1; }
        std::int32_t label(index_t s) const override { return every > 0 && s % every == 0 ? static_cast<std::int32_t>(s % 3) : -100; }
    };
    const Few data;
    Classifier model(Seed{1});
    FitOptions o = quiet(3);
    o.batch_size = 2;
    const TrainingResult result = fit(model, data, o);
    CHECK(result.state.history.size() == 3);
    CHECK(std::isfinite(result.state.history.back().train_loss));
    CHECK(contains(error_of([&] { balanced_weights(data, all_samples(data)); }), "the label of sample 1 is out of range; expected 0 to 2"));
    Few none;
    none.every = 0;
    o.validation = AnyData(none);
    CHECK(contains(error_of([&] { fit(model, data, o); }), "the validation set has no label that counts"));
}
