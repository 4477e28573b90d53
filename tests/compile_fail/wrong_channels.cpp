// SPDX-License-Identifier: MIT
// EXPECT: layer 1 Conv2d<64, 8, 3> refuses input \[32, 28, 28\] \(25088 values\): expected 64 channels; did you mean Conv2d<32, 8, 3>\?
#include <dla/nn.hpp>
using Net = dla::Sequential<dla::Conv2d<1, 32, 3>, dla::Conv2d<64, 8, 3>>;
dla::Model<Net, dla::Shape{1, 28, 28}> model(dla::Seed{1});
