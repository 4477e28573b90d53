// SPDX-License-Identifier: MIT
// EXPECT: layer 1\.block\.2 BatchNorm2d<8> refuses input \[4, 6, 6\] \(144 values\): expected 8 channels; did you mean BatchNorm2d<4>\?
#include <dla/nn.hpp>
using Block = dla::Sequential<dla::Conv2d<4, 4, 3>, dla::ReLU, dla::BatchNorm2d<8>>;
using Net = dla::Sequential<dla::Conv2d<1, 4, 3>, dla::Residual<Block>>;
dla::Model<Net, dla::Shape{1, 6, 6}> model(dla::Seed{1});
