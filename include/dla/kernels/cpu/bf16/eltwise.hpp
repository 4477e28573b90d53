// SPDX-License-Identifier: MIT
// Elementwise kernels and sums of Cpu<bf16>: Cpu<float>'s on pieces that are brought into float, rounded once; and what is of masters, which are float.
#pragma once

#include <dla/kernels/cpu/bf16/gemm.hpp>
#include <dla/kernels/cpu/eltwise.hpp>
#include <dla/kernels/cpu/optim.hpp>
#include <dla/kernels/cpu/prelu.hpp>
#include <dla/kernels/cpu/reduce.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {
namespace detail::inline DLA_ABI_TAG {

inline constexpr index_t bf16_rows = 1 << 16;  // values of rows that are summed at a time
inline constexpr index_t bf16_piece = 512;     // values that a thread has in float at a time

/// y = f(x...) for elementwise kernels of float: f(at, length, y, x...), with pieces in L1. Pieces start at multiples of bf16_piece.
template <class F, class... In>
void in_float(const Cpu<bf16>& p, index_t n, bf16* y, const F& f, const In*... x) {
    const auto [wide, narrow] = bf16_conversions();
    const Chunks c = cut(n, 1, bf16_piece, 256);
    parallel_for(p.threads, c.count, [&, wide = wide, narrow = narrow](index_t i, int) {
        alignas(64) float in[sizeof...(In)][bf16_piece], out[bf16_piece];
        for (index_t at = c.begin(i), end = at + c.length(i); at < end; at += bf16_piece) {
            const index_t length = std::min(bf16_piece, end - at);
            int k = 0;
            (wide(length, x + at, in[k++]), ...);
            [&]<std::size_t... Is>(std::index_sequence<Is...>) { f(at, length, out, in[Is]...); }(std::index_sequence_for<In...>{});
            narrow(length, out, y + at);
        }
    });
}

}  // namespace detail::inline DLA_ABI_TAG

DLA_ONCE void activation_forward(const Cpu<bf16>& p, Activation kind, const ActivationOptions& options, index_t n, const bf16* x, bf16* y) {
    detail::with_kind(kind, [&]<Activation k>(ActivationIs<k>) {
        const auto f = detail::select_isa(detail::base::activation_forward<k>, detail::avx2::activation_forward<k>, detail::avx512::activation_forward<k>);
        detail::in_float(p, n, y, [&](index_t, index_t length, float* out, const float* in) { f(options, length, in, out); }, x);
    });
}
DLA_ONCE void activation_backward(const Cpu<bf16>& p, Activation kind, const ActivationOptions& options, index_t n, const bf16* x, const bf16* y,
                                  const bf16* dy, bf16* dx) {
    detail::with_kind(kind, [&]<Activation k>(ActivationIs<k>) {
        const auto f = detail::select_isa(detail::base::activation_backward<k>, detail::avx2::activation_backward<k>, detail::avx512::activation_backward<k>);
        const bf16* v = k == Activation::relu || k == Activation::sigmoid || k == Activation::tanh ? y : x;
        detail::in_float(
            p, n, dx,
            [&](index_t, index_t length, float* out, const float* of, const float* gradient) { f(options, length, of, gradient, out); }, v,
            dy);
    });
}
DLA_ONCE index_t prelu_scratch(const Cpu<bf16>&, const NormDims& d) { return detail::PReLUPieces(d).bytes(); }
DLA_ONCE void prelu_forward(const Cpu<bf16>& p, const NormDims& d, const bf16* x, const float* w, bf16* y) {
    const detail::PReLUPieces pieces(d);
    const auto f = detail::select_isa(detail::base::prelu, detail::avx2::prelu, detail::avx512::prelu);
    detail::in_float(
        p, pieces.size(), y, [&](index_t at, index_t length, float* out, const float* in) { f(at, length, pieces.runs, in, w, in, out); }, x);
}
DLA_ONCE void prelu_backward(const Cpu<bf16>& p, std::byte* scratch, const NormDims& d, const bf16* x, const float* w, const bf16* dy, bf16* dx, float* dw) {
    const detail::PReLUPieces pieces(d);
    const auto [wide, narrow] = detail::bf16_conversions();
    const auto sums = detail::select_isa(detail::base::prelu_sums, detail::avx2::prelu_sums, detail::avx512::prelu_sums);
    pieces.sum(p.threads, scratch, dw, [&, widen = wide](index_t first, index_t length, double* to) {
        alignas(64) float values[detail::bf16_piece], gradient[detail::bf16_piece];
        for (index_t at = first, end = first + length; at < end; at += detail::bf16_piece) {
            const index_t n = std::min(detail::bf16_piece, end - at);
            widen(n, x + at, values), widen(n, dy + at, gradient);
            sums(at, n, pieces.runs, values, gradient, to);
        }
    });
    if (dx == nullptr) return;
    const auto f = detail::select_isa(detail::base::prelu, detail::avx2::prelu, detail::avx512::prelu);
    detail::in_float(
        p, pieces.size(), dx,
        [&](index_t at, index_t n, float* out, const float* in, const float* gradient) { f(at, n, pieces.runs, in, w, gradient, out); }, x, dy);
}
DLA_ONCE void add(const Cpu<bf16>& p, index_t n, const bf16* a, const bf16* b, bf16* y) {
    const auto f = detail::select_isa(detail::base::add, detail::avx2::add, detail::avx512::add);
    detail::in_float(p, n, y, [&](index_t, index_t length, float* out, const float* u, const float* v) { f(length, u, v, out); }, a, b);
}
DLA_ONCE void add_relu(const Cpu<bf16>& p, index_t n, const bf16* a, const bf16* b, bf16* y, std::uint32_t* mask) {
    const auto plain = detail::select_isa(detail::base::add_relu, detail::avx2::add_relu, detail::avx512::add_relu);
    const auto masked = detail::select_isa(detail::base::add_relu_masked, detail::avx2::add_relu_masked, detail::avx512::add_relu_masked);
    detail::in_float(
        p, n, y,
        [&](index_t at, index_t length, float* out, const float* u, const float* v) {
            if (mask)
                masked(length, u, v, out, mask + relu_mask_words(at));
            else
                plain(length, u, v, out);
        },
        a, b);
}
DLA_ONCE void relu_mask_backward(const Cpu<bf16>& p, index_t n, const std::uint32_t* mask, const bf16* dy, bf16* dx) {
    const auto f = detail::select_isa(detail::base::relu_mask_backward, detail::avx2::relu_mask_backward, detail::avx512::relu_mask_backward);
    detail::in_float(p, n, dx, [&](index_t at, index_t length, float* out, const float* in) { f(length, mask + relu_mask_words(at), in, out); }, dy);
}
DLA_ONCE void copy(const Cpu<bf16>& p, index_t n, const bf16* x, bf16* y) {
    if (x == y) return;
    detail::for_elements(detail::float_policy(p), n,
                         [&](index_t at, index_t length) { std::memcpy(y + at, x + at, static_cast<std::size_t>(length) * sizeof(bf16)); });
}
DLA_ONCE void dropout(const Cpu<bf16>& p, index_t n, double probability, const RandomPosition* at, std::uint32_t stream, const bf16* x, bf16* y,
                      index_t first) {
    detail::dropout_in_blocks(p, n, probability, at, stream, x, y, first, [&](index_t whole, const bf16* from, bf16* to, const auto& f) {
        detail::in_float(p, whole, to, [&](index_t i, index_t length, float* out, const float* in) { f(i, length, in, out); }, from);
    });
}
DLA_ONCE void cast(const Cpu<bf16>& p, index_t n, const float* from, bf16* to) { detail::narrow_values(p, n, from, to); }

