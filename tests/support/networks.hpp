// SPDX-License-Identifier: MIT
// Small networks that between them use every way of composing layers, and a batch of data for them.
#pragma once

#include <dla/nn.hpp>

namespace support {

using dla::Dyn;

using Mlp = dla::Sequential<dla::Flatten, dla::Linear<Dyn, 16>, dla::BatchNorm1d<>, dla::ReLU, dla::Dropout, dla::Linear<Dyn, 3>>;
using Cnn = dla::Sequential<dla::Conv2d<Dyn, 4, 3>, dla::BatchNorm2d<>, dla::ReLU, dla::MaxPool2d<2>, dla::Conv2d<Dyn, 6, 3, 1, 1>, dla::GELU,
                            dla::AvgPool2d<2>, dla::Flatten, dla::Linear<Dyn, 3>>;
using Block = dla::Sequential<dla::Conv2d<Dyn, 4, 3>, dla::BatchNorm2d<>, dla::ReLU, dla::Conv2d<Dyn, 4, 3>, dla::BatchNorm2d<>>;
using ResNet = dla::Sequential<dla::Residual<Block, dla::Conv2d<Dyn, 4, 1>, dla::ReLU>, dla::Repeat<dla::Residual<Block>, dla::ReLU>, dla::GlobalAvgPool2d,
                               dla::LayerNorm<>, dla::Linear<Dyn, 3>>;

inline constexpr dla::Shape image{2, 8, 8};
inline ResNet resnet() {
    ResNet net;
    get<1>(net.layers) = dla::Repeat<dla::Residual<Block>, dla::ReLU>(2);
    return net;
}

/// `n` images and labels that depend on n and nothing else.
template <class T>
struct Data {
    std::vector<T> images;
    std::vector<std::int32_t> labels;
    std::vector<T> targets;
    explicit Data(dla::index_t n, std::uint32_t stream = 0) {
        dla::RandomStream random({99, stream, 0}, dla::RandomUse::synthesis);
        for (dla::index_t i = 0; i < n * image.size(); ++i) images.push_back(static_cast<T>(2 * random.uniform() - 1));
        for (dla::index_t i = 0; i < n; ++i) labels.push_back(static_cast<std::int32_t>(random.below(3)));
        for (dla::index_t i = 0; i < 3 * n; ++i) targets.push_back(static_cast<T>(random.uniform()));
    }
};

/// All parameters and buffers of a model, in PyTorch's order.
template <class P>
std::vector<typename P::master> weights(const dla::ParamTable<P>& table) {
    std::vector<typename P::master> all, part;
    const auto add = [&](auto&&... row) {
        table.read(row..., std::span(part));
        all.insert(all.end(), part.begin(), part.end());
    };
    for (const dla::ParamRow& row : table.parameters) part.resize(static_cast<std::size_t>(row.count)), add(dla::ParamPart::value, row);
    for (const dla::BufferRow& row : table.buffers) part.resize(static_cast<std::size_t>(row.count)), add(row);
    return all;
}

/// All gradients of a model, in PyTorch's order.
template <class P>
std::vector<typename P::master> gradients(const dla::ParamTable<P>& table) {
    std::vector<typename P::master> all, part;
    for (const dla::ParamRow& row : table.parameters) {
        part.resize(static_cast<std::size_t>(row.count));
        table.read(dla::ParamPart::gradient, row, std::span(part));
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

}  // namespace support
