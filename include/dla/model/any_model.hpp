// SPDX-License-Identifier: MIT
// One interface around any model, so that trainer and programs compile once: a virtual call for each batch, none for each layer.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/loss/cross_entropy.hpp>
#include <dla/model/inspect.hpp>
#include <dla/model/summary.hpp>
#include <dla/optim/any_optimizer.hpp>

namespace dla {

/// A classifier whose type has been forgotten. Values are float, images in memory order, parameters in PyTorch's order.
class AnyModel {
public:
    virtual ~AnyModel() = default;

    virtual const Shape& input_shape() const = 0;
    virtual const Shape& output_shape() const = 0;
    virtual const ParamIndex& index() const = 0;

    /// Claims the memory of a training step for up to `batch` samples; `evaluate` and `predict` take as many.
    virtual void reserve(index_t batch, const CrossEntropy& loss) = 0;
    /// Bytes that `reserve` would claim for training steps.
    virtual MemoryPlan plan(index_t batch, const CrossEntropy& loss) const = 0;
    /// Bytes that are claimed now: for training steps, and for the parameters.
    virtual MemoryPlan memory() const = 0;
    virtual ParamMemory param_memory() const = 0;

    /// Gradients and one optimizer step. clip_norm > 0 limits the global gradient norm. A loss (or, when clipping, a norm) that is not finite is returned as
    /// the loss, without a step.
    virtual LossResult train_step(AnyOptimizer& optimizer, const CrossEntropy& loss, std::span<const float> images, std::span<const std::int32_t> labels,
                                  double clip_norm) = 0;
    /// The mean loss (or sum, as asked) and correct predictions in inference mode.
    virtual LossResult evaluate(const CrossEntropy& loss, std::span<const float> images, std::span<const std::int32_t> labels) = 0;
    /// Logits in inference mode.
    virtual void predict(std::span<const float> images, std::span<float> logits) = 0;

    virtual RandomPosition& position() = 0;

    virtual void read(ParamPart part, const ParamRow& row, std::span<float> host) const = 0;
    virtual void write(ParamPart part, const ParamRow& row, std::span<const float> host) = 0;
    virtual void read(const BufferRow& row, std::span<float> host) const = 0;
    virtual void write(const BufferRow& row, std::span<const float> host) = 0;
    virtual std::int64_t read(const CounterRow& row) const = 0;
    virtual void write(const CounterRow& row, std::int64_t value) = 0;
    virtual void freeze(std::string_view pattern) = 0;

    /// Gradients of a batch, computed as a training step would and left in `ParamPart::gradient`, without a step: parameters, buffers, counters and the
    /// random position stay as they are. `observer` (may be null) sees host copies of every layer's output and input gradient.
    virtual LossResult inspect(const CrossEntropy& loss, std::span<const float> images, std::span<const std::int32_t> labels,
                               Observer<Reference<float>>* observer) = 0;
    /// The first layer whose output (else gradient, else parameter) is not finite on this batch, with its path; empty when all are.
    virtual std::string find_non_finite(const CrossEntropy& loss, std::span<const float> images, std::span<const std::int32_t> labels) = 0;
};

/// As for a Model: what training on `batch` samples will take, what it has claimed, and the table of all of it.
[[nodiscard]] inline TrainingMemory planned_memory(const AnyModel& model, index_t batch, int slots = 2, const CrossEntropy& loss = {}) {
    return detail::training_memory(model.plan(batch, loss), detail::planned_parameters(model.index(), sizeof(float), slots, model.param_memory()));
}
[[nodiscard]] inline TrainingMemory claimed_memory(const AnyModel& model) { return detail::training_memory(model.memory(), model.param_memory()); }
[[nodiscard]] inline std::string summary(const AnyModel& model, const SummaryOptions& options = {}, const CrossEntropy& loss = {}) {
    return summary(model.index(), planned_memory(model, options.batch, options.optimizer_slots, loss), claimed_memory(model), options);
}

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

template <class M>
class AnyModelOf final : public AnyModel {
public:
    using P = typename M::Policy;
    explicit AnyModelOf(M model) : model_(std::move(model)) {}

