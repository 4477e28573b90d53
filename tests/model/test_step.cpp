// SPDX-License-Identifier: MIT
// A step that is refused never happened: model, statistics, optimizer and random position keep their bits. And what steps and passes refuse to do.
#include <doctest/doctest.h>

#include <dla/model/any_model.hpp>
#include <support/error_of.hpp>
#include <support/networks.hpp>
#include <support/opaque.hpp>

#include <limits>

using namespace dla;
using support::Data;
using support::image;

namespace {

using Labels = std::vector<std::int32_t>;
constexpr float infinity = std::numeric_limits<float>::infinity(), nan_value = std::numeric_limits<float>::quiet_NaN();
constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

template <class V>
void append(std::string& bits, const V& values) {
    bits.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0]));
}

/// Every bit that training may change. `read(...)` reads a row, `slot(...)` what the optimizer remembers.
template <class T, class Read, class Slot>
std::string bits_of(const ParamIndex& index, const Optimizer& optimizer, const RandomPosition& position, const Read& read, const Slot& slot) {
    std::string bits;
    std::vector<T> part;
    for (const ParamRow& row : index.parameters) {
        part.resize(static_cast<std::size_t>(row.count));
        read(ParamPart::value, row, std::span(part)), append(bits, part);
        for (int s = 0; s < optimizer.slot_count(); ++s) slot(s, row, std::span(part)), append(bits, part);
    }
    for (const BufferRow& row : index.buffers) part.resize(static_cast<std::size_t>(row.count)), read(row, std::span(part)), append(bits, part);
    for (const CounterRow& row : index.counters) bits += " " + std::to_string(read(row));
    return bits + " " + std::to_string(optimizer.steps()) + " " + std::to_string(position.seed) + " " + std::to_string(position.epoch) + " " +
           std::to_string(position.step);
}
template <class Net, Shape In, class P>
std::string bits_of(const Model<Net, In, P>& model, const Optimizer& optimizer) {
    const auto& table = model.parameters();
    return bits_of<typename P::master>(
        table, optimizer, model.position, [&](auto&&... a) { return table.read(a...); },
        [&](int s, const ParamRow& r, auto v) { optimizer.read(table, s, r, v); });
}
std::string bits_of(AnyModel& model, const Optimizer& optimizer) {
    return bits_of<float>(
        model.index(), optimizer, model.position(), [&](auto&&... a) { return model.read(a...); },
        [&](int s, const ParamRow& r, auto v) { model.read(optimizer, s, r, v); });
}
template <class Net, Shape In, class P>
StepResult step(Model<Net, In, P>& model, Optimizer& optimizer, const CrossEntropy& loss, const Data<typename P::scalar>& data, const StepOptions& o = {}) {
    return train_step(model, optimizer, loss, data.images, data.labels, o);
}
StepResult step(AnyModel& model, Optimizer& optimizer, const CrossEntropy& loss, const Data<float>& data, const StepOptions& o = {}) {
    return model.train_step(optimizer, loss, data.images, data.labels, o);
}

template <class M>
struct ScalarOf {
    using type = typename M::T;
};
template <>
struct ScalarOf<AnyModel> {
    using type = float;
};

