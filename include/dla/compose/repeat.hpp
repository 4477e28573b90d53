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

}  // namespace detail

/// Copies of one TYPE of block, one after another; sizes may differ from copy to copy, 0 copies are the identity. `Repeat<A, B>` repeats A then B.
/// A Repeat is named and computes like what it stands for: inside a Sequential its layers are numbered as if they were written there one by one,
/// elsewhere one copy carries no number of its own and several count 0, 1, 2, ...
template <class... Ls>
struct Repeat {
    static constexpr bool is_group = sizeof...(Ls) > 1;
    using Block = typename detail::RepeatedBlock<Ls...>::type;

    std::vector<Block> blocks;

    static constexpr Needs needs = detail::needs_of<Block>();

    constexpr Repeat() = default;
    constexpr Repeat(std::initializer_list<Block> copies) : blocks(copies) {}
    /// `copies` equal blocks. Throws Error(model) for a negative number.
    constexpr explicit Repeat(int copies, const Block& block = {}) {
        if (copies < 0) fail(ErrorCode::model, "Repeat", text("cannot make ", copies, " copies; expected 0 or more").view());
        blocks.assign(static_cast<std::size_t>(copies), block);
    }

    template <class P>
    struct State {
        static_assert(LayerOn<Block, P>, "dla: the layer of this Repeat cannot run on this policy; the notes say what it lacks");
        std::vector<typename Block::template State<P>> children;
        std::vector<Shape> shapes;
        std::vector<int> ids;
    };
    template <class P>
    struct Tape {
        std::vector<typename Block::template Tape<P>> children;
        std::vector<Planned<P>> values, gradients;  // element i: input of copy i; element 0 is the caller's
    };

    constexpr Text name() const { return text("Repeat x", blocks.size()); }
    constexpr bool is_identity() const { return blocks.empty(); }

