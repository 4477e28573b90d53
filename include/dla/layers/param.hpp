// SPDX-License-Identifier: MIT
// What layers are given memory for: parameters with their sizes, order on disk and initial values, and buffers of a batch.
#pragma once

#include <dla/backend/context.hpp>
#include <dla/kernels/contract.hpp>
#include <dla/kernels/cpu.hpp>  // what is compiled once for Cpu<float> must not be compiled with the kernels that it inherits

#include <cstdint>
#include <vector>

namespace dla {

/// What a parameter is, so that optimizers can treat kinds apart.
enum class ParamKind { weight, bias, norm_weight, norm_bias };

/// Sizes of a parameter as PyTorch stores it, outermost first.
struct Dims {
    int rank = 0;
    index_t d[4]{};
    constexpr Dims() = default;
    template <class... Sizes>
    constexpr Dims(Sizes... sizes) : rank(sizeof...(Sizes)), d{static_cast<index_t>(sizes)...} {}
    /// Number of values (the largest index_t if they are more).
    constexpr index_t size() const {
        index_t n = 1;
        for (int i = 0; i < rank; ++i) n = saturating_mul(n, d[i]);
        return n;
    }
    /// As a file's shape.
    std::vector<std::int64_t> sizes() const { return {d, d + rank}; }
    constexpr bool operator==(const Dims&) const = default;
};

/// How memory order differs from PyTorch's: memory is [outer][pixels][channels], on disk [outer][channels][pixels]. pixels = 1: no difference.
struct DiskOrder {
    index_t outer = 1, channels = 1, pixels = 1;
    /// Calls f(index in PyTorch's order, index in memory) for every value.
    template <class F>
    void for_each(const F& f) const {
        for (index_t o = 0; o < outer; ++o)
            for (index_t c = 0; c < channels; ++c)
                for (index_t p = 0; p < pixels; ++p)
                    f(static_cast<std::size_t>((o * channels + c) * pixels + p), static_cast<std::size_t>((o * pixels + p) * channels + c));
    }
    constexpr bool operator==(const DiskOrder&) const = default;
};

/// The order on disk of a parameter with one value for each feature or channel of `s`: behind a Flatten the features of an image are stored
/// (height, width, channels), PyTorch's are (channels, height, width).
constexpr DiskOrder feature_order(const Shape& s) {
    return s.is_flattened_image() ? DiskOrder{.outer = 1, .channels = s.d[0] / (s.d[1] * s.d[2]), .pixels = s.d[1] * s.d[2]} : DiskOrder{};
}

/// Initial values: `fixed` everywhere, or uniform in [-bound, bound) when bound > 0.
struct Init {
    double fixed = 0;
    double bound = 0;
};

/// A parameter in the policy's memory: `value` is what products read, `master` what is trained and saved (where the policy's types are equal, the same memory),
/// `grad` its gradient.
template <class P>
struct Param {
    kernel::WeightPtr<P> value{};
    kernel::MasterPtr<P> master{};
    kernel::MasterPtr<P> grad{};
};

/// The parameters of most layers.
template <class P>
struct WeightAndBias {
    Param<P> weight, bias;
};

/// A buffer that the memory plan hands out.
template <class P, class T = typename P::scalar>
struct Planned {
    typename P::template pointer<T> data{};
    int id = -1;
};

}  // namespace dla
