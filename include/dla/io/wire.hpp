// SPDX-License-Identifier: MIT
// Writes protocol-buffer messages by hand: the few field kinds that TensorBoard events and ONNX models need.
// Format: https://protobuf.dev/programming-guides/encoding
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace dla {

/// A message under construction; `bytes` is its encoding. Fields appear in the order of the calls.
struct WireMessage {
    std::string bytes;

    WireMessage& integer(std::uint32_t field, std::int64_t value) {
        varint(field << 3 | 0u);
        varint(static_cast<std::uint64_t>(value));
        return *this;
    }
    WireMessage& real(std::uint32_t field, double value) {
        varint(field << 3 | 1u);
        fixed(std::bit_cast<std::uint64_t>(value));
        return *this;
    }
    WireMessage& real32(std::uint32_t field, float value) {
        varint(field << 3 | 5u);
        fixed(std::bit_cast<std::uint32_t>(value));
        return *this;
    }
    /// A string, bytes, or (as the encoding of) a nested message.
    WireMessage& text(std::uint32_t field, std::string_view value) {
        varint(field << 3 | 2u);
        varint(value.size());
        bytes += value;
        return *this;
    }
    WireMessage& message(std::uint32_t field, const WireMessage& value) { return text(field, value.bytes); }
    /// A packed repeated double.
    WireMessage& reals(std::uint32_t field, std::span<const double> values) {
        varint(field << 3 | 2u);
        varint(values.size() * sizeof(double));
        for (const double v : values) fixed(std::bit_cast<std::uint64_t>(v));
        return *this;
    }

    void varint(std::uint64_t value) {
        for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
        bytes += static_cast<char>(value);
    }
    /// Little-endian, whatever the machine.
    template <class Unsigned>
    void fixed(Unsigned value) {
        for (unsigned i = 0; i < sizeof value; ++i) bytes += static_cast<char>(value >> (8 * i));
    }
};

}  // namespace dla
