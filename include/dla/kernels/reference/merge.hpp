// SPDX-License-Identifier: MIT
// What joins the outputs of branches, of the reference policy: columns put next to each other, channels multiplied by a factor each.
#pragma once

#include <dla/kernels/reference/wide.hpp>
#include <dla/kernels/types.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

/// y[r * y_stride + i] = x[r * x_stride + i] for each of `columns` values of `rows` rows.
template <class T>
void copy_columns(const Reference<T>&, index_t rows, index_t columns, const detail::Of<T>* x, index_t x_stride, detail::Of<T>* y, index_t y_stride) {
    for (index_t r = 0; r < rows; ++r)
        for (index_t i = 0; i < columns; ++i) y[r * y_stride + i] = x[r * x_stride + i];
}

/// y [batch, pixels, channels] = x * factor [batch, channels].
template <class T>
void scale_channels(const Reference<T>&, index_t batch, index_t pixels, index_t channels, const detail::Of<T>* x, const detail::Of<T>* factor,
                    detail::Of<T>* y) {
    for (index_t n = 0; n < batch; ++n)
        for (index_t i = 0; i < pixels; ++i)
            for (index_t c = 0; c < channels; ++c) {
                const index_t at = (n * pixels + i) * channels + c;
                y[at] = static_cast<T>(x[at] * factor[n * channels + c]);
            }
}
/// dfactor [batch, channels] = sum of x * dy over the pixels.
template <class T>
void scale_channels_backward(const Reference<T>&, index_t batch, index_t pixels, index_t channels, const detail::Of<T>* x, const detail::Of<T>* dy,
                             detail::Of<T>* dfactor) {
    using S = detail::Wide<T>;
    for (index_t n = 0; n < batch; ++n)
        for (index_t c = 0; c < channels; ++c) {
            S sum{0};
            for (index_t i = 0; i < pixels; ++i) {
                const index_t at = (n * pixels + i) * channels + c;
                sum += static_cast<S>(x[at]) * static_cast<S>(dy[at]);
            }
            dfactor[n * channels + c] = static_cast<T>(sum);
        }
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
