// SPDX-License-Identifier: MIT
// A block and a way around it, added.
#pragma once

#include <dla/compose/repeat.hpp>
#include <dla/layers/activation.hpp>
#include <dla/layers/reshape.hpp>

namespace dla {

/// y = Act(Block(x) + Shortcut(x)) (He et al. 2016). Block and Shortcut must give the same shape. A projection "if the widths differ" is
/// `Residual<Block, Repeat<Linear<Dyn, Dyn>>>` with 0 or 1 copies.
template <class Block, class Shortcut = Identity, class Act = Identity>
struct Residual {
    static_assert(Layer<Block> && Layer<Shortcut> && Layer<Act>, "dla: Residual takes layers: Residual<Block, Shortcut = Identity, Act = Identity>");
    static_assert(
        std::is_same_v<Act, Identity> ||
            (!detail::needs_of<Act>().x && detail::in_place_of<Act>().forward && std::is_same_v<typename Act::template State<Reference<float>>, Nothing>),
        "dla: the activation of a Residual must work in place from its output (ReLU, Sigmoid, Tanh); put others behind it: Sequential<Residual<Block>, GELU>");

    Block block;
    Shortcut shortcut;
    [[no_unique_address]] Act activation;

    static constexpr Needs block_needs = detail::needs_of<Block>(), shortcut_needs = detail::needs_of<Shortcut>();
    static constexpr bool branches = true, rectifies = detail::rectifies<Act>();
    static constexpr bool activates = !std::is_same_v<Act, Identity>;
    static constexpr Needs needs{.x = block_needs.x || shortcut_needs.x, .y = detail::needs_of<Act>().y};

    constexpr Residual() = default;
    constexpr explicit Residual(const Block& b, const Shortcut& s = {}, const Act& a = {}) : block(b), shortcut(s), activation(a) {}

    template <class P>
    struct State {
        static_assert(LayerOn<Block, P> && LayerOn<Shortcut, P>, "dla: a layer of this Residual cannot run on this policy; the notes say what it lacks");
        typename Block::template State<P> block;
        typename Shortcut::template State<P> shortcut;
        Shape in, out;
        int block_id = -1, shortcut_id = -1;
        bool identity = false;  // the shortcut does nothing
    };
    template <class P>
    struct Tape {
        typename Block::template Tape<P> block;
        typename Shortcut::template Tape<P> shortcut;
        Planned<P> block_out;     // only when the block reads its output in backward
        Planned<P> shortcut_out;  // only when the shortcut is not the identity
        Planned<P> gradient;      // of the sum, only with an activation
        Planned<P> shortcut_dx;
    };

    constexpr Text name() const { return "Residual"; }
    Text settings() const { return activates ? detail::Settings().add("activation", activation.name()).text : Text(); }

    constexpr ShapeResult out_shape(Shape in) const {
        const ShapeResult a = block.out_shape(in);
        if (!a.ok()) return detail::child_refusal("block", block.name(), in, a);
        const ShapeResult b = shortcut.out_shape(in);
        if (!b.ok()) return detail::child_refusal("shortcut", shortcut.name(), in, b);
        if (a.shape.is_flattened_image() != b.shape.is_flattened_image() && a.shape.rank == 1 && b.shape.rank == 1)
            return refuse("features of a flattened image cannot be added to features of another order; put a Linear between Flatten and the Residual");
        if (!compatible(a.shape, b.shape))
            return refuse(
                "its block gives ", to_text(a.shape), " and its shortcut ", to_text(b.shape), ", which cannot be added; ",
                detail::is_identity(shortcut) ? "keep the shape in the block or give the Residual a projection as shortcut" : "make both give the same shape");
        if (a.shape.rank == 0) return b.shape;
        Shape sum = a.shape;
        if (b.shape.rank != 0)
            for (int i = 0; i < sum.rank; ++i) sum.d[i] = known(a.shape.d[i], b.shape.d[i]);
        return sum;
    }

    template <class P, class Builder>
    State<P> build(Builder& b, const Shape& in) const {
        State<P> state;
        state.in = in;
        {
            const auto scope = b.scope("block");
            state.block = detail::build_child<P>(block, b, in, state.block_id, state.out);
        }
        state.identity = detail::is_identity(shortcut);
        if (!state.identity) {
            const auto scope = b.scope("shortcut");
            Shape out;
            state.shortcut = detail::build_child<P>(shortcut, b, in, state.shortcut_id, out);
        }
        return state;
    }

