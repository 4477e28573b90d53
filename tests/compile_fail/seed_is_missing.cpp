// SPDX-License-Identifier: MIT
// EXPECT: dla: a Model takes a seed behind network and input shape: Model\(net, dla::Shape\{3, 32, 32\}, dla::Seed\{42\}\)
#include <dla/nn.hpp>
using Net = dla::Sequential<dla::Linear<dla::Dyn, 3>>;
dla::Model<Net> model(Net{}, dla::Shape{4});
