// SPDX-License-Identifier: MIT
// The strict reading of a safetensors file's JSON header; <dla/io/safetensors.hpp> has the files themselves.
#pragma once

#include <dla/io/json.hpp>
#include <dla/io/stored_tensor.hpp>

#include <set>
#include <utility>

namespace dla::detail {

inline constexpr std::uint64_t safetensors_header_limit = 16u << 20;  // the format allows 100 MB; 200 layers need 100 KB

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

}  // namespace dla::detail
