// SPDX-License-Identifier: MIT
// The same bits at any number of threads: weights after 50 steps of all four families, with dropout.
#include <doctest/doctest.h>

#include <dla/data.hpp>
#include <dla/train.hpp>
#include <dla/zoo.hpp>

#include <dla/kernels/cpu/isa.hpp>

using namespace dla;

namespace {

/// FNV-1a over all parameters, buffers and counters.
std::uint64_t hash_of(const AnyModel& model) {
    const Weights w = take_weights(model);
    Fnv1a hash;
    const auto add = [&hash](const auto& v) { hash.add(std::string_view(reinterpret_cast<const char*>(v.data()), v.size() * sizeof(v[0]))); };
    for (const auto& v : w.arrays) add(v);
    add(w.counters);
    return hash.value();
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
    auto model = make_model(config, Seed{11}, threads);
    Optimizer optimizer = make_optimizer("adam", {.learning_rate = 1e-3, .weight_decay = 1e-4});
    const CrossEntropy loss;
    const index_t batch = name == "mlp" ? 101 : 27;
    std::vector<float> images(static_cast<std::size_t>(batch * model->input_shape().size()));
    std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
    Outcome outcome;
    for (int step = 0; step < steps; ++step) {
        RandomStream random({5, 0, static_cast<std::uint32_t>(step)}, RandomUse::synthesis);
        for (float& v : images) v = 2 * random.uniform() - 1;
        for (std::int32_t& l : labels) l = static_cast<std::int32_t>(random.below(10));
        outcome.loss = model->train_step(optimizer, loss, images, labels, {.clip_norm = step % 2 == 0 ? 1.0 : 0.0}).loss;
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

TEST_CASE("weights after 100 steps are those of the committed hash, at this instruction set") {
    Fnv1a hash;
    for (const std::string name : {"mlp", "cnn"})
        for (const bool residual : {false, true}) {
            const std::uint64_t weights = train(name, residual, 2, 100).weights;
            hash.add(std::string_view(reinterpret_cast<const char*>(&weights), sizeof weights));
        }
    char text[24];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash.value()));
    const Isa isa = active_isa();
    MESSAGE(std::string(to_string(isa)), ": ", std::string(text));
#if defined(DLA_TEST_GOLDEN_HASH)
    // The library promises equal bits within one build only. Optimised x86-64 builds of g++ 12 and clang 19 do agree, so a hash that changes tells
    // of a change in the order or the rounding of sums: where that is meant, take the new hash; where it is not, find out why.
    CHECK(std::string(text) == (isa == Isa::avx512 ? "683a191225ebb6da" : isa == Isa::avx2 ? "824c1441afef279d" : "6f8d0216c9472f14"));
#endif
}
