// SPDX-License-Identifier: MIT
// The same bits at any number of threads: weights after 50 steps of all four families, with dropout.
#include "../../examples/common/experiment.hpp"

#include <doctest/doctest.h>

#include <dla/kernels/cpu/isa.hpp>

using namespace dla;

namespace {

std::uint64_t add_to(std::uint64_t hash, const void* bytes, std::size_t count) {
    const auto* p = static_cast<const unsigned char*>(bytes);
    for (std::size_t i = 0; i < count; ++i) hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

/// FNV-1a over all parameters, buffers and counters.
std::uint64_t hash_of(const AnyModel& model) {
    const Weights w = take_weights(model);
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (const auto& v : w.parameters) hash = add_to(hash, v.data(), v.size() * sizeof(float));
    for (const auto& v : w.buffers) hash = add_to(hash, v.data(), v.size() * sizeof(float));
    return add_to(hash, w.counters.data(), w.counters.size() * sizeof(std::int64_t));
}

struct Outcome {
    std::uint64_t weights = 0;
    double loss = 0;
};

/// Sizes are large enough that the kernels cut their work into several tasks, and odd where tails are handled apart.
Outcome train(const std::string& name, bool residual, int threads, int steps) {
    ModelConfig config;
    config.name = name;
    config.residual = residual;
    config.input_shape = name == "mlp" ? Integers{1, 28, 28} : Integers{3, 16, 16};
    config.layer_sizes = {160, 96, 96, 10};
    config.filters = {16, 24, 33, 32};
    config.dropout = 0.3;
    auto model = experiment::make_model(config, Seed{11}, threads);
    AnyOptimizer optimizer = make_optimizer("adam", {.learning_rate = 1e-3, .weight_decay = 1e-4});
    const CrossEntropy loss;
    const index_t batch = name == "mlp" ? 101 : 27;
    std::vector<float> images(static_cast<std::size_t>(batch * model->input_shape().size()));
    std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
    Outcome outcome;
    for (int step = 0; step < steps; ++step) {
        RandomStream random({5, 0, static_cast<std::uint32_t>(step)}, RandomUse::synthesis);
        for (float& v : images) v = 2 * random.uniform() - 1;
        for (std::int32_t& l : labels) l = static_cast<std::int32_t>(random.below(10));
        outcome.loss = model->train_step(optimizer, loss, images, labels, step % 2 == 0 ? 1.0 : 0.0).loss;
    }
    outcome.weights = hash_of(*model);
    return outcome;
}

}  // namespace

TEST_CASE("1, 2, 3 and 5 threads give the same weights after 50 steps") {
    for (const std::string name : {"mlp", "cnn"})
        for (const bool residual : {false, true}) {
            CAPTURE(name);
            CAPTURE(residual);
            const Outcome one = train(name, residual, 1, 50);
            CHECK(std::isfinite(one.loss));
            for (const int threads : {2, 3, 5}) {
                CAPTURE(threads);
                const Outcome more = train(name, residual, threads, 50);
                CHECK(more.weights == one.weights);
                CHECK(more.loss == one.loss);
            }
            char text[24];
            std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(one.weights));
            MESSAGE(std::string(residual ? "residual " : ""), name, " (", std::string(to_string(active_isa())), "): ", std::string(text));
        }
}
