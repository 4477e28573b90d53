// SPDX-License-Identifier: MIT
// What training takes: as planned, before anything is claimed, and as claimed.
#pragma once

#include <dla/model/model.hpp>

namespace dla {

/// Bytes of training: the model with what an optimizer remembers, and the buffers of a step.
struct TrainingMemory {
    index_t batch = 0;  ///< samples computed at a time: a batch, or the largest of its micro-batches
    ParamMemory parameters;
    index_t activations = 0;  ///< activations, their gradients and tapes, sharing memory as far as lifetimes allow
    index_t unshared = 0;     ///< the same if every buffer had memory of its own; not part of the total
    index_t scratch = 0;      ///< of the largest kernel
    index_t leaves = 0;       ///< partial sums of gradients and statistics, where a batch is computed in parts

    index_t total() const {
        return parameters.weights + parameters.gradients + parameters.optimizer + parameters.buffers + parameters.control + activations + scratch + leaves;
    }
    bool operator==(const TrainingMemory&) const = default;
};

namespace detail {

/// Stands for a loss that needs no scratch memory.
struct NoLoss {
    template <class P>
    index_t scratch(const P&, index_t, const Shape&) const {
        return 0;
    }
};

inline TrainingMemory training_memory(const MemoryPlan& plan, const ParamMemory& parameters) {
    return {plan.batch, parameters, plan.activations, plan.unshared, plan.scratch, plan.leaves};
}
/// What the parameters of `table` and an optimizer that remembers `slots` values for each come to; one that has not stepped yet will treat all alike.
template <class P>
ParamMemory planned_parameters(const ParamTable<P>& table, int slots) {
    using T = typename P::master;
    const auto bytes = [](index_t count, std::size_t size) { return align_up(count * static_cast<index_t>(size)); };
    const index_t values = bytes(table.value_count, sizeof(T));
    const ParamMemory claimed = table.memory();
    return {.weights = values + (ParamTable<P>::weights_are_masters ? 0 : bytes(table.value_count, sizeof(typename P::weight))),
            .gradients = values,
            .optimizer = slots * values,
            .buffers = 2 * (bytes(table.buffer_count, sizeof(typename P::statistic)) + bytes(std::ssize(table.counters), sizeof(std::int64_t))),
            .control = claimed.control + (claimed.has_optimizer ? 0 : OptimizerBytes::control_of_run)};
}

}  // namespace detail

/// Bytes that training on `batch` samples will take, in as many parts as `micro_batches` says. `slots`: what the optimizer remembers for each value, 2 for
/// Adam (`slot_count()` of any optimizer). What Muon works in comes on top: twice its largest matrix, and two squares of that one's shorter side.
template <class P, class Loss = detail::NoLoss>
[[nodiscard]] TrainingMemory planned_memory(const BasicModel<P>& model, index_t batch, int slots = 2, const Loss& loss = {}, int micro_batches = 1) {
    return detail::training_memory(model.plan(batch, loss, micro_batches), detail::planned_parameters(model.parameters(), slots));
}

/// Bytes that the model holds for training now; those of a step once it was reserved or taken, the optimizer's once it has made a step. What it keeps for
/// predictions is `inference_bytes()`.
template <class P>
[[nodiscard]] TrainingMemory claimed_memory(const BasicModel<P>& model) {
    return detail::training_memory(model.memory(), model.parameters().memory());
}

}  // namespace dla
