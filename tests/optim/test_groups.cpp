// SPDX-License-Identifier: MIT
// Groups of parameters and the memory that optimizers own: against PyTorch's formulas written out in double, through freezing, copies, and models that end.
#include "golden_rules.hpp"

#include <dla/optim/adam.hpp>
#include <dla/optim/sgd.hpp>
#include <support/error_of.hpp>

#include <cmath>
#include <cstring>
#include <set>

using namespace dla;
using namespace optim_test;

namespace {

using Exact = Reference<double>;
const std::vector<std::pair<ParamKind, std::int64_t>> kinds{
    {ParamKind::weight, 5}, {ParamKind::bias, 3}, {ParamKind::weight, 4}, {ParamKind::norm_bias, 2}, {ParamKind::norm_weight, 1}};

/// Value `i` of parameter `row` at step `t`: never zero, no two alike.
double noise(std::size_t row, std::size_t i, int t) { return std::sin(1.0 + static_cast<double>(17 * row + 3 * i) + 5.7 * t); }

template <class P>
ParamTable<P> new_table() {
    ParamTable<P> table = table_of<P>(kinds);
    for (std::size_t row = 0; row < kinds.size(); ++row) {
        std::vector<typename P::scalar> v;
        for (index_t i = 0; i < table.parameters[row].count; ++i) v.push_back(static_cast<typename P::scalar>(noise(row, static_cast<std::size_t>(i), 100)));
        table.write(ParamPart::value, table.parameters[row], v);
    }
    return table;
}
template <class P>
void put_gradients(ParamTable<P>& table, int t) {
    for (std::size_t row = 0; row < kinds.size(); ++row) {
        std::vector<typename P::scalar> v;
        for (index_t i = 0; i < table.parameters[row].count; ++i) v.push_back(static_cast<typename P::scalar>(noise(row, static_cast<std::size_t>(i), t)));
        table.write(ParamPart::gradient, table.parameters[row], v);
    }
}
template <class P>
std::vector<typename P::scalar> values(const ParamTable<P>& table) {
    std::vector<typename P::scalar> all;
    for (std::size_t row = 0; row < kinds.size(); ++row)
        for (const auto v : get(table, ParamPart::value, row)) all.push_back(v);
    return all;
}
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}
template <class P>
std::vector<typename P::scalar> slot_of(const Optimizer& o, const ParamTable<P>& table, int slot, std::size_t row) {
    std::vector<typename P::scalar> v(static_cast<std::size_t>(table.parameters[row].count));
    o.read(table, slot, table.parameters[row], std::span(v));
    return v;
}

/// One parameter as torch.optim treats it: its own moments and its own number of steps.
struct Hand {
    std::vector<double> p, a, b;  // value, velocity or first moment, second moment
    int steps = 0;
    explicit Hand(std::size_t row) : p(static_cast<std::size_t>(kinds[row].second)), a(p.size()), b(p.size()) {
        for (std::size_t i = 0; i < p.size(); ++i) p[i] = noise(row, i, 100);
    }
    void adam(std::size_t row, int t, double lr, double decay, bool decoupled) {
        ++steps;
        for (std::size_t i = 0; i < p.size(); ++i) {
            double g = noise(row, i, t);
            if (decoupled)
                p[i] *= 1 - lr * decay;
            else
                g += decay * p[i];
            a[i] = 0.9 * a[i] + 0.1 * g;
            b[i] = 0.999 * b[i] + 0.001 * g * g;
            p[i] -= lr * (a[i] / (1 - std::pow(0.9, steps))) / (std::sqrt(b[i] / (1 - std::pow(0.999, steps))) + 1e-8);
        }
    }
    void sgd(std::size_t row, int t, double lr, double decay) {  // momentum 0.8, dampening 0.25
        for (std::size_t i = 0; i < p.size(); ++i) {
            const double g = noise(row, i, t) + decay * p[i];
            a[i] = steps == 0 ? g : 0.8 * a[i] + 0.75 * g;
            p[i] -= lr * a[i];
        }
        ++steps;
    }
};
/// Values below 2, a few dozen roundings in each step: 1e-13 is hundreds of units in the last place.
void check_close(const ParamTable<Exact>& table, const std::vector<Hand>& hand) {
    for (std::size_t row = 0; row < kinds.size(); ++row) {
        CAPTURE(row);
        const auto got = get(table, ParamPart::value, row);
        for (std::size_t i = 0; i < got.size(); ++i) CHECK(std::abs(got[i] - hand[row].p[i]) < 1e-13);
    }
}
std::vector<Hand> hands() {
    std::vector<Hand> all;
    for (std::size_t row = 0; row < kinds.size(); ++row) all.emplace_back(row);
    return all;
}
const SgdOptions sgd_rule{.learning_rate = 0.1, .momentum = 0.8, .dampening = 0.25, .weight_decay = 0.3};

