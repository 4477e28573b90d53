// SPDX-License-Identifier: MIT
// Pooling of rows or images on one thread. Included once per target, see pool.hpp. No include guard on purpose.

[[gnu::always_inline]] inline VecInt load_within(const std::int32_t* p, index_t n) {
    VecInt v;
    if (n >= lanes) {
        __builtin_memcpy(&v, p, sizeof(v));
        return v;
    }
    std::int32_t local[lanes] = {};
    for (index_t i = 0; i < n; ++i) local[i] = p[i];
    __builtin_memcpy(&v, local, sizeof(v));
    return v;
}
[[gnu::always_inline]] inline void store_within(std::int32_t* p, VecInt v, index_t n) {
    if (n >= lanes) {
        __builtin_memcpy(p, &v, sizeof(v));
        return;
    }
    std::int32_t local[lanes];
    __builtin_memcpy(local, &v, sizeof(v));
    for (index_t i = 0; i < n; ++i) p[i] = local[i];
}

template <class T>
inline void clear(index_t n, T* y) {
    std::memset(static_cast<void*>(y), 0, static_cast<std::size_t>(n) * sizeof(T));
}

/// The best of a window so far. The first of equals stays, a later NaN replaces.
struct Largest {
    Vec value;
    VecInt place;
    [[gnu::always_inline]] void offer(Vec v, std::int32_t at) {
        const VecInt take = (v > value) | (v != v);
        value = take ? v : value;
        place = take ? VecInt{} + at : place;
    }
};

/// Output rows [first, first + rows), counted over all images. T: what values are stored as, float or bf16.
template <class T>
void max_pool_rows(const Pool2dDims& dims, index_t first, index_t rows, const T* x, T* y, std::int32_t* argmax) {
    const Pool2dDims d = dims;  // a copy, which the stores below cannot change
    const bool pairs = d.kernel_h == 2 && d.kernel_w == 2 && d.dilation_h == 1 && d.dilation_w == 1;
    for (index_t row = first; row < first + rows; ++row) {
        const index_t n = row / d.out_height, top = row % d.out_height * d.stride_h - d.pad_h;
        const T* image = x + n * d.height * d.width * d.channels;
        for (index_t ow = 0; ow < d.out_width; ++ow) {
            const index_t left = ow * d.stride_w - d.pad_w, out = (row * d.out_width + ow) * d.channels;
            const bool inside = pairs && top >= 0 && left >= 0 && top + 2 <= d.height && left + 2 <= d.width;
            for (index_t c = 0; c < d.channels; c += lanes) {
                const index_t count = d.channels - c;
                const auto at = [&](index_t place) __attribute__((always_inline)) { return load_within(image + place * d.channels + c, count); };
                Largest best{splat(0.0f) - std::numeric_limits<float>::infinity(), VecInt{} - 1};
                if (inside) {
                    const index_t place = top * d.width + left;
                    best = {at(place), VecInt{} + static_cast<std::int32_t>(place)};
                    best.offer(at(place + 1), static_cast<std::int32_t>(place + 1));
                    best.offer(at(place + d.width), static_cast<std::int32_t>(place + d.width));
                    best.offer(at(place + d.width + 1), static_cast<std::int32_t>(place + d.width + 1));
                } else {
                    bool none = true;
                    for (index_t kh = 0; kh < d.kernel_h; ++kh)
                        for (index_t kw = 0; kw < d.kernel_w; ++kw) {
                            const index_t ih = top + kh * d.dilation_h, iw = left + kw * d.dilation_w, place = ih * d.width + iw;
                            if (ih < 0 || ih >= d.height || iw < 0 || iw >= d.width) continue;
                            if (none)
                                best = {at(place), VecInt{} + static_cast<std::int32_t>(place)};
                            else
                                best.offer(at(place), static_cast<std::int32_t>(place));
                            none = false;
                        }
                }
                store_within(y + out + c, best.value, count);
                if (argmax != nullptr) store_within(argmax + out + c, best.place, count);
            }
        }
    }
}

