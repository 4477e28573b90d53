// SPDX-License-Identifier: MIT
// Convolutions with one channel in a group, in and out (depthwise): a register tile of a matrix product would have one column.
#pragma once

#include <dla/kernels/cpu/simd_math.hpp>
#include <dla/kernels/cpu/tile.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Row i, column j, channel c of the results: bias[c] (or null) + the sum over the taps (u, t) of from[i * down + j * right + u * tap_down + t * tap_right + c]
/// times weights[u * weight_down + t * weight_right + c]; to to[i * to_down + j * to_right + c]. In the order of the taps.
struct DepthwiseSums {
    index_t rows, columns, channels, taps_h, taps_w;
    const float* from;
    index_t down, right, tap_down, tap_right;
    const float* weights;
    index_t weight_down, weight_right;
    const float* bias;
    float* to;
    index_t to_down, to_right;
};

/// sums[(u * taps_w + t) * channels + c] = or += the sum over rows i and columns j of x[i * down + j * right + u * tap_down + t * tap_right + c] times
/// dy[i * dy_down + j * channels + c].
struct DepthwiseProducts {
    index_t rows, columns, channels, taps, taps_w;
    const float* x;
    index_t down, right, tap_down, tap_right;
    const float* dy;
    index_t dy_down;
    float* sums;
    bool add;
};

/// What is compiled once for each instruction set.
struct DepthwiseTarget {
    void (*sums)(const DepthwiseSums&);
    void (*products)(const DepthwiseProducts&);
};

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/depthwise.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/depthwise.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/depthwise.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla::detail::inline DLA_ABI_TAG {

inline const DepthwiseTarget& active_depthwise() { return *select_isa(&base::depthwise_target, &avx2::depthwise_target, &avx512::depthwise_target); }

/// to[tap * channels + c] = w[c * taps + tap].
inline void depthwise_pack(index_t channels, index_t taps, const float* w, float* to) {
    for (index_t c = 0; c < channels; ++c)
        for (index_t t = 0; t < taps; ++t) to[t * channels + c] = w[c * taps + t];
}
/// dw [channels, taps] += the sum over `parts`, part_floats apart, of sums [taps, channels], which the first part's place then holds.
inline void depthwise_combine(const TileTarget& tile, index_t channels, index_t taps, index_t parts, float* sums, index_t part_floats, float* dw) {
    tile.sum_rows(parts, taps * channels, sums, part_floats, nullptr, 0, sums);
    for (index_t c = 0; c < channels; ++c)
        for (index_t t = 0; t < taps; ++t) dw[c * taps + t] += sums[t * channels + c];
}

}  // namespace dla::detail::inline DLA_ABI_TAG

#include <dla/core/end_exact.inl.hpp>
