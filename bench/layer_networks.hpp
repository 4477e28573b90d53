// SPDX-License-Identifier: MIT
// A layer each in a small network, by name: between a convolution of one tap, 3 to 32 channels of 32 x 32, and a classifier behind the mean of each channel.
// The counterpart of bench/peer_pytorch.py's `with_` networks.
#pragma once

#include <dla/nn.hpp>

#include <stdexcept>
#include <string>

namespace bench {

inline constexpr const char* model_names =
    "with_nothing with_gelu with_elu with_softplus with_hardswish with_silu with_sigmoid with_tanh with_prelu with_dropout with_batch_norm with_group_norm "
    "with_layer_norm with_conv with_conv_transpose with_conv_transpose_2x2 with_upsample with_upsample_bilinear with_max_pool with_avg_pool "
    "with_adaptive_avg_pool with_zero_pad with_residual with_concat with_squeeze_excitation";

inline dla::index_t usual_batch(const std::string&) { return 64; }

/// f(net, input shape) for the network of that name; 32 channels times `width`. Throws std::invalid_argument.
template <class F>
auto with_network(const std::string& model, double width, const F& f) {
    using namespace dla;
    const auto channels = static_cast<index_t>(32 * width);
    const auto with = [&](const auto&... layers) {
        return f(Sequential{Conv2d<>{.out = channels, .kernel = 1}, layers..., GlobalAvgPool2d{}, Linear<>{.out = 10}}, Shape{3, 32, 32});
    };
    if (model == "with_nothing") return with();
    if (model == "with_gelu") return with(GELU{});
    if (model == "with_elu") return with(ELU{});
    if (model == "with_softplus") return with(Softplus{});
    if (model == "with_hardswish") return with(Hardswish{});
    if (model == "with_silu") return with(SiLU{});
    if (model == "with_sigmoid") return with(Sigmoid{});
    if (model == "with_tanh") return with(Tanh{});
    if (model == "with_prelu") return with(PReLU<>{});
    if (model == "with_dropout") return with(Dropout{});
    if (model == "with_batch_norm") return with(BatchNorm2d<>{});
    if (model == "with_group_norm") return with(GroupNorm<8>{});
    if (model == "with_layer_norm") return with(LayerNorm<Dyn, 32, 32>{});
    if (model == "with_conv") return with(Conv2d<>{.out = channels, .kernel = 3, .padding = 1});
    if (model == "with_conv_transpose") return with(ConvTranspose2d<>{.out = channels, .kernel = 3, .padding = 1});
    if (model == "with_conv_transpose_2x2") return with(ConvTranspose2d<>{.out = channels / 2, .kernel = 2, .stride = 2});
    if (model == "with_upsample") return with(Upsample2d<2>{});
    if (model == "with_upsample_bilinear") return with(Upsample2d<2>{.mode = Interpolation::bilinear});
    if (model == "with_max_pool") return with(MaxPool2d<2>{});
    if (model == "with_avg_pool") return with(AvgPool2d<2>{});
    if (model == "with_adaptive_avg_pool") return with(AdaptiveAvgPool2d<7>{});
    if (model == "with_zero_pad") return with(ZeroPad2d<1>{});
    if (model == "with_residual") return with(Residual<Conv2d<>>{Conv2d<>{.out = channels, .kernel = 1}});
    if (model == "with_concat") return with(Parallel<Concat, Identity, Conv2d<>>{Identity{}, Conv2d<>{.out = channels, .kernel = 1}});
    if (model == "with_squeeze_excitation")
        return with(Parallel<Multiply, Identity, Sequential<GlobalAvgPool2d, Linear<>, ReLU, Linear<>, Sigmoid>>{
            Identity{}, Sequential{GlobalAvgPool2d{}, Linear<>{.out = channels / 4}, ReLU{}, Linear<>{.out = channels}, Sigmoid{}}});
    throw std::invalid_argument("unknown model " + model + "; expected one of " + model_names);
}

}  // namespace bench
