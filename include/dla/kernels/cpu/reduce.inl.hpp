// SPDX-License-Identifier: MIT
// Sums on one thread. Included once per target, see reduce.hpp. No include guard on purpose.

/// Sums over rows, [padded columns].
inline void column_sums(index_t rows, index_t columns, const float* x, index_t available, float* work, double* sums) {
    const index_t padded = padded_channels(columns);
    for (index_t c = 0; c < padded; c += half_lanes) store(sums + c, VecDouble{});
    for (index_t done = 0; done < rows; done += norm_block) {
        const index_t count = rows - done < norm_block ? rows - done : norm_block, left = available - done * columns;
        const index_t whole = whole_rows(count, columns, left) / 8 * 8;
        const float* block = x + done * columns;
        for (index_t c = 0; c < padded; c += lanes) store(work + c, Vec{});
        for (index_t r = 0; r < whole; r += 8)
            for (index_t c = 0; c < columns; c += lanes) {
                const float* at = block + r * columns + c;
                const Vec low = (load(at) + load(at + columns)) + (load(at + 2 * columns) + load(at + 3 * columns));
                const Vec high = (load(at + 4 * columns) + load(at + 5 * columns)) + (load(at + 6 * columns) + load(at + 7 * columns));
                store(work + c, load(work + c) + (low + high));
            }
        for (index_t r = whole; r < count; ++r)
            for (index_t c = 0; c < columns; c += lanes) store(work + c, load(work + c) + load_within(block + r * columns + c, left - r * columns - c));
        for (index_t c = 0; c < padded; c += half_lanes) store(sums + c, load(sums + c) + load_wide(work + c));
    }
}

/// Sum of term(x...) in double; f is called in the order of the elements, and may store.
template <class F>
inline double sum_of(index_t n, const F& term) {
    VecDouble even{}, odd{};
    index_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        even += term(i, half_lanes);
        odd += term(i + half_lanes, half_lanes);
    }
    for (; i < n; i += half_lanes) even += term(i, n - i);
    return horizontal_sum(even + odd);
}

[[gnu::always_inline]] inline VecDouble load_wide_within(const float* p, index_t n) { return n >= half_lanes ? load_wide(p) : load_wide(Padded(p, n).values); }

inline double squares(index_t n, const float* x) {
    return sum_of(
        n, [=](index_t i, index_t left) __attribute__((always_inline)) {
            const VecDouble v = load_wide_within(x + i, left);
            return v * v;
        });
}

/// Sum of (x - target)^2; gradient (or null) = (x - target) * factor, may be x.
inline double squared_distance(index_t n, const float* x, const float* target, double factor, float* gradient) {
    return sum_of(
        n, [=](index_t i, index_t left) __attribute__((always_inline)) {
            const VecDouble d = load_wide_within(x + i, left) - load_wide_within(target + i, left);
            if (gradient != nullptr && left >= half_lanes) store_wide(gradient + i, d * factor);
            if (gradient != nullptr && left < half_lanes) {
                float local[half_lanes];
                store_wide(local, d * factor);
                for (index_t j = 0; j < left; ++j) gradient[i + j] = local[j];
            }
            return d * d;
        });
}
