// SPDX-License-Identifier: MIT
// What a safetensors file holds, and the strict reading of its JSON header; <dla/io/safetensors.hpp> has the files themselves.
#pragma once

#include <dla/core/half.hpp>
#include <dla/io/json.hpp>

#include <algorithm>
#include <bit>
#include <map>
#include <type_traits>

namespace dla {

static_assert(std::endian::native == std::endian::little, "safetensors data are little-endian, and bytes are copied here as they are");

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"  // g++ 12 takes the members of a scoped enumeration for names that hide dla::f16 and dla::bf16
/// Element types a file may hold.
enum class StoredType { f32, f64, i32, i64, u8, f16, bf16 };
#pragma GCC diagnostic pop

inline constexpr StoredType all_stored_types[] = {StoredType::f32, StoredType::f64, StoredType::i32, StoredType::i64,
                                                  StoredType::u8,  StoredType::f16, StoredType::bf16};

constexpr std::string_view to_string(StoredType type) {
    constexpr std::string_view names[] = {"F32", "F64", "I32", "I64", "U8", "F16", "BF16"};
    return names[static_cast<int>(type)];
}

constexpr std::uint64_t size_of(StoredType type) {
    constexpr std::uint64_t sizes[] = {4, 8, 4, 8, 1, 2, 2};
    return sizes[static_cast<int>(type)];
}

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

/// `values` rounded once, to nearest with ties to even, to write them in half the bytes: `stored_tensor<bf16>(name, shape, half)` of `rounded<bf16>(values)`.
template <class Half, class T>
std::vector<Half> rounded(std::span<const T> values) {
    std::vector<Half> half(values.size());
    for (std::size_t i = 0; i < half.size(); ++i) half[i] = Half(values[i]);
    return half;
}

/// Whether 16-bit floating-point numbers of a file may become wider ones. No value changes, but the file is not what the reader would have written.
enum class Widening { refuse, allow };

/// Names and texts that a file carries besides its tensors.
using StoredMetadata = std::map<std::string, std::string>;

namespace detail {

inline constexpr std::uint64_t safetensors_header_limit = 16u << 20;  // the format allows 100 MB; 200 layers need 100 KB

/// The product of the axes times the element size; nothing when an axis is negative or the product does not fit.
inline std::optional<std::uint64_t> checked_bytes(std::span<const std::int64_t> shape, StoredType type) {
    std::uint64_t bytes = size_of(type);
    for (const std::int64_t axis : shape)
        if (axis < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(axis), &bytes)) return std::nullopt;
    return bytes;
}

/// Takes the header token by token (nlohmann's SAX interface) and refuses the first one that is out of place: no document tree is
/// built, so nesting, repeated keys and the memory used are bounded by construction.
class SafetensorsHeader {
public:
    struct Entry {
        StoredTensor tensor;
        std::uint64_t offsets[2] = {0, 0};  // begin, end
        bool has_type = false, has_shape = false, has_offsets = false;
    };
    std::vector<Entry> entries;
    StoredMetadata metadata;

    explicit SafetensorsHeader(std::string_view where) : where_(where) {}

    bool start_object(std::size_t) {
        if (state_ == State::start) return go(State::names);
        if (state_ != State::entry) unexpected("an object");
        if (name_ == "__metadata__") return go(State::metadata);
        entries.emplace_back().tensor.name = name_;
        return go(State::fields);
    }
    bool key(const std::string& key) {
        if (state_ == State::names) {
            if (!names_.insert(key).second) refuse("header key " + quoted(key) + " appears twice");
            name_ = key;
            return go(State::entry);
        }
        if (state_ == State::metadata) {
            if (metadata.contains(key)) refuse("metadata key " + quoted(key) + " appears twice");
            metadata_key_ = key;
            return go(State::metadata_value);
        }
        Entry& e = entries.back();
        if (key == "dtype" && !std::exchange(e.has_type, true)) return go(State::type);
        if (key == "shape" && !std::exchange(e.has_shape, true)) return go(State::shape_start);
        if (key == "data_offsets" && !std::exchange(e.has_offsets, true)) return go(State::offsets_start);
        refuse("tensor " + quoted(name_) + " has an unknown or repeated field " + quoted(key) + "; expected dtype, shape and data_offsets, once each");
    }
    bool string(const std::string& value) {
        if (state_ == State::metadata_value) {
            metadata.emplace(metadata_key_, value);
            return go(State::metadata);
        }
        if (state_ != State::type) unexpected("a string");
        for (const StoredType type : all_stored_types)
            if (value == to_string(type)) {
                entries.back().tensor.type = type;
                return go(State::fields);
            }
        refuse("tensor " + quoted(name_) + " has dtype " + quoted(value) + "; expected F32, F64, F16, BF16, I32, I64 or U8; convert it before saving");
    }
    bool start_array(std::size_t) {
        if (state_ == State::shape_start) return go(State::shape);
        if (state_ != State::offsets_start) unexpected("an array");
        offset_count_ = 0;
        return go(State::offsets);
    }
    bool number_unsigned(std::uint64_t value) {
        if (state_ == State::shape) {
            if (value > static_cast<std::uint64_t>(INT64_MAX)) refuse("tensor " + quoted(name_) + " has an axis of " + std::to_string(value));
            entries.back().tensor.shape.push_back(static_cast<std::int64_t>(value));
            return true;
        }
        if (state_ != State::offsets || offset_count_ == 2) unexpected("a number");
        entries.back().offsets[offset_count_++] = value;
        return true;
    }
    bool end_array() {
        if (state_ == State::offsets && offset_count_ != 2) refuse("tensor " + quoted(name_) + " needs two data_offsets");
        return go(State::fields);
    }
    bool end_object() {
        if (state_ == State::fields) {
            const Entry& e = entries.back();
            if (!e.has_type || !e.has_shape || !e.has_offsets) refuse("tensor " + quoted(name_) + " is incomplete; expected dtype, shape and data_offsets");
        }
        return go(State::names);  // after the outermost object the parser accepts nothing but spaces
    }
    bool null() { unexpected("null"); }
    bool boolean(bool) { unexpected("a boolean"); }
    bool number_integer(std::int64_t) { unexpected("a negative number"); }
    bool number_float(double, const std::string&) { unexpected("a number that is not a 64-bit integer"); }
    bool binary(Json::binary_t&) { unexpected("binary data"); }
    bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& e) { refuse("header is not JSON: " + json_reason(e)); }

private:
    enum class State { start, names, entry, metadata, metadata_value, fields, type, shape_start, shape, offsets_start, offsets };

    bool go(State next) {
        state_ = next;
        return true;
    }
    static std::string quoted(std::string_view text) { return std::string(1, '"').append(text.substr(0, 100)).append(1, '"'); }
    [[noreturn]] void refuse(std::string_view sentence) const { fail(ErrorCode::checkpoint, where_, sentence); }
    [[noreturn]] void unexpected(std::string_view what) const {
        constexpr std::string_view expected[] = {"an object",
                                                 "a name",
                                                 "an object",
                                                 "a name",
                                                 "a string",
                                                 "a name",
                                                 "a string",
                                                 "an array",
                                                 "a whole number >= 0",
                                                 "an array",
                                                 "a whole number >= 0 (two of them)"};
        refuse("header entry " + quoted(name_) + " is malformed; expected " + std::string(expected[static_cast<int>(state_)]) + ", got " + std::string(what));
    }

    std::string where_;
    State state_ = State::start;
    std::set<std::string> names_;
    std::string name_;          // of the entry being read
    std::string metadata_key_;  // waiting for its value
    int offset_count_ = 0;
};

}  // namespace detail

}  // namespace dla
