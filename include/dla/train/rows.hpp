// SPDX-License-Identifier: MIT
// The arrays of a model in files: one order for weights and checkpoints.
#pragma once

#include <dla/model/param_index.hpp>

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

/// The array of a row, from and to a ParamTable or an AnyModel.
template <class Model, class Row, class T>
void read_row(const Model& model, const Row& row, std::span<T> host) {
    if constexpr (std::is_same_v<Row, ParamRow>)
        model.read(ParamPart::value, row, host);
    else
        model.read(row, host);
}
template <class Model, class Row, class T>
void write_row(Model& model, const Row& row, std::span<const T> host) {
    if constexpr (std::is_same_v<Row, ParamRow>)
        model.write(ParamPart::value, row, host);
    else
        model.write(row, host);
}

inline std::vector<std::int64_t> stored_shape(const Dims& dims) { return {dims.d, dims.d + dims.rank}; }

}  // namespace dla::detail
