// SPDX-License-Identifier: MIT
// Batch and layer normalisation of Cuda<float>.
#pragma once

#include <dla/kernels/cuda/launch.hpp>

namespace dla {

namespace detail {

inline cuda::ChannelCut cut_of(const NormDims& d) { return cuda::cut_channels(d.outer, d.channels, d.inner); }
inline index_t size_of(const NormDims& d) { return d.outer * d.channels * d.inner; }

}  // namespace detail

inline index_t batch_norm_scratch(const Cuda<float>&, const NormDims& d) { return cuda::parts_bytes(detail::cut_of(d), 2); }

inline void batch_norm_forward(const Cuda<float>& p, detail::DeviceScratch scratch, const NormDims& d, double eps, double momentum, detail::ConstDeviceFloats x,
                               detail::ConstDeviceFloats w, detail::ConstDeviceFloats b, detail::DeviceFloats running_mean, detail::DeviceFloats running_var,
                               DevicePtr<std::int64_t> tracked, detail::DeviceFloats y, detail::DeviceFloats mean, detail::DeviceFloats invstd) {
    const cuda::ChannelCut cut = detail::cut_of(d);
    const DevicePtr<double> parts = detail::device_doubles(scratch);
    cuda::launch(p, cuda::kernels::batch_norm_moments, cuda::blocks_of(cut), cut, x, tracked, parts);
    cuda::launch(p, cuda::kernels::batch_norm_finish, cuda::Blocks::over(d.channels), cut, eps, momentum, x, parts, running_mean, running_var, tracked, mean,
                 invstd);
    if (const index_t n = detail::size_of(d); n > 0) cuda::launch(p, cuda::kernels::batch_norm_apply, cuda::Blocks::over(n), d, x, w, b, mean, invstd, y);
}
inline void batch_norm_infer(const Cuda<float>& p, const NormDims& d, double eps, detail::ConstDeviceFloats x, detail::ConstDeviceFloats w,
                             detail::ConstDeviceFloats b, detail::ConstDeviceFloats running_mean, detail::ConstDeviceFloats running_var,
                             detail::DeviceFloats y) {
    const index_t n = detail::size_of(d);
    if (n > 0) cuda::launch(p, cuda::kernels::batch_norm_infer, cuda::Blocks::over(n), d, eps, x, w, b, running_mean, running_var, y);
}
inline void batch_norm_backward(const Cuda<float>& p, detail::DeviceScratch scratch, const NormDims& d, detail::ConstDeviceFloats x,
                                detail::ConstDeviceFloats w, detail::ConstDeviceFloats mean, detail::ConstDeviceFloats invstd, detail::ConstDeviceFloats dy,
                                detail::DeviceFloats dx, detail::DeviceFloats dw, detail::DeviceFloats db) {
    const cuda::ChannelCut cut = detail::cut_of(d);
    const DevicePtr<double> parts = detail::device_doubles(scratch);
    cuda::launch(p, cuda::kernels::batch_norm_slopes, cuda::blocks_of(cut), cut, x, mean, dy, parts);
    cuda::launch(p, cuda::kernels::batch_norm_gradients, cuda::Blocks::over(d.channels), cut, 0.0, invstd, detail::ConstDeviceFloats(), parts, dw, db);
    if (const index_t n = detail::size_of(d); dx && n > 0)
        cuda::launch(p, cuda::kernels::batch_norm_backward, cuda::Blocks::over(n), cut, x, w, mean, invstd, parts, dy, dx);
}
inline void batch_norm_infer_backward(const Cuda<float>& p, detail::DeviceScratch scratch, const NormDims& d, double eps, detail::ConstDeviceFloats x,
                                      detail::ConstDeviceFloats w, detail::ConstDeviceFloats mean, detail::ConstDeviceFloats var, detail::ConstDeviceFloats dy,
                                      detail::DeviceFloats dx, detail::DeviceFloats dw, detail::DeviceFloats db) {
    const cuda::ChannelCut cut = detail::cut_of(d);
    const DevicePtr<double> parts = detail::device_doubles(scratch);
    if (dw) {
        cuda::launch(p, cuda::kernels::batch_norm_slopes, cuda::blocks_of(cut), cut, x, mean, dy, parts);
        cuda::launch(p, cuda::kernels::batch_norm_gradients, cuda::Blocks::over(d.channels), cut, eps, detail::ConstDeviceFloats(), var, parts, dw, db);
    }
    if (const index_t n = detail::size_of(d); dx && n > 0)
        cuda::launch(p, cuda::kernels::batch_norm_infer_backward, cuda::Blocks::over(n), d, eps, w, var, dy, dx);
}

inline index_t layer_norm_scratch(const Cuda<float>&, index_t rows, index_t columns) { return cuda::parts_bytes(cuda::cut_channels(rows, columns), 2); }

inline void layer_norm_forward(const Cuda<float>& p, index_t rows, index_t columns, double eps, detail::ConstDeviceFloats x, detail::ConstDeviceFloats w,
                               detail::ConstDeviceFloats b, detail::DeviceFloats y, detail::DeviceFloats mean, detail::DeviceFloats invstd) {
    if (rows * columns == 0) return;
    cuda::launch(p, cuda::kernels::layer_norm_forward, cuda::block_for_each(rows, columns), rows, columns, eps, x, w, b, y, mean, invstd);
}
inline void layer_norm_backward(const Cuda<float>& p, detail::DeviceScratch scratch, index_t rows, index_t columns, detail::ConstDeviceFloats x,
                                detail::ConstDeviceFloats w, detail::ConstDeviceFloats mean, detail::ConstDeviceFloats invstd, detail::ConstDeviceFloats dy,
                                detail::DeviceFloats dx, detail::DeviceFloats dw, detail::DeviceFloats db) {
    if (rows * columns == 0) return;
    if (dw) {  // before dx, which may be dy
        const cuda::ChannelCut cut = cuda::cut_channels(rows, columns);
        const DevicePtr<double> parts = detail::device_doubles(scratch);
        cuda::launch(p, cuda::kernels::layer_norm_slopes, cuda::blocks_of(cut), cut, x, mean, invstd, dy, parts);
        cuda::launch(p, cuda::kernels::batch_norm_gradients, cuda::Blocks::over(columns), cut, 0.0, detail::ConstDeviceFloats(), detail::ConstDeviceFloats(),
                     parts, dw, db);
    }
    if (dx) cuda::launch(p, cuda::kernels::layer_norm_backward, cuda::block_for_each(rows, columns), rows, columns, x, w, mean, invstd, dy, dx);
}

}  // namespace dla
