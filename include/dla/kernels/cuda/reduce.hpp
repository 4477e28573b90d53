// SPDX-License-Identifier: MIT
// Sums, and the losses of single values, of Cuda<float>.
#pragma once

#include <dla/kernels/cuda/launch.hpp>

namespace dla {

inline index_t column_sum_scratch(const Cuda<float>&, index_t rows, index_t columns) { return cuda::parts_bytes(cuda::cut_channels(rows, columns), 1); }
inline void column_sum(const Cuda<float>& p, detail::DeviceScratch scratch, index_t rows, index_t columns, detail::ConstDeviceFloats x,
                       detail::DeviceFloats y) {
    if (rows * columns == 0) return;
    const cuda::ChannelCut cut = cuda::cut_channels(rows, columns);
    cuda::launch(p, cuda::kernels::column_sums, cuda::blocks_of(cut), cut, x, detail::device_doubles(scratch));
    cuda::launch(p, cuda::kernels::add_parts, cuda::Blocks::over(columns), columns, cut.chunks, detail::device_doubles(scratch), y);
}

/// Enough for the parts of a loss, too.
inline index_t sum_of_squares_scratch(const Cuda<float>&, index_t n) { return align_up(cuda::reduce_blocks(n) * static_cast<index_t>(sizeof(cuda::LossPart))); }
inline void sum_of_squares(const Cuda<float>& p, detail::DeviceScratch scratch, index_t n, detail::ConstDeviceFloats x, DevicePtr<double> sum) {
    const index_t blocks = cuda::reduce_blocks(n);
    cuda::launch(p, cuda::kernels::squares, cuda::Blocks{.x = blocks}, n, x, detail::device_doubles(scratch));
    cuda::launch(p, cuda::kernels::add_up, cuda::Blocks{}, blocks, detail::device_doubles(scratch), sum);
}

inline void element_loss(const Cuda<float>& p, detail::DeviceScratch scratch, const ElementLossDims& d, detail::ConstDeviceFloats x,
                         detail::ConstDeviceFloats targets, detail::ConstDeviceFloats pos_weight, DevicePtr<LossResult> result, detail::DeviceFloats gradient) {
    const auto parts = Cuda<float>::pointer_cast<cuda::LossPart>(scratch);
    const index_t blocks = cuda::reduce_blocks(d.size());
    cuda::launch(p, cuda::kernels::element_loss, cuda::Blocks{.x = blocks}, d, x, targets, pos_weight, parts, gradient);
    cuda::launch(p, cuda::kernels::loss_finish, cuda::Blocks{}, d, blocks, d.size(), parts, result);
    if (gradient && d.size() > 0) cuda::launch(p, cuda::kernels::zero_if_bad, cuda::Blocks::over(d.size()), d.size(), result, gradient);
}

}  // namespace dla
