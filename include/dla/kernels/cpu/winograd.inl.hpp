// SPDX-License-Identifier: MIT
// The transforms of F(4x4, 3x3) and of its gradient. Included once per target, see winograd.hpp. No include guard on purpose.
// y = A' [(G w G') * (B' x B)] A, where * multiplies place by place (Winograd 1980; Lavin and Gray 2016), for the points 0, near, -near, far, -far and
// infinity. Those of the textbooks, 1 and 2, give more than twice the error: the last value of y is then made of numbers eight times as large as the first.
// Where a tile reaches over the image's border, three or two results along a side are enough: then -far, or far and -far, are left out. The weights stay as
// they are, for what they would be multiplied by is part of B'.
// Expressions are such that there is one way to fuse a product that is rounded with a sum: the same bits from each compiler.
struct WinogradPoints {
    static constexpr float near = 0.75f, near2 = near * near, near3 = near2 * near, far = 2 * near, far2 = far * far;
    static constexpr float at_zero = 1 / (near2 * far2), at_near = 1 / (2 * near2 * (near2 - far2)), at_far = 1 / (2 * far2 * (far2 - near2));
};

/// B' of Results + 2 values s apart.
struct WinogradInput {
    static constexpr int more = 2;  // values than results
    template <int Results>
    [[gnu::always_inline]] static void transform(const Vec* d, int s, Vec* o, int os) {
        using W = WinogradPoints;
        const Vec d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s];
        if constexpr (Results == 4) {
            const Vec d4 = d[4 * s], d5 = d[5 * s];
            const Vec even = d4 - W::far2 * d2, odd = d3 - W::far2 * d1, far_even = d4 - W::near2 * d2, far_odd = d3 - W::near2 * d1;
            o[0] = d4 - (W::near2 + W::far2) * d2 + W::near2 * W::far2 * d0;
            o[os] = even + W::near * odd;
            o[2 * os] = even - W::near * odd;
            o[3 * os] = far_even + W::far * far_odd;
            o[4 * os] = far_even - W::far * far_odd;
            o[5 * os] = d5 - (W::near2 + W::far2) * d3 + W::near2 * W::far2 * d1;
        } else if constexpr (Results == 3) {
            const Vec d4 = d[4 * s];
            o[0] = W::far * (d3 - W::far * d2 - W::near2 * d1 + W::near2 * W::far * d0);
            o[os] = (W::near + W::far) * (d3 + (W::near - W::far) * d2 - W::near * W::far * d1);
            o[2 * os] = (W::far - W::near) * (d3 - (W::near + W::far) * d2 + W::near * W::far * d1);
            o[3 * os] = 2 * W::far * (d3 - W::near2 * d1);
            o[5 * os] = d4 - W::far * d3 - W::near2 * d2 + W::near2 * W::far * d1;
        } else {
            o[0] = W::far2 * (W::near2 * d0 - d2);
            o[os] = (W::near2 - W::far2) * (d2 + W::near * d1);
            o[2 * os] = (W::near2 - W::far2) * (d2 - W::near * d1);
            o[5 * os] = d3 - W::near2 * d1;
        }
    }
};
/// A': six to as many results.
struct WinogradOutput {
    template <int Results>
    [[gnu::always_inline]] static void transform(const Vec* m, int s, Vec* o, int os) {
        using W = WinogradPoints;
        const Vec sum = m[s] + m[2 * s], difference = m[s] - m[2 * s];
        if constexpr (Results == 4) {
            const Vec far_sum = m[3 * s] + m[4 * s], far_difference = m[3 * s] - m[4 * s];
            o[0] = m[0] + sum + far_sum;
            o[os] = W::near * (difference + 2 * far_difference);
            o[2 * os] = W::near2 * (sum + 4 * far_sum);
            o[3 * os] = W::near3 * (difference + 8 * far_difference) + m[5 * s];
        } else if constexpr (Results == 3) {
            o[0] = m[0] + sum + m[3 * s];
            o[os] = W::near * (difference + 2 * m[3 * s]);
            o[2 * os] = W::near2 * (sum + 4 * m[3 * s]) + m[5 * s];
        } else {
            o[0] = m[0] + sum;
            o[os] = W::near * difference + m[5 * s];
        }
    }
};
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
/// What takes G's place in the gradient of w, F(3x3, 4x4): as many values as results to six.
struct WinogradGradient {
    static constexpr int more = 0;
    template <int Results>
    [[gnu::always_inline]] static void transform(const Vec* d, int s, Vec* o, int os) {
        using W = WinogradPoints;
        Vec even = d[0], odd = d[s], far_even = d[0], far_odd = d[s];
        if constexpr (Results >= 3) even += W::near2 * d[2 * s], far_even += W::far2 * d[2 * s];
        if constexpr (Results == 4) odd += W::near2 * d[3 * s], far_odd += W::far2 * d[3 * s];
        o[0] = d[0] * W::at_zero;
        o[os] = (even + W::near * odd) * W::at_near;
        o[2 * os] = (even - W::near * odd) * W::at_near;
        if constexpr (Results >= 3) o[3 * os] = (far_even + W::far * far_odd) * W::at_far;
        if constexpr (Results == 4) o[4 * os] = (far_even - W::far * far_odd) * W::at_far;
        o[5 * os] = d[(Results - 1) * s];
    }
};
/// And A': six to three.
[[gnu::always_inline]] inline void winograd_taps(const Vec* m, int s, Vec* o, int os) {
    using W = WinogradPoints;
    const Vec sum = m[s] + m[2 * s], difference = m[s] - m[2 * s], far_sum = m[3 * s] + m[4 * s], far_difference = m[3 * s] - m[4 * s];
    o[0] = m[0] + sum + far_sum;
    o[os] = W::near * (difference + 2 * far_difference);
    o[2 * os] = W::near2 * (sum + 4 * far_sum) + m[5 * s];
}

