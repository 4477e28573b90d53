// SPDX-License-Identifier: MIT
// Traffic with a policy's own memory: what a steady step copies, and that steps may be queued.
#include <doctest/doctest.h>

#include <dla/model/any_model.hpp>
#include <support/error_of.hpp>
#include <support/networks.hpp>
#include <support/opaque.hpp>
#include <support/run_layer.hpp>

using namespace dla;
using support::Data;
using support::image;
using support::same_bits;

namespace {

using Device = opaque::Opaque<float>;
using Copies = opaque::Device::Copies;

/// What `call` copies and claims.
template <class P, class Call>
Copies traffic(const P& policy, const Call& call) {
    const Copies before = policy.device->copies;
    call();
    const Copies& after = policy.device->copies;
    return {after.in - before.in,       after.out - before.out,           after.within - before.within,        after.fills - before.fills, after.allocations - before.allocations,
            after.bytes_in - before.bytes_in, after.bytes_out - before.bytes_out};
}
void check_traffic(const Copies& c, int in, index_t bytes_in, int out, index_t bytes_out) {
    CHECK(c.in == in);
    CHECK(c.bytes_in == bytes_in);
    CHECK(c.out == out);
    CHECK(c.bytes_out == bytes_out);
    CHECK(c.allocations == 0);
}

constexpr index_t n = 6, input_bytes = n * 128 * 4, label_bytes = n * 4, report_bytes = sizeof(StepReport);

template <class M>
StepResult step(M& model, Optimizer& optimizer, const CrossEntropy& loss, const Data<float>& data, const StepOptions& o = {}) {
    return train_step(model, optimizer, loss, data.images, data.labels, o);
}

std::vector<Optimizer> rules() {
    return {Sgd({.learning_rate = 0.1}), Sgd({.learning_rate = 0.1, .momentum = 0.9}), Adam(),
            AdamW({.decay_bias_and_norm = false, .groups = {{.path = "1", .learning_rate = 0.1}, {.path = "*"}}})};
}

}  // namespace

TEST_CASE("a steady step: inputs and labels in, the report out") {
    for (const Optimizer& rule : rules())
        for (const StepOptions& options : {StepOptions{}, StepOptions{.clip_norm = 0.5}, StepOptions{.clip_norm = 0.5, .micro_batches = 2}}) {
            Model<support::Mlp, image, Device> model(Seed{3});
            Model<support::Mlp, image, Reference<float>> host(Seed{3});
            const Device policy = model.parameters().policy;
            Optimizer optimizer = rule, of_host = rule;
            const CrossEntropy loss{.class_weights = {1, 2, 0.5}};
            const Data<float> data(n), fewer(4);
            const auto both = [&](const Data<float>& d, const CrossEntropy& l = {.class_weights = {1, 2, 0.5}}) {
                StepResult got;
                const Copies c = traffic(policy, [&] { got = step(model, optimizer, l, d, options); });
                const StepResult expected = step(host, of_host, l, d, options);
                CHECK(got.applied == expected.applied);
                if (!got.applied) return c;
                CHECK(got.loss == expected.loss);
                CHECK(got.gradient_norm == expected.gradient_norm);
                return c;
            };
            both(data);
            for (int i = 0; i < 3; ++i) check_traffic(both(data), 2, input_bytes + label_bytes, 1, report_bytes);
            check_traffic(both(fewer), 2, (input_bytes + label_bytes) * 4 / n, 1, report_bytes);

            // A refused step, too; the next does not need to be told the position.
            Data<float> bad(n);
            bad.images[5] = HUGE_VALF;
            check_traffic(both(bad), 2, input_bytes + label_bytes, 1, report_bytes);
            check_traffic(both(data), 2, input_bytes + label_bytes, 1, report_bytes);

            // Other settings: each run of parameters is told once, a position once, class weights once.
            const Copies settled = both(data);
            CHECK(settled.in == 2);
            for (Optimizer* o : {&optimizer, &of_host}) o->set_learning_rate(0.03);
            // Of AdamW: 1.weight | 1.bias, whose rate is scaled | 2.weight, 2.bias | 5.weight | 5.bias, since biases and norms do not decay.
            CHECK(both(data).in == 2 + (rule.groups().empty() ? 1 : 5));
            check_traffic(both(data), 2, input_bytes + label_bytes, 1, report_bytes);
            model.position.epoch = host.position.epoch = 4;
            check_traffic(both(data), 3, input_bytes + label_bytes + static_cast<index_t>(sizeof(RandomPosition)), 1, report_bytes);
            check_traffic(both(data), 2, input_bytes + label_bytes, 1, report_bytes);
            const CrossEntropy other{.class_weights = {3, 2, 1}};
            check_traffic(both(data, other), 3, input_bytes + label_bytes + 12, 1, report_bytes);
            check_traffic(both(data, other), 2, input_bytes + label_bytes, 1, report_bytes);
            check_traffic(both(data, CrossEntropy{}), 2, input_bytes + label_bytes, 1, report_bytes);  // none
            CHECK(same_bits(support::weights(model.parameters()), support::weights(host.parameters())));
        }
}

