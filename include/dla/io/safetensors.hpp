// SPDX-License-Identifier: MIT
// Reads and writes safetensors files: named arrays and string metadata, the format PyTorch users exchange weights in.
// Format: https://huggingface.co/docs/safetensors (u64 header length, JSON header, data; little-endian, C order).
#pragma once

#include <dla/core/config.hpp>
#include <dla/core/error.hpp>
#include <dla/io/stored_tensor.hpp>

#include <algorithm>
#include <cstring>

namespace dla {

namespace detail {

/// Of all names, types, shapes, bytes and metadata, as 16 hexadecimal digits; the order of the tensors does not matter. It finds damage, not malice.
DLA_ONCE std::string content_checksum(std::span<const StoredTensor> tensors, const StoredMetadata& metadata);

}  // namespace detail

/// A safetensors file in memory. Everything in it has been checked: every byte of the data belongs to exactly one tensor.
class SafetensorsFile {
public:
    /// Reads `path`. Throws Error(checkpoint): missing, damaged (a file of this library carries a checksum, one of others need not), an unknown dtype.
    /// Memory: the file's size and a few times its header.
    static SafetensorsFile read(const std::string& path);

    /// Takes the content of a file; `where` names it in errors.
    SafetensorsFile(std::vector<std::byte> content, std::string where) : where_(std::move(where)), content_(std::move(content)) { parse(); }
    SafetensorsFile(SafetensorsFile&&) noexcept = default;
    SafetensorsFile& operator=(SafetensorsFile&&) noexcept = default;
    SafetensorsFile(const SafetensorsFile&) = delete;  // a copy's tensors would view the original's bytes
    SafetensorsFile& operator=(const SafetensorsFile&) = delete;

    /// In the order of their data. They view the file's bytes: not of a temporary.
    const std::vector<StoredTensor>& tensors() const& { return tensors_; }
    const std::vector<StoredTensor>& tensors() const&& = delete;
    const StoredMetadata& metadata() const& { return metadata_; }
    StoredMetadata metadata() && { return std::move(metadata_); }
    const std::string& where() const { return where_; }

    /// The tensor of that name, or nullptr.
    const StoredTensor* find(std::string_view name) const&& = delete;
    const StoredTensor* find(std::string_view name) const& {
        const auto at = index_.find(name);
        return at == index_.end() ? nullptr : &tensors_[at->second];
    }

    /// Copies a tensor's values to `out`. Throws Error(checkpoint) unless it is there with this type and this shape; with Widening::allow narrower
    /// floating-point numbers are taken too.
    template <class T>
    void copy_to(std::string_view name, std::span<const std::int64_t> shape, std::span<T> out, Widening widening = Widening::refuse) const {
        const StoredTensor* t = find(name);
        const bool widens = widening == Widening::allow && std::is_floating_point_v<T>;
        const bool to_double = std::is_same_v<T, double>;
        const std::string expected =
            std::string(to_string(stored_type<T>())) + (!widens ? " " : to_double ? ", F32, F16 or BF16 " : ", F16 or BF16 ") + shape_text(shape);
        if (!t) fail(ErrorCode::checkpoint, where_, "tensor \"" + std::string(name) + "\" is missing; expected " + expected);
        const bool narrow = widens && (t->type == StoredType::f16 || t->type == StoredType::bf16 || (to_double && t->type == StoredType::f32));
        if ((t->type != stored_type<T>() && !narrow) || !std::ranges::equal(t->shape, shape) || t->bytes.size() != out.size() * size_of(t->type))
            fail(ErrorCode::checkpoint, where_,
                 "tensor \"" + std::string(name) + "\" does not fit; expected " + expected + ", got " + std::string(to_string(t->type)) + " " +
                     shape_text(t->shape));
        if (t->type == stored_type<T>()) {
            if (!out.empty()) std::memcpy(out.data(), t->bytes.data(), out.size_bytes());
        } else if constexpr (std::is_floating_point_v<T>) {
            for (std::size_t i = 0; i < out.size(); ++i) {
                if (t->type == StoredType::f32) {
                    float value = 0;
                    std::memcpy(&value, t->bytes.data() + sizeof value * i, sizeof value);
                    out[i] = value;
                    continue;
                }
                std::uint16_t bits = 0;
                std::memcpy(&bits, t->bytes.data() + 2 * i, sizeof bits);
                out[i] = t->type == StoredType::f16 ? float{f16::from_bits(bits)} : float{bf16::from_bits(bits)};
            }
        }
    }

    /// `[64, 3, 3, 3]`.
    static std::string shape_text(std::span<const std::int64_t> shape);

private:
    void parse();

    std::string where_;
    std::vector<std::byte> content_;  // its heap block, which the tensors view, stays put when the object is moved
    std::vector<StoredTensor> tensors_;
    std::map<std::string, std::size_t, std::less<>> index_;
    StoredMetadata metadata_;
};

/// The header of a file with these tensors, in this order: same input, same bytes. Throws Error(checkpoint): a name twice or reserved,
/// a span that does not hold the product of its shape, text that is not UTF-8.
DLA_ONCE std::string safetensors_header(std::span<const StoredTensor> tensors, const StoredMetadata& metadata, std::string_view where);

/// Writes a file atomically, with a checksum in its metadata, which other readers pass over. Throws Error(checkpoint) for what
/// cannot be stored, Error(io) when the disk refuses.
DLA_ONCE void write_safetensors(const std::string& path, std::span<const StoredTensor> tensors, const StoredMetadata& metadata = {});

}  // namespace dla

#if DLA_BODIES
#include <dla/io/safetensors.impl.hpp>
#endif