/// Two good steps, then all that is bad, each of which must leave every bit, then a good one that must equal the twin's.
template <class M>
void check_refusals(M& model, M& twin, const Optimizer& rule, const StepOptions& options) {
    CAPTURE(rule.name());
    CAPTURE(options.clip_norm);
    CAPTURE(options.micro_batches);
    using T = typename ScalarOf<M>::type;
    constexpr bool wide = std::is_same_v<T, double>;
    Optimizer optimizer = rule, of_twin = rule;
    const CrossEntropy loss;
    const Data<T> first(8, 1), second(8, 2);
    for (const Data<T>* data : {&first, &second}) {
        CHECK(step(model, optimizer, loss, *data, options).applied);
        step(twin, of_twin, loss, *data, options);
    }
    const std::string before = bits_of(model, optimizer);
    REQUIRE((before == bits_of(twin, of_twin)));

    for (const float odd : {nan_value, infinity, -infinity})
        for (const std::size_t at : {std::size_t{0}, std::size_t{700}, first.images.size() - 1}) {
            Data<T> bad = first;
            bad.images[at] = static_cast<T>(odd);
            const StepResult refused = step(model, optimizer, loss, bad, options);
            CHECK_FALSE(refused.applied);
            CHECK_FALSE(std::isfinite(refused.loss));
            CHECK((bits_of(model, optimizer) == before));
        }
    // Weights that no float holds, or whose sum no double does: the loss is infinite.
    const double huge = wide ? 1e308 : 1e300;
    const StepResult infinite = step(model, optimizer, CrossEntropy{.class_weights = {huge, huge, huge}, .reduction = Reduction::sum}, first, options);
    CHECK_FALSE(infinite.applied);
    CHECK_FALSE(std::isfinite(infinite.loss));
    CHECK((bits_of(model, optimizer) == before));
    for (std::size_t row = 0; row < 8; ++row)
        for (const std::int32_t label : {3, -1, std::numeric_limits<std::int32_t>::min()}) {
            Data<T> bad = first;
            bad.labels[row] = label;
            if (row < 7) bad.labels[7] = 99;  // the first bad one is named
            CHECK(error_of([&] { step(model, optimizer, loss, bad, options); }) == "error[data] CrossEntropy: label " + std::to_string(label) + " of sample " +
                                                                                       std::to_string(row) +
                                                                                       " is out of range; expected 0 to 2 or ignore_index -100");
            CHECK((bits_of(model, optimizer) == before));
        }
    if (options.clip_norm > 0) {  // a finite loss whose gradients, or their squares, are not
        const double large_weight = wide ? 1e200 : 3e38;
        const StepResult large =
            step(model, optimizer, CrossEntropy{.class_weights = {large_weight, large_weight, large_weight}, .reduction = Reduction::sum}, first, options);
        CHECK_FALSE(large.applied);
        CHECK(std::isfinite(large.loss));
        CHECK_FALSE(std::isfinite(large.gradient_norm));
        CHECK((bits_of(model, optimizer) == before));
    }

    for (const Data<T>* data : {&first, &second}) {
        const StepResult a = step(model, optimizer, loss, *data, options), b = step(twin, of_twin, loss, *data, options);
        CHECK(a.applied);
        CHECK(a.loss == b.loss);
        CHECK(a.gradient_norm == b.gradient_norm);
        CHECK((bits_of(model, optimizer) == bits_of(twin, of_twin)));
    }
    CHECK((bits_of(model, optimizer) != before));
}

std::vector<Optimizer> rules() {
    return {Sgd({.learning_rate = 0.05, .momentum = 0.9, .weight_decay = 0.01}), Sgd({.learning_rate = 0.05}), Adam({.learning_rate = 0.01}),
            AdamW({.learning_rate = 0.01, .decay_bias_and_norm = false, .groups = {{.path = "1", .learning_rate = 0.02}, {.path = "*"}}})};
}

}  // namespace

TEST_CASE_TEMPLATE("a refused step leaves every bit", P, Reference<float>, Reference<double>, Reference<bf16>, Cpu<float>, opaque::Opaque<float>) {
    using M = Model<support::Mlp, image, P>;
    for (const Optimizer& rule : rules())
        for (const StepOptions& options :
             {StepOptions{}, StepOptions{.clip_norm = 0.5}, StepOptions{.clip_norm = 0.5, .micro_batches = 2}, StepOptions{.micro_batches = 4}}) {
            M model(Seed{3}), twin(Seed{3});
            check_refusals(model, twin, rule, options);
        }
}

TEST_CASE("a refused step leaves every bit of a model without a type") {
    const auto check = [](const auto& net) {
        for (const Optimizer& rule : rules())
            for (const StepOptions& options :
                 {StepOptions{.clip_norm = 0.5}, StepOptions{.clip_norm = 0.5, .micro_batches = 2}, StepOptions{.micro_batches = 4}}) {
                const auto make = [&] { return any_model(Model<std::decay_t<decltype(net)>>(net, image, Seed{3})); };
                const auto model = make(), twin = make();
                check_refusals<AnyModel>(*model, *twin, rule, options);
            }
    };
    check(support::Mlp{});
    check(support::resnet());
}

