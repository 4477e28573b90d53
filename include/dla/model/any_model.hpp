// SPDX-License-Identifier: MIT
// One interface around any model, so that trainer and programs compile once: a virtual call for each batch, none for each layer.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/loss/any_loss.hpp>
#include <dla/model/memory.hpp>
#include <dla/model/observe.hpp>
#include <dla/model/train_step.hpp>
#include <dla/optim/make_optimizer.hpp>

#include <mutex>

namespace dla {

/// A model whose type has been forgotten. Values are float, inputs in memory order, parameters in PyTorch's order.
class AnyModel {
public:
    virtual ~AnyModel() = default;

    virtual const Shape& input_shape() const = 0;
    virtual const Shape& output_shape() const = 0;
    virtual const ParamIndex& index() const = 0;
    /// See ParamTable::least_batch.
    virtual index_t least_batch() const = 0;

    /// Claims the memory of a training step for up to `batch` samples, computed in as many parts as `micro_batches` says.
    virtual void reserve(index_t batch, const AnyLoss& loss, int micro_batches = 1) = 0;
    /// Bytes that `reserve` would claim for training steps.
    virtual MemoryPlan plan(index_t batch, const AnyLoss& loss, int micro_batches = 1) const = 0;
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

    virtual void read(ParamPart part, const ParamRow& row, std::span<float> host) const = 0;
    virtual void write(ParamPart part, const ParamRow& row, std::span<const float> host) = 0;
    virtual void read(const BufferRow& row, std::span<float> host) const = 0;
    virtual void write(const BufferRow& row, std::span<const float> host) = 0;
    virtual std::int64_t read(const CounterRow& row) const = 0;
    virtual void write(const CounterRow& row, std::int64_t value) = 0;
    /// What an optimizer remembers of a parameter of this model; see Optimizer::read.
    virtual void read(const Optimizer& optimizer, int slot, const ParamRow& row, std::span<float> host) const = 0;
    virtual void write(Optimizer& optimizer, int slot, const ParamRow& row, std::span<const float> host) = 0;
    virtual void freeze(std::string_view pattern, bool frozen = true) = 0;
    virtual void set_eval(std::string_view pattern, bool eval = true) = 0;

    /// Gradients of a batch, computed as a training step would and left in `ParamPart::gradient`, without a step: parameters, buffers, counters and the
    /// random position stay as they are. `observer` (may be null) sees host copies of every layer's output and input gradient.
    virtual LossResult inspect(const AnyLoss& loss, std::span<const float> inputs, const Targets& targets, Observer<Reference<float>>* observer) = 0;
    /// The first layer whose output (else gradient, else parameter) is not finite on this batch, with its path; empty when all are.
    virtual std::string find_non_finite(const AnyLoss& loss, std::span<const float> inputs, const Targets& targets) = 0;
};

/// As for a Model: what training on `batch` samples will take, and what it has claimed.
[[nodiscard]] inline TrainingMemory planned_memory(const AnyModel& model, index_t batch, int slots = 2, const AnyLoss& loss = CrossEntropy{},
                                                   int micro_batches = 1) {
    const ParamMemory parameters = detail::planned_parameters(model.index(), sizeof(float), 0, slots, model.param_memory());
    return detail::training_memory(model.plan(batch, loss, micro_batches), parameters);
}
/// What the model has claimed for training by now.
[[nodiscard]] inline TrainingMemory claimed_memory(const AnyModel& model) { return detail::training_memory(model.memory(), model.param_memory()); }

namespace detail {

/// Notes the first layer that gives a value which is not finite.
template <class T>
class NonFiniteFinder : public Observer<Reference<T>> {
public:
    explicit NonFiniteFinder(const ParamIndex& index) : index_(index) {}
    void after_forward(int layer, const ConstView<Reference<T>>& y) override { look(layer, y, "the output of"); }
    void after_backward(int layer, const ConstView<Reference<T>>& dx) override { look(layer, dx, "the gradient of the input of"); }
    const std::string& found() const { return found_; }

private:
    void look(int layer, const ConstView<Reference<T>>& v, const char* what) {
        const LayerRow& row = index_.layer(layer);
        if (!found_.empty() || !row.leaf || all_finite(std::span(v.data, static_cast<std::size_t>(v.size())))) return;
        found_ = std::string(what) + (layer < 0 ? " the network" : " layer " + row.path + " " + row.name);
    }
    const ParamIndex& index_;
    std::string found_;
};

/// `Held` is BasicModel<P>, or a reference to one.
template <class P, class Held = BasicModel<P>>
class AnyModelOf final : public AnyModel {
public:
    explicit AnyModelOf(Held&& model) : model_(std::forward<Held>(model)) {}
    ~AnyModelOf() override {
        if (std::is_reference_v<Held> && hooked_) model_.on_gradients = nullptr;  // which would call what is gone
    }

