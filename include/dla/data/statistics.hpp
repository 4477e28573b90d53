// SPDX-License-Identifier: MIT
// Means and standard deviations of data, and what is done with them: inputs (and targets of a regression) of mean 0 and deviation 1.
#pragma once

#include <dla/data/dataset.hpp>
#include <dla/data/source.hpp>

namespace dla {

/// Sets `mean` and `std` of each channel from all pixels scaled to [0, 1]; a channel without variation gets std 1. Computed in double from counts of the 256
/// byte values, so the order of the images does not matter. Error: data, if the images do not fit the shape or there are none.
DLA_ONCE void compute_statistics(Dataset& data);

/// (x - mean) / std for each feature: the last axis in memory, that is the features of a sample [features] or [rows, features] and the channels of an image.
/// std is the square root of the mean squared deviation (divided by N, as in sklearn's StandardScaler), and 1 for a feature that is constant.
///
///     const Standardisation scaling = Standardisation::fit(data, split.train);
///     data.transform = scaling;                      // every sample that is read
///     scaling.apply(x);                              // samples of your own, in place
///
/// For targets: `Standardisation::fit_values(data.targets(), targets)`, `apply` before the ArrayData is made, and `invert` on what is predicted.
struct Standardisation {
    std::vector<double> mean;  ///< [features]
    std::vector<double> std;   ///< [features]

    /// From the inputs of the chosen samples, e.g. those that are trained on. Error: data, if there are none or an index is out of range.
    static Standardisation fit(const ArrayData& data, std::span<const std::uint32_t> samples);
    static Standardisation fit(const ArrayData& data) { return fit(data, all_samples(data)); }
    /// From values [N, features]. Error: data, if they are none, not a multiple of `features`, or not finite.
    static Standardisation fit_values(std::span<const float> values, index_t features);

    /// In place, values [N, features]; computed in double and rounded once. Error: shape, if their number is no multiple of the features.
    void apply(std::span<float> values) const;
    /// x * std + mean, the inverse.
    void invert(std::span<float> values) const;
    /// As a ValueTransform.
    void operator()(const SamplePosition&, std::span<float> input) const { apply(input); }
};

}  // namespace dla

#if DLA_BODIES
#include <dla/data/statistics.impl.hpp>
#endif
