// SPDX-License-Identifier: MIT
// What Cpu<float> computes together.
#pragma once

#include <dla/compose/conv_norm.hpp>
#include <dla/compose/linear_norm_relu.hpp>

namespace dla {

template <>
struct Groups<Cpu<float>> {
    using type = Patterns<ConvNormPattern<4>, ConvNormPattern<3>, ConvNormPattern<2>, LinearNormReluPattern>;
};

}  // namespace dla
