// SPDX-License-Identifier: MIT
// JSON as the library writes and reads it: strict parsing with error codes, the same bytes for the same value, append-only JSON lines.
#pragma once

#include <dla/io/atomic_file.hpp>

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dla {

/// Keys stay in the order they were added, so written files read in the order the code says.
using Json = nlohmann::ordered_json;

namespace detail {

/// nlohmann's message without its `[json.exception...]` tag, and without the bytes of a damaged file that it quotes.
DLA_ONCE std::string json_reason(const nlohmann::json::exception& e);

}  // namespace detail

/// Strict JSON: duplicate keys, nesting deeper than `max_depth`, more than `most_values` values, bad UTF-8, NUL bytes and trailing text are refused.
/// Throws Error(code) with `where` and the position.
DLA_ONCE Json parse_json(std::string_view text, std::string_view where, ErrorCode code = ErrorCode::io, int max_depth = 64,
                         std::size_t most_values = 1'000'000);

/// parse_json of a file of at most `limit` bytes.
DLA_ONCE Json read_json(const std::string& path, ErrorCode code = ErrorCode::io, std::uint64_t limit = 64u << 20);

/// The same text for the same value on every machine: doubles in the shortest form that reads back to the same bits, NaN and infinities
/// as null (JSON has neither), bad UTF-8 replaced by U+FFFD. `indent` < 0 gives one line.
DLA_ONCE std::string to_string(const Json& value, int indent = -1);

/// Writes a JSON file atomically, with a newline at its end.
DLA_ONCE void write_json(const std::string& path, const Json& value, int indent = 2);

/// Appends one JSON value a line to a file; each line has reached the operating system when `append` returns.
class JsonLines {
public:
    /// Opens or creates `path`. `keep_bytes` cuts the file back to the length stored in a checkpoint, so that a resumed run continues
    /// where the checkpoint stood; a file shorter than that is refused. Without it, an unfinished last line is cut off.
    explicit JsonLines(std::string path, std::optional<std::uint64_t> keep_bytes = std::nullopt);

    void append(const Json& value);

    /// Length of the file in bytes: what a checkpoint stores for `keep_bytes`.
    std::uint64_t size() const { return size_; }

    /// Waits until the lines are on the disk.
    void sync();

private:
    /// A process killed inside write(2) can leave half a line.
    std::uint64_t end_of_last_line(std::uint64_t size) const;

    std::string path_;
    detail::FileDescriptor file_;
    std::uint64_t size_ = 0;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/io/json.impl.hpp>
#endif
