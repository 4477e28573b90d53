// SPDX-License-Identifier: MIT
// One layer after another.
#pragma once

#include <dla/compose/cpu_groups.hpp>
#include <dla/compose/groups.hpp>

namespace dla {

template <class... Ls>
struct Sequential;

namespace detail {

template <class L>
inline constexpr bool is_sequential = false;
template <class... Ls>
inline constexpr bool is_sequential<Sequential<Ls...>> = true;

/// The chain of some layers: nested Sequentials are taken apart.
template <class Done, class... Rest>
struct Flat {
    using type = Done;
};
template <class... Ds, class L, class... Rest>
struct Flat<Types<Ds...>, L, Rest...> : Flat<Types<Ds..., L>, Rest...> {};
template <class... Ds, class... Ls, class... Rest>
struct Flat<Types<Ds...>, Sequential<Ls...>, Rest...> : Flat<Types<Ds...>, Ls..., Rest...> {};

template <bool Nests, class... Ls>
struct ChainLinks {
    using type = Types<Ls...>;
};
template <class... Ls>
struct ChainLinks<true, Ls...> : Flat<Types<>, Ls...> {};

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
    using Links = typename detail::ChainLinks<(detail::is_sequential<Ls> || ...), Ls...>::type;
    template <class P>
    using Units = detail::Units<Links, P>;
    template <class P>
    static constexpr Needs needs_on = Units<P>::schedule.needs;
    template <class P>
    static constexpr bool has_parameters_on = (detail::has_parameters<Ls, P>() || ...);
    static constexpr bool mixes_samples = (detail::mixes_samples<Ls>() || ...);

    constexpr Sequential() = default;
    constexpr Sequential(const Ls&... ls)
        requires(sizeof...(Ls) > 0)
        : Sequential(std::index_sequence_for<Ls...>{}, ls...) {}

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
        if (std::is_constant_evaluated())
            each_layer([&](const auto&... ls) { return ((s = detail::child_out_shape(ls, s.shape, number)).ok() && ...); });
        else
            advance(s, number);
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
        using U = Units<P>;
        State<P> state;
        state.shapes[0] = in;
        std::array<void*, Links::size> states;
        std::array<LayerRows*, Links::size> rows;
        for (std::size_t u = 0; u < U::count; ++u)
            U::Of::list_members[u](state.children.data() + U::State::offsets[u], state.rows[u], &states[U::table.first[u]], &rows[U::table.first[u]]);
        detail::ChainBuild<P, Builder> c{
            b, states.data(), rows.data(), state.shapes.data(), U::table.unit_of.data(), U::table.first.data(), U::Of::kinds.data(), number, 0, in};
        build_links<P>(c);
        number = c.number;
        return state;
    }

    template <class V, class P>
    [[gnu::always_inline]] void walk_forward(V& v, const State<P>& state, const ConstView<P>& x, const View<P>& y, Tape<P>& tape, Gradients wants) const {
        detail::walk_chain_forward(v, chain<P>(state, &tape), x, y, wants);
    }
    template <class V, class P>
    [[gnu::always_inline]] void walk_backward(V& v, const State<P>& state, const ConstView<P>& x, const ConstView<P>& y, const OutputGradient<P>& dy,
                                              const View<P>& dx, Tape<P>& tape, Gradients wants) const {
        detail::walk_chain_backward(v, chain<P>(state, &tape), x, y, dy, dx, wants);
    }
    template <class V, class P>
    [[gnu::always_inline]] void walk_infer(V& v, const State<P>& state, const ConstView<P>& x, const View<P>& y) const {
        detail::walk_chain_infer(v, chain<P>(state, nullptr), x, y);
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

    template <std::size_t... Is>
    constexpr Sequential(std::index_sequence<Is...>, const Ls&... ls) {
        ((get<Is>(layers) = ls), ...);
    }

    /// f(layers...).
    template <class F>
    [[gnu::always_inline]] constexpr decltype(auto) each_layer(const F& f) const {
        return [&]<std::size_t... Is>(std::index_sequence<Is...>) -> decltype(auto) {
            return f(static_cast<const detail::Leaf<Is, Ls>&>(layers).value...);
        }(std::index_sequence_for<Ls...>{});
    }

    // Layers, states and tapes are addressed by offsets from where they begin, so that what is done with each is a loop over a table, whatever their number.

    /// Where the children, and the links of the chain, lie in this object.
    struct Places {
        std::array<std::ptrdiff_t, N> child;
        std::array<std::ptrdiff_t, Links::size> link;
    };
    const Places& places() const {
        static const Places all = [this] {
            Places p;
            std::ptrdiff_t *child = p.child.data(), *link = p.link.data();
            each_layer([&](const auto&... ls) { (place(ls, child, link), ...); });
            return p;
        }();
        return all;
    }
    template <class L>
    [[gnu::noinline, gnu::cold]] void place(const L& layer, std::ptrdiff_t*& child, std::ptrdiff_t*& link) const {
        const std::ptrdiff_t at = reinterpret_cast<const std::byte*>(&layer) - bytes();
        *child++ = at;
        if constexpr (detail::is_sequential<L>)
            for (const std::ptrdiff_t inner : layer.places().link) *link++ = at + inner;
        else
            *link++ = at;
    }
    const std::byte* bytes() const { return reinterpret_cast<const std::byte*>(this); }

    [[gnu::cold]] void advance(ShapeResult& s, int& number) const {
        static constexpr std::array<const detail::LayerDescription*, N> descriptions{&detail::Described<Ls>::table...};
        for (std::size_t i = 0; i < N && s.ok(); ++i) s = detail::described_out_shape(*descriptions[i], bytes() + places().child[i], s.shape, number);
    }

    /// Builds the layers as the next links of a chain.
    template <class P, class Builder>
    [[gnu::cold]] void build_links(detail::ChainBuild<P, Builder>& c) const {
        static constexpr std::array<void (*)(const std::byte*, detail::ChainBuild<P, Builder>&), N> build{&build_child<Ls, P, Builder>...};
        for (std::size_t i = 0; i < N; ++i) build[i](bytes() + places().child[i], c);
    }
    template <class L, class P, class Builder>
    [[gnu::cold]] static void build_child(const std::byte* at, detail::ChainBuild<P, Builder>& c) {
        const L& layer = *reinterpret_cast<const L*>(at);
        if constexpr (detail::is_sequential<L>) {
            const auto scope = c.b.scope(text(c.number++));
            Shape out;
            const int id = detail::begin_child(c.b, detail::Described<L>::table, at, c.shape, out);
            const std::size_t first = c.link;
            const int next = std::exchange(c.number, 0);
            layer.template build_links<P>(c);
            c.number = next;
            c.b.leave_layer(id);
            c.rows[first]->backward.push_back(id);
            c.rows[c.link - 1]->forward.push_back(id);
        } else {
            detail::build_link<P>(layer, c);
        }
    }

    template <class P>
    [[gnu::always_inline]] detail::SequentialChain<P> chain(const State<P>& state, std::type_identity_t<Tape<P>*> tape) const {
        // Only forward and backward write to a state, and theirs is not const.
        return {std::type_identity<Units<P>>{},
                state.shapes,
                tape ? std::span<Planned<P>>(tape->buffers) : std::span<Planned<P>>(),
                bytes(),
                places().link.data(),
                const_cast<State<P>&>(state).children.data(),
                tape ? tape->children.data() : nullptr,
                state.rows.data()};
    }
};

}  // namespace dla
