// SPDX-License-Identifier: MIT
// What is set at run time is no reason to refuse a type, wherever the shape in front of it is known.
// OK
#include <dla/nn.hpp>

template <class Layer>
using Decoder = dla::Sequential<dla::Linear<>, dla::Unflatten<7, 5, 3>, Layer, dla::ReLU>;
template <class Layer>
constexpr bool fits = dla::detail::ShapeCheck<Decoder<Layer>, dla::Shape{}>::check() && dla::detail::ShapeCheck<Decoder<Layer>, dla::Shape{16}>::check();

static_assert(fits<dla::Conv2d<>> && fits<dla::ConvTranspose2d<>> && fits<dla::Upsample2d<>> && fits<dla::GroupNorm<>> && fits<dla::AdaptiveAvgPool2d<>>);
static_assert(fits<dla::MaxPool2d<>> && fits<dla::AvgPool2d<>> && fits<dla::Residual<dla::Conv2d<>>> && fits<dla::Repeat<dla::MaxPool2d<>>>);
static_assert(fits<dla::Parallel<dla::Concat, dla::Conv2d<>, dla::Identity>> && fits<dla::Sequential<dla::Conv2d<>, dla::Sequential<dla::MaxPool2d<>>>>);

dla::Model<dla::Sequential<dla::Conv2d<>>, dla::Shape{3, 8, 8}> typed(const dla::Sequential<dla::Conv2d<>>& net) { return {net, dla::Seed{1}}; }
