// SPDX-License-Identifier: MIT
// Mixes the samples of a batch in pairs, and their classes with them.
#pragma once

#include <dla/core/philox.hpp>

#include <algorithm>
#include <cmath>
#include <span>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

namespace detail {

/// e^x of x <= 0, to some 1e-15 and with the same bits on every machine, which the system's library does not promise.
inline double exp_of_negative(double x) {
    if (!(x > -700)) return 0;
    constexpr double ln2 = 0.6931471805599453;
    const double k = std::floor(x / ln2 + 0.5), r = x - k * ln2;
    double sum = 1;
    for (int n = 18; n > 0; --n) sum = 1 + sum * r / n;
    return std::ldexp(sum, static_cast<int>(k));
}

/// From the gamma distribution of this shape and scale 1 (Marsaglia and Tsang 2000); below 1 by way of shape + 1.
inline double draw_gamma(RandomStream& random, double shape) {
    if (shape < 1) {
        const double bigger = draw_gamma(random, shape + 1);
        return bigger * exp_of_negative(math::log(1 - random.uniform_double()) / shape);
    }
    const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
        const double x = random.normal(), root = 1 + c * x;
        if (root <= 0) continue;
        const double v = root * root * root;
        if (math::log(1 - random.uniform_double()) < 0.5 * x * x + d - d * v + d * math::log(v)) return d * v;
    }
}

}  // namespace detail

/// The share of each sample's own input in the batch of this number: from Beta(alpha, alpha). It depends on these numbers only.
inline float draw_mixup(double alpha, Seed seed, std::uint32_t epoch, std::uint32_t batch) {
    RandomStream random({static_cast<std::uint64_t>(seed), epoch, batch}, RandomUse::mixup);
    const double a = detail::draw_gamma(random, alpha), b = detail::draw_gamma(random, alpha);
    return a + b > 0 ? static_cast<float>(a / (a + b)) : 1.0f;  // both can be too small for a double where alpha is
}

/// x[i] = share x[i] + (1 - share) x[i - 1], of the first sample with the last, of samples of inputs.size() / labels.size() values; `probabilities`
/// [samples, classes] becomes the same of the classes: as torchvision.transforms.v2.MixUp does. `scratch` has room for a sample.
inline void mix_batch(float share, std::span<float> inputs, std::span<const std::int32_t> labels, std::span<float> probabilities, std::span<float> scratch) {
    const std::size_t samples = labels.size(), sample = inputs.size() / samples, classes = probabilities.size() / samples;
    std::copy(inputs.end() - static_cast<std::ptrdiff_t>(sample), inputs.end(), scratch.begin());
    for (std::size_t i = samples; i-- > 0;) {
        const float* other = i > 0 ? inputs.data() + (i - 1) * sample : scratch.data();
        float* own = inputs.data() + i * sample;
        for (std::size_t k = 0; k < sample; ++k) own[k] = share * own[k] + (1 - share) * other[k];
    }
    std::fill(probabilities.begin(), probabilities.end(), 0.0f);
    for (std::size_t i = 0; i < samples; ++i) {
        float* row = probabilities.data() + i * classes;
        row[static_cast<std::size_t>(labels[i])] += share;
        row[static_cast<std::size_t>(labels[(i + samples - 1) % samples])] += 1 - share;
    }
}

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
