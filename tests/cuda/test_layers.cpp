// SPDX-License-Identifier: MIT
// Every layer on a CUDA device: within rounding of double, and the same bits in whatever order threads run and however late commands are carried out.
#include <doctest/doctest.h>

#include <dla/cuda.hpp>
#include <support/cuda/orders.hpp>
#include <support/distance.hpp>
#include <support/layer_cases.hpp>
#include <support/run_layer.hpp>

using namespace dla;

TEST_CASE("every layer on Cuda<float> is within rounding of double") {
    support::for_each_layer_case([]<class L>(const std::string& name, const L& layer, const Shape& in, index_t batch) {
        CAPTURE(name);
        const auto exact = support::Runner<Reference<double>>(layer, in, batch).run();
        const auto got = support::Runner<Cuda<float>>(layer, in, batch, Cuda<float>{.strict = true}).run();  // Winograd's transforms round more
        // As for Cpu<float>: sums of at most 100 terms, 8 sqrt(K) units.
        CHECK(support::distance(got.inferred, exact.inferred) <= 80);
        CHECK(support::distance(got.y, exact.y) <= 80);
        CHECK(support::distance(got.dx, exact.dx) <= 80);
        CHECK(support::distance(got.gradients, exact.gradients) <= 80);
        CHECK(support::distance(got.buffers, exact.buffers) <= 80);
    });
}

TEST_CASE("every layer has the same bits from run to run") {
    support::for_each_layer_case([]<class L>(const std::string& name, const L& layer, const Shape& in, index_t batch) {
        CAPTURE(name);
        const auto first = support::Runner<Cuda<float>>(layer, in, batch).run();
        support::in_every_order([&] { CHECK(support::same_outcome(first, support::Runner<Cuda<float>>(layer, in, batch).run())); });
    });
}

TEST_CASE("gradients on a device are those of differences") {
    support::for_each_layer_case([]<class L>(const std::string& name, const L& layer, const Shape& in, index_t batch) {
        CAPTURE(name);
        support::Runner<Cuda<float>> device(layer, in, batch);
        const auto at = device.run();
        const std::vector<float> x = device.inputs(batch), dy = device.output_gradient(batch);
        const auto loss = [&](const std::vector<float>& y) {
            double sum = 0;
            for (std::size_t i = 0; i < y.size(); ++i) sum += static_cast<double>(y[i]) * static_cast<double>(dy[i]);
            return sum;
        };
        // Along a direction of signs; small enough that no maximum changes, large enough for float.
        const float step = 0x1p-9f;
        const auto sign = [](std::size_t i) { return random_block({9, 1, 1}, 3, static_cast<std::uint32_t>(i))[0] & 1 ? 1.0f : -1.0f; };
        const auto check = [&](const std::vector<float>& gradient, const auto& loss_at) {
            double expected = 0, scale = 0;
            for (std::size_t i = 0; i < gradient.size(); ++i) {
                expected += static_cast<double>(gradient[i] * sign(i));
                scale += std::abs(static_cast<double>(gradient[i]));
            }
            const double got = (loss_at(step) - loss_at(-step)) / (2 * static_cast<double>(step));
            CHECK(std::abs(got - expected) <= 5e-3 * scale + 1e-3);
        };
        check(at.dx, [&](float by) {
            std::vector<float> moved = x;
            for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += by * sign(i);
            return loss(device.run(batch, &moved).y);
        });
        check(at.gradients, [&](float by) {
            support::Runner<Cuda<float>> other(layer, in, batch);
            std::size_t i = 0;
            for (const ParamRow& row : other.table.parameters) {
                std::vector<float> values(static_cast<std::size_t>(row.count));
                other.table.read(ParamPart::value, row, values);
                for (float& v : values) v += by * sign(i++);
                other.table.write(ParamPart::value, row, values);
            }
            return loss(other.run().y);
        });
    });
}

TEST_CASE("convolutions that cuDNN has no engine for") {
    support::with_no_engines_of_cudnn([] {
        support::for_each_parametric_case([]<class L>(const std::string& name, const L& layer, const Shape& in, index_t batch) {
            if (!name.starts_with("Conv")) return;
            CAPTURE(name);
            // Plans are kept for each shape: a batch that no other test has.
            const auto exact = support::Runner<Reference<double>>(layer, in, batch + 5).run();
            const auto got = support::Runner<Cuda<float>>(layer, in, batch + 5).run();
            CHECK(support::distance(got.inferred, exact.inferred) <= 80);
            CHECK(support::distance(got.dx, exact.dx) <= 80);
            CHECK(support::distance(got.gradients, exact.gradients) <= 80);
            support::in_every_order([&] { CHECK(support::same_outcome(got, support::Runner<Cuda<float>>(layer, in, batch + 5).run())); });
        });
    });
}

TEST_CASE("smaller batches use the memory planned for larger ones on a device") {
    support::for_each_layer_case([]<class L>(const std::string& name, const L& layer, const Shape& in, index_t batch) {
        CAPTURE(name);
        const auto exact = support::Runner<Reference<double>>(layer, in, batch).run();
        const auto roomy = support::Runner<Cuda<float>>(layer, in, batch + 3).run(batch);
        CHECK(support::distance(roomy.y, exact.y) <= 80);
        CHECK(support::distance(roomy.gradients, exact.gradients) <= 80);
    });
}

TEST_CASE("scratch memory does not shrink when the batch grows on a device") {
    int layers_with_scratch = 0;
    support::for_each_layer_case([&]<class L>(const std::string& name, const L& layer, const Shape& in, index_t) {
        CAPTURE(name);
        support::Runner<Cuda<float>> built(layer, in, 2);
        index_t before = 0;
        for (index_t batch = 0; batch <= 600; batch += batch < 150 ? 1 : 25) {
            CAPTURE(batch);
            const index_t scratch = Workspace<Cuda<float>>::measure(Cuda<float>(), built.network(), in, built.out_shape(), batch, 0, true).scratch;
            CHECK(scratch >= before);
            before = scratch;
        }
        layers_with_scratch += before > 0;
    });
    CHECK(layers_with_scratch > 10);
}
