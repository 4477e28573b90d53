// SPDX-License-Identifier: MIT
// Batch normalisation of rows of contiguous channels, on one thread. Included once per target, see norm.hpp. No include guard on purpose.
// Arrays of one value per channel that are scratch have whole vectors: what lands in the padding is not used.

/// How many of `rows` rows can be read in whole vectors, `available` values being readable from the first on.
inline index_t whole_rows(index_t rows, index_t channels, index_t available) {
    const index_t needed = round_up(channels, lanes), last = (available - needed) / channels;
    return available < needed ? 0 : last + 1 < rows ? last + 1 : rows;
}

/// mean, squares: those of a rows joined with those of b rows (Chan, Golub, LeVeque, 1983); a = 0 forgets the old ones if they are finite.
inline void merge_moments(index_t channels, index_t a, index_t b, const double* mean_b, const double* squares_b, double* mean, double* squares) {
    const double share = static_cast<double>(b) / static_cast<double>(a + b), weight = static_cast<double>(a) * share;
    for (index_t c = 0; c < channels; c += half_lanes) {
        const VecDouble distance = load(mean_b + c) - load(mean + c);
        store(mean + c, load(mean + c) + distance * share);
        store(squares + c, load(squares + c) + load(squares_b + c) + distance * distance * weight);
    }
}

/// Mean and sum of squared distances from it, [padded channels] each, in one reading of x [rows, channels]. Sums are of x - shift with shift the mean of
/// the first eight rows of 128: these being one sixteenth of the rows, sum^2 / n is at most 16 times the result, so little is lost by cancellation.
inline void moments(index_t rows, index_t channels, const float* x, index_t available, float* work, double* mean, double* squares) {
    const index_t padded = padded_channels(channels);
    float *shift = work, *sum = work + padded, *square = work + 2 * padded;
    for (index_t c = 0; c < padded; c += half_lanes) {
        store(mean + c, VecDouble{});
        store(squares + c, VecDouble{});
    }
    for (index_t done = 0; done < rows; done += norm_block) {
        const index_t count = rows - done < norm_block ? rows - done : norm_block, sample = count < 8 ? count : 8;
        const float* block = x + done * channels;
        const index_t left = available - done * channels, whole = whole_rows(count, channels, left) / 8 * 8;
        for (index_t c = 0; c < padded; c += lanes) {
            Vec total{};
            for (index_t r = 0; c < channels && r < sample; ++r) total += load_within(block + r * channels + c, left - r * channels - c);
            store(shift + c, total * (1.0f / static_cast<float>(sample)));
            store(sum + c, Vec{});
            store(square + c, Vec{});
        }
        for (index_t r = 0; r < whole; r += 8)
            for (index_t c = 0; c < channels; c += lanes) {
                const float* at = block + r * channels + c;
                const Vec k = load(shift + c);
                const Vec d0 = load(at) - k, d1 = load(at + channels) - k, d2 = load(at + 2 * channels) - k, d3 = load(at + 3 * channels) - k;
                const Vec d4 = load(at + 4 * channels) - k, d5 = load(at + 5 * channels) - k, d6 = load(at + 6 * channels) - k,
                          d7 = load(at + 7 * channels) - k;
                store(sum + c, load(sum + c) + (((d0 + d1) + (d2 + d3)) + ((d4 + d5) + (d6 + d7))));
                const Vec even = d0 * d0 + d2 * d2 + d4 * d4 + d6 * d6, odd = d1 * d1 + d3 * d3 + d5 * d5 + d7 * d7;
                store(square + c, load(square + c) + (even + odd));
            }
        for (index_t r = whole; r < count; ++r)
            for (index_t c = 0; c < channels; c += lanes) {
                const Vec d = load_within(block + r * channels + c, left - r * channels - c) - load(shift + c);
                store(sum + c, load(sum + c) + d);
                store(square + c, load(square + c) + d * d);
            }
        const double n = static_cast<double>(count), share = n / static_cast<double>(done + count), weight = static_cast<double>(done) * share;
        for (index_t c = 0; c < padded; c += half_lanes) {  // as merge_moments
            const VecDouble total = load_wide(sum + c), excess = load_wide(square + c) - total * total * (1.0 / n);
            const VecDouble distance = load_wide(shift + c) + total * (1.0 / n) - load(mean + c);
            store(mean + c, load(mean + c) + distance * share);
            store(squares + c, load(squares + c) + (excess < 0.0 ? splat_wide(0.0) : excess) + distance * distance * weight);
        }
    }
}

/// 1 / sqrt(squares / n + eps).
inline void inverse_std(index_t padded, double n, double eps, const double* squares, double* inverse) {
    for (index_t c = 0; c < padded; c += half_lanes) store(inverse + c, 1.0 / square_root(load(squares + c) * (1.0 / n) + eps));
}

