// SPDX-License-Identifier: MIT
// The seam for fusion: patterns of a policy of one's own.
#include <doctest/doctest.h>

#include <support/fused.hpp>

using namespace dla;
using support::Plain, support::train;

namespace {

/// Claims a single layer.
struct Alone : Cpu<float> {};
struct OwnTanh : Group<Tanh> {
    static constexpr Needs needs{.x = false, .y = true};
    static constexpr InPlace in_place{.forward = true, .backward = true};
    template <class P>
    using State = typename Group<Tanh>::template State<P>;
    template <class P>
    void infer(Context<P>& c, const State<P>&, ConstView<P> x, View<P> y) const {
        member<0>().infer(c, x, y);
    }
    template <class P>
    void backward(Context<P>& c, State<P>&, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> dx) const {
        member<0>().backward(c, x, y, dy, dx);
    }
};
struct AlonePattern {
    static constexpr std::size_t length = 1;
    template <class L>
    static constexpr bool matches = std::is_same_v<L, Tanh>;
    template <class L>
    using type = OwnTanh;
};

}  // namespace

template <>
struct dla::Groups<Alone> {
    using type = Patterns<AlonePattern>;
};

namespace {

/// Claims to work in place over layers that change the size.
struct Liar : Cpu<float> {};
template <class L>
struct Overwrites : Group<L> {
    static constexpr Needs needs{.x = false, .y = false};
    static constexpr InPlace in_place{.forward = true, .backward = true};
    template <class P>
    using State = typename Group<L>::template State<P>;
    template <class P>
    void infer(Context<P>&, const State<P>&, ConstView<P>, View<P>) const {}
    template <class P>
    void backward(Context<P>&, State<P>&, ConstView<P>, ConstView<P>, ConstView<P>, View<P>) const {}
};
struct LiarPattern {
    static constexpr std::size_t length = 1;
    template <class L>
    static constexpr bool matches = std::is_same_v<L, Linear<>>;
    template <class L>
    using type = Overwrites<L>;
};

}  // namespace

template <>
struct dla::Groups<Liar> {
    using type = Patterns<LiarPattern>;
};

TEST_CASE("a group that works in place and changes the size is refused") {
    using Net = Sequential<Linear<Dyn, 6>, Linear<>>;
    for (const index_t out : {6, 4096}) {
        Net net;
        get<1>(net.layers).out = out;
        const auto build = [&] { Model<Net, Shape{}, Liar>(net, Shape{5}, Seed{1}); };
        if (out == 6)
            build();
        else
            CHECK_THROWS_WITH_AS(
                build(), "error[shape] network: a group that works in place (in_place) or is a view makes [4096] of [6], which has another size", Error);
    }
}

TEST_CASE("a pattern may take a single layer") {
    using Net = Sequential<Linear<Dyn, 6>, Tanh, Linear<Dyn, 3>>;
    static_assert(std::is_same_v<typename Net::Units<Alone>::Layer<1>, OwnTanh>);
    static_assert(std::is_same_v<typename Net::Units<Plain>::Layer<1>, Tanh>);
    CHECK(support::same_bits(train<Alone>(Net{}, Shape{5}, 7, false, false, 1).weights, train<Plain>(Net{}, Shape{5}, 7, false, false, 1).weights));
}
