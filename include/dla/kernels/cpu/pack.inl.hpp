// SPDX-License-Identifier: MIT
// The packing of B panels. Included once per target, see tile.hpp. No include guard on purpose.

/// to[s * width + j] = from[s * ld + j] for j < cols, else 0.
[[gnu::noinline]] inline void pack_rows(index_t steps, index_t cols, index_t width, const float* from, index_t ld, float* to) {
    if (cols == width) {
        for (index_t s = 0; s < steps; ++s, from += ld, to += width) {
            for (index_t j = 0; j < width; j += lanes) store(to + j, load(from + j));
        }
        return;
    }
    for (index_t s = 0; s < steps; ++s, from += ld, to += width) {
        for (index_t j = 0; j < cols; ++j) to[j] = from[j];
        for (index_t j = cols; j < width; ++j) to[j] = 0;
    }
}

using Quad [[gnu::vector_size(16)]] = float;
using QuadUnaligned [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = float;
template <class V>
[[gnu::always_inline]] inline V low_of(V a, V b) {  // of each four values a0 b0 a1 b1
    if constexpr (sizeof(V) == 64)
        return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
    else if constexpr (sizeof(V) == 32)
        return __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
    else
        return __builtin_shufflevector(a, b, 0, 4, 1, 5);
}
template <class V>
[[gnu::always_inline]] inline V high_of(V a, V b) {  // of each four values a2 b2 a3 b3
    if constexpr (sizeof(V) == 64)
        return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    else if constexpr (sizeof(V) == 32)
        return __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
    else
        return __builtin_shufflevector(a, b, 2, 6, 3, 7);
}
template <class V>
[[gnu::always_inline]] inline V first_of(V a, V b) {  // of each four values a0 a1 b0 b1
    if constexpr (sizeof(V) == 64)
        return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
    else if constexpr (sizeof(V) == 32)
        return __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
    else
        return __builtin_shufflevector(a, b, 0, 1, 4, 5);
}
template <class V>
[[gnu::always_inline]] inline V last_of(V a, V b) {  // of each four values a2 a3 b2 b3
    if constexpr (sizeof(V) == 64)
        return __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    else if constexpr (sizeof(V) == 32)
        return __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
    else
        return __builtin_shufflevector(a, b, 2, 3, 6, 7);
}
/// Four values of each of lanes / 4 rows that lie `step` apart.
template <int Bytes = vector_bytes>
[[gnu::always_inline]] inline Vec load_quads(const float* p, index_t step) {
    const auto quad = [=](int i) __attribute__((always_inline)) -> Quad { return *reinterpret_cast<const QuadUnaligned*>(p + i * step); };
    if constexpr (Bytes == 64) {
        const auto low = __builtin_shufflevector(quad(0), quad(1), 0, 1, 2, 3, 4, 5, 6, 7);
        const auto high = __builtin_shufflevector(quad(2), quad(3), 0, 1, 2, 3, 4, 5, 6, 7);
        return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    } else if constexpr (Bytes == 32) {
        return __builtin_shufflevector(quad(0), quad(1), 0, 1, 2, 3, 4, 5, 6, 7);
    } else {
        return quad(0);
    }
}

/// to[s * width + j] = from[j * ld + s] for j < cols, else 0. Four steps of as many columns as a vector has at a time.
[[gnu::noinline]] inline void pack_columns(index_t steps, index_t cols, index_t width, const float* from, index_t ld, float* to) {
    index_t j = 0;
    for (; j + lanes <= cols; j += lanes) {
        const float* f = from + j * ld;
        float* t = to + j;
        index_t s = 0;
        for (; s + 4 <= steps; s += 4, f += 4, t += 4 * width) {
            const Vec r0 = load_quads(f, 4 * ld), r1 = load_quads(f + ld, 4 * ld), r2 = load_quads(f + 2 * ld, 4 * ld), r3 = load_quads(f + 3 * ld, 4 * ld);
            const Vec l01 = low_of(r0, r1), h01 = high_of(r0, r1), l23 = low_of(r2, r3), h23 = high_of(r2, r3);
            store(t, first_of(l01, l23));
            store(t + width, last_of(l01, l23));
            store(t + 2 * width, first_of(h01, h23));
            store(t + 3 * width, last_of(h01, h23));
        }
        for (; s < steps; ++s, ++f, t += width) {
            for (index_t q = 0; q < lanes; ++q) t[q] = f[q * ld];
        }
    }
    for (; j < width; ++j) {
        for (index_t s = 0; s < steps; ++s) to[s * width + j] = j < cols ? from[j * ld + s] : 0.0f;
    }
}
