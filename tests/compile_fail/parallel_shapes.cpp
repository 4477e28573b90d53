// SPDX-License-Identifier: MIT
// EXPECT: layer 0 Parallel refuses input \[3, 8, 8\] \(192 values\): branch 0 gives \[3, 8, 8\] and branch 1 \[3, 4, 4\], which cannot be put next to each other
#include <dla/nn.hpp>
using Net = dla::Sequential<dla::Parallel<dla::Concat, dla::Identity, dla::MaxPool2d<2>>>;
dla::Model<Net, dla::Shape{3, 8, 8}> model(dla::Seed{1});
