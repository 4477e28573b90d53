// SPDX-License-Identifier: MIT
// Matrix product of the reference policy.
#pragma once

#include <dla/kernels/reference/wide.hpp>
#include <dla/kernels/types.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {
namespace detail {

template <class Sum, class A, class B, class Bias, class Beta, class C>
void gemm_loops(const GemmDims& d, const A* a, const B* b, const Bias* bias, Beta beta, C* c) {
    const index_t a_row = d.transpose_a ? 1 : d.k, a_step = d.transpose_a ? d.m : 1;
    const index_t b_step = d.transpose_b ? 1 : d.n, b_column = d.transpose_b ? d.k : 1;
    for (index_t i = 0; i < d.m; ++i)
        for (index_t j = 0; j < d.n; ++j) {
            Sum sum{};
            for (index_t k = 0; k < d.k; ++k) sum += static_cast<Sum>(a[i * a_row + k * a_step]) * static_cast<Sum>(b[k * b_step + j * b_column]);
            C& out = c[i * d.n + j];
            if (beta != Beta{0}) sum += static_cast<Sum>(beta) * static_cast<Sum>(out);
            if (bias) sum += static_cast<Sum>(bias[j]);
            out = static_cast<C>(sum);
        }
}

}  // namespace detail

template <class T>
index_t gemm_scratch(const Reference<T>&, const GemmDims&) {
    return 0;
}

/// C [m, n] = op(A) [m, k] * op(B) [k, n] + beta * C + bias [n] (or null); beta = 0 never reads C. C overlaps neither A nor B. B holds weights
/// and C activations: a layer's output, or the gradient of its input.
template <class T>
void gemm(const Reference<T>&, std::byte*, const GemmDims& d, const detail::Of<T>* a, const detail::WeightOf<T>* b, const detail::WeightOf<T>* bias,
          detail::MasterOf<T> beta, detail::Of<T>* c) {
    detail::gemm_loops<detail::Wide<T>>(d, a, b, bias, beta, c);
}
/// The same of two activations to masters: the gradient of weights.
template <detail::ProductsApart T>
void gemm(const Reference<T>&, std::byte*, const GemmDims& d, const detail::Of<T>* a, const detail::Of<T>* b, const detail::WeightOf<T>* bias,
          detail::MasterOf<T> beta, detail::MasterOf<T>* c) {
    detail::gemm_loops<detail::Wide<T>>(d, a, b, bias, beta, c);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
