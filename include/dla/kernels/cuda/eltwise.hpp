// SPDX-License-Identifier: MIT
// Elementwise kernels of Cuda<float>.
#pragma once

#include <dla/kernels/cuda/launch.hpp>
#include <dla/kernels/formulas.hpp>

#include <bit>

namespace dla {

inline void activation_forward(const Cuda<float>& p, Activation kind, const ActivationOptions& options, index_t n, detail::ConstDeviceFloats x,
                               detail::DeviceFloats y) {
    if (n > 0) cuda::launch(p, cuda::kernels::activation_forward, cuda::Blocks::over(n), kind, options, n, x, y);
}
inline void activation_backward(const Cuda<float>& p, Activation kind, const ActivationOptions& options, index_t n, detail::ConstDeviceFloats x,
                                detail::ConstDeviceFloats y, detail::ConstDeviceFloats dy, detail::DeviceFloats dx) {
    if (n > 0) cuda::launch(p, cuda::kernels::activation_backward, cuda::Blocks::over(n), kind, options, n, detail::slope_reads_y(kind) ? y : x, dy, dx);
}

inline index_t prelu_scratch(const Cuda<float>&, const NormDims& d) { return cuda::parts_bytes(cuda::cut_channels(d.outer, d.channels, d.inner), 1); }
inline void prelu_forward(const Cuda<float>& p, const NormDims& d, detail::ConstDeviceFloats x, detail::ConstDeviceFloats w, detail::DeviceFloats y) {
    const index_t n = d.outer * d.channels * d.inner;
    if (n > 0) cuda::launch(p, cuda::kernels::prelu_forward, cuda::Blocks::over(n), d, x, w, y);
}
inline void prelu_backward(const Cuda<float>& p, detail::DeviceScratch scratch, const NormDims& d, detail::ConstDeviceFloats x, detail::ConstDeviceFloats w,
                           detail::ConstDeviceFloats dy, detail::DeviceFloats dx, detail::DeviceFloats dw) {
    const index_t n = d.outer * d.channels * d.inner;
    if (n == 0) return;
    const cuda::ChannelCut cut = cuda::cut_channels(d.outer, d.channels, d.inner);
    cuda::launch(p, cuda::kernels::prelu_sums, cuda::blocks_of(cut), cut, x, dy, detail::device_doubles(scratch));  // before dx, which may be dy
    cuda::launch(p, cuda::kernels::add_parts, cuda::Blocks::over(d.channels), d.channels, cut.chunks, detail::device_doubles(scratch), dw);
    if (dx) cuda::launch(p, cuda::kernels::prelu_backward, cuda::Blocks::over(n), d, x, w, dy, dx);
}

inline void add(const Cuda<float>& p, index_t n, detail::ConstDeviceFloats a, detail::ConstDeviceFloats b, detail::DeviceFloats y) {
    if (n > 0) cuda::launch(p, cuda::kernels::add, cuda::Blocks::over(n), n, a, b, y);
}
inline void add_relu(const Cuda<float>& p, index_t n, detail::ConstDeviceFloats a, detail::ConstDeviceFloats b, detail::DeviceFloats y,
                     DevicePtr<std::uint32_t> mask) {
    if (n > 0) cuda::launch(p, cuda::kernels::add_relu, cuda::Blocks::over(n), n, a, b, y, mask);
}
inline void relu_mask_backward(const Cuda<float>& p, index_t n, DevicePtr<const std::uint32_t> mask, detail::ConstDeviceFloats dy, detail::DeviceFloats dx) {
    if (n > 0) cuda::launch(p, cuda::kernels::relu_mask_backward, cuda::Blocks::over(n), n, mask, dy, dx);
}
inline void copy(const Cuda<float>& p, index_t n, detail::ConstDeviceFloats x, detail::DeviceFloats y) {
    p.queue().copy(y.address(), x.address(), n * static_cast<index_t>(sizeof(float)));
}
inline void cast(const Cuda<float>& p, index_t n, detail::ConstDeviceFloats from, detail::DeviceFloats to) { copy(p, n, from, to); }
inline void fill(const Cuda<float>& p, index_t n, float value, detail::DeviceFloats y) {
    if (n == 0) return;
    if (std::bit_cast<std::uint32_t>(value) == 0)
        p.queue().fill(y.address(), 0, n * static_cast<index_t>(sizeof(float)));
    else
        cuda::launch(p, cuda::kernels::fill, cuda::Blocks::over(n), n, value, y);
}
inline void transpose(const Cuda<float>& p, index_t count, index_t rows, index_t columns, detail::ConstDeviceFloats x, detail::DeviceFloats y) {
    if (count * rows * columns == 0) return;
    const cuda::Blocks blocks{.x = (columns + 31) / 32, .y = std::min<index_t>((rows + 31) / 32, 1024), .z = std::min<index_t>(count, 1024)};
    cuda::launch(p, cuda::kernels::transpose, blocks, count, rows, columns, x, y);
}
/// The masks of the CPU's dropout.
inline void dropout(const Cuda<float>& p, index_t n, double probability, DevicePtr<const RandomPosition> at, std::uint32_t stream, detail::ConstDeviceFloats x,
                    detail::DeviceFloats y, index_t first = 0) {
    if (n > 0) cuda::launch(p, cuda::kernels::dropout, cuda::Blocks::over((n + 6) / 4), n, probability, at, stream, x, y, first);
}

}  // namespace dla