/// With Relu: what the kernels of ReLU do to a value, and to a gradient whose ReLU gave y.
template <bool Relu>
[[gnu::always_inline]] inline Vec rectified(Vec v) {
    if constexpr (Relu)
        return v < 0.0f ? splat(0.0f) : v;
    else
        return v;
}
[[gnu::always_inline]] inline const float* after(const float* p, index_t n) { return p == nullptr ? p : p + n; }  // null takes no offsets
template <bool Relu>
[[gnu::always_inline]] inline Vec passed(Vec dy, const float* y) {
    if constexpr (Relu)
        return load(y) <= 0.0f ? splat(0.0f) : dy;
    else
        return dy;
}
template <bool Relu>
[[gnu::always_inline]] inline Vec passed_within(Vec dy, const float* y, index_t n) {
    if constexpr (Relu)
        return load_within(y, n) <= 0.0f ? splat(0.0f) : dy;
    else
        return dy;
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

/// The same with running statistics; w and b or null.
template <bool Relu>
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
        normalise<Relu>(rows, count, channels, x + first, centre, gain, shift, y + first);
    }
}

/// Sums over rows of dy and of dy * (x - centre), [padded channels] each; with Relu dy counts where y, the output of a ReLU behind, is above 0.
template <bool Relu>
inline void gradient_sums(index_t rows, index_t channels, const float* x, const float* y, const float* dy, index_t available, const float* centre, float* work,
                          double* sums, double* products) {
    const index_t padded = padded_channels(channels);
    float *sum = work, *product = work + padded;
    for (index_t c = 0; c < padded; c += half_lanes) {
        store(sums + c, VecDouble{});
        store(products + c, VecDouble{});
    }
    for (index_t done = 0; done < rows; done += norm_block) {
        const index_t count = rows - done < norm_block ? rows - done : norm_block, left = available - done * channels;
        const index_t whole = whole_rows(count, channels, left) / 4 * 4;
        const float *block_x = x + done * channels, *block_dy = dy + done * channels, *block_y = Relu ? y + done * channels : nullptr;
        for (index_t c = 0; c < padded; c += lanes) {
            store(sum + c, Vec{});
            store(product + c, Vec{});
        }
        for (index_t r = 0; r < whole; r += 4)
            for (index_t c = 0; c < channels; c += lanes) {
                const float *at = block_x + r * channels + c, *from = block_dy + r * channels + c, *out = Relu ? block_y + r * channels + c : nullptr;
                const Vec m = load(centre + c), g0 = passed<Relu>(load(from), out), g1 = passed<Relu>(load(from + channels), after(out, channels)),
                          g2 = passed<Relu>(load(from + 2 * channels), after(out, 2 * channels)),
                          g3 = passed<Relu>(load(from + 3 * channels), after(out, 3 * channels));
                store(sum + c, load(sum + c) + ((g0 + g1) + (g2 + g3)));
                const Vec even = g0 * (load(at) - m) + g2 * (load(at + 2 * channels) - m);
                const Vec odd = g1 * (load(at + channels) - m) + g3 * (load(at + 3 * channels) - m);
                store(product + c, load(product + c) + (even + odd));
            }
        for (index_t r = whole; r < count; ++r)
            for (index_t c = 0; c < channels; c += lanes) {
                const index_t at = r * channels + c;
                const Vec g = passed_within<Relu>(load_within(block_dy + at, left - at), Relu ? block_y + at : nullptr, left - at);
                store(sum + c, load(sum + c) + g);
                store(product + c, load(product + c) + g * (load_within(block_x + at, left - at) - load(centre + c)));
            }
        for (index_t c = 0; c < padded; c += half_lanes) {
            store(sums + c, load(sums + c) + load_wide(sum + c));
            store(products + c, load(products + c) + load_wide(product + c));
        }
    }
}

/// dx = (dy - offset - (x - centre) * slope) * gain; dx may be dy or x. With Relu dy counts where y is above 0.
template <bool Relu>
inline void input_gradient(index_t rows, index_t channels, const float* x, const float* y, const float* dy, const float* centre, const float* gain,
                           const float* offset, const float* slope, float* dx) {
    const index_t whole = channels / lanes * lanes;
    const auto one = [=](Vec vx, Vec vdy, index_t c) __attribute__((always_inline)) {
        return (vdy - load(offset + c) - (vx - load(centre + c)) * load(slope + c)) * load(gain + c);
    };
    index_t r = 0;
    for (; r + 2 <= rows; r += 2)
        for (index_t c = 0; c < whole; c += lanes) {
            const index_t at = r * channels + c, next = at + channels;
            const Vec m = load(centre + c), g = load(gain + c), o = load(offset + c), s = load(slope + c);
            store(dx + at, (passed<Relu>(load(dy + at), after(y, at)) - o - (load(x + at) - m) * s) * g);
            store(dx + next, (passed<Relu>(load(dy + next), after(y, next)) - o - (load(x + next) - m) * s) * g);
        }
    for (; r < rows; ++r)
        for (index_t c = 0; c < whole; c += lanes) {
            const index_t at = r * channels + c;
            store(dx + at, one(load(x + at), passed<Relu>(load(dy + at), after(y, at)), c));
        }
    for (index_t row = 0; whole < channels && row < rows; ++row) {
        const index_t at = row * channels + whole, left = channels - whole;
        store_within(dx + at, one(load_within(x + at, left), passed_within<Relu>(load_within(dy + at, left), after(y, at), left), whole), left);
    }
}
