// SPDX-License-Identifier: MIT
// Mean and variance of the channels of rows, on one thread. Included once per target, see norm_rows.hpp. No include guard on purpose.
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
