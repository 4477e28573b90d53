// SPDX-License-Identifier: MIT
// What a training step decides and joins, of Cuda<float>.
#pragma once

#include <dla/kernels/cuda/launch.hpp>

namespace dla {

inline void join_losses(const Cuda<float>& p, DevicePtr<const LossResult> from, DevicePtr<LossResult> to) {
    cuda::launch(p, cuda::kernels::join_losses, cuda::Blocks{.threads = 1}, from, to);
}
inline void accumulate(const Cuda<float>& p, index_t n, detail::ConstDeviceFloats from, detail::DeviceFloats to) {
    if (n > 0) cuda::launch(p, cuda::kernels::add, cuda::Blocks::over(n), n, to, from, to);
}
inline void scale(const Cuda<float>& p, index_t n, double factor, detail::DeviceFloats x) {
    if (n > 0) cuda::launch(p, cuda::kernels::scale, cuda::Blocks::over(n), n, static_cast<float>(factor), x);
}
inline void decide_step(const Cuda<float>& p, index_t count, DevicePtr<const double> squares, DevicePtr<double> total, DevicePtr<RandomPosition> position,
                        DevicePtr<StepReport> report) {
    cuda::launch(p, cuda::kernels::decide_step, cuda::Blocks{.threads = 1}, count, squares, total, position, report);
}
inline void restore_unless_applied(const Cuda<float>& p, DevicePtr<const StepReport> report, index_t bytes, DevicePtr<const std::byte> from,
                                   DevicePtr<std::byte> to) {
    if (bytes == 0) return;
    cuda::launch(p, cuda::kernels::restore_unless_applied, cuda::Blocks::over(bytes), report, bytes, Cuda<float>::pointer_cast<const unsigned char>(from),
                 Cuda<float>::pointer_cast<unsigned char>(to));
}

}  // namespace dla
