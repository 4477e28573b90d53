// SPDX-License-Identifier: MIT
// Elementary functions and loops over arrays. Included once per target, see simd_math.hpp. No include guard on purpose.
// Polynomials are near-minimax fits (Chebyshev) of the functions named beside them.

using VecUint [[gnu::vector_size(vector_bytes)]] = std::uint32_t;
using VecDouble [[gnu::vector_size(vector_bytes)]] = double;
using VecLong [[gnu::vector_size(vector_bytes)]] = std::int64_t;
using VecHalf [[gnu::vector_size(vector_bytes / 2)]] = float;  // as many values as a VecDouble
using VecHalfUnaligned [[gnu::vector_size(vector_bytes / 2), gnu::aligned(4), gnu::may_alias]] = float;
using VecDoubleUnaligned [[gnu::vector_size(vector_bytes), gnu::aligned(8), gnu::may_alias]] = double;
inline constexpr index_t half_lanes = lanes / 2;

[[gnu::always_inline]] inline VecDouble load_wide(const float* p) { return __builtin_convertvector(*reinterpret_cast<const VecHalfUnaligned*>(p), VecDouble); }
[[gnu::always_inline]] inline void store_wide(float* p, VecDouble v) { *reinterpret_cast<VecHalfUnaligned*>(p) = __builtin_convertvector(v, VecHalf); }
[[gnu::always_inline]] inline VecDouble load(const double* p) { return *reinterpret_cast<const VecDoubleUnaligned*>(p); }
[[gnu::always_inline]] inline void store(double* p, VecDouble v) { *reinterpret_cast<VecDoubleUnaligned*>(p) = v; }
[[gnu::always_inline]] inline VecDouble splat_wide(double v) { return v - VecDouble{}; }

/// The first `n` values from p, or all lanes if n reaches that far; the other lanes are `rest`.
[[gnu::always_inline]] inline Vec load_within(const float* p, index_t n, float rest = 0.0f) {
    if (n >= lanes) return load(p);
    float local[lanes];
    store(local, splat(0.0f) + rest);
    for (index_t i = 0; i < n; ++i) local[i] = p[i];
    return load(local);
}
[[gnu::always_inline]] inline void store_within(float* p, Vec v, index_t n) {
    if (n >= lanes) return store(p, v);
    float local[lanes];
    store(local, v);
    for (index_t i = 0; i < n; ++i) p[i] = local[i];
}

// bf16 is the upper half of a float.
using VecShort [[gnu::vector_size(vector_bytes / 2)]] = std::uint16_t;

[[gnu::always_inline]] inline Vec widen(VecShort v) { return reinterpret_cast<Vec>(__builtin_convertvector(v, VecUint) << 16); }
/// To nearest, ties to even; a NaN stays one.
[[gnu::always_inline]] inline VecShort narrow(Vec v) {
    const VecUint bits = reinterpret_cast<VecUint>(v), rounded = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
    return __builtin_convertvector((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16 | 0x40u) : rounded, VecShort);
}
[[gnu::always_inline]] inline Vec load_within(const bf16* p, index_t n) {
    VecShort v{};
    std::memcpy(&v, p, n >= lanes ? sizeof v : static_cast<std::size_t>(n) * sizeof *p);
    return widen(v);
}
[[gnu::always_inline]] inline void store_within(bf16* p, Vec v, index_t n) {
    const VecShort rounded = narrow(v);
    std::memcpy(static_cast<void*>(p), &rounded, n >= lanes ? sizeof rounded : static_cast<std::size_t>(n) * sizeof *p);
}

/// The lanes added up as a tree.
[[gnu::always_inline]] inline float horizontal_sum(Vec v) {
    float local[lanes];
    store(local, v);
    for (index_t width = lanes / 2; width > 0; width /= 2)
        for (index_t i = 0; i < width; ++i) local[i] += local[i + width];
    return local[0];
}
[[gnu::always_inline]] inline double horizontal_sum(VecDouble v) {
    double sum = 0;
    for (index_t i = 0; i < half_lanes; ++i) sum += v[i];
    return sum;
}

/// At least one value, fewer than a vector, followed by zeros.
struct Padded {
    float values[lanes] = {};
    Padded(const float* p, index_t n) {
        for (index_t i = 0; i < n; ++i) values[i] = p[i];
    }
};

