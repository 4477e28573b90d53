// SPDX-License-Identifier: MIT
// One layer after another.
#pragma once

#include <dla/compose/plan.hpp>
#include <dla/compose/sharing.hpp>
#include <dla/core/pack.hpp>

namespace dla {

namespace detail {

/// Layers that splice their copies into the numbering of the Sequential around them (Repeat).
template <class L>
inline constexpr bool splices = requires(const L& layer, int& number) {
    layer.out_shape_numbered(Shape{}, number);
};

/// A refusal inside a container, with the path of the child that refused in front: `layer 3.0 Linear<512, 10> refuses ...`.
constexpr ShapeResult child_refusal(const Text& number, const Text& name, const Shape& in, const ShapeResult& result) {
    constexpr std::string_view mark = "layer ";
    if (result.nested && result.why.view().starts_with(mark)) return ShapeResult(text(mark, number, ".", result.why.view().substr(mark.size())), true);
    if (result.nested) return ShapeResult(text(mark, number, " ", result.why), true);  // a Repeat of one copy, which has no number
    return ShapeResult(text(mark, number, " ", refusal(name, in, result.why)), true);
}

/// Output shape of a child that counts as `number` (advanced by what the child occupies).
template <class L>
constexpr ShapeResult child_out_shape(const L& layer, const Shape& in, int& number) {
    if constexpr (splices<L>) {
        return layer.out_shape_numbered(in, number);
    } else {
        const ShapeResult result = layer.out_shape(in);
        if (!result.ok()) return child_refusal(text(number), layer.name(), in, result);
        ++number;
        return result;
    }
}

}  // namespace detail

/// y = layer_n(... layer_1(x)). Children are numbered 0, 1, 2, ... in paths; the copies of a Repeat count one by one.
template <class... Ls>
struct Sequential {
    static_assert(sizeof...(Ls) >= 1, "dla: Sequential needs at least one layer; Identity is the layer that does nothing");
    static_assert((Layer<Ls> && ...), "dla: every element of a Sequential must be a layer; see dla::Layer in <dla/layers/concept.hpp>");

    Pack<Ls...> layers;

    static constexpr std::size_t N = sizeof...(Ls);
    static constexpr auto sharing = detail::plan_sharing<Ls...>();
    static constexpr Needs needs = [] {
        // Our caller's x is read through every leading view; our caller's y by the layers whose output lies there.
        constexpr auto s = detail::plan_sharing<Ls...>();
        const std::array<Needs, N> each{detail::needs_of<Ls>()...};
        Needs all;
        for (std::size_t i = 0; i < N; ++i) {
            if (s.buffer[i] == 0) all.x = all.x || each[i].x;
            if (s.buffer[i + 1] == 0) all.x = all.x || each[i].y;
            if (s.buffer[i] == s.buffer[N]) all.y = all.y || each[i].x;
            if (s.buffer[i + 1] == s.buffer[N]) all.y = all.y || each[i].y;
        }
        return all;
    }();

    constexpr Sequential() = default;
    constexpr Sequential(const Ls&... ls) requires(sizeof...(Ls) > 0) : Sequential(std::index_sequence_for<Ls...>{}, ls...) {}

    template <class P>
    struct State {
        static_assert((LayerOn<Ls, P> && ...), "dla: a layer of this Sequential cannot run on this policy; the notes say what it lacks");
        Pack<typename Ls::template State<P>...> children;
        std::array<Shape, N + 1> shapes;
        std::array<int, N> ids;  // rows of the table of layers
    };
    template <class P>
    struct Tape {
        Pack<typename Ls::template Tape<P>...> children;
        std::array<Planned<P>, N + 1> values, gradients;
    };

    constexpr Text name() const { return "Sequential"; }

    constexpr ShapeResult out_shape(Shape in) const {
        int number = 0;
        return out_shape_from(in, number);
    }
    /// As out_shape; the first child counts as `number`.
    constexpr ShapeResult out_shape_from(const Shape& in, int& number) const {
        ShapeResult s(in);
        for_each_index<N>([&](auto i) {
            if (s.ok()) s = detail::child_out_shape(get<i>(layers), s.shape, number);
        });
        return s;
    }

