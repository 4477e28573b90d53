// SPDX-License-Identifier: MIT
// EXPECT: dla: Softmax<Dim> counts as PyTorch does, 0 is the batch; class scores \[N, classes\] take Softmax<1>
#include <dla/nn.hpp>
using Net = dla::Sequential<dla::Linear<4, 4>, dla::Softmax<0>>;
dla::Model<Net, dla::Shape{4}> model(dla::Seed{1});
