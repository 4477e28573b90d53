// SPDX-License-Identifier: MIT
// 2-d convolution of the reference policy: each output value is one sum, gathered in loops over what contributes to it.
#pragma once

#include <dla/kernels/reference/wide.hpp>
#include <dla/kernels/types.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

template <class T>
index_t conv2d_forward_scratch(const Reference<T>&, const Conv2dDims&) {
    return 0;
}
template <class T>
index_t conv2d_backward_data_scratch(const Reference<T>&, const Conv2dDims&) {
    return 0;
}
template <class T>
index_t conv2d_backward_weights_scratch(const Reference<T>&, const Conv2dDims&) {
    return 0;
}

/// y[n, oh, ow, o] = bias[o] + sum over (kh, kw, c) of x[n, oh * stride - pad + kh * dilation, ..., c] * w[o, kh, kw, c], zero outside the image.
template <class T>
void conv2d_forward(const Reference<T>&, std::byte*, const Conv2dDims& d, const detail::Of<T>* x, const detail::WeightOf<T>* w, const detail::WeightOf<T>* bias,
                    detail::Of<T>* y) {
    using Sum = detail::Wide<T>;
    const index_t in_group = d.in_channels / d.groups, out_group = d.out_channels / d.groups;
    for (index_t n = 0; n < d.batch; ++n)
        for (index_t oh = 0; oh < d.out_height; ++oh)
            for (index_t ow = 0; ow < d.out_width; ++ow)
                for (index_t o = 0; o < d.out_channels; ++o) {
                    Sum sum = bias ? static_cast<Sum>(bias[o]) : Sum{};
                    for (index_t kh = 0; kh < d.kernel_h; ++kh) {
                        const index_t ih = oh * d.stride_h - d.pad_top + kh * d.dilation_h;
                        if (ih < 0 || ih >= d.height) continue;
                        for (index_t kw = 0; kw < d.kernel_w; ++kw) {
                            const index_t iw = ow * d.stride_w - d.pad_left + kw * d.dilation_w;
                            if (iw < 0 || iw >= d.width) continue;
                            const T* pixel = x + ((n * d.height + ih) * d.width + iw) * d.in_channels + o / out_group * in_group;
                            const detail::WeightOf<T>* tap = w + ((o * d.kernel_h + kh) * d.kernel_w + kw) * in_group;
                            for (index_t c = 0; c < in_group; ++c) sum += static_cast<Sum>(pixel[c]) * static_cast<Sum>(tap[c]);
                        }
                    }
                    y[((n * d.out_height + oh) * d.out_width + ow) * d.out_channels + o] = static_cast<T>(sum);
                }
}

/// dx overwritten: each input value gathers the output values it took part in.
template <class T>
void conv2d_backward_data(const Reference<T>&, std::byte*, const Conv2dDims& d, const detail::Of<T>* dy, const detail::WeightOf<T>* w, detail::Of<T>* dx) {
    using Sum = detail::Wide<T>;
    const index_t in_group = d.in_channels / d.groups, out_group = d.out_channels / d.groups;
    for (index_t n = 0; n < d.batch; ++n)
        for (index_t ih = 0; ih < d.height; ++ih)
            for (index_t iw = 0; iw < d.width; ++iw)
                for (index_t c = 0; c < d.in_channels; ++c) {
                    Sum sum{};
                    for (index_t kh = 0; kh < d.kernel_h; ++kh) {
                        const index_t top = ih + d.pad_top - kh * d.dilation_h;  // oh * stride_h
                        if (top < 0 || top % d.stride_h != 0 || top / d.stride_h >= d.out_height) continue;
                        for (index_t kw = 0; kw < d.kernel_w; ++kw) {
                            const index_t left = iw + d.pad_left - kw * d.dilation_w;  // ow * stride_w
                            if (left < 0 || left % d.stride_w != 0 || left / d.stride_w >= d.out_width) continue;
                            const index_t first = c / in_group * out_group;
                            const T* pixel = dy + ((n * d.out_height + top / d.stride_h) * d.out_width + left / d.stride_w) * d.out_channels;
                            for (index_t o = first; o < first + out_group; ++o)
                                sum += static_cast<Sum>(pixel[o]) * static_cast<Sum>(w[((o * d.kernel_h + kh) * d.kernel_w + kw) * in_group + c % in_group]);
                        }
                    }
                    dx[((n * d.height + ih) * d.width + iw) * d.in_channels + c] = static_cast<T>(sum);
                }
}

/// dw += and dbias (or null) +=: one sum over batch and positions for each weight.
template <class T>
void conv2d_backward_weights(const Reference<T>&, std::byte*, const Conv2dDims& d, const detail::Of<T>* x, const detail::Of<T>* dy, detail::MasterOf<T>* dw,
                             detail::MasterOf<T>* dbias) {
    using Sum = detail::Wide<T>;
    using Master = detail::MasterOf<T>;
    const index_t in_group = d.in_channels / d.groups, out_group = d.out_channels / d.groups;
    for (index_t o = 0; o < d.out_channels; ++o) {
        for (index_t kh = 0; kh < d.kernel_h; ++kh)
            for (index_t kw = 0; kw < d.kernel_w; ++kw)
                for (index_t c = 0; c < in_group; ++c) {
                    Sum sum{};
                    for (index_t n = 0; n < d.batch; ++n)
                        for (index_t oh = 0; oh < d.out_height; ++oh) {
                            const index_t ih = oh * d.stride_h - d.pad_top + kh * d.dilation_h;
                            if (ih < 0 || ih >= d.height) continue;
                            for (index_t ow = 0; ow < d.out_width; ++ow) {
                                const index_t iw = ow * d.stride_w - d.pad_left + kw * d.dilation_w;
                                if (iw < 0 || iw >= d.width) continue;
                                sum += static_cast<Sum>(x[((n * d.height + ih) * d.width + iw) * d.in_channels + o / out_group * in_group + c]) *
                                       static_cast<Sum>(dy[((n * d.out_height + oh) * d.out_width + ow) * d.out_channels + o]);
                            }
                        }
                    Master& out = dw[((o * d.kernel_h + kh) * d.kernel_w + kw) * in_group + c];
                    out = static_cast<Master>(static_cast<Sum>(out) + sum);
                }
        if (!dbias) continue;
        Sum sum{};
        for (index_t i = 0; i < d.batch * d.out_height * d.out_width; ++i) sum += static_cast<Sum>(dy[i * d.out_channels + o]);
        dbias[o] = static_cast<Master>(static_cast<Sum>(dbias[o]) + sum);
    }
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
