// SPDX-License-Identifier: MIT
// The planner: buffers that live at the same time do not overlap, whatever the order of calls; others share.
#include <doctest/doctest.h>

#include <dla/compose/plan.hpp>
#include <dla/compose/sharing.hpp>
#include <dla/kernels/reference.hpp>
#include <dla/layers/activation.hpp>
#include <dla/layers/linear.hpp>
#include <dla/layers/norm.hpp>
#include <dla/layers/pool2d.hpp>
#include <dla/layers/reshape.hpp>

using namespace dla;

namespace {

using P = Reference<float>;

struct Call {
    std::size_t buffer;
    index_t count;  // 0: release
};

void rehearse(Planner<P>& plan, const std::vector<Call>& calls, std::vector<Planned<P>>& buffers) {
    for (const Call& call : calls) {
        if (call.count > 0)
            plan.allocate(buffers[call.buffer], call.count);
        else
            plan.release(buffers[call.buffer]);
    }
}

}  // namespace

TEST_CASE("random lifetimes: no overlap, aligned, within bounds") {
    for (std::uint32_t seed = 0; seed < 60; ++seed) {
        CAPTURE(seed);
        RandomStream random({seed, 0, 0}, RandomUse::synthesis);
        std::vector<Call> calls;
        std::vector<std::size_t> open;
        std::vector<index_t> counts;
        for (int i = 0; i < 80; ++i) {
            if (open.empty() || random.below(5) < 3) {
                open.push_back(counts.size());
                counts.push_back(1 + random.below(random.below(4) == 0 ? 5000 : 60));
                calls.push_back({counts.size() - 1, counts.back()});
            } else {
                const std::size_t at = random.below(static_cast<std::uint32_t>(open.size()));
                calls.push_back({open[at], 0});
                open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
            }
        }
        std::vector<Planned<P>> buffers(counts.size());
        Planner<P> plan;
        rehearse(plan, calls, buffers);
        plan.place();
        const Arena<P> arena(plan.bytes());
        plan.bind(arena.data());
        rehearse(plan, calls, buffers);

        const auto bytes = [&](std::size_t i) { return align_up(counts[i] * 4); };
        const auto begin = [&](std::size_t i) { return reinterpret_cast<std::byte*>(buffers[i].data) - arena.data(); };
        std::vector<std::size_t> alive;
        index_t peak = 0, sum = 0;
        for (const Call& call : calls) {
            if (call.count == 0) {
                std::erase(alive, call.buffer);
                continue;
            }
            REQUIRE(begin(call.buffer) >= 0);
            REQUIRE(begin(call.buffer) % alignment == 0);
            REQUIRE(begin(call.buffer) + bytes(call.buffer) <= plan.bytes());
            for (const std::size_t other : alive)
                REQUIRE((begin(other) + bytes(other) <= begin(call.buffer) || begin(call.buffer) + bytes(call.buffer) <= begin(other)));
            alive.push_back(call.buffer);
            index_t now = 0;
            for (const std::size_t other : alive) now += bytes(other);
            peak = std::max(peak, now);
            sum += bytes(call.buffer);
        }
        CHECK(plan.bytes() >= peak);
        CHECK(plan.bytes() <= sum);
        CHECK(plan.bytes() < 2 * peak);  // greedy by size is far better; this catches a planner that does not share
        CHECK(plan.unshared_bytes() == sum);
    }
}

TEST_CASE("buffers of any type, empty ones, scratch and stack") {
    Planner<P> plan;
    Planned<P> a, empty;
    Planned<P, std::int32_t> b;
    Planned<P, double> c;
    const auto calls = [&] {
        plan.allocate(a, 17);
        plan.allocate(empty, 0);
        plan.allocate(b, 16);
        plan.release(a);
        plan.allocate(c, 16);
        plan.scratch(100);
        plan.scratch(30);
        plan.push(20);
        plan.push(1);
        plan.pop(1);
        plan.push(3);
        plan.pop(3);
        plan.pop(20);
    };
    calls();
    plan.place();
    CHECK(plan.unshared_bytes() == 128 + 64 + 64 + 128);
    CHECK(plan.bytes() == 128 + 64 + 64);
    CHECK(plan.scratch_bytes() == 128);
    CHECK(plan.stack_bytes() == 128 + 64);
    const Arena<P> arena(plan.bytes());
    plan.bind(arena.data());
    calls();
    CHECK(static_cast<void*>(a.data) == static_cast<void*>(c.data));
    CHECK(static_cast<void*>(empty.data) != static_cast<void*>(b.data));
}

namespace {

/// Which values of the chain share memory, e.g. "0 1 1 3": the lowest value in the same buffer, for each value.
template <class... Ls>
std::vector<int> buffers() {
    constexpr auto s = detail::plan_sharing<Ls...>();
    return {s.buffer.begin(), s.buffer.end()};
}
template <class... Ls>
std::vector<int> gradients() {
    constexpr auto s = detail::plan_sharing<Ls...>();
    return {s.gradient.begin(), s.gradient.end()};
}
using Values = std::vector<int>;
using L = Linear<>;

}  // namespace

TEST_CASE("what shares a buffer: written out") {
    CHECK(buffers<L, ReLU, L>() == Values{0, 1, 1, 3});
    CHECK(buffers<ReLU, L>() == Values{0, 1, 2});                    // the caller's x
    CHECK(buffers<L, ReLU>() == Values{0, 1, 1});                    // in the caller's y
    CHECK(buffers<L, Sigmoid, ReLU, L>() == Values{0, 1, 1, 3, 4});  // Sigmoid reads its y
    CHECK(buffers<L, GELU, L>() == Values{0, 1, 2, 3});              // GELU reads its x
    CHECK(buffers<BatchNorm1d<>, ReLU, MaxPool2d<2>>() == Values{0, 1, 1, 3});
    CHECK(buffers<MaxPool2d<2>, Flatten, ReLU, L>() == Values{0, 1, 1, 1, 4});
    CHECK(buffers<Flatten, ReLU, L>() == Values{0, 0, 2, 3});
    CHECK(buffers<Flatten, Identity>() == Values{0, 0, 2});
    CHECK(buffers<L, Flatten>() == Values{0, 1, 1});
    CHECK(gradients<L, ReLU, L>() == Values{0, 2, 2, 3});
    CHECK(gradients<L, ReLU>() == Values{0, 1, 2});  // not in the caller's dy
    CHECK(gradients<L, ReLU, Flatten>() == Values{0, 1, 3, 3});
    CHECK(gradients<ReLU, L>() == Values{1, 1, 2});  // in the caller's dx
    CHECK(gradients<Flatten>() == Values{0, 1});
}
