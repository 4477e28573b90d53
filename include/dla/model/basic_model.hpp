// SPDX-License-Identifier: MIT
// A network with its parameters that trains: all of a Model but the type of its network.
#pragma once

#include <dla/backend/out_of_memory.hpp>
#include <dla/core/table.hpp>
#include <dla/loss/elementwise.hpp>
#include <dla/model/init.hpp>
#include <dla/model/leaf_tree.hpp>
#include <dla/model/predictor.hpp>
#include <dla/model/workspace.hpp>
#include <dla/optim/optimizer.hpp>

#include <functional>
#include <utility>

namespace dla {

/// A model on policy P, whatever its network; `Model` makes one. Functions that take any model take this.
template <class P>
class BasicModel : public Predictor<P> {
    using Base = Predictor<P>;

public:
    using T = typename P::scalar;
    BasicModel(BasicModel&&) noexcept;
    BasicModel(const BasicModel&) = delete;  // see Model::clone and copy_weights
    virtual ~BasicModel();

    /// A second model with the same values: parameters, what is frozen and in eval mode, running statistics, random position. Optimizers know the first alone.
    BasicModel clone() const;

    /// Seed, epoch and step that random layers see; a training step advances `step`.
    RandomPosition position;
    Observer<P>* observer = nullptr;  ///< sees every layer's output and gradient during training steps
    LayerClock* clock = nullptr;      ///< told when each layer begins and has ended in them
    /// Called in every training step between its gradients and what is made of them (clipping, the optimizer), e.g. to exchange them with other processes.
    std::function<void(ParamTable<P>&)> on_gradients;

    /// Claims memory for batches of up to `batch` samples, so that no later step allocates. `loss` may need scratch memory of its own; with `micro_batches`
    /// the batch is computed in as many parts. After it, `backward` needs a new `forward`. Throws Error(device), with a batch that fits, where a device has
    /// less memory than the plan says.
    template <class Loss>
    void reserve(index_t batch, const Loss& loss, bool input_gradient = false, int micro_batches = 1) {
        loss.check(output_);
        const index_t part = largest_part(batch, micro_batches);
        or_refuse(batch, loss, input_gradient, micro_batches, [&](bool gives_dx) { claim_all(batch, part, loss, gives_dx, micro_batches); });
    }
    /// The same, and memory for evaluating as many at a time.
    template <class Loss>
    void reserve_with_evaluation(index_t batch, const Loss& loss, int micro_batches = 1) {
        loss.check(output_);
        const index_t part = largest_part(batch, micro_batches);
        or_refuse(batch, loss, false, micro_batches, [&](bool gives_dx) {
            claim_all(batch, part, loss, gives_dx, micro_batches);
            Base::reserve_inference(batch, loss);
        });
    }
    /// Bytes a training step on `batch` samples, in as many parts as `micro_batches` says, needs, before any is claimed.
    template <class Loss>
    MemoryPlan plan(index_t batch, const Loss& loss, int micro_batches = 1) const {
        const index_t part = largest_part(batch, micro_batches);
        return plan_part(part, loss.scratch(table_->policy, part, output_), micro_batches);
    }
    /// The memory that is claimed now.
    MemoryPlan memory() const;

    /// Forward and backward pass: adds the gradients of the loss to the parameter gradients. `inputs` has any number of samples. Throws Error(data), the model
    /// unchanged, when a label is bad or a target is not finite.
    template <class Loss>
    LossResult compute_gradients(const Loss& loss, std::span<const T> inputs, std::span<const typename Loss::Target> targets);

    /// Queues the work of `train_step`: gradients in `micro_batches` parts, joined along a binary tree, clipping (clip_norm > 0), one step of the optimizer.
    /// Nothing is copied but inputs, targets and settings that changed; no result is waited for, only room to copy through where several steps are
    /// queued. What it throws concerns this step alone: those that are queued stay queued.
    template <class Optimizer, class Loss>
    void queue_step(Optimizer& optimizer, const Loss& loss, std::span<const T> inputs, std::span<const typename Loss::Target> targets, double clip_norm = 0,
                    int micro_batches = 1);
    /// Waits for the queued steps and gives the last one's result, with the number of those that were refused. Throws Error(data) when one of the last
    /// one's labels was bad.
    template <class Loss>
    StepReport finish_step(const Loss& loss) {
        const StepReport report = finish_steps();
        loss.verify(report.loss, output_);
        return report;
    }

