// SPDX-License-Identifier: MIT
// The shape of one sample, known to the compiler or not, and the sentence with which a layer refuses one.
#pragma once

#include <dla/core/index.hpp>
#include <dla/core/text.hpp>

#include <concepts>
#include <cstdint>
#include <limits>

namespace dla {

/// Most values that a sample, a batch between two layers, or all parameters together may have: 2^40. What is larger is refused where it enters, so that no
/// sum of sizes or bytes behind that overflows.
inline constexpr index_t max_values = index_t{1} << 40;

/// a * b and a + b of sizes (0 or more), or the largest index_t where that is too small. For sizes that nobody has checked yet.
constexpr index_t saturating_mul(index_t a, index_t b) {
    index_t product = 0;
    return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<index_t>::max() : product;
}
/// a + b likewise.
constexpr index_t saturating_add(index_t a, index_t b) {
    index_t sum = 0;
    return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<index_t>::max() : sum;
}

/// A size that is not written in the type: taken from the data or set at run time.
inline constexpr index_t Dyn = -1;

/// Equal, or one of the two is not known yet.
constexpr bool compatible(index_t a, index_t b) { return a == b || a == Dyn || b == Dyn; }

/// The first of two sizes that is known.
constexpr index_t known(index_t a, index_t b) { return a != Dyn ? a : b; }

/// How the values of a sample lie in memory, whatever the order of the axes in its shape; PyTorch's memory formats. `contiguous`: as the shape is written, the
/// last axis fastest. `channels_last`: the first axis fastest, and the others as written before it: [channels, height, width] as (height, width, channels).
enum class MemoryOrder { contiguous, channels_last };

/// Shape of ONE sample, channels first: `{features}`, `{rows, features}` or `{channels, height, width}`; the batch is not part of it.
/// Rank 0 means "not known at all". Three axes are an image with channels last in memory, which convolutions want; `Shape{3, 32, 32}.contiguous()`
/// are three axes that lie as they are written. All others are contiguous, but for the features of a flattened image, which stay in its order: rank 1 with
/// channels last, height and width in d[1] and d[2].
struct Shape {
    int rank = 0;
    index_t d[3]{};
    MemoryOrder order = MemoryOrder::contiguous;

    constexpr Shape() = default;
    constexpr Shape(index_t features) : rank(1), d{features, 0, 0} {}
    constexpr Shape(index_t rows, index_t features) : rank(2), d{rows, features, 0} {}
    constexpr Shape(index_t channels, index_t height, index_t width) : rank(3), d{channels, height, width}, order(MemoryOrder::channels_last) {}

    /// The same axes, their values in memory as they are written: of a flattened image features in (channels, height, width) order.
    constexpr Shape contiguous() const {
        Shape s = *this;
        s.order = MemoryOrder::contiguous;
        if (rank == 1) s.d[1] = s.d[2] = 0;
        return s;
    }
    /// Three axes with the first one, channels, fastest in memory.
    constexpr Shape channels_last() const { return rank == 3 ? Shape{d[0], d[1], d[2]} : *this; }
    /// All axes in one, every value where it is: the features of an image keep its order in memory where that is not the one of (channels, height, width).
    constexpr Shape flattened() const {
        Shape flat(size());
        if (is_image() && d[0] != 1 && d[1] > 0 && d[2] > 0 && (d[1] > 1 || d[2] > 1)) flat.d[1] = d[1], flat.d[2] = d[2], flat.order = order;
        return flat;
    }
    /// [channels, height, width] with channels last in memory.
    constexpr bool is_image() const { return rank == 3 && order == MemoryOrder::channels_last; }

    /// Number of values (the largest index_t if they are more), or Dyn if an axis is unknown.
    constexpr index_t size() const {
        if (rank == 0) return Dyn;
        index_t n = 1;
        for (int i = 0; i < rank; ++i) {
            if (d[i] == Dyn) return Dyn;
            n = saturating_mul(n, d[i]);
        }
        return n;
    }
    /// The known axes alone give more than max_values values.
    constexpr bool is_too_large() const {
        index_t n = 1;
        for (int i = 0; i < rank; ++i)
            if (d[i] != Dyn) n = saturating_mul(n, d[i]);
        return n > max_values;
    }
    constexpr bool is_known() const { return rank != 0 && size() != Dyn; }

