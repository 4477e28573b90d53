// SPDX-License-Identifier: MIT
// Loss curves against PyTorch from the same initial weights and batches (tests/golden/make_curves.py says which).
#include "../../examples/common/experiment.hpp"

#include <doctest/doctest.h>

#include <dla/kernels/cpu/isa.hpp>
#include <dla/model/families.hpp>
#include <dla/nn.hpp>
#include <support/golden.hpp>

using namespace dla;
using golden::Case;

namespace {

/// `count` numbers of a stream, as make_curves.py makes them.
std::vector<double> uniform(std::uint64_t stream, std::size_t count, std::uint64_t first = 0) {
    std::vector<double> out(count);
    for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t z = (stream << 32) + first + i + 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        out[i] = static_cast<double>(z >> 40) * 0x1p-24;
    }
    return out;
}

/// Initial values of parameter `k`.
std::vector<double> initial(std::size_t k, const ParamRow& row) {
    std::vector<double> values = uniform(k + 1, static_cast<std::size_t>(row.count));
    const double fan_in = row.dims.rank == 0 ? 1 : static_cast<double>(row.count) / static_cast<double>(row.dims.d[0]);
    const bool norm_weight = row.dims.rank == 1 && row.path.ends_with("weight");
    for (double& v : values) v = norm_weight ? 0.5 + v : (2 * v - 1) / (row.dims.rank > 1 ? std::sqrt(fan_in) : 8.0);
    return values;
}

struct Images {
    std::vector<double> images;  // NHWC
    std::vector<std::int32_t> labels;
};

Images batch(std::uint64_t b, std::size_t count, const Shape& shape) {
    const auto size = static_cast<std::size_t>(shape.size()), channels = static_cast<std::size_t>(shape.d[0]), pixels = size / channels;
    Images out;
    out.images.resize(count * size);
    for (const double u : uniform(2000 + b, count)) out.labels.push_back(static_cast<std::int32_t>(10 * u));
    const std::vector<double> noise = uniform(3000 + b, count * size);
    for (std::size_t n = 0; n < count; ++n) {
        const std::vector<double> pattern = uniform(1000 + static_cast<std::uint64_t>(out.labels[n]), size);
        for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t p = 0; p < pixels; ++p) {
                const std::size_t i = c * pixels + p;
                out.images[n * size + p * channels + c] = 0.5 * (2 * pattern[i] - 1) + 0.5 * (2 * noise[n * size + i] - 1);
            }
    }
    return out;
}

std::vector<index_t> integers(const golden::Tensor& t) {
    std::vector<index_t> out;
    for (const double v : t.values) out.push_back(static_cast<index_t>(v));
    return out;
}

Shape image_shape(const Case& c) {
    const auto d = integers(c.tensor("shape"));
    return {d[0], d[1], d[2]};
}

AnyOptimizer optimizer_of(const Case& c) {
    if (c.text("optimizer") == "adam") return make_optimizer("adam", {.learning_rate = 1e-3, .weight_decay = 1e-4});
    return make_optimizer("sgd", {.learning_rate = 0.02, .weight_decay = 1e-4, .momentum = 0.9});
}

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
    AnyOptimizer optimizer = optimizer_of(c);
    const auto count = static_cast<std::size_t>(c.integer("batch"));
    const auto batches = static_cast<std::uint64_t>(c.integer("batches"));
    const auto& losses = c.tensor("losses").values;
    double worst = 0;
    for (std::size_t step = 0; step < losses.size(); ++step) {
        const Images b = batch(step % batches, count, model.input_shape());
        const double loss =
            train_step_result(model, optimizer, CrossEntropy{}, std::span<const double>(b.images), std::span<const std::int32_t>(b.labels)).loss;
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

ModelConfig config_of(const Case& c) {
    ModelConfig m;
    const std::string& family = c.text("family");
    m.name = family.ends_with("cnn") ? "cnn" : "mlp";
    m.residual = family.starts_with("residual_");
    m.input_shape = integers(c.tensor("shape"));
    m.filters = m.layer_sizes = integers(c.tensor("sizes"));
    m.dropout = 0;
    return m;
}

}  // namespace

TEST_CASE("200 steps in double follow PyTorch") {
    for (const Case& c : golden::load("curves")) {
        CAPTURE(c.name);
        const auto sizes = integers(c.tensor("sizes"));
        const CnnOptions options{.filters = sizes, .dropout = 0};
        const std::string& family = c.text("family");
        if (family == "mlp")
            check_double(c, make_mlp(sizes));
        else if (family == "residual_mlp")
            check_double(c, make_residual_mlp(sizes));
        else if (family == "cnn")
            check_double(c, make_cnn(options));
        else if (family == "residual_cnn")
            check_double(c, make_residual_cnn(options));
        else
            FAIL("unknown family " << family);
    }
}

TEST_CASE("30 steps of the programs' models, in float on the Cpu kernels, follow PyTorch") {
    for (const Case& c : golden::load("curves")) {
        CAPTURE(c.name);
        auto model = experiment::make_model(config_of(c), Seed{1}, 2);
        check_names(model->index(), c);
        const auto& rows = model->index().parameters;
        const auto floats = [](const std::vector<double>& v) { return std::vector<float>(v.begin(), v.end()); };
        for (std::size_t k = 0; k < rows.size(); ++k) model->write(ParamPart::value, rows[k], floats(initial(k, rows[k])));
        AnyOptimizer optimizer = optimizer_of(c);
        const auto count = static_cast<std::size_t>(c.integer("batch"));
        const auto& losses = c.tensor("losses").values;
        double worst = 0;
        for (std::size_t step = 0; step < 30; ++step) {
            const Images b = batch(step % static_cast<std::uint64_t>(c.integer("batches")), count, model->input_shape());
            const double loss = model->train_step(optimizer, CrossEntropy{}, floats(b.images), b.labels, 0).loss;
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
