// SPDX-License-Identifier: MIT
// The four families, each instantiated once for all programs.
#include "experiment.hpp"

#include <dla/model/families.hpp>
#include <dla/nn.hpp>

namespace experiment {

std::unique_ptr<dla::AnyModel> make_model(const dla::ModelConfig& config, dla::Seed seed, int threads) {
    dla::Cpu<float> policy;
    policy.threads = threads;
    const dla::Shape input(config.input_shape[0], config.input_shape[1], config.input_shape[2]);
    const auto build = [&](const auto& net) {
        using Net = std::remove_cvref_t<decltype(net)>;
        return dla::erase(dla::Model<Net>(net, input, seed, policy));
    };
    if (config.name == "mlp") return config.residual ? build(dla::make_residual_mlp(config.layer_sizes)) : build(dla::make_mlp(config.layer_sizes));
    const dla::CnnOptions options{.filters = config.filters, .num_classes = config.num_classes, .kernel_size = config.kernel_size, .dropout = config.dropout};
    return config.residual ? build(dla::make_residual_cnn(options)) : build(dla::make_cnn(options));
}

}  // namespace experiment
