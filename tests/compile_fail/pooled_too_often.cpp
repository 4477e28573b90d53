// SPDX-License-Identifier: MIT
// EXPECT: layer 2 MaxPool2d<2> refuses input \[3, 1, 1\] \(3 values\): the window \(2 x 2\) is larger than the padded image; pool less often
#include <dla/nn.hpp>
using Net = dla::Sequential<dla::MaxPool2d<2>, dla::MaxPool2d<2>, dla::MaxPool2d<2>>;
dla::Model<Net, dla::Shape{3, 4, 4}> model(dla::Seed{1});
