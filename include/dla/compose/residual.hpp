// SPDX-License-Identifier: MIT
// A block and a way around it, added.
#pragma once

#include <dla/compose/fork_layer.hpp>
#include <dla/compose/repeat.hpp>
#include <dla/layers/activation.hpp>

namespace dla {

/// y = Act(Block(x) + Shortcut(x)) (He et al. 2016); Act works in place from its output: ReLU, Sigmoid or Tanh. Others stand behind the Residual.
/// Block and Shortcut must give the same shape. A projection "if the widths differ" is
/// `Residual<Block, Repeat<Linear<Dyn, Dyn>>>` with 0 or 1 copies. More than two branches, or others ways to join them: Parallel.
template <class Block, class Shortcut = Identity, class Act = Identity>
struct Residual : detail::ForkLayer<Residual<Block, Shortcut, Act>, Block, Shortcut> {
    static_assert(Layer<Block> && Layer<Shortcut> && Layer<Act>, "dla: Residual takes layers: Residual<Block, Shortcut = Identity, Act = Identity>");
    static_assert(
        std::is_same_v<Act, Identity> || (!detail::needs_of<Act, Reference<float>>().x && detail::in_place_of<Act>().forward &&
                                          std::is_empty_v<LayerState<Act, Reference<float>>> && std::is_empty_v<LayerTape<Act, Reference<float>>>),
        "dla: the activation of a Residual must work in place from its output (ReLU, Sigmoid, Tanh); put others behind it: Sequential<Residual<Block>, GELU>");

    Block block;
    Shortcut shortcut;
    [[no_unique_address]] Act activation;

    static constexpr Merge merge = Merge::add;
    static constexpr bool rectifies = detail::rectifies<Act>();
    static constexpr bool activates = !std::is_same_v<Act, Identity>;
    static constexpr bool masks = std::is_same_v<Act, ReLU>;  ///< a bit for each value is kept, instead of y
    template <class P>
    static constexpr Needs needs_on{.x = detail::needs_of<Block, P>().x || detail::needs_of<Shortcut, P>().x, .y = !masks && detail::needs_of<Act, P>().y};
    static constexpr bool mixes_samples = detail::mixes_samples<Block>() || detail::mixes_samples<Shortcut>() || detail::mixes_samples<Act>();

    constexpr Residual() = default;
    constexpr explicit Residual(const Block& b, const Shortcut& s = {}, const Act& a = {}) : block(b), shortcut(s), activation(a) {}

    [[gnu::cold]] constexpr Text name() const { return "Residual"; }
    template <class V>
    constexpr void attributes(V& v) const {
        if (activates) v("activation", activation.name());
    }

private:
    friend detail::ForkLayer<Residual, Block, Shortcut>;
    static constexpr bool rows_of_identities = false;
    static constexpr bool may_pass(std::size_t i) { return i == 1; }  // a block of 0 copies is there to be seen

    template <std::size_t I>
    constexpr const auto& branch() const {
        if constexpr (I == 0)
            return block;
        else
            return shortcut;
    }
    [[gnu::cold]] static constexpr Text branch_key(std::size_t i) { return i == 0 ? "block" : "shortcut"; }
    [[gnu::cold]] constexpr detail::BranchWords branch_words() const {
        return {[](std::size_t i) -> Text { return i == 0 ? "its block" : "its shortcut"; }, "Residual",
                detail::is_identity(shortcut) ? "keep the shape in the block or give the Residual a projection as shortcut"
                                              : "make both give the same shape"};
    }
    template <class P>
    static constexpr detail::SumActivation<P> sum_activation() {
        if constexpr (activates)
            return {detail::SumActivationOf<Act, P>::apply, detail::SumActivationOf<Act, P>::undo, masks, detail::in_place_of<Act>().backward};
        else
            return {};
    }
};

}  // namespace dla