    template <class Plan, class P>
    void rehearse_forward(Plan& plan, const State<P>& state, const Shape& in, index_t batch, Tape<P>& tape) const {
        if (block_needs.y) plan.allocate(tape.block_out, batch * state.out.size());
        detail::rehearse_forward<Block, Plan, P>(block, plan, state.block, in, batch, tape.block);
        if (state.identity) return;
        plan.allocate(tape.shortcut_out, batch * state.out.size());
        detail::rehearse_forward<Shortcut, Plan, P>(shortcut, plan, state.shortcut, in, batch, tape.shortcut);
        if (!shortcut_needs.y) plan.release(tape.shortcut_out);
    }
    template <class Plan, class P>
    void rehearse_backward(Plan& plan, const State<P>& state, const Shape& in, index_t batch, Tape<P>& tape, bool want_dx) const {
        if (activates) plan.allocate(tape.gradient, batch * state.out.size());
        detail::rehearse_backward<Block, Plan, P>(block, plan, state.block, in, batch, tape.block, want_dx);
        if (block_needs.y) plan.release(tape.block_out);
        if (!state.identity) {
            if (want_dx) plan.allocate(tape.shortcut_dx, batch * in.size());
            detail::rehearse_backward<Shortcut, Plan, P>(shortcut, plan, state.shortcut, in, batch, tape.shortcut, want_dx);
            if (want_dx) plan.release(tape.shortcut_dx);
            if (shortcut_needs.y) plan.release(tape.shortcut_out);
        }
        if (activates) plan.release(tape.gradient);
    }
    template <class Plan, class P>
    void rehearse_infer(Plan& plan, const State<P>& state, const Shape& in, index_t batch) const {
        detail::rehearse_infer<Block, Plan, P>(block, plan, state.block, in, batch);
        if (state.identity) return;
        const index_t room = batch * padded_count<typename P::scalar>(state.out.size());
        plan.push(room);
        detail::rehearse_infer<Shortcut, Plan, P>(shortcut, plan, state.shortcut, in, batch);
        plan.pop(room);
    }

    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        block.infer(c, state.block, x, y);
        if (state.identity) return add_activated(c, y, x, y);
        const index_t room = x.batch * padded_count<typename P::scalar>(state.out.size());
        const View<P> other(c.stack.push(room), x.batch, state.out);
        shortcut.infer(c, state.shortcut, x, other);
        add_activated<P>(c, y, other, y);
        c.stack.pop(room);
    }
    template <class P>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y, Tape<P>& tape) const {
        const View<P> inner(block_needs.y ? tape.block_out.data : y.data, x.batch, state.out);
        block.forward(c, state.block, x, inner, tape.block);
        if (c.observer) c.observer->after_forward(state.block_id, inner);
        if (state.identity) return add_activated<P>(c, inner, x, y);
        const View<P> other(tape.shortcut_out.data, x.batch, state.out);
        shortcut.forward(c, state.shortcut, x, other, tape.shortcut);
        if (c.observer) c.observer->after_forward(state.shortcut_id, other);
        add_activated<P>(c, inner, other, y);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> dx, Tape<P>& tape) const {
        ConstView<P> gradient = dy;
        if constexpr (activates) {
            const View<P> own(tape.gradient.data, dy.batch, state.out);
            Nothing none;
            activation.backward(c, none, ConstView<P>{}, y, dy, own, none);
            gradient = own;
        }
        const ConstView<P> inner(block_needs.y ? ConstView<P>(tape.block_out.data, x.batch, state.out) : y);
        block.backward(c, state.block, x, inner, gradient, dx, tape.block);
        if (c.observer) c.observer->after_backward(state.block_id, dx);
        if (state.identity) {
            if (dx) add(c.policy, dx.size(), dx.data, gradient.data, dx.data);
            return;
        }
        const View<P> other_dx(dx ? tape.shortcut_dx.data : kernel::Ptr<P>{}, x.batch, state.in);
        shortcut.backward(c, state.shortcut, x, ConstView<P>(tape.shortcut_out.data, x.batch, state.out), gradient, other_dx, tape.shortcut);
        if (c.observer) c.observer->after_backward(state.shortcut_id, other_dx);
        if (dx) add(c.policy, dx.size(), dx.data, other_dx.data, dx.data);
    }

private:
    /// y = Act(a + b); y may be a.
    template <class P>
    void add_activated(Context<P>& c, const ConstView<P>& a, const ConstView<P>& b, const View<P>& y) const {
        if constexpr (std::is_same_v<Act, ReLU>) {
            add_relu(c.policy, y.size(), a.data, b.data, y.data);
        } else {
            add(c.policy, y.size(), a.data, b.data, y.data);
            Nothing none;
            if constexpr (activates) activation.forward(c, none, y, y, none);
        }
    }
};

}  // namespace dla
