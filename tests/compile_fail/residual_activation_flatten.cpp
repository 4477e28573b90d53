// SPDX-License-Identifier: MIT
// EXPECT: dla: the activation of a Residual must work in place from its output \(ReLU, Sigmoid, Tanh\)
#include <dla/nn.hpp>
using Net = dla::Residual<dla::Conv2d<4, 4, 3>, dla::Identity, dla::Flatten>;
dla::Model<Net, dla::Shape{4, 3, 3}> model(dla::Seed{1});
