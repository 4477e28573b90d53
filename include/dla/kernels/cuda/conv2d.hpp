// SPDX-License-Identifier: MIT
// 2-d convolutions of Cuda<float>: cuDNN's, or our own where it has none.
#pragma once

#include <dla/kernels/cuda/cudnn.hpp>
#include <dla/kernels/cuda/reduce.hpp>

namespace dla {

namespace detail {

inline index_t outputs_of(const Conv2dDims& d) { return d.batch * d.out_height * d.out_width * d.out_channels; }
inline index_t weight_count(const Conv2dDims& d) { return d.out_channels * d.kernel_h * d.kernel_w * (d.in_channels / d.groups); }

}  // namespace detail

inline index_t conv2d_forward_scratch(const Cuda<float>&, const Conv2dDims&) { return 0; }
inline void conv2d_forward(const Cuda<float>& p, detail::DeviceScratch, const Conv2dDims& d, detail::ConstDeviceFloats x, detail::ConstDeviceFloats w,
                           detail::ConstDeviceFloats bias, detail::DeviceFloats y) {
    const index_t n = detail::outputs_of(d);
    if (n == 0) return;
    if (!cuda::Convolutions::of(p.queue()).run(cuda::ConvKind::forward, d, p.tf32, p.strict, x.address(), w.address(), y.address()))
        return cuda::launch(p, cuda::kernels::conv2d_forward, cuda::Blocks::over(n), d, x, w, bias, y);
    if (bias) cuda::launch(p, cuda::kernels::bias_rows, cuda::Blocks::over(n), n / d.out_channels, d.out_channels, 1.0f, bias, y);
}

inline index_t conv2d_backward_data_scratch(const Cuda<float>&, const Conv2dDims&) { return 0; }
inline void conv2d_backward_data(const Cuda<float>& p, detail::DeviceScratch, const Conv2dDims& d, detail::ConstDeviceFloats dy, detail::ConstDeviceFloats w,
                                 detail::DeviceFloats dx) {
    const index_t n = d.batch * d.height * d.width * d.in_channels;
    if (n == 0) return;
    if (!cuda::Convolutions::of(p.queue()).run(cuda::ConvKind::backward_data, d, p.tf32, p.strict, dx.address(), w.address(), dy.address()))
        cuda::launch(p, cuda::kernels::conv2d_backward_data, cuda::Blocks::over(n), d, dy, w, dx);
}

/// For the sums of dy, and for what cuDNN gives: it overwrites, and dw is added to.
inline index_t conv2d_backward_weights_scratch(const Cuda<float>& p, const Conv2dDims& d) {
    return std::max(align_up(detail::weight_count(d) * static_cast<index_t>(sizeof(float))),
                    column_sum_scratch(p, d.batch * d.out_height * d.out_width, d.out_channels));
}
inline void conv2d_backward_weights(const Cuda<float>& p, detail::DeviceScratch scratch, const Conv2dDims& d, detail::ConstDeviceFloats x,
                                    detail::ConstDeviceFloats dy, detail::DeviceFloats dw, detail::DeviceFloats dbias) {
    if (detail::outputs_of(d) == 0) return;
    const auto fresh = Cuda<float>::pointer_cast<float>(scratch);
    const index_t n = detail::weight_count(d);
    if (cuda::Convolutions::of(p.queue()).run(cuda::ConvKind::backward_weights, d, p.tf32, p.strict, x.address(), fresh.address(), dy.address()))
        cuda::launch(p, cuda::kernels::add, cuda::Blocks::over(n), n, dw, fresh, dw);
    else
        cuda::launch(p, cuda::kernels::conv2d_backward_weights, cuda::Blocks{.x = std::clamp<index_t>(n, 1, 1 << 20)}, d, x, dy, dw);
    if (dbias) column_sum(p, scratch, d.batch * d.out_height * d.out_width, d.out_channels, dy, dbias);
}

}  // namespace dla
