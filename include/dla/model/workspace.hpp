// SPDX-License-Identifier: MIT
// Memory for the activations and gradients of a batch, planned once.
#pragma once

#include <dla/model/batch_memory.hpp>
#include <dla/model/network.hpp>

namespace dla {

/// What a plan needs, in bytes.
struct MemoryPlan {
    index_t batch = 0;        ///< samples computed at a time: all, or those of the largest micro-batch
    index_t activations = 0;  ///< activations, their gradients and tapes, with buffers shared as far as lifetimes allow
    index_t unshared = 0;     ///< the same if every buffer had memory of its own
    index_t scratch = 0;      ///< of the largest kernel
    index_t leaves = 0;       ///< partial sums of gradients and statistics, where a batch is computed in parts
    index_t total() const { return activations + scratch + leaves; }
};

/// Buffers of a training step of a network for batches of up to `capacity()` samples.
template <class P>
class Workspace {
public:
    Workspace() = default;

    /// Plans for `batch` samples; `scratch` is what the loss needs. With `want_dx` backward also gives the gradient of the input.
    [[gnu::cold]] Workspace(const P& policy, const BuiltNetwork<P>& net, const Shape& in, const Shape& out, index_t batch, index_t scratch, bool want_dx)
        : tape_(net.new_tape()), want_dx_(want_dx) {
        Planner<P> plan(policy);
        plan.scratch(scratch);
        dry_run(plan, net, in, out, batch);
        plan.place();
        arena_ = Arena<P>(policy, plan.bytes());
        plan.bind(arena_.data());
        dry_run(plan, net, in, out, batch);
        scratch_ = Arena<P>(policy, plan.scratch_bytes());
        plan_ = {.batch = batch, .activations = arena_.bytes(), .unshared = plan.unshared_bytes(), .scratch = scratch_.bytes()};
        loss_scratch_ = scratch;
        planned_ = true;
    }

    /// The plan alone: bytes before any memory is claimed.
    [[gnu::cold]] static MemoryPlan measure(const P& policy, const BuiltNetwork<P>& net, const Shape& in, const Shape& out, index_t batch, index_t scratch,
                                            bool want_dx = false) {
        Workspace measured;
        measured.tape_ = net.new_tape();
        measured.want_dx_ = want_dx;
        Planner<P> plan(policy);
        plan.scratch(scratch);
        measured.dry_run(plan, net, in, out, batch);
        plan.place();
        return {.batch = batch, .activations = align_up(plan.bytes()), .unshared = plan.unshared_bytes(), .scratch = plan.scratch_bytes()};
    }

    /// -1: nothing is planned yet.
    index_t capacity() const { return planned_ ? plan_.batch : -1; }
    const MemoryPlan& plan() const { return plan_; }
    bool gives_input_gradient() const { return want_dx_; }
    index_t loss_scratch() const { return loss_scratch_; }
    auto scratch() const { return scratch_.data(); }
    /// What the network keeps from forward to backward.
    void* tape() const { return tape_.get(); }

    /// Fills all of it with NaN, so that a test sees who reads what nobody wrote.
    void poison(const P& policy) {
        for (const Arena<P>* arena : {&arena_, &scratch_})
            if (arena->bytes() > 0) policy.fill(arena->data(), 0xFF, arena->bytes());
    }

    Planned<P> output, output_gradient, input_gradient;

private:
    /// Makes the claims of a step on a planner.
    [[gnu::cold]] void dry_run(Planner<P>& plan, const BuiltNetwork<P>& net, const Shape& in, const Shape& out, index_t batch) {
        plan.allocate(output, batch * out.size());
        const Gradients wants = want_dx_ ? Gradients::input : net.has_parameters() ? Gradients::parameters : Gradients::none;
        const ConstView<P> x({}, batch, in), y({}, batch, out);
        net.plan_forward(plan, x, View<P>({}, batch, out), tape_.get(), wants);
        plan.allocate(output_gradient, batch * out.size());
        if (want_dx_) plan.allocate(input_gradient, batch * in.size());
        if (wants != Gradients::none) net.plan_backward(plan, x, y, View<P>({}, batch, in), tape_.get(), wants);
    }

    std::shared_ptr<void> tape_;
    Arena<P> arena_, scratch_;
    MemoryPlan plan_;
    index_t loss_scratch_ = 0;
    bool planned_ = false;
    bool want_dx_ = false;
};

}  // namespace dla
