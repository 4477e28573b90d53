// SPDX-License-Identifier: MIT
// What follows a convolution: y = pool(relu((x - centre) * gain + shift)), each of pool and relu or not, and the gradients of it. The ReLU's mask and the
// pooling's choice are made again from x in the backward pass, so nothing but x is kept. Included once per target, see conv_norm.hpp. No include guard on
// purpose. Arrays of one value per channel have whole vectors.

/// Of four values, x normalised: the first of the largest, a NaN before all others (the last of them), as max_pool2d_forward has it.
struct Winner {
    Vec normalised, x;
    VecInt place;
    [[gnu::always_inline]] void offer(Vec v, Vec from, std::int32_t at) {
        const VecInt take = (v > normalised) | (v != v);
        normalised = take ? v : normalised;
        x = take ? from : x;
        place = take ? VecInt{} + at : place;
    }
};
[[gnu::always_inline]] inline Winner winner_of(const Vec (&x)[4], Vec centre, Vec gain, Vec shift) {
    Winner best{(x[0] - centre) * gain + shift, x[0], VecInt{}};
    for (int i = 1; i < 4; ++i) best.offer((x[i] - centre) * gain + shift, x[i], i);
    return best;
}

/// The four values of window `w` of a row of windows at `x`, channels from c on.
[[gnu::always_inline]] inline void load_window(const float* x, index_t line, index_t channels, index_t w, index_t c, Vec (&v)[4]) {
    const float *top = x + 2 * w * channels + c, *bottom = top + line;
    const index_t left = channels - c;
    if (left >= lanes) {
        v[0] = load(top), v[1] = load(top + channels), v[2] = load(bottom), v[3] = load(bottom + channels);
    } else {
        v[0] = load_within(top, left), v[1] = load_within(top + channels, left);
        v[2] = load_within(bottom, left), v[3] = load_within(bottom + channels, left);
    }
}

/// One row of windows of 2 x 2 values: y [windows, channels].
template <bool Relu>
inline void pool_normalised(index_t windows, index_t line, index_t channels, const float* x, const float* centre, const float* gain, const float* shift,
                            float* y) {
    for (index_t w = 0; w < windows; ++w)
        for (index_t c = 0; c < channels; c += lanes) {
            Vec v[4];
            load_window(x, line, channels, w, c, v);
            const Vec m = load(centre + c), g = load(gain + c), s = load(shift + c);
            Vec best = (v[0] - m) * g + s;
            for (int i = 1; i < 4; ++i) {
                const Vec other = (v[i] - m) * g + s;
                best = (other > best) | (other != other) ? other : best;
            }
            store_within(y + w * channels + c, rectified<Relu>(best), channels - c);
        }
}

/// dy where the ReLU of v passed it on.
template <bool Relu>
[[gnu::always_inline]] inline Vec passed_through(Vec dy, Vec v) {
    if constexpr (Relu)
        return v <= 0.0f ? splat(0.0f) : dy;
    else
        return dy;
}

/// sum += and product += dy and dy * (x - centre) over one row of windows (Pool), or over `count` pixels.
template <bool Relu, bool Pool>
inline void add_gradient_sums(index_t count, index_t line, index_t channels, const float* x, const float* dy, const float* centre, const float* gain,
                              const float* shift, float* sum, float* product) {
    constexpr index_t together = 4;
    for (index_t w = 0; w < count; w += together) {
        const index_t here = count - w < together ? count - w : together;
        for (index_t c = 0; c < channels; c += lanes) {
            const Vec m = load(centre + c), g = load(gain + c), s = load(shift + c);
            const index_t left = channels - c;
            Vec total{}, products{};
            for (index_t i = w; i < w + here; ++i) {
                Vec value, normalised;
                if constexpr (Pool) {
                    Vec v[4];
                    load_window(x, line, channels, i, c, v);
                    const Winner best = winner_of(v, m, g, s);
                    value = best.x, normalised = best.normalised;
                } else {
                    value = load_within(x + i * channels + c, left), normalised = (value - m) * g + s;
                }
                const Vec d = passed_through<Relu>(load_within(dy + i * channels + c, left), normalised);
                total += d;
                products += d * (value - m);
            }
            store(sum + c, load(sum + c) + total);
            store(product + c, load(product + c) + products);
        }
    }
}

/// dx = (d - offset - (x - centre) * slope) * gain over one row of windows (Pool), or `count` pixels, d what dy is at x; dx may be x.
template <bool Relu, bool Pool>
inline void spread_gradient(index_t count, index_t line, index_t channels, const float* x, const float* dy, const float* centre, const float* gain,
                            const float* shift, const float* offset, const float* slope, float* dx) {
    for (index_t w = 0; w < count; ++w)
        for (index_t c = 0; c < channels; c += lanes) {
            const Vec m = load(centre + c), g = load(gain + c), s = load(shift + c), o = load(offset + c), t = load(slope + c);
            const index_t left = channels - c;
            const Vec from = load_within(dy + w * channels + c, left);
            if constexpr (Pool) {
                Vec v[4];
                load_window(x, line, channels, w, c, v);
                const Winner best = winner_of(v, m, g, s);
                const Vec d = passed_through<Relu>(from, best.normalised);
                float *top = dx + 2 * w * channels + c, *bottom = top + line;
                float* const to[4] = {top, top + channels, bottom, bottom + channels};
                for (int i = 0; i < 4; ++i) store_within(to[i], ((best.place == i ? d : splat(0.0f)) - o - (v[i] - m) * t) * g, left);
            } else {
                const Vec v = load_within(x + w * channels + c, left);
                store_within(dx + w * channels + c, (passed_through<Relu>(from, (v - m) * g + s) - o - (v - m) * t) * g, left);
            }
        }
}

/// dx of `count` pixels that no window covers.
inline void spread_nothing(index_t count, index_t channels, const float* x, const float* centre, const float* gain, const float* offset, const float* slope,
                           float* dx) {
    for (index_t w = 0; w < count; ++w)
        for (index_t c = 0; c < channels; c += lanes) {
            const Vec v = load_within(x + w * channels + c, channels - c);
            store_within(dx + w * channels + c, (splat(0.0f) - load(offset + c) - (v - load(centre + c)) * load(slope + c)) * load(gain + c), channels - c);
        }
}

/// sums and products of a piece: those in float go on in double.
inline void flush_gradient_sums(index_t padded, float* sum, float* product, double* sums, double* products) {
    for (index_t c = 0; c < padded; c += half_lanes) {
        store(sums + c, load(sums + c) + load_wide(sum + c));
        store(products + c, load(products + c) + load_wide(product + c));
    }
    for (index_t c = 0; c < padded; c += lanes) store(sum + c, Vec{}), store(product + c, Vec{});
}

template <bool Relu, bool Pool>
inline constexpr ConvNormTarget conv_norm_of{&normalise<Relu>, &pool_normalised<Relu>, &add_gradient_sums<Relu, Pool>,
                                             &spread_gradient<Relu, Pool>, &spread_nothing, &flush_gradient_sums};
inline constexpr const ConvNormTarget* conv_norm_targets[3] = {&conv_norm_of<false, false>, &conv_norm_of<true, false>, &conv_norm_of<true, true>};
