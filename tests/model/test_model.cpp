// SPDX-License-Identifier: MIT
// What a model promises its user: errors in words, weights that go where they should, independence of batch size, threads and other models.
#include <doctest/doctest.h>

#include <support/error_of.hpp>
#include <support/networks.hpp>
#include <support/run_layer.hpp>
#include <thread>

using namespace dla;
using support::Data;
using support::image;
using support::same_bits;

namespace {

using Reference32 = Reference<float>;
template <class Net>
using ModelOf = Model<Net, image, Reference32>;

template <class M, class Optimizer>
double step(M& model, Optimizer& optimizer, const Data<float>& data, const CrossEntropy& loss = {}) {
    return train_step(model, optimizer, loss, std::span<const float>(data.images), std::span<const std::int32_t>(data.labels)).loss;
}

struct NeedsScratch : CrossEntropy {
    template <class P>
    index_t scratch(const P&, index_t rows, const Shape&) const {
        return 1000 * rows;
    }
};

}  // namespace

TEST_CASE("a model shows its network, also after it has moved, and is given to none of another type") {
    using Net = Sequential<Flatten, Linear<Dyn, 5>, ReLU, Linear<Dyn, 3>>;
    Net net;
    get<3>(net.layers).bias = false;
    ModelOf<Net> model(net, Seed{1});
    CHECK_FALSE(get<3>(model.network().layers).bias);
    ModelOf<Net> other(std::move(model));
    CHECK_FALSE(get<3>(other.network().layers).bias);
    static_assert(!std::is_assignable_v<BasicModel<Reference32>&, ModelOf<Net>>);
    static_assert(!std::is_copy_constructible_v<ModelOf<Net>>);
}

TEST_CASE("sizes that do not fit are refused in words") {
    ModelOf<support::Cnn> model(Seed{1});
    const Data<float> data(4);
    const std::span<const float> images(data.images);
    const std::span<const std::int32_t> labels(data.labels);
    const CrossEntropy loss;
    CHECK_THROWS_WITH_AS(model.compute_gradients(loss, images.first(100), labels),
                         "error[model] model: got 100 input values; expected a multiple of 128, the size of one sample [2, 8, 8]", Error);
    CHECK_THROWS_WITH_AS(model.compute_gradients(loss, images, labels.first(3)), "error[model] model: got 3 targets; expected 4", Error);
    const MeanSquaredError<float> mse;
    CHECK_THROWS_WITH_AS(model.compute_gradients(mse, images, std::span<const float>(data.targets).first(4)), "error[model] model: got 4 targets; expected 12",
                         Error);
    std::vector<float> out(11);
    auto workspace = model.inference_workspace(3);
    CHECK_THROWS_WITH_AS(model.predict(images, out, workspace), "error[model] predict: the output has room for 11 values; expected 12", Error);
    out.resize(12);
    CHECK_THROWS_WITH_AS(model.predict(images, out, workspace), "error[model] predict: the workspace holds 3 samples; got 4", Error);
    CHECK_THROWS_WITH_AS(model.evaluate(loss, images, labels, workspace), "error[model] predict: the workspace holds 3 samples; got 4", Error);
    CHECK_THROWS_WITH_AS(model.evaluate(loss, images, labels.first(2), workspace), "error[model] model: got 2 targets; expected 4", Error);
    CHECK_THROWS_WITH_AS(model.evaluate(NeedsScratch{}, images, labels, workspace = model.inference_workspace(4)),
                         "error[model] evaluate: the workspace has no scratch memory for this loss; make it with inference_workspace(batch, loss)", Error);
    CHECK_NOTHROW(model.evaluate(NeedsScratch{}, images, labels));
}

