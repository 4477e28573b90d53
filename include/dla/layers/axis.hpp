// SPDX-License-Identifier: MIT
// How a batch is seen when one of its axes is normalised or summed over.
#pragma once

#include <dla/kernels/types.hpp>

namespace dla::detail {

/// The batch as [outer, channels, inner] with PyTorch's dim 1 (features, rows or channels) in the middle, as it lies in memory.
constexpr NormDims channel_dims(index_t batch, const Shape& s) {
    if (s.is_image()) return {.outer = batch * s.d[1] * s.d[2], .channels = s.d[0], .inner = 1};
    if (s.rank == 3) return {.outer = batch, .channels = s.d[0], .inner = s.d[1] * s.d[2]};
    if (s.rank == 2) return {.outer = batch, .channels = s.d[0], .inner = s.d[1]};
    return {.outer = batch, .channels = s.d[0], .inner = 1};
}

/// The batch as [outer, axis, inner] for PyTorch's dimension `dim` (0 is the batch and not allowed).
constexpr NormDims axis_dims(index_t batch, const Shape& s, int dim) {
    if (dim == 1) return channel_dims(batch, s);
    if (s.rank == 2) return {.outer = batch * s.d[0], .channels = s.d[1], .inner = 1};
    if (!s.is_image()) return dim == 2 ? NormDims{batch * s.d[0], s.d[1], s.d[2]} : NormDims{batch * s.d[0] * s.d[1], s.d[2], 1};
    if (dim == 2) return {.outer = batch, .channels = s.d[1], .inner = s.d[2] * s.d[0]};
    return {.outer = batch * s.d[1], .channels = s.d[2], .inner = s.d[0]};
}

}  // namespace dla::detail
