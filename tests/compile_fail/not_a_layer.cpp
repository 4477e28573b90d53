// SPDX-License-Identifier: MIT
// EXPECT: dla: every element of a Sequential must be a layer; see dla::Layer in <dla/layers/concept.hpp>
#include <dla/nn.hpp>
using Net = dla::Sequential<dla::Linear<4, 8>, int>;
dla::Model<Net, dla::Shape{4}> model(dla::Seed{1});
