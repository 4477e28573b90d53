// SPDX-License-Identifier: MIT
// The nearest matrix with orthogonal rows or columns, nearly: what Muon does to a gradient, in the kernels of any policy.
#pragma once

#include <dla/core/arena.hpp>
#include <dla/kernels/pointers.hpp>
#include <dla/kernels/types.hpp>

#include <algorithm>
#include <type_traits>
#include <utility>

namespace dla::detail {

/// The policy that computes with the masters of another: itself where its products read masters anyway.
template <class P>
decltype(auto) master_policy(const P& p) {
    if constexpr (std::is_same_v<typename P::weight, typename P::master> && std::is_same_v<typename P::activation, typename P::master>)
        return (p);
    else
        return policy_of_masters(p);
}

/// Memory that `orthogonalize` of a [rows, columns] matrix takes: two square matrices of its smaller side, a second matrix, and what kernels take.
template <class P>
struct OrthogonalizeScratch {
    using T = typename P::master;
    index_t side, square, matrix, kernels;

    OrthogonalizeScratch(const P& policy, index_t rows, index_t columns) : side(std::min(rows, columns)) {
        const auto& p = master_policy(policy);
        const auto room = [](index_t values) { return align_up(values * static_cast<index_t>(sizeof(T))); };
        square = room(side * side);
        matrix = room(rows * columns);
        kernels = sum_of_squares_scratch(p, rows * columns);
        for (const GemmDims& d : {gram(rows, columns), GemmDims{.m = side, .n = side, .k = side}, product(rows, columns)})
            kernels = std::max(kernels, gemm_scratch(p, d));
    }
    index_t bytes() const { return alignment + 2 * square + matrix + kernels; }

    /// A = X X^T of a wide X, X^T X of a tall one.
    GemmDims gram(index_t rows, index_t columns) const {
        const bool wide = rows <= columns;
        return {.m = side, .n = side, .k = wide ? columns : rows, .transpose_a = !wide, .transpose_b = wide};
    }
    /// B X of a wide X, X B of a tall one.
    GemmDims product(index_t rows, index_t columns) const { return {.m = rows, .n = columns, .k = side}; }
};

/// X [rows, columns], row-major: X / max(|X|, eps), then `steps` of the Newton-Schulz iteration X = a X + (b A + c A^2) X with A = X X^T, whose coefficients
/// bring singular values from anywhere in (0, 1] into about [0.7, 1.2] (Jordan 2024; torch.optim.Muon). In the type of the masters; PyTorch rounds to bf16.
/// Gives where the result is: `x`, or a place in `scratch`, which has OrthogonalizeScratch::bytes.
template <class P>
kernel::MasterPtr<P> orthogonalize(const P& policy, kernel::Scratch<P> scratch, index_t rows, index_t columns, int steps, double eps, kernel::MasterPtr<P> x) {
    using T = typename P::master;
    constexpr double a = 3.4445, b = -4.7750, c = 2.0315;
    const auto& p = master_policy(policy);
    const OrthogonalizeScratch<P> room(policy, rows, columns);
    const auto at = [&](index_t bytes) { return P::template pointer_cast<T>(scratch + bytes); };
    const auto squares = P::template pointer_cast<double>(scratch);
    const auto gram = at(alignment), update = at(alignment + room.square);
    auto next = at(alignment + 2 * room.square);
    const auto kernels = scratch + (alignment + 2 * room.square + room.matrix);
    const index_t n = rows * columns, n_square = room.side * room.side;
    const auto no_bias = kernel::ConstMasterPtr<P>{};

    sum_of_squares(p, kernels, n, x, squares);
    divide_by_norm(p, n, squares, eps, x);
    for (int i = 0; i < steps; ++i) {
        gemm(p, kernels, room.gram(rows, columns), x, x, no_bias, T(0), gram);
        copy(p, n_square, gram, update);
        gemm(p, kernels, GemmDims{.m = room.side, .n = room.side, .k = room.side}, gram, gram, no_bias, T(b / c), update);
        scale(p, n_square, c, update);  // now b A + c A^2
        copy(p, n, x, next);
        const bool wide = rows <= columns;
        gemm(p, kernels, room.product(rows, columns), wide ? update : x, wide ? x : update, no_bias, T(a), next);
        std::swap(x, next);
    }
    return x;
}

}  // namespace dla::detail
