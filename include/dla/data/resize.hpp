// SPDX-License-Identifier: MIT
// Images of bytes made larger or smaller.
#pragma once

#include <dla/core/error.hpp>
#include <dla/core/shape.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace dla {

/// Resizes an image [height, width, channels] to `out` [out_height, out_width, channels], bilinear with antialiasing: pixel i of an axis of n pixels that
/// becomes one of m has its centre at c = (i + 1/2) n/m, and input pixel j the weight max(0, 1 - |j + 1/2 - c| / max(n/m, 1)), divided by the sum of them.
/// An axis that grows is interpolated between two pixels; one that shrinks is averaged over all those that the output pixel covers, none left out (as
/// Pillow's BILINEAR, and PyTorch's with antialias=True). Both axes are weighed before anything is rounded, and once, halves up. It is computed in integers:
/// the same bytes everywhere. Error: shape, if a buffer does not have its size or a side is not 1 to 32768.
DLA_ONCE void resize_image(std::span<const std::uint8_t> image, index_t height, index_t width, index_t channels, std::span<std::uint8_t> out,
                           index_t out_height, index_t out_width);

}  // namespace dla

#if DLA_BODIES
#include <dla/data/resize.impl.hpp>
#endif