    /// Training-mode forward pass; the outputs stay valid until the next call. For losses of your own: then call `backward` with their gradient.
    ConstView<P> forward(ConstView<P> x);
    /// Backward pass of the last `forward` on the same x: parameter gradients are added to; dx may be an empty view.
    void backward(ConstView<P> x, ConstView<P> dy, View<P> dx = {});
    /// From now on backward passes also compute the gradient of the input.
    void plan_input_gradient() { wants_input_gradient_ = true; }

protected:
    using Base::net_, Base::input_, Base::output_, Base::table_, Base::check_batch;

    BasicModel& operator=(BasicModel&&) noexcept;  // of Models of one type
    BasicModel(std::unique_ptr<BuiltNetwork<P>> net, const Shape& input, const Shape& output, Seed seed, const P& policy);
    /// What `clone` copies from an equal network.
    void take_values(const BasicModel& from);

private:
    static void check_parts(int micro_batches);
    static void check_step(index_t batch, double clip_norm, int micro_batches);
    index_t largest_part(index_t batch, int micro_batches) const;
    MemoryPlan plan_part(index_t part, index_t scratch, int micro_batches) const;
    template <class Loss>
    void claim_all(index_t batch, index_t part, const Loss& loss, bool input_gradient, int micro_batches);
    /// claims(whether backward passes give the gradient of the input), or an error with the largest batch below `batch` that fits.
    template <class Loss, class F>
    void or_refuse(index_t batch, const Loss& loss, bool input_gradient, int micro_batches, const F& claims);
    [[gnu::cold]] void release_batches() {
        forward_batch_ = -1;
        workspace_ = Workspace<P>();
        leaves_ = LeafTree<P>();
        memory_.release_inputs();
        Base::release_inference();
    }
    [[noreturn, gnu::cold]] static void refuse_batch(const OutOfDeviceMemory& e, index_t batch, int micro_batches, index_t bytes,
                                                     const std::function<bool(index_t)>& fits);
    /// Whether memory for training on batches of so many samples, in parts, is there now: for steps, evaluation, inputs and the optimizer.
    [[gnu::cold]] bool fits(index_t batch, index_t part, index_t scratch, bool input_gradient, int micro_batches) const;
    void claim(index_t batch, index_t scratch, bool input_gradient);
    StepReport finish_steps() {
        if (!std::exchange(queued_, false)) fail(ErrorCode::usage, "finish_step", "no step is queued; call queue_step() first");
        return memory_.read(table_->policy, position);
    }
    Context<P> context();
    /// Forward, loss and backward of some samples: adds to the gradients, *result is their share of the loss.
    template <class Loss>
    void run_part(Context<P>& c, const Loss& loss, kernel::ConstPtr<P> inputs, kernel::PtrOf<P, const typename Loss::Target> labels,
                  kernel::ConstStatisticPtr<P> weights, index_t batch, const WholeBatch<P>& whole, kernel::PtrOf<P, LossResult> result);
    /// The middle of queue_step: from the statistics that were remembered to those that stay.
    template <class Optimizer, class Loss>
    void take_step(Optimizer& optimizer, Context<P>& c, const Loss& loss, kernel::ConstPtr<P> x, kernel::PtrOf<P, const typename Loss::Target> labels,
                   kernel::ConstStatisticPtr<P> weights, index_t batch, double clip_norm, int micro_batches);
    /// Gives where the gradient of the input lies, if it was planned.
    View<P> run_backward(Context<P>& c, const ConstView<P>& x, const ConstView<P>& y, const ConstView<P>& dy);

