// SPDX-License-Identifier: MIT
// The planner: buffers that live at the same time do not overlap, whatever the order of calls; others share.
#include <doctest/doctest.h>

#include <dla/compose/repeat.hpp>
#include <dla/compose/sequential.hpp>
#include <dla/kernels/reference.hpp>
#include <dla/layers/activation.hpp>
#include <dla/layers/dropout.hpp>
#include <dla/layers/linear.hpp>
#include <dla/layers/norm.hpp>
#include <dla/layers/pool2d.hpp>
#include <dla/layers/reshape.hpp>

#include <map>
#include <set>
#include <string>

using namespace dla;

namespace {

using P = Reference<float>;

struct Call {
    std::size_t buffer;
    index_t count;  // 0: release
};

void dry_run(Planner<P>& plan, const std::vector<Call>& calls, std::vector<Planned<P>>& buffers) {
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
        dry_run(plan, calls, buffers);
        plan.place();
        const Arena<P> arena(P{}, plan.bytes());
        plan.bind(arena.data());
        dry_run(plan, calls, buffers);

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
    const Arena<P> arena(P{}, plan.bytes());
    plan.bind(arena.data());
    calls();
    CHECK(static_cast<void*>(a.data) == static_cast<void*>(c.data));
    CHECK(static_cast<void*>(empty.data) != static_cast<void*>(b.data));
}

namespace {

/// Where values and gradients of a chain lie, in words: x and y (dx and dy) are the caller's, numbers are buffers, - is not wanted.
std::string words(const auto& places) {
    std::string out;
    for (const Place p : places) out += (out.empty() ? "" : " ") + (p == at_input ? "x" : p == at_output ? "y" : p == nowhere ? "-" : std::to_string(p));
    return out;
}
/// `+1` claims buffer 1, `L2` runs layer 2, `-1` frees buffer 1.
std::string words_of_events(const auto& events) {
    std::string out;
    for (const ChainEvent& e : events)
        out += (out.empty() ? "" : " ") +
               std::string(e.kind == ChainEvent::Kind::claim ? "+"
                           : e.kind == ChainEvent::Kind::run ? "L"
                                                             : "-") +
               std::to_string(e.index);
    return out;
}
template <class... Ls>
constexpr const auto& schedule = Sequential<Ls...>::template Units<P>::schedule;
template <class... Ls>
std::string values() {
    return words(schedule<Ls...>.value);
}
template <class... Ls>
std::string gradients(Gradients wants = Gradients::input) {
    return words(schedule<Ls...>.modes[static_cast<std::size_t>(wants)].gradient);
}
template <class... Ls>
std::string step(Gradients wants = Gradients::parameters) {
    const auto& mode = schedule<Ls...>.modes[static_cast<std::size_t>(wants)];
    return words_of_events(mode.forward) + " | " + words_of_events(mode.backward);
}
using L = Linear<>;

}  // namespace

TEST_CASE("what shares a buffer: written out") {
    CHECK(values<L, ReLU, L>() == "x 0 0 y");
    CHECK(values<ReLU, L>() == "x 0 y");                  // not over the caller's x
    CHECK(values<L, ReLU>() == "x y y");                  // in the caller's y
    CHECK(values<L, Sigmoid, ReLU, L>() == "x 0 0 1 y");  // Sigmoid reads its y
    CHECK(values<L, GELU, L>() == "x 0 1 y");             // GELU reads its x
    CHECK(values<BatchNorm1d<>, ReLU, MaxPool2d<2>>() == "x 0 0 y");
    CHECK(values<MaxPool2d<2>, Flatten, ReLU, L>() == "x 0 0 0 y");
    CHECK(values<Flatten, ReLU, L>() == "x x 0 y");
    CHECK(values<Flatten, Identity>() == "x x y");
    CHECK(values<L, Flatten>() == "x y y");
    CHECK(values<Sequential<L, ReLU>, Sequential<Sequential<L>>>() == "x 0 0 y");  // one chain
    CHECK(gradients<L, ReLU, L>() == "x 1 1 y");
    CHECK(gradients<L, ReLU>() == "x 0 y");  // not in the caller's dy
    CHECK(gradients<L, ReLU, Flatten>() == "x 0 y y");
    CHECK(gradients<ReLU, L>() == "x x y");  // in the caller's dx
    CHECK(gradients<Flatten>() == "x y");
    CHECK(gradients<ReLU, L, ReLU, L>(Gradients::parameters) == "- - 2 2 y");
    CHECK(gradients<L, ReLU>(Gradients::none) == "- - -");
}

TEST_CASE("when memory is claimed and freed: written out") {
    CHECK(step<L, ReLU, L>() == "+0 L0 L1 L2 | +1 L2 L1 -0 L0 -1");
    CHECK(step<L, ReLU, L>(Gradients::input) == "+0 L0 L1 L2 | +1 L2 L1 -0 L0 -1");
    CHECK(step<L, GELU, L>() == "+0 L0 +1 L1 L2 | +2 L2 -1 L1 -0 L0 -2");
    CHECK(step<MaxPool2d<2>, ReLU, L>() == "+0 L0 L1 L2 | L2 -0");               // nothing below Linear learns
    CHECK(step<MaxPool2d<2>, ReLU, L>(Gradients::none) == "+0 L0 L1 L2 -0 | ");  // nobody looks back
    CHECK(step<Flatten, L, Flatten>() == "L1 L2 | L1");                          // views at the ends cost nothing
    CHECK(step<Flatten, L, Flatten>(Gradients::input) == "L1 L2 | L1 L0");
    CHECK(step<Dropout, Dropout, L, Dropout>(Gradients::input) == "+0 L0 L1 L2 L3 | +1 L3 L2 -0 -1 L1 L0");
}

TEST_CASE("a Repeat has the schedule of what it stands for") {
    for (const std::size_t copies : {1, 2, 5}) {
        const std::vector<Link> links(copies, detail::link_of<LeakyReLU, P>());
        BasicSchedule<detail::Vector> s;
        make_schedule(std::span<const Link>(links), s);
        if (copies == 2) CHECK(words(s.value) == words(schedule<LeakyReLU, LeakyReLU>.value));
        if (copies == 5) {
            const auto& mode = schedule<LeakyReLU, LeakyReLU, LeakyReLU, LeakyReLU, LeakyReLU>.modes[2];
            CHECK(words_of_events(s.modes[2].forward) == words_of_events(mode.forward));
            CHECK(words_of_events(s.modes[2].backward) == words_of_events(mode.backward));
        }
    }
}

namespace {

/// A random chain's schedule, played through: nobody reads what was freed or overwritten.
void check_schedule(const std::vector<Link>& links, Gradients wants) {
    BasicSchedule<detail::Vector> s;
    make_schedule(std::span<const Link>(links), s);
    const auto& mode = s.modes[static_cast<std::size_t>(wants)];
    std::map<int, int> holds{{at_input, 0}};  // place -> the value that lies there
    std::set<int> claimed;
    const auto check_open = [&](Place p) { REQUIRE((p < 0 || claimed.contains(p))); };
    for (const ChainEvent& e : mode.forward) {
        if (e.kind == ChainEvent::Kind::claim) REQUIRE(claimed.insert(e.index).second);
        if (e.kind == ChainEvent::Kind::release) REQUIRE(claimed.erase(e.index) == 1);
        if (e.kind != ChainEvent::Kind::run) continue;
        const auto i = static_cast<std::size_t>(e.index);
        check_open(s.value[i]), check_open(s.value[i + 1]);
        REQUIRE((holds[s.value[i]] == e.index || s.value[i] == at_input));
        REQUIRE(s.value[i + 1] != at_input);
        holds[s.value[i + 1]] = e.index + 1;
    }
    // What a view shows is the value before it.
    const auto same = [&](int a, int b) {
        for (int i = std::min(a, b); i < std::max(a, b); ++i)
            if (!links[static_cast<std::size_t>(i)].view) return false;
        return true;
    };
    std::map<int, int> gradient{{at_output, static_cast<int>(links.size())}};
    for (const ChainEvent& e : mode.backward) {
        if (e.kind == ChainEvent::Kind::claim) REQUIRE(claimed.insert(e.index).second);
        if (e.kind == ChainEvent::Kind::release) REQUIRE(claimed.erase(e.index) == 1);
        if (e.kind != ChainEvent::Kind::run) continue;
        const auto i = static_cast<std::size_t>(e.index);
        if (links[i].needs.x) {
            check_open(s.value[i]);
            REQUIRE((s.value[i] == at_input ? same(0, e.index) : same(holds[s.value[i]], e.index)));
        }
        if (links[i].needs.y) {
            check_open(s.value[i + 1]);
            REQUIRE((s.value[i + 1] == at_input ? same(0, e.index + 1) : same(holds[s.value[i + 1]], e.index + 1)));
        }
        check_open(mode.gradient[i + 1]), check_open(mode.gradient[i]);
        REQUIRE(same(gradient[mode.gradient[i + 1]], e.index + 1));
        REQUIRE(mode.gradient[i] != at_output);
        if (mode.gradient[i] != nowhere) gradient[mode.gradient[i]] = e.index;
    }
    CHECK(claimed.empty());
    if (wants == Gradients::input) CHECK((mode.gradient[0] == at_output ? same(0, static_cast<int>(links.size())) : same(gradient[at_input], 0)));
    for (std::size_t i = 0; i < links.size(); ++i)
        CHECK((mode.child[i] != Gradients::none) == (wants == Gradients::input || (wants == Gradients::parameters && [&] {
                                                         for (std::size_t j = 0; j <= i; ++j)
                                                             if (links[j].parameters) return true;
                                                         return false;
                                                     }())));
}

}  // namespace

TEST_CASE("random chains: nobody reads what is gone, everything claimed is freed") {
    for (std::uint32_t seed = 0; seed < 3000; ++seed) {
        CAPTURE(seed);
        RandomStream random({seed, 0, 0}, RandomUse::synthesis);
        std::vector<Link> links(1 + random.below(8));
        for (Link& link : links) {
            link.view = random.below(5) == 0;
            if (link.view) continue;
            link.needs = {random.below(2) == 0, random.below(3) == 0};
            link.in_place = {random.below(2) == 0, random.below(2) == 0};
            link.parameters = random.below(3) == 0;
        }
        for (const Gradients wants : {Gradients::none, Gradients::parameters, Gradients::input}) check_schedule(links, wants);
    }
}

TEST_CASE("a schedule of very many copies") {
    const std::vector<Link> links(40000, detail::link_of<Sigmoid, P>());
    BasicSchedule<detail::Vector> s;
    make_schedule(std::span<const Link>(links), s);
    CHECK(s.value[39999] == 39998);
    CHECK(s.modes[2].backward.size() == 2 * 40000 - 1);  // each layer runs, each value is freed; all gradients lie in the caller's dx
}
