// SPDX-License-Identifier: MIT
// Memory shared between layers changes no bit and no gradient: networks put together by random numbers.
#include <doctest/doctest.h>

#include <compose/check_network.hpp>

using namespace dla;

namespace {

// Layers on [features] that keep their number, so that any of them may follow any other.
constexpr index_t width = 5;
template <std::uint32_t Seed, int Depth>
struct Chosen;

constexpr std::uint32_t draw(std::uint32_t seed, std::uint32_t place) { return philox4x32({seed, place, 0, 0}, {2024, 1})[0]; }

template <std::uint32_t Kind, std::uint32_t Seed, int Depth>
auto choose() {
    constexpr std::uint32_t kind = Kind % (Depth > 0 ? 18 : 13);
    if constexpr (kind == 0 || kind == 1)
        return Linear<Dyn, width>{};
    else if constexpr (kind == 2)
        return ReLU{};
    else if constexpr (kind == 3)
        return Sigmoid{};
    else if constexpr (kind == 4)
        return GELU{};
    else if constexpr (kind == 5)
        return Tanh{};
    else if constexpr (kind == 6)
        return BatchNorm1d<>{};
    else if constexpr (kind == 7)
        return LayerNorm<>{};
    else if constexpr (kind == 8)
        return Identity{};
    else if constexpr (kind == 9)
        return Flatten{};
    else if constexpr (kind == 10)
        return Dropout{.p = 0.25};
    else if constexpr (kind == 11)
        return Softmax<1>{};
    else if constexpr (kind == 12)
        return SiLU{};
    else if constexpr (kind == 13)
        return typename Chosen<draw(Seed, 101), Depth - 1>::type{};
    else if constexpr (kind == 14)
        return Residual<typename Chosen<draw(Seed, 102), Depth - 1>::type>{};
    else if constexpr (kind == 15)
        return Residual<typename Chosen<draw(Seed, 103), Depth - 1>::type, typename Chosen<draw(Seed, 104), Depth - 1>::type, ReLU>{};
    else if constexpr (kind == 16)
        return Repeat<typename Chosen<draw(Seed, 105), Depth - 1>::type>(static_cast<int>(Seed % 4));
    else
        return Residual<Linear<Dyn, width>, Repeat<Linear<Dyn, width>>, Tanh>({}, Repeat<Linear<Dyn, width>>(static_cast<int>(Seed % 2)));
}

template <std::uint32_t Seed, int Depth>
struct Chosen {
    static auto make() {
        return []<std::size_t... Is>(std::index_sequence<Is...>) { return Sequential(choose<draw(Seed, Is), draw(Seed, 50 + Is), Depth>()...); }
        (std::make_index_sequence<(Depth > 0 ? 3 : 1) + draw(Seed, 99) % 3>{});
    }
    using type = decltype(make());
};

template <std::uint32_t Seed>
void check_random() {
    const auto net = Chosen<Seed, 2>::make();
    const index_t batch = 2 + Seed % 4;
    check_network("random " + std::to_string(Seed), net, Shape{width}, batch);
}

template <std::uint32_t First, std::uint32_t... Seeds>
void check_random_all(std::integer_sequence<std::uint32_t, Seeds...>) {
    (check_random<First + Seeds>(), ...);
}

}  // namespace

TEST_CASE("random networks") { check_random_all<1>(std::make_integer_sequence<std::uint32_t, 12>{}); }
