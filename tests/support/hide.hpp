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
    using State = typename L::template State<P>;
    template <class P>
    using Tape = typename L::template Tape<P>;
    static constexpr bool has_parameters = true;

    constexpr dla::Text name() const { return layer.name(); }
    constexpr dla::ShapeResult out_shape(dla::Shape s) const { return layer.out_shape(s); }
    template <class P, class Builder>
    State<P> build(Builder& b, const dla::Shape& s) const {
        return layer.template build<P>(b, s);
    }
    template <class Plan, class P>
    void rehearse_forward(Plan& plan, const P& state, const dla::Shape& in, dla::index_t batch, auto& tape) const {
        if constexpr (requires { layer.rehearse_forward(plan, state, in, batch, tape); }) layer.rehearse_forward(plan, state, in, batch, tape);
    }
    template <class Plan, class P>
    void rehearse_backward(Plan& plan, const P& state, const dla::Shape& in, dla::index_t batch, auto& tape, bool want_dx) const {
        if constexpr (requires { layer.rehearse_backward(plan, state, in, batch, tape, want_dx); })
            layer.rehearse_backward(plan, state, in, batch, tape, want_dx);
    }
    template <class Plan, class P>
    void rehearse_infer(Plan& plan, const P& state, const dla::Shape& in, dla::index_t batch) const {
        if constexpr (requires { layer.rehearse_infer(plan, state, in, batch); }) layer.rehearse_infer(plan, state, in, batch);
    }
    template <class P>
    void infer(dla::Context<P>& c, const State<P>& state, dla::ConstView<P> x, dla::View<P> y) const {
        layer.infer(c, state, x, y);
    }
    template <class P>
    void forward(dla::Context<P>& c, State<P>& state, dla::ConstView<P> x, dla::View<P> y, Tape<P>& tape) const {
        layer.forward(c, state, x, y, tape);
    }
    template <class P>
    void backward(dla::Context<P>& c, State<P>& state, dla::ConstView<P> x, dla::ConstView<P> y, dla::ConstView<P> dy, dla::View<P> dx, Tape<P>& tape) const {
        layer.backward(c, state, x, y, dy, dx, tape);
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
template <class L>
auto hide(const dla::Repeat<L>& net);

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
template <class L>
auto hide(const dla::Repeat<L>& net) {
    dla::Repeat<decltype(hide(std::declval<const L&>()))> hidden;
    for (const L& block : net.blocks) hidden.blocks.push_back(hide(block));
    return hidden;
}

}  // namespace support