TEST_CASE("an unknown or wrong input shape is refused when the model is built") {
    using Free = Model<Sequential<Flatten, Linear<Dyn, 3>>, Shape{}, Reference32>;
    CHECK_THROWS_WITH_AS(
        Free(Seed{1}),
        "error[shape] model: the input shape [unknown] is not known; give it: Model<Net, Shape{3, 32, 32}> or Model(net, Shape{3, 32, 32}, seed)", Error);
    CHECK_THROWS_AS(Free({}, Shape{1, Dyn, 3}, Seed{1}), Error);
    using Half = Model<Sequential<Flatten, Linear<Dyn, 3>>, Shape{1, Dyn, Dyn}, Reference32>;
    CHECK_THROWS_WITH_AS(Half({}, Shape{2, 3, 3}, Seed{1}), "error[shape] model: built for input [1, Dyn, Dyn]; got [2, 3, 3]", Error);
    CHECK(Half({}, Shape{1, 3, 4}, Seed{1}).input_shape() == Shape{1, 3, 4});
    using Sized = Model<Sequential<Linear<Dyn, Dyn>, Linear<7, 2>>, Shape{}, Reference32>;
    const auto net = [](index_t out) { return Sequential(Linear<Dyn, Dyn>{.out = out}, Linear<7, 2>{}); };
    CHECK(Sized(net(7), Shape{4}, Seed{1}).output_shape() == Shape{2});
    CHECK_THROWS_WITH_AS(Sized(net(6), Shape{4}, Seed{1}),
                         "error[shape] network: layer 1 Linear<7, 2> refuses input [6]: expected 7; did you mean Linear<6, 2>?", Error);
}

TEST_CASE("a label out of range is named with its sample, and nothing is trained") {
    ModelOf<support::Cnn> model(Seed{1});
    Data<float> data(4);
    data.labels[2] = 3;
    data.labels[3] = -7;
    const auto before = support::weights(model.parameters());
    Sgd sgd;
    const char* sentence = "error[data] CrossEntropy: label 3 of sample 2 is out of range; expected 0 to 2 or ignore_index -100";
    CHECK_THROWS_WITH_AS(step(model, sgd, data), sentence, Error);
    CHECK(model.position.step == 0);
    CHECK_THROWS_WITH_AS(model.evaluate(CrossEntropy{}, data.images, data.labels), sentence, Error);
    CHECK(same_bits(support::weights(model.parameters()), before));  // parameters and running statistics
    data.labels[2] = -100;
    data.labels[3] = 1;
    CHECK(std::isfinite(step(model, sgd, data)));
}

TEST_CASE("losses refuse networks and options that do not fit") {
    const Data<float> data(2);
    Model<Conv2d<Dyn, 3, 3>, image, Reference32> images_out(Seed{1});
    CHECK_THROWS_WITH_AS(images_out.compute_gradients(CrossEntropy{}, data.images, data.labels),
                         "error[model] model: got 2 targets; expected 128, 64 for each output [3, 8, 8]; did you forget Flatten?", Error);
    ModelOf<support::Cnn> model(Seed{1});
    CHECK_THROWS_WITH_AS(model.compute_gradients(CrossEntropy{.class_weights = {1, 2}}, data.images, data.labels),
                         "error[model] CrossEntropy: class_weights has 2 values; expected one for each of 3 classes", Error);
    CHECK_THROWS_WITH_AS(model.compute_gradients(CrossEntropy{.label_smoothing = 1.5}, data.images, data.labels),
                         "error[model] CrossEntropy: label_smoothing must lie in [0, 1]", Error);
}

TEST_CASE("class weights weigh") {
    // One Linear on one feature: logits are the weights themselves.
    Model<Linear<1, 3>, Shape{1}, Reference<double>> model(Seed{1});
    auto& table = model.parameters();
    table.write(ParamPart::value, table.parameter("weight"), std::vector<double>{1, 2, 3});
    table.write(ParamPart::value, table.parameter("bias"), std::vector<double>{0, 0, 0});
    const std::vector<double> x{1, 1};
    const std::vector<std::int32_t> labels{2, 0};
    const double z = std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0)), first = z - 3, second = z - 1;
    const auto loss = [&](const CrossEntropy& l) { return model.compute_gradients(l, x, labels).loss; };
    const auto evaluated = [&](const CrossEntropy& l) { return model.evaluate(l, x, labels).loss; };
    CHECK(loss(CrossEntropy{}) == doctest::Approx((first + second) / 2).epsilon(1e-14));
    const CrossEntropy weighted{.class_weights = {5, 7, 0.5}};
    CHECK(loss(weighted) == doctest::Approx((0.5 * first + 5 * second) / 5.5).epsilon(1e-14));
    CHECK(evaluated(weighted) == loss(weighted));
    CHECK(loss(CrossEntropy{}) == evaluated(CrossEntropy{}));
    CHECK(loss(CrossEntropy{.class_weights = {5, 7, 0.5}, .reduction = Reduction::sum}) == doctest::Approx(0.5 * first + 5 * second).epsilon(1e-14));
}

