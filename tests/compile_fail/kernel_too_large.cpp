// SPDX-License-Identifier: MIT
// EXPECT: layer 1 Conv2d<4, 4, 5, 1, 0> refuses input \[4, 4, 4\] \(64 values\): the kernel \(5 x 5\) is larger than the padded image; pad more, pool less or use a smaller kernel
#include <dla/nn.hpp>
using Net = dla::Sequential<dla::Conv2d<1, 4, 5, 1, 0>, dla::Conv2d<4, 4, 5, 1, 0>>;
dla::Model<Net, dla::Shape{1, 8, 8}> model(dla::Seed{1});
