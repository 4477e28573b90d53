// SPDX-License-Identifier: MIT
// The transforms of F(4x4, 3x3) and of its gradient. Included once per target, see winograd.hpp. No include guard on purpose.
// y = A' [(G w G') * (B' x B)] A, where * multiplies place by place (Winograd 1980; Lavin and Gray 2016), for the points 0, near, -near, far, -far and
// infinity. Those of the textbooks, 1 and 2, give more than twice the error: the last value of y is then made of numbers eight times as large as the first.
// Expressions are such that there is one way to fuse a product that is rounded with a sum: the same bits from each compiler.
struct WinogradPoints {
    static constexpr float near = 0.75f, near2 = near * near, near3 = near2 * near, far = 2 * near, far2 = far * far;
    static constexpr float at_zero = 1 / (near2 * far2), at_near = 1 / (2 * near2 * (near2 - far2)), at_far = 1 / (2 * far2 * (far2 - near2));
};

/// B' of six values s apart.
[[gnu::always_inline]] inline void winograd_input(const Vec* d, int s, Vec* o, int os) {
    using W = WinogradPoints;
    const Vec d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s], d4 = d[4 * s], d5 = d[5 * s];
    const Vec even = d4 - W::far2 * d2, odd = d3 - W::far2 * d1, far_even = d4 - W::near2 * d2, far_odd = d3 - W::near2 * d1;
    o[0] = d4 - (W::near2 + W::far2) * d2 + W::near2 * W::far2 * d0;
    o[os] = even + W::near * odd;
    o[2 * os] = even - W::near * odd;
    o[3 * os] = far_even + W::far * far_odd;
    o[4 * os] = far_even - W::far * far_odd;
    o[5 * os] = d5 - (W::near2 + W::far2) * d3 + W::near2 * W::far2 * d1;
}
/// A': six to four.
[[gnu::always_inline]] inline void winograd_output(const Vec* m, int s, Vec* o, int os) {
    using W = WinogradPoints;
    const Vec sum = m[s] + m[2 * s], difference = m[s] - m[2 * s], far_sum = m[3 * s] + m[4 * s], far_difference = m[3 * s] - m[4 * s];
    o[0] = m[0] + sum + far_sum;
    o[os] = W::near * (difference + 2 * far_difference);
    o[2 * os] = W::near2 * (sum + 4 * far_sum);
    o[3 * os] = W::near3 * (difference + 8 * far_difference) + m[5 * s];
}
/// G: three to six.
[[gnu::always_inline]] inline void winograd_weights(const Vec* g, int s, Vec* o, int os) {
    using W = WinogradPoints;
    const Vec even = g[0] + W::near2 * g[2 * s], far_even = g[0] + W::far2 * g[2 * s], odd = g[s];
    o[0] = g[0] * W::at_zero;
    o[os] = (even + W::near * odd) * W::at_near;
    o[2 * os] = (even - W::near * odd) * W::at_near;
    o[3 * os] = (far_even + W::far * odd) * W::at_far;
    o[4 * os] = (far_even - W::far * odd) * W::at_far;
    o[5 * os] = g[2 * s];
}
/// What takes G's place in the gradient of w, F(3x3, 4x4): four to six.
[[gnu::always_inline]] inline void winograd_gradient(const Vec* d, int s, Vec* o, int os) {
    using W = WinogradPoints;
    const Vec even = d[0] + W::near2 * d[2 * s], odd = d[s] + W::near2 * d[3 * s], far_even = d[0] + W::far2 * d[2 * s], far_odd = d[s] + W::far2 * d[3 * s];
    o[0] = d[0] * W::at_zero;
    o[os] = (even + W::near * odd) * W::at_near;
    o[2 * os] = (even - W::near * odd) * W::at_near;
    o[3 * os] = (far_even + W::far * far_odd) * W::at_far;
    o[4 * os] = (far_even - W::far * far_odd) * W::at_far;
    o[5 * os] = d[3 * s];
}
/// And A': six to three.
[[gnu::always_inline]] inline void winograd_taps(const Vec* m, int s, Vec* o, int os) {
    using W = WinogradPoints;
    const Vec sum = m[s] + m[2 * s], difference = m[s] - m[2 * s], far_sum = m[3 * s] + m[4 * s], far_difference = m[3 * s] - m[4 * s];
    o[0] = m[0] + sum + far_sum;
    o[os] = W::near * (difference + 2 * far_difference);
    o[2 * os] = W::near2 * (sum + 4 * far_sum) + m[5 * s];
}

