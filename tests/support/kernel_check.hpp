// SPDX-License-Identifier: MIT
// What the tests of Cpu<float> kernels share: reproducible data, guarded scratch, distances, and the comparison over numbers of threads.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <dla/backend/policy.hpp>
#include <dla/core/arena.hpp>
#include <limits>
#include <vector>

namespace support {

using dla::index_t;
using Floats = std::vector<float>;

inline const float not_a_number = std::numeric_limits<float>::quiet_NaN();
inline const float infinite = std::numeric_limits<float>::infinity();

inline std::uint32_t word(std::uint32_t seed, index_t i) { return dla::random_block(dla::RandomPosition{.seed = seed}, 1, static_cast<std::uint32_t>(i))[0]; }

/// Reals in [-1, 1) times `scale` plus `offset`.
inline Floats reals(std::uint32_t seed, index_t n, float scale = 1.0f, float offset = 0.0f) {
    Floats out(static_cast<std::size_t>(n));
    for (index_t i = 0; i < n; ++i) out[static_cast<std::size_t>(i)] = (static_cast<float>(word(seed, i)) * 0x1p-31f - 1.0f) * scale + offset;
    return out;
}

/// Integers in [-limit, limit].
inline Floats integers(std::uint32_t seed, index_t n, int limit) {
    Floats out(static_cast<std::size_t>(n));
    for (index_t i = 0; i < n; ++i) out[static_cast<std::size_t>(i)] = static_cast<float>(static_cast<int>(word(seed, i) >> 8) % (2 * limit + 1) - limit);
    return out;
}

/// An output that nobody has written yet.
inline Floats poisoned(index_t n) { return Floats(static_cast<std::size_t>(n), not_a_number); }

inline std::vector<double> doubles(const Floats& x) { return {x.begin(), x.end()}; }

inline dla::Cpu<float> cpu(int threads = 0) {
    dla::Cpu<float> p;
    p.threads = threads;
    return p;
}

/// Scratch of exactly the declared size, poisoned, with a guard behind it.
class Scratch {
public:
    explicit Scratch(index_t bytes) : bytes_(bytes), memory_({}, bytes + guard) { std::memset(memory_.data(), 0xff, static_cast<std::size_t>(bytes + guard)); }
    ~Scratch() {
        bool untouched = true;
        for (index_t i = 0; i < guard; ++i) untouched = untouched && memory_.data()[bytes_ + i] == std::byte{0xff};
        CHECK_MESSAGE(untouched, "scratch overrun");
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    std::byte* data() { return memory_.data(); }

private:
    static constexpr index_t guard = 256;
    index_t bytes_;
    dla::Arena<dla::Cpu<float>> memory_;
};

inline bool same_bits(const Floats& a, const Floats& b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

/// Equal values, NaN equal to NaN.
inline bool same_values(const Floats& a, const Floats& b) {
    for (std::size_t i = 0; i < a.size(); ++i)
        if (!(a[i] == b[i]) && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
    return a.size() == b.size();
}

/// |got - exact| in units of the last place of a float near `exact`; infinity where exactly one is NaN or the infinities differ.
inline double ulps(float got, double exact) {
    if (std::isnan(exact) || std::isnan(got)) return std::isnan(exact) && std::isnan(got) ? 0 : HUGE_VAL;
    if (std::isinf(static_cast<float>(exact)) || std::isinf(got)) return static_cast<float>(exact) == got ? 0 : HUGE_VAL;
    int exponent = 0;
    std::frexp(exact, &exponent);
    return std::fabs(static_cast<double>(got) - exact) / std::ldexp(1.0, std::max(exponent - 24, -149));
}

/// max |got - exact| / (1 + |exact|); infinity where exactly one is NaN.
template <class Exact>
double distance(const Floats& got, const std::vector<Exact>& exact) {
    double worst = got.size() == exact.size() ? 0 : HUGE_VAL;
    for (std::size_t i = 0; i < got.size() && i < exact.size(); ++i) {
        const double a = static_cast<double>(got[i]), b = static_cast<double>(exact[i]);
        if (std::isnan(a) || std::isnan(b))
            worst = std::isnan(a) && std::isnan(b) ? worst : HUGE_VAL;
        else if (a != b)
            worst = std::max(worst, std::fabs(a - b) / (1 + std::fabs(b)));
    }
    return worst;
}

/// run(policy) -> Floats must give the same bits at 1, 2, 3 and 5 threads.
template <class Run>
void check_threads(const Run& run) {
    const Floats one = run(cpu(1));
    for (const int threads : {2, 3, 5}) {
        CAPTURE(threads);
        CHECK(same_bits(run(cpu(threads)), one));
    }
}

}  // namespace support
