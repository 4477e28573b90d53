// SPDX-License-Identifier: MIT
// EXPECT: layer 1 BatchNorm1d<8> refuses input \[8, 5, 5\] \(200 values\): expected \[features\] or \[channels, length\]; did you mean BatchNorm2d\?
#include <dla/nn.hpp>
using Net = dla::Sequential<dla::Conv2d<3, 8, 3>, dla::BatchNorm1d<8>>;
dla::Model<Net, dla::Shape{3, 5, 5}> model(dla::Seed{1});
