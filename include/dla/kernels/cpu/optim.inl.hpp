// SPDX-License-Identifier: MIT
// Optimizer steps on one thread. Included once per target, see optim.hpp. No include guard on purpose.

inline void sgd_step(index_t n, const SgdFloats& s, float* value, const float* grad, float* velocity) {
    const auto slope = [&s](Vec p, Vec g) __attribute__((always_inline)) { return s.decay != 0.0f ? g + s.decay * p : g; };
    if (!s.has_momentum) {
        map(
            n, value, [&](Vec p, Vec g) __attribute__((always_inline)) { return p - s.rate * slope(p, g); }, value, grad);
        return;
    }
    constexpr index_t block = 1024;  // small enough for the first-level cache, where the second loop finds what the first has read
    for (index_t at = 0; at < n; at += block) {
        const index_t length = n - at < block ? n - at : block;
        float *value_at = value + at, *velocity_at = velocity + at;
        const float* grad_at = grad + at;
        if (s.first)
            map(length, velocity_at, slope, value_at, grad_at);
        else
            map(
                length, velocity_at, [&](Vec p, Vec g, Vec v) __attribute__((always_inline)) { return s.momentum * v + s.rest * slope(p, g); }, value_at,
                grad_at, velocity_at);
        if (s.nesterov)
            map(
                length, value_at, [&](Vec p, Vec g, Vec v) __attribute__((always_inline)) { return p - s.rate * (slope(p, g) + s.momentum * v); }, value_at,
                grad_at, velocity_at);
        else
            map(
                length, value_at, [&s](Vec p, Vec v) __attribute__((always_inline)) { return p - s.rate * v; }, value_at, velocity_at);
    }
}

inline void adam_step(index_t n, const AdamFloats& scalars, float* value, const float* grad, float* m, float* v) {
    const AdamFloats s = scalars;  // a copy, which the stores below cannot change
    index_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const Vec p = load(value + i) * s.shrink, g = s.decay != 0.0f ? load(grad + i) + s.decay * p : load(grad + i);
        const Vec first = load(m + i) * s.beta1 + s.rest1 * g, second = load(v + i) * s.beta2 + s.rest2 * g * g;
        store(m + i, first);
        store(v + i, second);
        store(value + i, p - s.step * first / (square_root(second) / s.root + s.eps));
    }
    if (i == n) return;
    Padded p(value + i, n - i), g(grad + i, n - i), first(m + i, n - i), second(v + i, n - i);
    adam_step(lanes, s, p.values, g.values, first.values, second.values);
    for (index_t j = 0; i + j < n; ++j) {
        value[i + j] = p.values[j];
        m[i + j] = first.values[j];
        v[i + j] = second.values[j];
    }
}

inline void muon_direction(index_t n, const MuonFloats& s, const float* grad, float* velocity, float* direction) {
    map(
        n, velocity, [&s](Vec g, Vec v) __attribute__((always_inline)) { return v + s.rest * (g - v); }, grad, velocity);
    if (s.nesterov)
        map(
            n, direction, [&s](Vec g, Vec v) __attribute__((always_inline)) { return g + s.momentum * (v - g); }, grad, velocity);
    else
        for (index_t i = 0; i < n; ++i) direction[i] = velocity[i];
}

inline void muon_update(index_t n, float shrink, float rate, const float* direction, float* value) {
    map(
        n, value, [=](Vec p, Vec d) __attribute__((always_inline)) { return p * shrink - rate * d; }, value, direction);
}
