// SPDX-License-Identifier: MIT
// Functions of the normal distribution on vectors. Included once per target, see eltwise.hpp. No include guard on purpose.

/// Phi(x) = exp(-x^2 / 2) * R(-x) for x < 0, R(a) = erfcx(a / sqrt(2)) / 2; 1 - Phi(-x) otherwise. `density` is set to exp(-x^2 / 2).
[[gnu::always_inline]] inline VecDouble normal_cdf(VecDouble x, VecDouble& density) {
    VecDouble a = absolute(x);
    a = a < 36.0 ? a : splat_wide(36.0);
    const VecDouble inverse = 1.0 / (a + 4.0), t = 1.0 - 8.0 * inverse;  // t = (a - 4) / (a + 4)
    VecDouble p = splat_wide(2.153310625844041e-5);                      // (a + 4) * R(a)
    p = p * t - 1.7500646939943832e-6;
    p = p * t - 0.00021673354529755096;
    p = p * t + 0.00013345371982977554;
    p = p * t + 0.001623218583148492;
    p = p * t - 0.0034796807140466875;
    p = p * t - 0.00753819907684995;
    p = p * t + 0.060396540052840695;
    p = p * t - 0.18652208343116766;
    p = p * t + 0.38713740686903163;
    p = p * t - 0.60789663463418382;
    p = p * t + 0.75528513028686777;
    density = exp_negative(-0.5 * x * x);
    const VecDouble tail = density * (p * inverse);
    return x < 0.0 ? tail : 1.0 - tail;
}

/// c - a * b, rounded once; of targets with FMA only. Other sums compilers merge as their options say.
[[gnu::always_inline]] inline Vec fused_negated(Vec a, Vec b, Vec c) {
#if defined(__x86_64__)
    if constexpr (vector_bytes > 16) asm("vfnmadd231ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
#endif
    return c;
}

/// What the normal distribution's functions are made of, in floats of targets with FMA. For a = |x|: exp(-a^2 / 2) = (1 + growth) * scale1 * scale2, scales
/// as in ExpParts, and Phi(-a) = (ratio + rest) * scale1 * scale2, rest small against ratio. Phi(x) for small a is 0.5 + x * slope.
struct NormalParts {
    Vec ratio, rest, growth, scale1, scale2, slope;
};
inline constexpr float normal_center = 0.625f;  // up to here 1 - Phi(-a) would lose digits, and slope is right
[[gnu::always_inline]] inline NormalParts normal_parts(Vec x) {
    const auto far = absolute(x) >= 15.0f;  // x * Phi(x) is 0 below
    const Vec a = far ? splat(15.0f) : absolute(x);
    // exp(-a^2 / 2): the square of a's leading 12 bits is exact, and what the others add is small.
    const Vec high = reinterpret_cast<Vec>(reinterpret_cast<VecInt>(a) & ~0xfff), big = -0.5f * high * high, small = -0.5f * (a - high) * (a + high);
    const VecInt n = __builtin_convertvector(big * 1.44269504f - 0.5f, VecInt), half = n >> 1;
    const Vec k = __builtin_convertvector(n, Vec);
    const Vec r = (big - k * 0.693359375f) + (k * 2.12194440e-4f + small);
    Vec q = splat(0.001392640048f);  // as in exp_parts
    q = q * r + 0.008363352683f;
    q = q * r + 0.04166655331f;
    q = q * r + 0.1666657594f;
    q = q * r + 0.5f;
    const Vec growth = r * r * q + r;
    // exp(a^2 / 2) * Phi(-a) = p(t) / (a + 2.5), t = (a - 2.5) / (a + 2.5), for a from 0.6 to 14.5
    const Vec sum = a + 2.5f, inverse = 1.0f / sum, t = (a - 2.5f) * inverse;
    Vec p = splat(-0.0004217942478135228f);
    p = p * t + 0.0005625067860819399f;
    p = p * t + 0.0026084301061928272f;
    p = p * t - 0.001571349217556417f;
    p = p * t - 0.01640624739229679f;
    p = p * t + 0.009233598597347736f;
    p = p * t + 0.13198846578598022f;
    p = p * t - 0.43369197845458984f;
    p = p * t + 0.7066566348075867f;
    const Vec ratio = p * inverse;
    const Vec u = x * x;
    Vec slope = splat(0.0001018136681523174f);  // (Phi(x) - 0.5) / x
    slope = slope * u - 0.0011798531049862504f;
    slope = slope * u + 0.0099717415869236f;
    slope = slope * u - 0.06649019569158554f;
    slope = slope * u + 0.3989422619342804f;
    return {ratio,
            ratio * growth + fused_negated(ratio, sum, p) * inverse,  // the latter: what the division left
            growth,
            reinterpret_cast<Vec>((half + 127) << 23),
            reinterpret_cast<Vec>(((n - half + 127) << 23) & ~far),
            slope};
}
/// x * Phi(x). As floats: within 3.5 ulp of the exact value for every x.
[[gnu::always_inline]] inline Vec gelu(Vec x) {
    const NormalParts n = normal_parts(x);
    const Vec scaled = x * n.scale1, below = (scaled * n.ratio + scaled * n.rest) * n.scale2, above = x * (1.0f - (n.ratio + n.rest) * n.scale1 * n.scale2);
    return absolute(x) < normal_center ? x * (0.5f + x * n.slope) : x < 0.0f ? below : above;
}
/// Its derivative, Phi(x) + x * phi(x).
[[gnu::always_inline]] inline Vec gelu_slope(Vec x) {
    const NormalParts n = normal_parts(x);
    const Vec tail = (n.ratio + n.rest) * n.scale1 * n.scale2, density = (1.0f + n.growth) * n.scale1 * n.scale2;
    return (absolute(x) < normal_center ? 0.5f + x * n.slope : x < 0.0f ? tail : 1.0f - tail) + x * (0.39894228f * density);
}
