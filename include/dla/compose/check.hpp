// SPDX-License-Identifier: MIT
// Refuses a network whose shapes do not fit while it is being compiled, with the sentence that build would throw.
#pragma once

#include <dla/layers/calls.hpp>

namespace dla::detail {

/// Exactly as many characters as a sentence has, so that the compiler prints no more than that.
template <std::size_t N>
struct Line {
    char text[N + 1]{};
    constexpr std::size_t size() const { return N; }
    constexpr const char* data() const { return text; }
};

/// Names the sentence in the compiler's list of instantiations. Compilers cut long strings (clang after 32 characters), so clang gets pieces.
template <bool Fits, Line... Sentence>
struct NetworkCheck {
    static_assert(Fits, "dla: the shapes of this network do not fit; the sentence stands in the line that names NetworkCheck<false, ...>");
    static constexpr bool passed = true;
};

template <class Net, Shape Input>
struct ShapeCheck {
    static constexpr ShapeResult result = checked_out_shape(Net{}, Input);

    template <std::size_t From, std::size_t Count>
    static consteval auto piece() {
        constexpr Text whole = refusal(Net{}.name(), Input, result);
        constexpr std::size_t left = whole.length > From ? whole.length - From : 0;
        Line<(left < Count ? left : Count)> line;
        for (std::size_t i = 0; i < line.size(); ++i) line.text[i] = whole.chars[From + i];
        return line;
    }
    /// `by_type`: nothing will be set at run time.
    template <bool by_type = false>
    static consteval bool check() {
        if constexpr (result.ok() || (result.unset && !by_type)) {
            return true;
        } else {
#if defined(__clang__)
            return NetworkCheck<false, piece<0, 31>(), piece<31, 31>(), piece<62, 31>(), piece<93, 31>(), piece<124, 31>(), piece<155, 31>(),
                                piece<186, 31>()>::passed;
#else
            return NetworkCheck<false, piece<0, Text::capacity>()>::passed;
#endif
        }
    }
};

/// Output shape of `net` for samples of shape `input`. Throws Error(shape) when that is not known, does not fit what was `declared`, or is refused.
template <class Net>
[[gnu::cold]] Shape checked_output(const Net& net, const Shape& input, const Shape& declared) {
    if (!compatible(input, declared)) fail(ErrorCode::shape, "model", text("built for input ", to_text(declared), "; got ", to_text(input)).view());
    if (!input.is_known())
        fail(ErrorCode::shape, "model",
             text("the input shape ", to_text(input), " is not known; give it: Model<Net, Shape{3, 32, 32}> or Model(net, Shape{3, 32, 32}, seed)").view());
    for (int i = 0; i < input.rank; ++i)
        if (input.d[i] < 1)
            fail(ErrorCode::shape, "model", text("the input shape ", to_text(input), " has an empty axis; expected sizes of at least 1").view());
    const ShapeResult out = input.is_too_large() ? ShapeResult(input) : checked_out_shape(net, input);
    if (!out.ok()) fail(ErrorCode::shape, "network", refusal(net.name(), input, out).view());
    return out.shape;
}

}  // namespace dla::detail
