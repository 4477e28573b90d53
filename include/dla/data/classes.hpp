// SPDX-License-Identifier: MIT
// What follows from how many samples each class has: weights of samples and of classes, splits that keep the shares.
#pragma once

#include <dla/data/loader.hpp>

namespace dla {

/// How many of these samples are of each class. Throws Error(data) where targets are no class numbers.
DLA_ONCE std::vector<index_t> class_counts(const DataSource& data, std::span<const std::uint32_t> samples);
DLA_ONCE std::vector<index_t> class_counts(const Dataset& data, std::span<const std::uint32_t> samples);

/// Weights with which all classes of these samples come up alike: 1 / how many of them there are. Throws Error(data) as class_counts.
DLA_ONCE std::vector<double> balanced_weights(const DataSource& data, std::span<const std::uint32_t> samples);
DLA_ONCE std::vector<double> balanced_weights(const Dataset& data, std::span<const std::uint32_t> samples);

/// A weight for each class that makes up for how rare it is, for CrossEntropy::class_weights: samples / (classes * samples of the class), as
/// sklearn.utils.class_weight.compute_class_weight("balanced"). Throws Error(data) as class_counts, and when a class has no sample.
DLA_ONCE std::vector<double> class_weights(const DataSource& data, std::span<const std::uint32_t> samples);
DLA_ONCE std::vector<double> class_weights(const Dataset& data, std::span<const std::uint32_t> samples);

/// Takes `val_size` samples for validation, of each class its share to less than one sample, and leaves one of each to train on where that can be; which ones
/// depends on the seed alone. Error: data, where targets are no class numbers; config, unless 0 <= val_size < size.
DLA_ONCE Split stratified_split(const DataSource& data, index_t val_size, Seed seed);
DLA_ONCE Split stratified_split(const Dataset& data, index_t val_size, Seed seed);

}  // namespace dla

#if DLA_BODIES
#include <dla/data/classes.impl.hpp>
#endif
