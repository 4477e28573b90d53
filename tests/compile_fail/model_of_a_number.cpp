// SPDX-License-Identifier: MIT
// EXPECT: dla: the third argument of Model is a policy.*Reference<double>
#include <dla/nn.hpp>

using Net = dla::Sequential<dla::Linear<3, 2>>;

std::vector<float> f(const std::vector<float>& x) {
    dla::Model<Net, dla::Shape{3}, double> model(dla::Seed{1});
    return model.predict(x);
}
