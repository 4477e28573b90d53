// SPDX-License-Identifier: MIT
// EXPECT: dla: the activation of a Residual must work in place from its output \(ReLU, Sigmoid, Tanh\)
#include <dla/nn.hpp>
using Net = dla::Residual<dla::Linear<4, 4>, dla::Identity, dla::GELU>;
dla::Model<Net, dla::Shape{4}> model(dla::Seed{1});
