// SPDX-License-Identifier: MIT
// A Linear in inference, whose weights do not change from batch to batch: packed once.
#pragma once

#include <dla/kernels/cpu/gemm.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// The weights of a Linear as linear_prepare left them, or none.
inline GemmPanels linear_panels(const GemmPlan& plan, const std::byte* prepared) {
    return {reinterpret_cast<const float*>(prepared), plan.packed_row, 0, 0};
}

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla {

DLA_ONCE index_t linear_prepare(const Cpu<float>& p, const LinearDims& most, const float* w, std::byte* to) {
    const GemmDims d = most.forward();
    // A few rows read the weights where they are; how long reductions are cut is a question of the batch; weights larger than caches are packed by ranges.
    if (d.m <= detail::gemm_few || d.n == 0 || d.k == 0 || d.k >= detail::gemm_long) return 0;
    const detail::GemmPlan plan(d);
    if (d.k * plan.packed_row > detail::gemm_packed) return 0;
    if (to) detail::gemm_pack_all(detail::gemm_threads(p, d), plan, d, w, reinterpret_cast<float*>(to));
    return detail::bytes_of<float>(d.k * plan.packed_row);
}
DLA_ONCE void linear_infer(const Cpu<float>& p, std::byte* scratch, const LinearDims& dims, const float* x, const float* w, const float* bias,
                           const std::byte* prepared, float* y) {
    const GemmDims d = dims.forward();
    if (!prepared || d.m <= detail::gemm_few) return gemm(p, scratch, d, x, w, bias, 0.0f, y);
    const detail::GemmPlan plan(d);
    detail::gemm_range(detail::gemm_threads(p, d), plan, d, x, w, detail::linear_panels(plan, prepared), 0, d.n, 0, d.k, bias, 0.0f, y);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
