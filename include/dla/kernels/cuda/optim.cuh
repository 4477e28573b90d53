// SPDX-License-Identifier: MIT
// Optimizer steps on a CUDA device: the reference's operations, of which the compiler may fuse products and sums.
#pragma once

#include <dla/kernels/cuda/block.cuh>

namespace dla {

extern "C" {

/// *scalars = *settings with what depends on the steps taken; *steps is advanced, unless `report` (or null) refuses the step. One thread.
__global__ void __launch_bounds__(256) dla_cuda_begin_sgd_step(const SgdScalars* settings, const StepReport* report, std::int64_t* steps, SgdScalars* scalars) {
    SgdScalars s = *settings;
    s.first = *steps == 0;
    s.skip = report != nullptr && report->applied == 0;
    if (!s.skip) ++*steps;
    *scalars = s;
}

/// The same of Adam, with the corrections of step number *steps + 1. One thread.
__global__ void __launch_bounds__(256)
    dla_cuda_begin_adam_step(const AdamScalars* settings, const StepReport* report, std::int64_t* steps, AdamScalars* scalars) {
    AdamScalars s = *settings;
    s.skip = report != nullptr && report->applied == 0;
    if (!s.skip) {
        const double step = static_cast<double>(++*steps);
        s.correction1 = 1 - std::pow(s.beta1, step);
        s.correction2 = 1 - std::pow(s.beta2, step);
    }
    *scalars = s;
}

/// The same of Muon, whose numbers do not depend on the steps taken. One thread.
__global__ void __launch_bounds__(256)
    dla_cuda_begin_muon_step(const MuonScalars* settings, const StepReport* report, std::int64_t* steps, MuonScalars* scalars) {
    MuonScalars s = *settings;
    s.skip = report != nullptr && report->applied == 0;
    if (!s.skip) ++*steps;
    *scalars = s;
}

__global__ void __launch_bounds__(256) dla_cuda_sgd_step(index_t n, const SgdScalars* sgd, float* value, const float* grad, float* velocity) {
    const SgdScalars s = *sgd;
    if (s.skip) return;
    const float decay = static_cast<float>(s.weight_decay), momentum = static_cast<float>(s.momentum), rest = static_cast<float>(1.0 - s.dampening),
                rate = static_cast<float>(s.learning_rate);
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        float d = grad[i];
        if (s.weight_decay != 0) d = d + decay * value[i];
        if (s.momentum != 0) {
            velocity[i] = s.first ? d : momentum * velocity[i] + rest * d;
            d = s.nesterov ? d + momentum * velocity[i] : velocity[i];
        }
        value[i] = value[i] - rate * d;
    }
}

__global__ void __launch_bounds__(256) dla_cuda_adam_step(index_t n, const AdamScalars* adam, float* value, const float* grad, float* m, float* v) {
    const AdamScalars s = *adam;
    if (s.skip) return;
    const float decay = static_cast<float>(s.weight_decay), shrink = static_cast<float>(1.0 - s.learning_rate * s.weight_decay);
    const float beta1 = static_cast<float>(s.beta1), rest1 = static_cast<float>(1.0 - s.beta1), beta2 = static_cast<float>(s.beta2),
                rest2 = static_cast<float>(1.0 - s.beta2);
    const float step = static_cast<float>(s.learning_rate / s.correction1), root = static_cast<float>(std::sqrt(s.correction2)),
                eps = static_cast<float>(s.eps);
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        float g = grad[i], p = value[i];
        if (s.weight_decay != 0) {
            if (s.decoupled)
                p = p * shrink;
            else
                g = g + decay * p;
        }
        const float first = m[i] * beta1 + rest1 * g, second = v[i] * beta2 + rest2 * g * g;
        m[i] = first;
        v[i] = second;
        value[i] = p - step * first / (std::sqrt(second) / root + eps);
    }
}

/// The velocity moves towards the gradient; `direction` is what is to be orthogonalised.
__global__ void __launch_bounds__(256)
    dla_cuda_muon_direction(index_t n, const MuonScalars* muon, const float* grad, float* velocity, float* direction) {
    const MuonScalars s = *muon;
    if (s.skip) return;
    const float momentum = static_cast<float>(s.momentum), rest = static_cast<float>(1.0 - s.momentum);
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const float g = grad[i], v = velocity[i] + rest * (g - velocity[i]);
        velocity[i] = v;
        direction[i] = s.nesterov ? g + momentum * (v - g) : v;
    }
}

/// x /= max(sqrt(*squares), eps).
__global__ void __launch_bounds__(256) dla_cuda_divide_by_norm(index_t n, const double* squares, double eps, float* x) {
    const double norm = std::sqrt(*squares);
    const float factor = static_cast<float>(1 / (norm < eps ? eps : norm));
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) x[i] = x[i] * factor;
}

/// The weights decay and move along the orthogonalised direction.
__global__ void __launch_bounds__(256) dla_cuda_muon_update(index_t n, const MuonScalars* muon, const float* direction, float* value) {
    const MuonScalars s = *muon;
    if (s.skip) return;
    const float shrink = static_cast<float>(1.0 - s.learning_rate * s.weight_decay), rate = static_cast<float>(s.learning_rate * s.factor);
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) value[i] = value[i] * shrink - rate * direction[i];
}

/// value *= min(1, max_norm / (sqrt(*squares) + 1e-6)); a norm that is not finite leaves the values as they are.
__global__ void __launch_bounds__(256) dla_cuda_clip_scale(index_t n, const double* squares, double max_norm, float* value) {
    const double sum = *squares, coefficient = max_norm / (std::sqrt(sum) + 1e-6);
    if (!(sum - sum == 0) || !(coefficient < 1)) return;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) value[i] = value[i] * static_cast<float>(coefficient);
}

}  // extern "C"

}  // namespace dla
