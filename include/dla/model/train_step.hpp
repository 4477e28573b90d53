// SPDX-License-Identifier: MIT
// One training step.
#pragma once

#include <dla/model/model.hpp>

namespace dla {

/// What `train_step` does besides: clipping, and parts of a batch.
struct StepOptions {
    double clip_norm = 0;   ///< above 0: the global norm of the gradients is limited to it (torch.nn.utils.clip_grad_norm_)
    int micro_batches = 1;  ///< parts of the batch, a power of two: each has batch statistics of its own and takes the memory of its size
};

/// The loss before the step, and what became of it. Reads as its loss: `float loss = train_step(...)`.
struct StepResult : LossResult {
    double gradient_norm = 0;  ///< before clipping; 0 when nothing is clipped
    bool applied = false;      ///< false: loss or gradients were not finite, and the model, its statistics and the optimizer are as before
    constexpr operator float() const { return static_cast<float>(loss); }
};

/// Gradients of `loss` on the batch and one step of `optimizer`. inputs: N samples in memory order; targets: labels (cross-entropy: N, or one for each pixel
/// or row) or N outputs (the other losses). A loss or (when clipping) gradients that are not finite are no step: the result says so. Throws Error(data), the
/// model unchanged, when a label is bad or a target is not finite.
template <class P, class Rule, class Loss>
StepResult train_step(BasicModel<P>& model, Rule& optimizer, const Loss& loss, std::type_identity_t<std::span<const typename P::scalar>> inputs,
                      std::type_identity_t<std::span<const typename Loss::Target>> targets, const StepOptions& options = {}) {
    if constexpr (std::is_base_of_v<Optimizer, Rule>)
        model.queue_step(static_cast<Optimizer&>(optimizer), loss, inputs, targets, options.clip_norm, options.micro_batches);
    else
        model.queue_step(optimizer, loss, inputs, targets, options.clip_norm, options.micro_batches);
    const StepReport report = model.finish_step(loss);
    return {report.loss, report.gradient_norm, report.applied != 0};
}

}  // namespace dla