TEST_CASE("the same seed gives the same model, another seed another, whatever else is trained") {
    Adam adam_a, adam_b;
    ModelOf<support::Mlp> a(Seed{1}), b(Seed{1}), c(Seed{2});
    ModelOf<support::Cnn> other(Seed{1});
    CHECK(same_bits(support::weights(a.parameters()), support::weights(b.parameters())));
    CHECK_FALSE(same_bits(support::weights(a.parameters()), support::weights(c.parameters())));
    const Data<float> data(5), more(7, 1);
    const auto untouched = support::weights(c.parameters());
    Sgd sgd;
    for (int i = 0; i < 3; ++i) {
        step(a, adam_a, data);
        step(other, sgd, more);
    }
    for (int i = 0; i < 3; ++i) step(b, adam_b, data);
    CHECK(same_bits(support::weights(a.parameters()), support::weights(b.parameters())));
    CHECK(same_bits(untouched, support::weights(c.parameters())));
}

TEST_CASE("a moved model goes on where it was") {
    const Data<float> data(5);
    Sgd sgd_a({.momentum = 0.9}), sgd_b({.momentum = 0.9});
    ModelOf<support::Mlp> a(Seed{1}), b(Seed{1});
    step(a, sgd_a, data), step(b, sgd_b, data);
    ModelOf<support::Mlp> moved(std::move(b));
    step(a, sgd_a, data), step(moved, sgd_b, data);
    ModelOf<support::Mlp> assigned(Seed{9});
    Sgd other;
    step(assigned, other, Data<float>(9));
    assigned = std::move(moved);
    step(a, sgd_a, data), step(assigned, sgd_b, data);
    CHECK(same_bits(support::weights(a.parameters()), support::weights(assigned.parameters())));
    CHECK(same_bits(a.predict(data.images), assigned.predict(data.images)));
    CHECK(assigned.position.step == 3);
}

TEST_CASE("batches may grow and shrink from step to step") {
    ModelOf<support::ResNet> grown(support::resnet(), Seed{1}), reserved(support::resnet(), Seed{1});
    Sgd sgd_grown, sgd_reserved;
    const CrossEntropy loss;
    reserved.reserve(9, loss);
    for (const index_t n : {2, 5, 3, 9, 1, 4}) {
        const Data<float> data(n, static_cast<std::uint32_t>(n));
        CHECK(step(grown, sgd_grown, data) == step(reserved, sgd_reserved, data));
        CHECK(grown.memory().batch >= n);
    }
    CHECK(grown.memory().batch == 9);
    CHECK(same_bits(support::weights(grown.parameters()), support::weights(reserved.parameters())));
}

TEST_CASE("inference: an empty batch, one by one, and from four threads at a time") {
    ModelOf<support::ResNet> model(support::resnet(), Seed{4});
    CHECK(model.predict({}).empty());
    const Data<float> data(8);
    const auto all = model.predict(data.images);
    REQUIRE(all.size() == 24);
    const auto size = static_cast<std::size_t>(image.size());
    for (std::size_t i = 0; i < 8; ++i) {
        const auto one = model.predict(std::span<const float>(data.images).subspan(i * size, size));
        CHECK(std::equal(one.begin(), one.end(), all.begin() + static_cast<std::ptrdiff_t>(3 * i)));
    }
    std::array<std::vector<float>, 4> results;
    std::array<std::thread, 4> threads;
    for (std::size_t t = 0; t < 4; ++t)
        threads[t] = std::thread([&, t] {
            auto workspace = model.inference_workspace(8);
            results[t].resize(24);
            for (int i = 0; i < 20; ++i) model.predict(data.images, results[t], workspace);
        });
    for (std::thread& thread : threads) thread.join();
    for (const auto& result : results) CHECK(same_bits(result, all));
}

