// SPDX-License-Identifier: MIT
// Optimizer steps of Cuda<float>.
#pragma once

#include <dla/kernels/cuda/launch.hpp>

namespace dla {

inline void begin_sgd_step(const Cuda<float>& p, DevicePtr<const SgdScalars> settings, DevicePtr<const StepReport> report, DevicePtr<std::int64_t> steps,
                           DevicePtr<SgdScalars> scalars) {
    cuda::launch(p, cuda::kernels::begin_sgd_step, cuda::Blocks{.threads = 1}, settings, report, steps, scalars);
}
inline void begin_adam_step(const Cuda<float>& p, DevicePtr<const AdamScalars> settings, DevicePtr<const StepReport> report, DevicePtr<std::int64_t> steps,
                            DevicePtr<AdamScalars> scalars) {
    cuda::launch(p, cuda::kernels::begin_adam_step, cuda::Blocks{.threads = 1}, settings, report, steps, scalars);
}
inline void sgd_step(const Cuda<float>& p, index_t n, DevicePtr<const SgdScalars> sgd, detail::DeviceFloats value, detail::ConstDeviceFloats grad,
                     detail::DeviceFloats velocity) {
    if (n > 0) cuda::launch(p, cuda::kernels::sgd_step, cuda::Blocks::over(n), n, sgd, value, grad, velocity);
}
inline void adam_step(const Cuda<float>& p, index_t n, DevicePtr<const AdamScalars> adam, detail::DeviceFloats value, detail::ConstDeviceFloats grad,
                      detail::DeviceFloats m, detail::DeviceFloats v) {
    if (n > 0) cuda::launch(p, cuda::kernels::adam_step, cuda::Blocks::over(n), n, adam, value, grad, m, v);
}
inline void begin_muon_step(const Cuda<float>& p, DevicePtr<const MuonScalars> settings, DevicePtr<const StepReport> report, DevicePtr<std::int64_t> steps,
                            DevicePtr<MuonScalars> scalars) {
    cuda::launch(p, cuda::kernels::begin_muon_step, cuda::Blocks{.threads = 1}, settings, report, steps, scalars);
}
inline void muon_direction(const Cuda<float>& p, index_t n, DevicePtr<const MuonScalars> muon, detail::ConstDeviceFloats grad, detail::DeviceFloats velocity,
                           detail::DeviceFloats direction) {
    if (n > 0) cuda::launch(p, cuda::kernels::muon_direction, cuda::Blocks::over(n), n, muon, grad, velocity, direction);
}
inline void divide_by_norm(const Cuda<float>& p, index_t n, DevicePtr<const double> squares, double eps, detail::DeviceFloats x) {
    if (n > 0) cuda::launch(p, cuda::kernels::divide_by_norm, cuda::Blocks::over(n), n, squares, eps, x);
}
inline void muon_update(const Cuda<float>& p, index_t n, DevicePtr<const MuonScalars> muon, detail::ConstDeviceFloats direction, detail::DeviceFloats value) {
    if (n > 0) cuda::launch(p, cuda::kernels::muon_update, cuda::Blocks::over(n), n, muon, direction, value);
}
inline void clip_scale(const Cuda<float>& p, index_t n, DevicePtr<const double> squares, double max_norm, detail::DeviceFloats value) {
    if (n > 0) cuda::launch(p, cuda::kernels::clip_scale, cuda::Blocks::over(n), n, squares, max_norm, value);
}

}  // namespace dla
