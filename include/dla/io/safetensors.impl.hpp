// SPDX-License-Identifier: MIT
// How safetensors files are checked and written.
#pragma once

#include <dla/core/hash.hpp>
#include <dla/io/safetensors_header.hpp>

#include <tuple>

namespace dla {

namespace detail {

/// Where files carry the checksum of their content.
inline constexpr const char* checksum_key = "dla.checksum";

DLA_ONCE std::string content_checksum(std::span<const StoredTensor> tensors, const StoredMetadata& metadata) {
    std::uint64_t sum = 0;
    const auto add_text = [](Fnv1a& hash, std::string_view text) {
        hash.add(std::uint64_t{text.size()});
        hash.add(text);
    };
    for (const StoredTensor& t : tensors) {
        Fnv1a hash;
        add_text(hash, t.name);
        add_text(hash, to_string(t.type));
        for (const std::int64_t axis : t.shape) hash.add(static_cast<std::uint64_t>(axis));
        hash.add_words(t.bytes.data(), t.bytes.size());
        sum += hash.value();
    }
    for (const auto& [key, value] : metadata) {
        if (key == checksum_key) continue;
        Fnv1a hash;
        add_text(hash, key);
        add_text(hash, value);
        sum += hash.value();
    }
    return to_hex(sum);
}

}  // namespace detail

DLA_ONCE SafetensorsFile SafetensorsFile::read(const std::string& path) { return SafetensorsFile(read_file(path, UINT64_MAX, ErrorCode::checkpoint), path); }

DLA_ONCE std::string SafetensorsFile::shape_text(std::span<const std::int64_t> shape) {
    std::string text = "[";
    for (const std::int64_t axis : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(axis);
    return text + "]";
}

DLA_ONCE void SafetensorsFile::parse() {
    const auto refuse = [this](std::string_view sentence) { fail(ErrorCode::checkpoint, where_, sentence); };
    std::uint64_t length = 0;
    if (content_.size() < sizeof length) refuse("truncated; expected at least 8 bytes, got " + std::to_string(content_.size()));
    std::memcpy(&length, content_.data(), sizeof length);
    if (length > detail::safetensors_header_limit)
        refuse("header too long; expected at most " + std::to_string(detail::safetensors_header_limit) + " bytes, got " + std::to_string(length));
    const auto rest = std::span<const std::byte>(content_).subspan(sizeof length);
    if (length > rest.size()) refuse("truncated header; expected " + std::to_string(length) + " bytes, got " + std::to_string(rest.size()));
    const std::string_view text(reinterpret_cast<const char*>(rest.data()), static_cast<std::size_t>(length));
    const auto data = rest.subspan(text.size());
    if (!text.starts_with('{')) refuse("not a safetensors file: its header does not start with {");
    // nlohmann's lexer takes NUL for the end of the input and would ignore what follows.
    if (text.find('\0') != std::string_view::npos) refuse("header contains a NUL byte");

    detail::SafetensorsHeader header(where_);
    Json::sax_parse(text, &header);  // every failure has thrown
    metadata_ = std::move(header.metadata);
    auto& entries = header.entries;
    std::ranges::sort(entries, {}, [](const auto& e) { return std::tie(e.offsets[0], e.offsets[1], e.tensor.name); });  // names differ: one order
    std::uint64_t position = 0;
    tensors_.reserve(entries.size());
    for (auto& e : entries) {
        const auto [begin, end] = e.offsets;
        const std::string name = "tensor \"" + e.tensor.name.substr(0, 100) + "\"";
        const std::string range = std::string("[").append(std::to_string(begin)).append(", ").append(std::to_string(end)).append("]");
        if (begin != position)
            refuse(name + (begin < position ? " overlaps another one" : " leaves a gap") + "; expected it to begin at " + std::to_string(position) +
                   ", got data_offsets " + range);
        const auto bytes = detail::checked_bytes(e.tensor.shape, e.tensor.type);
        if (!bytes) refuse(name + " has a shape too large to exist");
        if (end < begin || end - begin != *bytes)
            refuse(name + " has data_offsets " + range + "; expected " + std::to_string(*bytes) + " bytes for its dtype and shape");
        if (end > data.size())
            refuse("truncated data: " + name + " ends at " + std::to_string(end) + "; got " + std::to_string(data.size()) + " bytes of data");
        e.tensor.bytes = data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
        position = end;
        index_.emplace(e.tensor.name, tensors_.size());
        tensors_.push_back(std::move(e.tensor));
    }
    if (position != data.size()) refuse("trailing bytes; expected " + std::to_string(position) + " bytes of data, got " + std::to_string(data.size()));
    if (const auto checksum = metadata_.find(detail::checksum_key); checksum != metadata_.end()) {
        if (const std::string found = detail::content_checksum(tensors_, metadata_); found != checksum->second)
            refuse("its content does not match its checksum; expected " + checksum->second.substr(0, 40) + ", got " + found +
                   ": the file is damaged, or was changed by a program that kept the metadata \"" + detail::checksum_key + "\"");
        metadata_.erase(checksum);
    }
}

DLA_ONCE std::string safetensors_header(std::span<const StoredTensor> tensors, const StoredMetadata& metadata, std::string_view where) {
    Json header = Json::object();
    std::set<std::string_view> names;
    std::uint64_t position = 0;
    if (!metadata.empty()) header["__metadata__"] = metadata;
    for (const StoredTensor& t : tensors) {
        if (t.name == "__metadata__" || !names.insert(t.name).second) fail(ErrorCode::checkpoint, where, "tensor name \"" + t.name + "\" is taken");
        if (detail::checked_bytes(t.shape, t.type) != t.bytes.size())
            fail(ErrorCode::checkpoint, where,
                 "tensor \"" + t.name + "\" has " + std::to_string(t.bytes.size()) + " bytes, which is not " + SafetensorsFile::shape_text(t.shape) + " of " +
                     std::string(to_string(t.type)));
        header.push_back({t.name, Json{{"dtype", to_string(t.type)}, {"shape", t.shape}, {"data_offsets", {position, position + t.bytes.size()}}}});
        position += t.bytes.size();
    }
    std::string text;
    try {
        text = header.dump();
    } catch (const Json::exception& e) {
        fail(ErrorCode::checkpoint, where, "a tensor name or metadata is not UTF-8: " + detail::json_reason(e));
    }
    text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data begin at a multiple of 8
    if (text.size() > detail::safetensors_header_limit) fail(ErrorCode::checkpoint, where, "names and metadata are longer than 16 MiB");
    return text;
}

DLA_ONCE void write_safetensors(const std::string& path, std::span<const StoredTensor> tensors, const StoredMetadata& metadata) {
    StoredMetadata with_checksum = metadata;
    with_checksum[detail::checksum_key] = detail::content_checksum(tensors, metadata);
    const std::string header = safetensors_header(tensors, with_checksum, path);
    const std::uint64_t length = header.size();
    AtomicFile file(path);
    file.write(std::as_bytes(std::span(&length, 1)));
    file.write(header);
    for (const StoredTensor& t : tensors) file.write(t.bytes);
    file.commit();
}

}  // namespace dla
