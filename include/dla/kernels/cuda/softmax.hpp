// SPDX-License-Identifier: MIT
// Softmax and cross-entropy of Cuda<float>.
#pragma once

#include <dla/kernels/cuda/launch.hpp>

namespace dla {

namespace detail {

inline void softmax_rows(const Cuda<float>& p, const NormDims& d, bool logarithm, ConstDeviceFloats x, DeviceFloats y) {
    const int lanes = cuda::lanes_of(d);
    if (d.outer * d.channels * d.inner > 0)
        cuda::launch(p, cuda::kernels::softmax_forward, cuda::blocks_of_rows(d.outer * d.inner, lanes), d, lanes, logarithm, x, y);
}
inline void softmax_rows_backward(const Cuda<float>& p, const NormDims& d, bool logarithm, ConstDeviceFloats y, ConstDeviceFloats dy, DeviceFloats dx) {
    const int lanes = cuda::lanes_of(d);
    if (d.outer * d.channels * d.inner > 0)
        cuda::launch(p, cuda::kernels::softmax_backward, cuda::blocks_of_rows(d.outer * d.inner, lanes), d, lanes, logarithm, y, dy, dx);
}

inline int lanes_of(const CrossEntropyDims& d) { return cuda::lanes_of({.outer = d.rows, .channels = d.classes}); }
/// The scratch memory of a loss: what these rows weigh, and a part for each block.
inline constexpr index_t own_weights_bytes = align_up(static_cast<index_t>(sizeof(LossResult)));

}  // namespace detail

inline void softmax_forward(const Cuda<float>& p, const NormDims& d, detail::ConstDeviceFloats x, detail::DeviceFloats y) {
    detail::softmax_rows(p, d, false, x, y);
}
inline void softmax_backward(const Cuda<float>& p, const NormDims& d, detail::ConstDeviceFloats y, detail::ConstDeviceFloats dy, detail::DeviceFloats dx) {
    detail::softmax_rows_backward(p, d, false, y, dy, dx);
}
inline void log_softmax_forward(const Cuda<float>& p, const NormDims& d, detail::ConstDeviceFloats x, detail::DeviceFloats y) {
    detail::softmax_rows(p, d, true, x, y);
}
inline void log_softmax_backward(const Cuda<float>& p, const NormDims& d, detail::ConstDeviceFloats y, detail::ConstDeviceFloats dy, detail::DeviceFloats dx) {
    detail::softmax_rows_backward(p, d, true, y, dy, dx);
}

inline index_t cross_entropy_scratch(const Cuda<float>&, const CrossEntropyDims& d) {
    return detail::own_weights_bytes + align_up(cuda::blocks_of_rows(d.rows, detail::lanes_of(d)).x * static_cast<index_t>(sizeof(cuda::LossPart)));
}

inline void label_weights(const Cuda<float>& p, const CrossEntropyDims& d, DevicePtr<const std::int32_t> labels, detail::ConstDeviceFloats class_weights,
                          DevicePtr<LossResult> whole) {
    cuda::launch(p, cuda::kernels::label_weights, cuda::Blocks{.threads = 1024}, d, labels, class_weights, whole);
}

inline void cross_entropy(const Cuda<float>& p, detail::DeviceScratch scratch, const CrossEntropyDims& d, detail::ConstDeviceFloats logits,
                          DevicePtr<const std::int32_t> labels, detail::ConstDeviceFloats class_weights, DevicePtr<LossResult> result,
                          detail::DeviceFloats dlogits, DevicePtr<const LossResult> whole = {}) {
    const auto own = Cuda<float>::pointer_cast<LossResult>(scratch);
    const auto parts = Cuda<float>::pointer_cast<cuda::LossPart>(scratch + detail::own_weights_bytes);
    const int lanes = detail::lanes_of(d);
    const cuda::Blocks blocks = cuda::blocks_of_rows(d.rows, lanes);
    if (!whole) {
        label_weights(p, d, labels, class_weights, own);
        whole = own;
    }
    cuda::launch(p, cuda::kernels::cross_entropy, blocks, d, lanes, logits, labels, class_weights, whole, parts, dlogits);
    cuda::launch(p, cuda::kernels::cross_entropy_finish, cuda::Blocks{}, d, blocks.x, parts, whole, result);
}

inline void cross_entropy_soft(const Cuda<float>& p, detail::DeviceScratch scratch, const CrossEntropyDims& d, detail::ConstDeviceFloats logits,
                               detail::ConstDeviceFloats targets, detail::ConstDeviceFloats class_weights, DevicePtr<LossResult> result,
                               detail::DeviceFloats dlogits) {
    const auto parts = Cuda<float>::pointer_cast<cuda::LossPart>(scratch + detail::own_weights_bytes);
    const int lanes = detail::lanes_of(d);
    const cuda::Blocks blocks = cuda::blocks_of_rows(d.rows, lanes);
    const double divisor = d.mean ? static_cast<double>(d.total_rows > 0 ? d.total_rows : d.rows) : 1.0;
    const ElementLossDims values{.rows = d.rows, .outputs = d.classes, .divisor = divisor, .first_row = d.first_row};
    cuda::launch(p, cuda::kernels::cross_entropy_soft, blocks, d, lanes, logits, targets, class_weights, parts, dlogits);
    cuda::launch(p, cuda::kernels::loss_finish, cuda::Blocks{}, values, blocks.x, d.rows, parts, result);
    if (dlogits && values.size() > 0) cuda::launch(p, cuda::kernels::zero_if_bad, cuda::Blocks::over(values.size()), values.size(), result, dlogits);
}

}  // namespace dla
