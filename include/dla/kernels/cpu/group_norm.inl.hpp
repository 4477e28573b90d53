// SPDX-License-Identifier: MIT
// Gradients of a group normalisation on one thread. Included once per target, see group_norm.hpp. No include guard on purpose.

/// dx = (dy * gain - offset - (x - centre) * slope) * scale for rows of `channels` values, with numbers of their own (whole vectors) for each; dx may be dy.
inline void group_input_gradient(index_t rows, index_t channels, const float* x, const float* dy, const float* centre, const float* gain, const float* offset,
                                 const float* slope, const float* scale, float* dx) {
    constexpr index_t together = 4;  // rows for which the numbers are loaded once
    for (index_t r = 0; r < rows; r += together) {
        const index_t end = (rows - r < together ? rows : r + together) * channels;
        for (index_t c = 0; c < channels; c += lanes) {
            const Vec m = load(centre + c), g = load(gain + c), o = load(offset + c), t = load(slope + c), s = load(scale + c);
            const index_t left = channels - c;
            for (index_t at = r * channels + c; at < end; at += channels)
                store_within(dx + at, (load_within(dy + at, left) * g - o - (load_within(x + at, left) - m) * t) * s, left);
        }
    }
}
/// The same for a run of n values, with one number for all.
inline void group_run_gradient(index_t n, const float* x, const float* dy, float centre, float gain, float offset, float slope, float scale, float* dx) {
    for (index_t at = 0; at < n; at += lanes)
        store_within(dx + at, (load_within(dy + at, n - at) * gain - offset - (load_within(x + at, n - at) - centre) * slope) * scale, n - at);
}
