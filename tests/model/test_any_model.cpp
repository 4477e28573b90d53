// SPDX-License-Identifier: MIT
// AnyModel's inference is const and safe from many threads at once: each call has a workspace that nobody else has.
#include <doctest/doctest.h>

#include <dla/model/any_model.hpp>
#include <support/error_of.hpp>
#include <support/networks.hpp>
#include <support/run_layer.hpp>

#include <atomic>
#include <thread>

using namespace dla;
using support::Data;
using support::image;
using support::same_bits;

TEST_CASE("predict and evaluate from eight threads, with batches of their own, have the bits of one thread") {
    Cpu<float> policy;
    policy.threads = 1;
    const std::unique_ptr<const AnyModel> model = any_model(Model<support::ResNet, image, Cpu<float>>(support::resnet(), Seed{5}, policy));
    const CrossEntropy plain, weighted{.label_smoothing = 0.1, .class_weights = {1, 2, 0.5}};
    constexpr std::size_t count = 8;
    std::vector<Data<float>> data;
    std::vector<std::vector<float>> logits(count);
    std::vector<LossResult> results(count);
    for (std::size_t t = 0; t < count; ++t) {
        data.emplace_back(static_cast<index_t>(1 + 5 * t % 13), static_cast<std::uint32_t>(t));
        logits[t].resize(3 * data[t].labels.size());
        model->predict(data[t].images, logits[t]);
        results[t] = model->evaluate(t % 2 ? plain : weighted, data[t].images, data[t].labels);
    }
    std::array<std::atomic<int>, count> wrong{};
    std::atomic<std::size_t> ready{0};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < count; ++t)
        threads.emplace_back([&, t] {
            ++ready;
            while (ready < count) std::this_thread::yield();
            for (std::size_t i = 0; i < 24; ++i) {
                const std::size_t at = (t + i) % count;  // batches that grow and shrink
                std::vector<float> out(logits[at].size(), -1.0f);
                model->predict(data[at].images, out);
                const LossResult r = model->evaluate(at % 2 ? plain : weighted, data[at].images, data[at].labels);
                wrong[t] += !same_bits(out, logits[at]) || r.loss != results[at].loss || r.correct != results[at].correct;
            }
        });
    for (std::thread& thread : threads) thread.join();
    for (const auto& n : wrong) CHECK(n == 0);
}

TEST_CASE("a call that is refused leaves nothing behind, and weights told by one loss do not stay for the next") {
    const auto model = any_model(Model<support::Mlp, image, Cpu<float>>(Seed{5}));
    const Data<float> data(6);
    const double expected = model->evaluate(CrossEntropy{}, data.images, data.labels).loss;
    Data<float> bad = data;
    bad.labels[3] = 9;
    CHECK(contains(error_of([&] { model->evaluate(CrossEntropy{.class_weights = {9, 9, 1}}, bad.images, bad.labels); }), "label 9 of sample 3"));
    CHECK(contains(error_of([&] { model->evaluate(CrossEntropy{.class_weights = {1}}, data.images, data.labels); }), "class_weights has 1 values"));
    std::vector<float> logits(17);
    CHECK(contains(error_of([&] { model->predict(data.images, logits); }), "error[model] predict: "));
    CHECK(model->evaluate(CrossEntropy{.class_weights = {9, 9, 1}}, data.images, data.labels).loss != expected);
    CHECK(model->evaluate(CrossEntropy{}, data.images, data.labels).loss == expected);
    logits.resize(18);
    CHECK_NOTHROW(model->predict(data.images, logits));
}
