// SPDX-License-Identifier: MIT
// Images of another size, of the reference policy: interpolated, averaged over windows that adapt to it, or padded.
#pragma once

#include <dla/kernels/reference/wide.hpp>
#include <dla/kernels/windows.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

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
