// SPDX-License-Identifier: MIT
// The experiments' networks by name, for the programs that measure them.
#pragma once

#include <dla/zoo/families.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

inline constexpr const char* model_names = "mlp mlp_residual deep deep_residual cnn_cifar10 cnn_residual_cifar10 cnn_mnist cnn_residual_mnist";

/// The samples in a batch of the experiments: 256 images, 128 rows.
inline dla::index_t usual_batch(const std::string& model) { return model.starts_with("cnn") ? 256 : 128; }

/// f(net, input shape) for the network of that name, numbers of features or filters multiplied by `width`. Throws std::invalid_argument.
template <class F>
auto with_network(const std::string& model, double width, const F& f) {
    if ((" " + std::string(model_names) + " ").find(" " + model + " ") == std::string::npos)
        throw std::invalid_argument("unknown model " + model + "; expected one of " + model_names);
    const bool residual = model.find("residual") != std::string::npos, mnist = model.ends_with("mnist");
    const auto wide = [&](std::vector<dla::index_t> sizes) {
        for (dla::index_t& n : sizes) n = std::max<dla::index_t>(1, static_cast<dla::index_t>(static_cast<double>(n) * width));
        return sizes;
    };
    if (model.starts_with("cnn")) {
        const dla::CnnOptions options{.filters = wide(mnist ? std::vector<dla::index_t>{16, 32, 64, 128} : std::vector<dla::index_t>{32, 64, 128, 256})};
        const dla::Shape input = mnist ? dla::Shape{1, 28, 28} : dla::Shape{3, 32, 32};
        return residual ? f(dla::make_residual_cnn(options), input) : f(dla::make_cnn(options), input);
    }
    std::vector<dla::index_t> sizes{128, 64, 32, 32};
    if (model.starts_with("deep")) {
        sizes = {128, 64};
        sizes.insert(sizes.end(), 98, 32);
    }
    sizes = wide(sizes);
    sizes.push_back(10);
    return residual ? f(dla::make_residual_mlp(sizes), dla::Shape{1, 28, 28}) : f(dla::make_mlp(sizes), dla::Shape{1, 28, 28});
}

}  // namespace bench
