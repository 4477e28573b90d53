// SPDX-License-Identifier: MIT
// A training step that both translation units instantiate.
#pragma once

inline std::string train_once() {
    using Net = dla::Sequential<dla::Conv2d<1, 2, 3>, dla::ReLU, dla::Flatten, dla::Linear<dla::Dyn, 3>>;
    dla::Model<Net, dla::Shape{1, 4, 4}> model(dla::Seed{42});
    dla::Adam adam;
    const std::vector<float> images(32, 0.5f);
    const std::vector<std::int32_t> labels{0, 2};
    return std::to_string(dla::train_step(model, adam, dla::CrossEntropy{}, std::span<const float>(images), std::span<const std::int32_t>(labels)));
}