TEST_CASE("queued steps are waited for once, and have the bits of steps one by one") {
    for (const Optimizer& rule : rules()) {
        Model<support::Mlp, image, Device> model(Seed{3});
        Model<support::Mlp, image, Reference<float>> host(Seed{3}), queued_host(Seed{3});
        const Device policy = model.parameters().policy;
        Optimizer optimizer = rule, of_host = rule, of_queued = rule;
        const CrossEntropy loss;
        const Data<float> data[] = {Data<float>(n, 1), Data<float>(n, 2), Data<float>(n, 3), Data<float>(n, 4)};
        model.reserve(n, loss, false, 2);
        step(model, optimizer, loss, data[0]), step(host, of_host, loss, data[0]), step(queued_host, of_queued, loss, data[0]);
        StepReport report, of_queue;
        check_traffic(traffic(policy, [&] {
                          for (const auto& d : data) model.queue_step(optimizer, loss, d.images, d.labels, 0.5, 2);
                          report = model.finish_step(loss);
                      }),
                      8, 4 * (input_bytes + label_bytes), 1, report_bytes);
        StepResult last;
        for (const auto& d : data) last = step(host, of_host, loss, d, {.clip_norm = 0.5, .micro_batches = 2});
        for (const auto& d : data) queued_host.queue_step(of_queued, loss, d.images, d.labels, 0.5, 2);
        of_queue = queued_host.finish_step(loss);
        CHECK(report.loss.loss == last.loss);
        CHECK(report.gradient_norm == last.gradient_norm);
        CHECK(of_queue.loss.loss == last.loss);
        CHECK(model.position == host.position);
        CHECK(model.position.step == 5);
        CHECK(same_bits(support::weights(model.parameters()), support::weights(host.parameters())));
        CHECK(same_bits(support::weights(queued_host.parameters()), support::weights(host.parameters())));
        CHECK(optimizer.steps() == 5);
    }
}

TEST_CASE("a queued step that is refused is none, and those behind it are taken") {
    Model<support::Mlp, image, Device> model(Seed{3});
    Model<support::Mlp, image, Reference<float>> host(Seed{3});
    Adam adam, of_host;
    const CrossEntropy loss;
    const Data<float> first(n, 1), second(n, 2);
    Data<float> bad(n, 3), odd(n, 3);
    bad.labels[2] = 17;
    odd.images[9] = HUGE_VALF;
    for (const Data<float>* d : {&first, &std::as_const(bad), &std::as_const(odd), &second}) model.queue_step(adam, loss, d->images, d->labels);
    const StepReport report = model.finish_step(loss);  // of the last one
    step(host, of_host, loss, first);
    CHECK(step(host, of_host, loss, second).loss == report.loss.loss);
    CHECK(report.applied == 1);
    CHECK(report.refused == 2);
    CHECK(model.position.step == 2);
    CHECK(adam.steps() == 2);
    CHECK(same_bits(support::weights(model.parameters()), support::weights(host.parameters())));
}

