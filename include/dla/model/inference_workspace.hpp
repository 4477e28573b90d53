// SPDX-License-Identifier: MIT
// Memory of predictions, planned once, and how a batch goes through a network in inference: whole, or in parts.
#pragma once

#include <dla/model/batch_memory.hpp>
#include <dla/model/network.hpp>

#include <algorithm>
#include <concepts>

namespace dla {

namespace detail {

/// The policy can send parts of a batch through a network at the same time, each on one thread.
template <class P>
concept RunsParts = requires(const P& p, void (*f)(index_t, int)) {
    { on_one_thread(p) } -> std::same_as<P>;
    part_slots(p, index_t{1});
    run_parts(p, 1, index_t{1}, f);
};

/// How a batch goes through a network in inference: in parts, which follow from the network and the batch, so that the bits do not depend on threads or
/// workspace. Where the weights, and the activations of a sample, fit into the cache of a thread, each part goes through all layers on one thread, which meets
/// the others at the end. Else the parts follow each other, each on all threads: as many samples as keep their activations in the cache that threads share,
/// or so many that reading the weights for each part costs little.
struct InferenceParts {
    static constexpr index_t most_weights = index_t{1} << 20;  // bytes that each thread may read for each part
    static constexpr index_t part_bytes = index_t{1} << 19;    // of the activations of a part on one thread at most ...
    static constexpr index_t least_bytes = index_t{1} << 17;   // ... and from where on a batch has more parts rather than larger ones
    static constexpr index_t shared_bytes = index_t{1} << 22;  // of the activations of a part on all threads ...
    static constexpr index_t device_bytes = index_t{1} << 28;  // ... and on a device, which wants large ones: memory alone bounds them
    static constexpr index_t reuse = 16;                       // bytes of activations for each byte of weights

    index_t few = 1, many = 1;  ///< samples of a part, within which a batch makes some sixteen parts
    int slots = 0;              ///< parts at the same time, each on one thread; 0: one after the other, each on all threads

    InferenceParts() = default;
    /// `weights`: bytes of parameters and of what is prepared of them; `sample`: bytes of a sample's activations; `together`: shared_bytes or device_bytes.
    InferenceParts(index_t weights, index_t sample, bool one_thread_each, index_t together) {
        if (one_thread_each && weights <= most_weights && sample <= part_bytes) {
            slots = 1;
            // Rows of a product: whole tiles, and enough of them to repay what each layer does once for a part.
            few = std::clamp<index_t>(least_bytes / sample, 1, 32), many = std::clamp<index_t>(part_bytes / sample, 1, 64);
        } else {
            few = many = std::max<index_t>(1, std::max(together, saturating_mul(reuse, weights)) / sample);
        }
    }
    index_t parts(index_t batch) const {
        const index_t size = std::clamp(batch / 16, few, many);
        return batch / size + (batch % size != 0);
    }
    /// Where part i of a batch begins, up to part `parts(batch)`.
    index_t begin(index_t i, index_t batch) const {
        const index_t n = parts(batch);
        return batch / n * i + std::min(i, batch % n);
    }
};

}  // namespace detail

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
        const Needs needs = plan(table, net, in, out);
        const index_t scalar = static_cast<index_t>(sizeof(typename P::scalar));
        parts_ = needs.parts, stack_ = needs.part_stack, part_scratch_ = needs.part_scratch;
        out_offset_ = needs.stack;
        result_offset_ = out_offset_ + align_up(batch * out.size() * scalar);
        arena_ = Arena<P>(table.policy, result_offset_ + alignment);
        scratch_ = Arena<P>(table.policy, std::max(needs.scratch, align_up(scratch)));
        prepared_ = Arena<P>(table.policy, needs.prepared);
    }

    index_t capacity() const { return capacity_; }
    index_t bytes() const { return arena_.bytes() + scratch_.bytes() + prepared_.bytes() + inputs.bytes() + targets.bytes(); }
    auto scratch() { return scratch_.data(); }
    index_t scratch_bytes() const { return scratch_.bytes(); }
    auto output() { return arena_.template at<typename P::scalar>(out_offset_); }
    auto result() { return arena_.template at<LossResult>(result_offset_); }

    /// y = the network of x, at most `capacity()` samples. Weights as layers read them in inference are made anew when the table's values may have changed.
    /// Throws Error(model) when the workspace is too small for the network, for it was made for another.
    void infer(const ParamTable<P>& table, const BuiltNetwork<P>& net, const ConstView<P>& x, const View<P>& y) {
        if (table.id() != table_) take_over(table, net, x.shape, y.shape);
        Context<P> c;
        c.policy = table.policy;
        c.capacity = std::min(capacity_, parts_.many);
        c.prepared = prepare(table, net, x.shape, y.shape);
        const index_t parts = parts_.parts(x.batch);
        const auto run = [&](const Context<P>& all, index_t i, int slot) {
            Context<P> own = all;
            own.stack = Stack<P>(arena_.data() + slot * stack_);
            own.scratch = scratch_.data() + slot * part_scratch_;
            const index_t first = parts_.begin(i, x.batch), count = parts_.begin(i + 1, x.batch) - first;
            own.first_sample = first;
            net.infer(own, {x.data + first * x.shape.size(), count, x.shape}, {y.data + first * y.shape.size(), count, y.shape});
        };
        if constexpr (detail::RunsParts<P>) {
            if (parts > 1 && parts_.slots > 0) {
                c.policy = on_one_thread(c.policy);
                return run_parts(table.policy, parts_.slots, parts, [&](index_t i, int slot) { run(c, i, slot); });
            }
        }
        for (index_t i = 0; i < parts; ++i) run(c, i, 0);
    }

