// SPDX-License-Identifier: MIT
#include "networks.hpp"

#include <dla/nn.hpp>

#include <cmath>

namespace depth_study {

namespace {

/// A hidden layer, and the second half of a residual block, with a normalisation or without.
template <class... Norm>
struct Layers {
    using Block = dla::Sequential<dla::Linear<>, Norm..., dla::ReLU>;
    using Part = dla::Sequential<dla::Linear<>, Norm...>;
    using Shortcut = dla::Residual<dla::Sequential<Block, Part>, dla::Repeat<dla::Linear<>>, dla::ReLU>;
    using Plain = dla::Sequential<dla::Flatten, dla::Repeat<Block>, dla::Linear<>>;
    using Deep = dla::Sequential<dla::Flatten, Block, dla::Repeat<Shortcut>, dla::Linear<>>;

    static Block block(dla::index_t out) { return {dla::Linear<>{.out = out}, Norm{}..., dla::ReLU{}}; }
    static Plain plain(const dla::Integers& sizes) {
        Plain net;
        for (std::size_t i = 0; i + 1 < sizes.size(); ++i) get<1>(net.layers).blocks.push_back(block(sizes[i]));
        get<2>(net.layers).out = sizes.back();
        return net;
    }
    static Deep deep(const dla::Integers& sizes) {
        Deep net;
        get<1>(net.layers) = block(sizes[0]);
        for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
            Shortcut r({block(sizes[i + 1]), Part(dla::Linear<>{.out = sizes[i + 1]}, Norm{}...)});
            if (sizes[i] != sizes[i + 1]) r.shortcut.blocks.push_back({.out = sizes[i + 1]});
            get<2>(net.layers).blocks.push_back(r);
        }
        get<3>(net.layers).out = sizes.back();
        return net;
    }
    static std::unique_ptr<dla::AnyModel> make(const dla::ModelConfig& c, dla::Seed seed, int threads) {
        dla::Cpu<float> policy;
        policy.threads = threads;
        const dla::Shape input(c.input_shape.at(0), c.input_shape.at(1), c.input_shape.at(2));
        if (c.residual) return dla::any_model(dla::Model<Deep, dla::Shape{}, dla::Cpu<float>>(deep(c.layer_sizes), input, seed, policy));
        return dla::any_model(dla::Model<Plain, dla::Shape{}, dla::Cpu<float>>(plain(c.layer_sizes), input, seed, policy));
    }
};

/// Weights of the default lie within 1 / sqrt(inputs); these within sqrt(6) times that, drawn alike.
void initialise_as_he(dla::AnyModel& model) {
    for (const dla::ParamRow& row : model.index().parameters) {
        if (row.kind != dla::ParamKind::weight && row.kind != dla::ParamKind::bias) continue;
        std::vector<float> values(static_cast<std::size_t>(row.count));
        if (row.kind == dla::ParamKind::weight) {
            model.read(dla::ParamPart::value, row, std::span(values));
            for (float& v : values) v *= std::sqrt(6.0f);
        }
        model.write(dla::ParamPart::value, row, std::span<const float>(values));
    }
}

}  // namespace

std::string NetworkOptions::text() const {
    return (normalization == "none" ? "no" : normalization) + " normalisation" + (initialization == "he" ? ", initial weights of He" : "");
}

std::unique_ptr<dla::AnyModel> make_network(const dla::ModelConfig& config, const NetworkOptions& options, dla::Seed seed, const experiment::Setting& setting) {
    std::unique_ptr<dla::AnyModel> model;
    if (options.normalization == "batch") {
        model = experiment::make_model(config, seed, setting);
    } else {
        if (experiment::uses_cuda(setting))
            dla::fail(dla::ErrorCode::usage, "--device", "networks with " + options.text() + " are there for the CPU alone; use --device cpu");
        model =
            options.normalization == "layer" ? Layers<dla::LayerNorm<>>::make(config, seed, setting.threads) : Layers<>::make(config, seed, setting.threads);
    }
    if (options.initialization == "he") initialise_as_he(*model);
    return model;
}

}  // namespace depth_study