TEST_CASE("sizes may be set at run time behind a layer that knows its shape") {
    const Sequential net{Linear<>{.out = 105}, Unflatten<7, 5, 3>{}, Upsample2d<>{.size = {11, 8}}, MaxPool2d<>{.kernel = 2}};
    Model model(net, Shape{16}, Seed{1});
    CHECK(model.output_shape() == Shape{7, 5, 4});
    const Sequential open{Linear<>{.out = 105}, Unflatten<7, 5, 3>{}, Upsample2d<>{}, MaxPool2d<>{.kernel = 2}};
    CHECK(contains(error_of([&] { Model(open, Shape{16}, Seed{1}); }), "layer 2 Upsample2d<> refuses input [7, 5, 3] (105 values): neither its scale nor its size"));
}

TEST_CASE("an empty training batch changes nothing but the optimizer's count") {
    Model<Sequential<Flatten, Linear<Dyn, 3>>, image, Reference32> model(Seed{1});
    const auto before = support::weights(model.parameters());
    Sgd sgd({.learning_rate = 1});
    CHECK(std::isnan(step(model, sgd, Data<float>(0))));
    CHECK(same_bits(before, support::weights(model.parameters())));
}

TEST_CASE("BatchNorm refuses to train on one value per channel") {
    ModelOf<support::Mlp> model(Seed{1});
    Sgd sgd;
    CHECK_THROWS_WITH_AS(step(model, sgd, Data<float>(1)),
                         "error[model] BatchNorm1d<>: training needs more than 1 value per channel; got a batch of 1; use larger batches or drop the last one",
                         Error);
}

TEST_CASE("copy_weights says what it did") {
    using From = Sequential<Conv2d<Dyn, 4, 3>, BatchNorm2d<>, ReLU, Flatten, Linear<Dyn, 3>>;
    using To = Sequential<Conv2d<Dyn, 4, 3>, BatchNorm2d<>, ReLU, Flatten, Linear<Dyn, 5>, BatchNorm1d<>>;
    Model<From, image, Reference<double>> from(Seed{1});
    Model<To, image, Reference32> to(Seed{2});
    auto& source = from.parameters();
    source.write(source.counters[0], 17);
    const auto fifth = support::weights(to.parameters());
    const CopyReport report = copy_weights(source, to.parameters());
    const auto sorted = [](std::vector<std::string> v) {
        std::sort(v.begin(), v.end());
        return v;
    };
    CHECK(sorted(report.copied) == sorted({"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"}));
    CHECK(sorted(report.missing) == sorted({"5.weight", "5.bias", "5.running_mean", "5.running_var"}));
    CHECK(sorted(report.mismatched) == sorted({"4.weight", "4.bias"}));
    CHECK(report.unexpected.empty());
    const CopyReport back = copy_weights(to.parameters(), source);
    CHECK(sorted(back.unexpected) == sorted({"5.weight", "5.bias", "5.running_mean", "5.running_var"}));
    CHECK(to.parameters().read(to.parameters().counters[0]) == 17);
    std::vector<double> a(72);
    std::vector<float> b(72);
    source.read(ParamPart::value, source.parameter("0.weight"), a);
    to.parameters().read(ParamPart::value, to.parameters().parameter("0.weight"), b);
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(static_cast<float>(a[i]) == b[i]);
    std::vector<float> kept(5 * 256);
    to.parameters().read(ParamPart::value, to.parameters().parameter("4.weight"), kept);
    CHECK(std::search(fifth.begin(), fifth.end(), kept.begin(), kept.end()) != fifth.end());
}

