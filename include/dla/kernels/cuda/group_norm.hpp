// SPDX-License-Identifier: MIT
// Group normalisation of Cuda<float>.
#pragma once

#include <dla/kernels/cuda/launch.hpp>

namespace dla {

namespace detail {

inline cuda::ChannelCut cut_of(const GroupNormDims& d) {
    return d.channels_first ? cuda::cut_channels(d.batch, d.channels, d.positions) : cuda::cut_channels(d.batch * d.positions, d.channels);
}

}  // namespace detail

inline index_t group_norm_scratch(const Cuda<float>&, const GroupNormDims& d) { return cuda::parts_bytes(detail::cut_of(d), 2); }

inline void group_norm_forward(const Cuda<float>& p, detail::DeviceScratch, const GroupNormDims& d, double eps, detail::ConstDeviceFloats x,
                               detail::ConstDeviceFloats w, detail::ConstDeviceFloats b, detail::DeviceFloats y, detail::DeviceFloats mean,
                               detail::DeviceFloats invstd) {
    if (d.batch * d.channels * d.positions == 0) return;
    cuda::launch(p, cuda::kernels::group_norm_forward, cuda::block_for_each(d.batch * d.groups, d.group_values()), d, eps, x, w, b, y, mean, invstd);
}
inline void group_norm_backward(const Cuda<float>& p, detail::DeviceScratch scratch, const GroupNormDims& d, detail::ConstDeviceFloats x,
                                detail::ConstDeviceFloats w, detail::ConstDeviceFloats mean, detail::ConstDeviceFloats invstd, detail::ConstDeviceFloats dy,
                                detail::DeviceFloats dx, detail::DeviceFloats dw, detail::DeviceFloats db) {
    if (d.batch * d.channels * d.positions == 0) return;
    if (dw) {  // before dx, which may be dy
        const cuda::ChannelCut cut = detail::cut_of(d);
        const DevicePtr<double> parts = detail::device_doubles(scratch);
        cuda::launch(p, cuda::kernels::group_norm_slopes, cuda::blocks_of(cut), d, cut, x, mean, invstd, dy, parts);
        cuda::launch(p, cuda::kernels::batch_norm_gradients, cuda::Blocks::over(d.channels), cut, 0.0, detail::ConstDeviceFloats(), detail::ConstDeviceFloats(),
                     parts, dw, db);
    }
    if (dx) cuda::launch(p, cuda::kernels::group_norm_backward, cuda::block_for_each(d.batch * d.groups, d.group_values()), d, x, w, mean, invstd, dy, dx);
}

}  // namespace dla
