// SPDX-License-Identifier: MIT
// A first convolution whose outputs are uncorrelated on the data from the start.
#pragma once

#include <dla/data/dataset.hpp>
#include <dla/model/any_model.hpp>

namespace dla {

/// How `whiten_first_convolution` measures.
struct WhiteningOptions {
    index_t images = 5000;  ///< as many of the samples as are looked at, the first ones
    double eps = 5e-4;      ///< added to each variance, so that what images hardly ever show is not blown up
};

/// Gives the network's first layer, a Conv2d<C, 2 C k k, k>, weights that whiten patches of the images: for each eigenvector v of the patches' second moments
/// with eigenvalue l the filter v / sqrt(l + eps), largest l first, then the same filters negated (as ReLU and GELU keep one side); its bias becomes 0.
/// Such a layer is usually not trained: `model.freeze("0.weight")`. Pixels are normalised as in training. Computed in double in a fixed order, so that the
/// weights are the same at any number of threads.
/// Throws Error(model) when the first parameter is no such weight, Error(data) when the images do not fit it or `samples` is empty or out of range.
DLA_ONCE void whiten_first_convolution(AnyModel& model, const Dataset& data, std::span<const std::uint32_t> samples, const WhiteningOptions& options = {});

}  // namespace dla

#if DLA_BODIES
#include <dla/train/whitening.impl.hpp>
#endif
