// SPDX-License-Identifier: MIT
// Images of another size, of Cuda<float>.
#pragma once

#include <dla/kernels/cuda/launch.hpp>

namespace dla {

namespace detail {

inline index_t outputs_of(const Resize2dDims& d) { return d.batch * d.out_height * d.out_width * d.channels; }
inline index_t inputs_of(const Resize2dDims& d) { return d.batch * d.height * d.width * d.channels; }

}  // namespace detail

inline void upsample2d_forward(const Cuda<float>& p, const Resize2dDims& d, Interpolation mode, bool align_corners, detail::ConstDeviceFloats x,
                               detail::DeviceFloats y) {
    if (const index_t n = detail::outputs_of(d); n > 0) cuda::launch(p, cuda::kernels::upsample2d_forward, cuda::Blocks::over(n), d, mode, align_corners, x, y);
}
inline void upsample2d_backward(const Cuda<float>& p, const Resize2dDims& d, Interpolation mode, bool align_corners, detail::ConstDeviceFloats dy,
                                detail::DeviceFloats dx) {
    if (const index_t n = detail::inputs_of(d); n > 0)
        cuda::launch(p, cuda::kernels::upsample2d_backward, cuda::Blocks::over(n), d, mode, align_corners, dy, dx);
}
inline void adaptive_avg_pool2d_forward(const Cuda<float>& p, const Resize2dDims& d, detail::ConstDeviceFloats x, detail::DeviceFloats y) {
    if (const index_t n = detail::outputs_of(d); n > 0) cuda::launch(p, cuda::kernels::adaptive_avg_pool2d_forward, cuda::Blocks::over(n), d, x, y);
}
inline void adaptive_avg_pool2d_backward(const Cuda<float>& p, const Resize2dDims& d, detail::ConstDeviceFloats dy, detail::DeviceFloats dx) {
    if (const index_t n = detail::inputs_of(d); n > 0) cuda::launch(p, cuda::kernels::adaptive_avg_pool2d_backward, cuda::Blocks::over(n), d, dy, dx);
}
inline void zero_pad2d(const Cuda<float>& p, const Resize2dDims& d, index_t top, index_t left, detail::ConstDeviceFloats x, detail::DeviceFloats y) {
    if (const index_t n = detail::outputs_of(d); n > 0) cuda::launch(p, cuda::kernels::zero_pad2d, cuda::Blocks::over(n), d, top, left, x, y);
}

}  // namespace dla