    BatchMemory<P> memory_;
    Workspace<P> workspace_;
    LeafTree<P> leaves_;
    bool wants_input_gradient_ = false, queued_ = false;
    index_t forward_batch_ = -1;  // of the last forward(), and what its layers were told
    RandomPosition forward_position_;
    std::uint64_t forward_modes_ = 0;
};

template <class P>
BasicModel<P>::BasicModel(std::unique_ptr<BuiltNetwork<P>> net, const Shape& input, const Shape& output, Seed seed, const P& policy)
    : Base(std::move(net), input, output, seed, policy), memory_(table_->policy) {
    position.seed = static_cast<std::uint64_t>(seed);
}
template <class P>
BasicModel<P>::BasicModel(BasicModel&&) noexcept = default;
template <class P>
BasicModel<P>& BasicModel<P>::operator=(BasicModel&&) noexcept = default;
template <class P>
BasicModel<P>::~BasicModel() = default;

template <class P>
BasicModel<P> BasicModel<P>::clone() const {
    BasicModel copy(net_->copy(), input_, output_, Seed{position.seed}, table_->policy);
    copy.take_values(*this);
    return copy;
}
template <class P>
void BasicModel<P>::take_values(const BasicModel& from) {
    copy_weights(*from.table_, *table_);
    table_->copy_modes(*from.table_);
    position = from.position;
}
template <class P>
MemoryPlan BasicModel<P>::memory() const {
    MemoryPlan plan = workspace_.plan();
    plan.leaves = leaves_.bytes();
    return plan;
}
template <class P>
ConstView<P> BasicModel<P>::forward(ConstView<P> x) {
    if (!(x.shape == input_)) fail(ErrorCode::model, "forward", text("takes samples ", to_text(input_), "; got ", to_text(x.shape)).view());
    claim(table_->checked_batch(x.batch), 0, wants_input_gradient_);
    Context<P> c = context();
    const View<P> y(workspace_.output.data, x.batch, output_);
    net_->forward(c, x, y, workspace_.tape());
    table_->note_written();  // an observer may have predicted between
    forward_batch_ = x.batch;
    forward_position_ = position;
    forward_modes_ = table_->mode_version();
    if (c.observer) c.observer->after_forward(-1, y);
    return y;
}
template <class P>
void BasicModel<P>::backward(ConstView<P> x, ConstView<P> dy, View<P> dx) {
    const bool own = workspace_.gives_input_gradient();
    if (forward_batch_ < 0)
        fail(ErrorCode::model, "backward",
             "there is nothing to go back through; call forward() first, and again after backward(), reserve() or a training step");
    if (x.batch != forward_batch_ || dy.batch != forward_batch_)
        fail(ErrorCode::model, "backward",
             text("takes the ", forward_batch_, " samples of the last forward(); got ", x.batch, " and ", dy.batch, " gradients").view());
    if (!(position == forward_position_) || table_->mode_version() != forward_modes_)
        fail(ErrorCode::model, "backward",
             "position or eval mode is not what it was in forward(), so dropout and normalisation would be others; change them between steps");
    if (dx && !own) fail(ErrorCode::model, "backward", "the gradient of the input was not planned; call plan_input_gradient() before forward()");
    Context<P> c = context();
    const View<P> target = run_backward(c, x, ConstView<P>(workspace_.output.data, x.batch, output_), dy);
    if (dx) copy(c.policy, dx.size(), target.data, dx.data);
    forward_batch_ = -1;  // gradients lie over activations now
}

template <class P>
void BasicModel<P>::check_parts(int micro_batches) {
    if (micro_batches < 1 || (micro_batches & (micro_batches - 1)) != 0)
        fail(ErrorCode::usage, "train_step", text("micro_batches must be a power of two; got ", micro_batches).view());
}
template <class P>
void BasicModel<P>::check_step(index_t batch, double clip_norm, int micro_batches) {
    if (!(clip_norm >= 0)) fail(ErrorCode::usage, "train_step", "clip_norm must not be negative or NaN; 0 clips nothing");
    check_parts(micro_batches);
    if (batch < micro_batches && micro_batches > 1)
        fail(ErrorCode::usage, "train_step",
             text("a batch of ", batch, " cannot be cut into ", micro_batches, " parts; use larger batches or fewer parts").view());
}
template <class P>
index_t BasicModel<P>::largest_part(index_t batch, int micro_batches) const {
    check_parts(micro_batches);
    return (table_->checked_batch(batch) + micro_batches - 1) / micro_batches;
}
template <class P>
MemoryPlan BasicModel<P>::plan_part(index_t part, index_t scratch, int micro_batches) const {
    MemoryPlan plan = Workspace<P>::measure(table_->policy, *net_, input_, output_, part, scratch);
    plan.leaves = LeafTree<P>::planned_bytes(*table_, micro_batches);
    return plan;
}
template <class P>
void BasicModel<P>::refuse_batch(const OutOfDeviceMemory& e, index_t batch, int micro_batches, index_t bytes, const std::function<bool(index_t)>& fits) {
    index_t good = micro_batches - 1, bad = std::max(batch, good);  // fits(good), or not even the next
    while (bad - good > 1) (fits((good + bad) / 2) ? good : bad) = (good + bad) / 2;
    const std::string hint =
        good >= micro_batches ? "batches of " + std::to_string(good) + " fit, or more parts (micro_batches)" : "not even a sample for each part fits";
    fail(ErrorCode::device, "memory",
         text("a training step on batches of ", batch, " takes ", byte_text(bytes), "; ", byte_text(e.needed()), " more are asked for in one piece, ",
              byte_text(e.free()), " are free on the device; ", hint)
             .view());
}
template <class P>
bool BasicModel<P>::fits(index_t batch, index_t part, index_t scratch, bool input_gradient, int micro_batches) const {
    try {
        // Two slots of an optimizer; inputs and targets of a step and of an evaluation; what is small.
        const index_t slots = 2 * table_->value_count * static_cast<index_t>(sizeof(typename P::master)), small = index_t{1} << 18;
        const index_t batches = 2 * batch * (input_.size() + output_.size()) * static_cast<index_t>(sizeof(T));
        const Arena<P> rest(table_->policy, slots + batches + small + LeafTree<P>::planned_bytes(*table_, micro_batches));
        const Workspace<P> training(table_->policy, *net_, input_, output_, part, scratch, input_gradient);
        const auto evaluation = Base::inference_workspace(batch, scratch);
        return true;
    } catch (const OutOfDeviceMemory&) {
        return false;
    }
}
template <class P>
void BasicModel<P>::claim(index_t batch, index_t scratch, bool input_gradient) {
    forward_batch_ = -1;  // what the last forward() left is not there any more
    if (batch > workspace_.capacity() || scratch > workspace_.plan().scratch || (input_gradient && !workspace_.gives_input_gradient()))
        workspace_ = Workspace<P>(table_->policy, *net_, input_, output_, std::max(batch, workspace_.capacity()), std::max(scratch, workspace_.loss_scratch()),
                                  input_gradient || workspace_.gives_input_gradient());
}
template <class P>
Context<P> BasicModel<P>::context() {
    table_->note_written();  // running statistics move
    Context<P> c;
    c.policy = table_->policy;
    c.scratch = workspace_.scratch();
    c.random = memory_.position(c.policy, position);
    c.observer = observer, c.clock = clock;
    return c;
}
template <class P>
View<P> BasicModel<P>::run_backward(Context<P>& c, const ConstView<P>& x, const ConstView<P>& y, const ConstView<P>& dy) {
    const View<P> dx(workspace_.gives_input_gradient() ? workspace_.input_gradient.data : kernel::Ptr<P>{}, x.batch, input_);
    net_->backward(c, x, y, dy, dx, workspace_.tape());
    if (c.observer) c.observer->after_backward(-1, dx);
    return dx;
}

}  // namespace dla

#include <dla/model/basic_model.impl.hpp>