TEST_CASE("frozen parameters stay, the others move, and neither norm nor decay sees the frozen") {
    ModelOf<support::ResNet> model(support::resnet(), Seed{1});
    auto& table = model.parameters();
    table.freeze("0.block.*");
    table.freeze("*.bias");
    const Data<float> data(6);
    AdamW adam({.learning_rate = 0.01, .weight_decay = 0.5});
    const auto values = [&](const ParamRow& row, ParamPart part) {
        std::vector<float> v(static_cast<std::size_t>(row.count));
        table.read(part, row, v);
        return v;
    };
    std::vector<std::vector<float>> before;
    for (const ParamRow& row : table.parameters) before.push_back(values(row, ParamPart::value));
    step(model, adam, data);
    int frozen = 0;
    double squares = 0;
    for (std::size_t i = 0; i < table.parameters.size(); ++i) {
        const ParamRow& row = table.parameters[i];
        CAPTURE(row.path);
        CHECK(row.trainable == !(row.path.starts_with("0.block.") || row.path.ends_with(".bias")));
        CHECK(same_bits(before[i], values(row, ParamPart::value)) == !row.trainable);
        frozen += !row.trainable;
        if (row.trainable)
            for (const float g : values(row, ParamPart::gradient)) squares += static_cast<double>(g) * static_cast<double>(g);
    }
    CHECK(frozen > 8);
    CHECK(table.gradient_norm() == doctest::Approx(std::sqrt(squares)).epsilon(1e-6));
    CHECK_THROWS_WITH_AS(table.freeze("nothing.*"), "error[model] nothing.*: no parameter matches; see the paths in summary(model)", Error);
    table.freeze("0.block.*", false);
    step(model, adam, data);
    CHECK_FALSE(same_bits(before[0], values(table.parameters[0], ParamPart::value)));
    const auto closest = [&table](const char* path) { return error_of([&] { (void)table.parameter(path); }); };
    for (const ParamRow& row : table.parameters) {  // one slip away from each
        CHECK(closest((row.path + "s").c_str()) == "error[model] " + row.path + "s: no parameter has this path; did you mean " + row.path + "?");
    }
    CHECK(contains(closest(""), "no parameter has this path; did you mean "));
    CHECK(error_of([] { (void)ParamIndex{}.parameter("0.weight"); }) == "error[model] 0.weight: no parameter has this path; the model has no parameters");
}

TEST_CASE("paths match as they are written") {
    struct Row {
        const char* pattern;
        const char* path;
        bool matches;
    };
    for (const Row& row : {Row{"0.weight", "0.weight", true},
                           {"0", "0.weight", true},
                           {"0", "00.weight", false},
                           {"0", "10.weight", false},
                           {"1", "10.weight", false},
                           {"3.block", "3.block.0.weight", true},
                           {"3.bloc", "3.block.0.weight", false},
                           {"*.bias", "3.block.0.bias", true},
                           {"*.bias", "3.block.0.weight", false},
                           {"*", "0.weight", true},
                           {"", "0.weight", false},
                           {"*weight", "0.weight", true},
                           {"0.*.weight", "0.block.1.weight", true},
                           {"0.*.weight", "0.weight", false},
                           {"0.*.weight", "1.block.1.weight", false},
                           {"*.block.*", "3.block.0.bias", true},
                           {"*.block", "3.block.0.bias", true},
                           {"a*b*c", "aXbYc", true},
                           {"a*b*c", "aXcYb", false},
                           {"**", "x", true},
                           {"0.weight.", "0.weight", false},
                           {"0.weightx", "0.weight", false},
                           {"*.0", "1.10.0.bias", true},
                           {"*.0", "1.10.bias", false},
                           {"block.0", "3.block.0.weight", false}}) {
        CAPTURE(std::string(row.pattern) + " and " + row.path);
        CHECK(path_matches(row.pattern, row.path) == row.matches);
    }
}

