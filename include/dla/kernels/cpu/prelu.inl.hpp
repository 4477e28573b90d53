// SPDX-License-Identifier: MIT
// PReLU on one thread. Included once per target, see prelu.hpp. No include guard on purpose.

/// f(at, length, channel) for the runs that values [first, first + n) of [outer, channels, inner] consist of: a run lies in one channel, or, where a channel
/// has one value at a time, goes through the channels from `channel` on.
template <class F>
inline void channel_runs(index_t first, index_t n, const NormDims& d, const F& f) {
    for (index_t at = 0, length = 0; at < n; at += length) {
        const index_t place = first + at, channel = place / d.inner % d.channels;
        const index_t rest = d.inner == 1 ? d.channels - channel : d.inner - place % d.inner;
        length = rest < n - at ? rest : n - at;
        f(at, length, channel);
    }
}

/// Of values [first, first + n), which x, v and y point to: y = x > 0 ? v : w * v, where v is x, or the gradient of the output.
inline void prelu(index_t first, index_t n, const NormDims& d, const float* x, const float* w, const float* v, float* y) {
    channel_runs(first, n, d, [=, &d](index_t at, index_t length, index_t channel) {
        if (d.inner == 1) {
            map(length, y + at, [=](Vec u, Vec s, Vec slope) __attribute__((always_inline)) { return u > 0.0f ? s : slope * s; }, x + at, v + at, w + channel);
        } else {
            const float slope = w[channel];
            map(length, y + at, [slope](Vec u, Vec s) __attribute__((always_inline)) { return u > 0.0f ? s : slope * s; }, x + at, v + at);
        }
    });
}

/// Of the same values: sums [channels] += x * dy where x is not above 0.
inline void prelu_sums(index_t first, index_t n, const NormDims& d, const float* x, const float* dy, double* sums) {
    channel_runs(first, n, d, [=, &d](index_t at, index_t length, index_t channel) {
        const auto term = [=](index_t i, index_t left) __attribute__((always_inline)) {
            const VecDouble u = load_wide_within(x + at + i, left);
            return u > 0.0 ? splat_wide(0.0) : u * load_wide_within(dy + at + i, left);
        };
        if (d.inner != 1) {
            sums[channel] += sum_of(length, term);
            return;
        }
        double* to = sums + channel;
        index_t i = 0;
        for (; i + half_lanes <= length; i += half_lanes) store(to + i, load(to + i) + term(i, half_lanes));
        if (i == length) return;
        const VecDouble last = term(i, length - i);
        for (index_t j = 0; i + j < length; ++j) to[i + j] += last[j];
    });
}