DLA_ONCE index_t column_sum_scratch(const Cpu<bf16>& p, index_t rows, index_t columns) {
    const index_t piece = detail::at_a_time(rows, columns, detail::bf16_rows);
    return detail::bytes_of<float>(piece * columns) + column_sum_scratch(detail::float_policy(p), piece, columns);
}
DLA_ONCE void column_sum(const Cpu<bf16>& p, std::byte* scratch, index_t rows, index_t columns, const bf16* x, float* y) {
    const index_t piece = detail::at_a_time(rows, columns, detail::bf16_rows);
    auto* values = detail::take<float>(scratch, piece * columns);
    for (index_t first = 0; first < rows; first += piece) {
        const index_t count = std::min(piece, rows - first);
        detail::widen_values(p, count * columns, x + first * columns, values);
        column_sum(detail::float_policy(p), scratch, count, columns, values, y);
    }
}

// Of masters

DLA_ONCE void fill(const Cpu<bf16>& p, index_t n, float value, float* y) { fill(detail::float_policy(p), n, value, y); }
DLA_ONCE void accumulate(const Cpu<bf16>& p, index_t n, const float* from, float* to) { accumulate(detail::float_policy(p), n, from, to); }
DLA_ONCE index_t sum_of_squares_scratch(const Cpu<bf16>& p, index_t n) { return sum_of_squares_scratch(detail::float_policy(p), n); }
DLA_ONCE void sum_of_squares(const Cpu<bf16>& p, std::byte* scratch, index_t n, const float* x, double* sum) {
    sum_of_squares(detail::float_policy(p), scratch, n, x, sum);
}
DLA_ONCE void sgd_step(const Cpu<bf16>& p, index_t n, const SgdScalars* sgd, float* value, const float* grad, float* velocity) {
    sgd_step(detail::float_policy(p), n, sgd, value, grad, velocity);
}
DLA_ONCE void adam_step(const Cpu<bf16>& p, index_t n, const AdamScalars* adam, float* value, const float* grad, float* m, float* v) {
    adam_step(detail::float_policy(p), n, adam, value, grad, m, v);
}
DLA_ONCE void clip_scale(const Cpu<bf16>& p, index_t n, const double* squares, double max_norm, float* value) {
    clip_scale(detail::float_policy(p), n, squares, max_norm, value);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
