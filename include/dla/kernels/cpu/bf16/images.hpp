// SPDX-License-Identifier: MIT
// Convolutions of Cpu<bf16>: images are brought into float some at a time, in which Cpu<float> computes them (Winograd's transforms gain more than dot products
// of pairs would), and what it gives is rounded once. Poolings read and write bf16.
#pragma once

#include <dla/kernels/cpu/bf16/gemm.hpp>
#include <dla/kernels/cpu/conv2d.hpp>
#include <dla/kernels/cpu/pool.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {
namespace detail::inline DLA_ABI_TAG {

inline constexpr index_t bf16_images = 1 << 21;  // values, 8 MB in float, of images that are computed at a time

/// A convolution whose images are computed some at a time, with the float copies of these.
struct Bf16Conv {
    index_t x, y, w;  // values of an image, of its results, of the weights
    Conv2dDims piece;

    explicit Bf16Conv(const Conv2dDims& d)
        : x(d.height * d.width * d.in_channels),
          y(d.out_height * d.out_width * d.out_channels),
          w(d.out_channels * d.kernel_h * d.kernel_w * (d.in_channels / d.groups)),
          piece(d) {
        piece.batch = at_a_time(d.batch, x + y, bf16_images);
    }
    index_t bytes() const { return bytes_of<float>(piece.batch * x) + bytes_of<float>(piece.batch * y); }
    /// f(first image, sizes of the piece) for each piece.
    template <class F>
    void for_pieces(index_t batch, const F& f) const {
        Conv2dDims d = piece;
        for (index_t first = 0; first < batch; first += piece.batch) {
            d.batch = std::min(piece.batch, batch - first);
            f(first, d);
        }
    }
};

}  // namespace detail::inline DLA_ABI_TAG

DLA_ONCE index_t conv2d_forward_scratch(const Cpu<bf16>& p, const Conv2dDims& d) {
    const detail::Bf16Conv c(d);
    return c.bytes() + detail::bytes_of<float>(c.w) + detail::bytes_of<float>(d.out_channels) + conv2d_forward_scratch(detail::float_policy(p), c.piece);
}
DLA_ONCE index_t conv2d_backward_data_scratch(const Cpu<bf16>& p, const Conv2dDims& d) {
    const detail::Bf16Conv c(d);
    return c.bytes() + detail::bytes_of<float>(c.w) + conv2d_backward_data_scratch(detail::float_policy(p), c.piece);
}
DLA_ONCE index_t conv2d_backward_weights_scratch(const Cpu<bf16>& p, const Conv2dDims& d) {
    const detail::Bf16Conv c(d);
    return c.bytes() + conv2d_backward_weights_scratch(detail::float_policy(p), c.piece);
}
DLA_ONCE void conv2d_forward(const Cpu<bf16>& p, std::byte* scratch, const Conv2dDims& d, const bf16* x, const bf16* w, const bf16* bias, bf16* y) {
    const detail::Bf16Conv c(d);
    auto *from = detail::take<float>(scratch, c.piece.batch * c.x), *to = detail::take<float>(scratch, c.piece.batch * c.y);
    auto *weight = detail::take<float>(scratch, c.w), *offset = detail::take<float>(scratch, d.out_channels);
    detail::widen_values(p, c.w, w, weight);
    if (bias) detail::widen_values(p, d.out_channels, bias, offset);
    c.for_pieces(d.batch, [&](index_t first, const Conv2dDims& piece) {
        detail::widen_values(p, piece.batch * c.x, x + first * c.x, from);
        conv2d_forward(detail::float_policy(p), scratch, piece, from, weight, bias ? offset : nullptr, to);
        detail::narrow_values(p, piece.batch * c.y, to, y + first * c.y);
    });
}
DLA_ONCE void conv2d_backward_data(const Cpu<bf16>& p, std::byte* scratch, const Conv2dDims& d, const bf16* dy, const bf16* w, bf16* dx) {
    const detail::Bf16Conv c(d);
    auto *to = detail::take<float>(scratch, c.piece.batch * c.x), *from = detail::take<float>(scratch, c.piece.batch * c.y);
    auto* weight = detail::take<float>(scratch, c.w);
    detail::widen_values(p, c.w, w, weight);
    c.for_pieces(d.batch, [&](index_t first, const Conv2dDims& piece) {
        detail::widen_values(p, piece.batch * c.y, dy + first * c.y, from);
        conv2d_backward_data(detail::float_policy(p), scratch, piece, from, weight, to);
        detail::narrow_values(p, piece.batch * c.x, to, dx + first * c.x);
    });
}
DLA_ONCE void conv2d_backward_weights(const Cpu<bf16>& p, std::byte* scratch, const Conv2dDims& d, const bf16* x, const bf16* dy, float* dw, float* dbias) {
    const detail::Bf16Conv c(d);
    auto *in = detail::take<float>(scratch, c.piece.batch * c.x), *gradient = detail::take<float>(scratch, c.piece.batch * c.y);
    c.for_pieces(d.batch, [&](index_t first, const Conv2dDims& piece) {
        detail::widen_values(p, piece.batch * c.x, x + first * c.x, in);
        detail::widen_values(p, piece.batch * c.y, dy + first * c.y, gradient);
        conv2d_backward_weights(detail::float_policy(p), scratch, piece, in, gradient, dw, dbias);
    });
}

