// SPDX-License-Identifier: MIT
// A network with its parameters, as prediction sees it: const, from any number of threads.
#pragma once

#include <dla/compose/check.hpp>
#include <dla/model/batch_memory.hpp>
#include <dla/model/builder.hpp>
#include <dla/model/init.hpp>
#include <dla/model/workspace.hpp>

#include <memory>
#include <span>

namespace dla {

/// The part of a Model that does not train.
template <class Net, Shape Input, class P>
class Predictor {
public:
    static_assert(detail::ShapeCheck<Net, Input>::check());
    static_assert(LayerOn<Net, P>, "dla: this network cannot run on this policy; see the notes for what a layer or a kernel lacks");

    using T = typename P::scalar;
    using Policy = P;
    using Network = Net;
    using State = LayerState<Net, P>;
    using Table = ParamTable<P>;
    using Inference = InferenceWorkspace<Net, P>;

    const Net& network() const { return net_; }
    const Shape& input_shape() const { return input_; }
    const Shape& output_shape() const { return output_; }
    ParamTable<P>& parameters() { return *table_; }
    const ParamTable<P>& parameters() const { return *table_; }

    /// Class scores (or whatever the network gives) of `inputs` in inference mode: `output_shape().size()` values for each sample.
    /// May be called from any number of threads at a time; allocates its own workspace.
    std::vector<T> predict(std::span<const T> inputs) const {
        const index_t batch = batch_of(inputs.size());
        Inference workspace = inference_workspace(batch);
        std::vector<T> out(static_cast<std::size_t>(batch * output_.size()));
        predict(inputs, out, workspace);
        return out;
    }
    /// As above without allocating; each thread brings its own workspace.
    void predict(std::span<const T> inputs, std::span<T> out, Inference& workspace) const {
        const index_t batch = batch_of(inputs.size());
        if (static_cast<index_t>(out.size()) != batch * output_.size())
            fail(ErrorCode::model, "predict", text("the output has room for ", out.size(), " values; expected ", batch * output_.size()).view());
        const View<P> y = infer(inputs, batch, workspace);
        fetch(table_->policy, out.data(), y.data, y.size());
    }
    Inference inference_workspace(index_t batch, index_t scratch = 0) const {
        return Inference(table_->policy, net_, state_, input_, output_, table_->checked_batch(batch), scratch);
    }

    /// A workspace for `evaluate` with this loss, which may need scratch memory of its own.
    template <class Loss, class = typename Loss::Target>
    Inference inference_workspace(index_t batch, const Loss& loss) const {
        Inference workspace = inference_workspace(batch, loss.scratch(table_->policy, table_->checked_batch(batch), output_));
        workspace.class_weights.of(table_->policy, loss);
        return workspace;
    }

    /// Loss and correct predictions in inference mode; const and thread-safe like predict. Allocates its own workspace.
    template <class Loss>
    LossResult evaluate(const Loss& loss, std::span<const T> inputs, std::span<const typename Loss::Target> targets) const {
        Inference workspace = inference_workspace(batch_of(inputs.size()), loss);
        return evaluate(loss, inputs, targets, workspace);
    }
    /// As above without allocating.
    template <class Loss>
    LossResult evaluate(const Loss& loss, std::span<const T> inputs, std::span<const typename Loss::Target> targets, Inference& workspace) const {
        const index_t batch = check_batch(loss, inputs, targets);
        if (loss.scratch(table_->policy, batch, output_) > workspace.scratch_bytes())
            fail(ErrorCode::model, "evaluate", "the workspace has no scratch memory for this loss; make it with inference_workspace(batch, loss)");
        const View<P> y = infer(inputs, batch, workspace);
        Context<P> c;
        c.policy = table_->policy;
        c.scratch = workspace.scratch();
        const auto labels = to_device<P>(c.policy, targets, workspace.targets);
        loss.evaluate(c, ConstView<P>(y), labels, workspace.class_weights.of(c.policy, loss), workspace.result(), View<P>{});
        LossResult result;
        fetch(c.policy, &result, workspace.result(), 1);
        loss.verify(result, output_);
        return result;
    }

protected:
    /// Throws Error(shape) when sizes are missing or do not fit.
    [[gnu::cold]] Predictor(const Net& net, const Shape& input, Seed seed, const P& policy)
        : net_(net), input_(input), table_(std::make_unique<ParamTable<P>>(detail::resolved(policy))) {
        output_ = detail::checked_output(net, input, Input);
        Builder<P> count(*table_, false);
        (void)build_layer<P>(net_, count, input_);
        count.describe_network(net_.name(), input_, output_, detail::facts_of(net_, input_));
        table_->allocate();
        Builder<P> bind(*table_, true);
        state_ = build_layer<P>(net_, bind, input_);
        initialise(*table_, seed);
    }
    Predictor(Predictor&&) = default;
    Predictor& operator=(Predictor&&) = default;
    ~Predictor() = default;

    View<P> infer(std::span<const T> inputs, index_t batch, Inference& workspace) const {
        if (batch > workspace.capacity()) fail(ErrorCode::model, "predict", text("the workspace holds ", workspace.capacity(), " samples; got ", batch).view());
        Context<P> c;
        c.policy = table_->policy;
        c.scratch = workspace.scratch();
        c.stack = workspace.stack();
        const View<P> y(workspace.output(), batch, output_);
        infer_layer<P>(net_, c, state_, ConstView<P>(to_device<P>(c.policy, inputs, workspace.inputs), batch, input_), y);
        return y;
    }
    index_t batch_of(std::size_t values) const {
        const auto size = static_cast<std::size_t>(input_.size());
        if (values % size != 0)
            fail(ErrorCode::model, "model",
                 text("got ", values, " input values; expected a multiple of ", size, ", the size of one sample ", to_text(input_)).view());
        return table_->checked_batch(static_cast<index_t>(values / size));
    }
    template <class Loss>
    index_t check_batch(const Loss& loss, std::span<const T> inputs, std::span<const typename Loss::Target> targets) const {
        const index_t batch = batch_of(inputs.size());
        loss.check(output_);
        const index_t expected = batch * loss.targets_per_sample(output_);
        if (std::ssize(targets) != expected) fail(ErrorCode::model, "model", text("got ", targets.size(), " targets; expected ", expected).view());
        return batch;
    }

    Net net_;
    Shape input_, output_;
    std::unique_ptr<ParamTable<P>> table_;  // its address outlives a move of the model
    State state_;
};

}  // namespace dla
