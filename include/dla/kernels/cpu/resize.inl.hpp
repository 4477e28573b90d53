// SPDX-License-Identifier: MIT
// Images of another size, some rows on one thread. Included once per target, see resize.hpp. No include guard on purpose.
// Vectors go over channels; the channels that fill none go one by one, by the same formulas.

/// f(at) for the channels [0, n): at(p, c) is the vector, or the value, of p at c, and at.put(p, c, v) stores one.
struct VectorAt {
    [[gnu::always_inline]] Vec operator()(const float* p, index_t c) const { return load(p + c); }
    [[gnu::always_inline]] static void put(float* p, index_t c, Vec v) { store(p + c, v); }
};
struct ValueAt {
    [[gnu::always_inline]] float operator()(const float* p, index_t c) const { return p[c]; }
    [[gnu::always_inline]] static void put(float* p, index_t c, float v) { p[c] = v; }
};
template <class F>
[[gnu::always_inline]] inline void over_channels(index_t n, const F& f) {
    index_t c = 0;
    for (; c + lanes <= n; c += lanes) f(VectorAt{}, c);
    for (; c < n; ++c) f(ValueAt{}, c);
}

/// Output rows [first, first + rows), counted over all images.
inline void upsample_rows(const Resize2dDims& dims, const ResizedImage& image, index_t first, index_t rows, const float* x, float* y) {
    const Resize2dDims d = dims;  // a copy, which the stores below cannot change
    const index_t channels = d.channels, line = d.width * channels;
    for (index_t row = first; row < first + rows; ++row) {
        const AxisSource from = image.rows.source(row % d.out_height);
        const float *upper = x + (row / d.out_height * d.height + from.low) * line, *lower = upper + (from.high - from.low) * line;
        const float down = static_cast<float>(from.share), up = 1.0f - down;
        const bool one_row = from.one();
        for (index_t ow = 0; ow < d.out_width; ++ow) {
            const AxisSource across = image.columns.source(ow);
            const index_t low = across.low * channels, high = across.high * channels;
            const float right = static_cast<float>(across.share), left = 1.0f - right;
            const bool one_column = across.one();
            float* to = y + (row * d.out_width + ow) * channels;
            over_channels(channels, [&](const auto& at, index_t c) __attribute__((always_inline)) {
                auto v = at(upper + low, c);
                if (!one_column) v = v * left + at(upper + high, c) * right;
                if (!one_row) {
                    auto w = at(lower + low, c);
                    if (!one_column) w = w * left + at(lower + high, c) * right;
                    v = v * up + w * down;
                }
                at.put(to, c, v);
            });
        }
    }
}

/// Input rows [first, first + rows), counted over all images: each takes from the rows of outputs that it is a part of, so no two tasks write the same row.
inline void upsample_backward_rows(const Resize2dDims& dims, const ResizedImage& image, index_t first, index_t rows, const float* dy, float* dx) {
    const Resize2dDims d = dims;
    const index_t channels = d.channels;
    for (index_t row = first; row < first + rows; ++row) {
        const index_t n = row / d.height, ih = row % d.height;
        float* line = dx + row * d.width * channels;
        std::memset(static_cast<void*>(line), 0, static_cast<std::size_t>(d.width * channels) * sizeof(float));
        const ResizedAxis::Outputs outputs = image.rows.outputs(ih);
        for (index_t oh = outputs.first; oh < outputs.last; ++oh) {
            const float share = static_cast<float>(image.rows.source(oh).weight(ih));
            const float* from = dy + (n * d.out_height + oh) * d.out_width * channels;
            for (index_t ow = 0; ow < d.out_width; ++ow) {
                const AxisSource across = image.columns.source(ow);
                const float right = share * static_cast<float>(across.share), left = share - right;
                float *low = line + across.low * channels, *high = line + across.high * channels;
                const float* at_out = from + ow * channels;
                if (across.one())
                    over_channels(channels,
                                  [&](const auto& at, index_t c) __attribute__((always_inline)) { at.put(low, c, at(low, c) + at(at_out, c) * share); });
                else
                    over_channels(channels, [&](const auto& at, index_t c) __attribute__((always_inline)) {
                        at.put(low, c, at(low, c) + at(at_out, c) * left);
                        at.put(high, c, at(high, c) + at(at_out, c) * right);
                    });
            }
        }
    }
}

/// Output rows [first, first + rows), counted over all images. Rows of a window are summed by themselves: fewer values in one sum, smaller roundings.
inline void adaptive_avg_pool_rows(const Resize2dDims& dims, index_t first, index_t rows, const float* x, float* y) {
    const Resize2dDims d = dims;
    const index_t channels = d.channels, line = d.width * channels;
    for (index_t row = first; row < first + rows; ++row) {
        const AdaptiveWindow high(row % d.out_height, d.height, d.out_height);
        const float* top = x + (row / d.out_height * d.height + high.first) * line;
        for (index_t ow = 0; ow < d.out_width; ++ow) {
            const AdaptiveWindow wide(ow, d.width, d.out_width);
            const float divisor = static_cast<float>(high.size() * wide.size());
            float* to = y + (row * d.out_width + ow) * channels;
            over_channels(channels, [&](const auto& at, index_t c) __attribute__((always_inline)) {
                decltype(at(top, c)) sum{};
                for (index_t r = 0; r < high.size(); ++r) {
                    decltype(at(top, c)) part{};
                    for (index_t iw = wide.first; iw < wide.last; ++iw) part += at(top + r * line + iw * channels, c);
                    sum += part;
                }
                at.put(to, c, sum / divisor);
            });
        }
    }
}

/// Input rows [first, first + rows), counted over all images: each takes its part of the windows that it lies in, so no two tasks write the same row.
inline void adaptive_avg_pool_backward_rows(const Resize2dDims& dims, index_t first, index_t rows, const float* dy, float* dx) {
    const Resize2dDims d = dims;
    const index_t channels = d.channels;
    for (index_t row = first; row < first + rows; ++row) {
        float* line = dx + row * d.width * channels;
        std::memset(static_cast<void*>(line), 0, static_cast<std::size_t>(d.width * channels) * sizeof(float));
        const AdaptiveWindow windows(row % d.height, d.out_height, d.height);
        for (index_t oh = windows.first; oh < windows.last; ++oh) {
            const index_t high = AdaptiveWindow(oh, d.height, d.out_height).size();
            const float* from = dy + (row / d.height * d.out_height + oh) * d.out_width * channels;
            for (index_t ow = 0; ow < d.out_width; ++ow, from += channels) {
                const AdaptiveWindow wide(ow, d.width, d.out_width);
                const float divisor = static_cast<float>(high * wide.size());
                over_channels(channels, [&](const auto& at, index_t c) __attribute__((always_inline)) {
                    const auto part = at(from, c) / divisor;
                    for (index_t iw = wide.first; iw < wide.last; ++iw) at.put(line + iw * channels, c, at(line + iw * channels, c) + part);
                });
            }
        }
    }
}
