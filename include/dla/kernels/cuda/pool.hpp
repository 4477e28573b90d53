// SPDX-License-Identifier: MIT
// 2-d pooling of Cuda<float>.
#pragma once

#include <dla/kernels/cuda/launch.hpp>

namespace dla {

namespace detail {

inline index_t outputs_of(const Pool2dDims& d) { return d.batch * d.out_height * d.out_width * d.channels; }
inline index_t inputs_of(const Pool2dDims& d) { return d.batch * d.height * d.width * d.channels; }

}  // namespace detail

inline void max_pool2d_forward(const Cuda<float>& p, const Pool2dDims& d, detail::ConstDeviceFloats x, detail::DeviceFloats y, DevicePtr<std::int32_t> argmax) {
    if (const index_t n = detail::outputs_of(d); n > 0) cuda::launch(p, cuda::kernels::max_pool2d_forward, cuda::Blocks::over(n), d, x, y, argmax);
}
inline void max_pool2d_backward(const Cuda<float>& p, const Pool2dDims& d, detail::ConstDeviceFloats dy, DevicePtr<const std::int32_t> argmax,
                                detail::DeviceFloats dx) {
    if (const index_t n = detail::inputs_of(d); n > 0) cuda::launch(p, cuda::kernels::max_pool2d_backward, cuda::Blocks::over(n), d, dy, argmax, dx);
}
inline void avg_pool2d_forward(const Cuda<float>& p, const Pool2dDims& d, detail::ConstDeviceFloats x, detail::DeviceFloats y) {
    if (const index_t n = detail::outputs_of(d); n > 0) cuda::launch(p, cuda::kernels::avg_pool2d_forward, cuda::Blocks::over(n), d, x, y);
}
inline void avg_pool2d_backward(const Cuda<float>& p, const Pool2dDims& d, detail::ConstDeviceFloats dy, detail::DeviceFloats dx) {
    if (const index_t n = detail::inputs_of(d); n > 0) cuda::launch(p, cuda::kernels::avg_pool2d_backward, cuda::Blocks::over(n), d, dy, dx);
}

}  // namespace dla
