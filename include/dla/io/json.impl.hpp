// SPDX-License-Identifier: MIT
// How JSON is parsed and written.
#pragma once

#include <set>

namespace dla {

DLA_ONCE std::string detail::json_reason(const nlohmann::json::exception& e) {
    std::string_view text = e.what();
    if (const auto end = text.find("] "); text.starts_with('[') && end != std::string_view::npos) text.remove_prefix(end + 2);
    std::string reason(text.substr(0, 300));
    for (char& c : reason)
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
    return reason;
}

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

DLA_ONCE Json parse_json(std::string_view text, std::string_view where, ErrorCode code, int max_depth, std::size_t most_values) {
    // nlohmann's lexer takes NUL for the end of the input and would ignore what follows.
    if (text.find('\0') != std::string_view::npos) fail(code, where, "not JSON: it contains a NUL byte");
    detail::JsonBuilder builder(where, code, max_depth, most_values);
    Json::sax_parse(text, &builder);  // every failure has thrown
    return std::move(builder.root);
}

DLA_ONCE Json read_json(const std::string& path, ErrorCode code, std::uint64_t limit) {
    const auto bytes = read_file(path, limit, code);
    return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path, code);
}

DLA_ONCE std::string to_string(const Json& value, int indent) { return value.dump(indent, ' ', false, Json::error_handler_t::replace); }

DLA_ONCE void write_json(const std::string& path, const Json& value, int indent) { write_file(path, to_string(value, indent) + "\n"); }

DLA_ONCE JsonLines::JsonLines(std::string path, std::optional<std::uint64_t> keep_bytes) : path_(std::move(path)) {
    file_ = detail::FileDescriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666));
    struct stat status{};
    if (!file_ || ::fstat(file_.get(), &status) != 0) fail(ErrorCode::io, path_, detail::errno_sentence("cannot open for appending", errno));
    if (!S_ISREG(status.st_mode)) fail(ErrorCode::io, path_, "not a regular file; lines are appended to one and read again when a run is resumed");
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (keep_bytes && *keep_bytes > size)
        fail(ErrorCode::io, path_,
             "shorter than when the checkpoint was written; expected at least " + std::to_string(*keep_bytes) + " bytes, got " + std::to_string(size));
    size_ = keep_bytes ? *keep_bytes : end_of_last_line(size);
    if (size_ != size && ::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0) fail(ErrorCode::io, path_, detail::errno_sentence("cannot truncate", errno));
}

DLA_ONCE void JsonLines::append(const Json& value) {
    const std::string line = to_string(value) + "\n";
    if (const int error = detail::write_all(file_.get(), line.data(), line.size())) fail(ErrorCode::io, path_, detail::errno_sentence("cannot append", error));
    size_ += line.size();
}

DLA_ONCE void JsonLines::sync() {
    if (::fsync(file_.get()) != 0 && errno != EINVAL) fail(ErrorCode::io, path_, detail::errno_sentence("cannot sync to disk", errno));
}

DLA_ONCE std::uint64_t JsonLines::end_of_last_line(std::uint64_t size) const {
    char c = 0;
    while (size > 0 && ::pread(file_.get(), &c, 1, static_cast<off_t>(size - 1)) == 1 && c != '\n') --size;
    return size;
}

}  // namespace dla
