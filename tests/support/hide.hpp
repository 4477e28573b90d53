// SPDX-License-Identifier: MIT
// Wraps the layers of a network so that nothing is known about what they read and may overwrite: no buffer is shared. The plain way to compute the same.
#pragma once

#include <dla/nn.hpp>

namespace support {

/// A layer that does what L does, without `needs`, `in_place` and `is_view`.
template <class L>
struct Hidden {
    L layer;

    template <class P>
    using State = dla::LayerState<L, P>;
    template <class P>
    using Tape = dla::LayerTape<L, P>;
    static constexpr bool has_parameters = true;

    constexpr dla::Text name() const { return layer.name(); }
    constexpr dla::ShapeResult out_shape(dla::Shape s) const { return layer.out_shape(s); }
    template <class P, class Builder>
    State<P> build(Builder& b, const dla::Shape& s) const {
        return dla::build_layer<P>(layer, b, s);
    }
    template <class Claim, class Tape>
    void keep(const Claim& claim, Tape& tape, const dla::Shape& s, dla::index_t batch) const {
        if constexpr (requires { layer.keep(claim, tape, s, batch); }) layer.keep(claim, tape, s, batch);
    }
    template <class P>
    dla::index_t scratch(const P& policy, const dla::Shape& s, dla::index_t batch, dla::Pass pass) const {
        return dla::scratch_of(layer, policy, s, batch, pass);
    }
    template <class P>
    void infer(dla::Context<P>& c, const State<P>& state, dla::ConstView<P> x, dla::View<P> y) const {
        dla::infer_layer<P>(layer, c, state, x, y);
    }
    template <class P>
    void forward(dla::Context<P>& c, State<P>& state, dla::ConstView<P> x, dla::View<P> y, Tape<P>& tape) const {
        dla::forward_layer<P>(layer, c, state, x, y, tape);
    }
    template <class P>
    void backward(dla::Context<P>& c, State<P>& state, dla::ConstView<P> x, dla::ConstView<P> y, dla::ConstView<P> dy, dla::View<P> dx, Tape<P>& tape) const {
        if (dx || dla::detail::has_parameters<L, P>()) dla::backward_layer<P>(layer, c, state, x, y, dy, dx, tape);
    }
};

template <class L>
auto hide(const L& layer) {
    return Hidden<L>{layer};
}
template <class... Ls>
auto hide(const dla::Sequential<Ls...>& net);
template <class B, class S, class A>
auto hide(const dla::Residual<B, S, A>& net);
template <class... Ls>
auto hide(const dla::Repeat<Ls...>& net);
template <class J, class... Bs>
auto hide(const dla::Parallel<J, Bs...>& net);
inline dla::Identity hide(const dla::Identity& itself) { return itself; }  // as the shortcut of a Residual, below

template <class... Ls>
auto hide(const dla::Sequential<Ls...>& net) {
    return [&]<std::size_t... Is>(std::index_sequence<Is...>) { return dla::Sequential<decltype(hide(get<Is>(net.layers)))...>(hide(get<Is>(net.layers))...); }
    (std::index_sequence_for<Ls...>{});
}
template <class B, class S, class A>
auto hide(const dla::Residual<B, S, A>& net) {
    const auto block = hide(net.block);
    // An Identity is told from other layers by what it says of itself: hiding it would make it a shortcut with a buffer.
    if constexpr (std::is_same_v<S, dla::Identity>) {
        return dla::Residual<std::remove_const_t<decltype(block)>, S, A>(block, net.shortcut, net.activation);
    } else {
        const auto shortcut = hide(net.shortcut);
        return dla::Residual<std::remove_const_t<decltype(block)>, std::remove_const_t<decltype(shortcut)>, A>(block, shortcut, net.activation);
    }
}
template <class J, class... Bs>
auto hide(const dla::Parallel<J, Bs...>& net) {
    return [&]<std::size_t... Is>(std::index_sequence<Is...>) {
        return dla::Parallel<J, std::remove_const_t<decltype(hide(get<Is>(net.branches)))>...>(hide(get<Is>(net.branches))...);
    }
    (std::index_sequence_for<Bs...>{});
}
template <class... Ls>
auto hide(const dla::Repeat<Ls...>& net) {
    dla::Repeat<decltype(hide(std::declval<const Ls&>()))...> hidden;
    for (const auto& block : net.blocks) hidden.blocks.push_back(hide(block));
    return hidden;
}

}  // namespace support
