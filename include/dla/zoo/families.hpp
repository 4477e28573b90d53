// SPDX-License-Identifier: MIT
// The families of networks of the experiments: CNN and MLP, plain and residual, and a CNN that learns fast, with sizes set at run time.
#pragma once

#include <dla/compose/residual.hpp>
#include <dla/layers/conv2d.hpp>
#include <dla/layers/dropout.hpp>
#include <dla/layers/linear.hpp>
#include <dla/layers/norm.hpp>
#include <dla/layers/pool2d.hpp>

#include <span>

namespace dla {

/// Convolution and BatchNorm.
using ConvNorm = Sequential<Conv2d<>, BatchNorm2d<>>;
/// Convolution, BatchNorm and ReLU.
using ConvBlock = Sequential<Conv2d<>, BatchNorm2d<>, ReLU>;
/// Two convolution blocks with a way around them, projected where the channels change.
using ResidualConv = Residual<Sequential<ConvBlock, ConvNorm>, Repeat<Conv2d<Dyn, Dyn, 1>>, ReLU>;
/// Linear and BatchNorm.
using LinearNorm = Sequential<Linear<>, BatchNorm1d<>>;
/// Linear, BatchNorm and ReLU.
using LinearBlock = Sequential<Linear<>, BatchNorm1d<>, ReLU>;
/// Two Linear blocks with a way around them, projected where the sizes change.
using ResidualLinear = Residual<Sequential<LinearBlock, LinearNorm>, Repeat<Linear<>>, ReLU>;

/// Convolution blocks with a pooling after every second one, then a head of two Linear layers.
using Cnn = Sequential<Repeat<ConvBlock, ConvBlock, MaxPool2d<2>>, Repeat<ConvBlock>, Flatten, Linear<Dyn, 256>, ReLU, Dropout, Linear<256, Dyn>>;
/// A convolution block, residual blocks with a pooling after every second one, then the same head.
using ResidualCnn =
    Sequential<ConvBlock, Repeat<ResidualConv, ResidualConv, MaxPool2d<2>>, Repeat<ResidualConv>, Flatten, Linear<Dyn, 256>, ReLU, Dropout, Linear<256, Dyn>>;
/// Linear + BatchNorm + ReLU for all sizes but the last, which is a plain Linear.
using Mlp = Sequential<Flatten, Repeat<LinearBlock>, Linear<>>;
/// A first block, a residual block for each consecutive pair of sizes, a last Linear.
using ResidualMlp = Sequential<Flatten, LinearBlock, Repeat<ResidualLinear>, Linear<>>;

/// Two convolutions, the first with a pooling.
using PooledGroup = Sequential<Conv2d<>, MaxPool2d<2>, BatchNorm2d<>, GELU, Conv2d<>, BatchNorm2d<>, GELU>;
/// A whitening convolution of 2 x 2 patches (see whiten_first_convolution), few wide groups, the maximum over what is left of the image, one Linear: a
/// network to be trained in few epochs (after Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU").
using WhitenedCnn = Sequential<Conv2d<Dyn, Dyn, 2, 1, 0>, GELU, Repeat<PooledGroup>, MaxPool2d<>, Flatten, Linear<>>;

/// Sizes of the CNN families.
struct CnnOptions {
    std::vector<index_t> filters = {32, 64, 128, 256};
    index_t num_classes = 10;
    index_t kernel_size = 3;  ///< padding is kernel_size / 2
    double dropout = 0.2;
};

namespace detail {

inline Conv2d<> conv(index_t out, index_t kernel) { return {.out = out, .kernel = kernel, .padding = kernel / 2}; }
inline ConvBlock conv_block(index_t out, index_t kernel) { return {conv(out, kernel), BatchNorm2d<>{}, ReLU{}}; }
inline LinearBlock linear_block(index_t out) { return {Linear<>{.out = out}, BatchNorm1d<>{}, ReLU{}}; }

inline ResidualConv residual_conv(index_t in, index_t out, index_t kernel) {
    ResidualConv r({conv_block(out, kernel), ConvNorm(conv(out, kernel), BatchNorm2d<>{})});
    if (in != out) r.shortcut.blocks.push_back({.out = out});
    return r;
}
inline ResidualLinear residual_linear(index_t in, index_t out) {
    ResidualLinear r({linear_block(out), LinearNorm(Linear<>{.out = out}, BatchNorm1d<>{})});
    if (in != out) r.shortcut.blocks.push_back({.out = out});
    return r;
}
inline void require_sizes(std::span<const index_t> sizes, std::size_t least, const char* what) {
    if (sizes.size() < least) fail(ErrorCode::model, what, text("has ", sizes.size(), " entries; expected at least ", least).view());
    for (index_t s : sizes)
        if (s < 1) fail(ErrorCode::model, what, text("holds ", s, "; expected sizes of at least 1").view());
}

/// Two at a time go to `pairs` (with a pooling), one that is left over to `single`.
template <class Pairs, class Single, class Blocks>
void distribute(const Blocks& blocks, Pairs& pairs, Single& single) {
    for (std::size_t i = 0; i + 1 < blocks.size(); i += 2) pairs.blocks.push_back({blocks[i], blocks[i + 1], MaxPool2d<2>{}});
    if (blocks.size() % 2 == 1) single.blocks.push_back(blocks.back());
}

}  // namespace detail

/// Throws Error(model) when the options make no network.
inline Cnn make_cnn(const CnnOptions& o) {
    detail::require_sizes(o.filters, 1, "filters");
    std::vector<ConvBlock> blocks;
    for (index_t f : o.filters) blocks.push_back(detail::conv_block(f, o.kernel_size));
    Cnn net;
    detail::distribute(blocks, get<0>(net.layers), get<1>(net.layers));
    get<5>(net.layers).p = o.dropout;
    get<6>(net.layers).out = o.num_classes;
    return net;
}

/// A ResidualCnn with these sizes.
inline ResidualCnn make_residual_cnn(const CnnOptions& o) {
    detail::require_sizes(o.filters, 1, "filters");
    std::vector<ResidualConv> blocks;
    for (std::size_t i = 0; i + 1 < o.filters.size(); ++i) blocks.push_back(detail::residual_conv(o.filters[i], o.filters[i + 1], o.kernel_size));
    ResidualCnn net;
    get<0>(net.layers) = detail::conv_block(o.filters[0], o.kernel_size);
    detail::distribute(blocks, get<1>(net.layers), get<2>(net.layers));
    get<6>(net.layers).p = o.dropout;
    get<7>(net.layers).out = o.num_classes;
    return net;
}

/// A WhitenedCnn for images [channels, height, width]: a group for each of `filters`, 3 x 3 convolutions without bias. Of `o` no other size but num_classes
/// is read. Throws Error(model) when the image is too small for so many groups.
inline WhitenedCnn make_whitened_cnn(const CnnOptions& o, const Shape& input) {
    detail::require_sizes(o.filters, 1, "filters");
    WhitenedCnn net;
    get<0>(net.layers).out = 2 * input.d[0] * 2 * 2;
    index_t height = input.d[1] - 1, width = input.d[2] - 1;
    for (const index_t f : o.filters) {
        PooledGroup group;
        for (Conv2d<>* conv : {&get<0>(group.layers), &get<4>(group.layers)}) *conv = {.out = f, .kernel = 3, .padding = 1, .bias = false};
        get<2>(net.layers).blocks.push_back(group);
        height /= 2, width /= 2;
    }
    if (height < 1 || width < 1)
        fail(ErrorCode::model, "filters", text("the image ", to_text(input), " vanishes in ", o.filters.size(), " groups, which halve it").view());
    get<3>(net.layers).kernel = {height, width};
    get<3>(net.layers).stride = {height, width};
    get<5>(net.layers).out = o.num_classes;
    return net;
}

/// `sizes`: outputs of every layer, the last one the number of classes.
inline Mlp make_mlp(std::span<const index_t> sizes) {
    detail::require_sizes(sizes, 1, "layer_sizes");
    Mlp net;
    for (index_t s : sizes.first(sizes.size() - 1)) get<1>(net.layers).blocks.push_back(detail::linear_block(s));
    get<2>(net.layers).out = sizes.back();
    return net;
}

/// A ResidualMlp with these sizes.
inline ResidualMlp make_residual_mlp(std::span<const index_t> sizes) {
    detail::require_sizes(sizes, 1, "layer_sizes");
    ResidualMlp net;
    get<1>(net.layers) = detail::linear_block(sizes[0]);
    for (std::size_t i = 0; i + 1 < sizes.size(); ++i) get<2>(net.layers).blocks.push_back(detail::residual_linear(sizes[i], sizes[i + 1]));
    get<3>(net.layers).out = sizes.back();
    return net;
}

}  // namespace dla
