// SPDX-License-Identifier: MIT
// EXPECT: dla: Sequential needs at least one layer; Identity is the layer that does nothing
#include <dla/nn.hpp>
dla::Model<dla::Sequential<>, dla::Shape{4}> model(dla::Seed{1});
