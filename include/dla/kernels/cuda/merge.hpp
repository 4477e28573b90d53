// SPDX-License-Identifier: MIT
// What joins the outputs of branches, of Cuda<float>.
#pragma once

#include <dla/kernels/cuda/launch.hpp>

namespace dla {

inline void copy_columns(const Cuda<float>& p, index_t rows, index_t columns, detail::ConstDeviceFloats x, index_t x_stride, detail::DeviceFloats y,
                         index_t y_stride) {
    if (rows * columns > 0) cuda::launch(p, cuda::kernels::copy_columns, cuda::Blocks::over(rows * columns), rows, columns, x, x_stride, y, y_stride);
}
inline void scale_channels(const Cuda<float>& p, index_t batch, index_t pixels, index_t channels, detail::ConstDeviceFloats x, detail::ConstDeviceFloats factor,
                           detail::DeviceFloats y) {
    const index_t n = batch * pixels * channels;
    if (n > 0) cuda::launch(p, cuda::kernels::scale_channels, cuda::Blocks::over(n), batch, pixels, channels, x, factor, y);
}
inline void scale_channels_backward(const Cuda<float>& p, index_t batch, index_t pixels, index_t channels, detail::ConstDeviceFloats x,
                                    detail::ConstDeviceFloats dy, detail::DeviceFloats dfactor) {
    if (batch * channels == 0) return;
    const cuda::Blocks blocks{.x = (channels + 31) / 32, .y = std::min<index_t>(batch, 1024)};
    cuda::launch(p, cuda::kernels::scale_channels_backward, blocks, batch, pixels, channels, x, dy, dfactor);
}

}  // namespace dla
