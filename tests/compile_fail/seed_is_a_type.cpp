// SPDX-License-Identifier: MIT
// EXPECT: dla: a Model takes a seed, which is a type of its own: write dla::Seed\{42\} instead of 42
#include <dla/nn.hpp>
dla::Model<dla::Sequential<dla::Linear<4, 3>>, dla::Shape{4}> model(42);
