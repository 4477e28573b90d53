// SPDX-License-Identifier: MIT
// The arrays of a model in files: one order for weights and checkpoints.
#pragma once

#include <dla/model/param_index.hpp>

#include <cstdint>
#include <vector>

namespace dla::detail {

/// Calls array(row) for every parameter and buffer, then counter(row) for every counter.
template <class Array, class Counter>
void for_each_row(const ParamIndex& index, const Array& array, const Counter& counter) {
    for (const ParamRow& row : index.parameters) array(row);
    for (const BufferRow& row : index.buffers) array(row);
    for (const CounterRow& row : index.counters) counter(row);
}

inline std::vector<std::int64_t> stored_shape(const Dims& dims) { return {dims.d, dims.d + dims.rank}; }

}  // namespace dla::detail
