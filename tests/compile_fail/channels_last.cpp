// SPDX-License-Identifier: MIT
// EXPECT: layer 0 Conv2d<3, 8, 3> refuses input \[32, 32, 3\] \(3072 values\): expected 3 channels; shapes are channels first: did you mean \[3, 32, 32\]\?
#include <dla/nn.hpp>
using Net = dla::Sequential<dla::Conv2d<3, 8, 3>, dla::ReLU>;
dla::Model<Net, dla::Shape{32, 32, 3}> model(dla::Seed{1});
