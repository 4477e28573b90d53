// SPDX-License-Identifier: MIT
// EXPECT: layer 0 Conv2d<3, 8, 3, 2> refuses input \[3, 8, 8\] \(192 values\): padding Same needs stride 1; write the padding, e.g. Conv2d<3, 8, 3, 2, 1>
#include <dla/nn.hpp>
using Net = dla::Sequential<dla::Conv2d<3, 8, 3, 2>>;
dla::Model<Net, dla::Shape{3, 8, 8}> model(dla::Seed{1});