TEST_CASE("two optimizers share every step of one model: each has the bits that it would have alone") {
    // What one steps is frozen for neither: the gradients are the batch's before both.
    const Data<float> data(8);
    const auto run = [&](auto&& steps) {
        Model<support::Mlp, image, Cpu<float>> model(Seed{3});
        for (int i = 0; i < 5; ++i) {
            model.parameters().zero_gradients();
            model.compute_gradients(CrossEntropy{}, data.images, data.labels);
            steps(model.parameters());
            ++model.position.step;
        }
        return support::weights(model.parameters());
    };
    Adam head({.learning_rate = 0.02, .groups = {{.path = "5"}}});
    Sgd backbone({.learning_rate = 0.1, .momentum = 0.9, .groups = {{.path = "1"}, {.path = "2"}}});
    const auto shared = run([&](auto& table) { head.step(table), backbone.step(table); });
    Adam head2({.learning_rate = 0.02, .groups = {{.path = "5"}}});
    Sgd backbone2({.learning_rate = 0.1, .momentum = 0.9, .groups = {{.path = "1"}, {.path = "2"}}});
    const auto turned = run([&](auto& table) { backbone2.step(table), head2.step(table); });
    CHECK(shared == turned);
    CHECK(head.steps() == 5);
    CHECK(backbone.steps() == 5);

    // In turns, batch by batch: train_step of either leaves what the other remembers.
    const auto alone = [&](Optimizer a, Optimizer b) {
        Model<support::Mlp, image, Cpu<float>> model(Seed{3});
        for (int i = 0; i < 6; ++i) CHECK(step(model, i % 2 == 0 ? a : b, {}, data).applied);
        CHECK(a.steps() == 3);
        CHECK(b.steps() == 3);
        std::vector<float> slot(static_cast<std::size_t>(model.parameters().parameters.back().count));
        a.read(model.parameters(), 0, model.parameters().parameters.back(), slot);
        return slot;
    };
    const Adam a({.groups = {{.path = "5"}}});
    const auto moments = alone(a, Sgd({.learning_rate = 0, .momentum = 0.9, .groups = {{.path = "1"}}}));
    // The head's moments are those of a run in which nobody steps the rest.
    const auto expected = alone(a, Sgd({.learning_rate = 0, .groups = {{.path = "2"}}}));
    CHECK(moments == expected);
    CHECK(std::any_of(moments.begin(), moments.end(), [](float v) { return v != 0; }));
}

TEST_CASE("a bad label: compute_gradients and evaluate throw and touch nothing") {
    Model<support::Mlp, image, Cpu<float>> model(Seed{3});
    Sgd sgd;
    Data<float> data(6);
    step(model, sgd, {}, data);
    auto& table = model.parameters();
    const std::string before = bits_of(model, sgd);
    const std::vector<float> gradients(table.gradients(), table.gradients() + table.value_count);
    data.labels[4] = 3;
    const std::string sentence = "error[data] CrossEntropy: label 3 of sample 4 is out of range; expected 0 to 2 or ignore_index -100";
    CHECK(error_of([&] { model.compute_gradients(CrossEntropy{}, data.images, data.labels); }) == sentence);
    CHECK(error_of([&] { model.evaluate(CrossEntropy{}, data.images, data.labels); }) == sentence);
    CHECK((bits_of(model, sgd) == before));
    CHECK(std::equal(gradients.begin(), gradients.end(), table.gradients()));
    data.labels[4] = 0;
    model.compute_gradients(CrossEntropy{}, data.images, data.labels);
    CHECK((bits_of(model, sgd) != before));  // statistics move in a forward pass
}

TEST_CASE("a step that throws on its way leaves every bit, and the next draws the masks that were due") {
    // The first normalisation sees 64 values of a channel, the second one value: it refuses when the first has moved.
    using Net = Sequential<BatchNorm2d<>, Flatten, Dropout, Linear<Dyn, 3>, BatchNorm1d<>>;
    Model<Net, image, Cpu<float>> model(Seed{3}), twin(Seed{3}), other(Seed{4});
    Adam adam, of_twin, of_other, lost({.groups = {{"17"}}});
    const Data<float> data(6), one(1);
    step(model, adam, {}, data), step(twin, of_twin, {}, data), step(other, of_other, {}, data);
    const std::string before = bits_of(model, adam);
    CHECK(contains(error_of([&] { step(model, adam, {}, one); }), "training needs more than 1 value per channel"));
    CHECK((bits_of(model, adam) == before));
    CHECK(contains(error_of([&] { step(model, lost, {}, data); }), "error[model] 17: no parameter matches this group of the optimizer"));
    CHECK((bits_of(model, adam) == before));
    CHECK(contains(error_of([&] { step(model, of_other, {}, data); }), "error[usage] adam: this optimizer already steps another model"));
    CHECK((bits_of(model, adam) == before));
    model.on_gradients = [](auto&) { fail(ErrorCode::io, "peers", "gone"); };
    CHECK(error_of([&] { step(model, adam, {}, data, {.micro_batches = 2}); }) == "error[io] peers: gone");
    CHECK((bits_of(model, adam) == before));
    model.on_gradients = nullptr;
    CHECK(step(model, adam, {}, data).loss == step(twin, of_twin, {}, data).loss);
    CHECK((bits_of(model, adam) == bits_of(twin, of_twin)));
}

