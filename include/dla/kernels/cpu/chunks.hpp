// SPDX-License-Identifier: MIT
// How the Cpu kernels cut work into tasks: by problem size only, so that results do not depend on the number of threads.
#pragma once

#include <dla/kernels/cpu/declarations.hpp>
#include <dla/kernels/cpu/parallel.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Below this many values a fork costs more than it saves.
inline constexpr index_t parallel_values = 32768;

constexpr index_t ceil_div(index_t a, index_t b) { return (a + b - 1) / b; }
constexpr index_t round_up(index_t n, index_t step) { return ceil_div(n, step) * step; }

/// [0, n) in `count` pieces of `size` (the last may be smaller).
struct Chunks {
    index_t n = 0, size = 1, count = 0;
    constexpr index_t begin(index_t i) const { return i * size; }
    constexpr index_t length(index_t i) const { return std::min(size, n - i * size); }
};

/// `n` items of `weight` values each, in at most `most` pieces whose sizes are multiples of `step`; one piece if the work is small.
constexpr Chunks cut(index_t n, index_t weight, index_t step, index_t most) {
    if (n <= 0) return {};
    const index_t values = n * std::max<index_t>(weight, 1);
    if (values < parallel_values) return {n, n, 1};
    const index_t wanted = std::min(most, values / (parallel_values / 2));
    const index_t size = round_up((n + wanted - 1) / wanted, step);
    return {n, size, (n + size - 1) / size};
}

/// The most pieces that `cut` makes of `n` items or fewer: scratch memory is planned once, and a smaller batch may be cut into more pieces.
constexpr index_t most_pieces(index_t n, index_t weight, index_t step, index_t most) {
    weight = std::max<index_t>(weight, 1);
    if (n * weight < parallel_values) return n > 0 ? 1 : 0;
    return std::min(most, ceil_div(n, round_up(ceil_div(parallel_values / 2, weight), step)));
}

/// f(first, length) over pieces of [0, n) of an elementwise kernel: pieces start at multiples of 64 values.
template <class F>
void for_elements(const Cpu<float>& p, index_t n, const F& f) {
    const Chunks c = cut(n, 1, 64, 256);
    parallel_for(p.threads, c.count, [&](index_t i, int) { f(c.begin(i), c.length(i)); });
}

/// As for_elements, for kernels with a mask: pieces start at multiples of the 512 values whose bits share words.
template <class F>
void for_masked(const Cpu<float>& p, index_t n, const F& f) {
    const Chunks c = cut(n, 1, 512, 256);
    parallel_for(p.threads, c.count, [&](index_t i, int) { f(c.begin(i), c.length(i)); });
}

/// A piece of scratch memory: `count` values of T, and `scratch` moved behind it. Pieces stay 64-byte aligned.
template <class T>
T* take(std::byte*& scratch, index_t count) {
    T* piece = reinterpret_cast<T*>(scratch);
    scratch += round_up(count * static_cast<index_t>(sizeof(T)), 64);
    return piece;
}
template <class T>
constexpr index_t bytes_of(index_t count) {
    return round_up(count * static_cast<index_t>(sizeof(T)), 64);
}

}  // namespace dla::detail::inline DLA_ABI_TAG
