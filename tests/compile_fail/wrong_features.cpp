// SPDX-License-Identifier: MIT
// EXPECT: layer 2 Linear<100, 10> refuses input \[128\]: expected 100; did you mean Linear<128, 10>\?
#include <dla/nn.hpp>
using Net = dla::Sequential<dla::Linear<784, 128>, dla::ReLU, dla::Linear<100, 10>>;
dla::Model<Net, dla::Shape{784}> model(dla::Seed{1});
