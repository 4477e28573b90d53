// SPDX-License-Identifier: MIT
// Arrays of bf16 to float and back, and the register tile of dot products of pairs. Included once per target, see gemm.hpp. No include guard on purpose.

inline void widen(index_t n, const bf16* from, float* to) {
    VecShort v{};
    index_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        std::memcpy(&v, from + i, sizeof v);
        store(to + i, widen(v));
    }
    for (; i < n; ++i) to[i] = static_cast<float>(from[i]);
}
inline void narrow(index_t n, const float* from, bf16* to) {
    index_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const VecShort v = narrow(load(from + i));
        std::memcpy(static_cast<void*>(to + i), &v, sizeof v);
    }
    for (; i < n; ++i) to[i] = static_cast<bf16>(from[i]);
}
inline constexpr Bf16Conversions conversions{&widen, &narrow};

inline constexpr int dot_tile_rows = vector_bytes == 64 ? 8 : 4;
inline constexpr index_t dot_panel = 2 * lanes;

/// sum + a[1] * b[1] + a[0] * b[0] in each lane, added in this order. With Native one instruction (AVX-512 BF16), which takes subnormal numbers for 0, also
/// those that it makes; else the same sums in float, in which products within its range are exact.
template <bool Native>
[[gnu::always_inline]] inline Vec dot(Vec sum, VecUint a, VecUint b) {
#if defined(__x86_64__)
    if constexpr (Native) {
        asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
        return sum;
    }
#endif
    const Vec upper_a = reinterpret_cast<Vec>(a & 0xffff0000u), upper_b = reinterpret_cast<Vec>(b & 0xffff0000u);
    const Vec lower_a = reinterpret_cast<Vec>(a << 16), lower_b = reinterpret_cast<Vec>(b << 16);
    constexpr bool second_is_upper = std::endian::native == std::endian::little;
    sum += second_is_upper ? upper_a * upper_b : lower_a * lower_b;
    sum += second_is_upper ? lower_a * lower_b : upper_a * upper_b;
    return sum;
}

/// sums [Rows, dot_panel] += the dot products of `pairs` pairs: of each row of a, and of the columns of a panel b [pairs, dot_panel].
template <int Rows, bool Native>
[[gnu::noinline]] void dot_tile(index_t pairs, const bf16* const* rows, const std::uint32_t* b, float* sums) {
    Vec sum[Rows][2];
    const bf16* a[Rows];
#pragma GCC unroll 64
    for (int i = 0; i < Rows; ++i) {
        a[i] = rows[i];
        sum[i][0] = load(sums + i * dot_panel), sum[i][1] = load(sums + i * dot_panel + lanes);
    }
    for (index_t s = 0; s < pairs; ++s, b += dot_panel) {
        VecUint right0, right1;
        std::memcpy(&right0, b, sizeof right0);
        std::memcpy(&right1, b + lanes, sizeof right1);
#pragma GCC unroll 64
        for (int i = 0; i < Rows; ++i) {
            std::uint32_t pair;
            std::memcpy(&pair, a[i] + 2 * s, sizeof pair);
            const VecUint left = VecUint{} + pair;
            sum[i][0] = dot<Native>(sum[i][0], left, right0);
            sum[i][1] = dot<Native>(sum[i][1], left, right1);
        }
    }
#pragma GCC unroll 64
    for (int i = 0; i < Rows; ++i) store(sums + i * dot_panel, sum[i][0]), store(sums + i * dot_panel + lanes, sum[i][1]);
}
/// The same for `count` <= dot_tile_rows rows.
template <bool Native>
void dot_tile_of(int count, index_t pairs, const bf16* const* rows, const std::uint32_t* b, float* sums) {
    if (count > 4) return dot_tile<dot_tile_rows, Native>(pairs, rows, b, sums);
    if (count > 2) return dot_tile<4, Native>(pairs, rows, b, sums);
    if (count == 2) return dot_tile<2, Native>(pairs, rows, b, sums);
    dot_tile<1, Native>(pairs, rows, b, sums);
}

/// Pairs of steps s, s + 1 of `cols` columns of two rows into a panel's row; the second row may be null, for zeros.
inline void pair_columns(index_t cols, const bf16* first, const bf16* second, std::uint32_t* to) {
    for (index_t j = 0; j < cols; ++j) to[j] = pair_of(first[j], second ? second[j] : bf16::from_bits(0));
}

inline constexpr DotTarget dot_target{dot_tile_rows, dot_panel, &dot_tile_of<false>, &pair_columns};
inline constexpr DotTarget native_dot_target{dot_tile_rows, dot_panel, &dot_tile_of<vector_bytes == 64>, &pair_columns};
