// SPDX-License-Identifier: MIT
// A network with its parameters: forward, backward, one training step, and prediction from any number of threads.
#pragma once

#include <dla/compose/check.hpp>
#include <dla/core/finite.hpp>
#include <dla/model/builder.hpp>
#include <dla/model/init.hpp>
#include <dla/model/workspace.hpp>

#include <memory>
#include <span>

namespace dla {

/// A network of type Net for samples of shape `Input` (unknown: given to the constructor) on policy P.
/// Shapes are checked by the compiler when `Input` is written in the type, and again with concrete numbers when the model is built.
/// Values that enter or leave are in memory order: images as (N, height, width, channels).
template <class Net, Shape Input = Shape{}, class P = Cpu<float>>
class Model {
public:
    static_assert(detail::ShapeCheck<Net, Input>::check());
    static_assert(LayerOn<Net, P>, "dla: this network cannot run on this policy; see the notes for what a layer or a kernel lacks");

    using T = typename P::scalar;
    using Policy = P;
    using Network = Net;
    using State = LayerState<Net, P>;
    using Inference = InferenceWorkspace<Net, P>;

    /// The network that the type describes. Throws Error(shape) when sizes are missing or do not fit.
    explicit Model(Seed seed, const P& policy = {}) : Model(Net{}, Input, seed, policy) {}
    /// A network with sizes set at run time.
    Model(const Net& net, Seed seed, const P& policy = {}) : Model(net, Input, seed, policy) {}
    Model(const Net& net, const Shape& input, Seed seed, const P& policy = {})
        : net_(net), input_(input), table_(std::make_unique<ParamTable<P>>()), control_(2 * alignment) {
        if (!compatible(input, Input)) fail(ErrorCode::shape, "model", text("built for input ", to_text(Input), "; got ", to_text(input)).view());
        if (!input.is_known())
            fail(ErrorCode::shape, "model",
                 text("the input shape ", to_text(input), " is not known; give it: Model<Net, Shape{3, 32, 32}> or Model(net, Shape{3, 32, 32}, seed)").view());
        for (int i = 0; i < input.rank; ++i)
            if (input.d[i] < 1)
                fail(ErrorCode::shape, "model", text("the input shape ", to_text(input), " has an empty axis; expected sizes of at least 1").view());
        const ShapeResult out = net.out_shape(input);
        if (!out.ok()) fail(ErrorCode::shape, "network", refusal(net.name(), input, out).view());
        output_ = out.shape;
        table_->policy = policy;
        if constexpr (requires { resolve(policy); }) table_->policy = resolve(policy);
        Builder<P> count(*table_, false);
        (void)build_layer<P>(net_, count, input_);
        count.describe_network(net_.name(), input_, output_, detail::facts_of(net_, input_));
        table_->allocate();
        Builder<P> bind(*table_, true);
        state_ = build_layer<P>(net_, bind, input_);
        initialise(*table_, seed);
        position.seed = static_cast<std::uint64_t>(seed);
    }

    Model(Model&&) = default;
    Model& operator=(Model&&) = default;
    Model(const Model&) = delete;  // build a second one and use copy_weights

    const Net& network() const { return net_; }
    const Shape& input_shape() const { return input_; }
    const Shape& output_shape() const { return output_; }
    ParamTable<P>& parameters() { return *table_; }
    const ParamTable<P>& parameters() const { return *table_; }

    /// Seed, epoch and step that random layers see; a training step advances `step`.
    RandomPosition position;
    /// Sees every layer's output and gradient during training steps; null: nobody looks.
    Observer<P>* observer = nullptr;

