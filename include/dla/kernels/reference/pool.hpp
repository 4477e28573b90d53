// SPDX-License-Identifier: MIT
// 2-d pooling of the reference policy.
#pragma once

#include <dla/kernels/reference/wide.hpp>
#include <dla/kernels/windows.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

/// y = largest value of each window: padding never wins, the first of equals does, a later NaN replaces. argmax (or null) = ih * width + iw;
/// -1 where a dilated window misses the image altogether (y is then -infinity).
template <class T>
void max_pool2d_forward(const Reference<T>&, const Pool2dDims& d, const detail::Of<T>* x, detail::Of<T>* y, std::int32_t* argmax) {
    for (index_t n = 0; n < d.batch; ++n)
        for (index_t oh = 0; oh < d.out_height; ++oh)
            for (index_t ow = 0; ow < d.out_width; ++ow)
                for (index_t c = 0; c < d.channels; ++c) {
                    T best = static_cast<T>(-std::numeric_limits<T>::infinity());
                    index_t where = -1;
                    for (index_t kh = 0; kh < d.kernel_h; ++kh) {
                        const index_t ih = oh * d.stride_h - d.pad_h + kh * d.dilation_h;
                        if (ih < 0 || ih >= d.height) continue;
                        for (index_t kw = 0; kw < d.kernel_w; ++kw) {
                            const index_t iw = ow * d.stride_w - d.pad_w + kw * d.dilation_w;
                            if (iw < 0 || iw >= d.width) continue;
                            const T value = x[((n * d.height + ih) * d.width + iw) * d.channels + c];
                            if (where < 0 || value > best || value != value) {
                                best = value;
                                where = ih * d.width + iw;
                            }
                        }
                    }
                    const index_t out = ((n * d.out_height + oh) * d.out_width + ow) * d.channels + c;
                    y[out] = best;
                    if (argmax) argmax[out] = static_cast<std::int32_t>(where);
                }
}

/// dx overwritten; windows that overlap add up in the order of the windows.
template <class T>
void max_pool2d_backward(const Reference<T>&, const Pool2dDims& d, const detail::Of<T>* dy, const std::int32_t* argmax, detail::Of<T>* dx) {
    for (index_t n = 0; n < d.batch; ++n)
        for (index_t ih = 0; ih < d.height; ++ih)
            for (index_t iw = 0; iw < d.width; ++iw)
                for (index_t c = 0; c < d.channels; ++c) {
                    detail::Arithmetic<T> sum{};
                    detail::windows_of_pixel(d, ih, iw, [&](index_t oh, index_t ow) {
                        const index_t out = ((n * d.out_height + oh) * d.out_width + ow) * d.channels + c;
                        if (argmax[out] == ih * d.width + iw) sum += dy[out];
                    });
                    dx[((n * d.height + ih) * d.width + iw) * d.channels + c] = static_cast<T>(sum);
                }
}

/// y = mean of each window; a window outside the image gives 0.
template <class T>
void avg_pool2d_forward(const Reference<T>&, const Pool2dDims& d, const detail::Of<T>* x, detail::Of<T>* y) {
    using Sum = detail::Wide<T>;
    for (index_t n = 0; n < d.batch; ++n)
        for (index_t oh = 0; oh < d.out_height; ++oh)
            for (index_t ow = 0; ow < d.out_width; ++ow) {
                const detail::AverageWindow window(d, oh, ow);
                for (index_t c = 0; c < d.channels; ++c) {
                    Sum sum{};
                    for (index_t ih = window.top; ih < window.bottom; ++ih)
                        for (index_t iw = window.left; iw < window.right; ++iw)
                            sum += static_cast<Sum>(x[((n * d.height + ih) * d.width + iw) * d.channels + c]);
                    y[((n * d.out_height + oh) * d.out_width + ow) * d.channels + c] =
                        window.empty() ? T{0} : static_cast<T>(sum / static_cast<Sum>(window.divisor));
                }
            }
}

/// dx overwritten: each value of dy is spread evenly over its window; windows that overlap add up in the order of the windows.
template <class T>
void avg_pool2d_backward(const Reference<T>&, const Pool2dDims& d, const detail::Of<T>* dy, detail::Of<T>* dx) {
    for (index_t n = 0; n < d.batch; ++n)
        for (index_t ih = 0; ih < d.height; ++ih)
            for (index_t iw = 0; iw < d.width; ++iw)
                for (index_t c = 0; c < d.channels; ++c) {
                    detail::Arithmetic<T> sum{};
                    detail::windows_of_pixel(d, ih, iw, [&](index_t oh, index_t ow) {
                        const auto divisor = static_cast<detail::Arithmetic<T>>(detail::AverageWindow(d, oh, ow).divisor);
                        sum += dy[((n * d.out_height + oh) * d.out_width + ow) * d.channels + c] / divisor;
                    });
                    dx[((n * d.height + ih) * d.width + iw) * d.channels + c] = static_cast<T>(sum);
                }
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