std::vector<Optimizer> rules(const std::vector<ParamGroup>& groups) {
    return {Sgd({.learning_rate = 0.1, .groups = groups}), Sgd({.learning_rate = 0.1, .momentum = 0.9, .nesterov = true, .groups = groups}),
            Adam({.weight_decay = 0.1, .groups = groups}), AdamW({.decay_bias_and_norm = false, .groups = groups})};
}

}  // namespace

TEST_CASE_TEMPLATE("two optimizers on one model equal one with both groups", P, Exact, Cpu<float>) {
    const auto backbones = rules({{.path = "0"}}), heads = rules({{.path = "2"}}), both = rules({{.path = "2"}, {.path = "0"}}), all = rules({});
    for (std::size_t r = 0; r < both.size(); ++r) {
        CAPTURE(r);
        auto apart = new_table<P>(), together = new_table<P>(), whole = new_table<P>();
        Optimizer backbone = backbones[r], head = heads[r], one = both[r], every = all[r];
        for (int t = 0; t < 4; ++t) {
            for (auto* table : {&apart, &together, &whole}) put_gradients(*table, t);
            backbone.step(apart), head.step(apart), one.step(together), every.step(whole);
        }
        CHECK(same_bits(values(apart), values(together)));
        for (std::size_t row = 0; row < kinds.size(); ++row) {
            CAPTURE(row);
            const auto expected = row == 0 || row == 2 ? get(whole, ParamPart::value, row) : get(new_table<P>(), ParamPart::value, row);
            CHECK(same_bits(get(apart, ParamPart::value, row), expected));
        }
        for (int s = 0; s < one.slot_count(); ++s) {
            CHECK(same_bits(slot_of(backbone, apart, s, 0), slot_of(one, together, s, 0)));
            CHECK(same_bits(slot_of(head, apart, s, 2), slot_of(every, whole, s, 2)));
            for (const auto v : slot_of(backbone, apart, s, 2)) CHECK(v == 0);  // not its own
        }
    }
}

TEST_CASE("rates and decays by group, the first match of several, against the formulas") {
    // 0.weight matches all three patterns, 4.bias none.
    const std::vector<ParamGroup> groups{{.path = "0", .learning_rate = 0.02},
                                         {.path = "*.weight", .weight_decay = 0.0},
                                         {.path = "*.bias", .learning_rate = 0.0},
                                         {.path = "0.weight", .learning_rate = 9.0, .weight_decay = 9.0}};
    for (const bool decoupled : {false, true}) {
        auto table = new_table<Exact>();
        auto hand = hands();
        Optimizer optimizer = decoupled ? Optimizer(AdamW({.learning_rate = 0.01, .weight_decay = 0.5, .groups = groups}))
                                        : Optimizer(Adam({.learning_rate = 0.01, .weight_decay = 0.5, .groups = groups}));
        for (int t = 0; t < 6; ++t) {
            put_gradients(table, t);
            optimizer.step(table);
            hand[0].adam(0, t, 0.02, 0.5, decoupled);
            for (const std::size_t row : {std::size_t{2}, std::size_t{4}}) hand[row].adam(row, t, 0.01, 0, decoupled);
        }
        check_close(table, hand);  // biases have rate 0
    }
    auto table = new_table<Exact>();
    auto hand = hands();
    SgdOptions o = sgd_rule;
    o.decay_bias_and_norm = false;
    o.groups = {{.path = "1", .weight_decay = 0.7}, {.path = "*.weight", .learning_rate = 0.05}};
    Sgd sgd(o);
    for (int t = 0; t < 6; ++t) {
        put_gradients(table, t);
        sgd.step(table);
        hand[1].sgd(1, t, 0.1, 0);  // a bias does not decay, whatever its group says
        hand[0].sgd(0, t, 0.05, 0.3), hand[2].sgd(2, t, 0.05, 0.3), hand[4].sgd(4, t, 0.05, 0);
    }
    check_close(table, hand);
}