TEST_CASE("clipping scales all gradients alike") {
    ModelOf<support::Cnn> model(Seed{1});
    const Data<float> data(4);
    model.compute_gradients(CrossEntropy{}, data.images, data.labels);
    auto& table = model.parameters();
    const double norm = table.gradient_norm();
    const std::vector<float> before(table.gradients(), table.gradients() + table.value_count);
    CHECK(table.clip_gradients(2 * norm) == norm);
    CHECK(std::equal(before.begin(), before.end(), table.gradients()));
    CHECK(table.clip_gradients(norm / 4) == norm);
    CHECK(table.gradient_norm() == doctest::Approx(norm / 4).epsilon(1e-5));
    for (std::size_t i = 0; i < before.size(); ++i) CHECK(table.gradients()[i] == before[i] * static_cast<float>(norm / 4 / (norm + 1e-6)));
}

TEST_CASE("the gradient of the input comes when it was asked for") {
    Model<support::Cnn, image, Reference<double>> model(Seed{1});
    const Data<double> data(2);
    const ConstView<Reference<double>> x(data.images.data(), 2, image);
    std::vector<double> dy(6, 1), dx(data.images.size(), -1);
    const ConstView<Reference<double>> dyv(dy.data(), 2, Shape{3});
    const View<Reference<double>> dxv(dx.data(), 2, image);
    model.forward(x);
    CHECK_NOTHROW(model.backward(x, dyv));
    CHECK_THROWS_AS(model.backward(x, dyv, dxv), Error);
    model.plan_input_gradient();
    const auto first = *model.forward(x).data;
    model.backward(x, dyv, dxv);
    // Along dx the sum of the outputs grows by |dx|^2.
    double squares = 0, sum = 0, moved_sum = 0;
    for (const double g : dx) squares += g * g;
    const auto outputs = [&](const ConstView<Reference<double>>& in) {
        const auto y = model.forward(in);
        return std::vector<double>(y.data, y.data + y.size());
    };
    std::vector<double> moved = data.images;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += 1e-6 * dx[i];
    for (const double v : outputs(x)) sum += v;
    for (const double v : outputs(ConstView<Reference<double>>(moved.data(), 2, image))) moved_sum += v;
    CHECK(outputs(x)[0] == first);
    CHECK((moved_sum - sum) / 1e-6 == doctest::Approx(squares).epsilon(1e-4));
    CHECK(squares > 0);
}

namespace {

struct Counter final : Observer<Reference32> {
    std::vector<int> forward, backward;
    void after_forward(int layer, const ConstView<Reference32>&) override { forward.push_back(layer); }
    void after_backward(int layer, const ConstView<Reference32>&) override { backward.push_back(layer); }
};

}  // namespace

TEST_CASE("an observer sees every layer once forward and once backward, and the network last") {
    ModelOf<support::ResNet> model(support::resnet(), Seed{1});
    Counter counter;
    model.observer = &counter;
    const Data<float> data(3);
    model.compute_gradients(CrossEntropy{}, data.images, data.labels);
    CHECK(counter.forward.back() == -1);
    CHECK(counter.backward.back() == -1);
    auto sorted = counter.forward;
    std::sort(sorted.begin(), sorted.end());
    std::vector<int> all(model.parameters().layers.size() + 1);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i) - 1;
    CHECK(sorted == all);
    std::sort(counter.backward.begin(), counter.backward.end());
    CHECK(counter.backward == all);
}

TEST_CASE("scratch memory fits batches that are smaller than the planned one") {
    // The weight gradient of 1752 samples takes another algorithm than that of 4096, with more scratch memory.
    Cpu<float> policy;
    policy.threads = 2;
    Model<Sequential<Linear<100, 64>, ReLU, Linear<64, 10>>, Shape{100}> model(Seed{1}, policy);
    Adam adam;
    const CrossEntropy loss;
    for (const index_t batch : {index_t{4096}, index_t{1752}, index_t{3000}, index_t{4096}}) {
        const std::vector<float> x(static_cast<std::size_t>(batch * 100), 0.5f);
        const std::vector<std::int32_t> labels(static_cast<std::size_t>(batch), 1);
        train_step(model, adam, loss, x, labels);
        CHECK(model.memory().scratch >= model.plan(batch, loss).scratch);
    }
    auto workspace = model.inference_workspace(4096);
    for (index_t batch = 0; batch <= 4096; batch += 61) CHECK(workspace.scratch_bytes() >= model.inference_workspace(batch).scratch_bytes());
}

