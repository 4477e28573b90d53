// SPDX-License-Identifier: MIT
// A number of copies of one block, set at run time.
#pragma once

#include <dla/compose/sequential.hpp>
#include <dla/layers/reshape.hpp>

#include <initializer_list>
#include <vector>

namespace dla {

namespace detail {

/// What Repeat<Ls...> repeats: the layer itself, or the group of them.
template <class... Ls>
struct RepeatedBlock {
    using type = Sequential<Ls...>;
};
template <class L>
struct RepeatedBlock<L> {
    using type = L;
};

template <class T>
using Vector = std::vector<T>;

}  // namespace detail

/// Copies of one TYPE of block, one after another; sizes may differ from copy to copy, 0 copies are the identity. `Repeat<A, B>` repeats A then B.
/// A Repeat is named and computes like what it stands for: inside a Sequential its layers are numbered as if they were written there one by one,
/// elsewhere one copy carries no number of its own and several count 0, 1, 2, ...
template <class... Ls>
struct Repeat {
    static constexpr bool is_group = sizeof...(Ls) > 1;
    using Block = typename detail::RepeatedBlock<Ls...>::type;

    std::vector<Block> blocks;

    static constexpr bool is_container = true;
    static constexpr int most_copies = 1'000'000;
    template <class P>
    static constexpr Needs needs_on = detail::needs_of<Block, P>();
    template <class P>
    static constexpr bool has_parameters_on = detail::has_parameters<Block, P>();
    static constexpr bool mixes_samples = detail::mixes_samples<Block>();

    constexpr Repeat() = default;
    constexpr Repeat(std::initializer_list<Block> copies) : blocks(copies) {}
    /// `copies` equal blocks. Throws Error(model) for a negative number, and for more than anybody can mean.
    constexpr explicit Repeat(int copies, const Block& block = {}) {
        if (copies < 0 || copies > most_copies) fail(ErrorCode::model, "Repeat", text("cannot make ", copies, " copies; expected 0 to ", most_copies).view());
        blocks.assign(static_cast<std::size_t>(copies), block);
    }

    template <class P>
    struct State {
        static_assert(detail::LayerCheck<Block, P>::passed);
        static_assert(LayerOn<Block, P>, "dla: the layer of this Repeat cannot run on this policy; the notes say what it lacks");
        std::vector<LayerState<Block, P>> children;
        std::vector<Shape> shapes;
        std::vector<LayerRows> rows;
        BasicSchedule<detail::Vector> schedule;  // of as many copies as there are; none of 0
    };
    template <class P>
    struct Tape {
        std::vector<LayerTape<Block, P>> children;
        std::vector<Planned<P>> buffers;
    };

    [[gnu::cold]] constexpr Text name() const { return text("Repeat x", blocks.size()); }
    constexpr bool is_identity() const { return blocks.empty(); }

    [[gnu::cold]] constexpr ShapeResult out_shape(Shape in) const {
        int number = 0;
        if (blocks.size() == 1 && !is_group) {
            ShapeResult result = blocks[0].out_shape(in);
            return result.ok() ? result : result.inside(refusal(blocks[0].name(), in, result));
        }
        return out_shape_numbered(in, number);
    }
    /// As out_shape inside a Sequential: the first layer counts as `number`.
    [[gnu::cold]] constexpr ShapeResult out_shape_numbered(const Shape& in, int& number) const {
        ShapeResult s(in);
        for (const Block& block : blocks) {
            if constexpr (is_group)
                s = block.out_shape_from(s.shape, number);
            else
                s = detail::child_out_shape(block, s.shape, number);
            if (!s.ok()) return s;
        }
        return s;
    }
    constexpr index_t macs(const Shape&) const { return 0; }

    template <class P, class Builder>
    [[gnu::cold]] State<P> build(Builder& b, const Shape& in) const {
        int number = 0;
        if (blocks.size() != 1 || is_group) return build_numbered<P>(b, in, number);
        State<P> state;
        state.shapes.assign(2, in);
        int id = -1;
        state.children.push_back(detail::build_child<P>(blocks[0], b, in, id, state.shapes[1]));
        state.rows.push_back({{id}, {id}});
        schedule(state);
        return state;
    }
    template <class P, class Builder>
    [[gnu::cold]] State<P> build_numbered(Builder& b, const Shape& in, int& number) const {
        State<P> state;
        state.shapes.push_back(in);
        for (const Block& block : blocks) {
            const Shape s = state.shapes.back();
            Shape out;
            if constexpr (is_group) {
                state.children.push_back(block.template build_from<P>(b, s, number));
                out = block.out_shape(s).shape;
                state.rows.emplace_back();
            } else {
                const auto scope = b.scope(text(number++));
                int id = -1;
                state.children.push_back(detail::build_child<P>(block, b, s, id, out));
                state.rows.push_back({{id}, {id}});
            }
            state.shapes.push_back(out);
        }
        schedule(state);
        return state;
    }

    template <class V, class P>
    void walk_forward(V& v, const State<P>& state, const ConstView<P>& x, const View<P>& y, Tape<P>& tape, Gradients wants) const {
        if (blocks.empty()) return v.compute([&](Context<P>& c) { detail::pass_on<P>(c, x, y); });
        if constexpr (V::plans) {
            tape.children.resize(blocks.size());
            tape.buffers.resize(static_cast<std::size_t>(state.schedule.buffers));
        }
        detail::walk_chain_forward(v, Copies<P>(blocks, state, &tape), x, y, wants);
    }
    template <class V, class P>
    void walk_backward(V& v, const State<P>& state, const ConstView<P>& x, const ConstView<P>& y, const OutputGradient<P>& dy, const View<P>& dx, Tape<P>& tape,
                       Gradients wants) const {
        if (blocks.empty()) return v.compute([&](Context<P>& c) { detail::pass_on<P>(c, dy, dx); }, true);
        detail::walk_chain_backward(v, Copies<P>(blocks, state, &tape), x, y, dy, dx, wants);
    }
    template <class V, class P>
    void walk_infer(V& v, const State<P>& state, const ConstView<P>& x, const View<P>& y) const {
        if (blocks.empty()) return v.compute([&](Context<P>& c) { detail::pass_on<P>(c, x, y); });
        detail::walk_chain_infer(v, Copies<P>(blocks, state, nullptr), x, y);
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
    /// The chain of all copies.
    template <class P>
    struct Copies final : detail::Chain<P> {
        const std::vector<Block>& blocks;
        State<P>& state;
        Tape<P>* tape;

        // Only forward and backward write to a state, and theirs is not const.
        Copies(const std::vector<Block>& copies, const State<P>& s, Tape<P>* t)
            : detail::Chain<P>(detail::ScheduleView(s.schedule), s.shapes, t ? std::span<Planned<P>>(t->buffers) : std::span<Planned<P>>()),
              blocks(copies),
              state(const_cast<State<P>&>(s)),
              tape(t) {}
        detail::Unit<P> unit(std::size_t u) const override {
            static constexpr std::ptrdiff_t itself = 0;
            return {&detail::unit_kind<Block, P>,
                    reinterpret_cast<const std::byte*>(&blocks[u]),
                    &itself,
                    &state.children[u],
                    tape ? &tape->children[u] : nullptr,
                    &state.rows[u]};
        }
    };

    template <class P>
    void schedule(State<P>& state) const {
        const std::vector<Link> links(blocks.size(), detail::link_of<Block, P>());
        if (!links.empty()) make_schedule(std::span<const Link>(links), state.schedule);
    }
};

}  // namespace dla
