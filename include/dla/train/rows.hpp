// SPDX-License-Identifier: MIT
// The arrays of a model in files: one order for weights and checkpoints.
#pragma once

#include <dla/io/safetensors.hpp>
#include <dla/model/observe.hpp>
#include <dla/model/param_access.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

namespace dla::detail {

/// Calls array(row) for every parameter and buffer, then counter(row) for every counter.
template <class Array, class Counter>
void for_each_row(const ParamIndex& index, const Array& array, const Counter& counter) {
    for (const ParamRow& row : index.parameters) array(row);
    for (const BufferRow& row : index.buffers) array(row);
    for (const CounterRow& row : index.counters) counter(row);
}

/// The array of a row, as bytes or as floats.
template <class Row, class T>
void read_row(const ParamAccess& model, const Row& row, std::span<T> host) {
    if constexpr (std::is_same_v<Row, ParamRow>)
        model.read(ParamPart::value, row, host);
    else
        model.read(row, host);
}
template <class Row, class T>
void write_row(ParamAccess& model, const Row& row, std::span<const T> host) {
    if constexpr (std::is_same_v<Row, ParamRow>)
        model.write(ParamPart::value, row, host);
    else
        model.write(row, host);
}
/// Room for `count` values of a type, at the end of `arrays`.
inline std::vector<std::byte>& new_array(std::vector<std::vector<std::byte>>& arrays, index_t count, ValueType type) {
    return arrays.emplace_back(static_cast<std::size_t>(count) * size_of(type));
}

inline bool all_finite_in(std::span<const std::byte> values, ValueType type) {
    return type == ValueType::f32 ? all_finite(values_in<float>(values)) : all_finite(values_in<double>(values));
}
inline bool any_negative_in(std::span<const std::byte> values, ValueType type) {
    const auto negative = [](auto v) { return v < 0; };
    return type == ValueType::f32 ? std::ranges::any_of(values_in<float>(values), negative) : std::ranges::any_of(values_in<double>(values), negative);
}

constexpr StoredType stored_type_of(ValueType type) { return type == ValueType::f32 ? StoredType::f32 : StoredType::f64; }
/// A tensor of a file into the bytes of a model's values; as SafetensorsFile::copy_to.
inline void copy_values(const SafetensorsFile& file, std::string_view name, std::span<const std::int64_t> shape, ValueType type, std::span<std::byte> out,
                        Widening widening = Widening::refuse) {
    if (type == ValueType::f32)
        file.copy_to(name, shape, values_in<float>(out), widening);
    else
        file.copy_to(name, shape, values_in<double>(out), widening);
}


}  // namespace dla::detail