    /// Rank 1 made from an image whose positions (height x width) are more than one, so that memory order differs from channels first.
    constexpr bool is_flattened_image() const { return rank == 1 && order == MemoryOrder::channels_last; }

    /// Same rank and same axes (and same memory order of the features).
    constexpr bool operator==(const Shape&) const = default;
};

/// Same rank, and each axis equal or unknown in one of the two. A shape of rank 0 fits everything.
constexpr bool compatible(const Shape& a, const Shape& b) {
    if (a.rank == 0 || b.rank == 0) return true;
    if (a.rank != b.rank) return false;
    for (int i = 0; i < a.rank; ++i)
        if (!compatible(a.d[i], b.d[i])) return false;
    return a.order == b.order || (a.rank == 1 && (!a.is_known() || !b.is_known()));
}

/// `512`, or `Dyn`.
[[gnu::cold]] constexpr Text dim_text(index_t n) { return n == Dyn ? Text("Dyn") : text(n); }

/// `[64, 2, 2]`; where three axes are not an image `[64, 2, 2] (contiguous)`.
[[gnu::cold]] constexpr Text to_text(const Shape& s) {
    if (s.rank == 0) return "[unknown]";
    Text t("[");
    for (int i = 0; i < s.rank; ++i) t.append(i ? ", " : "").append(dim_text(s.d[i]));
    return t.append(s.rank == 3 && !s.is_image() ? "] (contiguous)" : "]");
}

/// With a batch in front: `[128, 32, 14, 14]`.
constexpr Text to_text(const Shape& s, index_t batch) { return text("[", batch, ", ").append(to_text(s).view().substr(1)); }

/// For Shapes alone: a number becomes one too easily, and `stream << 1.5` would be ambiguous.
template <class Stream, std::same_as<Shape> S>
auto operator<<(Stream& out, const S& s) -> decltype(out << to_text(s).view()) {
    return out << to_text(s).view();
}

/// The output shape of a layer, or why there is none. A shape with more than max_values values is none.
struct ShapeResult {
    Shape shape;
    Text why;             ///< empty when the input is accepted
    bool nested = false;  ///< a layer inside refused, and `why` is already its whole sentence
    bool unset = false;   ///< a size is missing that may be given at run time: no reason to refuse the type
    [[gnu::cold]] constexpr ShapeResult(const Shape& s) : shape(s) {
        if (s.is_too_large()) why = text("a sample ", to_text(s), " has more than ", max_values, " values (2^40)");
    }
    constexpr explicit ShapeResult(const Text& reason, bool inside = false) : why(reason), nested(inside) {}
    constexpr bool ok() const { return why.empty(); }
    /// The same refusal as a container reports it.
    constexpr ShapeResult inside(const Text& sentence) const {
        ShapeResult result(sentence, true);
        result.unset = unset;
        return result;
    }
};

/// What a layer's `out_shape` returns for an input it cannot take, e.g. `refuse("expected ", 512)`.
template <class... Parts>
[[gnu::cold]] constexpr ShapeResult refuse(const Parts&... parts) {
    return ShapeResult(text(parts...));
}

/// The same for a layer that lacks a size which can be set at run time: as a type it may stand in a network.
template <class... Parts>
[[gnu::cold]] constexpr ShapeResult refuse_unset(const Parts&... parts) {
    ShapeResult result(text(parts...));
    result.unset = true;
    return result;
}

/// `Linear<512, 10> refuses input [64, 2, 2] (256 values): expected 512`.
[[gnu::cold]] constexpr Text refusal(const Text& layer, const Shape& in, const Text& why) {
    Text t = text(layer, " refuses input ", to_text(in));
    if (in.rank > 1 && in.is_known()) t.append(" (").append(in.size()).append(" values)");
    return t.append(": ").append(why);
}

/// The whole sentence of a refusal, whoever refused.
[[gnu::cold]] constexpr Text refusal(const Text& layer, const Shape& in, const ShapeResult& result) {
    return result.nested ? result.why : refusal(layer, in, result.why);
}

}  // namespace dla
