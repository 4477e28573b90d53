// SPDX-License-Identifier: MIT
// A network with its parameters, as prediction sees it: const, from any number of threads.
#pragma once

#include <dla/model/workspace_pool.hpp>

#include <functional>
#include <memory>
#include <span>

namespace dla {

/// The part of a Model that does not train. It knows the policy, not the network's type.
template <class P>
class Predictor {
public:
    using T = typename P::scalar;
    using Policy = P;
    using Table = ParamTable<P>;
    using Inference = InferenceWorkspace<P>;

    const Shape& input_shape() const { return input_; }
    const Shape& output_shape() const { return output_; }
    ParamTable<P>& parameters() { return *table_; }
    const ParamTable<P>& parameters() const { return *table_; }

    /// Class scores (or whatever the network gives) of `inputs` in inference mode: `output_shape().size()` values for each sample.
    /// May be called from any number of threads at a time. Workspaces are kept for the next calls, one for each thread that predicted at a time, 256 MB
    /// together or what was reserved; however many samples there are, they hold the activations of a part of them at a time. Who writes weights or
    /// running statistics through a pointer that was kept from `parameters().values()` or `buffer()` calls `refresh_weights` before.
    std::vector<T> predict(std::span<const T> inputs) const;
    /// As above into the caller's memory: where workspaces are kept, the next call with as many samples allocates nothing. Throws Error(device), with a batch
    /// that fits, where a device has not enough memory.
    void predict(std::span<const T> inputs, std::span<T> out) const;
    /// As above where each thread brings its own workspace: no call allocates.
    void predict(std::span<const T> inputs, std::span<T> out, Inference& workspace) const;
    Inference inference_workspace(index_t batch, index_t scratch = 0) const;

    /// A workspace for `evaluate` with this loss, which may need scratch memory of its own.
    template <class Loss, class = typename Loss::Target>
    Inference inference_workspace(index_t batch, const Loss& loss) const {
        Inference workspace = inference_workspace(batch, loss.scratch(table_->policy, table_->checked_batch(batch), output_));
        workspace.loss_weights.of(table_->policy, loss);
        return workspace;
    }

    /// Loss and correct predictions in inference mode; const and thread-safe like predict, with a workspace as there. `outputs`, if not empty, get what the
    /// network gives.
    template <class Loss>
    LossResult evaluate(const Loss& loss, std::span<const T> inputs, std::span<const typename Loss::Target> targets, std::span<T> outputs = {}) const {
        const index_t batch = check_batch(loss, inputs, targets);
        check_room(outputs.empty() ? batch * output_.size() : std::ssize(outputs), batch);
        const index_t scratch = loss.scratch(table_->policy, batch, output_);
        return or_refuse_batch(batch, scratch, [&] { return evaluate(loss, inputs, targets, *take_workspace(batch, scratch), outputs); });
    }
    /// Claims the memory of one thread's predictions and evaluations on up to `batch` samples, however much it is, except what a device gets a copy of.
    template <class Loss>
    void reserve_inference(index_t batch, const Loss& loss) {
        const auto workspace = take_workspace(batch, loss.scratch(table_->policy, table_->checked_batch(batch), output_));
        pool_->keep((*workspace).bytes());
    }
    /// Frees the memory that is kept for predictions and evaluations; not while one runs.
    void release_inference() { pool_->release(); }
    /// Bytes that are kept for them.
    index_t inference_bytes() const { return pool_->bytes(); }
    /// As above where each thread brings its own workspace: no call allocates.
    template <class Loss>
    LossResult evaluate(const Loss& loss, std::span<const T> inputs, std::span<const typename Loss::Target> targets, Inference& workspace,
                        std::span<T> outputs = {}) const;

protected:
    Predictor(std::unique_ptr<BuiltNetwork<P>> net, const Shape& input, const Shape& output, Seed seed, const P& policy);
    Predictor(Predictor&&) noexcept;
    Predictor& operator=(Predictor&&) noexcept;
    ~Predictor();