/// y[i] = f(x[i]...) for vectors. The tail runs through the same code in padded copies, so the bits of a value do not depend on its place.
template <class F, class... In>
inline void map(index_t n, float* y, const F& f, const In*... x) {
    index_t i = 0;
    for (; i + lanes <= n; i += lanes) store(y + i, f(load(x + i)...));
    if (i == n) return;
    float local[lanes];
    map(lanes, local, f, static_cast<const float*>(Padded(x + i, n - i).values)...);
    for (index_t j = 0; i + j < n; ++j) y[i + j] = local[j];
}

/// The same in double precision, rounded at the end.
template <class F, class... In>
inline void map_wide(index_t n, float* y, const F& f, const In*... x) {
    index_t i = 0;
    for (; i + half_lanes <= n; i += half_lanes) store_wide(y + i, f(load_wide(x + i)...));
    if (i == n) return;
    float local[half_lanes];
    map_wide(half_lanes, local, f, static_cast<const float*>(Padded(x + i, n - i).values)...);
    for (index_t j = 0; i + j < n; ++j) y[i + j] = local[j];
}

[[gnu::always_inline]] inline Vec absolute(Vec x) { return reinterpret_cast<Vec>(reinterpret_cast<VecInt>(x) & 0x7fffffff); }
[[gnu::always_inline]] inline Vec with_sign_of(Vec magnitude, Vec sign) {
    return reinterpret_cast<Vec>(reinterpret_cast<VecInt>(magnitude) | (reinterpret_cast<VecInt>(sign) & std::numeric_limits<std::int32_t>::min()));
}

/// Correctly rounded square root. Neither compiler has a portable name for it in all supported versions, and sqrtf() may set errno, which keeps loops scalar.
[[gnu::always_inline]] inline Vec square_root(Vec x) {
    Vec y;
#if defined(__x86_64__)
    if constexpr (vector_bytes == 16)
        asm("sqrtps %1, %0" : "=x"(y) : "x"(x));
    else
        asm("vsqrtps %1, %0" : "=v"(y) : "v"(x));
#else
    for (index_t i = 0; i < lanes; ++i) y[i] = __builtin_sqrtf(x[i]);
#endif
    return y;
}
[[gnu::always_inline]] inline VecDouble square_root(VecDouble x) {
    VecDouble y;
#if defined(__x86_64__)
    if constexpr (vector_bytes == 16)
        asm("sqrtpd %1, %0" : "=x"(y) : "x"(x));
    else
        asm("vsqrtpd %1, %0" : "=v"(y) : "v"(x));
#else
    for (index_t i = 0; i < half_lanes; ++i) y[i] = __builtin_sqrt(x[i]);
#endif
    return y;
}

/// exp(x) = fraction * scale1 * scale2. Two scales, because one of 2^-150 does not exist: multiply what is small last, and a result that is
/// subnormal is rounded once.
struct ExpParts {
    Vec fraction, scale1, scale2;
};

/// exp(x) for x <= 0 (0 for -infinity) and NaN for NaN; relative error below 1 ulp.
[[gnu::always_inline]] inline ExpParts exp_parts(Vec x) {
    const auto tiny = x < -110.0f;
    x = tiny ? splat(-110.0f) : x;
    const VecInt n = __builtin_convertvector(x * 1.44269504f - 0.5f, VecInt);  // nearest integer, as x <= 0
    const Vec k = __builtin_convertvector(n, Vec);
    Vec r = x - k * 0.693359375f;  // exact: ten bits of log(2) times eight
    r = r - k * -2.12194440e-4f;
    Vec q = splat(0.001392640048f);  // (exp(r) - 1 - r) / r^2
    q = q * r + 0.008363352683f;
    q = q * r + 0.04166655331f;
    q = q * r + 0.1666657594f;
    q = q * r + 0.5f;
    const VecInt half = n >> 1;
    return {1.0f + (r + r * r * q), reinterpret_cast<Vec>((half + 127) << 23), reinterpret_cast<Vec>(((n - half + 127) << 23) & ~tiny)};
}
[[gnu::always_inline]] inline Vec exp_negative(Vec x) {
    const ExpParts e = exp_parts(x);
    return e.fraction * e.scale1 * e.scale2;
}

