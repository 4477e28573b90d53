// SPDX-License-Identifier: MIT
// Checks a network whose layers share memory: against the same one that shares nothing, and against differences.
#pragma once

#include <doctest/doctest.h>

#include <dla/inspect/grad_check.hpp>
#include <support/hide.hpp>
#include <support/run_layer.hpp>

/// In place as out of place, bit by bit; with and without the gradient of the input; in less memory.
template <class Net>
void check_bits(const Net& net, const dla::Shape& in, dla::index_t batch) {
    const auto plain = support::hide(net);
    using Plain = std::remove_const_t<decltype(plain)>;
    using P = dla::Reference<double>;  // as check_gradients: compiled once
    support::Runner<P, Net> shared(net, in, batch);
    support::Runner<P, Plain> unshared(plain, in, batch);
    const auto got = shared.run(), expected = unshared.run();
    CHECK(support::same_bits(got.inferred, expected.inferred));
    CHECK(support::same_bits(got.y, expected.y));
    CHECK(support::same_bits(got.dx, expected.dx));
    CHECK(support::same_bits(got.gradients, expected.gradients));
    CHECK(support::same_bits(got.buffers, expected.buffers));
    CHECK(std::none_of(got.y.begin(), got.y.end(), [](double v) { return std::isnan(v); }));
    CHECK(shared.plan().activations <= shared.plan().unshared);
    CHECK(shared.plan().unshared <= unshared.plan().unshared);

    const auto without = support::Runner<P, Net>(net, in, batch, {}, false).run();
    CHECK(support::same_bits(without.gradients, expected.gradients));
    CHECK(support::same_bits(without.y, expected.y));
    const auto fewer = support::Runner<P, Net>(net, in, batch + 2).run(batch);
    CHECK(support::same_outcome(fewer, got));
}

template <class Net>
void check_network(const std::string& name, const Net& net, const dla::Shape& in, dla::index_t batch) {
    CAPTURE(name);
    check_bits(net, in, batch);
    const dla::GradientReport report = dla::check_gradients(net, in, batch, {.entries = 64});
    INFO(report.text());
    CHECK(report.ok());
    CHECK(report.nonzero > 0);
}
