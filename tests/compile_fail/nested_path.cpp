// SPDX-License-Identifier: MIT
// EXPECT: layer 3\.1 Linear<20, 5> refuses input \[30\]: expected 20; did you mean Linear<30, 5>\?
#include <dla/nn.hpp>
using Head = dla::Sequential<dla::Linear<dla::Dyn, 30>, dla::Linear<20, 5>>;
using Net = dla::Sequential<dla::Conv2d<1, 2, 3>, dla::ReLU, dla::Flatten, Head>;
dla::Model<Net, dla::Shape{1, 6, 6}> model(dla::Seed{1});
