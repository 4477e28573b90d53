// SPDX-License-Identifier: MIT
// The network that a configuration describes.
#pragma once

#include <dla/config/experiment.hpp>
#include <dla/model/any_model.hpp>
#include <dla/model/model.hpp>
#include <dla/zoo/families.hpp>

#include <memory>

namespace dla::inline DLA_ABI_TAG {

/// The network of a configuration with initial weights: one of the four families, on Cpu<float> with so many threads (0: see thread_count).
/// Throws Error(shape) when it does not fit its input.
DLA_ONCE std::unique_ptr<AnyModel> make_model(const ModelConfig& config, Seed seed, int threads = 0);

/// The same on another policy, such as Cuda<float>.
template <Policy P>
std::unique_ptr<AnyModel> make_model(const ModelConfig& config, Seed seed, P policy) {
    if constexpr (requires { policy.strict; }) policy.strict = config.strict;
    const Shape input(config.input_shape.at(0), config.input_shape.at(1), config.input_shape.at(2));
    const auto build = [&](const auto& net) { return any_model(Model<std::remove_cvref_t<decltype(net)>, Shape{}, P>(net, input, seed, policy)); };
    if (config.name == "mlp") return config.residual ? build(make_residual_mlp(config.layer_sizes)) : build(make_mlp(config.layer_sizes));
    if (config.name != "cnn") fail(ErrorCode::config, "model.name", text("no family of networks is called ", config.name, "; expected cnn or mlp").view());
    const CnnOptions options{.filters = config.filters, .num_classes = config.num_classes, .kernel_size = config.kernel_size, .dropout = config.dropout};
    return config.residual ? build(make_residual_cnn(options)) : build(make_cnn(options));
}

}  // namespace dla::inline DLA_ABI_TAG

#if DLA_BODIES
#include <dla/zoo/make_model.impl.hpp>
#endif
