// SPDX-License-Identifier: MIT
// AnyModel around a model of a known policy.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/kernels/cpu/isa.hpp>

#include <algorithm>

namespace dla {

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

/// Shows values of another type to an observer of floats.
template <class T>
class FloatObserver final : public Observer<Reference<T>> {
public:
    explicit FloatObserver(Observer<Reference<float>>& to) : to_(to) {}
    void after_forward(int layer, const ConstView<Reference<T>>& y) override { to_.after_forward(layer, floats(y)); }
    void after_backward(int layer, const ConstView<Reference<T>>& dx) override { to_.after_backward(layer, floats(dx)); }

private:
    ConstView<Reference<float>> floats(const ConstView<Reference<T>>& v) {
        room_.resize(static_cast<std::size_t>(v.size()));
        std::transform(v.data, v.data + v.size(), room_.begin(), [](T value) { return static_cast<float>(value); });
        return {room_.data(), v.batch, v.shape};
    }
    Observer<Reference<float>>& to_;
    std::vector<float> room_;
};

/// `Held` is BasicModel<P>, or a reference to one.
template <class P, class Held = BasicModel<P>>
class AnyModelOf final : public AnyModel {
    using T = typename P::scalar;

public:
    explicit AnyModelOf(Held&& model) : model_(std::forward<Held>(model)) {}
    ~AnyModelOf() override {
        if (std::is_reference_v<Held> && hooked_) model_.on_gradients = nullptr;  // which would call what is gone
    }

    const Shape& input_shape() const override { return model_.input_shape(); }
    const Shape& output_shape() const override { return model_.output_shape(); }
    const ParamIndex& index() const override { return table(); }
    ValueType value_type() const override { return value_type_of<P>(); }
    index_t least_batch() const override { return table().least_batch(); }
    std::string_view compute_type() const override {
        if constexpr (computes_in_float) return "f32";
        return std::is_same_v<T, double> ? "f64" : std::is_same_v<T, bf16> ? "bf16" : std::is_same_v<T, f16> ? "f16" : "other";
    }
    std::string computes_on() const override {
        if constexpr (requires(const P& p) { p.description(); })
            return table().policy.description();
        else
            return to_string(active_isa());
    }
    std::unique_ptr<AnyModel> clone() const override { return any_model(model_.clone()); }
    void reserve(index_t batch, const AnyLoss& loss, int micro_batches) override {
        model_.reserve_with_evaluation(batch, loss, micro_batches);
    }
    MemoryPlan plan(index_t batch, const AnyLoss& loss, int micro_batches) const override { return model_.plan(batch, loss, micro_batches); }
    ParamMemory plan_parameters(int slots) const override { return planned_parameters(table(), slots); }
    MemoryPlan memory() const override { return model_.memory(); }
    ParamMemory param_memory() const override { return table().memory(); }
    StepResult train_step(Optimizer& optimizer, const AnyLoss& loss, std::span<const float> inputs, const Targets& targets,
                          const StepOptions& options) override {
        return in_own_types(loss, inputs, targets, [&](const auto& own, auto x, auto t) { return dla::train_step(model_, optimizer, own, x, t, options); });
    }
    LossResult evaluate(const AnyLoss& loss, std::span<const float> inputs, const Targets& targets, std::span<float> outputs) const override {
        return in_own_types(loss, inputs, targets, [&](const auto& own, auto x, auto t) {
            return into(outputs, [&](std::span<T> y) { return model_.evaluate(own, x, t, y); });
        });
    }
    void predict(std::span<const float> inputs, std::span<float> outputs) const override {
        if constexpr (computes_in_float) {
            model_.predict(inputs, outputs);
        } else {
            const std::vector<T> x = own(inputs);
            into(outputs, [&](std::span<T> y) { return model_.predict(std::span<const T>(x), y), 0; });
        }
    }
    RandomPosition& position() override { return model_.position; }
    void on_gradients(std::function<void(AnyModel&)> hook) override {
        model_.on_gradients = nullptr;
        hooked_ = static_cast<bool>(hook);
        if (hook) model_.on_gradients = [this, hook = std::move(hook)](ParamTable<P>&) { hook(*this); };
    }
    using AnyModel::read, AnyModel::write;
    void read(ParamPart part, const ParamRow& row, std::span<std::byte> host) const override { access().read(part, row, host); }
    void write(ParamPart part, const ParamRow& row, std::span<const std::byte> host) override { access().write(part, row, host); }
    void read(const BufferRow& row, std::span<std::byte> host) const override { access().read(row, host); }
    void write(const BufferRow& row, std::span<const std::byte> host) override { access().write(row, host); }
    std::int64_t read(const CounterRow& row) const override { return access().read(row); }
    void write(const CounterRow& row, std::int64_t value) override { access().write(row, value); }
    void read(const Optimizer& optimizer, int slot, const ParamRow& row, std::span<std::byte> host) const override {
        optimizer.read(table(), slot, row, values_in<typename P::master>(host));
    }
    void write(Optimizer& optimizer, int slot, const ParamRow& row, std::span<const std::byte> host) override {
        optimizer.write(table(), slot, row, values_in<typename P::master>(host));
    }
    void freeze(std::string_view pattern, bool frozen) override { table().freeze(pattern, frozen); }
    void set_eval(std::string_view pattern, bool eval) override { table().set_eval(pattern, eval); }
    std::vector<std::string> eval_layers() const override { return table().eval_layers(); }