/// Image n, windows that tile it: each input either takes the gradient of its window or gets 0.
template <class T>
void max_pool_backward_tiled(const Pool2dDims& dims, index_t n, const T* dy, const std::int32_t* argmax, T* dx) {
    const Pool2dDims d = dims;
    T* image = dx + n * d.height * d.width * d.channels;
    const index_t covered_h = d.out_height * d.kernel_h, covered_w = d.out_width * d.kernel_w;
    for (index_t oh = 0; oh < d.out_height; ++oh) {
        const index_t bottom = (oh + 1) * d.kernel_h < d.height ? (oh + 1) * d.kernel_h : d.height;
        for (index_t ow = 0; ow < d.out_width; ++ow) {
            const index_t right = (ow + 1) * d.kernel_w < d.width ? (ow + 1) * d.kernel_w : d.width,
                          out = ((n * d.out_height + oh) * d.out_width + ow) * d.channels;
            for (index_t c = 0; c < d.channels; c += lanes) {
                const index_t count = d.channels - c;
                const Vec gradient = load_within(dy + out + c, count);
                const VecInt where = load_within(argmax + out + c, count);
                for (index_t ih = oh * d.kernel_h; ih < bottom; ++ih)
                    for (index_t iw = ow * d.kernel_w; iw < right; ++iw) {
                        const index_t place = ih * d.width + iw;
                        store_within(image + place * d.channels + c, where == static_cast<std::int32_t>(place) ? gradient : splat(0.0f), count);
                    }
            }
        }
        for (index_t ih = oh * d.kernel_h; ih < bottom && covered_w < d.width; ++ih)
            clear((d.width - covered_w) * d.channels, image + (ih * d.width + covered_w) * d.channels);
    }
    if (covered_h < d.height) clear((d.height - covered_h) * d.width * d.channels, image + covered_h * d.width * d.channels);
}

/// Image n, any windows.
inline void max_pool_backward(const Pool2dDims& d, index_t n, const float* dy, const std::int32_t* argmax, float* dx) {
    const index_t pixels = d.height * d.width, windows = d.out_height * d.out_width, channels = d.channels;
    float* image = dx + n * pixels * channels;
    fill(pixels * channels, 0.0f, image);
    for (index_t window = n * windows; window < (n + 1) * windows; ++window)
        for (index_t c = 0; c < channels; ++c) {
            const index_t place = argmax[window * channels + c];
            if (place >= 0) image[place * channels + c] += dy[window * channels + c];
        }
}

/// Output rows [first, first + rows), counted over all images.
template <class T>
void avg_pool_rows(const Pool2dDims& d, index_t first, index_t rows, const T* x, T* y) {
    for (index_t row = first; row < first + rows; ++row) {
        const T* image = x + row / d.out_height * d.height * d.width * d.channels;
        for (index_t ow = 0; ow < d.out_width; ++ow) {
            const AverageWindow window(d, row % d.out_height, ow);
            const index_t channels = d.channels, width = d.width;
            for (index_t c = 0; c < channels; c += lanes) {
                Vec sum{};
                for (index_t ih = window.top; ih < window.bottom; ++ih)
                    for (index_t iw = window.left; iw < window.right; ++iw) sum += load_within(image + (ih * width + iw) * channels + c, channels - c);
                store_within(y + (row * d.out_width + ow) * channels + c, window.empty() ? splat(0.0f) : sum / static_cast<float>(window.divisor),
                             channels - c);
            }
        }
    }
}

/// Image n.
inline void avg_pool_backward(const Pool2dDims& d, index_t n, const float* dy, float* dx) {
    const index_t channels = d.channels, width = d.width;
    float* image = dx + n * d.height * width * channels;
    fill(d.height * width * channels, 0.0f, image);
    for (index_t oh = 0; oh < d.out_height; ++oh)
        for (index_t ow = 0; ow < d.out_width; ++ow) {
            const AverageWindow window(d, oh, ow);
            if (window.empty()) continue;
            for (index_t c = 0; c < channels; c += lanes) {
                const index_t count = channels - c;
                const Vec part = load_within(dy + ((n * d.out_height + oh) * d.out_width + ow) * channels + c, count) / static_cast<float>(window.divisor);
                for (index_t ih = window.top; ih < window.bottom; ++ih)
                    for (index_t iw = window.left; iw < window.right; ++iw) {
                        float* at = image + (ih * width + iw) * channels + c;
                        store_within(at, load_within(at, count) + part, count);
                    }
            }
        }
}
