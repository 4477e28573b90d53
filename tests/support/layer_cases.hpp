// SPDX-License-Identifier: MIT
// Every layer in every variant that computes differently: the one list over which the generic layer tests run.
#pragma once

#include <dla/nn.hpp>

namespace support {

using dla::Dyn;
using dla::Shape;

/// Calls f(name, layer, shape of one sample, batch) for each case of parametric layers. Sizes are values where possible: one type, many cases.
template <class F>
void for_each_parametric_case(F&& f) {
    using Linear = dla::Linear<Dyn, Dyn>;
    f("Linear [5]", Linear{.out = 3}, Shape{5}, 4);
    f("Linear [2, 5]", Linear{.out = 3}, Shape{2, 5}, 3);
    f("Linear without bias", Linear{.out = 4, .bias = false}, Shape{7}, 2);
    f("Linear 1 to 1, batch 1", Linear{.out = 1}, Shape{1}, 1);

    f("Linear of the last of three axes", Linear{.out = 3}, Shape{2, 3, 5}.contiguous(), 2);

    using Conv = dla::Conv2d<Dyn, Dyn, Dyn, 1, 0>;
    f("Conv2d 3 same", Conv{.out = 4, .kernel = 3, .padding = dla::Same}, Shape{2, 5, 4}, 2);
    f("Conv2d 2 same: the odd zero is behind", Conv{.out = 3, .kernel = 2, .padding = dla::Same}, Shape{2, 4, 3}, 2);
    f("Conv2d 4 same, dilated", Conv{.out = 2, .kernel = 4, .padding = dla::Same, .dilation = 2}, Shape{1, 7, 8}, 1);
    f("Conv2d valid", Conv{.out = 3, .kernel = 3}, Shape{2, 5, 6}, 2);
    f("Conv2d stride and padding", Conv{.out = 3, .kernel = 3, .stride = 2, .padding = 1}, Shape{2, 6, 5}, 2);
    f("Conv2d stride passes rows by", Conv{.out = 2, .kernel = 1, .stride = {2, 3}}, Shape{3, 6, 5}, 2);
    f("Conv2d dilation", Conv{.out = 2, .kernel = 3, .padding = 1, .dilation = {2, 1}}, Shape{2, 6, 5}, 2);
    f("Conv2d groups", Conv{.out = 6, .kernel = 3, .padding = 1, .groups = 2}, Shape{4, 4, 4}, 2);
    f("Conv2d depthwise", Conv{.out = 4, .kernel = 3, .padding = 1, .groups = 4}, Shape{4, 4, 3}, 2);
    f("Conv2d rectangular", Conv{.out = 3, .kernel = {2, 3}, .stride = {1, 2}, .padding = {1, 0}}, Shape{2, 4, 7}, 2);
    f("Conv2d 1 without bias", Conv{.out = 5, .kernel = 1, .bias = false}, Shape{3, 3, 4}, 2);

    using Transposed = dla::ConvTranspose2d<Dyn, Dyn, Dyn>;
    f("ConvTranspose2d doubles", Transposed{.out = 3, .kernel = 2, .stride = 2}, Shape{2, 3, 4}, 2);
    f("ConvTranspose2d 3", Transposed{.out = 4, .kernel = 3, .padding = 1}, Shape{2, 5, 4}, 2);
    f("ConvTranspose2d 4, stride 2", Transposed{.out = 2, .kernel = 4, .stride = 2, .padding = 1}, Shape{3, 3, 2}, 2);
    f("ConvTranspose2d output padding", Transposed{.out = 3, .kernel = 3, .stride = {2, 3}, .padding = {1, 0}, .output_padding = {1, 2}}, Shape{2, 3, 4}, 1);
    f("ConvTranspose2d leaves gaps", Transposed{.out = 2, .kernel = 1, .stride = 3, .output_padding = 1}, Shape{2, 2, 3}, 2);
    f("ConvTranspose2d dilation", Transposed{.out = 2, .kernel = {2, 3}, .output_padding = {1, 0}, .dilation = {3, 1}}, Shape{2, 3, 3}, 2);
    f("ConvTranspose2d groups", Transposed{.out = 6, .kernel = 3, .stride = 2, .groups = 2}, Shape{4, 2, 3}, 2);
    f("ConvTranspose2d depthwise", Transposed{.out = 4, .kernel = 3, .padding = 1, .groups = 4}, Shape{4, 4, 3}, 2);
    f("ConvTranspose2d 1 without bias", Transposed{.out = 5, .kernel = 1, .bias = false}, Shape{3, 3, 4}, 2);

    f("BatchNorm1d [6]", dla::BatchNorm1d<>{}, Shape{6}, 5);
    f("BatchNorm1d [3, 4]", dla::BatchNorm1d<>{}, Shape{3, 4}, 3);
    f("BatchNorm1d [3, 4], batch 1", dla::BatchNorm1d<>{.eps = 0.1}, Shape{3, 4}, 1);
    f("BatchNorm2d", dla::BatchNorm2d<>{}, Shape{3, 3, 4}, 2);
    f("BatchNorm2d without affine part", dla::BatchNorm2d<>{.affine = false}, Shape{3, 3, 4}, 2);
    f("BatchNorm2d cumulative", dla::BatchNorm2d<>{.momentum = dla::cumulative_average}, Shape{2, 3, 3}, 2);
    f("BatchNorm2d of contiguous images", dla::BatchNorm2d<>{}, Shape{3, 3, 4}.contiguous(), 2);
    f("LayerNorm of two of three axes", dla::LayerNorm<3, 4>{}, Shape{2, 3, 4}.contiguous(), 2);
    f("LayerNorm of the last axis of [6]", dla::LayerNorm<>{}, Shape{6}, 3);
    f("LayerNorm of the last axis of [4, 6]", dla::LayerNorm<6>{}, Shape{4, 6}, 2);
    f("LayerNorm of [4, 6]", dla::LayerNorm<4, 6>{}, Shape{4, 6}, 2);
    f("LayerNorm of [2, 3, 4]", dla::LayerNorm<2, 3, 4>{}, Shape{2, 3, 4}, 2);
    f("GroupNorm [6]", dla::GroupNorm<2>{}, Shape{6}, 3);
    f("GroupNorm [6, 3]", dla::GroupNorm<3>{}, Shape{6, 3}, 2);
    f("GroupNorm [4, 3, 2]", dla::GroupNorm<2>{}, Shape{4, 3, 2}, 2);
    f("GroupNorm of contiguous images", dla::GroupNorm<2>{}, Shape{4, 3, 2}.contiguous(), 2);
    f("GroupNorm without affine part", dla::GroupNorm<1>{.eps = 1e-3, .affine = false}, Shape{3, 2, 3}, 2);
    f("GroupNorm of each channel", dla::GroupNorm<dla::PerChannel>{}, Shape{3, 3, 4}, 2);
    f("GroupNorm of each channel of [3, 5]", dla::GroupNorm<dla::PerChannel>{}, Shape{3, 5}, 2);
    f("PReLU of [7]", dla::PReLU<>{}, Shape{7}, 3);
    f("PReLU of [2, 3, 4], one weight", dla::PReLU<>{.init = -0.5}, Shape{2, 3, 4}, 2);
    f("PReLU for each feature of [7]", dla::PReLU<7>{}, Shape{7}, 3);
    f("PReLU for each channel of [3, 5]", dla::PReLU<Dyn>{}, Shape{3, 5}, 2);
    f("PReLU for each channel of contiguous images", dla::PReLU<Dyn>{}, Shape{3, 4, 2}.contiguous(), 2);
    f("PReLU for each channel of [3, 4, 2]", dla::PReLU<Dyn>{}, Shape{3, 4, 2}, 2);
    f("LayerNorm without affine part", dla::LayerNorm<>{.eps = 1e-3, .affine = false}, Shape{5}, 2);

    using Convs = dla::Parallel<dla::Concat, dla::Conv2d<3, 2, 1>, dla::Identity, dla::Conv2d<3, 4, 3>>;
    f("Parallel, concatenation of images", Convs{}, Shape{3, 5, 4}, 2);
    f("Parallel, a sum", dla::Parallel<dla::Add, dla::Conv2d<3, 3, 3>, dla::Tanh, dla::Identity>{}, Shape{3, 4, 5}, 2);
    f("Parallel, a gate", dla::Parallel<dla::Multiply, dla::Identity, dla::Sequential<dla::GlobalAvgPool2d, dla::Linear<3, 3>, dla::Sigmoid>>{},
      Shape{3, 5, 4}, 2);
}

/// The layers without parameters.
template <class F>
void for_each_plain_case(F&& f) {
    using Max = dla::MaxPool2d<2>;
    f("MaxPool2d 2", Max{}, Shape{3, 6, 4}, 2);
    f("MaxPool2d overlapping", Max{.kernel = 3, .stride = 1}, Shape{2, 5, 5}, 2);
    f("MaxPool2d padding", Max{.kernel = 3, .stride = 2, .padding = 1}, Shape{2, 5, 6}, 2);
    f("MaxPool2d ceil", Max{.kernel = 3, .stride = 2, .ceil_mode = true}, Shape{2, 6, 4}, 2);
    f("MaxPool2d dilation", Max{.kernel = 2, .stride = 1, .dilation = {2, 3}}, Shape{2, 5, 6}, 2);
    f("MaxPool2d passes values by", Max{.kernel = 1, .stride = 2}, Shape{2, 5, 5}, 2);
    using Avg = dla::AvgPool2d<2>;
    f("AvgPool2d 2", Avg{}, Shape{3, 4, 6}, 2);
    f("AvgPool2d overlapping, padding counts", Avg{.kernel = 3, .stride = 2, .padding = 1}, Shape{2, 5, 5}, 2);
    f("AvgPool2d padding does not count", Avg{.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = false}, Shape{2, 5, 5}, 2);
    f("AvgPool2d ceil", Avg{.kernel = 3, .stride = 2, .padding = 1, .ceil_mode = true}, Shape{2, 4, 4}, 2);
    f("AvgPool2d divisor", Avg{.kernel = {2, 3}, .stride = {2, 1}, .divisor_override = 5}, Shape{2, 4, 5}, 2);
    f("GlobalAvgPool2d", dla::GlobalAvgPool2d{}, Shape{3, 4, 5}, 2);

    using Adaptive = dla::AdaptiveAvgPool2d<>;
    f("AdaptiveAvgPool2d to one", dla::AdaptiveAvgPool2d<1>{}, Shape{3, 4, 5}, 2);
    f("AdaptiveAvgPool2d overlapping", Adaptive{.size = {3, 2}}, Shape{2, 5, 3}, 2);
    f("AdaptiveAvgPool2d larger than the image", Adaptive{.size = {4, 3}}, Shape{2, 2, 5}, 2);
    f("AdaptiveAvgPool2d of rows", Adaptive{.size = {2, dla::Same}}, Shape{2, 5, 3}, 2);
    f("ZeroPad2d 1", dla::ZeroPad2d<1>{}, Shape{3, 2, 3}, 2);
    f("ZeroPad2d that cuts off, too", dla::ZeroPad2d<>{.left = -1, .right = 2, .top = 1, .bottom = -1}, Shape{2, 3, 4}, 2);
    using Upsample = dla::Upsample2d<>;
    using dla::Interpolation;
    f("Upsample2d 2", dla::Upsample2d<2>{}, Shape{3, 2, 3}, 2);
    f("Upsample2d to a size", Upsample{.size = {5, 3}}, Shape{2, 3, 4}, 2);
    f("Upsample2d bilinear", Upsample{.scale = {2, 3}, .mode = Interpolation::bilinear}, Shape{3, 3, 2}, 2);
    f("Upsample2d bilinear to a size", Upsample{.size = {3, 5}, .mode = Interpolation::bilinear}, Shape{2, 4, 3}, 2);
    f("Upsample2d bilinear, corners aligned", Upsample{.scale = 2, .mode = Interpolation::bilinear, .align_corners = true}, Shape{2, 3, 4}, 2);

    f("ReLU", dla::ReLU{}, Shape{37}, 2);
    f("LeakyReLU", dla::LeakyReLU{}, Shape{2, 9}, 2);
    f("LeakyReLU 0.3", dla::LeakyReLU{.slope = 0.3}, Shape{9}, 2);
    f("GELU", dla::GELU{}, Shape{33}, 2);
    f("GELUTanh", dla::GELUTanh{}, Shape{33}, 2);
    f("SiLU", dla::SiLU{}, Shape{33}, 2);
    f("Sigmoid", dla::Sigmoid{}, Shape{3, 3, 3}, 2);
    f("Tanh", dla::Tanh{}, Shape{33}, 2);
    f("ELU", dla::ELU{}, Shape{33}, 2);
    f("ELU 0.3", dla::ELU{.alpha = 0.3}, Shape{2, 9}, 2);
    f("Softplus", dla::Softplus{}, Shape{33}, 2);
    f("Softplus 2.5", dla::Softplus{.beta = 2.5, .threshold = 30}, Shape{3, 3, 3}, 2);
    f("Hardswish", dla::Hardswish{}, Shape{33}, 2);
    f("Softmax of [7]", dla::Softmax<1>{}, Shape{7}, 3);
    f("Softmax of rows of [3, 4]", dla::Softmax<1>{}, Shape{3, 4}, 2);
    f("Softmax of columns of [3, 4]", dla::Softmax<2>{}, Shape{3, 4}, 2);
    f("Softmax of channels of [3, 2, 4]", dla::Softmax<1>{}, Shape{3, 2, 4}, 2);
    f("Softmax of rows of [3, 2, 4]", dla::Softmax<2>{}, Shape{3, 2, 4}, 2);
    f("Softmax of columns of [3, 2, 4]", dla::Softmax<3>{}, Shape{3, 2, 4}, 2);

    f("Softmax of channels of contiguous images", dla::Softmax<1>{}, Shape{3, 2, 4}.contiguous(), 2);
    f("Softmax of rows of contiguous images", dla::Softmax<2>{}, Shape{3, 2, 4}.contiguous(), 2);
    f("Softmax of columns of contiguous images", dla::Softmax<3>{}, Shape{3, 2, 4}.contiguous(), 2);

    f("LogSoftmax of [7]", dla::LogSoftmax<1>{}, Shape{7}, 3);
    f("LogSoftmax of columns of [3, 4]", dla::LogSoftmax<2>{}, Shape{3, 4}, 2);
    f("LogSoftmax of channels of [3, 2, 4]", dla::LogSoftmax<1>{}, Shape{3, 2, 4}, 2);
    f("LogSoftmax of rows of [3, 2, 4]", dla::LogSoftmax<2>{}, Shape{3, 2, 4}, 2);
    f("LogSoftmax of columns of [3, 2, 4]", dla::LogSoftmax<3>{}, Shape{3, 2, 4}, 2);

    f("Dropout 0", dla::Dropout{.p = 0}, Shape{17}, 2);
    f("Dropout 0.3", dla::Dropout{.p = 0.3}, Shape{17}, 2);
    f("Dropout 1", dla::Dropout{.p = 1}, Shape{17}, 2);
    f("Flatten [2, 3, 4]", dla::Flatten{}, Shape{2, 3, 4}, 2);
    f("Flatten [3, 4]", dla::Flatten{}, Shape{3, 4}, 2);
    f("ToChannelsLast", dla::ToChannelsLast{}, Shape{2, 3, 4}.contiguous(), 2);
    f("ToChannelsLast, nothing to do", dla::ToChannelsLast{}, Shape{2, 3, 4}, 2);
    f("ToContiguous", dla::ToContiguous{}, Shape{2, 3, 4}, 2);
    f("Flatten contiguous axes", dla::Flatten{}, Shape{2, 3, 4}.contiguous(), 2);
    f("Unflatten", dla::Unflatten<2, 3, 4>{}, Shape{24}, 2);
    f("Unflatten with a size that follows", dla::Unflatten<3, dla::Dyn, 5>{}, Shape{30}, 3);
    f("Identity", dla::Identity{}, Shape{2, 3, 4}, 2);
}

template <class F>
void for_each_layer_case(F&& f) {
    for_each_parametric_case(f);
    for_each_plain_case(f);
}

}  // namespace support
