// SPDX-License-Identifier: MIT
// The seam for fusion: neighbouring layers that a policy computes together.
#pragma once

#include <dla/compose/walk.hpp>
#include <dla/core/pack.hpp>

namespace dla {

/// A list of patterns. A pattern P has `static constexpr std::size_t length` (how many neighbours it takes), `template <class... Ls> static constexpr bool
/// matches` (these, in order) and `template <class... Ls> using type` (a Group of them).
template <class... Ps>
struct Patterns {};

/// The patterns that policy P claims, tried in order at each layer of a chain; none unless a specialisation says so. A policy derived from another
/// inherits its kernels, not its patterns.
template <class P>
struct Groups {
    using type = Patterns<>;
};

/// What a fused layer derives from: `Ls` are the layers it stands for. It meets the contract of a layer (dla::LayerOn), and has its members' parameters under
/// their own paths; tables, statistics and pictures know the members only. A group shows an observer what each member would have shown.
template <class... Ls>
struct Group {
    Pack<const Ls*...> members;

    template <class P>
    struct State {
        Pack<LayerState<Ls, P>...> members;
        std::array<LayerRows, sizeof...(Ls)> rows;
    };

    template <std::size_t I>
    const auto& member() const {
        return *get<I>(members);
    }
    constexpr Text name() const { return "Group"; }
    constexpr ShapeResult out_shape(Shape in) const {
        ShapeResult s(in);
        for_each_index<sizeof...(Ls)>([&](auto i) {
            if (s.ok()) s = member<i>().out_shape(s.shape);
        });
        return s;
    }
    /// The shape between members I - 1 and I.
    template <std::size_t I>
    constexpr Shape shape_before(Shape in) const {
        for_each_index<I>([&](auto i) { in = member<i>().out_shape(in).shape; });
        return in;
    }
};

namespace detail {

template <class Chain, std::size_t J>
using ChainLink = std::remove_cvref_t<decltype(std::declval<const Chain&>().template link<J>())>;

/// Number of neighbours, from link `I` of `Chain` on, that a pattern takes (0: none), and what it makes of them.
template <class Chain, std::size_t I, class Pattern, class = std::make_index_sequence<Pattern::length>>
struct Match;
template <class Chain, std::size_t I, class Pattern, std::size_t... Is>
struct Match<Chain, I, Pattern, std::index_sequence<Is...>> {
    static consteval std::size_t length() {
        if constexpr (I + Pattern::length > Chain::link_count)
            return 0;
        else
            return Pattern::template matches<ChainLink<Chain, I + Is>...> ? Pattern::length : 0;
    }
    template <class C>
    using type = typename Pattern::template type<ChainLink<C, I + Is>...>;
    template <class C>
    static type<C> make(const C& chain) {
        type<C> group;
        ((get<Is>(group.members) = &chain.template link<I + Is>()), ...);
        return group;
    }
};

/// A group keeps what it promises: written in place, or seen otherwise, its output has the size of its input.
template <class G, class Builder>
void check_group(const Builder& b, const Shape& in, const Shape& out) {
    if ((in_place_of<G>().forward || in_place_of<G>().backward || is_view<G>()) && in.size() != out.size())
        b.refused(text("a group that works in place (in_place) or is a view makes ", to_text(out), " of ", to_text(in), ", which has another size"));
}

/// A link alone is a unit of one.
struct NoPattern {
    static constexpr std::size_t length = 1;
};

/// The first pattern of the list that takes links from `I` on.
template <class Chain, std::size_t I, class List>
struct Claim;
template <class Chain, std::size_t I>
struct Claim<Chain, I, Patterns<>> {
    using pattern = NoPattern;
    static constexpr std::size_t length = 1;
};
template <class Chain, std::size_t I, class First, class... Rest>
struct Claim<Chain, I, Patterns<First, Rest...>> {
    static constexpr bool takes = Match<Chain, I, First>::length() > 0;
    using next = Claim<Chain, I, Patterns<Rest...>>;
    using pattern = std::conditional_t<takes, First, typename next::pattern>;
    static constexpr std::size_t length = takes ? First::length : next::length;
};

/// How a chain's links become units on policy P: single layers and groups.
template <class Chain, class P>
struct Units {
    using List = typename Groups<P>::type;
    struct Table {
        std::array<std::size_t, Chain::link_count + 1> first{};  // link with which unit u begins
        std::array<std::size_t, Chain::link_count> unit_of{};    // of link j
        std::size_t count = 0;
    };
    template <std::size_t... Is>
    static consteval Table make_table(std::index_sequence<Is...>) {
        const std::array<std::size_t, sizeof...(Is)> length{Claim<Chain, Is, List>::length...};
        Table t;
        for (std::size_t j = 0; j < Chain::link_count;) {
            t.first[t.count] = j;
            for (const std::size_t end = j + length[j]; j < end; ++j) t.unit_of[j] = t.count;
            ++t.count;
        }
        t.first[t.count] = Chain::link_count;
        return t;
    }
    static constexpr Table table = make_table(std::make_index_sequence<Chain::link_count>{});
    static constexpr std::size_t count = table.count;
    using Indices = std::make_index_sequence<count>;

    template <std::size_t U>
    static constexpr bool is_group = !std::is_same_v<typename Claim<Chain, table.first[U], List>::pattern, NoPattern>;

    /// The layer that unit U is: a link, or a group of links.
    template <std::size_t U>
    static decltype(auto) layer(const Chain& chain) {
        constexpr std::size_t first = table.first[U];
        if constexpr (is_group<U>)
            return Match<Chain, first, typename Claim<Chain, first, List>::pattern>::make(chain);
        else
            return (chain.template link<first>());
    }
    template <std::size_t U>
    using Layer = std::remove_cvref_t<decltype(layer<U>(std::declval<const Chain&>()))>;

    template <class Is>
    struct Packs;
    template <std::size_t... Us>
    struct Packs<std::index_sequence<Us...>> {
        using State = Pack<LayerState<Layer<Us>, P>...>;
        using Tape = Pack<LayerTape<Layer<Us>, P>...>;
        static constexpr std::array<Link, count> links{link_of<Layer<Us>, P>()...};
    };
    using State = typename Packs<Indices>::State;
    using Tape = typename Packs<Indices>::Tape;

    static constexpr ChainSchedule<count> schedule = [] {
        ChainSchedule<count> s;
        make_schedule(std::span<const Link>(Packs<Indices>::links), s);
        return s;
    }();

    /// State and observed rows of link J.
    template <std::size_t J, class States>
    static auto& state_of_link(States& states) {
        constexpr std::size_t u = table.unit_of[J];
        if constexpr (is_group<u>)
            return get<J - table.first[u]>(get<u>(states).members);
        else
            return get<u>(states);
    }
};

}  // namespace detail
}  // namespace dla