    LossResult inspect(const AnyLoss& loss, std::span<const float> inputs, const Targets& targets, Observer<Reference<float>>* observer) override {
        if constexpr (computes_in_float) {
            return look(loss, inputs, targets, observer);
        } else {
            if (!observer) return look(loss, inputs, targets, nullptr);
            FloatObserver<T> floats(*observer);
            return look(loss, inputs, targets, &floats);
        }
    }
    std::string find_non_finite(const AnyLoss& loss, std::span<const float> inputs, const Targets& targets) override {
        std::vector<typename P::master> host;
        for (const ParamRow& row : index().parameters) {
            host.resize(static_cast<std::size_t>(row.count));
            table().read(ParamPart::value, row, host);
            if (!all_finite(std::span<const typename P::master>(host))) return "parameter " + row.path;
        }
        if (!all_finite(inputs)) return "the input";
        NonFiniteFinder<T> finder(index());
        try {
            look(loss, inputs, targets, &finder);
        } catch (const Error&) {
            // The error this search is for matters more.
        }
        return finder.found();
    }

private:
    static constexpr bool computes_in_float = std::is_same_v<T, float>;

    ParamTable<P>& table() { return model_.parameters(); }
    const ParamTable<P>& table() const { return model_.parameters(); }
    /// Of the table that the model has now: one that is looked at may be assigned another.
    ParamAccessOf<P> access() const { return ParamAccessOf<P>(const_cast<AnyModelOf&>(*this).table()); }

    LossResult look(const AnyLoss& loss, std::span<const float> inputs, const Targets& targets, Observer<Reference<T>>* observer) {
        return in_own_types(loss, inputs, targets, [&](const auto& own, auto x, auto t) { return dla::inspect(model_, own, x, t, observer); });
    }

    static std::vector<T> own(std::span<const float> values) { return {values.begin(), values.end()}; }
    /// use(loss, inputs, targets) with these in the network's numbers.
    template <class Use>
    static auto in_own_types(const AnyLoss& loss, std::span<const float> inputs, const Targets& targets, const Use& use) {
        if constexpr (computes_in_float) {
            return use(loss, inputs, loss.memory_of(targets));
        } else {
            loss.check_kind(targets);
            const std::vector<T> x = own(inputs);
            return loss.template with<T>([&]<class Loss>(const Loss& as_own) {
                if constexpr (std::is_same_v<typename Loss::Target, std::int32_t>) {
                    return use(as_own, std::span<const T>(x), targets.labels);
                } else {
                    const std::vector<T> values = own(targets.values);
                    return use(as_own, std::span<const T>(x), std::span<const T>(values));
                }
            });
        }
    }
    /// What compute(y) gives, with what it leaves in y as floats in `outputs`.
    template <class Compute>
    static auto into(std::span<float> outputs, const Compute& compute) {
        if constexpr (computes_in_float) {
            return compute(outputs);
        } else {
            std::vector<T> y(outputs.size());
            const auto result = compute(std::span<T>(y));
            std::ranges::transform(y, outputs.begin(), [](T value) { return static_cast<float>(value); });
            return result;
        }
    }

    Held model_;
    bool hooked_ = false;
};

}  // namespace detail

template <class P>
std::unique_ptr<AnyModel> any_model(BasicModel<P>&& model) {
    return std::make_unique<detail::AnyModelOf<P>>(std::move(model));
}
template <class P>
std::unique_ptr<AnyModel> any_model(BasicModel<P>& model) {
    return std::make_unique<detail::AnyModelOf<P, BasicModel<P>&>>(model);
}
DLA_TEMPLATE_ONCE(std::unique_ptr<AnyModel> any_model(BasicModel<Cpu<float>>&&))
DLA_TEMPLATE_ONCE(std::unique_ptr<AnyModel> any_model(BasicModel<Cpu<float>>&))

}  // namespace dla