/// f(std::integral_constant<int, results>): along a side of a tile.
template <class F>
[[gnu::always_inline]] inline void winograd_of(index_t results, const F& f) {
    if (results == 4) return f(std::integral_constant<int, 4>{});
    if (results == 3) return f(std::integral_constant<int, 3>{});
    f(std::integral_constant<int, 2>{});
}

/// Positions of an image, at(row, column); transformed to to[q * step + channel], q < 36. Writes whole vectors. Columns are transformed as they are read and
/// rows as they are written: the registers hold no more. What the next tile reads and this one does not, `ahead` of here, is sent for: it may lie in memory.
template <class Transform, class At>
[[gnu::always_inline]] inline void winograd_channels(const At& at, index_t ahead, index_t channels, float* to, index_t step) {
    constexpr int size = 4 + Transform::more;
    for (index_t c = 0; c < channels; c += lanes) {
        Vec e[36];
        const index_t here = channels - c;
#pragma GCC unroll 6
        for (int k = 0; k < size; ++k) {
            Vec d[size];
            if (here < lanes) {
                for (int r = 0; r < size; ++r) d[r] = load_within(at(r, k) + c, here);
            } else {
#pragma GCC unroll 6
                for (int r = size - 4; k >= size - 4 && r < size; ++r) __builtin_prefetch(at(r, k) + c + ahead);
#pragma GCC unroll 6
                for (int r = 0; r < size; ++r) d[r] = load(at(r, k) + c);
            }
            Transform::template transform<4>(d, 1, e + k, 6);
        }
#pragma GCC unroll 6
        for (int r = 0; r < 6; ++r) {
            Vec f[6];
            Transform::template transform<4>(e + r * 6, 1, f, 1);
#pragma GCC unroll 6
            for (int k = 0; k < 6; ++k) store(to + (r * 6 + k) * step + c, f[k]);
        }
    }
}
/// The same for fewer results along a side.
template <class Transform, class At>
[[gnu::always_inline]] inline void winograd_edge_channels(const At& at, index_t rows, index_t columns, index_t channels, float* to, index_t step) {
    for (index_t c = 0; c < channels; c += lanes) {
        Vec e[36] = {};
        const index_t here = channels - c;
        winograd_of(rows, [&](auto results) __attribute__((always_inline)) {
            constexpr int size = results() + Transform::more;
            for (int k = 0; k < static_cast<int>(columns) + Transform::more; ++k) {
                Vec d[size];
                for (int r = 0; r < size; ++r) d[r] = here < lanes ? load_within(at(r, k) + c, here) : load(at(r, k) + c);
                Transform::template transform<results()>(d, 1, e + k, 6);
            }
        });
        winograd_of(columns, [&](auto results) __attribute__((always_inline)) {
            for (int r = 0; r < 6; ++r) {
                if (winograd_leaves_out(rows, r)) continue;
                Vec f[6];
                Transform::template transform<results()>(e + r * 6, 1, f, 1);
#pragma GCC unroll 6
                for (int k = 0; k < 6; ++k)
                    if (!winograd_leaves_out(results(), k)) store(to + (r * 6 + k) * step + c, f[k]);
            }
        });
    }
}
/// A tile's positions of an image, of which the rows and columns within the window lie in it and the others are zeros. Whole: 4 x 4 results. Functions of their
/// own, so that the one does not take the other's registers.
template <class Transform, bool Whole>
[[gnu::noinline]] inline void winograd_patch(const float* image, const WinogradWindow& w, index_t channels, float* to, index_t step) {
    constexpr int size = 4 + Transform::more;
    const auto transform = [&](const auto& at, index_t here, float* place) __attribute__((always_inline)) {
        if constexpr (Whole)
            winograd_channels<Transform>(at, 4 * w.right, here, place, step);
        else
            winograd_edge_channels<Transform>(at, w.rows, w.columns, here, place, step);
    };
    const index_t high = Whole ? size : w.rows + Transform::more, wide = Whole ? size : w.columns + Transform::more;
    if (w.row0 == 0 && w.column0 == 0 && w.row1 >= high && w.column1 >= wide) {
        const auto at = [=](int r, int k) __attribute__((always_inline)) { return image + r * w.down + k * w.right; };
        return transform(at, channels, to);
    }
    constexpr index_t block = 512;  // channels of zeros
    static constexpr float zeros[block] = {};
    for (index_t c = 0; c < channels; c += block) {
        const float* pixels[size * size];
        for (const float*& pixel : pixels) pixel = zeros;
        for (index_t r = w.row0; r < w.row1; ++r)
            for (index_t k = w.column0; k < w.column1; ++k) pixels[r * size + k] = image + r * w.down + k * w.right + c;
        const auto at = [&](int r, int k) __attribute__((always_inline)) { return pixels[r * size + k]; };
        transform(at, std::min(channels - c, block), to + c);
    }
}
template <class Transform>
inline void winograd_tile(const float* image, const WinogradWindow& w, index_t channels, float* to, index_t step) {
    if (w.rows == 4 && w.columns == 4) return winograd_patch<Transform, true>(image, w, channels, to, step);
    winograd_patch<Transform, false>(image, w, channels, to, step);
}