    /// Claims memory for batches of up to `batch` samples, so that no later step allocates. `loss` may need scratch memory of its own.
    template <class Loss>
    void reserve(index_t batch, const Loss& loss, bool input_gradient = false) {
        loss.check(output_);
        const index_t scratch = loss.scratch(table_->policy, batch, output_);
        if (batch > workspace_.capacity() || scratch > workspace_.plan().scratch || (input_gradient && !workspace_.gives_input_gradient()))
            workspace_ = Workspace<Net, P>(table_->policy, net_, state_, input_, output_, std::max(batch, workspace_.capacity()), scratch,
                                           input_gradient || workspace_.gives_input_gradient());
        if (!loss.class_weights.empty()) {
            if (class_weights_.bytes() == 0) class_weights_ = Arena<P>(output_.size() * static_cast<index_t>(sizeof(T)));
            put_class_weights(loss, class_weights_.template at<T>(0));
        }
    }
    /// Bytes a training step on `batch` samples needs, before any is claimed.
    template <class Loss>
    MemoryPlan plan(index_t batch, const Loss& loss) const {
        return Workspace<Net, P>::measure(table_->policy, net_, state_, input_, output_, batch, loss.scratch(table_->policy, batch, output_));
    }
    /// The memory that is claimed now.
    const MemoryPlan& memory() const { return workspace_.plan(); }

    /// Forward and backward pass: adds the gradients of the loss to the parameter gradients. `images` has any number of samples.
    template <class Loss>
    LossResult compute_gradients(const Loss& loss, std::span<const T> images, std::span<const typename Loss::Target> targets) {
        const index_t batch = batch_of(images.size());
        check_targets(targets.size(), batch * loss.targets_per_sample(output_));
        reserve(batch, loss);
        Context<P> c = context();
        const ConstView<P> x(to_device<T>(images, workspace_.input.data), batch, input_);
        const View<P> y(workspace_.output.data, batch, output_);
        forward_layer<P>(net_, c, state_, x, y, workspace_.tape);
        if (c.observer) c.observer->after_forward(-1, y);
        const View<P> dy(workspace_.output_gradient.data, batch, output_);
        loss.evaluate(c, ConstView<P>(y), targets_to_device(targets), class_weights(loss, class_weights_.template at<T>(0)), result_slot(), dy);
        const LossResult result = read_result(result_slot());
        loss.verify(result, targets.data(), output_);
        const View<P> dx(workspace_.gives_input_gradient() ? workspace_.input_gradient.data : typename P::template pointer<T>{}, batch, input_);
        if (dx || detail::has_parameters<Net, P>()) backward_layer<P>(net_, c, state_, x, y, dy, dx, workspace_.tape);
        if (c.observer) c.observer->after_backward(-1, dx);
        return result;
    }

    /// Training-mode forward pass; the outputs stay valid until the next call. For losses of your own: then call `backward` with their gradient.
    ConstView<P> forward(ConstView<P> x) {
        if (!(x.shape == input_)) fail(ErrorCode::model, "forward", text("takes samples ", to_text(input_), "; got ", to_text(x.shape)).view());
        reserve_plain(x.batch);
        forward_batch_ = x.batch;
        Context<P> c = context();
        const View<P> y(workspace_.output.data, x.batch, output_);
        forward_layer<P>(net_, c, state_, x, y, workspace_.tape);
        if (c.observer) c.observer->after_forward(-1, y);
        return y;
    }
    /// Backward pass of the last `forward` on the same x: parameter gradients are added to; dx may be an empty view.
    void backward(ConstView<P> x, ConstView<P> dy, View<P> dx = {}) {
        const bool own = workspace_.gives_input_gradient();
        if (x.batch != forward_batch_ || dy.batch != forward_batch_)
            fail(ErrorCode::model, "backward",
                 text("takes the ", forward_batch_, " samples of the last forward(); got ", x.batch, " and ", dy.batch, " gradients").view());
        if (dx && !own) fail(ErrorCode::model, "backward", "the gradient of the input was not planned; call plan_input_gradient() before forward()");
        Context<P> c = context();
        const View<P> target(own ? workspace_.input_gradient.data : typename P::template pointer<T>{}, x.batch, input_);
        backward_layer<P>(net_, c, state_, x, ConstView<P>(workspace_.output.data, x.batch, output_), dy, target, workspace_.tape);
        if (c.observer) c.observer->after_backward(-1, target);
        if (dx) copy(c.policy, dx.size(), target.data, dx.data);
    }
    /// From now on backward passes also compute the gradient of the input.
    void plan_input_gradient() { wants_input_gradient_ = true; }