    constexpr ShapeResult out_shape(Shape in) const {
        int number = 0;
        if (blocks.size() == 1 && !is_group) {
            ShapeResult result = blocks[0].out_shape(in);
            return result.ok() ? result : ShapeResult(refusal(blocks[0].name(), in, result), true);
        }
        return out_shape_numbered(in, number);
    }
    /// As out_shape inside a Sequential: the first layer counts as `number`.
    constexpr ShapeResult out_shape_numbered(const Shape& in, int& number) const {
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
    State<P> build(Builder& b, const Shape& in) const {
        int number = 0;
        if (blocks.size() != 1 || is_group) return build_numbered<P>(b, in, number);
        State<P> state;
        state.shapes.assign(2, in);
        state.ids.assign(1, -1);
        state.children.push_back(detail::build_child<P>(blocks[0], b, in, state.ids[0], state.shapes[1]));
        return state;
    }
    template <class P, class Builder>
    State<P> build_numbered(Builder& b, const Shape& in, int& number) const {
        State<P> state;
        state.shapes.push_back(in);
        for (const Block& block : blocks) {
            const Shape s = state.shapes.back();
            int id = -1;
            Shape out;
            if constexpr (is_group) {
                state.children.push_back(block.template build_from<P>(b, s, number));
                out = block.out_shape(s).shape;
            } else {
                const auto scope = b.scope(text(number++));
                state.children.push_back(detail::build_child<P>(block, b, s, id, out));
            }
            state.ids.push_back(id);
            state.shapes.push_back(out);
        }
        return state;
    }

    template <class Plan, class P>
    void rehearse_forward(Plan& plan, const State<P>& state, const Shape&, index_t batch, Tape<P>& tape) const {
        const std::size_t n = blocks.size();
        tape.children.resize(n);
        tape.values.resize(n + 1);
        tape.gradients.resize(n + 1);
        for (std::size_t i = 0; i < n; ++i) {
            if (i + 1 < n) plan.allocate(tape.values[i + 1], batch * state.shapes[i + 1].size());
            detail::rehearse_forward<Block, Plan, P>(blocks[i], plan, state.children[i], state.shapes[i], batch, tape.children[i]);
            if (i > 0 && !needs.x && !needs.y) plan.release(tape.values[i]);
        }
    }
    template <class Plan, class P>
    void rehearse_backward(Plan& plan, const State<P>& state, const Shape&, index_t batch, Tape<P>& tape, bool want_dx) const {
        for (std::size_t i = blocks.size(); i-- > 0;) {
            const bool want = want_dx || (i > 0 && detail::has_parameters<Block, P>());
            if (i > 0 && want) plan.allocate(tape.gradients[i], batch * state.shapes[i].size());
            if (want || detail::has_parameters<Block, P>())
                detail::rehearse_backward<Block, Plan, P>(blocks[i], plan, state.children[i], state.shapes[i], batch, tape.children[i], want);
            if (i + 1 < blocks.size() && (want_dx || detail::has_parameters<Block, P>())) plan.release(tape.gradients[i + 1]);
            if (i + 1 < blocks.size() && (needs.x || needs.y)) plan.release(tape.values[i + 1]);
        }
    }
    template <class Plan, class P>
    void rehearse_infer(Plan& plan, const State<P>& state, const Shape&, index_t batch) const {
        const index_t room = batch * largest_between<P>(state);
        if (room > 0) plan.push(2 * room);
        for (std::size_t i = 0; i < blocks.size(); ++i) detail::rehearse_infer<Block, Plan, P>(blocks[i], plan, state.children[i], state.shapes[i], batch);
        if (room > 0) plan.pop(2 * room);
    }

    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        if (blocks.empty()) return detail::pass_on<P>(c, x, y);
        const index_t room = x.batch * largest_between<P>(state);
        kernel::Ptr<P> rooms[2]{};
        if (room > 0) rooms[0] = c.stack.push(2 * room), rooms[1] = rooms[0] + room;
        ConstView<P> value = x;
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            const View<P> out(i + 1 < blocks.size() ? rooms[i % 2] : y.data, x.batch, state.shapes[i + 1]);
            blocks[i].infer(c, state.children[i], value, out);
            value = out;
        }
        if (room > 0) c.stack.pop(2 * room);
    }

    template <class P>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y, Tape<P>& tape) const {
        if (blocks.empty()) return detail::pass_on<P>(c, x, y);
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            const View<P> out(i + 1 < blocks.size() ? tape.values[i + 1].data : y.data, x.batch, state.shapes[i + 1]);
            blocks[i].forward(c, state.children[i], input<P>(state, tape, x, i), out, tape.children[i]);
            if (c.observer && state.ids[i] >= 0) c.observer->after_forward(state.ids[i], out);
        }
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> dx, Tape<P>& tape) const {
        if (blocks.empty()) return detail::pass_on<P>(c, dy, dx);
        const std::size_t n = blocks.size();
        constexpr bool has_parameters = detail::has_parameters<Block, P>();
        for (std::size_t i = n; i-- > 0;) {
            const bool want = dx || (i > 0 && has_parameters);
            if (!want && !has_parameters) return;
            const ConstView<P> from(i + 1 < n ? ConstView<P>(tape.gradients[i + 1].data, dy.batch, state.shapes[i + 1]) : dy);
            const ConstView<P> out(i + 1 < n ? ConstView<P>(tape.values[i + 1].data, dy.batch, state.shapes[i + 1]) : y);
            const View<P> to(!want ? kernel::Ptr<P>{} : i > 0 ? tape.gradients[i].data : dx.data, dy.batch, state.shapes[i]);
            blocks[i].backward(c, state.children[i], input<P>(state, tape, x, i), out, from, to, tape.children[i]);
            if (c.observer && state.ids[i] >= 0) c.observer->after_backward(state.ids[i], to);
        }
    }

private:
    template <class P>
    static ConstView<P> input(const State<P>& state, const Tape<P>& tape, const ConstView<P>& x, std::size_t i) {
        return i == 0 ? x : ConstView<P>(tape.values[i].data, x.batch, state.shapes[i]);
    }
    template <class P>
    static index_t largest_between(const State<P>& state) {
        index_t largest = 0;
        for (std::size_t i = 1; i + 1 < state.shapes.size(); ++i) largest = std::max(largest, state.shapes[i].size());
        return padded_count<typename P::scalar>(largest);
    }
};

}  // namespace dla
