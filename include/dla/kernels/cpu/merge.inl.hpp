// SPDX-License-Identifier: MIT
// Loops of one thread for kernels/cpu/merge.hpp. Included once per target. No include guard on purpose.

inline void multiply(index_t n, const float* a, const float* b, float* y) {
    map(n, y, [=](Vec u, Vec v) __attribute__((always_inline)) { return u * v; }, a, b);
}

/// y[c] = sum over the pixels of a * b, in double: an image may have many.
inline void sum_of_products(index_t pixels, index_t channels, const float* a, const float* b, float* y) {
    for (index_t c = 0; c < channels; c += half_lanes) {
        VecDouble sum{};
        if (channels - c >= half_lanes) {
            for (index_t i = 0; i < pixels; ++i) sum += load_wide(a + i * channels + c) * load_wide(b + i * channels + c);
            store_wide(y + c, sum);
        } else {
            for (index_t k = c; k < channels; ++k) {
                double one = 0;
                for (index_t i = 0; i < pixels; ++i) one += static_cast<double>(a[i * channels + k]) * static_cast<double>(b[i * channels + k]);
                y[k] = static_cast<float>(one);
            }
        }
    }
}
