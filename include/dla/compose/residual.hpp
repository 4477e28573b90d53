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
        std::is_same_v<Act, Identity> || (!detail::needs_of<Act, Reference<float>>().x && detail::in_place_of<Act>().forward &&
                                          std::is_empty_v<LayerState<Act, Reference<float>>> && std::is_empty_v<LayerTape<Act, Reference<float>>>),
        "dla: the activation of a Residual must work in place from its output (ReLU, Sigmoid, Tanh); put others behind it: Sequential<Residual<Block>, GELU>");

    Block block;
    Shortcut shortcut;
    [[no_unique_address]] Act activation;

    static constexpr bool is_container = true;
    static constexpr bool branches = true, rectifies = detail::rectifies<Act>();
    static constexpr bool activates = !std::is_same_v<Act, Identity>;
    static constexpr bool masks = std::is_same_v<Act, ReLU>;  ///< a bit for each value is kept, instead of y
    template <class P>
    static constexpr Needs needs_on{.x = detail::needs_of<Block, P>().x || detail::needs_of<Shortcut, P>().x, .y = !masks && detail::needs_of<Act, P>().y};
    template <class P>
    static constexpr bool has_parameters_on = detail::has_parameters<Block, P>() || detail::has_parameters<Shortcut, P>();

    constexpr Residual() = default;
    constexpr explicit Residual(const Block& b, const Shortcut& s = {}, const Act& a = {}) : block(b), shortcut(s), activation(a) {}

    template <class P>
    struct State {
        static_assert(detail::LayerCheck<Block, P>::passed && detail::LayerCheck<Shortcut, P>::passed);
        static_assert(LayerOn<Block, P> && LayerOn<Shortcut, P>, "dla: a layer of this Residual cannot run on this policy; the notes say what it lacks");
        LayerState<Block, P> block;
        LayerState<Shortcut, P> shortcut;
        Shape in, out;
        LayerRows block_rows, shortcut_rows;
        bool identity = false;  // the shortcut does nothing
        bool reorders = false;  // but put the features of a flattened image into the block's order
    };
    template <class P>
    struct Tape {
        LayerTape<Block, P> block;
        LayerTape<Shortcut, P> shortcut;
        Planned<P> block_out;     // only when the block reads its output in backward
        Planned<P> shortcut_out;  // only when the shortcut is not the identity
        Planned<P> gradient;      // of the sum, only with an activation, and where it cannot lie on top of dy
        Planned<P> shortcut_dx;
        Planned<P, std::uint32_t> mask;  // of the ReLU
    };

    [[gnu::cold]] constexpr Text name() const { return "Residual"; }
    template <class V>
    constexpr void attributes(V& v) const {
        if (activates) v("activation", activation.name());
    }

    [[gnu::cold]] constexpr ShapeResult out_shape(Shape in) const {
        const ShapeResult a = detail::checked_out_shape(block, in);
        if (!a.ok()) return detail::child_refusal("block", block.name(), in, a);
        ShapeResult b = detail::checked_out_shape(shortcut, in);
        if (!b.ok()) return detail::child_refusal("shortcut", shortcut.name(), in, b);
        if (reorders(a.shape, b.shape)) b.shape.d[1] = b.shape.d[2] = 0;
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
    [[gnu::cold]] State<P> build(Builder& b, const Shape& in) const {
        State<P> state;
        state.in = in;
        {
            const auto scope = b.scope("block");
            int id = -1;
            state.block = detail::build_child<P>(block, b, in, id, state.out);
            state.block_rows = {{id}, {id}};
        }
        state.identity = detail::is_identity(shortcut);
        state.reorders = reorders(state.out, in);
        if (!state.identity) {
            const auto scope = b.scope("shortcut");
            int id = -1;
            Shape out;
            state.shortcut = detail::build_child<P>(shortcut, b, in, id, out);
            state.shortcut_rows = {{id}, {id}};
        }
        return state;
    }

    template <class V, class S, class P = typename V::Policy>
    void walk_forward(V& v, S& state, const ConstView<P>& x, const View<P>& y, Tape<P>& tape, Gradients wants) const {
        constexpr bool keeps_block = detail::needs_of<Block, P>().y, keeps_shortcut = detail::needs_of<Shortcut, P>().y;
        const Gradients of_block = child_wants<Block, P>(wants), of_shortcut = child_wants<Shortcut, P>(wants);
        const index_t count = x.batch * state.out.size();
        const bool keeps_mask = masks && wants != Gradients::none;
        if (keeps_mask) v.claim(tape.mask, relu_mask_words(count));
        const auto mask = [&] { return keeps_mask ? tape.mask.data : kernel::PtrOf<P, std::uint32_t>{}; };
        if (keeps_block) v.claim(tape.block_out, count);
        const View<P> inner(keeps_block ? tape.block_out.data : y.data, x.batch, state.out);
        v.forward(block, state.block, x, inner, tape.block, of_block, state.block_rows);
        if (state.identity && !state.reorders) {
            v.compute([&](Context<P>& c) { add_activated<P>(c, inner, x, y, mask()); });
        } else {
            v.claim(tape.shortcut_out, count);
            const View<P> other(tape.shortcut_out.data, x.batch, state.out);
            if (state.reorders)
                v.compute([&](Context<P>& c) { to_block_order<P>(c, state.in, x, other); });
            else
                v.forward(shortcut, state.shortcut, x, other, tape.shortcut, of_shortcut, state.shortcut_rows);
            v.compute([&](Context<P>& c) { add_activated<P>(c, inner, other, y, mask()); });
            if (!keeps_shortcut || of_shortcut == Gradients::none || state.reorders) v.release(tape.shortcut_out);
        }
        if (keeps_block && of_block == Gradients::none) v.release(tape.block_out);
    }
    template <class V, class S, class P = typename V::Policy>
    void walk_backward(V& v, S& state, const ConstView<P>& x, const ConstView<P>& y, const OutputGradient<P>& dy, const View<P>& dx, Tape<P>& tape,
                       Gradients wants) const {
        constexpr bool keeps_block = detail::needs_of<Block, P>().y, keeps_shortcut = detail::needs_of<Shortcut, P>().y;
        const Gradients of_block = child_wants<Block, P>(wants), of_shortcut = child_wants<Shortcut, P>(wants);
        const bool want_dx = wants == Gradients::input, adds_gradient = state.identity && !state.reorders;
        const bool over = dy.spent() && (masks || detail::in_place_of<Act>().backward);  // the gradient of the sum lies on top of dy
        OutputGradient<P> gradient = dy;
        if constexpr (activates) {
            if (!over) v.claim(tape.gradient, x.batch * state.out.size());
            const View<P> own(over ? dy.room().data : tape.gradient.data, x.batch, state.out);
            v.compute([&](Context<P>& c) { undo_activation<P>(c, y, dy, own, tape); }, true);
            if (masks) v.release(tape.mask);
            gradient = OutputGradient<P>::spent_after(own);
        }
        // The shortcut is first, for the block, which has more to keep, may then write over the gradient.
        const OutputGradient<P> shown{ConstView<P>(gradient)};
        View<P> other_dx;
        if (!adds_gradient) {
            if (want_dx) v.claim(tape.shortcut_dx, x.batch * state.in.size());
            other_dx = View<P>(want_dx ? tape.shortcut_dx.data : kernel::Ptr<P>{}, x.batch, state.in);
            if (state.reorders) {
                if (want_dx) v.compute([&](Context<P>& c) { to_image_order<P>(c, state.in, shown, other_dx); }, true);
            } else if (of_shortcut != Gradients::none) {
                const ConstView<P> other(tape.shortcut_out.data, x.batch, state.out);
                v.backward(shortcut, state.shortcut, x, other, shown, other_dx, tape.shortcut, of_shortcut, state.shortcut_rows);
                if (keeps_shortcut) v.release(tape.shortcut_out);
            }
        }
        if (of_block != Gradients::none) {
            const ConstView<P> inner(keeps_block ? ConstView<P>(tape.block_out.data, x.batch, state.out) : y);
            v.backward(block, state.block, x, inner, adds_gradient ? shown : gradient, dx, tape.block, of_block, state.block_rows);
            if (keeps_block) v.release(tape.block_out);
        }
        if (want_dx) {
            const kernel::ConstPtr<P> other = adds_gradient ? shown.data : kernel::ConstPtr<P>(other_dx.data);
            v.compute([&](Context<P>& c) { add(c.policy, dx.size(), dx.data, other, dx.data); }, true);
            if (!adds_gradient) v.release(tape.shortcut_dx);
        }
        if (activates && !over) v.release(tape.gradient);
    }
    template <class V, class S, class P = typename V::Policy>
    void walk_infer(V& v, S& state, const ConstView<P>& x, const View<P>& y) const {
        v.infer(block, state.block, x, y);
        if (state.identity && !state.reorders) return v.compute([&](Context<P>& c) { add_activated<P>(c, y, x, y, {}); });
        const index_t room = x.batch * padded_count<typename P::scalar>(state.out.size());
        const View<P> other(v.push(room), x.batch, state.out);
        if (state.reorders)
            v.compute([&](Context<P>& c) { to_block_order<P>(c, state.in, x, other); });
        else
            v.infer(shortcut, state.shortcut, x, other);
        v.compute([&](Context<P>& c) { add_activated<P>(c, y, other, y, {}); });
        v.pop(room);
    }

    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        detail::run_infer<P>(*this, c, state, x, y);
    }
    template <class P>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y, Tape<P>& tape) const {
        detail::run_forward<P>(*this, c, state, x, y, tape);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> dx, Tape<P>& tape) const {
        detail::run_backward<P>(*this, c, state, x, y, dy, dx, tape);
    }

