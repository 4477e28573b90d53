// SPDX-License-Identifier: MIT
// Images of another size, of the reference policy: interpolated, averaged over windows that adapt to it, or padded.
#pragma once

#include <dla/kernels/reference/wide.hpp>
#include <dla/kernels/types.hpp>

#include <algorithm>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

namespace detail {

/// Output o of an axis is (1 - share) * x[low] + share * x[high]; high is low where one value is all, and share is then 0.
struct AxisSource {
    index_t low, high;
    double share;
    constexpr bool one() const { return low == high; }
    /// What input i, which is one of the two, contributes.
    constexpr double weight(index_t i) const { return i == low ? 1 - share : share; }
};

/// One axis of torch's interpolate with `scale` = in / out (align_corners: (in - 1) / (out - 1)), calculated in whole numbers. requires: sizes within 2^30.
/// nearest: floor(o * scale). bilinear: around max(0, (o + 0.5) * scale - 0.5), or o * scale with align_corners; beyond the last value: that one.
struct ResizedAxis {
    index_t in, out;
    Interpolation mode;
    bool align_corners;

    constexpr AxisSource source(index_t o) const {
        if (mode == Interpolation::nearest) return {o * in / out, o * in / out, 0};
        const index_t whole = align_corners ? std::max<index_t>(out - 1, 1) : 2 * out;
        const index_t place = align_corners ? (out > 1 ? o * (in - 1) : 0) : std::max<index_t>((2 * o + 1) * in - out, 0);  // in parts of `whole`
        const index_t low = place / whole, part = place % whole;
        if (part == 0 || low + 1 >= in) return {low, low, 0};
        return {low, low + 1, static_cast<double>(part) / static_cast<double>(whole)};
    }
    /// The outputs [first, last) that input i is a part of: with o, neither low nor high falls.
    struct Outputs {
        index_t first, last;
    };
    constexpr Outputs outputs(index_t i) const {
        return {first_where([&](index_t o) { return source(o).high >= i; }), first_where([&](index_t o) { return source(o).low > i; })};
    }

private:
    /// The first output for which f holds, as it does for all behind; `out` if there is none.
    template <class F>
    constexpr index_t first_where(const F& f) const {
        index_t before = 0, holds = out;
        while (before < holds) {
            const index_t middle = before + (holds - before) / 2;
            if (f(middle))
                holds = middle;
            else
                before = middle + 1;
        }
        return holds;
    }
};

/// Both axes of an image.
struct ResizedImage {
    ResizedAxis rows, columns;
    constexpr ResizedImage(const Resize2dDims& d, Interpolation mode, bool align_corners)
        : rows{d.height, d.out_height, mode, align_corners}, columns{d.width, d.out_width, mode, align_corners} {}
};

}  // namespace detail

/// y = x interpolated; a value that does not count (share 0) is not read, so an infinity stays where it is.
template <class T>
void upsample2d_forward(const Reference<T>&, const Resize2dDims& d, Interpolation mode, bool align_corners, const detail::Of<T>* x, detail::Of<T>* y) {
    using Sum = detail::Wide<T>;
    const detail::ResizedImage image(d, mode, align_corners);
    for (index_t n = 0; n < d.batch; ++n)
        for (index_t oh = 0; oh < d.out_height; ++oh)
            for (index_t ow = 0; ow < d.out_width; ++ow) {
                const detail::AxisSource row = image.rows.source(oh), column = image.columns.source(ow);
                for (index_t c = 0; c < d.channels; ++c) {
                    Sum sum{};
                    for (index_t ih = row.low; ih <= row.high; ++ih)
                        for (index_t iw = column.low; iw <= column.high; ++iw)
                            sum += static_cast<Sum>(row.weight(ih) * column.weight(iw)) *
                                   static_cast<Sum>(x[((n * d.height + ih) * d.width + iw) * d.channels + c]);
                    y[((n * d.out_height + oh) * d.out_width + ow) * d.channels + c] = static_cast<T>(sum);
                }
            }
}