    const Shape& input_shape() const override { return model_.input_shape(); }
    const Shape& output_shape() const override { return model_.output_shape(); }
    const ParamIndex& index() const override { return table(); }
    void reserve(index_t batch, const CrossEntropy& loss) override {
        model_.reserve(batch, loss);
        inference(batch, loss);
    }
    MemoryPlan plan(index_t batch, const CrossEntropy& loss) const override { return model_.plan(batch, loss); }
    MemoryPlan memory() const override { return model_.memory(); }
    ParamMemory param_memory() const override { return table().memory(); }
    LossResult train_step(AnyOptimizer& optimizer, const CrossEntropy& loss, std::span<const float> images, std::span<const std::int32_t> labels,
                          double clip_norm) override {
        table().zero_gradients();
        LossResult result = model_.compute_gradients(loss, images, labels);
        if (is_finite(result.loss) && clip_norm > 0)
            if (const double norm = table().clip_gradients(clip_norm); !is_finite(norm)) result.loss = norm;
        if (!is_finite(result.loss)) return result;
        optimizer.step(table());
        ++model_.position.step;
        return result;
    }
    LossResult evaluate(const CrossEntropy& loss, std::span<const float> images, std::span<const std::int32_t> labels) override {
        return model_.evaluate(loss, images, labels, inference(static_cast<index_t>(labels.size()), loss));
    }
    void predict(std::span<const float> images, std::span<float> logits) override {
        model_.predict(images, logits, inference(static_cast<index_t>(logits.size()) / output_shape().size(), CrossEntropy{}));
    }
    RandomPosition& position() override { return model_.position; }
    void read(ParamPart part, const ParamRow& row, std::span<float> host) const override { table().read(part, row, host); }
    void write(ParamPart part, const ParamRow& row, std::span<const float> host) override { table().write(part, row, host); }
    void read(const BufferRow& row, std::span<float> host) const override { table().read(row, host); }
    void write(const BufferRow& row, std::span<const float> host) override { table().write(row, host); }
    std::int64_t read(const CounterRow& row) const override { return table().read(row); }
    void write(const CounterRow& row, std::int64_t value) override { table().write(row, value); }
    void freeze(std::string_view pattern) override { table().freeze(pattern); }

    LossResult inspect(const CrossEntropy& loss, std::span<const float> images, std::span<const std::int32_t> labels,
                       Observer<Reference<float>>* observer) override {
        return dla::inspect(model_, loss, images, labels, observer);
    }
    std::string find_non_finite(const CrossEntropy& loss, std::span<const float> images, std::span<const std::int32_t> labels) override {
        std::vector<float> host;
        for (const ParamRow& row : index().parameters) {
            host.resize(static_cast<std::size_t>(row.count));
            read(ParamPart::value, row, host);
            if (!all_finite(std::span<const float>(host))) return "parameter " + row.path;
        }
        if (!all_finite(images)) return "the input images";
        NonFiniteFinder<float> finder(index());
        try {
            inspect(loss, images, labels, &finder);
        } catch (const Error&) {
            // The error this search is for matters more.
        }
        return finder.found();
    }

private:
    ParamTable<P>& table() { return model_.parameters(); }
    const ParamTable<P>& table() const { return model_.parameters(); }
    const typename M::Inference& inference(index_t batch, const CrossEntropy& loss) {
        if (batch > inference_.capacity()) inference_ = model_.inference_workspace(batch, loss.scratch(table().policy, batch, output_shape()));
        return inference_;
    }
    M model_;
    typename M::Inference inference_;
};

}  // namespace detail

/// Takes a model and forgets its type.
template <class Net, Shape Input, class P>
std::unique_ptr<AnyModel> erase(Model<Net, Input, P> model) {
    static_assert(std::is_same_v<typename P::scalar, float>, "dla: AnyModel speaks float");
    return std::make_unique<detail::AnyModelOf<Model<Net, Input, P>>>(std::move(model));
}

}  // namespace dla
