// SPDX-License-Identifier: MIT
// One layer after another.
#pragma once

#include <dla/compose/groups.hpp>
#include <dla/compose/linear_norm_relu.hpp>

namespace dla {

template <class... Ls>
struct Sequential;

namespace detail {

/// Links that a layer adds to the chain it stands in: a nested Sequential is taken apart.
template <class L>
inline constexpr std::size_t links_in = 1;
template <class... Ls>
inline constexpr std::size_t links_in<Sequential<Ls...>> = (std::size_t{0} + ... + links_in<Ls>);
template <class L>
inline constexpr bool is_sequential = false;
template <class... Ls>
inline constexpr bool is_sequential<Sequential<Ls...>> = true;

}  // namespace detail

/// y = layer_n(... layer_1(x)). Children are numbered 0, 1, 2, ... in paths; the copies of a Repeat count one by one. To the memory plan and to the policy,
/// which may fuse neighbours, a Sequential within a Sequential is part of one chain; in paths, tables and files it is a child with a number.
template <class... Ls>
struct Sequential {
    static_assert(sizeof...(Ls) >= 1, "dla: Sequential needs at least one layer; Identity is the layer that does nothing");
    static_assert((Layer<Ls> && ...), "dla: every element of a Sequential must be a layer; see dla::Layer in <dla/layers/concept.hpp>");

    Pack<Ls...> layers;

    static constexpr std::size_t N = sizeof...(Ls);
    static constexpr bool is_container = true;

    /// The chain: all layers, with nested Sequentials taken apart.
    static constexpr std::size_t link_count = (std::size_t{0} + ... + detail::links_in<Ls>);
    template <std::size_t J>
    constexpr const auto& link() const {
        constexpr std::size_t child = children_of_links[J];
        const auto& layer = get<child>(layers);
        if constexpr (detail::is_sequential<std::remove_cvref_t<decltype(layer)>>)
            return layer.template link<J - first_links[child]>();
        else
            return layer;
    }
    template <class P>
    using Units = detail::Units<Sequential, P>;
    template <class P>
    static constexpr Needs needs_on = Units<P>::schedule.needs;
    template <class P>
    static constexpr bool has_parameters_on = (detail::has_parameters<Ls, P>() || ...);

    constexpr Sequential() = default;
    constexpr Sequential(const Ls&... ls) requires(sizeof...(Ls) > 0) : Sequential(std::index_sequence_for<Ls...>{}, ls...) {}

    template <class P>
    struct State {
        static_assert((detail::LayerCheck<Ls, P>::passed && ...));
        static_assert((LayerOn<Ls, P> && ...), "dla: a layer of this Sequential cannot run on this policy; the notes say what it lacks");
        typename Units<P>::State children;
        std::array<Shape, Units<P>::count + 1> shapes;
        std::array<LayerRows, Units<P>::count> rows;
    };
    template <class P>
    struct Tape {
        typename Units<P>::Tape children;
        std::array<Planned<P>, static_cast<std::size_t>(Units<P>::schedule.buffers)> buffers;
    };

    [[gnu::cold]] constexpr Text name() const { return "Sequential"; }

    [[gnu::cold]] constexpr ShapeResult out_shape(Shape in) const {
        int number = 0;
        return out_shape_from(in, number);
    }
    /// As out_shape; the first child counts as `number`.
    [[gnu::cold]] constexpr ShapeResult out_shape_from(const Shape& in, int& number) const {
        ShapeResult s(in);
        for_each_index<N>([&](auto i) {
            if (s.ok()) s = detail::child_out_shape(get<i>(layers), s.shape, number);
        });
        return s;
    }

    template <class P, class Builder>
    [[gnu::cold]] State<P> build(Builder& b, const Shape& in) const {
        int number = 0;
        return build_from<P>(b, in, number);
    }
    /// As build; the first child counts as `number`.
    template <class P, class Builder>
    [[gnu::cold]] State<P> build_from(Builder& b, const Shape& in, int& number) const {
        State<P> state;
        state.shapes[0] = in;
        Shape shape = in;
        build_links<P, Sequential, 0>(b, state, shape, number);
        return state;
    }