    template <class P, class Builder>
    State<P> build(Builder& b, const Shape& in) const {
        int number = 0;
        return build_from<P>(b, in, number);
    }
    template <class P, class Builder>
    State<P> build_from(Builder& b, const Shape& in, int& number) const {
        State<P> state;
        state.shapes[0] = in;
        for_each_index<N>([&](auto i) {
            using L = std::remove_cvref_t<decltype(get<i>(layers))>;
            if constexpr (detail::splices<L>) {
                const auto& layer = get<i>(layers);
                get<i>(state.children) = layer.template build_numbered<P>(b, state.shapes[i], number);
                state.shapes[i + 1] = layer.out_shape(state.shapes[i]).shape;
                state.ids[i] = -1;
            } else {
                const auto scope = b.scope(text(number++));
                get<i>(state.children) = detail::build_child<P>(get<i>(layers), b, state.shapes[i], state.ids[i], state.shapes[i + 1]);
            }
        });
        return state;
    }

    template <class Plan, class P>
    void rehearse_forward(Plan& plan, const State<P>& state, const Shape&, index_t batch, Tape<P>& tape) const {
        for_each_index<N>([&](auto i) {
            constexpr int out = i + 1;
            if constexpr (sharing.buffer[out] == out && !is_callers(out)) plan.allocate(tape.values[out], batch * state.shapes[out].size());
            child_rehearse_forward<i>(plan, state, batch, tape);
            constexpr int in = sharing.buffer[i];
            if constexpr (!is_callers(in) && sharing.last[in] == int(i) && sharing.kept_until[in] < 0) plan.release(tape.values[in]);
        });
    }
    template <class Plan, class P>
    void rehearse_backward(Plan& plan, const State<P>& state, const Shape&, index_t batch, Tape<P>& tape, bool want_dx) const {
        for_each_index_reversed<N>([&](auto i) {
            constexpr int g = sharing.gradient[i];  // where the gradient of value i lies
            if (g == int(i) && wanted<P>(i, want_dx) && in_tape<P>(i, want_dx)) plan.allocate(tape.gradients[g], batch * state.shapes[i].size());
            if (wanted<P>(i + 1, want_dx))
                detail::rehearse_backward<layer_type<i>, Plan, P>(get<i>(layers), plan, get<i>(state.children), state.shapes[i], batch, get<i>(tape.children),
                                                                  wanted<P>(i, want_dx));
            constexpr int above = sharing.gradient[i + 1];
            if (sharing.gradient_first[i + 1] == int(i) + 1 && wanted<P>(above, want_dx) && in_tape<P>(int(i) + 1, want_dx))
                plan.release(tape.gradients[above]);
            for_each_index<N>([&](auto v) {
                if constexpr (sharing.buffer[v] == int(v) && !is_callers(v) && sharing.kept_until[v] == int(i)) plan.release(tape.values[v]);
            });
        });
    }
    template <class Plan, class P>
    void rehearse_infer(Plan& plan, const State<P>& state, const Shape&, index_t batch) const {
        const index_t room = batch * largest_between<P>(state);
        if (room > 0) plan.push(2 * room);
        for_each_index<N>(
            [&](auto i) { detail::rehearse_infer<layer_type<i>, Plan, P>(get<i>(layers), plan, get<i>(state.children), state.shapes[i], batch); });
        if (room > 0) plan.pop(2 * room);
    }

    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        const index_t room = x.batch * largest_between<P>(state);
        kernel::Ptr<P> rooms[2]{};
        if (room > 0) rooms[0] = c.stack.push(2 * room), rooms[1] = rooms[0] + room;
        int side = 0;
        ConstView<P> value = x;
        for_each_index<N>([&](auto i) {
            constexpr bool stays = detail::is_view<layer_type<i>>() || (detail::in_place_of<layer_type<i>>().forward && i > 0 && !only_views_before(i));
            View<P> out(y.data, x.batch, state.shapes[i + 1]);
            if constexpr (i + 1 < N) {
                if constexpr (stays) {
                    if constexpr (detail::is_view<layer_type<i>>()) {
                        value.shape = state.shapes[i + 1];
                        return;
                    } else {
                        out.data = rooms[1 - side];  // where the value lies now
                    }
                } else {
                    out.data = rooms[side];
                    side = 1 - side;
                }
            }
            get<i>(layers).infer(c, get<i>(state.children), value, out);
            value = out;
        });
        if (room > 0) c.stack.pop(2 * room);
    }

