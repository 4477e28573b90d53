// SPDX-License-Identifier: MIT
// A labelled image set in memory, how it is split into training and validation, and the two orders of an image batch.
#pragma once

#include <dla/core/error.hpp>
#include <dla/core/philox.hpp>
#include <dla/core/shape.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace dla {

/// Images and labels as read from files: bytes [N, H, W, C] (channels last) and one class per image.
struct Dataset {
    std::string name;
    Shape shape;  ///< of one sample, channels first: [C, H, W]
    int num_classes = 0;
    std::vector<std::uint8_t> images;      ///< [N, H, W, C]
    std::vector<std::int32_t> labels;      ///< [N], each in [0, num_classes)
    std::vector<std::string> class_names;  ///< [num_classes]
    std::vector<float> mean;               ///< [C], of pixels scaled to [0, 1]
    std::vector<float> std;                ///< [C], what pixels are divided by: the standard deviation of the same (CIFAR-10: the mean of the images' own)

    index_t size() const { return static_cast<index_t>(labels.size()); }
    std::size_t sample_size() const { return static_cast<std::size_t>(shape.size()); }
    std::span<const std::uint8_t> image(index_t i) const&& = delete;  // it would view the bytes of a temporary
    std::span<const std::uint8_t> image(index_t i) const& { return {images.data() + static_cast<std::size_t>(i) * sample_size(), sample_size()}; }

    /// Checks that all parts fit together. Error: data, naming the first that does not.
    void check() const;
};

/// The two parts of a published set.
struct DatasetPair {
    Dataset train;
    Dataset test;
};

/// Indices into a training set: what is trained on and what is validated on; disjoint, together everything.
struct Split {
    std::vector<std::uint32_t> train;       ///< ascending
    std::vector<std::uint32_t> validation;  ///< ascending
};

/// All indices of a set, in order.
inline std::vector<std::uint32_t> all_samples(const Dataset& data) {
    std::vector<std::uint32_t> indices(data.labels.size());
    for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::uint32_t>(i);
    return indices;
}

/// Takes `val_size` of the `size` samples for validation, chosen by the seed alone. Error: config, unless 0 <= val_size < size.
DLA_ONCE Split random_split(index_t size, index_t val_size, Seed seed);

/// Reorders a batch from [N, C, H, W] to [N, H, W, C]; `shape` is [C, H, W]. Error: shape, if a buffer does not hold batch * C * H * W values.
DLA_ONCE void nchw_to_nhwc(std::span<const float> from, std::span<float> to, index_t batch, const Shape& shape);

/// Reorders a batch from [N, H, W, C] to [N, C, H, W]; `shape` is [C, H, W]. Error: shape, if a buffer does not hold batch * C * H * W values.
DLA_ONCE void nhwc_to_nchw(std::span<const float> from, std::span<float> to, index_t batch, const Shape& shape);

}  // namespace dla

#if DLA_BODIES
#include <dla/data/dataset.impl.hpp>
#endif