    /// Class scores (or whatever the network gives) of `images` in inference mode: `output_shape().size()` values for each sample.
    /// May be called from any number of threads at a time; allocates its own workspace.
    std::vector<T> predict(std::span<const T> images) const {
        const index_t batch = batch_of(images.size());
        const Inference workspace(table_->policy, net_, state_, input_, output_, batch);
        std::vector<T> out(static_cast<std::size_t>(batch * output_.size()));
        predict(images, out, workspace);
        return out;
    }
    /// As above without allocating; each thread brings its own workspace.
    void predict(std::span<const T> images, std::span<T> out, const Inference& workspace) const {
        const index_t batch = batch_of(images.size());
        if (static_cast<index_t>(out.size()) != batch * output_.size())
            fail(ErrorCode::model, "predict", text("the output has room for ", out.size(), " values; expected ", batch * output_.size()).view());
        const View<P> y = infer(images, batch, workspace);
        P::copy_out(out.data(), P::template pointer_cast<std::byte>(y.data), y.size() * static_cast<index_t>(sizeof(T)));
    }
    Inference inference_workspace(index_t batch, index_t scratch = 0) const { return Inference(table_->policy, net_, state_, input_, output_, batch, scratch); }

    /// A workspace for `evaluate` with this loss, which may need scratch memory of its own.
    template <class Loss, class = typename Loss::Target>
    Inference inference_workspace(index_t batch, const Loss& loss) const {
        return inference_workspace(batch, loss.scratch(table_->policy, batch, output_));
    }

    /// Loss and correct predictions in inference mode; const and thread-safe like predict. Does not allocate.
    template <class Loss>
    LossResult evaluate(const Loss& loss, std::span<const T> images, std::span<const typename Loss::Target> targets, const Inference& workspace) const {
        const index_t batch = batch_of(images.size());
        loss.check(output_);
        check_targets(targets.size(), batch * loss.targets_per_sample(output_));
        if (loss.scratch(table_->policy, batch, output_) > workspace.scratch_bytes())
            fail(ErrorCode::model, "evaluate", "the workspace has no scratch memory for this loss; make it with inference_workspace(batch, loss)");
        const View<P> y = infer(images, batch, workspace);
        Context<P> c;
        c.policy = table_->policy;
        c.scratch = workspace.scratch();
        put_class_weights(loss, workspace.class_weights());
        const auto labels = to_device<typename Loss::Target>(targets, workspace.template targets<typename Loss::Target>());
        loss.evaluate(c, ConstView<P>(y), labels, class_weights(loss, workspace.class_weights()), workspace.result(), View<P>{});
        const LossResult result = read_result(workspace.result());
        loss.verify(result, targets.data(), output_);
        return result;
    }

private:
    Context<P> context() {
        Context<P> c;
        c.policy = table_->policy;
        c.scratch = workspace_.scratch();
        P::copy_in(control_.data(), &position, sizeof position);
        c.random = control_.template at<const RandomPosition>(0);
        c.observer = observer;
        return c;
    }
    View<P> infer(std::span<const T> images, index_t batch, const Inference& workspace) const {
        if (batch > workspace.capacity()) fail(ErrorCode::model, "predict", text("the workspace holds ", workspace.capacity(), " samples; got ", batch).view());
        Context<P> c;
        c.policy = table_->policy;
        c.scratch = workspace.scratch();
        c.stack = workspace.stack();
        const View<P> y(workspace.output(), batch, output_);
        infer_layer<P>(net_, c, state_, ConstView<P>(to_device<T>(images, workspace.input()), batch, input_), y);
        return y;
    }
    index_t batch_of(std::size_t values) const {
        const auto size = static_cast<std::size_t>(input_.size());
        if (values % size != 0)
            fail(ErrorCode::model, "model",
                 text("got ", values, " input values; expected a multiple of ", size, ", the size of one sample ", to_text(input_)).view());
        return static_cast<index_t>(values / size);
    }
    static void check_targets(std::size_t got, index_t expected) {
        if (static_cast<index_t>(got) != expected) fail(ErrorCode::model, "model", text("got ", got, " targets; expected ", expected).view());
    }
    struct NoLoss {
        std::vector<double> class_weights;
        void check(const Shape&) const {}
        index_t scratch(const P&, index_t, const Shape&) const { return 0; }
    };
    void reserve_plain(index_t batch) { reserve(batch, NoLoss{}, wants_input_gradient_); }