    /// f(); where a device has not enough memory for it, once more without what is kept for others, and then an Error(device) with a batch that fits.
    template <class F>
    auto or_refuse_batch(index_t batch, index_t scratch, const F& f) const {
        if constexpr (!P::shares_host) {
            try {
                return f();
            } catch (const OutOfDeviceMemory&) {
                pool_->release();
            }
            try {
                return f();
            } catch (const OutOfDeviceMemory& e) {
                pool_->release();
                refuse_prediction(e, batch, scratch);
            }
        } else {
            return f();
        }
    }
    [[noreturn, gnu::cold]] void refuse_prediction(const OutOfDeviceMemory& e, index_t batch, index_t scratch) const;
    /// A workspace for up to `batch` samples, for this thread while the lease lasts.
    typename WorkspacePool<P>::Lease take_workspace(index_t batch, index_t scratch) const;
    /// What the network gives, which also stands in `out` unless that is empty.
    View<P> infer(std::span<const T> inputs, index_t batch, Inference& workspace, std::span<T> out) const;
    index_t batch_of(std::size_t values) const;
    template <class Loss>
    index_t check_batch(const Loss& loss, std::span<const T> inputs, std::span<const typename Loss::Target> targets) const {
        const index_t batch = batch_of(inputs.size());
        loss.check(output_);
        check_targets(targets.size(), batch * loss.targets_per_sample(output_), std::is_same_v<typename Loss::Target, std::int32_t> ? batch : 0);
        return batch;
    }
    /// `labelled`: samples that have class numbers.
    void check_targets(std::size_t count, index_t expected, index_t labelled) const;
    void check_room(index_t values, index_t batch) const {
        if (values != batch * output_.size())
            fail(ErrorCode::model, "predict", text("the output has room for ", values, " values; expected ", batch * output_.size()).view());
    }

