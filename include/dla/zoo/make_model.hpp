// SPDX-License-Identifier: MIT
// The network that a configuration describes.
#pragma once

#include <dla/config/experiment.hpp>
#include <dla/model/any_model.hpp>
#include <dla/model/model.hpp>
#include <dla/zoo/families.hpp>

#include <memory>
#include <string>

namespace dla::inline DLA_ABI_TAG {

/// The network of a configuration with initial weights: one of the families, on Cpu<float> with so many threads (0: see thread_count).
/// Throws Error(shape) when it does not fit its input.
DLA_ONCE std::unique_ptr<AnyModel> make_model(const ModelConfig& config, Seed seed, int threads = 0);

/// The same on another policy, such as Cuda<float>.
template <Policy P>
std::unique_ptr<AnyModel> make_model(const ModelConfig& config, Seed seed, P policy) {
    if constexpr (requires { policy.strict; }) policy.strict = config.strict;
    const Shape input(config.input_shape.at(0), config.input_shape.at(1), config.input_shape.at(2));
    const auto build = [&](const auto& net) { return any_model(Model<std::remove_cvref_t<decltype(net)>, Shape{}, P>(net, input, seed, policy)); };
    if (config.name == "mlp") return config.residual ? build(make_residual_mlp(config.layer_sizes)) : build(make_mlp(config.layer_sizes));
    const CnnOptions options{.filters = config.filters, .num_classes = config.num_classes, .kernel_size = config.kernel_size, .dropout = config.dropout};
    if (config.name == "whitened_cnn") return build(make_whitened_cnn(options, input));
    if (config.name != "cnn")
        fail(ErrorCode::config, "model.name", text("no family of networks is called ", config.name, "; expected cnn, mlp or whitened_cnn").view());
    return config.residual ? build(make_residual_cnn(options)) : build(make_cnn(options));
}

/// Path of the last layer's weight, which gives the classes.
inline std::string head_weight(const ModelConfig& config) {
    // Layers in front of it; those of a Repeat are numbered one by one.
    const std::size_t sizes = config.layer_sizes.size(), filters = config.filters.size(), blocks = filters - (config.residual ? 1 : 0);
    const std::size_t layer = config.name == "mlp" ? sizes + (config.residual ? 1 : 0) : filters + 4 + (config.name == "cnn" ? blocks / 2 : 0);
    return std::to_string(layer) + ".weight";
}

}  // namespace dla::inline DLA_ABI_TAG

#if DLA_BODIES
#include <dla/zoo/make_model.impl.hpp>
#endif
