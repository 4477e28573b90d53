// SPDX-License-Identifier: MIT
// One interface around any model, so that trainer and programs compile once: a virtual call for each batch, none for each layer.
#pragma once

#include <dla/loss/any_loss.hpp>
#include <dla/model/memory.hpp>
#include <dla/model/observe.hpp>
#include <dla/model/param_access.hpp>
#include <dla/model/train_step.hpp>
#include <dla/optim/make_optimizer.hpp>

#include <memory>

namespace dla {

/// A model whose type has been forgotten, whatever its policy and number types. Inputs and outputs are floats in memory order, which a network of other
/// numbers computes with as its own.
class AnyModel : public ParamAccess {
public:
    virtual const Shape& input_shape() const = 0;
    virtual const Shape& output_shape() const = 0;
    /// See ParamTable::least_batch.
    virtual index_t least_batch() const = 0;
    /// What the network computes in: f64, f32, f16, bf16 or other.
    virtual std::string_view compute_type() const = 0;
    /// On what it computes, as far as the last bits depend on it: avx2, or cuda (NVIDIA H200).
    virtual std::string computes_on() const = 0;
    /// A second model with the same values, as Model::clone.
    virtual std::unique_ptr<AnyModel> clone() const = 0;

    /// Claims the memory of a training step for up to `batch` samples, computed in as many parts as `micro_batches` says.
    virtual void reserve(index_t batch, const AnyLoss& loss, int micro_batches = 1) = 0;
    /// Bytes that `reserve` would claim for training steps.
    virtual MemoryPlan plan(index_t batch, const AnyLoss& loss, int micro_batches = 1) const = 0;
    /// Bytes of the parameters and of an optimizer that remembers `slots` values for each.
    virtual ParamMemory plan_parameters(int slots) const = 0;
    /// Bytes that are claimed now: for training steps, and for the parameters.
    virtual MemoryPlan memory() const = 0;
    virtual ParamMemory param_memory() const = 0;

    /// As dla::train_step.
    virtual StepResult train_step(Optimizer& optimizer, const AnyLoss& loss, std::span<const float> inputs, const Targets& targets,
                                  const StepOptions& options = {}) = 0;
    /// The mean loss (or sum, as asked) and correct predictions in inference mode; `outputs`, if not empty, get what the network gives. Like `predict`, from
    /// any number of threads at a time.
    virtual LossResult evaluate(const AnyLoss& loss, std::span<const float> inputs, const Targets& targets, std::span<float> outputs = {}) const = 0;
    /// Outputs in inference mode: class scores of a classifier.
    virtual void predict(std::span<const float> inputs, std::span<float> outputs) const = 0;

    virtual RandomPosition& position() = 0;
    /// Called in every training step between its gradients and what is made of them (clipping, the optimizer), e.g. to exchange them with other processes.
    virtual void on_gradients(std::function<void(AnyModel&)> hook) = 0;

    using ParamAccess::read, ParamAccess::write;
    /// What an optimizer remembers of a parameter of this model; see Optimizer::read.
    virtual void read(const Optimizer& optimizer, int slot, const ParamRow& row, std::span<std::byte> host) const = 0;
    virtual void write(Optimizer& optimizer, int slot, const ParamRow& row, std::span<const std::byte> host) = 0;
    void read(const Optimizer& optimizer, int slot, const ParamRow& row, std::span<float> host) const {
        as_floats(host, [&](std::span<std::byte> bytes) { read(optimizer, slot, row, bytes); });
    }
    void write(Optimizer& optimizer, int slot, const ParamRow& row, std::span<const float> host) {
        from_floats(host, [&](std::span<const std::byte> bytes) { write(optimizer, slot, row, bytes); });
    }
    virtual void freeze(std::string_view pattern, bool frozen = true) = 0;
    virtual void set_eval(std::string_view pattern, bool eval = true) = 0;
    virtual std::vector<std::string> eval_layers() const = 0;

    /// Gradients of a batch, computed as a training step would and left in `ParamPart::gradient`, without a step: parameters, buffers, counters and the
    /// random position stay as they are. `observer` (may be null) sees host copies of every layer's output and input gradient.
    virtual LossResult inspect(const AnyLoss& loss, std::span<const float> inputs, const Targets& targets, Observer<Reference<float>>* observer) = 0;
    /// The first layer whose output (else gradient, else parameter) is not finite on this batch, with its path; empty when all are.
    virtual std::string find_non_finite(const AnyLoss& loss, std::span<const float> inputs, const Targets& targets) = 0;
};

/// As for a Model: what training on `batch` samples will take, and what it has claimed.
[[nodiscard]] inline TrainingMemory planned_memory(const AnyModel& model, index_t batch, int slots = 2, const AnyLoss& loss = CrossEntropy{},
                                                   int micro_batches = 1) {
    return detail::training_memory(model.plan(batch, loss, micro_batches), model.plan_parameters(slots));
}
/// What the model has claimed for training by now.
[[nodiscard]] inline TrainingMemory claimed_memory(const AnyModel& model) { return detail::training_memory(model.memory(), model.param_memory()); }

/// Takes a model and forgets its type: `any_model(std::move(model))`.
template <class P>
std::unique_ptr<AnyModel> any_model(BasicModel<P>&& model);
/// Looks at a model, which must outlive what is given.
template <class P>
std::unique_ptr<AnyModel> any_model(BasicModel<P>& model);

}  // namespace dla

#include <dla/model/any_model.impl.hpp>