    Shape input_, output_;
    std::unique_ptr<BuiltNetwork<P>> net_;
    std::unique_ptr<ParamTable<P>> table_;  // its address outlives a move of the model
    std::unique_ptr<WorkspacePool<P>> pool_ = std::make_unique<WorkspacePool<P>>();
};

template <class P>
Predictor<P>::Predictor(std::unique_ptr<BuiltNetwork<P>> net, const Shape& input, const Shape& output, Seed seed, const P& policy)
    : input_(input), output_(output), net_(std::move(net)), table_(std::make_unique<ParamTable<P>>(detail::resolved(policy))) {
    net_->build(*table_, input_, output_, seed);
}
template <class P>
Predictor<P>::Predictor(Predictor&&) noexcept = default;
template <class P>
Predictor<P>& Predictor<P>::operator=(Predictor&&) noexcept = default;
template <class P>
Predictor<P>::~Predictor() = default;

template <class P>
std::vector<typename P::scalar> Predictor<P>::predict(std::span<const T> inputs) const {
    std::vector<T> out(static_cast<std::size_t>(batch_of(inputs.size()) * output_.size()));
    predict(inputs, out);
    return out;
}
template <class P>
void Predictor<P>::predict(std::span<const T> inputs, std::span<T> out) const {
    const index_t batch = batch_of(inputs.size());
    check_room(std::ssize(out), batch);
    or_refuse_batch(batch, 0, [&] { predict(inputs, out, *take_workspace(batch, 0)); });
}
template <class P>
void Predictor<P>::predict(std::span<const T> inputs, std::span<T> out, Inference& workspace) const {
    const index_t batch = batch_of(inputs.size());
    check_room(std::ssize(out), batch);
    infer(inputs, batch, workspace, out);
}
template <class P>
void Predictor<P>::refuse_prediction(const OutOfDeviceMemory& e, index_t batch, index_t scratch) const {
    const auto fits = [&](index_t samples) {
        try {
            const Arena<P> values(table_->policy, samples * (input_.size() + 2 * output_.size()) * static_cast<index_t>(sizeof(T)));
            const Inference workspace = inference_workspace(samples, scratch);
            return true;
        } catch (const OutOfDeviceMemory&) {
            return false;
        }
    };
    index_t good = 0, bad = batch;
    while (bad - good > 1) (fits((good + bad) / 2) ? good : bad) = (good + bad) / 2;
    fail(ErrorCode::device, "memory",
         text("of a prediction for a batch of ", batch, ", ", byte_text(e.needed()), " are asked for in one piece, ", byte_text(e.free()),
              " are free on the device; ", good > 0 ? text("batches of ", good, " fit").view() : std::string_view("not even one sample fits"))
             .view());
}
template <class P>
typename WorkspacePool<P>::Lease Predictor<P>::take_workspace(index_t batch, index_t scratch) const {
    return pool_->take([&](const Inference& w) { return batch <= w.capacity() && scratch <= w.scratch_bytes(); },
                       [&](const Inference& w) { return inference_workspace(std::max(batch, w.capacity()), std::max(scratch, w.scratch_bytes())); });
}
template <class P>
InferenceWorkspace<P> Predictor<P>::inference_workspace(index_t batch, index_t scratch) const {
    return Inference(*table_, *net_, input_, output_, table_->checked_batch(batch), scratch);
}
template <class P>
template <class Loss>
LossResult Predictor<P>::evaluate(const Loss& loss, std::span<const T> inputs, std::span<const typename Loss::Target> targets, Inference& workspace,
                                  std::span<T> outputs) const {
    const index_t batch = check_batch(loss, inputs, targets);
    if (loss.scratch(table_->policy, batch, output_) > workspace.scratch_bytes())
        fail(ErrorCode::model, "evaluate", "the workspace has no scratch memory for this loss; make it with inference_workspace(batch, loss)");
    check_room(outputs.empty() ? batch * output_.size() : std::ssize(outputs), batch);
    const View<P> y = infer(inputs, batch, workspace, outputs);
    Context<P> c;
    c.policy = table_->policy;
    c.scratch = workspace.scratch();
    const auto labels = to_device<P>(c.policy, targets, workspace.targets);
    loss.evaluate(c, ConstView<P>(y), labels, workspace.loss_weights.of(c.policy, loss), workspace.result(), View<P>{});
    LossResult result;
    fetch(c.policy, &result, workspace.result(), 1);
    loss.verify(result, output_);
    return result;
}
template <class P>
View<P> Predictor<P>::infer(std::span<const T> inputs, index_t batch, Inference& workspace, std::span<T> out) const {
    if (batch > workspace.capacity()) fail(ErrorCode::model, "predict", text("the workspace holds ", workspace.capacity(), " samples; got ", batch).view());
    const P& policy = table_->policy;
    View<P> y(workspace.output(), batch, output_);
    bool in_place = out.empty();
    if constexpr (P::shares_host) {
        const std::less<const T*> before;
        const bool overlaps = before(out.data(), inputs.data() + inputs.size()) && before(inputs.data(), out.data() + out.size());
        if (!in_place && !overlaps) y.data = out.data(), in_place = true;
    }
    workspace.infer(*table_, *net_, ConstView<P>(to_device<P>(policy, inputs, workspace.inputs), batch, input_), y);
    if (!in_place)
        fetch(policy, out.data(), y.data, y.size());
    else if (!out.empty())
        policy.wait(policy.record());
    return y;
}
template <class P>
index_t Predictor<P>::batch_of(std::size_t values) const {
    const auto size = static_cast<std::size_t>(input_.size());
    if (values % size != 0)
        fail(ErrorCode::model, "model",
             text("got ", values, " input values; expected a multiple of ", size, ", the size of one sample ", to_text(input_)).view());
    return table_->checked_batch(static_cast<index_t>(values / size));
}
template <class P>
void Predictor<P>::check_targets(std::size_t count, index_t expected, index_t labelled) const {
    if (static_cast<index_t>(count) == expected) return;
    const bool spread = output_.rank > 1 && labelled > 0 && static_cast<index_t>(count) == labelled;
    const Text why = spread ? text(", ", expected / labelled, " for each output ", to_text(output_), "; did you forget Flatten?") : Text();
    fail(ErrorCode::model, "model", text("got ", count, " targets; expected ", expected, why).view());
}

DLA_TEMPLATE_ONCE(class Predictor<Cpu<float>>)
DLA_TEMPLATE_ONCE(LossResult Predictor<Cpu<float>>::evaluate(const CrossEntropy&, std::span<const float>, std::span<const std::int32_t>,
                                                             InferenceWorkspace<Cpu<float>>&, std::span<float>) const)

}  // namespace dla
