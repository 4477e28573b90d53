// SPDX-License-Identifier: MIT
// Branches that take the same input, and how their outputs become one.
#pragma once

#include <dla/compose/fork_backward.hpp>
#include <dla/core/objects.hpp>
#include <dla/core/pack.hpp>

namespace dla {

/// The branches' outputs added up; all have the same shape.
struct Add {
    static constexpr Merge merge = Merge::add;
    static constexpr const char* text = "add";
    static constexpr const char* advice = "make all branches give the same shape, or join them with Concat";
};
/// The branches' outputs next to each other along channels, PyTorch's torch.cat(.., dim=1); otherwise they have the same shape.
struct Concat {
    static constexpr Merge merge = Merge::concat;
    static constexpr const char* text = "concat";
    static constexpr const char* advice = "they may differ in channels, the first axis, alone";
};
/// The outputs of two branches multiplied; the second has the shape of the first, or, where that are images [C, H, W], one value for each channel: [C] or
/// [C, 1, 1] (the gate of a squeeze-and-excitation block).
struct Multiply {
    static constexpr Merge merge = Merge::multiply;
    static constexpr const char* text = "multiply";
    static constexpr const char* advice = "give the second the shape of the first, or one value for each channel of its images";
};

/// y = Join(branch_0(x), branch_1(x), ...) with Join one of Add, Concat and Multiply. The branches are layers or networks; Identity passes x on. Children are
/// numbered 0, 1, ... in paths, as those of a torch.nn.ModuleList. An Inception block, a dense block and a step of a U-Net:
/// `Parallel<Concat, Conv2d<64, 32, 1>, Sequential<Conv2d<64, 16, 1>, ReLU, Conv2d<16, 32, 3>>>`, `Parallel<Concat, Identity, Block>`,
/// `Parallel<Concat, Identity, Sequential<MaxPool2d<2>, Inner, Upsample2d<2>>>`.
template <class Join, class... Branches>
struct Parallel {
    static_assert(
        requires {
            { Join::merge } -> std::convertible_to<Merge>;
        }, "dla: Parallel takes how to join first: Parallel<Concat, Branch, Branch>, or Add, or Multiply");
    static_assert(sizeof...(Branches) >= 2, "dla: Parallel needs at least two branches; Identity is the one that passes its input on");
    static_assert((Layer<Branches> && ...), "dla: every branch of a Parallel must be a layer; see dla::Layer in <dla/layers/concept.hpp>");
    static_assert(Join::merge != Merge::multiply || sizeof...(Branches) == 2,
                  "dla: Parallel<Multiply, ...> takes two branches, of which the second may be a gate");

    static constexpr std::size_t N = sizeof...(Branches);
    static constexpr bool is_container = true;
    static constexpr Merge merge = Join::merge;

    Pack<Branches...> branches;

    /// A product reads what passes by a branch that does nothing.
    template <class P>
    static constexpr Needs needs_on{
        .x = ((detail::needs_of<Branches, P>().x || (merge == Merge::multiply && requires(const Branches& b) { b.is_identity(); })) || ...), .y = false};
    template <class P>
    static constexpr bool has_parameters_on = (detail::has_parameters<Branches, P>() || ...);
    static constexpr bool mixes_samples = (detail::mixes_samples<Branches>() || ...);

    constexpr Parallel() = default;
    constexpr explicit Parallel(const Branches&... bs) : Parallel(std::index_sequence_for<Branches...>{}, bs...) {}

    template <class P>
    struct State {
        static_assert((detail::LayerCheck<Branches, P>::passed && ...));
        static_assert((LayerOn<Branches, P> && ...), "dla: a branch of this Parallel cannot run on this policy; the notes say what it lacks");
        Objects<LayerState<Branches, P>...> children;
        Shape in, out;
        std::array<detail::BranchState, N> branches;
    };
    template <class P>
    struct Tape {
        Objects<LayerTape<Branches, P>...> children;
        std::array<detail::BranchTape<P>, N> branches;
        detail::MergeTape<P> merge;
    };

    [[gnu::cold]] constexpr Text name() const { return "Parallel"; }
    template <class V>
    constexpr void attributes(V& v) const {
        v("join", Text(Join::text));
    }

    [[gnu::cold]] constexpr ShapeResult out_shape(Shape in) const {
        std::array<Shape, N> shapes;
        std::array<bool, N> identity{};
        ShapeResult refused{Shape{}};
        each_branch([&](std::size_t i, const auto& branch) {
            if (!refused.ok()) return;
            const ShapeResult s = detail::checked_out_shape(branch, in);
            if (!s.ok()) refused = detail::child_refusal(text(i), branch.name(), in, s);
            shapes[i] = s.shape;
            identity[i] = detail::is_identity(branch);
        });
        if (!refused.ok()) return refused;
        return detail::merged_shape(merge, shapes, identity, {[](std::size_t i) { return text("branch ", i); }, "Parallel", Join::advice});
    }

    template <class P, class Builder>
    [[gnu::cold]] State<P> build(Builder& b, const Shape& in) const {
        State<P> state;
        state.in = in;
        state.out = out_shape(in).shape;
        each_branch([&]<class L>(std::size_t i, const L& branch) {
            detail::BranchState& s = state.branches[i];
            const auto scope = b.scope(text(i));
            int id = -1;
            *reinterpret_cast<LayerState<L, P>*>(state.children.data() + state.children.offsets[i]) = detail::build_child<P>(branch, b, in, id, s.out);
            s.rows = {{id}, {id}};
            s.identity = detail::is_identity(branch);
            s.reorders = merge == Merge::add && s.identity && in.is_flattened_image() && !state.out.is_flattened_image();
            if (s.reorders) s.out = state.out;
        });
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
    template <std::size_t... Is>
    constexpr Parallel(std::index_sequence<Is...>, const Branches&... bs) {
        ((get<Is>(branches) = bs), ...);
    }

    /// f(number, branch) for each.
    template <class F>
    constexpr void each_branch(const F& f) const {
        [&]<std::size_t... Is>(std::index_sequence<Is...>) { (f(Is, get<Is>(branches)), ...); }(std::index_sequence_for<Branches...>{});
    }

    /// The branches as a fork; points into itself.
    template <class P>
    struct AtWork {
        std::array<detail::Unit<P>, N> units;
        detail::Fork<P> fork;

        AtWork(const Parallel& p, const State<P>& s, Tape<P>* tape)
            : units{units_of(p, s, tape, std::index_sequence_for<Branches...>{})},
              fork{merge,
                   s.in,
                   s.out,
                   detail::links_of<P, Branches...>,
                   units,
                   s.branches,
                   tape ? std::span(tape->branches) : std::span<detail::BranchTape<P>>(),
                   tape ? &tape->merge : nullptr,
                   {}} {}
        AtWork(const AtWork&) = delete;
        AtWork& operator=(const AtWork&) = delete;

    private:
        template <std::size_t... Is>
        static std::array<detail::Unit<P>, N> units_of(const Parallel& p, const State<P>& s, Tape<P>* tape, std::index_sequence<Is...>) {
            return {detail::unit_of<Branches, P>(get<Is>(p.branches),
                                                 *reinterpret_cast<const LayerState<Branches, P>*>(s.children.data() + s.children.offsets[Is]),
                                                 tape ? tape->children.data() + tape->children.offsets[Is] : nullptr, s.branches[Is].rows)...};
        }
    };
};

}  // namespace dla