DLA_ONCE void max_pool2d_forward(const Cpu<bf16>& p, const Pool2dDims& d, const bf16* x, bf16* y, std::int32_t* argmax) {
    const detail::Chunks chunks = detail::output_row_chunks(d);
    const auto f = detail::select_isa(detail::base::max_pool_rows<bf16>, detail::avx2::max_pool_rows<bf16>, detail::avx512::max_pool_rows<bf16>);
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) { f(d, chunks.begin(i), chunks.length(i), x, y, argmax); });
}
DLA_ONCE void avg_pool2d_forward(const Cpu<bf16>& p, const Pool2dDims& d, const bf16* x, bf16* y) {
    const detail::Chunks chunks = detail::output_row_chunks(d);
    const auto f = detail::select_isa(detail::base::avg_pool_rows<bf16>, detail::avx2::avg_pool_rows<bf16>, detail::avx512::avg_pool_rows<bf16>);
    detail::parallel_for(p.threads, chunks.count, [&](index_t i, int) { f(d, chunks.begin(i), chunks.length(i), x, y); });
}
// Where windows overlap, the gradients of an input are added up before they are rounded: by the reference, an image at a time.
DLA_ONCE void max_pool2d_backward(const Cpu<bf16>& p, const Pool2dDims& d, const bf16* dy, const std::int32_t* argmax, bf16* dx) {
    const auto tiled = detail::select_isa(detail::base::max_pool_backward_tiled<bf16>, detail::avx2::max_pool_backward_tiled<bf16>,
                                          detail::avx512::max_pool_backward_tiled<bf16>);
    if (detail::windows_tile(d)) return detail::for_images(detail::float_policy(p), d, [&](index_t n) { tiled(d, n, dy, argmax, dx); });
    const index_t in = d.height * d.width * d.channels, out = d.out_height * d.out_width * d.channels;
    Pool2dDims one = d;
    one.batch = 1;
    detail::each_sample(p, d.batch, in, [&](index_t n, const auto& r) { max_pool2d_backward(r, one, dy + n * out, argmax + n * out, dx + n * in); });
}
DLA_ONCE void avg_pool2d_backward(const Cpu<bf16>& p, const Pool2dDims& d, const bf16* dy, bf16* dx) {
    const index_t in = d.height * d.width * d.channels, out = d.out_height * d.out_width * d.channels;
    Pool2dDims one = d;
    one.batch = 1;
    detail::each_sample(p, d.batch, in, [&](index_t n, const auto& r) { avg_pool2d_backward(r, one, dy + n * out, dx + n * in); });
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
