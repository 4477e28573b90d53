// SPDX-License-Identifier: MIT
// Convolutions with one channel in a group, on one thread: neighbouring channels are neighbouring lanes. Included once per target, see depthwise.hpp. No
// include guard on purpose.

/// Columns x Vectors results of one row, or with Vectors = 1 `left` channels of them.
template <int Columns, int Vectors>
[[gnu::always_inline]] inline void depthwise_block(const DepthwiseSums& d, const float* from, const float* weights, const float* bias, float* to,
                                                   index_t left) {
    const auto read = [=](const float* p, int v) __attribute__((always_inline)) {
        return left >= Vectors * lanes ? load(p + v * lanes) : load_within(p + v * lanes, left - v * lanes);
    };
    Vec sum[Columns][Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
        const Vec start = bias != nullptr ? read(bias, v) : Vec{};
#pragma GCC unroll 8
        for (int j = 0; j < Columns; ++j) sum[j][v] = start;
    }
    for (index_t u = 0; u < d.taps_h; ++u) {
        const float *x = from + u * d.tap_down, *w = weights + u * d.weight_down;
        for (index_t t = 0; t < d.taps_w; ++t, x += d.tap_right, w += d.weight_right) {
#pragma GCC unroll 8
            for (int v = 0; v < Vectors; ++v) {
                const Vec weight = read(w, v);
#pragma GCC unroll 8
                for (int j = 0; j < Columns; ++j) sum[j][v] += read(x + j * d.right, v) * weight;
            }
        }
    }
#pragma GCC unroll 8
    for (int j = 0; j < Columns; ++j) {
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) {
            float* const c = to + j * d.to_right + v * lanes;
            if (left >= Vectors * lanes)
                store(c, sum[j][v]);
            else
                store_within(c, sum[j][v], left - v * lanes);
        }
    }
}
template <int Vectors>
[[gnu::always_inline]] inline void depthwise_row(const DepthwiseSums& d, index_t row, index_t c) {
    const float *from = d.from + row * d.down + c, *weights = d.weights + c, *bias = d.bias != nullptr ? d.bias + c : nullptr;
    float* to = d.to + row * d.to_down + c;
    const index_t left = d.channels - c;
    index_t j = 0;
    for (; j + 4 <= d.columns; j += 4) depthwise_block<4, Vectors>(d, from + j * d.right, weights, bias, to + j * d.to_right, left);
    for (; j < d.columns; ++j) depthwise_block<1, Vectors>(d, from + j * d.right, weights, bias, to + j * d.to_right, left);
}
[[gnu::noinline]] inline void depthwise_sums(const DepthwiseSums& d) {
    for (index_t row = 0; row < d.rows; ++row) {
        index_t c = 0;
        for (; c + 2 * lanes <= d.channels; c += 2 * lanes) depthwise_row<2>(d, row, c);
        for (; c < d.channels; c += lanes) depthwise_row<1>(d, row, c);
    }
}

/// Taps [first, first + Taps) of the gradient of w, for the channels from c on.
template <int Taps>
[[gnu::always_inline]] inline void depthwise_taps(const DepthwiseProducts& d, index_t first, index_t c) {
    const index_t left = d.channels - c;
    const auto read = [=](const float* p) __attribute__((always_inline)) { return left >= lanes ? load(p) : load_within(p, left); };
    index_t offset[Taps];
    Vec sum[Taps];
#pragma GCC unroll 16
    for (int t = 0; t < Taps; ++t) {
        offset[t] = (first + t) / d.taps_w * d.tap_down + (first + t) % d.taps_w * d.tap_right;
        sum[t] = Vec{};
    }
    for (index_t row = 0; row < d.rows; ++row) {
        const float *x = d.x + row * d.down + c, *dy = d.dy + row * d.dy_down + c;
        for (index_t j = 0; j < d.columns; ++j, x += d.right, dy += d.channels) {
            const Vec gradient = read(dy);
#pragma GCC unroll 16
            for (int t = 0; t < Taps; ++t) sum[t] += read(x + offset[t]) * gradient;
        }
    }
#pragma GCC unroll 16
    for (int t = 0; t < Taps; ++t) {
        float* const to = d.sums + (first + t) * d.channels + c;
        store_within(to, d.add ? load_within(to, left) + sum[t] : sum[t], left);
    }
}
[[gnu::noinline]] inline void depthwise_products(const DepthwiseProducts& d) {
    for (index_t c = 0; c < d.channels; c += lanes) {
        index_t t = 0;
        for (; t + 9 <= d.taps; t += 9) depthwise_taps<9>(d, t, c);
        for (; t + 3 <= d.taps; t += 3) depthwise_taps<3>(d, t, c);
        for (; t < d.taps; ++t) depthwise_taps<1>(d, t, c);
    }
}

inline constexpr DepthwiseTarget depthwise_target{&depthwise_sums, &depthwise_products};