/// dx overwritten: each input gathers from the outputs that it is a part of, in order.
template <class T>
void upsample2d_backward(const Reference<T>&, const Resize2dDims& d, Interpolation mode, bool align_corners, const detail::Of<T>* dy, detail::Of<T>* dx) {
    using Sum = detail::Wide<T>;
    const detail::ResizedImage image(d, mode, align_corners);
    for (index_t n = 0; n < d.batch; ++n)
        for (index_t ih = 0; ih < d.height; ++ih)
            for (index_t iw = 0; iw < d.width; ++iw) {
                const auto rows = image.rows.outputs(ih), columns = image.columns.outputs(iw);
                for (index_t c = 0; c < d.channels; ++c) {
                    Sum sum{};
                    for (index_t oh = rows.first; oh < rows.last; ++oh)
                        for (index_t ow = columns.first; ow < columns.last; ++ow)
                            sum += static_cast<Sum>(image.rows.source(oh).weight(ih) * image.columns.source(ow).weight(iw)) *
                                   static_cast<Sum>(dy[((n * d.out_height + oh) * d.out_width + ow) * d.channels + c]);
                    dx[((n * d.height + ih) * d.width + iw) * d.channels + c] = static_cast<T>(sum);
                }
            }
}

namespace detail {

/// The values [first, last) of an axis of `in` that value o of one of `out` is the mean of (torch's adaptive_avg_pool2d). requires: sizes within 2^30.
/// With sizes exchanged: the outputs that input o is a part of.
struct AdaptiveWindow {
    index_t first, last;
    constexpr AdaptiveWindow(index_t o, index_t in, index_t out) : first(o * in / out), last(((o + 1) * in + out - 1) / out) {}
    constexpr index_t size() const { return last - first; }
};

}  // namespace detail

/// y = mean of each window.
template <class T>
void adaptive_avg_pool2d_forward(const Reference<T>&, const Resize2dDims& d, const detail::Of<T>* x, detail::Of<T>* y) {
    using Sum = detail::Wide<T>;
    for (index_t n = 0; n < d.batch; ++n)
        for (index_t oh = 0; oh < d.out_height; ++oh)
            for (index_t ow = 0; ow < d.out_width; ++ow) {
                const detail::AdaptiveWindow rows(oh, d.height, d.out_height), columns(ow, d.width, d.out_width);
                for (index_t c = 0; c < d.channels; ++c) {
                    Sum sum{};
                    for (index_t ih = rows.first; ih < rows.last; ++ih)
                        for (index_t iw = columns.first; iw < columns.last; ++iw)
                            sum += static_cast<Sum>(x[((n * d.height + ih) * d.width + iw) * d.channels + c]);
                    y[((n * d.out_height + oh) * d.out_width + ow) * d.channels + c] = static_cast<T>(sum / static_cast<Sum>(rows.size() * columns.size()));
                }
            }
}

/// dx overwritten: each value of dy is spread evenly over its window; windows that overlap add up in their order.
template <class T>
void adaptive_avg_pool2d_backward(const Reference<T>&, const Resize2dDims& d, const detail::Of<T>* dy, detail::Of<T>* dx) {
    using Sum = detail::Wide<T>;
    for (index_t n = 0; n < d.batch; ++n)
        for (index_t ih = 0; ih < d.height; ++ih)
            for (index_t iw = 0; iw < d.width; ++iw) {
                const detail::AdaptiveWindow rows(ih, d.out_height, d.height), columns(iw, d.out_width, d.width);
                for (index_t c = 0; c < d.channels; ++c) {
                    Sum sum{};
                    for (index_t oh = rows.first; oh < rows.last; ++oh)
                        for (index_t ow = columns.first; ow < columns.last; ++ow) {
                            const detail::AdaptiveWindow of_rows(oh, d.height, d.out_height), of_columns(ow, d.width, d.out_width);
                            sum += static_cast<Sum>(dy[((n * d.out_height + oh) * d.out_width + ow) * d.channels + c]) /
                                   static_cast<Sum>(of_rows.size() * of_columns.size());
                        }
                    dx[((n * d.height + ih) * d.width + iw) * d.channels + c] = static_cast<T>(sum);
                }
            }
}

/// y = x moved down by `top` and to the right by `left` (negative: up, to the left), 0 around it.
template <class T>
void zero_pad2d(const Reference<T>&, const Resize2dDims& d, index_t top, index_t left, const detail::Of<T>* x, detail::Of<T>* y) {
    for (index_t n = 0; n < d.batch; ++n)
        for (index_t oh = 0; oh < d.out_height; ++oh)
            for (index_t ow = 0; ow < d.out_width; ++ow) {
                const index_t ih = oh - top, iw = ow - left;
                const bool inside = ih >= 0 && ih < d.height && iw >= 0 && iw < d.width;
                for (index_t c = 0; c < d.channels; ++c)
                    y[((n * d.out_height + oh) * d.out_width + ow) * d.channels + c] =
                        inside ? x[((n * d.height + ih) * d.width + iw) * d.channels + c] : static_cast<T>(0);
            }
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