private:
    /// The identity around a block that takes the features of a flattened image (height, width, channels) and gives features in an order of their own, which
    /// for PyTorch is that of (channels, height, width).
    constexpr bool reorders(const Shape& block_out, const Shape& shortcut_out) const {
        return detail::is_identity(shortcut) && block_out.rank == 1 && block_out.is_known() && !block_out.is_flattened_image() &&
               shortcut_out.is_flattened_image() && block_out.size() == shortcut_out.size();
    }
    template <class P>
    static void to_block_order(Context<P>& c, const Shape& in, const ConstView<P>& x, const View<P>& y) {
        const index_t pixels = in.d[1] * in.d[2];
        transpose(c.policy, x.batch, pixels, in.size() / pixels, x.data, y.data);
    }
    template <class P>
    static void to_image_order(Context<P>& c, const Shape& in, const ConstView<P>& dy, const View<P>& dx) {
        const index_t pixels = in.d[1] * in.d[2];
        transpose(c.policy, dy.batch, in.size() / pixels, pixels, dy.data, dx.data);
    }

    /// What a child's backward is to give.
    template <class Child, class P>
    static constexpr Gradients child_wants(Gradients wants) {
        return wants == Gradients::parameters && !detail::has_parameters<Child, P>() ? Gradients::none : wants;
    }

    /// y = Act(a + b); y may be a.
    template <class P>
    void add_activated(Context<P>& c, const ConstView<P>& a, const ConstView<P>& b, const View<P>& y, kernel::PtrOf<P, std::uint32_t> mask) const {
        if constexpr (masks) {
            add_relu(c.policy, y.size(), a.data, b.data, y.data, mask);
        } else {
            add(c.policy, y.size(), a.data, b.data, y.data);
            if constexpr (activates) infer_layer<P>(activation, c, LayerState<Act, P>{}, y, y);
        }
    }
    template <class P>
    void undo_activation(Context<P>& c, const ConstView<P>& y, const ConstView<P>& dy, const View<P>& dx, const Tape<P>& tape) const {
        if constexpr (masks) {
            relu_mask_backward(c.policy, dy.size(), tape.mask.data, dy.data, dx.data);
        } else {
            LayerState<Act, P> no_state;
            LayerTape<Act, P> no_tape;
            backward_layer<P>(activation, c, no_state, ConstView<P>{}, y, dy, dx, no_tape);
        }
    }
};

}  // namespace dla
