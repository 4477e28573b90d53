// SPDX-License-Identifier: MIT
// Checks a network whose layers share memory: against the same one that shares nothing, and against differences.
#pragma once

#include <doctest/doctest.h>

#include <dla/inspect/grad_check.hpp>
#include <support/hide.hpp>
#include <support/run_layer.hpp>

#include <functional>

using CheckedRunner = support::Runner<dla::Reference<double>>;  // as check_gradients: compiled once

inline void check_bits(const std::function<CheckedRunner(dla::index_t batch, bool want_dx)>& make, CheckedRunner unshared, dla::index_t batch) {
    CheckedRunner shared = make(batch, true);
    const auto got = shared.run(), expected = unshared.run();
    CHECK(support::same_bits(got.inferred, expected.inferred));
    CHECK(support::same_bits(got.y, expected.y));
    CHECK(support::same_bits(got.dx, expected.dx));
    CHECK(support::same_bits(got.gradients, expected.gradients));
    CHECK(support::same_bits(got.buffers, expected.buffers));
    CHECK(std::none_of(got.y.begin(), got.y.end(), [](double v) { return std::isnan(v); }));
    CHECK(shared.plan().activations <= shared.plan().unshared);
    CHECK(shared.plan().unshared <= unshared.plan().unshared);

    const auto without = make(batch, false).run();
    CHECK(support::same_bits(without.gradients, expected.gradients));
    CHECK(support::same_bits(without.y, expected.y));
    CHECK(support::same_outcome(make(batch + 2, true).run(batch), got));
}

/// In place as out of place, bit by bit; with and without the gradient of the input; in less memory.
template <class Net>
void check_bits(const Net& net, const dla::Shape& in, dla::index_t batch) {
    check_bits([&](dla::index_t n, bool want_dx) { return CheckedRunner(net, in, n, {}, want_dx); }, CheckedRunner(support::hide(net), in, batch), batch);
}

inline void check_report(const dla::GradientReport& report) {
    INFO(report.text());
    CHECK(report.ok());
    CHECK(report.nonzero > 0);
}

template <class Net>
void check_network(const std::string& name, const Net& net, const dla::Shape& in, dla::index_t batch) {
    CAPTURE(name);
    check_bits(net, in, batch);
    check_report(dla::check_gradients(net, in, batch, {.entries = 64}));
}
