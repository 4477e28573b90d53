// SPDX-License-Identifier: MIT
// What Cpu<float> computes together.
#pragma once

#include <dla/compose/conv_norm_pair.hpp>
#include <dla/compose/linear_norm.hpp>

namespace dla {

template <>
struct Groups<Cpu<float>> {
    using type = Patterns<ConvNormPairPattern<7>, ConvNormPairPattern<6>, ConvNormPairPattern<5>, ConvNormPattern<4>, ConvNormPattern<3>, ConvNormPattern<2>,
                          LinearNormPattern<3>, LinearNormPattern<2>>;
};

}  // namespace dla