/// Results of one row of a tile, of which there are `wanted`, to an image; `bias` to be added.
template <int Results>
[[gnu::always_inline]] inline void winograd_store(const Vec* e, Vec bias, index_t right, index_t wanted, index_t channels, float* to) {
    Vec y[Results];
    WinogradOutput::transform<Results>(e, 1, y, 1);
    if (channels < lanes) {
        for (index_t k = 0; k < wanted; ++k) store_within(to + k * right, y[k] + bias, channels);
        return;
    }
#pragma GCC unroll 4
    for (int k = 0; k < Results; ++k) __builtin_prefetch(to + (k + 4) * right, 1);  // where the next tile goes
#pragma GCC unroll 4
    for (int k = 0; k < Results; ++k)
        if (k < wanted) store(to + k * right, y[k] + bias);
}

/// from[q * step + channel] back to a tile of an image, plus bias (or null).
template <bool Whole>
[[gnu::noinline]] inline void winograd_output_of(const float* from, index_t step, const float* bias, const WinogradWindow& w, index_t channels, float* image) {
    for (index_t c = 0; c < channels; c += lanes) {
        const index_t here = channels - c;
        const auto columns = [&](auto results, Vec* e) __attribute__((always_inline)) {
#pragma GCC unroll 6
            for (int k = 0; k < 6; ++k) {
                if (!Whole && winograd_leaves_out(w.columns, k)) continue;
                Vec m[6];
#pragma GCC unroll 6
                for (int r = 0; r < 6; ++r) m[r] = !winograd_leaves_out(results(), r) ? load(from + (r * 6 + k) * step + c) : Vec{};
                WinogradOutput::transform<results()>(m, 1, e + k, 6);
            }
        };
        const Vec b = bias != nullptr ? load_within(bias + c, here) : Vec{};
        if constexpr (Whole) {
            Vec e[24];
            columns(std::integral_constant<int, 4>{}, e);
#pragma GCC unroll 4
            for (int r = 0; r < 4; ++r) winograd_store<4>(e + r * 6, b, w.right, 4, here, image + r * w.down + c);
        } else {
            Vec e[24] = {};
            winograd_of(w.rows, [&](auto results) __attribute__((always_inline)) { columns(results, e); });
            winograd_of(w.columns, [&](auto results) __attribute__((always_inline)) {
                for (int r = 0; r < w.row1; ++r) winograd_store<results()>(e + r * 6, b, w.right, w.column1, here, image + r * w.down + c);
            });
        }
    }
}
inline void winograd_results_of(const float* from, index_t step, const float* bias, const WinogradWindow& w, index_t channels, float* image) {
    if (w.rows == 4 && w.columns == 4) return winograd_output_of<true>(from, step, bias, w, channels, image);
    winograd_output_of<false>(from, step, bias, w, channels, image);
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

inline constexpr WinogradTarget winograd_target{&winograd_tile<WinogradInput>, &winograd_tile<WinogradGradient>, &winograd_results_of, &winograd_weights_patch,
                                                &winograd_taps_patch};
