// SPDX-License-Identifier: MIT
// Normalisation of runs of neighbouring values, each by numbers of its own, on one thread. Included once per target, see run_norm.hpp. No include guard on
// purpose.

/// The sum over [0, n) of f(at, left), which gives a vector with zeros behind the `left` values that remain: in float over blocks, in double over those.
template <class F>
[[gnu::always_inline]] inline double run_sum(index_t n, const F& f) {
    constexpr index_t block = 64 * lanes;
    double total = 0;
    for (index_t first = 0; first < n; first += block) {
        const index_t end = n - first < block ? n : first + block;
        Vec a{}, b{};
        index_t at = first;
        for (; at + 2 * lanes <= end; at += 2 * lanes) a += f(at, lanes), b += f(at + lanes, lanes);
        for (; at < end; at += lanes) a += f(at, end - at);
        total += static_cast<double>(horizontal_sum(a + b));
    }
    return total;
}
inline double run_total(index_t n, const float* x) {
    return run_sum(n, [=](index_t at, index_t left) __attribute__((always_inline)) { return load_within(x + at, left); });
}
/// Of differences from `near`.
inline double run_offset(index_t n, const float* x, float near) {
    return run_sum(n, [=](index_t at, index_t left) __attribute__((always_inline)) { return load_within(x + at, left, near) - near; });
}
/// Of squared distances from `mean`.
inline double run_squares(index_t n, const float* x, float mean) {
    return run_sum(n, [=](index_t at, index_t left) __attribute__((always_inline)) {
        const Vec d = load_within(x + at, left, mean) - mean;
        return d * d;
    });
}
/// Of dy * (x - mean).
inline double run_product(index_t n, const float* x, const float* dy, float mean) {
    return run_sum(n, [=](index_t at, index_t left) __attribute__((always_inline)) {
        return load_within(dy + at, left) * (load_within(x + at, left) - mean);
    });
}

/// y = (x - mean) * gain + shift; y may be x.
inline void run_normalise(index_t n, const float* x, float mean, float gain, float shift, float* y) {
    for (index_t at = 0; at < n; at += lanes) store_within(y + at, (load_within(x + at, n - at) - mean) * gain + shift, n - at);
}
/// dx = (dy - offset - (x - mean) * slope) * gain; dx may be dy.
inline void run_input_gradient(index_t n, const float* x, const float* dy, float mean, float gain, float offset, float slope, float* dx) {
    for (index_t at = 0; at < n; at += lanes)
        store_within(dx + at, (load_within(dy + at, n - at) - offset - (load_within(x + at, n - at) - mean) * slope) * gain, n - at);
}

/// y = (x - mean) * invstd * w + b for a row; w and b or null.
inline void layer_normalise(index_t columns, const float* x, float mean, float invstd, const float* w, const float* b, float* y) {
    if (w == nullptr) return run_normalise(columns, x, mean, invstd, 0.0f, y);
    for (index_t c = 0; c < columns; c += lanes) {
        const index_t left = columns - c;
        const Vec unit = (load_within(x + c, left) - mean) * invstd * load_within(w + c, left);
        store_within(y + c, b != nullptr ? unit + load_within(b + c, left) : unit, left);
    }
}
/// A row's part of the gradients: dw, db [padded columns] (or null) += those of the parameters; dx (or null) is written and may be dy.
inline void layer_norm_row(index_t columns, const float* x, const float* dy, float mean, float invstd, const float* w, float* dw, float* db, float* dx) {
    const auto scaled = [=](index_t c, index_t left) __attribute__((always_inline)) {
        const Vec d = load_within(dy + c, left);
        return w != nullptr ? d * load_within(w + c, left) : d;
    };
    float offset = 0, slope = 0;
    if (dx != nullptr) {
        const double n = static_cast<double>(columns);
        offset = static_cast<float>(run_sum(columns, scaled) / n);
        slope = static_cast<float>(run_sum(columns,
                                           [=](index_t c, index_t left) __attribute__((always_inline)) {
                                               return scaled(c, left) * ((load_within(x + c, left) - mean) * invstd);
                                           }) /
                                   n);
    }
    for (index_t c = 0; c < columns; c += lanes) {
        const index_t left = columns - c;
        const Vec unit = (load_within(x + c, left) - mean) * invstd, d = load_within(dy + c, left);
        if (dw != nullptr) {
            store(dw + c, load(dw + c) + d * unit);
            store(db + c, load(db + c) + d);
        }
        if (dx != nullptr) store_within(dx + c, ((w != nullptr ? d * load_within(w + c, left) : d) - offset - unit * slope) * invstd, left);
    }
}