TEST_CASE("backward goes through the last forward, or says that there is none") {
    using P = Cpu<float>;
    Model<support::Mlp, image, P> model(Seed{3}), fresh(Seed{3});
    const Data<float> data(8);
    const ConstView<P> eight(data.images.data(), 8, image), three(data.images.data(), 3, image);
    std::vector<float> dy(24, 0.25f);
    const ConstView<P> dy8(dy.data(), 8, Shape{3}), dy3(dy.data(), 3, Shape{3});
    const std::string sentence =
        "error[model] backward: there is nothing to go back through; call forward() first, and again after backward(), reserve() or a training step";
    const auto refused = [&] { return error_of([&] { model.backward(eight, dy8); }); };
    CHECK(refused() == sentence);
    model.forward(eight);
    model.reserve(16, CrossEntropy{});
    CHECK(refused() == sentence);
    model.forward(eight);
    model.reserve(2, CrossEntropy{});
    CHECK(refused() == sentence);
    Sgd still({.learning_rate = 0});
    model.forward(eight);
    step(model, still, {}, data);
    CHECK(refused() == sentence);
    model.forward(eight);
    model.compute_gradients(CrossEntropy{}, data.images, data.labels);
    CHECK(refused() == sentence);

    model.position.step = 0;  // the masks of the fresh model
    model.forward(eight);
    model.backward(eight, dy8);
    CHECK(refused() == sentence);
    model.forward(eight);
    model.forward(three);
    CHECK(error_of([&] { model.backward(eight, dy8); }) == "error[model] backward: takes the 3 samples of the last forward(); got 8 and 8 gradients");
    CHECK(error_of([&] { model.backward(three, dy8); }) == "error[model] backward: takes the 3 samples of the last forward(); got 3 and 8 gradients");
    fresh.forward(three);
    for (auto* m : {&model, &fresh}) m->parameters().zero_gradients(), m->backward(three, dy3);
    const auto& a = model.parameters();
    CHECK(std::equal(a.gradients(), a.gradients() + a.value_count, fresh.parameters().gradients()));
    CHECK(fresh.parameters().gradient_norm() > 0);
}

TEST_CASE("between forward and backward, masks and modes stay what they were") {
    Model<support::Mlp, image, Cpu<float>> model(Seed{3});
    const Data<float> data(8);
    const ConstView<Cpu<float>> x(data.images.data(), 8, image);
    const std::vector<float> dy(24, 0.25f);
    const ConstView<Cpu<float>> dy8(dy.data(), 8, Shape{3});
    auto& table = model.parameters();
    const std::string sentence =
        "error[model] backward: position or eval mode is not what it was in forward(), so dropout and normalisation would be others; "
        "change them between steps";
    const auto refused = [&](const auto& change) {
        model.forward(x);
        change();
        CHECK(error_of([&] { model.backward(x, dy8); }) == sentence);
    };
    refused([&] { ++model.position.step; });
    refused([&] { model.position.seed = 4; });
    refused([&] { table.set_eval("*"); });
    refused([&] { table.set_eval("2", false); });
    CHECK(table.gradient_norm() == 0);
    model.forward(x);
    model.backward(x, dy8);
    ++model.position.step;
    CHECK(table.gradient_norm() > 0);
}

TEST_CASE("options that make no sense are refused, and nothing is trained") {
    for (const double rate : {-1.0, -1e-300, no_number, HUGE_VAL}) {
        Adam adam;
        CHECK(error_of([&] { adam.set_learning_rate(rate); }) == "error[usage] adam: learning_rate must be finite and not negative");
        CHECK(adam.learning_rate() == 1e-3);
        CHECK_THROWS_AS(Sgd({.learning_rate = rate}), Error);
        CHECK_THROWS_AS(Sgd({.weight_decay = rate}), Error);
        CHECK(contains(error_of([&] { Sgd({.groups = {{.path = "x", .learning_rate = rate}}}); }), "of group x must be finite and not negative"));
        CHECK(contains(error_of([&] { AdamW({.groups = {{.path = "x", .weight_decay = rate}}}); }), "of group x must be finite and not negative"));
    }
    Model<support::Mlp, image, Cpu<float>> model(Seed{3});
    Adam adam;
    const Data<float> data(6);
    step(model, adam, {}, data);
    const std::string before = bits_of(model, adam);
    const auto refused = [&](const StepOptions& o) { return error_of([&] { step(model, adam, {}, data, o); }); };
    for (const int parts : {0, -1, -2, 3, 6, std::numeric_limits<int>::min()})
        CHECK(refused({.micro_batches = parts}) == "error[usage] train_step: micro_batches must be a power of two; got " + std::to_string(parts));
    CHECK(refused({.micro_batches = 8}) == "error[usage] train_step: a batch of 6 cannot be cut into 8 parts; use larger batches or fewer parts");
    for (const double norm : {-1.0, no_number})
        CHECK(refused({.clip_norm = norm}) == "error[usage] train_step: clip_norm must not be negative or NaN; 0 clips nothing");
    CHECK((bits_of(model, adam) == before));
}