TEST_CASE("a step that cannot be queued leaves those that are: their position, their report, and every bit") {
    // The second normalisation refuses a batch of one, when the first has moved and dropout has drawn.
    using Net = Sequential<BatchNorm2d<>, Flatten, Dropout, Linear<Dyn, 3>, BatchNorm1d<>>;
    Model<Net, image, Device> model(Seed{3});
    Model<Net, image, Reference<float>> host(Seed{3});
    Adam adam, of_host, of_other;
    Model<Net, image, Device> other(Seed{4});
    const CrossEntropy loss;
    const Data<float> first(n, 1), second(n, 2), one(1, 3);
    step(other, of_other, loss, first);
    model.queue_step(adam, loss, first.images, first.labels);
    const auto broken = [&](const char* sentence, auto& optimizer, const Data<float>& data) {
        CHECK(contains(error_of([&] { model.queue_step(optimizer, loss, data.images, data.labels); }), sentence));
    };
    broken("training needs more than 1 value per channel", adam, one);
    broken("this optimizer already steps another model", of_other, second);
    model.on_gradients = [](auto&) { fail(ErrorCode::io, "peers", "gone"); };
    broken("peers: gone", adam, second);
    model.on_gradients = nullptr;
    const StepResult a = step(host, of_host, loss, first);
    SUBCASE("the report of the one that is queued") {
        const StepReport report = model.finish_step(loss);
        CHECK(report.loss.loss == a.loss);
        CHECK(report.applied == 1);
        CHECK(report.refused == 0);
        CHECK(model.position == host.position);
    }
    SUBCASE("the next step draws its masks") {
        model.queue_step(adam, loss, second.images, second.labels);
        CHECK(model.finish_step(loss).loss.loss == step(host, of_host, loss, second).loss);
        CHECK(model.position == host.position);
    }
    CHECK(same_bits(support::weights(model.parameters()), support::weights(host.parameters())));
    CHECK(adam.steps() == of_host.steps());
}

TEST_CASE("inference: inputs in, scores or the result out") {
    Model<support::Mlp, image, Device> model(Seed{3});
    Model<support::Mlp, image, Reference<float>> host(Seed{3});
    const Device policy = model.parameters().policy;
    const Data<float> data(n), fewer(2);
    const CrossEntropy loss{.class_weights = {1, 2, 0.5}};
    auto workspace = model.inference_workspace(n, loss);
    std::vector<float> logits(3 * n);
    model.predict(data.images, logits, workspace);
    for (int i = 0; i < 2; ++i) check_traffic(traffic(policy, [&] { model.predict(data.images, logits, workspace); }), 1, input_bytes, 1, 3 * n * 4);
    CHECK(same_bits(logits, host.predict(data.images)));
    LossResult result = model.evaluate(loss, data.images, data.labels, workspace);
    check_traffic(traffic(policy, [&] { result = model.evaluate(loss, data.images, data.labels, workspace); }), 2, input_bytes + label_bytes, 1, sizeof(LossResult));
    CHECK(result.loss == host.evaluate(loss, data.images, data.labels).loss);
    check_traffic(traffic(policy, [&] { model.evaluate(loss, fewer.images, fewer.labels, workspace); }), 2, (input_bytes + label_bytes) / 3, 1, sizeof(LossResult));

    const auto any = any_model(std::move(model));
    any->reserve(n, loss);
    any->predict(data.images, logits), any->evaluate(loss, data.images, data.labels);
    check_traffic(traffic(policy, [&] { any->predict(data.images, logits); }), 1, input_bytes, 1, 3 * n * 4);
    check_traffic(traffic(policy, [&] { any->evaluate(loss, data.images, data.labels); }), 2, input_bytes + label_bytes, 1, sizeof(LossResult));
}
