// SPDX-License-Identifier: MIT
// EXPECT: dla: Parallel takes how to join first: Parallel<Concat, Branch, Branch>, or Add, or Multiply
#include <dla/nn.hpp>
dla::Model<dla::Parallel<dla::Linear<4, 3>, dla::Linear<4, 3>>, dla::Shape{4}> model(dla::Seed{1});
