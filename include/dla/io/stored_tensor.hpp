// SPDX-License-Identifier: MIT
// What a safetensors file holds: named arrays of some types, and texts.
#pragma once

#include <dla/core/half.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace dla {

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian, and bytes are copied here as they are");

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"  // g++ 12 takes the members of a scoped enumeration for names that hide dla::f16 and dla::bf16
/// Element types a file may hold.
enum class StoredType { f32, f64, i32, i64, u8, f16, bf16 };
#pragma GCC diagnostic pop

/// All of them, in their order.
inline constexpr StoredType all_stored_types[] = {StoredType::f32, StoredType::f64, StoredType::i32, StoredType::i64,
                                                  StoredType::u8,  StoredType::f16, StoredType::bf16};

/// `F32`, as headers of files call it.
constexpr std::string_view to_string(StoredType type) {
    constexpr std::string_view names[] = {"F32", "F64", "I32", "I64", "U8", "F16", "BF16"};
    return names[static_cast<int>(type)];
}

/// Bytes of one element.
constexpr std::uint64_t size_of(StoredType type) {
    constexpr std::uint64_t sizes[] = {4, 8, 4, 8, 1, 2, 2};
    return sizes[static_cast<int>(type)];
}

/// The type of a file's elements that T is.
template <class T>
constexpr StoredType stored_type() {
    if constexpr (std::is_same_v<T, float>)
        return StoredType::f32;
    else if constexpr (std::is_same_v<T, double>)
        return StoredType::f64;
    else if constexpr (std::is_same_v<T, std::int32_t>)
        return StoredType::i32;
    else if constexpr (std::is_same_v<T, std::int64_t>)
        return StoredType::i64;
    else if constexpr (std::is_same_v<T, f16>)
        return StoredType::f16;
    else if constexpr (std::is_same_v<T, bf16>)
        return StoredType::bf16;
    else {
        static_assert(std::is_same_v<T, std::uint8_t>, "stored types are float, double, int32_t, int64_t, uint8_t, dla::f16 and dla::bf16");
        return StoredType::u8;
    }
}

/// One array of a file. It views its bytes: whoever owns them must outlive it.
struct StoredTensor {
    std::string name;
    StoredType type = StoredType::f32;
    std::vector<std::int64_t> shape;  ///< empty: a single value
    std::span<const std::byte> bytes;
};

/// A StoredTensor over `values`; that their number is the product of `shape` is checked when it is written.
template <class T>
StoredTensor stored_tensor(std::string name, std::vector<std::int64_t> shape, std::span<const T> values) {
    return {std::move(name), stored_type<T>(), std::move(shape), std::as_bytes(values)};
}
/// Refused: the tensor would view the values of a temporary.
template <class T>
StoredTensor stored_tensor(std::string, std::vector<std::int64_t>, const std::vector<std::type_identity_t<T>>&&) = delete;

/// `values` as numbers of another type, rounded once, to nearest with ties to even. To write them in half the bytes: `stored_tensor<bf16>(name, shape, half)`
/// of `rounded<bf16>(values)`.
template <class To, class T>
std::vector<To> rounded(std::span<const T> values) {
    std::vector<To> to(values.size());
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = static_cast<To>(values[i]);
    return to;
}

/// Whether floating-point numbers of a file may become wider ones. No value changes, but the file is not what the reader would have written.
enum class Widening { refuse, allow };

/// Names and texts that a file carries besides its tensors.
using StoredMetadata = std::map<std::string, std::string>;

namespace detail {

/// The product of the axes times the element size; nothing when an axis is negative or the product does not fit.
inline std::optional<std::uint64_t> checked_bytes(std::span<const std::int64_t> shape, StoredType type) {
    std::uint64_t bytes = size_of(type);
    for (const std::int64_t axis : shape)
        if (axis < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(axis), &bytes)) return std::nullopt;
    return bytes;
}

}  // namespace detail

}  // namespace dla
