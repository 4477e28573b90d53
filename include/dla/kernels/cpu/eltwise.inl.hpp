// SPDX-License-Identifier: MIT
// Elementwise kernels on one thread. Included once per target, see eltwise.hpp. No include guard on purpose.

template <Activation Kind>
void activation_forward(const ActivationOptions& options, index_t n, const float* x, float* y) {
    const float value = static_cast<float>(options.value);
    if constexpr (Kind == Activation::relu)
        return map(n, y, [=](Vec v) __attribute__((always_inline)) { return v < 0.0f ? splat(0.0f) : v; }, x);
    else if constexpr (Kind == Activation::leaky_relu)
        return map(n, y, [value](Vec v) __attribute__((always_inline)) { return v > 0.0f ? v : v * value; }, x);
    else if constexpr (Kind == Activation::gelu && vector_bytes > 16)
        return map(n, y, [=](Vec v) __attribute__((always_inline)) { return gelu(v); }, x);
    else if constexpr (Kind == Activation::gelu)
        return map_wide(
            n, y,
            [=](VecDouble v) __attribute__((always_inline)) {
                VecDouble density;
                return v * normal_cdf(v, density);
            },
            x);
    else if constexpr (Kind == Activation::gelu_tanh)
        return map_wide(n, y, [=](VecDouble v) __attribute__((always_inline)) { return v * sigmoid(1.5957691216057308 * (v + 0.044715 * v * v * v)); }, x);
    else if constexpr (Kind == Activation::silu)
        return map(n, y, [=](Vec v) __attribute__((always_inline)) { return silu(v); }, x);
    else if constexpr (Kind == Activation::sigmoid)
        return map(n, y, [=](Vec v) __attribute__((always_inline)) { return sigmoid(v); }, x);
    else if constexpr (Kind == Activation::tanh)
        return map(n, y, [=](Vec v) __attribute__((always_inline)) { return hyperbolic_tangent(v); }, x);
    else if constexpr (Kind == Activation::elu)
        return map(n, y, [value](Vec v) __attribute__((always_inline)) { return v < 0.0f ? value * exp_minus_one(v < 0.0f ? v : splat(0.0f)) : v; }, x);
    else if constexpr (Kind == Activation::softplus)
        return map_wide(
            n, y,
            [beta = options.value, threshold = options.threshold](VecDouble v) __attribute__((always_inline)) {
                const VecDouble z = v * beta, large = z > 0.0 ? z : splat_wide(0.0);
                return z > threshold ? v : (large + log_one_plus(exp_negative(-absolute(z)))) / beta;
            },
            x);
    else if constexpr (Kind == Activation::hardswish)
        return map(
            n, y,
            [=](Vec v) __attribute__((always_inline)) {
                const Vec share = v < -3.0f ? splat(0.0f) : v > 3.0f ? splat(6.0f) : v + 3.0f;
                return v * (share / 6.0f);
            },
            x);
}

/// `v` is y for relu, sigmoid and tanh, x for the others.
template <Activation Kind>
void activation_backward(const ActivationOptions& options, index_t n, const float* v, const float* dy, float* dx) {
    const float value = static_cast<float>(options.value);
    if constexpr (Kind == Activation::relu)
        return map(n, dx, [=](Vec y, Vec d) __attribute__((always_inline)) { return y <= 0.0f ? splat(0.0f) : d; }, v, dy);
    else if constexpr (Kind == Activation::leaky_relu)
        return map(n, dx, [value](Vec x, Vec d) __attribute__((always_inline)) { return x > 0.0f ? d : d * value; }, v, dy);
    else if constexpr (Kind == Activation::gelu && vector_bytes > 16)
        return map(n, dx, [=](Vec x, Vec d) __attribute__((always_inline)) { return d * gelu_slope(x); }, v, dy);
    else if constexpr (Kind == Activation::gelu)
        return map_wide(
            n, dx,
            [=](VecDouble x, VecDouble d) __attribute__((always_inline)) {
                VecDouble density;
                const VecDouble phi = normal_cdf(x, density);
                return d * (phi + x * 0.39894228040143267794 * density);
            },
            v, dy);
    else if constexpr (Kind == Activation::gelu_tanh)
        return map_wide(
            n, dx,
            [=](VecDouble x, VecDouble d) __attribute__((always_inline)) {
                constexpr double scale = 1.5957691216057308;  // 2 * sqrt(2 / pi)
                const VecDouble inner = scale * (x + 0.044715 * x * x * x), s = sigmoid(inner);
                return d * (s + x * s * sigmoid(-inner) * scale * (1.0 + 3 * 0.044715 * x * x));
            },
            v, dy);
    else if constexpr (Kind == Activation::silu)
        return map(n, dx, [=](Vec x, Vec d) __attribute__((always_inline)) { return d * (sigmoid(x) * (1.0f + x * sigmoid(-x))); }, v, dy);
    else if constexpr (Kind == Activation::sigmoid)
        return map(n, dx, [=](Vec y, Vec d) __attribute__((always_inline)) { return d * (y * (1.0f - y)); }, v, dy);
    else if constexpr (Kind == Activation::tanh)
        return map(n, dx, [=](Vec y, Vec d) __attribute__((always_inline)) { return d * (1.0f - y * y); }, v, dy);
    else if constexpr (Kind == Activation::elu)
        return map(
            n, dx,
            [value](Vec x, Vec d) __attribute__((always_inline)) { return x > 0.0f ? d : d * (value * exp_negative(x > 0.0f ? splat(0.0f) : x)); }, v, dy);
    else if constexpr (Kind == Activation::softplus)
        return map_wide(
            n, dx,
            [beta = options.value, threshold = options.threshold](VecDouble x, VecDouble d) __attribute__((always_inline)) {
                return x * beta > threshold ? d : d * sigmoid(x * beta);
            },
            v, dy);
    else if constexpr (Kind == Activation::hardswish)
        return map(
            n, dx,
            [=](Vec x, Vec d) __attribute__((always_inline)) { return x <= -3.0f ? splat(0.0f) : x >= 3.0f ? d : d * (x / 3.0f + 0.5f); }, v, dy);
}

