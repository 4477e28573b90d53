// SPDX-License-Identifier: MIT
// A model that is made of its type alone cannot set what the type leaves open.
// EXPECT: layer 1 Upsample2d<> refuses input \[8, 6, 6\] \(288 values\): neither its scale nor its size is set; write Upsample2d<2>
#include <dla/nn.hpp>

dla::Model<dla::Sequential<dla::Conv2d<3, 8, 3, 1, 0>, dla::Upsample2d<>>, dla::Shape{3, 8, 8}> model(dla::Seed{1});
