// SPDX-License-Identifier: MIT
// How images are resized: weights as whole numbers, rows of the input taken one at a time.
#pragma once

#include <algorithm>
#include <cstdlib>

namespace dla {
namespace detail {

/// What the pixels of one axis are made of. Multiplied by 2 max(n, m), all weights of the formula are integers.
struct ResizeAxis {
    struct Pixel {
        std::size_t first, count;  ///< of the input pixels
        std::size_t weights;       ///< where theirs begin
        std::uint64_t sum;
    };
    std::vector<Pixel> pixels;
    std::vector<std::uint32_t> weights;
    std::uint64_t largest_sum = 0;

    ResizeAxis(index_t n, index_t m) {
        const index_t unit = 2 * std::max(n, m);
        for (index_t i = 0; i < m; ++i) {
            const auto weight = [&](index_t j) { return unit - std::abs((2 * j + 1) * m - (2 * i + 1) * n); };
            index_t j = std::max<index_t>(0, ((2 * i + 1) * n - unit) / (2 * m) - 1);
            while (weight(j) <= 0) ++j;
            Pixel pixel{static_cast<std::size_t>(j), 0, weights.size(), 0};
            for (; j < n && weight(j) > 0; ++j, ++pixel.count) {
                weights.push_back(static_cast<std::uint32_t>(weight(j)));
                pixel.sum += weights.back();
            }
            largest_sum = std::max(largest_sum, pixel.sum);
            pixels.push_back(pixel);
        }
    }
};

}  // namespace detail

DLA_ONCE void resize_image(std::span<const std::uint8_t> image, index_t height, index_t width, index_t channels, std::span<std::uint8_t> out,
                           index_t out_height, index_t out_width) {
    const auto good = [&](index_t h, index_t w, std::size_t size) {
        return h >= 1 && w >= 1 && h <= 32768 && w <= 32768 && channels >= 1 && static_cast<std::size_t>(saturating_mul(h * w, channels)) == size;
    };
    if (!good(height, width, image.size()) || !good(out_height, out_width, out.size()))
        fail(ErrorCode::shape, "resize_image",
             text("an image ", to_text(Shape{channels, height, width}), " in ", image.size(), " bytes cannot become ",
                  to_text(Shape{channels, out_height, out_width}), " in ", out.size(), "; expected sides of 1 to 32768")
                 .view());
    if (height == out_height && width == out_width) {
        std::copy(image.begin(), image.end(), out.begin());
        return;
    }
    const detail::ResizeAxis down(height, out_height), across(width, out_width);
    // Sums of bytes times both weights fit 64 bits, unless a very large image becomes a very small one: then rows are rounded to 24 bits behind the point.
    constexpr int point = 24;
    const bool exact = down.largest_sum <= (std::uint64_t{1} << 55) / across.largest_sum;
    const auto depth = static_cast<std::size_t>(channels), row = static_cast<std::size_t>(out_width) * depth, in_row = static_cast<std::size_t>(width) * depth;
    std::vector<std::uint64_t> sums(down.pixels.size() * row), line(row);
    std::size_t begin = 0;  // of the output rows that input row y is part of
    for (std::size_t y = 0; y < static_cast<std::size_t>(height); ++y) {
        const std::uint8_t* in = image.data() + y * in_row;
        for (std::size_t x = 0; x < across.pixels.size(); ++x) {
            const auto& pixel = across.pixels[x];
            for (std::size_t c = 0; c < depth; ++c) {
                std::uint64_t sum = 0;
                for (std::size_t k = 0; k < pixel.count; ++k) sum += std::uint64_t{across.weights[pixel.weights + k]} * in[(pixel.first + k) * depth + c];
                line[x * depth + c] = exact ? sum : ((sum << point) + pixel.sum / 2) / pixel.sum;
            }
        }
        while (begin < down.pixels.size() && down.pixels[begin].first + down.pixels[begin].count <= y) ++begin;
        for (std::size_t o = begin; o < down.pixels.size() && down.pixels[o].first <= y; ++o) {
            const std::uint64_t weight = down.weights[down.pixels[o].weights + y - down.pixels[o].first];
            for (std::size_t i = 0; i < row; ++i) sums[o * row + i] += weight * line[i];
        }
    }
    for (std::size_t o = 0, i = 0; o < down.pixels.size(); ++o)
        for (std::size_t x = 0; x < across.pixels.size(); ++x) {
            const std::uint64_t whole = exact ? down.pixels[o].sum * across.pixels[x].sum : down.pixels[o].sum << point;
            for (std::size_t c = 0; c < depth; ++c, ++i) out[i] = static_cast<std::uint8_t>((sums[i] + whole / 2) / whole);
        }
}

}  // namespace dla
