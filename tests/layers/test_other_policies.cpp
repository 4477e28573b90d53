// SPDX-License-Identifier: MIT
// Every layer on Cpu<bf16>, against plain loops in bf16 on the same numbers: what both store is rounded to 8 bits, what they add up is not.
#include <doctest/doctest.h>

#include <support/layer_cases.hpp>
#include <support/run_layer.hpp>

using namespace dla;

namespace {

/// Largest |a - b| as a part of the largest |b|; infinite when sizes or NaN differ.
template <class T>
double distance(const std::vector<T>& a, const std::vector<T>& b) {
    if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
    double scale = 0, worst = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
        if (std::isnan(x) != std::isnan(y)) return std::numeric_limits<double>::infinity();
        if (std::isnan(x)) continue;
        scale = std::max(scale, std::abs(y));
        worst = std::max(worst, std::abs(x - y));
    }
    return worst == 0 ? 0 : worst / scale;
}

}  // namespace

TEST_CASE("every layer on Cpu<bf16> gives what Reference<bf16> gives, but for the rounding of what is stored") {
    support::for_each_layer_case([]<class L>(const std::string& name, const L& layer, const Shape& in, index_t batch) {
        CAPTURE(name);
        const auto expected = support::Runner<Reference<bf16>>(layer, in, batch).run(), got = support::Runner<Cpu<bf16>>(layer, in, batch).run();
        CHECK(std::none_of(expected.y.begin(), expected.y.end(), [](bf16 v) { return std::isnan(static_cast<float>(v)); }));
        const double unit = 0x1p-8;  // of a value just above a power of two, twice half of which is lost
        CHECK(distance(got.inferred, expected.inferred) <= 2 * unit);
        CHECK(distance(got.y, expected.y) <= 2 * unit);
        CHECK(distance(got.dx, expected.dx) <= 2 * unit);
        CHECK(distance(got.gradients, expected.gradients) <= 2 * unit);
        CHECK(distance(got.buffers, expected.buffers) <= 2 * unit);
    });
}