    template <class P>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y, Tape<P>& tape) const {
        for_each_index<N>([&](auto i) {
            const View<P> out = value<P, i + 1>(state, tape, y, x.batch);
            if constexpr (sharing.buffer[i + 1] == 0) return;  // a view of the caller's x
            const ConstView<P> in = input<P, i>(state, tape, x, y);
            get<i>(layers).forward(c, get<i>(state.children), in, out, get<i>(tape.children));
            if (c.observer && state.ids[i] >= 0) c.observer->after_forward(state.ids[i], out);
        });
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> dx, Tape<P>& tape) const {
        const bool want_dx = static_cast<bool>(dx);
        for_each_index_reversed<N>([&](auto i) {
            if (!wanted<P>(i + 1, want_dx)) return;
            ConstView<P> from(dy.data, dy.batch, state.shapes[i + 1]);
            if constexpr (sharing.gradient[i + 1] != int(N)) from.data = gradient<P, i + 1>(tape, dx);
            View<P> to(kernel::Ptr<P>{}, dy.batch, state.shapes[i]);
            if constexpr (sharing.gradient[i] == int(N)) {
                return;  // a view of the caller's dy
            } else {
                if (wanted<P>(i, want_dx)) to.data = gradient<P, i>(tape, dx);
                get<i>(layers).backward(c, get<i>(state.children), input<P, i>(state, tape, x, y), input<P, i + 1>(state, tape, x, y), from, to,
                                        get<i>(tape.children));
                if (c.observer && state.ids[i] >= 0) c.observer->after_backward(state.ids[i], to);
            }
        });
    }

private:
    template <std::size_t... Is>
    constexpr Sequential(std::index_sequence<Is...>, const Ls&... ls) {
        ((get<Is>(layers) = ls), ...);
    }

    template <std::size_t I>
    using layer_type = std::remove_cvref_t<decltype(get<I>(std::declval<const Pack<Ls...>&>()))>;

    /// The value lies in the caller's x or y.
    static constexpr bool is_callers(int v) {
        return sharing.buffer[static_cast<std::size_t>(v)] == 0 || sharing.buffer[static_cast<std::size_t>(v)] == sharing.buffer[N];
    }
    static constexpr bool only_views_before(std::size_t i) {
        const std::array<bool, N> view{detail::is_view<Ls>()...};
        for (std::size_t j = 0; j < i; ++j)
            if (!view[j]) return false;
        return true;
    }

    /// Somebody wants the gradient of value v: the caller, or parameters below.
    template <class P>
    static constexpr bool wanted(int v, bool want_dx) {
        constexpr std::array<bool, N> has{detail::has_parameters<Ls, P>()...};
        for (int j = 0; j < v; ++j)
            if (has[static_cast<std::size_t>(j)]) return true;
        return want_dx;
    }
    /// The gradient of value v lies in our own memory: not in the caller's dy, and not in the caller's dx when there is one.
    template <class P>
    static constexpr bool in_tape(int v, bool want_dx) {
        const auto at = static_cast<std::size_t>(v);
        if (sharing.gradient[at] == int(N)) return false;
        return sharing.gradient_first[at] != 0 || !want_dx;
    }

    /// Most values between two layers: what ping-pong buffers of inference must hold.
    template <class P>
    static index_t largest_between(const State<P>& state) {
        index_t largest = 0;
        for (std::size_t i = 1; i < N; ++i) largest = std::max(largest, state.shapes[i].size());
        return padded_count<typename P::scalar>(largest);
    }

    template <std::size_t I, class Plan, class P>
    void child_rehearse_forward(Plan& plan, const State<P>& state, index_t batch, Tape<P>& tape) const {
        detail::rehearse_forward<layer_type<I>, Plan, P>(get<I>(layers), plan, get<I>(state.children), state.shapes[I], batch, get<I>(tape.children));
    }

    template <class P, std::size_t V>
    static View<P> value(const State<P>& state, Tape<P>& tape, const View<P>& y, index_t batch) {
        constexpr int where = sharing.buffer[V];
        if constexpr (where == sharing.buffer[N])
            return {y.data, batch, state.shapes[V]};
        else
            return {tape.values[static_cast<std::size_t>(where)].data, batch, state.shapes[V]};
    }
    /// Value V for reading; y may be a view for writing or reading.
    template <class P, std::size_t V, class Y>
    static ConstView<P> input(const State<P>& state, Tape<P>& tape, const ConstView<P>& x, const Y& y) {
        constexpr int where = sharing.buffer[V];
        if constexpr (where == 0)
            return {x.data, x.batch, state.shapes[V]};
        else if constexpr (where == sharing.buffer[N])
            return {y.data, x.batch, state.shapes[V]};
        else
            return {tape.values[static_cast<std::size_t>(where)].data, x.batch, state.shapes[V]};
    }
    template <class P, std::size_t V>
    static kernel::Ptr<P> gradient(Tape<P>& tape, const View<P>& dx) {
        if constexpr (sharing.gradient_first[V] == 0) {
            if (dx) return dx.data;
        }
        return tape.gradients[static_cast<std::size_t>(sharing.gradient[V])].data;
    }
};

}  // namespace dla