inline void add(index_t n, const float* a, const float* b, float* y) {
    map(n, y, [=](Vec u, Vec v) __attribute__((always_inline)) { return u + v; }, a, b);
}
inline void add_relu(index_t n, const float* a, const float* b, float* y) {
    map(
        n, y,
        [=](Vec u, Vec v) __attribute__((always_inline)) {
            const Vec sum = u + v;
            return sum < 0.0f ? splat(0.0f) : sum;
        },
        a, b);
}
// The mask of a ReLU: 512 values share 16 words, and bit i of word j is that of value 16 i + j; so its words are vectors, however many lanes those have.
inline void add_relu_masked(index_t n, const float* a, const float* b, float* y, std::uint32_t* mask) {
    for (index_t block = 0; block < n; block += 512)
        for (index_t part = 0; part < 16; part += lanes) {
            VecUint bits{};
            for (index_t i = 0; i < 32; ++i) {
                const index_t at = block + 16 * i + part;
                if (at >= n) break;
                const Vec sum = load_within(a + at, n - at) + load_within(b + at, n - at);
                store_within(y + at, sum < 0.0f ? splat(0.0f) : sum, n - at);
                bits |= sum <= 0.0f ? VecUint{} : VecUint{} + (std::uint32_t{1} << i);
            }
            std::memcpy(mask + block / 32 + part, &bits, sizeof bits);
        }
}
inline void relu_mask_backward(index_t n, const std::uint32_t* mask, const float* dy, float* dx) {
    for (index_t block = 0; block < n; block += 512)
        for (index_t part = 0; part < 16; part += lanes) {
            VecUint bits;
            std::memcpy(&bits, mask + block / 32 + part, sizeof bits);
            for (index_t i = 0; i < 32; ++i) {
                const index_t at = block + 16 * i + part;
                if (at >= n) break;
                store_within(dx + at, (bits >> i & 1) != 0 ? load_within(dy + at, n - at) : splat(0.0f), n - at);
            }
        }
}
inline void scale(index_t n, float factor, const float* x, float* y) {
    map(n, y, [factor](Vec v) __attribute__((always_inline)) { return v * factor; }, x);
}
inline void fill(index_t n, float value, float* y) {
    map(n, y, [value]() __attribute__((always_inline)) { return splat(0.0f) + value; });
}

/// The 64-bit products of the even lanes (0, 2, ...).
[[gnu::always_inline]] inline VecUint multiply_even(VecUint a, VecUint b) {
#if defined(__x86_64__)
    VecUint y;  // in assembly, because g++ does not see that the upper halves are zero and multiplies in full
    if constexpr (vector_bytes == 16) {
        y = a;
        asm("pmuludq %1, %0" : "+x"(y) : "x"(b));
    } else
        asm("vpmuludq %2, %1, %0" : "=v"(y) : "v"(a), "v"(b));
    return y;
#else
    using VecUlong [[gnu::vector_size(vector_bytes)]] = std::uint64_t;
    return reinterpret_cast<VecUint>((reinterpret_cast<VecUlong>(a) & 0xffffffffu) * (reinterpret_cast<VecUlong>(b) & 0xffffffffu));
#endif
}

