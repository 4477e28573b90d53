// SPDX-License-Identifier: MIT
// Matrix product of Cpu<bf16>: dot products of pairs of 16-bit numbers with sums in float, as AVX-512 BF16 has them. On other processors the same sums, a
// product at a time.
#pragma once

#include <dla/kernels/cpu/bf16/declarations.hpp>
#include <dla/kernels/cpu/chunks.hpp>
#include <dla/kernels/cpu/simd_math.hpp>

#include <cstring>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Two numbers as they lie in memory one behind the other.
inline std::uint32_t pair_of(bf16 first, bf16 second) {
    const bf16 both[2] = {first, second};
    return std::bit_cast<std::uint32_t>(both);
}

/// Conversions of n values, and the tile, of an instruction set.
struct Bf16Conversions {
    void (*widen)(index_t n, const bf16* from, float* to);
    void (*narrow)(index_t n, const float* from, bf16* to);
};
struct DotTarget {
    int rows;
    index_t panel;  // columns
    void (*tile)(int count, index_t pairs, const bf16* const* rows, const std::uint32_t* b, float* sums);
    void (*pair_columns)(index_t cols, const bf16* first, const bf16* second, std::uint32_t* to);
};

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla::detail::inline DLA_ABI_TAG::base {
#include <dla/kernels/cpu/bf16/gemm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::base

#if !defined(DLA_NO_SIMD)
#include <dla/kernels/cpu/begin_avx2.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx2 {
#include <dla/kernels/cpu/bf16/gemm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx2
#include <dla/kernels/cpu/end_target.inl.hpp>

#include <dla/kernels/cpu/begin_avx512.inl.hpp>
namespace dla::detail::inline DLA_ABI_TAG::avx512 {
#include <dla/kernels/cpu/bf16/gemm.inl.hpp>
}  // namespace dla::detail::inline DLA_ABI_TAG::avx512
#include <dla/kernels/cpu/end_target.inl.hpp>
#endif

namespace dla::detail::inline DLA_ABI_TAG {

inline const DotTarget& active_dots() {
    static const DotTarget* const target = [] {
        const DotTarget* best = select_isa(&base::dot_target, &avx2::dot_target, &avx512::dot_target);
        return active_isa() == Isa::avx512 && has_bf16_dots() ? &avx512::native_dot_target : best;
    }();
    return *target;
}

inline Bf16Conversions bf16_conversions() { return *select_isa(&base::conversions, &avx2::conversions, &avx512::conversions); }
inline Cpu<float> float_policy(const Cpu<bf16>& p) {
    Cpu<float> f;
    f.threads = p.threads, f.strict = p.strict;
    return f;
}
inline void widen_values(const Cpu<bf16>& p, index_t n, const bf16* from, float* to) {
    const auto f = bf16_conversions().widen;
    for_elements(float_policy(p), n, [&](index_t at, index_t length) { f(length, from + at, to + at); });
}
inline void narrow_values(const Cpu<bf16>& p, index_t n, const float* from, bf16* to) {
    const auto f = bf16_conversions().narrow;
    for_elements(float_policy(p), n, [&](index_t at, index_t length) { f(length, from + at, to + at); });
}

/// Samples of `values` values each that are computed at a time.
constexpr index_t at_a_time(index_t batch, index_t values, index_t most) { return std::min(batch, std::max<index_t>(1, most / std::max<index_t>(1, values))); }

/// f(sample, policy for one sample) on several threads.
template <class F>
void each_sample(const Cpu<bf16>& p, index_t batch, index_t values, const F& f) {
    parallel_for(batch * values < parallel_values ? 1 : p.threads, batch, [&](index_t n, int) { f(n, static_cast<const Reference<bf16>&>(p)); });
}

inline constexpr index_t dot_steps = 512;      // pairs at a time: four rows of A and a panel of B in L1
inline constexpr index_t dot_block = 48;       // rows of A that meet a panel of B while it is there
inline constexpr index_t dot_most_panel = 32;  // columns of any target ...
inline constexpr index_t dot_most_rows = 8;    // ... and rows

/// How one product is cut and packed. Each value of C is one chain of sums, so no bit depends on it.
struct DotPlan {
    const DotTarget& target = active_dots();
    index_t pairs, panels, row_blocks;

    explicit DotPlan(const GemmDims& d) : pairs(ceil_div(d.k, 2)), panels(ceil_div(d.n, target.panel)), row_blocks(ceil_div(d.m, dot_block)) {}
    index_t a_bytes(const GemmDims& d) const { return bytes_of<std::uint32_t>(d.m * pairs); }
    index_t b_bytes() const { return bytes_of<std::uint32_t>(pairs * panels * target.panel); }
    /// A's pairs lie where they are if its rows do and end with a whole pair.
    static bool copies_a(const GemmDims& d) { return d.transpose_a || d.k % 2 != 0; }
};

/// A [m, k], stored [k, m] if transposed, as rows of pairs.
inline void dot_pack_a(int threads, const DotPlan& plan, const GemmDims& d, const bf16* a, std::uint32_t* to) {
    parallel_for(threads, plan.row_blocks, [&](index_t block, int) {
        const index_t first = block * dot_block, last = std::min(d.m, first + dot_block);
        if (d.transpose_a) {
            for (index_t s = 0; s < plan.pairs; ++s) {
                const bf16 *even = a + 2 * s * d.m, *odd = 2 * s + 1 < d.k ? even + d.m : nullptr;
                for (index_t i = first; i < last; ++i) to[i * plan.pairs + s] = pair_of(even[i], odd ? odd[i] : bf16::from_bits(0));
            }
            return;
        }
        for (index_t i = first; i < last; ++i) {
            to[(i + 1) * plan.pairs - 1] = 0;  // an odd end
            std::memcpy(to + i * plan.pairs, a + i * d.k, static_cast<std::size_t>(d.k) * sizeof(bf16));
        }
    });
}
/// B [k, n], stored [n, k] if transposed, as panels [pairs, panel]; columns past the last are zeros.
inline void dot_pack_b(int threads, const DotPlan& plan, const GemmDims& d, const bf16* b, std::uint32_t* to) {
    const index_t width = plan.target.panel;
    parallel_for(threads, plan.panels, [&](index_t panel, int) {
        const index_t column = panel * width, cols = std::min(width, d.n - column);
        std::uint32_t* own = to + panel * plan.pairs * width;
        if (cols < width) std::fill_n(own, plan.pairs * width, 0u);
        if (!d.transpose_b) {
            for (index_t s = 0; s < plan.pairs; ++s) {
                const bf16* even = b + 2 * s * d.n + column;
                plan.target.pair_columns(cols, even, 2 * s + 1 < d.k ? even + d.n : nullptr, own + s * width);
            }
            return;
        }
        for (index_t j = 0; j < cols; ++j) {
            const bf16* from = b + (column + j) * d.k;
            for (index_t s = 0; s < d.k / 2; ++s) std::memcpy(own + s * width + j, from + 2 * s, sizeof(std::uint32_t));
            if (d.k % 2 != 0) own[(plan.pairs - 1) * width + j] = pair_of(from[d.k - 1], bf16::from_bits(0));
        }
    });
}

/// C = op(A) * op(B) + beta * C + bias; C of bf16 or float.
template <class Out>
void dot_product(const Cpu<bf16>& p, std::byte* scratch, const GemmDims& d, const bf16* a, const bf16* b, const bf16* bias, float beta, Out* c) {
    if (d.m == 0 || d.n == 0) return;
    const DotPlan plan(d);
    const int threads = d.m * d.n * d.k < (1 << 18) ? 1 : p.threads;
    auto* packed_b = take<std::uint32_t>(scratch, plan.pairs * plan.panels * plan.target.panel);
    if (DotPlan::copies_a(d)) {
        auto* packed_a = take<std::uint32_t>(scratch, d.m * plan.pairs);
        dot_pack_a(threads, plan, d, a, packed_a);
        a = reinterpret_cast<const bf16*>(packed_a);
    }
    dot_pack_b(threads, plan, d, b, packed_b);
    const auto narrow = bf16_conversions().narrow;
    const index_t width = plan.target.panel;
    parallel_for(threads, plan.row_blocks * plan.panels, [&](index_t task, int) {
        const index_t row = task % plan.row_blocks * dot_block, rows = std::min(dot_block, d.m - row);
        const index_t panel = task / plan.row_blocks, column = panel * width, cols = std::min(width, d.n - column);
        alignas(64) float sums[dot_block * dot_most_panel] = {};
        for (index_t first = 0; first < plan.pairs; first += dot_steps) {
            const index_t steps = std::min(dot_steps, plan.pairs - first);
            for (index_t i = 0; i < rows; i += plan.target.rows) {
                const bf16* from[dot_most_rows];
                for (index_t r = 0; r < plan.target.rows; ++r) from[r] = a + (row + std::min(i + r, rows - 1)) * 2 * plan.pairs + 2 * first;
                const auto count = static_cast<int>(std::min<index_t>(plan.target.rows, rows - i));
                plan.target.tile(count, steps, from, packed_b + (panel * plan.pairs + first) * width, sums + i * width);
            }
        }
        for (index_t i = 0; i < rows; ++i) {
            float* sum = sums + i * width;
            Out* to = c + (row + i) * d.n + column;
            if (beta != 0)
                for (index_t j = 0; j < cols; ++j) sum[j] += beta * static_cast<float>(to[j]);
            if (bias)
                for (index_t j = 0; j < cols; ++j) sum[j] += static_cast<float>(bias[column + j]);
            if constexpr (std::same_as<Out, float>)
                std::memcpy(to, sum, static_cast<std::size_t>(cols) * sizeof(float));
            else
                narrow(cols, sum, to);
        }
    });
}

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla {

DLA_ONCE index_t gemm_scratch(const Cpu<bf16>&, const GemmDims& d) {
    const detail::DotPlan plan(d);
    return plan.a_bytes(d) + plan.b_bytes();
}
/// Activations times weights.
DLA_ONCE void gemm(const Cpu<bf16>& p, std::byte* scratch, const GemmDims& d, const bf16* a, const bf16* b, const bf16* bias, float beta, bf16* c) {
    detail::dot_product(p, scratch, d, a, b, bias, beta, c);
}
/// Two activations to masters: the gradient of weights.
DLA_ONCE void gemm(const Cpu<bf16>& p, std::byte* scratch, const GemmDims& d, const bf16* a, const bf16* b, const bf16* bias, float beta, float* c) {
    detail::dot_product(p, scratch, d, a, b, bias, beta, c);
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
