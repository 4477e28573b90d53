// SPDX-License-Identifier: MIT
// Every layer on EigenCpu<double>: what plain loops give, within rounding.
#include <dla/interop/eigen_policy.hpp>

#include <doctest/doctest.h>
#include <support/layer_cases.hpp>
#include <support/run_layer.hpp>

using namespace dla;

TEST_CASE("every layer on EigenCpu<double> gives what Reference<double> gives") {
    support::for_each_layer_case([]<class L>(const std::string& name, const L& layer, const Shape& in, index_t batch) {
        CAPTURE(name);
        const auto expected = support::Runner<Reference<double>>(layer, in, batch).run(), got = support::Runner<EigenCpu<double>>(layer, in, batch).run();
        const auto check = [](const std::vector<double>& a, const std::vector<double>& b) {
            REQUIRE(a.size() == b.size());
            double scale = 0;
            for (const double v : b) scale = std::max(scale, std::abs(v));
            for (std::size_t i = 0; i < a.size(); ++i) REQUIRE(std::abs(a[i] - b[i]) <= 1e-13 * scale);
        };
        check(got.inferred, expected.inferred);
        check(got.y, expected.y);
        check(got.dx, expected.dx);
        check(got.gradients, expected.gradients);
        check(got.buffers, expected.buffers);
    });
}
