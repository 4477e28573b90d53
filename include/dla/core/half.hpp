// SPDX-License-Identifier: MIT
// Two 16-bit floating-point types, bfloat16 and IEEE binary16, that store values and leave all arithmetic to float.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace dla {
namespace detail {

/// Rounds a float or double once, to nearest with ties to even, to a sign, 15 - Fraction bits of exponent and Fraction bits of fraction. Beyond the largest
/// finite value by half a unit or more: infinity. A NaN keeps its sign and the top of its payload and becomes quiet.
template <int Fraction, std::floating_point Source>
constexpr std::uint16_t round_to_half(Source x) {
    using Word = std::conditional_t<sizeof(Source) == 4, std::uint32_t, std::uint64_t>;
    constexpr int from = std::numeric_limits<Source>::digits - 1, cut = from - Fraction;
    constexpr int bias = (1 << (14 - Fraction)) - 1, offset = std::numeric_limits<Source>::max_exponent - 1 - bias;
    constexpr Word infinity = Word{0x7fff} >> Fraction << Fraction;  // in the narrow format
    constexpr Word sign_bit = Word{1} << (8 * sizeof(Word) - 1);
    const Word bits = std::bit_cast<Word>(x), magnitude = bits & ~sign_bit;
    const Word sign = (bits & sign_bit) >> (8 * sizeof(Word) - 16);
    const auto shifted = [](Word value, int by) {  // value / 2^by, to nearest even
        return (value + (Word{1} << (by - 1)) - 1 + (value >> by & 1)) >> by;
    };
    Word narrow = 0;
    if (magnitude > Word{2 * (bias + offset) + 1} << from) {  // NaN, also where the compiler has been told that there is none
        narrow = infinity | Word{1} << (Fraction - 1) | (magnitude >> cut & ((Word{1} << Fraction) - 1));
    } else if (offset == 0 || magnitude >= Word{offset + 1} << from) {
        // The carry of the fraction runs into the exponent, as it should; what leaves the finite numbers is infinity.
        narrow = shifted(magnitude - (Word{offset} << from), cut);
        if (narrow > infinity) narrow = infinity;
    } else {  // below the normal numbers: fewer digits, hence more to cut. Source's own subnormal numbers are much smaller than half a step.
        const int by = cut + offset + 1 - static_cast<int>(magnitude >> from);
        if (by <= from + 1) narrow = shifted((magnitude & ((Word{1} << from) - 1)) | Word{1} << from, by);
    }
    return static_cast<std::uint16_t>(sign | narrow);
}

}  // namespace detail

/// A 16-bit floating-point number: a sign, `Exponent` bits of exponent, `Fraction` bits of fraction, with subnormal numbers, infinities and NaN.
/// From float and double it is explicit and rounded once (to nearest, ties to even); to float, which holds every value exactly, it is implicit. Sums,
/// products and comparisons are therefore float's, and nothing becomes narrow again without being told to.
template <int Exponent, int Fraction>
class Half {
    static_assert(Exponent + Fraction == 15);

public:
    constexpr Half() = default;
    constexpr explicit Half(float x) : bits_(detail::round_to_half<Fraction>(x)) {}
    constexpr explicit Half(double x) : bits_(detail::round_to_half<Fraction>(x)) {}
    /// Integers of up to 32 bits, which double holds exactly.
    template <std::integral Integer>
    requires(sizeof(Integer) <= 4) constexpr explicit Half(Integer x) : Half(static_cast<double>(x)) {}

    constexpr operator float() const {
        constexpr int wider = 23 - Fraction, offset = 128 - (1 << (Exponent - 1));  // of the fraction; of the exponent
        const std::uint32_t sign = std::uint32_t{bits_} >> 15 << 31, magnitude = bits_ & 0x7fffu;
        if (magnitude >= infinity_bits) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude - infinity_bits) << wider);
        if (offset == 0 || magnitude >> Fraction != 0) return std::bit_cast<float>(sign | ((magnitude << wider) + (static_cast<std::uint32_t>(offset) << 23)));
        constexpr float step = std::bit_cast<float>(static_cast<std::uint32_t>(offset + 1 - Fraction) << 23);  // the smallest positive value
        return (sign != 0 ? -step : step) * static_cast<float>(magnitude);
    }

    /// The 16 bits as they lie in memory, and the number that has them.
    constexpr std::uint16_t bits() const { return bits_; }
    static constexpr Half from_bits(std::uint16_t bits) {
        Half h;
        h.bits_ = bits;
        return h;
    }

private:
    static constexpr std::uint32_t infinity_bits = 0x7fffu >> Fraction << Fraction;
    std::uint16_t bits_;
};

/// bfloat16: the upper half of a float. Range of float, 8 significant bits.
using bf16 = Half<8, 7>;
/// IEEE 754 binary16: 11 significant bits, up to 65504.
using f16 = Half<5, 10>;

}  // namespace dla

/// As of any IEEE type; what the two formats share with float is inherited.
template <int Exponent, int Fraction>
class std::numeric_limits<dla::Half<Exponent, Fraction>> : public std::numeric_limits<float> {
    using Half = dla::Half<Exponent, Fraction>;
    static constexpr std::uint16_t infinite = (1 << 15) - (1 << Fraction);

public:
    static constexpr int digits = Fraction + 1, digits10 = Fraction * 30103 / 100000, max_digits10 = 2 + digits * 30103 / 100000;
    static constexpr int max_exponent = 1 << (Exponent - 1), min_exponent = 3 - max_exponent;
    static constexpr int max_exponent10 = max_exponent * 30103 / 100000, min_exponent10 = (min_exponent - 1) * 30103 / 100000;
    static constexpr Half min() { return Half::from_bits(1 << Fraction); }
    static constexpr Half max() { return Half::from_bits(infinite - 1); }
    static constexpr Half lowest() { return Half::from_bits(0x8000 | (infinite - 1)); }
    static constexpr Half denorm_min() { return Half::from_bits(1); }
    static constexpr Half epsilon() { return Half(1.0f / (1 << Fraction)); }
    static constexpr Half round_error() { return Half(0.5f); }
    static constexpr Half infinity() { return Half::from_bits(infinite); }
    static constexpr Half quiet_NaN() { return Half::from_bits(infinite | 1 << (Fraction - 1)); }
    static constexpr Half signaling_NaN() { return Half::from_bits(infinite | 1 << (Fraction - 2)); }
};
