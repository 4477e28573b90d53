// SPDX-License-Identifier: MIT
// Normalisation of rows and what follows it: y = pool(relu((x - centre) * gain + shift)), each of pool and relu or not, and the gradients of it. The ReLU's
// mask and the pooling's choice are made again from x in the backward pass, so nothing but x is kept. Included once per target, see norm_rows.hpp. No include
// guard on purpose. Arrays of one value per channel have whole vectors.

/// With Relu: what the kernels of ReLU do to a value.
template <bool Relu>
[[gnu::always_inline]] inline Vec rectified(Vec v) {
    if constexpr (Relu)
        return v < 0.0f ? splat(0.0f) : v;
    else
        return v;
}
/// y = (x - centre) * gain + shift for rows of `channels` values, `stride` apart; with Relu the ReLU of that.
template <bool Relu>
inline void normalise(index_t rows, index_t channels, index_t stride, const float* x, const float* centre, const float* gain, const float* shift, float* y) {
    const index_t whole = channels / lanes * lanes;
    index_t r = 0;
    for (; r + 4 <= rows; r += 4)
        for (index_t c = 0; c < whole; c += lanes) {
            const float* from = x + r * stride + c;
            float* to = y + r * stride + c;
            const Vec m = load(centre + c), g = load(gain + c), s = load(shift + c);
            store(to, rectified<Relu>((load(from) - m) * g + s));
            store(to + stride, rectified<Relu>((load(from + stride) - m) * g + s));
            store(to + 2 * stride, rectified<Relu>((load(from + 2 * stride) - m) * g + s));
            store(to + 3 * stride, rectified<Relu>((load(from + 3 * stride) - m) * g + s));
        }
    for (; r < rows; ++r)
        for (index_t c = 0; c < whole; c += lanes)
            store(y + r * stride + c, rectified<Relu>((load(x + r * stride + c) - load(centre + c)) * load(gain + c) + load(shift + c)));
    for (index_t row = 0; whole < channels && row < rows; ++row) {
        const index_t at = row * stride + whole;
        const Vec v = load_within(x + at, channels - whole);
        store_within(y + at, rectified<Relu>((v - load(centre + whole)) * load(gain + whole) + load(shift + whole)), channels - whole);
    }
}

/// The same without ReLU, with running statistics; w and b or null.
inline void normalise_by_running(index_t rows, index_t channels, float eps, const float* x, const float* w, const float* b, const float* mean, const float* var,
                                 float* y) {
    constexpr index_t block = 256;  // channels whose factors are kept on the stack
    float centre[block], gain[block], shift[block];
    for (index_t first = 0; first < channels; first += block) {
        const index_t count = channels - first < block ? channels - first : block;
        for (index_t c = 0; c < count; c += lanes) {
            const index_t at = first + c, left = count - c;
            store(centre + c, load_within(mean + at, left));
            store(gain + c, (w ? load_within(w + at, left) : splat(1.0f)) / square_root(load_within(var + at, left, 1.0f) + eps));
            store(shift + c, b ? load_within(b + at, left) : Vec{});
        }
        normalise<false>(rows, count, channels, x + first, centre, gain, shift, y + first);
    }
}

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
                best = ((other > best) | (other != other)) ? other : best;
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
            const auto add = [&](index_t i, auto whole) __attribute__((always_inline)) {
                Vec value, normalised, from;
                if constexpr (Pool) {
                    Vec v[4];
                    load_window(x, line, channels, i, c, v);
                    const Winner best = winner_of(v, m, g, s);
                    value = best.x, normalised = best.normalised;
                } else {
                    const float* at = x + i * channels + c;
                    value = whole ? load(at) : load_within(at, left), normalised = (value - m) * g + s;
                }
                const float* at = dy + i * channels + c;
                from = whole ? load(at) : load_within(at, left);
                const Vec d = passed_through<Relu>(from, normalised);
                total += d;
                products += d * (value - m);
            };
            if (here == together && left >= lanes) {
#pragma GCC unroll 4
                for (index_t i = 0; i < together; ++i) add(w + i, std::true_type{});
            } else {
                for (index_t i = w; i < w + here; ++i) add(i, std::false_type{});
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
    constexpr index_t together = 4;
    for (index_t w = 0; w < count; w += together) {
        const index_t here = count - w < together ? count - w : together;
        for (index_t c = 0; c < channels; c += lanes) {
            const Vec m = load(centre + c), g = load(gain + c), s = load(shift + c), o = load(offset + c), t = load(slope + c);
            const index_t left = channels - c;
            const auto spread = [&](index_t i, auto whole) __attribute__((always_inline)) {
                const float* at = dy + i * channels + c;
                const Vec from = whole ? load(at) : load_within(at, left);
                if constexpr (Pool) {
                    Vec v[4];
                    load_window(x, line, channels, i, c, v);
                    const Winner best = winner_of(v, m, g, s);
                    const Vec d = passed_through<Relu>(from, best.normalised);
                    float *top = dx + 2 * i * channels + c, *bottom = top + line;
                    float* const to[4] = {top, top + channels, bottom, bottom + channels};
                    for (int k = 0; k < 4; ++k) store_within(to[k], ((best.place == k ? d : splat(0.0f)) - o - (v[k] - m) * t) * g, left);
                } else {
                    const float* of = x + i * channels + c;
                    const Vec v = whole ? load(of) : load_within(of, left), result = (passed_through<Relu>(from, (v - m) * g + s) - o - (v - m) * t) * g;
                    if constexpr (whole)
                        store(dx + i * channels + c, result);
                    else
                        store_within(dx + i * channels + c, result, left);
                }
            };
            if (here == together && left >= lanes) {
#pragma GCC unroll 4
                for (index_t i = 0; i < together; ++i) spread(w + i, std::true_type{});
            } else {
                for (index_t i = w; i < w + here; ++i) spread(i, std::false_type{});
            }
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
inline constexpr NormRowsTarget norm_rows_of{&normalise<Relu>, &pool_normalised<Relu>, &add_gradient_sums<Relu, Pool>,
                                             &spread_gradient<Relu, Pool>, &spread_nothing, &flush_gradient_sums};
inline constexpr const NormRowsTarget* norm_rows_targets[3] = {&norm_rows_of<false, false>, &norm_rows_of<true, false>, &norm_rows_of<true, true>};
