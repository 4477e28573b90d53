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
    std::vector<float> deviation;          ///< [C], what pixels are divided by: the standard deviation of the same (CIFAR-10: the mean of the images' own)

    index_t size() const { return static_cast<index_t>(labels.size()); }
    std::size_t sample_size() const { return static_cast<std::size_t>(shape.size()); }
    std::span<const std::uint8_t> image(index_t i) const&& = delete;  // it would view the bytes of a temporary
    std::span<const std::uint8_t> image(index_t i) const& { return {images.data() + static_cast<std::size_t>(i) * sample_size(), sample_size()}; }

    /// Checks that all parts fit together. Error: data, naming the first that does not.
    void check() const {
        const auto refuse_if = [this](bool wrong, const std::string& sentence) {
            if (wrong) fail(ErrorCode::data, name, sentence);
        };
        refuse_if(shape.rank != 3 || !shape.is_known() || shape.d[0] < 1 || shape.d[1] < 1 || shape.d[2] < 1,
                  "the sample shape must be [channels, height, width], got " + std::string(to_text(shape).view()));
        refuse_if(shape.is_too_large(), "the sample shape " + std::string(to_text(shape).view()) + " has more than " + std::to_string(max_values) + " values");
        refuse_if(num_classes < 1, "the number of classes must be at least 1, got " + std::to_string(num_classes));
        refuse_if(labels.empty(), "the data set is empty; expected at least one sample");
        refuse_if(labels.size() > std::numeric_limits<std::uint32_t>::max(), "more samples than a 32-bit index can name");
        refuse_if(images.size() != labels.size() * sample_size(), "images and labels differ in number; expected " +
                                                                      std::to_string(labels.size() * sample_size()) + " pixel bytes, got " +
                                                                      std::to_string(images.size()));
        refuse_if(mean.size() != static_cast<std::size_t>(shape.d[0]) || deviation.size() != mean.size(), "mean and deviation must have one value per channel");
        for (float s : deviation) refuse_if(!(s > 0), "a channel's deviation must be positive");
        for (std::int32_t label : labels)
            refuse_if(label < 0 || label >= num_classes,
                      "a label is out of range; expected 0 to " + std::to_string(num_classes - 1) + ", got " + std::to_string(label));
    }
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
inline Split random_split(index_t size, index_t val_size, Seed seed) {
    if (size < 1 || size > index_t{std::numeric_limits<std::uint32_t>::max()})
        fail(ErrorCode::data, "split", "cannot split " + std::to_string(size) + " samples");
    if (val_size < 0 || val_size >= size)
        fail(ErrorCode::config, "dataset.val_size",
             "the validation set must leave something to train on; expected 0 to " + std::to_string(size - 1) + ", got " + std::to_string(val_size));
    std::vector<std::uint32_t> order(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
    shuffle(order, RandomStream({static_cast<std::uint64_t>(seed), 0, 0}, RandomUse::split));
    Split split;
    split.validation.assign(order.begin(), order.begin() + val_size);
    split.train.assign(order.begin() + val_size, order.end());
    std::sort(split.validation.begin(), split.validation.end());
    std::sort(split.train.begin(), split.train.end());
    return split;
}

namespace detail {

inline void check_layout_sizes(std::size_t from, std::size_t to, index_t batch, const Shape& shape) {
    const bool good = shape.rank == 3 && shape.is_known() && batch >= 0 && from == to && from == static_cast<std::size_t>(saturating_mul(batch, shape.size()));
    if (!good)
        fail(ErrorCode::shape, "layout",
             text("a batch of ", batch, " samples ", to_text(shape), " does not fit buffers of ", from, " and ", to, " values").view());
}

}  // namespace detail

/// Reorders a batch from [N, C, H, W] to [N, H, W, C]; `shape` is [C, H, W]. Error: shape, if a buffer does not hold batch * C * H * W values.
inline void nchw_to_nhwc(std::span<const float> from, std::span<float> to, index_t batch, const Shape& shape) {
    detail::check_layout_sizes(from.size(), to.size(), batch, shape);
    const auto channels = static_cast<std::size_t>(shape.d[0]);
    const auto pixels = static_cast<std::size_t>(shape.d[1] * shape.d[2]);
    for (std::size_t n = 0; n < static_cast<std::size_t>(batch); ++n)
        for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t p = 0; p < pixels; ++p) to[(n * pixels + p) * channels + c] = from[(n * channels + c) * pixels + p];
}

/// Reorders a batch from [N, H, W, C] to [N, C, H, W]; `shape` is [C, H, W]. Error: shape, if a buffer does not hold batch * C * H * W values.
inline void nhwc_to_nchw(std::span<const float> from, std::span<float> to, index_t batch, const Shape& shape) {
    detail::check_layout_sizes(from.size(), to.size(), batch, shape);
    const auto channels = static_cast<std::size_t>(shape.d[0]);
    const auto pixels = static_cast<std::size_t>(shape.d[1] * shape.d[2]);
    for (std::size_t n = 0; n < static_cast<std::size_t>(batch); ++n)
        for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t p = 0; p < pixels; ++p) to[(n * channels + c) * pixels + p] = from[(n * pixels + p) * channels + c];
}

}  // namespace dla
