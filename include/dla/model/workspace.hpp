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

/// Buffers of `Model::predict` and `Model::evaluate` for batches of up to `capacity()` samples; one for each thread that predicts.
template <class P>
class InferenceWorkspace {
public:
    Arena<P> inputs, targets;  // used where the policy does not read the host's memory
    LossWeights<P> loss_weights;

    InferenceWorkspace() = default;
    [[gnu::cold]] InferenceWorkspace(const ParamTable<P>& table, const BuiltNetwork<P>& net, const Shape& in, const Shape& out, index_t batch,
                                     index_t scratch = 0)
        : capacity_(batch), table_(table.id()) {
        const P& policy = table.policy;
        Planner<P> plan(policy);
        plan.scratch(scratch);
        dry_run(plan, net, in, out);
        const index_t scalar = static_cast<index_t>(sizeof(typename P::scalar));
        out_offset_ = align_up(plan.stack_bytes());
        result_offset_ = out_offset_ + align_up(batch * out.size() * scalar);
        arena_ = Arena<P>(policy, result_offset_ + alignment);
        scratch_ = Arena<P>(policy, plan.scratch_bytes());
        prepared_ = Arena<P>(policy, plan.prepared_bytes());
    }

    index_t capacity() const { return capacity_; }
    index_t bytes() const { return arena_.bytes() + scratch_.bytes() + prepared_.bytes() + inputs.bytes() + targets.bytes(); }
    /// Weights as layers read them in inference, made anew when the table's values may have changed. Throws Error(model) when the workspace is too small for
    /// the network, for it was made for another.
    PreparedPtr<P> prepared(const ParamTable<P>& table, const BuiltNetwork<P>& net, const Shape& in, const Shape& out) {
        if (table.id() != table_) take_over(table, net, in, out);
        if (prepared_.bytes() == 0) return {};
        if (const std::uint64_t version = table.values_version(); version != prepared_version_) {
            Planner<P> plan(table.policy);
            plan.prepare_into(prepared_.data(), scratch_.data());
            dry_run(plan, net, in, out);
            prepared_version_ = version;
        }
        return prepared_.data();
    }
    auto scratch() { return scratch_.data(); }
    index_t scratch_bytes() const { return scratch_.bytes(); }
    Stack<P> stack() { return Stack<P>(arena_.data()); }
    auto output() { return arena_.template at<typename P::scalar>(out_offset_); }
    auto result() { return arena_.template at<LossResult>(result_offset_); }

private:
    void dry_run(Planner<P>& plan, const BuiltNetwork<P>& net, const Shape& in, const Shape& out) const {
        net.plan_inference(plan, ConstView<P>({}, capacity_, in), View<P>({}, capacity_, out));
    }
    [[gnu::cold]] void take_over(const ParamTable<P>& table, const BuiltNetwork<P>& net, const Shape& in, const Shape& out) {
        Planner<P> plan(table.policy);
        dry_run(plan, net, in, out);
        const index_t results = capacity_ * out.size() * static_cast<index_t>(sizeof(typename P::scalar));
        if (plan.stack_bytes() > out_offset_ || results > result_offset_ - out_offset_ || plan.scratch_bytes() > scratch_.bytes() ||
            plan.prepared_bytes() > prepared_.bytes())
            fail(ErrorCode::model, "predict", "the workspace was made for another network; make one with this model's inference_workspace()");
        table_ = table.id();
        prepared_version_ = 0;
    }

    Arena<P> arena_, scratch_, prepared_;
    index_t capacity_ = -1, out_offset_ = 0, result_offset_ = 0;
    std::uint64_t table_ = 0;             // whose network it was planned for
    std::uint64_t prepared_version_ = 0;  // of the values that prepared_ was made of
};

}  // namespace dla
