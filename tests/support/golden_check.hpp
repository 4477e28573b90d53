// SPDX-License-Identifier: MIT
// What the tests of kernels against golden vectors share: the policies, layouts, and comparisons whose bounds are in units of rounding (2^-53 or 2^-24) of
// the magnitudes that enter a result, so that one formula serves double and float.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <dla/kernels/contract.hpp>
#include <dla/kernels/reference.hpp>
#include <functional>
#include <limits>
#include <support/golden.hpp>
#include <support/registered.hpp>

#if __has_include(<dla/kernels/cpu.hpp>)
#include <dla/kernels/cpu.hpp>
#endif

// Who has other kernels defines it before.
#if !defined(POLICIES)
#define POLICIES dla::Reference<double>, dla::Reference<float>, dla::Cpu<float>
#endif

namespace golden {

using dla::index_t;

template <class P>
using Values = std::vector<typename P::scalar, support::Registered<typename P::scalar>>;

using Integers = std::vector<std::int32_t, support::Registered<std::int32_t>>;

template <class P>
constexpr double unit = std::is_same_v<typename P::scalar, double> ? 0x1p-53 : 0x1p-24;

/// [N, C, H, W] to [N, H, W, C]; for weights [O, I, kh, kw] to [O, kh, kw, I].
inline Tensor channels_last(const Tensor& t) {
    REQUIRE(t.dims.size() == 4);
    const auto n = t.dims[0], c = t.dims[1], h = t.dims[2], w = t.dims[3];
    Tensor out{{n, h, w, c}, std::vector<double>(t.values.size())};
    for (std::int64_t i = 0; i < t.size(); ++i) {
        const auto iw = i % w, ih = i / w % h, ic = i / w / h % c, in = i / w / h / c;
        out.values[static_cast<std::size_t>(((in * h + ih) * w + iw) * c + ic)] = t.values[static_cast<std::size_t>(i)];
    }
    return out;
}

template <class P>
Values<P> to(const Tensor& t) {
    Values<P> v;
    for (const double e : t.values) v.push_back(static_cast<typename P::scalar>(e));
    return v;
}

/// Output memory, poisoned: a value that a kernel forgets to write is found.
template <class P>
Values<P> poisoned(std::int64_t n) {
    return Values<P>(static_cast<std::size_t>(n), std::numeric_limits<typename P::scalar>::quiet_NaN());
}

/// What parameter gradients are accumulated onto.
constexpr double before = 0.25;
template <class P>
Values<P> accumulator(std::int64_t n) {
    return Values<P>(static_cast<std::size_t>(n), static_cast<typename P::scalar>(before));
}

inline double largest(const Tensor& t) {
    double m = 0;
    for (const double e : t.values)
        if (std::isfinite(e)) m = std::max(m, std::abs(e));
    return m;
}

struct Scratch {
    explicit Scratch(index_t bytes) : size(std::max<index_t>(bytes, 1)), room(static_cast<std::size_t>(size), std::byte{0xFF}), data(room.data()) {}
    Scratch(const Scratch&) = delete;
    index_t size;
    std::vector<std::byte, support::Registered<std::byte>> room;  // aligned for anything that kernels keep in it
    std::byte* data;
};

/// |got - (expected + offset)| <= bound(i) for every element; NaN meets NaN, infinities are equal.
template <class V>
void compare(const Case& c, const char* what, const Tensor& expected, const V& got, const std::function<double(std::size_t)>& bound,
             double offset = 0) {
    std::string problem;
    REQUIRE(expected.values.size() == got.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
        const double e = expected.values[i] + offset, g = static_cast<double>(got[i]);
        if (std::isnan(e) ? std::isnan(g) : std::isinf(e) ? e == g : std::abs(e - g) <= bound(i)) continue;
        problem = std::string(what) + "[" + std::to_string(i) + "]: expected " + std::to_string(e) + ", got " + std::to_string(g) + ", off by " +
                  std::to_string(std::abs(e - g) / bound(i)) + " times the bound";
        break;
    }
    CHECK_MESSAGE(problem.empty(), c.name << ": " << problem);
}

/// bound = factor * unit * (|expected| + scale).
template <class P>
void compare(const Case& c, const char* what, const Tensor& expected, const Values<P>& got, double factor, double scale, double offset = 0) {
    compare(c, what, expected, got, [&](std::size_t i) { return factor * unit<P> * (std::abs(expected.values[i]) + scale); }, offset);
}

/// Errors of sums of `terms` products, whose sum of magnitudes is `magnitude`: 8 sqrt(K) u sum |a||b|.
template <class P>
void compare_sums(const Case& c, const char* what, const Tensor& expected, const Values<P>& got, const std::vector<double>& magnitude, double terms,
                  double offset = 0) {
    compare(c, what, expected, got, [&](std::size_t i) { return 8 * std::sqrt(terms + 1) * unit<P> * (magnitude[i] + std::abs(offset)); }, offset);
}

inline std::vector<double> magnitudes(const Tensor& t) {
    std::vector<double> v = t.values;
    for (double& e : v) e = std::abs(e);
    return v;
}

template <class V>
auto* pointer(bool there, V& v) {
    return there ? v.data() : nullptr;
}

inline std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

}  // namespace golden
