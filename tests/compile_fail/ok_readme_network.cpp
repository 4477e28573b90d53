// SPDX-License-Identifier: MIT
// OK
// The control: what every bad case starts from compiles.
#include <dla/nn.hpp>
using Block = dla::Sequential<dla::Conv2d<32, 32, 3>, dla::BatchNorm2d<32>, dla::ReLU, dla::Conv2d<32, 32, 3>, dla::BatchNorm2d<32>>;
using Net = dla::Sequential<dla::Conv2d<3, 32, 3>, dla::BatchNorm2d<32>, dla::ReLU, dla::Residual<Block>, dla::ReLU, dla::MaxPool2d<2>, dla::Flatten, dla::Linear<dla::Dyn, 10>>;
float step(dla::Model<Net, dla::Shape{3, 32, 32}>& model, dla::Adam& adam, const std::vector<float>& images, const std::vector<std::int32_t>& labels) {
    return dla::train_step(model, adam, dla::CrossEntropy{}, std::span<const float>(images), std::span<const std::int32_t>(labels));
}
