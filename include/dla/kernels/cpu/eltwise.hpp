// SPDX-License-Identifier: MIT
// Elementwise kernels of Cpu<float>: memory-bound loops over vectors, and activations within 4 ulp of the exact value.
#pragma once

#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/cpu/simd_math.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/normal.inl.hpp>

#include <dla/kernels/cpu/eltwise.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/normal.inl.hpp>

#include <dla/kernels/cpu/eltwise.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/normal.inl.hpp>

#include <dla/kernels/cpu/eltwise.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla {

template <Activation Kind>
void activation_forward(const Cpu<float>& p, ActivationIs<Kind>, const ActivationOptions& options, index_t n, const float* x, float* y) {
    const auto f = detail::select_isa(detail::base::activation_forward<Kind>, detail::avx2::activation_forward<Kind>, detail::avx512::activation_forward<Kind>);
    detail::for_elements(p, n, [&](index_t at, index_t length) { f(options, length, x + at, y + at); });
}
template <Activation Kind>
void activation_backward(const Cpu<float>& p, ActivationIs<Kind>, const ActivationOptions& options, index_t n, const float* x, const float* y, const float* dy,
                         float* dx) {
    const auto f =
        detail::select_isa(detail::base::activation_backward<Kind>, detail::avx2::activation_backward<Kind>, detail::avx512::activation_backward<Kind>);
    const float* v = Kind == Activation::relu || Kind == Activation::sigmoid || Kind == Activation::tanh ? y : x;
    detail::for_elements(p, n, [&](index_t at, index_t length) { f(options, length, v + at, dy + at, dx + at); });
}

namespace detail::inline DLA_ABI_TAG {

/// f(ActivationIs<kind>{}).
template <class F>
void with_kind(Activation kind, const F& f) {
    switch (kind) {
        case Activation::relu:
            return f(ActivationIs<Activation::relu>{});
        case Activation::leaky_relu:
            return f(ActivationIs<Activation::leaky_relu>{});
        case Activation::gelu:
            return f(ActivationIs<Activation::gelu>{});
        case Activation::gelu_tanh:
            return f(ActivationIs<Activation::gelu_tanh>{});
        case Activation::silu:
            return f(ActivationIs<Activation::silu>{});
        case Activation::sigmoid:
            return f(ActivationIs<Activation::sigmoid>{});
        case Activation::tanh:
            return f(ActivationIs<Activation::tanh>{});
        case Activation::elu:
            return f(ActivationIs<Activation::elu>{});
        case Activation::softplus:
            return f(ActivationIs<Activation::softplus>{});
        case Activation::hardswish:
            return f(ActivationIs<Activation::hardswish>{});
    }
}

/// Values up to a whole block of random words are the reference's; the others go to run(n, x, y, f), which calls f(i, length, x, y) in float for pieces that
/// start at multiples of 4.
template <class T, class Run>
void dropout_in_blocks(const Cpu<T>& p, index_t n, double probability, const RandomPosition* at, std::uint32_t stream, const T* x, T* y, index_t first,
                       const Run& run) {
    if (const index_t head = std::min<index_t>((4 - first % 4) % 4, n); head > 0) {
        dropout(static_cast<const Reference<T>&>(p), head, probability, at, stream, x, y, first);
        first += head, n -= head, x += head, y += head;
    }
    const auto f = select_isa(base::dropout, avx2::dropout, avx512::dropout);
    const auto threshold = static_cast<std::uint32_t>(std::ceil(probability * 0x1p24));  // word * 2^-24 >= probability, in integers
    const auto kept = static_cast<float>(1.0 - probability);
    run(n, x, y, [&](index_t i, index_t length, const float* from, float* to) { f(length, first + i, threshold, kept, *at, stream, from, to); });
}

}  // namespace detail::inline DLA_ABI_TAG

DLA_ONCE void activation_forward(const Cpu<float>& p, Activation kind, const ActivationOptions& options, index_t n, const float* x, float* y) {
    detail::with_kind(kind, [&](auto is) { activation_forward(p, is, options, n, x, y); });
}
DLA_ONCE void activation_backward(const Cpu<float>& p, Activation kind, const ActivationOptions& options, index_t n, const float* x, const float* y,
                                  const float* dy, float* dx) {
    detail::with_kind(kind, [&](auto is) { activation_backward(p, is, options, n, x, y, dy, dx); });
}

DLA_ONCE void add(const Cpu<float>& p, index_t n, const float* a, const float* b, float* y) {
    const auto f = detail::select_isa(detail::base::add, detail::avx2::add, detail::avx512::add);
    detail::for_elements(p, n, [&](index_t at, index_t length) { f(length, a + at, b + at, y + at); });
}

DLA_ONCE void add_relu(const Cpu<float>& p, index_t n, const float* a, const float* b, float* y, std::uint32_t* mask) {
    if (!mask) {
        const auto f = detail::select_isa(detail::base::add_relu, detail::avx2::add_relu, detail::avx512::add_relu);
        return detail::for_elements(p, n, [&](index_t at, index_t length) { f(length, a + at, b + at, y + at); });
    }
    const auto f = detail::select_isa(detail::base::add_relu_masked, detail::avx2::add_relu_masked, detail::avx512::add_relu_masked);
    detail::for_masked(p, n, [&](index_t at, index_t length) { f(length, a + at, b + at, y + at, mask + relu_mask_words(at)); });
}
DLA_ONCE void relu_mask_backward(const Cpu<float>& p, index_t n, const std::uint32_t* mask, const float* dy, float* dx) {
    const auto f = detail::select_isa(detail::base::relu_mask_backward, detail::avx2::relu_mask_backward, detail::avx512::relu_mask_backward);
    detail::for_masked(p, n, [&](index_t at, index_t length) { f(length, mask + relu_mask_words(at), dy + at, dx + at); });
}

DLA_ONCE void copy(const Cpu<float>& p, index_t n, const float* x, float* y) {
    if (x == y) return;
    detail::for_elements(p, n, [&](index_t at, index_t length) { std::memcpy(y + at, x + at, static_cast<std::size_t>(length) * sizeof(float)); });
}

DLA_ONCE void fill(const Cpu<float>& p, index_t n, float value, float* y) {
    const auto f = detail::select_isa(detail::base::fill, detail::avx2::fill, detail::avx512::fill);
    detail::for_elements(p, n, [&](index_t at, index_t length) { f(length, value, y + at); });
}

DLA_ONCE void dropout(const Cpu<float>& p, index_t n, double probability, const RandomPosition* at, std::uint32_t stream, const float* x, float* y,
                      index_t first) {
    detail::dropout_in_blocks(p, n, probability, at, stream, x, y, first, [&](index_t whole, const float* from, float* to, const auto& f) {
        detail::for_elements(p, whole, [&](index_t i, index_t length) { f(i, length, from + i, to + i); });
    });
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
