// SPDX-License-Identifier: MIT
// Loss curves against PyTorch from the same initial weights and batches (tests/golden/make_curves.py says which).
#include <doctest/doctest.h>

#include <dla/kernels/cpu/isa.hpp>
#include <dla/zoo/families.hpp>
#include <dla/nn.hpp>
#include <support/golden.hpp>

#include "curve_networks.hpp"

using namespace dla;
using golden::Case;
using namespace curve_networks;

namespace {

/// The arrays of a model as the file lists PyTorch's state_dict: `path:AxB` in an order of ours, which is compared as a set.
void check_names(const ParamIndex& index, const Case& c) {
    std::vector<std::string> ours, theirs;
    const auto add = [&](const std::string& path, const Dims& dims) {
        std::string text = path + ":";
        for (int i = 0; i < dims.rank; ++i) text += (i ? "x" : "") + std::to_string(dims.d[i]);
        ours.push_back(text + (dims.rank == 0 ? "scalar" : ""));
    };
    for (const ParamRow& row : index.parameters) add(row.path, row.dims);
    for (const BufferRow& row : index.buffers) add(row.path, row.dims);
    for (const CounterRow& row : index.counters) add(row.path, Dims{});
    std::istringstream list(c.text("arrays"));
    for (std::string name; std::getline(list, name, ',');) theirs.push_back(name);
    std::ranges::sort(ours);
    std::ranges::sort(theirs);
    REQUIRE(ours == theirs);
}

/// Norm and directed sum of each parameter's gradient of the first step. A bias in front of a normalisation has gradient 0, and both sides
/// give what rounding leaves.
void check_gradient(const Case& c, std::size_t k, const std::string& path, const std::vector<double>& gradient, double tolerance) {
    const auto direction = uniform(4000 + k, gradient.size());
    double squares = 0, sum = 0;
    for (std::size_t i = 0; i < gradient.size(); ++i) squares += gradient[i] * gradient[i], sum += gradient[i] * (2 * direction[i] - 1);
    const auto& expected = c.tensor("gradient." + std::to_string(k)).values;
    CAPTURE(path);
    CHECK(std::abs(std::sqrt(squares) - expected[0]) <= tolerance * std::max(0.1, expected[0]));
    CHECK(std::abs(sum - expected[1]) <= tolerance * std::max(0.1, expected[0]));
}

template <class Net>
void check_double(const Case& c, const Net& net) {
    using P = Reference<double>;
    Model<Net, Shape{}, P> model(net, image_shape(c), Seed{1});
    ParamTable<P>& table = model.parameters();
    check_names(table, c);
    for (std::size_t k = 0; k < table.parameters.size(); ++k) table.write(ParamPart::value, table.parameters[k], initial(k, table.parameters[k]));
    Optimizer optimizer = optimizer_of(c);
    const auto count = static_cast<std::size_t>(c.integer("batch"));
    const auto batches = static_cast<std::uint64_t>(c.integer("batches"));
    const auto& losses = c.tensor("losses").values;
    double worst = 0;
    for (std::size_t step = 0; step < losses.size(); ++step) {
        const Images b = batch(step % batches, count, model.input_shape());
        const double loss = train_step(model, optimizer, CrossEntropy{}, std::span<const double>(b.images), std::span<const std::int32_t>(b.labels)).loss;
        CAPTURE(step);
        CAPTURE(loss);
        REQUIRE(std::abs(loss - losses[step]) <= 1e-6 * losses[step]);
        worst = std::max(worst, std::abs(loss / losses[step] - 1));
        if (step > 0) continue;
        for (std::size_t k = 0; k < table.parameters.size(); ++k) {
            std::vector<double> gradient(static_cast<std::size_t>(table.parameters[k].count));
            table.read(ParamPart::gradient, table.parameters[k], gradient);
            check_gradient(c, k, table.parameters[k].path, gradient, 1e-10);
        }
    }
    const auto logits = model.predict(batch(batches, count, model.input_shape()).images);
    const auto& expected = c.tensor("logits").values;
    REQUIRE(logits.size() == expected.size());
    for (std::size_t i = 0; i < logits.size(); ++i) REQUIRE(std::abs(logits[i] - expected[i]) <= 1e-6 * std::max(1.0, std::abs(expected[i])));
    MESSAGE(c.name, ": largest relative difference of ", losses.size(), " losses ", worst);
}

}  // namespace

TEST_CASE("200 steps in double follow PyTorch") {
    for (const Case& c : golden::load("curves")) {
        CAPTURE(c.name);
        with_network(c, [&](const auto& net) { check_double(c, net); });
    }
}

TEST_CASE("30 steps of the programs' models, in float on the Cpu kernels, follow PyTorch") {
    for (const Case& c : golden::load("curves")) {
        CAPTURE(c.name);
        auto model = make_model(config_of(c), Seed{1}, 2);
        check_names(model->index(), c);
        const auto& rows = model->index().parameters;
        const auto floats = [](const std::vector<double>& v) { return std::vector<float>(v.begin(), v.end()); };
        for (std::size_t k = 0; k < rows.size(); ++k) model->write(ParamPart::value, rows[k], floats(initial(k, rows[k])));
        Optimizer optimizer = optimizer_of(c);
        const auto count = static_cast<std::size_t>(c.integer("batch"));
        const auto& losses = c.tensor("losses").values;
        double worst = 0;
        for (std::size_t step = 0; step < 30; ++step) {
            const Images b = batch(step % static_cast<std::uint64_t>(c.integer("batches")), count, model->input_shape());
            const double loss = model->train_step(optimizer, CrossEntropy{}, floats(b.images), b.labels).loss;
            CAPTURE(step);
            CAPTURE(loss);
            REQUIRE(std::abs(loss - losses[step]) <= 1e-3 * losses[step]);
            worst = std::max(worst, std::abs(loss / losses[step] - 1));
            if (step > 0) continue;
            for (std::size_t k = 0; k < rows.size(); ++k) {
                std::vector<float> gradient(static_cast<std::size_t>(rows[k].count));
                model->read(ParamPart::gradient, rows[k], gradient);
                check_gradient(c, k, rows[k].path, {gradient.begin(), gradient.end()}, 1e-4);
            }
        }
        MESSAGE(c.name, " (", std::string(to_string(active_isa())), "): largest relative difference of 30 losses ", worst);
    }
}
