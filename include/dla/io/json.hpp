// SPDX-License-Identifier: MIT
// JSON as the library writes and reads it: strict parsing with error codes, the same bytes for the same value, append-only JSON lines.
#pragma once

#include <dla/io/atomic_file.hpp>

#include <nlohmann/json.hpp>

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace dla {

/// Keys stay in the order they were added, so written files read in the order the code says.
using Json = nlohmann::ordered_json;

namespace detail {

/// nlohmann's message without its `[json.exception...]` tag, and without the bytes of a damaged file that it quotes.
inline std::string json_reason(const nlohmann::json::exception& e) {
    std::string_view text = e.what();
    if (const auto end = text.find("] "); text.starts_with('[') && end != std::string_view::npos) text.remove_prefix(end + 2);
    std::string reason(text.substr(0, 300));
    for (char& c : reason)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
    return reason;
}

}  // namespace detail

namespace detail {

/// Builds the value token by token (nlohmann's SAX interface): time and memory grow with the text, and what is out of bounds is refused where it stands.
class JsonBuilder {
public:
    JsonBuilder(std::string_view where, ErrorCode code, int max_depth, std::size_t most_values)
        : where_(where), code_(code), max_depth_(max_depth), most_values_(most_values) {}
    Json root;

    bool null() { return add(nullptr); }
    bool boolean(bool v) { return add(v); }
    bool number_integer(std::int64_t v) { return add(v); }
    bool number_unsigned(std::uint64_t v) { return add(v); }
    bool number_float(double v, const std::string&) { return add(v); }
    bool string(std::string& v) { return add(std::move(v)); }
    bool binary(Json::binary_t&) { return false; }  // not in text
    bool start_object(std::size_t) { return open(Json::object()); }
    bool start_array(std::size_t) { return open(Json::array()); }
    bool key(std::string& key) {
        if (!open_.back().keys.insert(key).second) fail(code_, where_, "duplicate JSON key \"" + key + "\"");
        key_ = std::move(key);
        return true;
    }
    bool end_object() { return close(); }
    bool end_array() { return close(); }
    bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& e) { fail(code_, where_, "not JSON: " + json_reason(e)); }

private:
    struct Open {
        Json* value;
        std::set<std::string> keys{};  // of an object
    };
    template <class Value>
    bool add(Value&& v) {
        (void)place(Json(std::forward<Value>(v)));
        return true;
    }
    bool open(Json&& container) {
        if (static_cast<int>(open_.size()) >= max_depth_)
            fail(code_, where_, "JSON nested too deeply; expected at most " + std::to_string(max_depth_) + " levels");
        open_.push_back({place(std::move(container))});
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }
    /// Only the innermost container grows, so pointers to those around it stay good.
    Json* place(Json&& v) {
        if (++values_ > most_values_) fail(code_, where_, "JSON with more than " + std::to_string(most_values_) + " values");
        if (open_.empty()) return &(root = std::move(v));
        Json& in = *open_.back().value;
        if (in.is_array()) {
            auto& array = in.get_ref<Json::array_t&>();
            return &array.emplace_back(std::move(v));
        }
        Json::object_t::Container& entries = in.get_ref<Json::object_t&>();  // its own insertion looks through all keys
        return &entries.emplace_back(std::move(key_), std::move(v)).second;
    }

    std::string_view where_;
    ErrorCode code_;
    int max_depth_;
    std::size_t most_values_, values_ = 0;
    std::vector<Open> open_;
    std::string key_;
};

}  // namespace detail

/// Strict JSON: duplicate keys, nesting deeper than `max_depth`, more than `most_values` values, bad UTF-8, NUL bytes and trailing text are refused.
/// Throws Error(code) with `where` and the position.
inline Json parse_json(std::string_view text, std::string_view where, ErrorCode code = ErrorCode::io, int max_depth = 64, std::size_t most_values = 1'000'000) {
    // nlohmann's lexer takes NUL for the end of the input and would ignore what follows.
    if (text.find('\0') != std::string_view::npos) fail(code, where, "not JSON: it contains a NUL byte");
    detail::JsonBuilder builder(where, code, max_depth, most_values);
    Json::sax_parse(text, &builder);  // every failure has thrown
    return std::move(builder.root);
}

/// parse_json of a file of at most `limit` bytes.
inline Json read_json(const std::string& path, ErrorCode code = ErrorCode::io, std::uint64_t limit = 64u << 20) {
    const auto bytes = read_file(path, limit, code);
    return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path, code);
}

/// The same text for the same value on every machine: doubles in the shortest form that reads back to the same bits, NaN and infinities
/// as null (JSON has neither), bad UTF-8 replaced by U+FFFD. `indent` < 0 gives one line.
inline std::string to_string(const Json& value, int indent = -1) { return value.dump(indent, ' ', false, Json::error_handler_t::replace); }

/// Writes a JSON file atomically, with a newline at its end.
inline void write_json(const std::string& path, const Json& value, int indent = 2) { write_file(path, to_string(value, indent) + "\n"); }

/// Appends one JSON value a line to a file; each line has reached the operating system when `append` returns.
class JsonLines {
public:
    /// Opens or creates `path`. `keep_bytes` cuts the file back to the length stored in a checkpoint, so that a resumed run continues
    /// where the checkpoint stood; a file shorter than that is refused. Without it, an unfinished last line is cut off.
    explicit JsonLines(std::string path, std::optional<std::uint64_t> keep_bytes = std::nullopt) : path_(std::move(path)) {
        file_ = detail::FileDescriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666));
        struct stat status{};
        if (!file_ || ::fstat(file_.get(), &status) != 0) fail(ErrorCode::io, path_, detail::errno_sentence("cannot open for appending", errno));
        if (!S_ISREG(status.st_mode)) fail(ErrorCode::io, path_, "not a regular file; lines are appended to one and read again when a run is resumed");
        const auto size = static_cast<std::uint64_t>(status.st_size);
        if (keep_bytes && *keep_bytes > size)
            fail(ErrorCode::io, path_,
                 "shorter than when the checkpoint was written; expected at least " + std::to_string(*keep_bytes) + " bytes, got " + std::to_string(size));
        size_ = keep_bytes ? *keep_bytes : end_of_last_line(size);
        if (size_ != size && ::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0)
            fail(ErrorCode::io, path_, detail::errno_sentence("cannot truncate", errno));
    }

    void append(const Json& value) {
        const std::string line = to_string(value) + "\n";
        if (const int error = detail::write_all(file_.get(), line.data(), line.size()))
            fail(ErrorCode::io, path_, detail::errno_sentence("cannot append", error));
        size_ += line.size();
    }

    /// Length of the file in bytes: what a checkpoint stores for `keep_bytes`.
    std::uint64_t size() const { return size_; }

    /// Waits until the lines are on the disk.
    void sync() {
        if (::fsync(file_.get()) != 0 && errno != EINVAL) fail(ErrorCode::io, path_, detail::errno_sentence("cannot sync to disk", errno));
    }

private:
    /// A process killed inside write(2) can leave half a line.
    std::uint64_t end_of_last_line(std::uint64_t size) const {
        char c = 0;
        while (size > 0 && ::pread(file_.get(), &c, 1, static_cast<off_t>(size - 1)) == 1 && c != '\n') --size;
        return size;
    }

    std::string path_;
    detail::FileDescriptor file_;
    std::uint64_t size_ = 0;
};

}  // namespace dla
