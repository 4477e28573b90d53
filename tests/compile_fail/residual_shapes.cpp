// SPDX-License-Identifier: MIT
// EXPECT: layer 1 Residual refuses input \[16, 8, 8\] \(1024 values\): its block gives \[32, 8, 8\] and its shortcut \[16, 8, 8\], which cannot be added; keep the shape
#include <dla/nn.hpp>
using Net = dla::Sequential<dla::Conv2d<3, 16, 3>, dla::Residual<dla::Sequential<dla::Conv2d<16, 32, 3>, dla::BatchNorm2d<32>>>>;
dla::Model<Net, dla::Shape{3, 8, 8}> model(dla::Seed{1});
