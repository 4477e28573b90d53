// SPDX-License-Identifier: MIT
// What layers of branches have in common: a Residual and a Parallel are two spellings of a fork.
#pragma once

#include <dla/compose/fork_backward.hpp>
#include <dla/core/objects.hpp>

namespace dla::detail {

/// The base of `Self`, which says how branches are joined (`merge`), what stands behind (`sum_activation`), how errors and paths call them (`branch_words`,
/// `branch_key`), gives the branches (`branch<I>()`), which of them may pass the input on (`may_pass(i)`), and whether one that does has a row of its own
/// (`rows_of_identities`).
template <class Self, class... Branches>
struct ForkLayer {
    static constexpr std::size_t N = sizeof...(Branches);
    static constexpr bool is_container = true;
    template <class P>
    static constexpr bool has_parameters_on = (has_parameters<Branches, P>() || ...);
    static constexpr bool mixes_samples = (dla::detail::mixes_samples<Branches>() || ...);

    template <class P>
    struct State {
        static_assert((LayerCheck<Branches, P>::passed && ...));
        static_assert((LayerOn<Branches, P> && ...), "dla: a branch of this layer (Residual, Parallel) cannot run on this policy; the notes say what it lacks");
        Objects<LayerState<Branches, P>...> children;
        Shape in, out;
        std::array<BranchState, N> branches;
    };
    template <class P>
    struct Tape {
        Objects<LayerTape<Branches, P>...> children;
        std::array<BranchTape<P>, N> branches;
        MergeTape<P> merge;
    };

    [[gnu::cold]] constexpr ShapeResult out_shape(Shape in) const {
        std::array<Shape, N> shapes;
        std::array<bool, N> identity{};
        ShapeResult refused{Shape{}};
        each_branch([&](std::size_t i, const auto& branch) {
            if (!refused.ok()) return;
            const ShapeResult s = checked_out_shape(branch, in);
            if (!s.ok()) refused = child_refusal(Self::branch_key(i), branch.name(), in, s);
            shapes[i] = s.shape;
            identity[i] = Self::may_pass(i) && is_identity(branch);
        });
        if (!refused.ok()) return refused;
        return merged_shape(Self::merge, shapes, identity, self().branch_words());
    }

    template <class P, class Builder>
    [[gnu::cold]] State<P> build(Builder& b, const Shape& in) const {
        State<P> state;
        state.in = in;
        state.out = out_shape(in).shape;
        each_branch([&]<class L>(std::size_t i, const L& branch) {
            BranchState& s = state.branches[i];
            s.identity = Self::may_pass(i) && is_identity(branch);
            s.reorders = Self::merge == Merge::add && s.identity && in.is_flattened_image() && !state.out.is_flattened_image();
            if (!s.identity || Self::rows_of_identities) {
                const auto scope = b.scope(Self::branch_key(i));
                int id = -1;
                *reinterpret_cast<LayerState<L, P>*>(state.children.data() + state.children.offsets[i]) = build_child<P>(branch, b, in, id, s.out);
                s.rows = {{id}, {id}};
            } else {
                s.out = state.out;
            }
            if (s.reorders) s.out = state.out;
        });
        return state;
    }

    template <class V, class P>
    void walk_forward(V& v, const State<P>& state, const ConstView<P>& x, const View<P>& y, Tape<P>& tape, Gradients wants) const {
        const AtWork<P> work(self(), state, &tape);
        walk_fork_forward(v, work.fork, x, y, wants);
    }
    template <class V, class P>
    void walk_backward(V& v, const State<P>& state, const ConstView<P>& x, const ConstView<P>& y, const OutputGradient<P>& dy, const View<P>& dx, Tape<P>& tape,
                       Gradients wants) const {
        const AtWork<P> work(self(), state, &tape);
        walk_fork_backward(v, work.fork, x, y, dy, dx, wants);
    }
    template <class V, class P>
    void walk_infer(V& v, const State<P>& state, const ConstView<P>& x, const View<P>& y) const {
        const AtWork<P> work(self(), state, nullptr);
        walk_fork_infer(v, work.fork, x, y);
    }

    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        run_infer<P>(self(), c, state, x, y);
    }
    template <class P>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y, Tape<P>& tape) const {
        run_forward<P>(self(), c, state, x, y, tape);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> dx, Tape<P>& tape) const {
        run_backward<P>(self(), c, state, x, y, dy, dx, tape);
    }

private:
    constexpr const Self& self() const { return static_cast<const Self&>(*this); }

    /// f(number, branch) for each.
    template <class F>
    constexpr void each_branch(const F& f) const {
        [&]<std::size_t... Is>(std::index_sequence<Is...>) { (f(Is, self().template branch<Is>()), ...); }(std::index_sequence_for<Branches...>{});
    }

    /// The branches as a fork; points into itself.
    template <class P>
    struct AtWork {
        std::array<Unit<P>, N> units;
        Fork<P> fork;

        AtWork(const Self& layer, const State<P>& s, Tape<P>* tape)
            : units{units_of(layer, s, tape, std::index_sequence_for<Branches...>{})},
              fork{Self::merge,
                   s.in,
                   s.out,
                   links_of<P, Branches...>,
                   units,
                   s.branches,
                   tape ? std::span(tape->branches) : std::span<BranchTape<P>>(),
                   tape ? &tape->merge : nullptr,
                   Self::template sum_activation<P>()} {}
        AtWork(const AtWork&) = delete;
        AtWork& operator=(const AtWork&) = delete;

    private:
        template <std::size_t... Is>
        static std::array<Unit<P>, N> units_of(const Self& layer, const State<P>& s, Tape<P>* tape, std::index_sequence<Is...>) {
            return {unit_of<Branches, P>(layer.template branch<Is>(),
                                         *reinterpret_cast<const LayerState<Branches, P>*>(s.children.data() + s.children.offsets[Is]),
                                         tape ? tape->children.data() + tape->children.offsets[Is] : nullptr, s.branches[Is].rows)...};
        }
    };
};

}  // namespace dla::detail