/// Philox4x32-10 in each lane: word j of block counter[3][lane] in counter[j][lane].
[[gnu::always_inline]] inline void philox(VecUint (&counter)[4], std::uint32_t key0, std::uint32_t key1) {
    using VecUlong [[gnu::vector_size(vector_bytes)]] = std::uint64_t;
    const VecUint zero{};
    const auto multiply = [=](VecUint a, std::uint32_t by, VecUint& high, VecUint& low) __attribute__((always_inline)) {
        const VecUint b = by - VecUint{};
        const VecUlong even = reinterpret_cast<VecUlong>(multiply_even(a, b));
        const VecUlong odd = reinterpret_cast<VecUlong>(multiply_even(reinterpret_cast<VecUint>(reinterpret_cast<VecUlong>(a) >> 32), b));
        high = reinterpret_cast<VecUint>((even >> 32) | (odd & 0xffffffff00000000u));
        low = reinterpret_cast<VecUint>((even & 0xffffffffu) | (odd << 32));
    };
    for (int round = 0; round < 10; ++round) {
        VecUint high0 = zero, low0 = zero, high1 = zero, low1 = zero;
        multiply(counter[0], 0xD2511F53u, high0, low0);
        multiply(counter[2], 0xCD9E8D57u, high1, low1);
        counter[0] = high1 ^ counter[1] ^ key0;
        counter[1] = low1;
        counter[2] = high0 ^ counter[3] ^ key1;
        counter[3] = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

/// The lower (upper) 64 bits of each 128 bits of a, followed by those of b.
[[gnu::always_inline]] inline VecUint interleave_low(VecUint a, VecUint b) {
#if defined(__x86_64__)
    VecUint y;
    if constexpr (vector_bytes == 16) {
        y = a;
        asm("punpcklqdq %1, %0" : "+x"(y) : "x"(b));
    } else
        asm("vpunpcklqdq %2, %1, %0" : "=v"(y) : "v"(a), "v"(b));
    return y;
#else
    return VecUint{a[0], a[1], b[0], b[1]};
#endif
}
[[gnu::always_inline]] inline VecUint interleave_high(VecUint a, VecUint b) {
#if defined(__x86_64__)
    VecUint y;
    if constexpr (vector_bytes == 16) {
        y = a;
        asm("punpckhqdq %1, %0" : "+x"(y) : "x"(b));
    } else
        asm("vpunpckhqdq %2, %1, %0" : "=v"(y) : "v"(a), "v"(b));
    return y;
#else
    return VecUint{a[2], a[3], b[2], b[3]};
#endif
}

/// Turns word j of the block in each lane, words[j], into the four words of one block behind the other. In each 128 bits: a 4 x 4 transposition.
[[gnu::always_inline]] inline void blocks_in_order(VecUint (&words)[4]) {
    using VecUlong [[gnu::vector_size(vector_bytes)]] = std::uint64_t;
    const auto even = [=](VecUint a, VecUint b) __attribute__((always_inline)) {
        return reinterpret_cast<VecUint>((reinterpret_cast<VecUlong>(a) & 0xffffffffu) | (reinterpret_cast<VecUlong>(b) << 32));
    };
    const auto odd = [=](VecUint a, VecUint b) __attribute__((always_inline)) {
        return reinterpret_cast<VecUint>((reinterpret_cast<VecUlong>(a) >> 32) | (reinterpret_cast<VecUlong>(b) & 0xffffffff00000000u));
    };
    const VecUint even01 = even(words[0], words[1]), even23 = even(words[2], words[3]), odd01 = odd(words[0], words[1]), odd23 = odd(words[2], words[3]);
    words[0] = interleave_low(even01, even23);
    words[1] = interleave_low(odd01, odd23);
    words[2] = interleave_high(even01, even23);
    words[3] = interleave_high(odd01, odd23);
}

/// y[i] = word of element (first + i) >> 8 >= threshold ? x[i] / kept : 0. `first` is a multiple of 4.
inline void dropout(index_t n, index_t first, std::uint32_t threshold, float kept, const RandomPosition& at, std::uint32_t stream, const float* x, float* y) {
    VecUint lane{};  // which block a lane computes, so that blocks_in_order() leaves whole vectors in order
    for (index_t i = 0; i < lanes; ++i) lane[i] = static_cast<std::uint32_t>(i % 4 * (lanes / 4) + i / 4);
    for (index_t i = 0; i < n; i += 4 * lanes) {
        const VecUint zero{};
        VecUint words[4] = {zero + stream, zero + at.epoch, zero + at.step, lane + static_cast<std::uint32_t>((first + i) / 4)};
        philox(words, static_cast<std::uint32_t>(at.seed), static_cast<std::uint32_t>(at.seed >> 32));
        blocks_in_order(words);
        for (index_t j = 0; j < 4; ++j) {
            const index_t element = i + j * lanes;
            if (element >= n) return;
            const Vec value = load_within(x + element, n - element) / kept;
            store_within(y + element, (words[j] >> 8) >= threshold ? value : splat(0.0f), n - element);
        }
    }
}