    const Shape& input_shape() const override { return model_.input_shape(); }
    const Shape& output_shape() const override { return model_.output_shape(); }
    const ParamIndex& index() const override { return table(); }
    index_t least_batch() const override { return table().least_batch(); }
    void reserve(index_t batch, const AnyLoss& loss, int micro_batches) override {
        model_.reserve(batch, loss, false, micro_batches);
        pool_.put(take(batch, loss));
    }
    MemoryPlan plan(index_t batch, const AnyLoss& loss, int micro_batches) const override { return model_.plan(batch, loss, micro_batches); }
    MemoryPlan memory() const override { return model_.memory(); }
    ParamMemory param_memory() const override { return table().memory(); }
    StepResult train_step(Optimizer& optimizer, const AnyLoss& loss, std::span<const float> inputs, const Targets& targets,
                          const StepOptions& options) override {
        return dla::train_step(model_, optimizer, loss, inputs, loss.memory_of(targets), options);
    }
    LossResult evaluate(const AnyLoss& loss, std::span<const float> inputs, const Targets& targets, std::span<float> outputs) const override {
        auto workspace = take(static_cast<index_t>(inputs.size()) / std::max<index_t>(1, input_shape().size()), loss);
        const LossResult result = model_.evaluate(loss, inputs, loss.memory_of(targets), *workspace, outputs);
        pool_.put(std::move(workspace));
        return result;
    }
    void predict(std::span<const float> inputs, std::span<float> outputs) const override {
        auto workspace = take(static_cast<index_t>(outputs.size()) / output_shape().size(), AnyLoss{});
        model_.predict(inputs, outputs, *workspace);
        pool_.put(std::move(workspace));
    }
    RandomPosition& position() override { return model_.position; }
    void on_gradients(std::function<void(AnyModel&)> hook) override {
        model_.on_gradients = nullptr;
        hooked_ = static_cast<bool>(hook);
        if (hook) model_.on_gradients = [this, hook = std::move(hook)](ParamTable<P>&) { hook(*this); };
    }
    void read(ParamPart part, const ParamRow& row, std::span<float> host) const override { table().read(part, row, host); }
    void write(ParamPart part, const ParamRow& row, std::span<const float> host) override { table().write(part, row, host); }
    void read(const BufferRow& row, std::span<float> host) const override { table().read(row, host); }
    void write(const BufferRow& row, std::span<const float> host) override { table().write(row, host); }
    std::int64_t read(const CounterRow& row) const override { return table().read(row); }
    void write(const CounterRow& row, std::int64_t value) override { table().write(row, value); }
    void read(const Optimizer& optimizer, int slot, const ParamRow& row, std::span<float> host) const override { optimizer.read(table(), slot, row, host); }
    void write(Optimizer& optimizer, int slot, const ParamRow& row, std::span<const float> host) override { optimizer.write(table(), slot, row, host); }
    void freeze(std::string_view pattern, bool frozen) override { table().freeze(pattern, frozen); }
    void set_eval(std::string_view pattern, bool eval) override { table().set_eval(pattern, eval); }

    LossResult inspect(const AnyLoss& loss, std::span<const float> inputs, const Targets& targets, Observer<Reference<float>>* observer) override {
        return dla::inspect(model_, loss, inputs, loss.memory_of(targets), observer);
    }
    std::string find_non_finite(const AnyLoss& loss, std::span<const float> inputs, const Targets& targets) override {
        std::vector<float> host;
        for (const ParamRow& row : index().parameters) {
            host.resize(static_cast<std::size_t>(row.count));
            read(ParamPart::value, row, host);
            if (!all_finite(std::span<const float>(host))) return "parameter " + row.path;
        }
        if (!all_finite(inputs)) return "the input";
        NonFiniteFinder<float> finder(index());
        try {
            inspect(loss, inputs, targets, &finder);
        } catch (const Error&) {
            // The error this search is for matters more.
        }
        return finder.found();
    }

private:
    ParamTable<P>& table() { return model_.parameters(); }
    const ParamTable<P>& table() const { return model_.parameters(); }
    using Inference = InferenceWorkspace<P>;

    /// Workspaces that no thread uses at the moment.
    class Pool {
    public:
        std::unique_ptr<Inference> get() {
            const std::lock_guard lock(mutex_);
            if (free_.empty()) return std::make_unique<Inference>();
            auto workspace = std::move(free_.back());
            free_.pop_back();
            return workspace;
        }
        void put(std::unique_ptr<Inference> workspace) {
            const std::lock_guard lock(mutex_);
            free_.push_back(std::move(workspace));
        }

    private:
        std::mutex mutex_;
        std::vector<std::unique_ptr<Inference>> free_;
    };
    /// A workspace for up to `batch` samples, for this thread until it is put back.
    std::unique_ptr<Inference> take(index_t batch, const AnyLoss& loss) const {
        auto workspace = pool_.get();
        const index_t scratch = loss.scratch(table().policy, batch, output_shape());
        if (batch > workspace->capacity() || scratch > workspace->scratch_bytes())
            *workspace = model_.inference_workspace(std::max(batch, workspace->capacity()), std::max(scratch, workspace->scratch_bytes()));
        return workspace;
    }

    Held model_;
    bool hooked_ = false;
    mutable Pool pool_;
};

}  // namespace detail

/// Takes a model and forgets its type: `any_model(std::move(model))`.
template <class P>
std::unique_ptr<AnyModel> any_model(BasicModel<P>&& model) {
    static_assert(std::is_same_v<typename P::scalar, float>, "dla: AnyModel speaks float");
    return std::make_unique<detail::AnyModelOf<P>>(std::move(model));
}
/// Looks at a model, which must outlive what is given.
template <class P>
std::unique_ptr<AnyModel> any_model(BasicModel<P>& model) {
    static_assert(std::is_same_v<typename P::scalar, float>, "dla: AnyModel speaks float");
    return std::make_unique<detail::AnyModelOf<P, BasicModel<P>&>>(model);
}
DLA_TEMPLATE_ONCE(std::unique_ptr<AnyModel> any_model(BasicModel<Cpu<float>>&&))
DLA_TEMPLATE_ONCE(std::unique_ptr<AnyModel> any_model(BasicModel<Cpu<float>>&))

}  // namespace dla