private:
    /// Bytes.
    struct Needs {
        detail::InferenceParts parts;
        index_t stack = 0, scratch = 0, prepared = 0;
        index_t part_stack = 0, part_scratch = 0;  // of these, for each part that runs at the same time as others

        void add(const Planner<P>& plan, index_t slots) {
            stack = std::max(stack, slots * align_up(plan.stack_bytes()));
            scratch = std::max(scratch, slots * align_up(plan.scratch_bytes()));
            prepared = plan.prepared_bytes();
        }
    };
    /// What a network needs for `capacity_` samples.
    [[gnu::cold]] Needs plan(const ParamTable<P>& table, const BuiltNetwork<P>& net, const Shape& in, const Shape& out) const {
        const auto planned = [&](const P& policy, index_t samples) {
            Planner<P> plan(policy);
            net.plan_inference(plan, ConstView<P>({}, samples, in), View<P>({}, samples, out));
            return plan;
        };
        Needs needs;
        if (net.mixes_samples()) {
            needs.parts.few = needs.parts.many = std::max<index_t>(1, capacity_);
            needs.add(planned(table.policy, capacity_), 1);
            return needs;
        }
        const Planner<P> one = planned(table.policy, 1);
        const index_t weights = table.value_count * static_cast<index_t>(sizeof(typename P::master)) + one.prepared_bytes();
        using Parts = detail::InferenceParts;
        needs.parts = Parts(weights, std::max<index_t>(1, one.stack_bytes()), detail::RunsParts<P>, P::shares_host ? Parts::shared_bytes : Parts::device_bytes);
        const index_t samples = std::min(capacity_, needs.parts.many);
        needs.add(planned(table.policy, samples), 1);
        if constexpr (detail::RunsParts<P>) {
            if (needs.parts.slots == 0) return needs;
            const Planner<P> part = planned(on_one_thread(table.policy), samples);
            needs.parts.slots = part_slots(table.policy, needs.parts.parts(capacity_));
            needs.part_stack = align_up(part.stack_bytes()), needs.part_scratch = align_up(part.scratch_bytes());
            needs.add(part, needs.parts.slots);
        }
        return needs;
    }
    PreparedPtr<P> prepare(const ParamTable<P>& table, const BuiltNetwork<P>& net, const Shape& in, const Shape& out) {
        if (prepared_.bytes() == 0) return {};
        if (const std::uint64_t version = table.values_version(); version != prepared_version_) {
            Planner<P> plan(table.policy);
            plan.prepare_into(prepared_.data(), scratch_.data());
            const index_t samples = std::min(capacity_, parts_.many);
            net.plan_inference(plan, ConstView<P>({}, samples, in), View<P>({}, samples, out));
            prepared_version_ = version;
        }
        return prepared_.data();
    }
    [[gnu::cold]] void take_over(const ParamTable<P>& table, const BuiltNetwork<P>& net, const Shape& in, const Shape& out) {
        const Needs needs = plan(table, net, in, out);
        const index_t results = capacity_ * out.size() * static_cast<index_t>(sizeof(typename P::scalar));
        if (needs.stack > out_offset_ || results > result_offset_ - out_offset_ || needs.scratch > scratch_.bytes() || needs.prepared > prepared_.bytes())
            fail(ErrorCode::model, "predict", "the workspace was made for another network; make one with this model's inference_workspace()");
        parts_ = needs.parts, stack_ = needs.part_stack, part_scratch_ = needs.part_scratch;
        table_ = table.id();
        prepared_version_ = 0;
    }

    Arena<P> arena_, scratch_, prepared_;
    detail::InferenceParts parts_;
    index_t stack_ = 0, part_scratch_ = 0;  // bytes of one slot
    index_t capacity_ = -1, out_offset_ = 0, result_offset_ = 0;
    std::uint64_t table_ = 0;             // whose network it was planned for
    std::uint64_t prepared_version_ = 0;  // of the values that prepared_ was made of
};

}  // namespace dla