TEST_CASE("a schedule scales the rates of groups with that of the optimizer") {
    auto table = new_table<Exact>();
    auto hand = hands();
    AnySchedule schedule({.learning_rate = 0.01, .rule = StepSchedule({.period = 2, .gamma = 0.5, .unit = ScheduleUnit::step})});
    Adam adam({.learning_rate = 0.01, .groups = {{.path = "0", .learning_rate = 0.1}, {.path = "2"}}});
    for (int t = 0; t < 6; ++t) {
        put_gradients(table, t);
        schedule.apply(adam);
        adam.step(table);
        schedule.after_step();
        const double factor = std::pow(0.5, t / 2);
        hand[0].adam(0, t, 0.1 * factor, 0, false), hand[2].adam(2, t, 0.01 * factor, 0, false);
    }
    check_close(table, hand);
}

TEST_CASE("frozen and freed in the middle: each parameter counts its own steps") {
    for (const bool of_adam : {false, true}) {
        auto table = new_table<Exact>();
        auto hand = hands();
        Optimizer optimizer = of_adam ? Optimizer(Adam({.learning_rate = 0.01, .weight_decay = 0.1})) : Optimizer(Sgd(sgd_rule));
        table.freeze("3");
        for (int t = 0; t < 9; ++t) {
            if (t == 2) table.freeze("0");
            if (t == 4) table.freeze("*");
            if (t == 5) table.freeze("*", false);  // all: 3.bias takes its first step
            if (t == 7) table.freeze("2"), table.freeze("2", false);
            put_gradients(table, t);
            optimizer.step(table);
            for (std::size_t row = 0; row < kinds.size(); ++row) {
                if (!table.parameters[row].trainable) continue;
                if (of_adam)
                    hand[row].adam(row, t, 0.01, 0.1, false);
                else
                    hand[row].sgd(row, t, 0.1, 0.3);
            }
        }
        CHECK(hand[3].steps == 4);
        CHECK(hand[0].steps == 6);
        CHECK(optimizer.steps() == 8);
        check_close(table, hand);
    }
}

TEST_CASE_TEMPLATE("what is read and written continues bit for bit, and a copy goes its own way", P, Exact, Cpu<float>) {
    for (const Optimizer& rule : rules({{.path = "0", .learning_rate = 0.02}, {.path = "*.bias"}})) {
        auto through = new_table<P>(), resumed = new_table<P>(), fork = new_table<P>();
        Optimizer optimizer = rule, next = rule, early = rule;
        for (int t = 0; t < 3; ++t) put_gradients(through, t), optimizer.step(through);
        early.set_steps(3);  // before it has seen a model
        CHECK(early.steps() == 3);
        for (std::size_t row = 0; row < kinds.size(); ++row)
            for (auto* table : {&resumed, &fork}) table->write(ParamPart::value, table->parameters[row], get(through, ParamPart::value, row));
        for (int s = 0; s < rule.slot_count(); ++s)
            for (std::size_t row = 0; row < kinds.size(); ++row) {
                const std::vector<typename P::scalar> v = slot_of(optimizer, through, s, row);
                next.write(resumed, s, resumed.parameters[row], std::span<const typename P::scalar>(v));
                early.write(fork, s, fork.parameters[row], std::span<const typename P::scalar>(v));
                CHECK(same_bits(slot_of(next, resumed, s, row), v));
            }
        next.set_steps(3);
        Optimizer copy = optimizer;
        for (int t = 3; t < 6; ++t) {
            for (auto* table : {&through, &resumed, &fork}) put_gradients(*table, t);
            optimizer.step(through), next.step(resumed), early.step(fork);
        }
        CHECK(same_bits(values(through), values(resumed)));
        CHECK(same_bits(values(through), values(fork)));
        CHECK(optimizer.steps() == 6);
        CHECK(copy.steps() == 3);
        optimizer = copy;
        copy.step(through);
        CHECK(copy.steps() == 4);
        CHECK(optimizer.steps() == 3);
        if (rule.slot_count() > 0) CHECK_FALSE(same_bits(slot_of(optimizer, through, 0, 0), slot_of(copy, through, 0, 0)));
    }
}

