// SPDX-License-Identifier: MIT
// The networks, initial values and batches of tests/golden/make_curves.py, computed as it does.
#pragma once

#include <dla/config.hpp>
#include <dla/train.hpp>
#include <dla/zoo.hpp>

#include <dla/zoo/families.hpp>
#include <dla/nn.hpp>
#include <support/golden.hpp>

namespace curve_networks {

using namespace dla;
using golden::Case;

/// `count` numbers of a stream, as make_curves.py makes them.
inline std::vector<double> uniform(std::uint64_t stream, std::size_t count, std::uint64_t first = 0) {
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
inline std::vector<double> initial(std::size_t k, const ParamRow& row) {
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

inline Images batch(std::uint64_t b, std::size_t count, const Shape& shape) {
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

inline std::vector<index_t> integers(const golden::Tensor& t) {
    std::vector<index_t> out;
    for (const double v : t.values) out.push_back(static_cast<index_t>(v));
    return out;
}

inline Shape image_shape(const Case& c) {
    const auto d = integers(c.tensor("shape"));
    return {d[0], d[1], d[2]};
}

inline Optimizer optimizer_of(const Case& c) {
    if (c.text("optimizer") == "adam") return make_optimizer("adam", {.learning_rate = 1e-3, .weight_decay = 1e-4});
    return make_optimizer("sgd", {.learning_rate = 0.02, .weight_decay = 1e-4, .momentum = 0.9});
}

/// Calls f(net) with the description of a case's network.
template <class F>
void with_network(const Case& c, const F& f) {
    const auto sizes = integers(c.tensor("sizes"));
    const CnnOptions options{.filters = sizes, .dropout = 0};
    const std::string& family = c.text("family");
    if (family == "mlp")
        f(make_mlp(sizes));
    else if (family == "residual_mlp")
        f(make_residual_mlp(sizes));
    else if (family == "cnn")
        f(make_cnn(options));
    else if (family == "residual_cnn")
        f(make_residual_cnn(options));
    else
        throw std::runtime_error("unknown family " + family);
}

/// The same for the programs' models.
inline ModelConfig config_of(const Case& c) {
    ModelConfig m;
    const std::string& family = c.text("family");
    m.name = family.ends_with("cnn") ? "cnn" : "mlp";
    m.residual = family.starts_with("residual_");
    m.input_shape = integers(c.tensor("shape"));
    m.filters = m.layer_sizes = integers(c.tensor("sizes"));
    m.dropout = 0;
    return m;
}

}  // namespace curve_networks
