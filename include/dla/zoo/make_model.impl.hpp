// SPDX-License-Identifier: MIT
// The four families, for Cpu<float>.
#pragma once

#include <dla/kernels/cpu.hpp>
#include <dla/zoo/families.hpp>

#include <utility>

namespace dla::inline DLA_ABI_TAG {

DLA_ONCE std::unique_ptr<AnyModel> make_model(const ModelConfig& config, Seed seed, int threads) {
    Cpu<float> policy;
    policy.threads = threads;
    policy.strict = config.strict;
    const Shape input(config.input_shape.at(0), config.input_shape.at(1), config.input_shape.at(2));
    const auto build = [&](const auto& net) { return any_model(Model<std::remove_cvref_t<decltype(net)>>(net, input, seed, policy)); };
    if (config.name == "mlp") return config.residual ? build(make_residual_mlp(config.layer_sizes)) : build(make_mlp(config.layer_sizes));
    if (config.name != "cnn") fail(ErrorCode::config, "model.name", text("no family of networks is called ", config.name, "; expected cnn or mlp").view());
    const CnnOptions options{.filters = config.filters, .num_classes = config.num_classes, .kernel_size = config.kernel_size, .dropout = config.dropout};
    return config.residual ? build(make_residual_cnn(options)) : build(make_cnn(options));
}

}  // namespace dla::inline DLA_ABI_TAG
