// SPDX-License-Identifier: MIT
// Every layer on every policy: the same bits behind opaque pointers, the CPU's kernels within rounding of double.
#include <doctest/doctest.h>

#include <support/distance.hpp>
#include <support/layer_cases.hpp>
#include <support/opaque.hpp>
#include <support/run_layer.hpp>

using namespace dla;
using support::distance;

TEST_CASE("every layer gives Reference's bits on a policy whose memory the host cannot touch") {
    support::for_each_layer_case([]<class L>(const std::string& name, const L& layer, const Shape& in, index_t batch) {
        CAPTURE(name);
        const auto reference = support::Runner<Reference<float>>(layer, in, batch).run();
        const auto hidden = support::Runner<opaque::Opaque<float>>(layer, in, batch).run();
        CHECK(std::none_of(reference.y.begin(), reference.y.end(), [](float v) { return std::isnan(v); }));
        CHECK(std::none_of(reference.inferred.begin(), reference.inferred.end(), [](float v) { return std::isnan(v); }));
        CHECK(support::same_bits(reference.inferred, hidden.inferred));
        CHECK(support::same_bits(reference.y, hidden.y));
        CHECK(support::same_bits(reference.dx, hidden.dx));
        CHECK(support::same_bits(reference.gradients, hidden.gradients));
        CHECK(support::same_bits(reference.buffers, hidden.buffers));
        const bool has_modes = name.starts_with("BatchNorm") || (name.starts_with("Dropout") && name != "Dropout 0");
        CHECK(support::same_bits(reference.inferred, reference.y) == !has_modes);
    });
}

TEST_CASE("every layer on Cpu<float> and Reference<float> is within rounding of double") {
    support::for_each_layer_case([]<class L>(const std::string& name, const L& layer, const Shape& in, index_t batch) {
        CAPTURE(name);
        const auto exact = support::Runner<Reference<double>>(layer, in, batch).run();
        const auto check = [&](const auto& got) {
            // Sums of at most 100 terms: 8 sqrt(K) units; normalisation divides by a standard deviation that has an error of its own.
            CHECK(distance(got.inferred, exact.inferred) <= 80);
            CHECK(distance(got.y, exact.y) <= 80);
            CHECK(distance(got.dx, exact.dx) <= 80);
            CHECK(distance(got.gradients, exact.gradients) <= 80);
            CHECK(distance(got.buffers, exact.buffers) <= 80);
        };
        check(support::Runner<Reference<float>>(layer, in, batch).run());
        check(support::Runner<Cpu<float>>(layer, in, batch).run());
    });
}

TEST_CASE("smaller batches use the memory planned for larger ones") {
    support::for_each_layer_case([]<class L>(const std::string& name, const L& layer, const Shape& in, index_t batch) {
        CAPTURE(name);
        support::Runner<Cpu<float>> exact(layer, in, batch), roomy(layer, in, batch + 3);
        CHECK(support::same_outcome(exact.run(), roomy.run(batch)));
    });
}

// A workspace for a batch serves every smaller one, so no kernel may need more scratch memory for fewer samples. `measure` plans for one batch alone.
TEST_CASE("scratch memory does not shrink when the batch grows") {
    int layers_with_scratch = 0;
    support::for_each_layer_case([&]<class L>(const std::string& name, const L& layer, const Shape& in, index_t) {
        CAPTURE(name);
        support::Runner<Cpu<float>> built(layer, in, 2);
        index_t most = 0;
        for (const int threads : {1, 2, 5}) {
            CAPTURE(threads);
            index_t before = 0;
            for (index_t batch = 0; batch <= 600; batch += batch < 150 ? 1 : 25) {
                CAPTURE(batch);
                Cpu<float> policy;
                policy.threads = threads;
                const auto plan = Workspace<Cpu<float>>::measure(policy, built.network(), in, built.out_shape(), batch, 0, true);
                CHECK(plan.scratch >= before);
                before = plan.scratch;
            }
            most = std::max(most, before);
        }
        layers_with_scratch += most > 0;
    });
    CHECK(layers_with_scratch > 10);
}
