// SPDX-License-Identifier: MIT
// Batches and parameters of host policies as Eigen matrices, without a copy. Needs Eigen 3.4; not included by any other header.
#pragma once

#include <dla/model/params.hpp>

#include <Eigen/Core>

namespace dla {

/// An Eigen matrix in the order of this library.
template <class T>
using RowMajorMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A batch as a matrix with one row for each sample (values in memory order: images as height, width, channels). The matrix looks at the batch's
/// memory; writing through a view that may be written changes the batch.
template <class T>
auto as_eigen(const BasicView<T*>& batch) {
    using Matrix = std::conditional_t<std::is_const_v<T>, const RowMajorMatrix<std::remove_const_t<T>>, RowMajorMatrix<T>>;
    return Eigen::Map<Matrix>(batch.data, batch.batch, batch.batch == 0 ? 0 : batch.shape.size());
}

/// A parameter's value as a matrix [first dimension, all others], in memory order (Linear: [out, in]; Conv2d: [out, height * width * in]).
/// Call `table.refresh_weights()` when it was written.
template <class P>
requires(P::shares_host) auto as_eigen(ParamTable<P>& table, const ParamRow& row) {
    const index_t rows = row.dims.rank > 0 ? row.dims.d[0] : 1;
    return Eigen::Map<RowMajorMatrix<typename P::scalar>>(table.values(row.offset), rows, rows == 0 ? 0 : row.count / rows);
}

}  // namespace dla