    /// Where a kernel can read the host's values: there, or copied to `room` on a device.
    template <class V, class Room>
    static typename P::template pointer<const V> to_device(std::span<const V> host, const Room& room) {
        if constexpr (P::is_host) {
            (void)room;
            return host.data();
        } else {
            P::copy_in(P::template pointer_cast<std::byte>(room), host.data(), static_cast<index_t>(host.size_bytes()));
            return room;
        }
    }
    template <class Target>
    typename P::template pointer<const Target> targets_to_device(std::span<const Target> targets) const {
        if constexpr (std::is_same_v<Target, std::int32_t>)
            return to_device<Target>(targets, workspace_.targets.data);
        else
            return to_device<Target>(targets, workspace_.targets_as_scalars.data);
    }
    template <class Loss>
    static void put_class_weights(const Loss& loss, const kernel::Ptr<P>& room) {
        std::array<T, 64> part;
        for (std::size_t i = 0; i < loss.class_weights.size(); i += part.size()) {
            const std::size_t n = std::min(part.size(), loss.class_weights.size() - i);
            for (std::size_t j = 0; j < n; ++j) part[j] = static_cast<T>(loss.class_weights[i + j]);
            P::copy_in(P::template pointer_cast<std::byte>(room + static_cast<index_t>(i)), part.data(), static_cast<index_t>(n * sizeof(T)));
        }
    }
    template <class Loss>
    static kernel::ConstPtr<P> class_weights(const Loss& loss, const kernel::Ptr<P>& room) {
        return loss.class_weights.empty() ? kernel::ConstPtr<P>{} : kernel::ConstPtr<P>(room);
    }
    auto result_slot() const { return control_.template at<LossResult>(alignment); }
    static LossResult read_result(const typename P::template pointer<LossResult>& slot) {
        LossResult result;
        P::copy_out(&result, P::template pointer_cast<std::byte>(slot), sizeof result);
        return result;
    }

    Net net_;
    Shape input_, output_;
    std::unique_ptr<ParamTable<P>> table_;  // its address outlives a move of the model
    State state_;
    Arena<P> control_;  // RandomPosition, LossResult
    Arena<P> class_weights_;
    Workspace<Net, P> workspace_;
    bool wants_input_gradient_ = false;
    index_t forward_batch_ = -1;  // of the last forward()
};

/// One training step (no step when clipping finds a gradient that is not finite: then the norm is returned as the loss): gradients of `loss` on the batch, one
/// step of `optimizer`. Returns the loss before the step. images: N samples in memory order; targets: N labels (cross-entropy) or N outputs (mean squared
/// error).
template <class Net, Shape Input, class P, class Optimizer, class Loss>
LossResult train_step_result(Model<Net, Input, P>& model, Optimizer& optimizer, const Loss& loss, std::span<const typename P::scalar> images,
                             std::span<const typename Loss::Target> targets, double clip_norm = 0) {
    model.parameters().zero_gradients();
    LossResult result = model.compute_gradients(loss, images, targets);
    if (clip_norm > 0)
        if (const double norm = model.parameters().clip_gradients(clip_norm); !is_finite(norm)) {
            result.loss = norm;
            return result;
        }
    optimizer.step(model.parameters());
    ++model.position.step;
    return result;
}
/// As train_step_result; only the loss.
template <class Net, Shape Input, class P, class Optimizer, class Loss>
typename P::scalar train_step(Model<Net, Input, P>& model, Optimizer& optimizer, const Loss& loss, std::span<const typename P::scalar> images,
                              std::span<const typename Loss::Target> targets) {
    return static_cast<typename P::scalar>(train_step_result(model, optimizer, loss, images, targets).loss);
}

}  // namespace dla
