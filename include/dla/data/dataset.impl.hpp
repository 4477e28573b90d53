// SPDX-License-Identifier: MIT
// How data sets are checked, split and put into memory order.
#pragma once

#include <algorithm>
#include <limits>

namespace dla {

DLA_ONCE void Dataset::check() const {
    const auto refuse_if = [this](bool wrong, const std::string& sentence) {
        if (wrong) fail(ErrorCode::data, name, sentence);
    };
    refuse_if(!shape.is_image() || !shape.is_known() || shape.d[0] < 1 || shape.d[1] < 1 || shape.d[2] < 1,
              "the sample shape must be [channels, height, width], got " + std::string(to_text(shape).view()));
    refuse_if(shape.is_too_large(), "the sample shape " + std::string(to_text(shape).view()) + " has more than " + std::to_string(max_values) + " values");
    refuse_if(num_classes < 1, "the number of classes must be at least 1, got " + std::to_string(num_classes));
    refuse_if(labels.empty(), "the data set is empty; expected at least one sample");
    refuse_if(labels.size() > std::numeric_limits<std::uint32_t>::max(), "more samples than a 32-bit index can name");
    refuse_if(images.size() != labels.size() * sample_size(), "images and labels differ in number; expected " +
                                                                  std::to_string(labels.size() * sample_size()) + " pixel bytes, got " +
                                                                  std::to_string(images.size()));
    refuse_if(mean.size() != static_cast<std::size_t>(shape.d[0]) || std.size() != mean.size(), "mean and std must have one value per channel");
    for (const float s : std) refuse_if(!(s > 0), "a channel's std must be positive");
    for (std::int32_t label : labels)
        refuse_if(label < 0 || label >= num_classes,
                  "a label is out of range; expected 0 to " + std::to_string(num_classes - 1) + ", got " + std::to_string(label));
}

DLA_ONCE Split random_split(index_t size, index_t val_size, Seed seed) {
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
    const bool good = shape.is_image() && shape.is_known() && batch >= 0 && from == to && from == static_cast<std::size_t>(saturating_mul(batch, shape.size()));
    if (!good)
        fail(ErrorCode::shape, "layout",
             text("a batch of ", batch, " samples ", to_text(shape), " does not fit buffers of ", from, " and ", to, " values").view());
}

}  // namespace detail

DLA_ONCE void nchw_to_nhwc(std::span<const float> from, std::span<float> to, index_t batch, const Shape& shape) {
    detail::check_layout_sizes(from.size(), to.size(), batch, shape);
    const auto channels = static_cast<std::size_t>(shape.d[0]);
    const auto pixels = static_cast<std::size_t>(shape.d[1] * shape.d[2]);
    for (std::size_t n = 0; n < static_cast<std::size_t>(batch); ++n)
        for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t p = 0; p < pixels; ++p) to[(n * pixels + p) * channels + c] = from[(n * channels + c) * pixels + p];
}

DLA_ONCE void nhwc_to_nchw(std::span<const float> from, std::span<float> to, index_t batch, const Shape& shape) {
    detail::check_layout_sizes(from.size(), to.size(), batch, shape);
    const auto channels = static_cast<std::size_t>(shape.d[0]);
    const auto pixels = static_cast<std::size_t>(shape.d[1] * shape.d[2]);
    for (std::size_t n = 0; n < static_cast<std::size_t>(batch); ++n)
        for (std::size_t c = 0; c < channels; ++c)
            for (std::size_t p = 0; p < pixels; ++p) to[(n * channels + c) * pixels + p] = from[(n * pixels + p) * channels + c];
}

}  // namespace dla