    template <class V, class S, class P = typename V::Policy>
    void walk_forward(V& v, S& state, const ConstView<P>& x, const View<P>& y, Tape<P>& tape, Gradients wants) const {
        static constexpr auto run = []<std::size_t... Us>(std::index_sequence<Us...>) { return std::array{&Sequential::forward_unit<V, S, P, Us>...}; }
        (typename Units<P>::Indices{});
        const auto& mode = Units<P>::schedule.modes[static_cast<std::size_t>(wants)];
        const ForwardStep<V, S, P> step{*this, v, state, x, y, tape, mode};
        detail::walk_events(v, mode.forward, mode.held, tape.buffers, state.shapes, x.batch, [&](std::size_t u) { run[u](step); });
    }
    template <class V, class S, class P = typename V::Policy>
    void walk_backward(V& v, S& state, const ConstView<P>& x, const ConstView<P>& y, const ConstView<P>& dy, const View<P>& dx, Tape<P>& tape,
                       Gradients wants) const {
        static constexpr auto run = []<std::size_t... Us>(std::index_sequence<Us...>) { return std::array{&Sequential::backward_unit<V, S, P, Us>...}; }
        (typename Units<P>::Indices{});
        const auto& mode = Units<P>::schedule.modes[static_cast<std::size_t>(wants)];
        const BackwardStep<V, S, P> step{*this, v, state, x, y, dy, dx, tape, mode};
        detail::walk_events(v, mode.backward, mode.held, tape.buffers, state.shapes, x.batch, [&](std::size_t u) { run[u](step); });
    }
    template <class V, class S, class P = typename V::Policy>
    void walk_infer(V& v, S& state, const ConstView<P>& x, const View<P>& y) const {
        static constexpr auto run = []<std::size_t... Us>(std::index_sequence<Us...>) { return std::array{&Sequential::infer_unit<V, S, P, Us>...}; }
        (typename Units<P>::Indices{});
        const index_t room = x.batch * detail::largest_between<P>(state.shapes);
        InferStep<V, S, P> step{*this, v, state, x, y, {}};
        if (room > 0)
            for (auto& r : step.rooms) r.data = v.push(room);
        for (const auto unit : run) unit(step);
        if (room > 0) v.pop(room), v.pop(room);
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
    template <class...>
    friend struct Sequential;

    /// First link of each child, and the child of each link.
    static constexpr std::array<std::size_t, N> first_links = [] {
        const std::array<std::size_t, N> count{detail::links_in<Ls>...};
        std::array<std::size_t, N> first{};
        for (std::size_t i = 1; i < N; ++i) first[i] = first[i - 1] + count[i - 1];
        return first;
    }();
    static constexpr std::array<std::size_t, link_count> children_of_links = [] {
        const std::array<std::size_t, N> count{detail::links_in<Ls>...};
        std::array<std::size_t, link_count> child{};
        std::size_t link = 0;
        for (std::size_t i = 0; i < N; ++i)
            for (std::size_t j = 0; j < count[i]; ++j) child[link++] = i;
        return child;
    }();

    template <std::size_t... Is>
    constexpr Sequential(std::index_sequence<Is...>, const Ls&... ls) {
        ((get<Is>(layers) = ls), ...);
    }

    /// Builds the layers as links `First`, `First` + 1, ... of the chain `Outer`; `shape` goes along.
    template <class P, class Outer, std::size_t First, class Builder>
    [[gnu::cold]] void build_links(Builder& b, typename Outer::template State<P>& state, Shape& shape, int& number) const {
        using U = typename Outer::template Units<P>;
        for_each_index<N>([&](auto i) {
            const auto& layer = get<i>(layers);
            using L = std::remove_cvref_t<decltype(layer)>;
            constexpr std::size_t link = First + first_links[i];
            if constexpr (detail::is_sequential<L>) {
                const auto scope = b.scope(text(number++));
                const ShapeResult out = layer.out_shape(shape);
                if (!out.ok()) b.refused(refusal(layer.name(), shape, out));
                const int id = b.enter_layer(layer.name(), shape, out.shape, detail::facts_of(layer, shape));
                int inner = 0;
                layer.template build_links<P, Outer, link>(b, state, shape, inner);
                b.leave_layer(id);
                Outer::template rows_of<P, link>(state).backward.push_back(id);
                Outer::template rows_of<P, link + detail::links_in<L> - 1>(state).forward.push_back(id);
            } else {
                auto& own = U::template state_of_link<link>(state.children);
                if constexpr (detail::splices<L>) {
                    own = layer.template build_numbered<P>(b, shape, number);
                    shape = layer.out_shape(shape).shape;
                } else {
                    const auto scope = b.scope(text(number++));
                    int id = -1;
                    Shape out;
                    own = detail::build_child<P>(layer, b, shape, id, out);
                    LayerRows& rows = Outer::template rows_of<P, link>(state);
                    rows.forward.push_back(id);
                    rows.backward.push_back(id);
                    shape = out;
                }
                constexpr std::size_t u = U::table.unit_of[link];
                state.shapes[u + 1] = shape;
                if constexpr (U::template is_group<u> && link + 1 == U::table.first[u + 1])
                    detail::check_group<typename U::template Layer<u>>(b, state.shapes[u], shape);
            }
        });
    }
    template <class P, std::size_t J>
    static LayerRows& rows_of(State<P>& state) {
        constexpr std::size_t u = Units<P>::table.unit_of[J];
        if constexpr (Units<P>::template is_group<u>)
            return get<u>(state.children).rows[J - Units<P>::table.first[u]];
        else
            return state.rows[u];
    }

    // What a walk hands to each unit; x, y, dy and dx are the caller's.
    template <class P>
    using Mode = typename std::remove_cvref_t<decltype(Units<P>::schedule)>::Mode;
    template <class V, class S, class P>
    struct ForwardStep {
        const Sequential& chain;
        V& v;
        S& state;
        const ConstView<P>& x;
        const View<P>& y;
        Tape<P>& tape;
        const Mode<P>& mode;
    };
    template <class V, class S, class P>
    struct BackwardStep {
        const Sequential& chain;
        V& v;
        S& state;
        const ConstView<P>&x, &y, &dy;
        const View<P>& dx;
        Tape<P>& tape;
        const Mode<P>& mode;
    };
    template <class V, class S, class P>
    struct InferStep {
        const Sequential& chain;
        V& v;
        S& state;
        const ConstView<P>& x;
        const View<P>& y;
        std::array<Planned<P>, 2> rooms;
    };

    template <class V, class S, class P, std::size_t U>
    static void forward_unit(const ForwardStep<V, S, P>& s) {
        constexpr auto& value = Units<P>::schedule.value;
        const ConstView<P> in(detail::data_at<P>(value[U], s.x.data, kernel::ConstPtr<P>(s.y.data), s.tape.buffers), s.x.batch, s.state.shapes[U]);
        const View<P> out(detail::data_at<P>(value[U + 1], kernel::Ptr<P>{}, s.y.data, s.tape.buffers), s.x.batch, s.state.shapes[U + 1]);
        s.v.forward(Units<P>::template layer<U>(s.chain), get<U>(s.state.children), in, out, get<U>(s.tape.children), s.mode.child[U], s.state.rows[U]);
    }
    template <class V, class S, class P, std::size_t U>
    static void backward_unit(const BackwardStep<V, S, P>& s) {
        constexpr auto& value = Units<P>::schedule.value;
        const index_t batch = s.x.batch;
        const Shape &before = s.state.shapes[U], &after = s.state.shapes[U + 1];
        const ConstView<P> in(detail::data_at<P>(value[U], s.x.data, s.y.data, s.tape.buffers), batch, before);
        const ConstView<P> out(detail::data_at<P>(value[U + 1], s.x.data, s.y.data, s.tape.buffers), batch, after);
        const ConstView<P> from(detail::data_at<P>(s.mode.gradient[U + 1], kernel::ConstPtr<P>(s.dx.data), s.dy.data, s.tape.buffers), batch, after);
        const View<P> to(detail::data_at<P>(s.mode.gradient[U], s.dx.data, kernel::Ptr<P>{}, s.tape.buffers), batch, before);
        s.v.backward(Units<P>::template layer<U>(s.chain), get<U>(s.state.children), in, out, from, to, get<U>(s.tape.children), s.mode.child[U],
                     s.state.rows[U]);
    }
    template <class V, class S, class P, std::size_t U>
    static void infer_unit(const InferStep<V, S, P>& s) {
        constexpr auto& place = Units<P>::schedule.inferred;
        if constexpr (detail::is_view<typename Units<P>::template Layer<U>>() && place[U] == place[U + 1]) return;
        const ConstView<P> in(detail::data_at<P>(place[U], s.x.data, kernel::ConstPtr<P>(s.y.data), s.rooms), s.x.batch, s.state.shapes[U]);
        const View<P> out(detail::data_at<P>(place[U + 1], kernel::Ptr<P>{}, s.y.data, s.rooms), s.x.batch, s.state.shapes[U + 1]);
        s.v.infer(Units<P>::template layer<U>(s.chain), get<U>(s.state.children), in, out);
    }
};

}  // namespace dla
