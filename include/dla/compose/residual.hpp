// SPDX-License-Identifier: MIT
// A block and a way around it, added.
#pragma once

#include <dla/compose/fork_backward.hpp>
#include <dla/compose/repeat.hpp>
#include <dla/layers/activation.hpp>

namespace dla {

/// y = Act(Block(x) + Shortcut(x)) (He et al. 2016). Block and Shortcut must give the same shape. A projection "if the widths differ" is
/// `Residual<Block, Repeat<Linear<Dyn, Dyn>>>` with 0 or 1 copies. More than two branches, or others ways to join them: Parallel.
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
    static constexpr Merge merge = Merge::add;
    static constexpr bool rectifies = detail::rectifies<Act>();
    static constexpr bool activates = !std::is_same_v<Act, Identity>;
    static constexpr bool masks = std::is_same_v<Act, ReLU>;  ///< a bit for each value is kept, instead of y
    template <class P>
    static constexpr Needs needs_on{.x = detail::needs_of<Block, P>().x || detail::needs_of<Shortcut, P>().x, .y = !masks && detail::needs_of<Act, P>().y};
    template <class P>
    static constexpr bool has_parameters_on = detail::has_parameters<Block, P>() || detail::has_parameters<Shortcut, P>();
    static constexpr bool mixes_samples = detail::mixes_samples<Block>() || detail::mixes_samples<Shortcut>() || detail::mixes_samples<Act>();

    constexpr Residual() = default;
    constexpr explicit Residual(const Block& b, const Shortcut& s = {}, const Act& a = {}) : block(b), shortcut(s), activation(a) {}

    template <class P>
    struct State {
        static_assert(detail::LayerCheck<Block, P>::passed && detail::LayerCheck<Shortcut, P>::passed);
        static_assert(LayerOn<Block, P> && LayerOn<Shortcut, P>, "dla: a layer of this Residual cannot run on this policy; the notes say what it lacks");
        LayerState<Block, P> block;
        LayerState<Shortcut, P> shortcut;
        Shape in, out;
        std::array<detail::BranchState, 2> branches;
    };
    template <class P>
    struct Tape {
        LayerTape<Block, P> block;
        LayerTape<Shortcut, P> shortcut;
        std::array<detail::BranchTape<P>, 2> branches;
        detail::MergeTape<P> merge;
    };

    [[gnu::cold]] constexpr Text name() const { return "Residual"; }
    template <class V>
    constexpr void attributes(V& v) const {
        if (activates) v("activation", activation.name());
    }

    [[gnu::cold]] constexpr ShapeResult out_shape(Shape in) const {
        const ShapeResult a = detail::checked_out_shape(block, in);
        if (!a.ok()) return detail::child_refusal("block", block.name(), in, a);
        const ShapeResult b = detail::checked_out_shape(shortcut, in);
        if (!b.ok()) return detail::child_refusal("shortcut", shortcut.name(), in, b);
        const bool identity[] = {false, detail::is_identity(shortcut)};
        Shape shapes[] = {a.shape, b.shape};
        return detail::merged_shape(
            merge, shapes, identity,
            {[](std::size_t i) -> Text { return i == 0 ? "its block" : "its shortcut"; }, "Residual",
             identity[1] ? "keep the shape in the block or give the Residual a projection as shortcut" : "make both give the same shape"});
    }

    template <class P, class Builder>
    [[gnu::cold]] State<P> build(Builder& b, const Shape& in) const {
        State<P> state;
        state.in = in;
        state.out = out_shape(in).shape;
        auto& [first, second] = state.branches;
        {
            const auto scope = b.scope("block");
            int id = -1;
            state.block = detail::build_child<P>(block, b, in, id, first.out);
            first.rows = {{id}, {id}};
        }
        second.identity = detail::is_identity(shortcut);
        second.reorders = second.identity && in.is_flattened_image() && !state.out.is_flattened_image();
        second.out = state.out;
        if (!second.identity) {
            const auto scope = b.scope("shortcut");
            int id = -1;
            state.shortcut = detail::build_child<P>(shortcut, b, in, id, second.out);
            second.rows = {{id}, {id}};
        }
        return state;
    }

    template <class V, class P>
    void walk_forward(V& v, const State<P>& state, const ConstView<P>& x, const View<P>& y, Tape<P>& tape, Gradients wants) const {
        const AtWork<P> work(*this, state, &tape);
        detail::walk_fork_forward(v, work.fork, x, y, wants);
    }
    template <class V, class P>
    void walk_backward(V& v, const State<P>& state, const ConstView<P>& x, const ConstView<P>& y, const OutputGradient<P>& dy, const View<P>& dx, Tape<P>& tape,
                       Gradients wants) const {
        const AtWork<P> work(*this, state, &tape);
        detail::walk_fork_backward(v, work.fork, x, y, dy, dx, wants);
    }
    template <class V, class P>
    void walk_infer(V& v, const State<P>& state, const ConstView<P>& x, const View<P>& y) const {
        const AtWork<P> work(*this, state, nullptr);
        detail::walk_fork_infer(v, work.fork, x, y);
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
    template <class P>
    static constexpr detail::SumActivation<P> sum_activation() {
        if constexpr (activates)
            return {detail::SumActivationOf<Act, P>::apply, detail::SumActivationOf<Act, P>::undo, masks, detail::in_place_of<Act>().backward};
        else
            return {};
    }

    /// The two branches as a fork; points into itself.
    template <class P>
    struct AtWork {
        std::array<detail::Unit<P>, 2> units;
        detail::Fork<P> fork;

        AtWork(const Residual& r, const State<P>& s, Tape<P>* tape)
            : units{detail::unit_of<Block, P>(r.block, s.block, tape ? &tape->block : nullptr, s.branches[0].rows),
                    detail::unit_of<Shortcut, P>(r.shortcut, s.shortcut, tape ? &tape->shortcut : nullptr, s.branches[1].rows)},
              fork{merge,
                   s.in,
                   s.out,
                   detail::links_of<P, Block, Shortcut>,
                   units,
                   s.branches,
                   tape ? std::span(tape->branches) : std::span<detail::BranchTape<P>>(),
                   tape ? &tape->merge : nullptr,
                   sum_activation<P>()} {}
        AtWork(const AtWork&) = delete;
        AtWork& operator=(const AtWork&) = delete;
    };
};

}  // namespace dla