/// Positions of an image, at(row, column); transformed to to[q * step + channel], q < 36. Writes whole vectors. Columns are transformed as they are read and
/// rows as they are written: the registers hold no more. What the next tile reads and this one does not, `ahead` of here, is sent for: it may lie in memory.
template <int Size, auto Transform, class At>
[[gnu::always_inline]] inline void winograd_channels(const At& at, index_t ahead, index_t channels, float* to, index_t step) {
    for (index_t c = 0; c < channels; c += lanes) {
        Vec e[36];
        const index_t here = channels - c;
#pragma GCC unroll 6
        for (int k = 0; k < Size; ++k) {
            Vec d[Size];
            if (here < lanes) {
                for (int r = 0; r < Size; ++r) d[r] = load_within(at(r, k) + c, here);
            } else {
#pragma GCC unroll 6
                for (int r = Size - 4; k >= Size - 4 && r < Size; ++r) __builtin_prefetch(at(r, k) + c + ahead);
#pragma GCC unroll 6
                for (int r = 0; r < Size; ++r) d[r] = load(at(r, k) + c);
            }
            Transform(d, 1, e + k, 6);
        }
#pragma GCC unroll 6
        for (int r = 0; r < 6; ++r) {
            Vec f[6];
            Transform(e + r * 6, 1, f, 1);
#pragma GCC unroll 6
            for (int k = 0; k < 6; ++k) store(to + (r * 6 + k) * step + c, f[k]);
        }
    }
}
/// `Size` x `Size` positions of an image, of which the rows and columns within the window lie in it and the others are zeros.
template <int Size, auto Transform>
inline void winograd_patch(const float* image, const WinogradWindow& w, index_t channels, float* to, index_t step) {
    const index_t ahead = 4 * w.right;
    if (w.row0 == 0 && w.column0 == 0 && w.row1 == Size && w.column1 == Size) {
        const auto at = [=](int r, int k) __attribute__((always_inline)) { return image + r * w.down + k * w.right; };
        return winograd_channels<Size, Transform>(at, ahead, channels, to, step);
    }
    constexpr index_t block = 512;  // channels of zeros
    static constexpr float zeros[block] = {};
    for (index_t c = 0; c < channels; c += block) {
        const float* pixels[Size * Size];
        for (const float*& pixel : pixels) pixel = zeros;
        for (index_t r = w.row0; r < w.row1; ++r)
            for (index_t k = w.column0; k < w.column1; ++k) pixels[r * Size + k] = image + r * w.down + k * w.right + c;
        const auto at = [&](int r, int k) __attribute__((always_inline)) { return pixels[r * Size + k]; };
        winograd_channels<Size, Transform>(at, ahead, std::min(channels - c, block), to + c, step);
    }
}
[[gnu::noinline]] inline void winograd_input_patch(const float* image, const WinogradWindow& w, index_t channels, float* to, index_t step) {
    winograd_patch<6, winograd_input>(image, w, channels, to, step);
}
[[gnu::noinline]] inline void winograd_gradient_patch(const float* image, const WinogradWindow& w, index_t channels, float* to, index_t step) {
    winograd_patch<4, winograd_gradient>(image, w, channels, to, step);
}

/// from[q * step + channel] back to at most 4 x 4 positions of an image, plus bias (or null).
[[gnu::noinline]] inline void winograd_output_patch(const float* from, index_t step, const float* bias, const WinogradWindow& w, index_t channels,
                                                    float* image) {
    for (index_t c = 0; c < channels; c += lanes) {
        Vec e[24];
        const index_t here = channels - c;
#pragma GCC unroll 6
        for (int k = 0; k < 6; ++k) {
            Vec m[6];
#pragma GCC unroll 6
            for (int r = 0; r < 6; ++r) m[r] = load(from + (r * 6 + k) * step + c);
            winograd_output(m, 1, e + k, 6);
        }
        const Vec b = bias != nullptr ? load_within(bias + c, here) : Vec{};
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) {
            if (r >= w.row1) break;
            float* to = image + r * w.down + c;
            Vec y[4];
            winograd_output(e + r * 6, 1, y, 1);
            if (here < lanes) {
                for (index_t k = 0; k < w.column1; ++k) store_within(to + k * w.right, y[k] + b, here);
                continue;
            }
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k) __builtin_prefetch(to + (k + 4) * w.right, 1);  // where the next tile goes
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k)
                if (k < w.column1) store(to + k * w.right, y[k] + b);
        }
    }
}

/// The nine taps of `channels` neighbouring weights, tap t at w + t * tap_step, to to[q * step + channel]: whole vectors, zeros behind the last channel.
[[gnu::noinline]] inline void winograd_weights_patch(const float* w, index_t tap_step, index_t channels, float* to, index_t step) {
    for (index_t c = 0; c < channels; c += lanes) {
        Vec g[9], e[18], u[36];
        for (int t = 0; t < 9; ++t) g[t] = load_within(w + t * tap_step + c, channels - c);
#pragma GCC unroll 3
        for (int k = 0; k < 3; ++k) winograd_weights(g + k, 3, e + k, 3);
#pragma GCC unroll 6
        for (int r = 0; r < 6; ++r) winograd_weights(e + r * 3, 1, u + r * 6, 1);
        for (int q = 0; q < 36; ++q) store(to + q * step + c, u[q]);
    }
}

/// The sum over `parts`, in their order, of from[part * part_step + q * step + channel], to the nine taps: to[t * to_step + channel].
[[gnu::noinline]] inline void winograd_taps_patch(const float* from, index_t parts, index_t part_step, index_t step, index_t channels, float* to,
                                                  index_t to_step) {
    for (index_t c = 0; c < channels; c += lanes) {
        Vec m[36], e[18], g[9];
        for (int q = 0; q < 36; ++q) {
            m[q] = load(from + q * step + c);
            for (index_t part = 1; part < parts; ++part) m[q] += load(from + part * part_step + q * step + c);
        }
#pragma GCC unroll 6
        for (int k = 0; k < 6; ++k) winograd_taps(m + k, 6, e + k, 6);
#pragma GCC unroll 3
        for (int r = 0; r < 3; ++r) winograd_taps(e + r * 6, 1, g + r * 3, 1);
        for (int t = 0; t < 9; ++t) store(to + t * to_step + c, g[t]);
    }
}

inline constexpr WinogradTarget winograd_target{&winograd_input_patch, &winograd_gradient_patch, &winograd_output_patch, &winograd_weights_patch,
                                                &winograd_taps_patch};
