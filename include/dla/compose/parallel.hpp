// SPDX-License-Identifier: MIT
// Branches that take the same input, and how their outputs become one.
#pragma once

#include <dla/compose/fork_layer.hpp>
#include <dla/core/pack.hpp>

namespace dla {

/// The branches' outputs added up; all have the same shape.
struct Add {
    static constexpr Merge merge = Merge::add;
    static constexpr const char* text = "add";
    static constexpr const char* advice = "make all branches give the same shape, or join them with Concat";
};
/// The branches' outputs next to each other along channels, PyTorch's torch.cat(.., dim=1); otherwise they have the same shape.
struct Concat {
    static constexpr Merge merge = Merge::concat;
    static constexpr const char* text = "concat";
    static constexpr const char* advice = "they may differ in channels, the first axis, alone";
};
/// The outputs of two branches multiplied; the second has the shape of the first, or, where that are images [C, H, W], one value for each channel: [C] or
/// [C, 1, 1] (the gate of a squeeze-and-excitation block).
struct Multiply {
    static constexpr Merge merge = Merge::multiply;
    static constexpr const char* text = "multiply";
    static constexpr const char* advice = "give the second the shape of the first, or one value for each channel of its images";
};

/// y = Join(branch_0(x), branch_1(x), ...) with Join one of Add, Concat and Multiply. The branches are layers or networks; Identity passes x on. Children are
/// numbered 0, 1, ... in paths, as those of a torch.nn.ModuleList. An Inception block, a dense block and a step of a U-Net:
/// `Parallel<Concat, Conv2d<64, 32, 1>, Sequential<Conv2d<64, 16, 1>, ReLU, Conv2d<16, 32, 3>>>`, `Parallel<Concat, Identity, Block>`,
/// `Parallel<Concat, Identity, Sequential<MaxPool2d<2>, Inner, Upsample2d<2>>>`.
template <class Join, class... Branches>
struct Parallel : detail::ForkLayer<Parallel<Join, Branches...>, Branches...> {
    static_assert(
        requires {
            { Join::merge } -> std::convertible_to<Merge>;
        }, "dla: Parallel takes how to join first: Parallel<Concat, Branch, Branch>, or Add, or Multiply");
    static_assert(sizeof...(Branches) >= 2, "dla: Parallel needs at least two branches; Identity is the one that passes its input on");
    static_assert((Layer<Branches> && ...), "dla: every branch of a Parallel must be a layer; see dla::Layer in <dla/layers/concept.hpp>");
    static_assert(Join::merge != Merge::multiply || sizeof...(Branches) == 2,
                  "dla: Parallel<Multiply, ...> takes two branches, of which the second may be a gate");

    static constexpr Merge merge = Join::merge;

    Pack<Branches...> branches;

    /// A product reads what passes by a branch that does nothing.
    template <class P>
    static constexpr Needs needs_on{
        .x = ((detail::needs_of<Branches, P>().x || (merge == Merge::multiply && requires(const Branches& b) { b.is_identity(); })) || ...), .y = false};

    constexpr Parallel() = default;
    constexpr explicit Parallel(const Branches&... bs) : Parallel(std::index_sequence_for<Branches...>{}, bs...) {}

    [[gnu::cold]] constexpr Text name() const { return "Parallel"; }
    template <class V>
    constexpr void attributes(V& v) const {
        v("join", Text(Join::text));
    }

private:
    friend detail::ForkLayer<Parallel, Branches...>;
    static constexpr bool rows_of_identities = true;
    static constexpr bool may_pass(std::size_t) { return true; }

    template <std::size_t... Is>
    constexpr Parallel(std::index_sequence<Is...>, const Branches&... bs) {
        ((get<Is>(branches) = bs), ...);
    }

    template <std::size_t I>
    constexpr const auto& branch() const {
        return get<I>(branches);
    }
    [[gnu::cold]] static constexpr Text branch_key(std::size_t i) { return text(i); }
    [[gnu::cold]] static constexpr detail::BranchWords branch_words() { return {[](std::size_t i) { return text("branch ", i); }, "Parallel", Join::advice}; }
    template <class P>
    static constexpr detail::SumActivation<P> sum_activation() {
        return {};
    }
};

}  // namespace dla
