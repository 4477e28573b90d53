// SPDX-License-Identifier: MIT
// EXPECT: layer 1 Linear<9, 10> refuses input \[8\]: expected 9; did you mean Linear<8, 10>\?
// Nobody constructs the model: declaring it as a member is enough to be refused.
#include <dla/nn.hpp>
struct Classifier {
    dla::Model<dla::Sequential<dla::Linear<4, 8>, dla::Linear<9, 10>>, dla::Shape{4}> model;
};