/// exp(x) - 1 for x <= 0, without cancellation near 0.
[[gnu::always_inline]] inline Vec exp_minus_one(Vec x) {
    x = x < -30.0f ? splat(-30.0f) : x;  // -1 from here on
    const VecInt n = __builtin_convertvector(x * 1.44269504f - 0.5f, VecInt);
    const Vec k = __builtin_convertvector(n, Vec), scale = reinterpret_cast<Vec>((n + 127) << 23);
    Vec r = x - k * 0.693359375f;
    r = r - k * -2.12194440e-4f;
    Vec q = splat(0.001392640048f);  // as in exp_parts
    q = q * r + 0.008363352683f;
    q = q * r + 0.04166655331f;
    q = q * r + 0.1666657594f;
    q = q * r + 0.5f;
    return (r + r * r * q) * scale + (scale - 1.0f);
}

/// 1 / (1 + exp(-x)), exactly 0 below the smallest normal number.
[[gnu::always_inline]] inline Vec sigmoid(Vec x) {
    const Vec e = exp_negative(-absolute(x));
    const Vec y = (x < 0.0f ? e : splat(1.0f)) / (1.0f + e);
    return y < std::numeric_limits<float>::min() ? splat(0.0f) : y;
}
/// x * sigmoid(x).
[[gnu::always_inline]] inline Vec silu(Vec x) {
    const ExpParts e = exp_parts(-absolute(x));
    const Vec one = splat(1.0f), all = 1.0f + e.fraction * e.scale1 * e.scale2;
    return x * (x < 0.0f ? e.scale1 : one) * (x < 0.0f ? e.fraction : one) / all * (x < 0.0f ? e.scale2 : one);
}
[[gnu::always_inline]] inline Vec hyperbolic_tangent(Vec x) {
    const Vec a = absolute(x), s = x * x;
    Vec p = splat(0.00228186135f);  // (tanh(a) / a - 1) / a^2 for a^2 < 0.395
    p = p * s - 0.008334287f;
    p = p * s + 0.02176595255f;
    p = p * s - 0.05395889304f;
    p = p * s + 0.13333302f;
    p = p * s - 0.3333333316f;
    const Vec e = exp_negative(-2.0f * a);
    return with_sign_of(a < 0.625f ? a + a * (s * p) : (1.0f - e) / (1.0f + e), x);
}

/// exp(x) in double precision for x <= 0 (0 below -700), NaN for NaN; relative error 1e-11, far below what a float result shows.
[[gnu::always_inline]] inline VecDouble exp_negative(VecDouble x) {
    const VecDouble magic = splat_wide(0x1.8p52), limit = x < -700.0 ? splat_wide(-700.0) : x;
    const VecDouble shifted = limit * 1.4426950408889634 + magic, k = shifted - magic;  // the low bits of `shifted` are the nearest integer
    const VecDouble r = (limit - k * 0x1.62e42fefa38p-1) - k * 0x1.ef35793c7673p-45;
    VecDouble q = splat_wide(0.0000248599270889381063);  // (exp(r) - 1 - r) / r^2
    q = q * r + 0.000198996229841488312;
    q = q * r + 0.00138888536293451153;
    q = q * r + 0.00833329806329820624;
    q = q * r + 0.0416666667199301021;
    q = q * r + 0.166666667199471685;
    q = q * r + 0.5;
    const VecDouble scale = reinterpret_cast<VecDouble>((reinterpret_cast<VecLong>(shifted) + 1023) << 52);
    return x < -700.0 ? splat_wide(0.0) : (1.0 + (r + r * r * q)) * scale;
}
[[gnu::always_inline]] inline VecDouble absolute(VecDouble x) {
    return reinterpret_cast<VecDouble>(reinterpret_cast<VecLong>(x) & std::numeric_limits<std::int64_t>::max());
}
[[gnu::always_inline]] inline VecDouble sigmoid(VecDouble x) {
    const VecDouble e = exp_negative(-absolute(x));
    return (x < 0.0 ? e : splat_wide(1.0)) / (1.0 + e);
}
/// log(1 + e) for e in [0, 1], NaN for NaN; relative error 1e-13.
[[gnu::always_inline]] inline VecDouble log_one_plus(VecDouble e) {
    const VecDouble s = e / (2.0 + e), u = s * s;
    VecDouble p = splat_wide(0.10040969428986272);  // atanh(s) / s
    p = p * u + 0.0703270487580511;
    p = p * u + 0.09155429564084733;
    p = p * u + 0.11107669279639655;
    p = p * u + 0.14285813208184434;
    p = p * u + 0.1999999861009116;
    p = p * u + 0.3333333334075192;
    p = p * u + 0.9999999999999352;
    return 2.0 * s * p;
}
