// SPDX-License-Identifier: MIT
// y = x W^T + b on the last axis of any number of rows, and its gradients.
#pragma once

#include <dla/backend/context.hpp>
#include <dla/kernels/contract.hpp>

#include <cassert>

namespace dla::ops {

/// Rows and widths of one Linear: x [rows, in], w [out, in], y [rows, out].
struct LinearDims {
    index_t rows = 0, in = 0, out = 0;
    constexpr GemmDims forward() const { return {.m = rows, .n = out, .k = in, .transpose_a = false, .transpose_b = true}; }
    constexpr GemmDims backward_data() const { return {.m = rows, .n = in, .k = out, .transpose_a = false, .transpose_b = false}; }
    constexpr GemmDims backward_weights() const { return {.m = out, .n = in, .k = rows, .transpose_a = true, .transpose_b = false}; }
};

template <class P>
index_t linear_forward_scratch(const P& p, const LinearDims& d) {
    return gemm_scratch(p, d.forward());
}
template <class P>
index_t linear_backward_scratch(const P& p, const LinearDims& d) {
    return std::max({gemm_scratch(p, d.backward_weights()), column_sum_scratch(p, d.rows, d.out), gemm_scratch(p, d.backward_data())});
}

/// y = x W^T + b; b may be null.
template <class P>
void linear_forward(const Context<P>& c, const LinearDims& d, kernel::ConstActivationPtr<P> x, kernel::ConstWeightPtr<P> w, kernel::ConstWeightPtr<P> b,
                    kernel::ActivationPtr<P> y) {
    using T = typename P::master;
    gemm(c.policy, c.scratch, d.forward(), x, w, b, T(0), y);
}

/// dx = dy W (or null: not wanted); dw += dy^T x; db += column sums of dy (or null).
template <class P>
void linear_backward(const Context<P>& c, const LinearDims& d, kernel::ConstActivationPtr<P> x, kernel::ConstWeightPtr<P> w, kernel::ConstActivationPtr<P> dy,
                     kernel::ActivationPtr<P> dx, kernel::MasterPtr<P> dw, kernel::MasterPtr<P> db) {
    using T = typename P::master;
    const kernel::ConstWeightPtr<P> none{};
    gemm(c.policy, c.scratch, d.backward_weights(), dy, x, none, T(1), dw);
    if (db) column_sum(c.policy, c.scratch, d.rows, d.out, dy, db);
    if (dx) gemm(c.policy, c.scratch, d.backward_data(), dy, w, none, T(0), dx);
}

}  // namespace dla::ops
