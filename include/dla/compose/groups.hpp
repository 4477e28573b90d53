// SPDX-License-Identifier: MIT
// The seam for fusion: neighbouring layers that a policy computes together.
#pragma once

#include <dla/compose/chain.hpp>
#include <dla/core/objects.hpp>
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
    using Members = Types<Ls...>;

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
    /// f(members [First, First + Count)...).
    template <std::size_t First, std::size_t Count, class F>
    auto with_members(const F& f) const {
        return [&]<std::size_t... Is>(std::index_sequence<Is...>) { return f(member<First + Is>()...); }(std::make_index_sequence<Count>{});
    }
    /// Points to the layers that it stands for, which lie at these offsets in `net`.
    void take_members(const std::byte* net, const std::ptrdiff_t* offsets) {
        for_each_index<sizeof...(Ls)>([&](auto i) { get<i>(members) = reinterpret_cast<TypeAt<i, Types<const Ls*...>>>(net + offsets[i]); });
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

/// A link alone is a unit of one.
struct NoPattern {
    static constexpr std::size_t length = 1;
    template <class L>
    using type = L;
};
/// Pattern number I of a list; NoPattern behind its end.
template <std::size_t I, class List>
struct PatternAt;
template <std::size_t I, class... Ps>
struct PatternAt<I, Patterns<Ps...>> {
    using type = TypeAt<I, Types<Ps..., NoPattern>>;
};

/// The `Length` neighbours that begin with each link of a chain, as a list of lists. Two chains with the same neighbours share what is asked of them.
template <std::size_t Length, class Links>
struct Windows;
struct BehindTheEnd {};
template <class First, class Rest>
struct Prepend;
template <class First, class... Rest>
struct Prepend<First, Types<Rest...>> {
    using type = Types<First, Rest...>;
};
template <class Firsts, class Lists>
struct PrependEach;
template <class... Firsts, class FirstList, class... Lists>
struct PrependEach<Types<Firsts...>, Types<FirstList, Lists...>> {
    using type = Types<typename Prepend<Firsts, Lists>::type...>;
};
template <class... Ls>
struct Windows<1, Types<Ls...>> {
    using type = Types<Types<Ls>...>;
    using padded = Types<Types<Ls>..., Types<BehindTheEnd>>;
};
template <std::size_t Length, class... Ls>
struct Windows<Length, Types<Ls...>> {
    using type = typename PrependEach<Types<Ls...>, typename Windows<Length - 1, Types<Ls...>>::padded>::type;
    using padded = typename PrependEach<Types<Ls..., BehindTheEnd>, typename Windows<Length - 1, Types<Ls..., BehindTheEnd>>::padded>::type;
};

/// Whether a pattern takes these neighbours, and what it makes of them.
template <class Pattern, class Window>
struct Claim;
template <class Pattern, class... Ls>
struct Claim<Pattern, Types<Ls...>> {
    static consteval bool takes() {
        if constexpr ((std::is_same_v<Ls, BehindTheEnd> || ...))
            return false;
        else
            return Pattern::template matches<Ls...>;
    }
    using type = typename Pattern::template type<Ls...>;
};

/// Where a unit's members have their states and rows.
template <class L, class P>
[[gnu::cold]] void list_members(void* state, LayerRows& rows, void** states_of_members, LayerRows** rows_of_members) {
    if constexpr (is_group<L>) {
        auto& group = *static_cast<LayerState<L, P>*>(state);
        for_each_index<L::Members::size>([&](auto i) {
            states_of_members[i] = &get<i>(group.members);
            rows_of_members[i] = &group.rows[i];
        });
    } else {
        *states_of_members = state;
        *rows_of_members = &rows;
    }
}

/// How a chain's links become units on policy P: single layers and groups.
template <class Links, class P>
struct Units;
template <class... Ls, class P>
struct Units<Types<Ls...>, P> {
    using Links = Types<Ls...>;
    using List = typename Groups<P>::type;
    static constexpr std::size_t link_count = sizeof...(Ls);

    struct Table {
        std::array<std::size_t, link_count + 1> first{};  // link with which unit u begins
        std::array<std::size_t, link_count> unit_of{};    // of link j
        std::array<std::size_t, link_count> pattern{};    // that made unit u
        std::size_t count = 0;
    };
    template <class... Ps>
    static consteval Table make_table(Patterns<Ps...>) {
        std::array<std::size_t, link_count> pattern{};  // the first that takes links from j on
        for (auto& p : pattern) p = sizeof...(Ps);
        std::size_t number = 0;
        (note<Ps>(typename Windows<Ps::length, Links>::type{}, number++, sizeof...(Ps), pattern), ...);
        const std::array<std::size_t, sizeof...(Ps) + 1> length{Ps::length..., 1};
        Table t;
        for (std::size_t j = 0; j < link_count;) {
            t.first[t.count] = j;
            t.pattern[t.count] = pattern[j];
            for (const std::size_t end = j + length[pattern[j]]; j < end; ++j) t.unit_of[j] = t.count;
            ++t.count;
        }
        t.first[t.count] = link_count;
        return t;
    }
    template <class Pattern, class... Ws>
    static consteval void note(Types<Ws...>, std::size_t number, std::size_t none, std::array<std::size_t, link_count>& pattern) {
        const std::array<bool, link_count> takes{Claim<Pattern, Ws>::takes()...};
        for (std::size_t j = 0; j < link_count; ++j)
            if (takes[j] && pattern[j] == none) pattern[j] = number;
    }
    static constexpr Table table = make_table(List{});
    static constexpr std::size_t count = table.count;

    /// The layer that unit U is: a link, or a group of links.
    template <std::size_t U, class Pattern = typename PatternAt<table.pattern[U], List>::type>
    using Layer = typename Claim<Pattern, TypeAt<table.first[U], typename Windows<Pattern::length, Links>::type>>::type;

    template <class Is>
    struct Packs;
    template <std::size_t... Us>
    struct Packs<std::index_sequence<Us...>> {
        using State = Objects<LayerState<Layer<Us>, P>...>;
        using Tape = Objects<LayerTape<Layer<Us>, P>...>;
        static constexpr std::array<Link, count> links{link_of<Layer<Us>, P>()...};
        static constexpr std::array<const UnitKind<P>*, count> kinds{&unit_kind<Layer<Us>, P>...};
        static constexpr std::array<void (*)(void*, LayerRows&, void**, LayerRows**), count> list_members{&detail::list_members<Layer<Us>, P>...};
    };
    using Of = Packs<std::make_index_sequence<count>>;
    using State = typename Of::State;
    using Tape = typename Of::Tape;

    static constexpr ChainSchedule<count> schedule = [] {
        ChainSchedule<count> s;
        make_schedule(std::span<const Link>(Of::links), s);
        return s;
    }();
};

/// The chain that a Sequential walks through.
template <class P>
struct SequentialChain final : Chain<P> {
    const UnitKind<P>* const* kinds;
    const std::byte* net;
    const std::ptrdiff_t* link_offsets;
    const std::size_t *first_link, *state_offsets, *tape_offsets;
    std::byte *states, *tapes;  // no tapes in inference
    const LayerRows* rows;

    template <class Units>
    SequentialChain(std::type_identity<Units>, std::span<const Shape> between, std::span<Planned<P>> memory, const std::byte* layers,
                    const std::ptrdiff_t* offsets, std::byte* of_units, std::byte* tapes_of_units, const LayerRows* rows_of_units)
        : Chain<P>(ScheduleView(Units::schedule), between, memory),
          kinds(Units::Of::kinds.data()),
          net(layers),
          link_offsets(offsets),
          first_link(Units::table.first.data()),
          state_offsets(Units::State::offsets.data()),
          tape_offsets(Units::Tape::offsets.data()),
          states(of_units),
          tapes(tapes_of_units),
          rows(rows_of_units) {}
    Unit<P> unit(std::size_t u) const override {
        return {kinds[u], net, link_offsets + first_link[u], states + state_offsets[u], tapes ? tapes + tape_offsets[u] : nullptr, rows + u};
    }
};

}  // namespace detail
}  // namespace dla