TEST_CASE("an empty batch on a new model, and a thread count fixed when the model is built") {
    using Net = Sequential<Linear<3, 4>, Repeat<Sequential<Linear<4, 4>, ReLU>>, Linear<4, 2>>;
    Model<Net> model(Net{Linear<3, 4>{}, Repeat<Sequential<Linear<4, 4>, ReLU>>(2), Linear<4, 2>{}}, Shape{3}, Seed{1});
    CHECK(model.parameters().policy.threads > 0);
    Sgd sgd;
    CHECK(std::isnan(train_step(model, sgd, CrossEntropy{}, std::span<const float>(), std::span<const std::int32_t>())));
    CHECK(model.predict({}).empty());
}

TEST_CASE("forward and backward refuse what does not belong together") {
    Model<Sequential<Linear<4, 2>>, Shape{4}, Reference<float>> model(Seed{1});
    std::vector<float> x(12), dy(6), dx(12);
    const ConstView<Reference<float>> samples(x.data(), 3, Shape{4}), gradient(dy.data(), 3, Shape{2});
    CHECK_THROWS_AS(model.backward(samples, gradient), Error);
    CHECK_THROWS_AS(model.forward({x.data(), 4, Shape{3}}), Error);
    model.forward(samples);
    CHECK_THROWS_AS(model.backward({x.data(), 2, Shape{4}}, gradient), Error);
    CHECK_THROWS_AS(model.backward(samples, gradient, {dx.data(), 3, Shape{4}}), Error);
    model.backward(samples, gradient);
    CHECK_THROWS_AS((Model<Sequential<Linear<>>>({Linear<>{.out = 2}}, Shape{0}, Seed{1})), Error);
    CHECK_THROWS_AS(Repeat<ReLU>(-1), Error);
}

TEST_CASE("calls that come too early, twice, or with nonsense are refused, and nothing is lost") {
    ModelOf<support::Mlp> model(Seed{7});
    const Data<float> data(4);
    const std::vector<float> dy(12, 1.0f);
    const ConstView<Reference32> x(data.images.data(), 4, support::image), gradient(dy.data(), 4, Shape{3});
    model.forward(x);
    model.backward(x, gradient);
    // Gradients lie where activations were: a second pass would be wrong without a word.
    CHECK_THROWS_WITH_AS(
        model.backward(x, gradient),
        "error[model] backward: there is nothing to go back through; call forward() first, and again after backward(), reserve() or a training step", Error);
    CHECK_THROWS_AS(model.forward(ConstView<Reference32>(data.images.data(), -1, support::image)), Error);
    CHECK_THROWS_AS(model.forward(ConstView<Reference32>(data.images.data(), index_t{1} << 61, support::image)), Error);
    for (const int parts : {0, -3, 3, 6}) CHECK_THROWS_AS(model.reserve(8, CrossEntropy{}, false, parts), Error);
    CHECK_THROWS_WITH_AS(model.finish_step(CrossEntropy{}), "error[usage] finish_step: no step is queued; call queue_step() first", Error);
    CHECK(model.position.seed == 7);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_WITH_AS(model.compute_gradients(CrossEntropy{.class_weights = {1, nan, 1}}, data.images, data.labels),
                         "error[model] CrossEntropy: class_weights must be finite", Error);
}

TEST_CASE("a batch that a layer refuses half-way moves no statistics") {
    using Net = Sequential<Conv2d<Dyn, 4, 3>, BatchNorm2d<>, ReLU, GlobalAvgPool2d, BatchNorm1d<>, Linear<Dyn, 3>>;
    ModelOf<Net> model(Net{}, support::image, Seed{1});
    const Data<float> one(1);
    const auto before = support::weights(model.parameters());
    CHECK_THROWS_AS(model.compute_gradients(CrossEntropy{}, one.images, one.labels), Error);  // the second BatchNorm has one value for each channel
    CHECK(same_bits(support::weights(model.parameters()), before));
    for (const CounterRow& row : model.parameters().counters) CHECK(model.parameters().read(row) == 0);
}