TEST_CASE("one optimizer, one model; a pattern that matches nothing") {
    const std::string another = "error[usage] sgd: this optimizer already steps another model, whose moments it remembers; make one for each model";
    std::optional<ParamTable<Exact>> table(new_table<Exact>());
    auto other = new_table<Exact>();
    Sgd sgd(sgd_rule), plain;
    for (Sgd* o : {&sgd, &plain}) {
        put_gradients(*table, 0), o->step(*table);
        CHECK(error_of([&] { o->step(other); }) == another);
    }
    CHECK(same_bits(values(other), values(new_table<Exact>())));
    for (const double v : slot_of(sgd, other, 0, 0)) CHECK(v == 0);
    const std::vector<double> ones(5, 1);
    CHECK(error_of([&] { sgd.write(other, 0, other.parameters[0], std::span<const double>(ones)); }) == another);
    const void* address = &*table;
    table.emplace(new_table<Exact>());
    REQUIRE(static_cast<const void*>(&*table) == address);
    CHECK(error_of([&] { sgd.step(*table); }) == another);
    CHECK(error_of([&] { Sgd(sgd).step(*table); }) == another);  // nor a copy

    Adam lost({.groups = {{.path = "0"}, {.path = "5"}}});
    const std::string nothing = "error[model] 5: no parameter matches this group of the optimizer; see the paths in summary(model)";
    for (int i = 0; i < 2; ++i) CHECK(error_of([&] { lost.step(other); }) == nothing);
    CHECK(lost.steps() == 0);
    CHECK(same_bits(values(other), values(new_table<Exact>())));
    other.freeze("2");
    Adam frozen({.groups = {{.path = "2"}}});
    put_gradients(other, 0);
    frozen.step(other);
    CHECK(same_bits(values(other), values(new_table<Exact>())));
}

TEST_CASE("one optimizer, one model, whatever their policies") {
    auto first = new_table<Reference<float>>();
    Adam adam({.learning_rate = 0.01});
    put_gradients(first, 0), adam.step(first);
    const auto refused = [&](auto other) {
        CHECK(error_of([&] { adam.step(other); }) ==
              "error[usage] adam: this optimizer already steps another model, whose moments it remembers; make one for each model");
        using T = typename decltype(other)::T;
        std::vector<T> slot(static_cast<std::size_t>(other.parameters[0].count), T(1));
        adam.read(other, 0, other.parameters[0], std::span<T>(slot));
        for (const T v : slot) CHECK(v == 0);
    };
    // Each is the first or second table of its policy in some order of tests; here are a few of each.
    for (int i = 0; i < 3; ++i) refused(new_table<Reference<float>>()), refused(new_table<Cpu<float>>()), refused(new_table<Reference<double>>());
    CHECK(adam.steps() == 1);
}

TEST_CASE("tables of all policies have ids of one sequence") {
    std::set<std::uint64_t> ids;
    const auto add = [&](const auto& table) { CHECK(ids.insert(table.id()).second); };
    for (int i = 0; i < 3; ++i) add(new_table<Reference<float>>()), add(new_table<Cpu<float>>()), add(new_table<Reference<double>>());
}

TEST_CASE("an optimizer may outlive its model, and its memory is counted while it lives") {
    Optimizer kept = Adam(), copy = Adam();
    {
        auto table = new_table<Cpu<float>>();
        CHECK_FALSE(table.memory().has_optimizer);
        {
            Adam adam;
            put_gradients(table, 0), adam.step(table);
            const auto bytes = table.memory().optimizer;
            CHECK(bytes >= 2 * table.value_count * 4);
            kept = adam;
            CHECK(table.memory().optimizer == 2 * bytes);
        }
        copy = kept;
        kept.step(table);
        copy = Adam();
        CHECK(table.memory().optimizer >= 2 * table.value_count * 4);
    }
    CHECK(kept.steps() == 2);
    copy = kept;
    kept = Sgd();
    CHECK(copy.steps() == 2);
    copy.set_steps(7);
    CHECK(Optimizer(copy).steps() == 7);
}
