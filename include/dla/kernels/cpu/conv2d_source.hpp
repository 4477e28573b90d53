// SPDX-License-Identifier: MIT
// What a convolution reads: images as they lie in memory, or what a normalisation makes of them, a window at a time as it is read.
#pragma once

#include <dla/kernels/cpu/conv2d_plan.hpp>
#include <dla/kernels/cpu/norm_rows.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

struct ConvSource {
    const float* values;
    const NormRows* norm = nullptr;  // null: the values are read where they are
    float* windows = nullptr;        // else the place of each thread for what it reads, of `window_floats`
    index_t window_floats = 0;

    ConvSource(const float* as_they_are) : values(as_they_are) {}
    ConvSource(const float* of, const NormRows* normalised, float* places, index_t place_floats)
        : values(of), norm(normalised), windows(places), window_floats(place_floats) {}

    float* window(int thread) const { return windows + thread * window_floats; }

    /// to [rows.size(), columns.size(), channels] = that window of the image at `image`; zeros outside.
    void copy_window(const float* image, index_t height, index_t width, index_t channels, const ConvWindow& rows, const ConvWindow& columns, float* to) const {
        const index_t line = columns.size() * channels;
        const index_t left = std::clamp<index_t>(-columns.low, 0, columns.size()) * channels;
        const index_t first = std::max<index_t>(columns.low, 0), last = std::min(columns.high, width);
        const index_t middle = std::max<index_t>(last - first, 0) * channels;
        for (index_t row = rows.low; row < rows.high; ++row, to += line) {
            if (row < 0 || row >= height || middle == 0) {
                std::memset(to, 0, static_cast<std::size_t>(line) * sizeof(float));
                continue;
            }
            const float* from = image + (row * width + first) * channels;
            if (left > 0) std::memset(to, 0, static_cast<std::size_t>(left) * sizeof(float));
            if (norm == nullptr)
                std::memcpy(to + left, from, static_cast<std::size_t>(middle) * sizeof(float));
            else
                norm->f.normalise(last - first, channels, channels, from, norm->centre, norm->gain, norm->shift, to + left);
            if (left + middle < line) std::memset(to + left + middle, 0, static_cast<std::size_t>(line - left - middle) * sizeof(float));
        }
    }
};

}  // namespace dla::detail::inline DLA_ABI_TAG

#include <dla/core/end_exact.inl.hpp>
