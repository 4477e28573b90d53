// SPDX-License-Identifier: MIT
// EXPECT: layer 2 Linear<512, 10> refuses input \[64, 2, 2\] \(256 values\): expected 512; did you forget Flatten, or mean Linear<256, 10>\?
#include <dla/nn.hpp>
using Net = dla::Sequential<dla::Conv2d<3, 64, 3>, dla::MaxPool2d<16>, dla::Linear<512, 10>>;
dla::Model<Net, dla::Shape{3, 32, 32}> model(dla::Seed{1});
