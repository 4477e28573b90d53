// SPDX-License-Identifier: MIT
// A network that has been built, without its type: all that a model needs of it is a few functions.
#pragma once

#include <dla/compose/chain.hpp>
#include <dla/core/objects.hpp>
#include <dla/model/builder.hpp>
#include <dla/model/init.hpp>

#include <memory>

namespace dla {

/// The layers of a network and their states, in one place that does not move. What walks, plans and computes knows the policy, not the network.
template <class P>
class BuiltNetwork {
public:
    virtual ~BuiltNetwork();
    BuiltNetwork(const BuiltNetwork&) = delete;
    BuiltNetwork& operator=(const BuiltNetwork&) = delete;

    /// The same network, not yet built.
    virtual std::unique_ptr<BuiltNetwork> copy() const = 0;
    bool has_parameters() const { return has_parameters_; }
    /// Whether a batch has to stay together in inference.
    bool mixes_samples() const { return mixes_samples_; }
    /// A tape for one workspace.
    std::shared_ptr<void> new_tape() const { return tape_type_->make(); }

    /// Inference: const, from any number of threads.
    void infer(const Context<P>& c, const ConstView<P>& x, const View<P>& y) const;
    /// Training: y, and what backward will need in the tape.
    void forward(Context<P>& c, const ConstView<P>& x, const View<P>& y, void* tape);
    /// dx (or an empty view: not wanted) overwritten, parameter gradients added to.
    void backward(Context<P>& c, const ConstView<P>& x, const ConstView<P>& y, const ConstView<P>& dy, const View<P>& dx, void* tape);
    /// The claims of these on a planner.
    void plan_inference(Planner<P>& plan, const ConstView<P>& x, const View<P>& y) const;
    void plan_forward(Planner<P>& plan, const ConstView<P>& x, const View<P>& y, void* tape, Gradients wants) const;
    void plan_backward(Planner<P>& plan, const ConstView<P>& x, const ConstView<P>& y, const View<P>& dx, void* tape, Gradients wants) const;

    /// Declares the parameters in the table, for samples of shape `in`; claims them, and gives each its first value.
    [[gnu::cold]] void build(ParamTable<P>& table, const Shape& in, const Shape& out, Seed seed);

protected:
    BuiltNetwork(const detail::UnitKind<P>& kind, const detail::ObjectType& tape, bool has_parameters, bool mixes_samples)
        : kind_(&kind), tape_type_(&tape), has_parameters_(has_parameters), mixes_samples_(mixes_samples) {}
    void lies_at(const void* net, void* state) { net_ = static_cast<const std::byte*>(net), state_ = state; }

private:
    virtual void build_layers(Builder<P>& b, const Shape& in) = 0;
    virtual void describe(Builder<P>& b, const Shape& in, const Shape& out) const = 0;
    detail::Unit<P> unit(void* tape) const {
        static constexpr std::ptrdiff_t itself = 0;
        static const LayerRows nobody;  // who looks at the whole network is told by the model
        return {kind_, net_, &itself, state_, tape, &nobody};
    }

    const detail::UnitKind<P>* kind_;
    const detail::ObjectType* tape_type_;
    bool has_parameters_, mixes_samples_;
    const std::byte* net_ = nullptr;
    void* state_ = nullptr;
};

template <class Net, class P>
class BuiltNetworkOf final : public BuiltNetwork<P> {
public:
    explicit BuiltNetworkOf(const Net& n)
        : BuiltNetwork<P>(detail::unit_kind<Net, P>, detail::object_type<LayerTape<Net, P>>, detail::has_parameters<Net, P>(),
                          detail::mixes_samples<Net>()),
          net(n) {
        this->lies_at(&net, &state);
    }

    const Net net;
    LayerState<Net, P> state{};

    [[gnu::cold]] std::unique_ptr<BuiltNetwork<P>> copy() const override { return std::make_unique<BuiltNetworkOf>(net); }

private:
    [[gnu::cold]] void build_layers(Builder<P>& b, const Shape& in) override { state = build_layer<P>(net, b, in); }
    [[gnu::cold]] void describe(Builder<P>& b, const Shape& in, const Shape& out) const override {
        b.describe_network(net.name(), in, out, detail::facts_of(net, in));
    }
};

/// The same, owned. What depends on the network stays behind: a unique_ptr of each network's own type costs the compiler a dozen functions.
template <class P, class Net>
std::unique_ptr<BuiltNetwork<P>> built_network(const Net& net) {
    return std::unique_ptr<BuiltNetwork<P>>(new BuiltNetworkOf<Net, P>(net));
}

template <class P>
BuiltNetwork<P>::~BuiltNetwork() = default;

template <class P>
void BuiltNetwork<P>::infer(const Context<P>& c, const ConstView<P>& x, const View<P>& y) const {
    Context<P> own = c;  // its stack and its place in what was prepared move
    Running<P> v{own};
    kind_->running.infer(v, unit(nullptr), x, y);
}
template <class P>
void BuiltNetwork<P>::forward(Context<P>& c, const ConstView<P>& x, const View<P>& y, void* tape) {
    Running<P> v{c};
    kind_->running.forward(v, unit(tape), x, y, Gradients::input);
}
template <class P>
void BuiltNetwork<P>::backward(Context<P>& c, const ConstView<P>& x, const ConstView<P>& y, const ConstView<P>& dy, const View<P>& dx, void* tape) {
    if (!dx && !has_parameters_) return;
    Running<P> v{c};
    kind_->running.backward(v, unit(tape), x, y, dy, dx, dx ? Gradients::input : Gradients::parameters);
}
template <class P>
void BuiltNetwork<P>::plan_inference(Planner<P>& plan, const ConstView<P>& x, const View<P>& y) const {
    Planning<P> v{plan};
    kind_->planning.infer(v, unit(nullptr), x, y);
}
template <class P>
void BuiltNetwork<P>::plan_forward(Planner<P>& plan, const ConstView<P>& x, const View<P>& y, void* tape, Gradients wants) const {
    Planning<P> v{plan};
    kind_->planning.forward(v, unit(tape), x, y, wants);
}
template <class P>
void BuiltNetwork<P>::plan_backward(Planner<P>& plan, const ConstView<P>& x, const ConstView<P>& y, const View<P>& dx, void* tape, Gradients wants) const {
    Planning<P> v{plan};
    kind_->planning.backward(v, unit(tape), x, y, y, dx, wants);
}
template <class P>
void BuiltNetwork<P>::build(ParamTable<P>& table, const Shape& in, const Shape& out, Seed seed) {
    Builder<P> count(table, false);
    build_layers(count, in);
    describe(count, in, out);
    table.allocate();
    Builder<P> bind(table, true);
    build_layers(bind, in);
    initialise(table, seed);
}

DLA_TEMPLATE_ONCE(class BuiltNetwork<Cpu<float>>)

}  // namespace dla
