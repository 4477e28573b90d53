// SPDX-License-Identifier: MIT
// Optimizer steps and gradient clipping against PyTorch, and what they leave alone.
#include "golden_rules.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

using namespace dla;
using namespace optim_test;

namespace {

/// What a trace of P may be off PyTorch's double trace, absolutely. In double 1e-12 of the largest value. In float the sum over the steps of what rounding can
/// do: half a unit of the value and a few of an update, which is at most rate * G (Adam: G bounds |m| / sqrt(v); SGD: the geometric sum of the gradients).
template <class P>
double tolerance_of(const Case& c) {
    double value = 0, gradient = 0, rate = 0;
    for (const double v : c.tensor("values").values) value = std::max(value, std::abs(v));
    if constexpr (std::is_same_v<typename P::scalar, double>) return 1e-12 * value;
    for (const double g : c.tensor("grads").values) gradient = std::max(gradient, std::abs(g));
    for (const double r : c.tensor("learning_rates").values) rate += r;
    const double largest =
        c.text("kind") == "sgd" ? (gradient + c.number("weight_decay") * value) / (1 - std::max(c.number("momentum"), c.has("momenta") ? 0.95 : 0)) : 10;
    return 0x1p-24 * (static_cast<double>(c.tensor("learning_rates").size()) * value + 8 * rate * largest);
}

/// Sets rate and momentum of step t as recorded.
void set_rates(Optimizer& optimizer, const Case& c, std::size_t t) {
    optimizer.set_learning_rate(c.tensor("learning_rates").values[t]);
    if (c.has("momenta")) optimizer.set_momentum(c.tensor("momenta").values[t]);
}

template <class P>
struct Trace {
    static constexpr std::int64_t n = 6, steps = 15;
    ParamTable<P> table = table_of<P>({{ParamKind::weight, n}});
    Optimizer optimizer;

    explicit Trace(const Case& c) : optimizer(optimizer_of(c)) { put(table, ParamPart::value, 0, c.tensor("values")); }
    void step(const Case& c, std::int64_t t) {
        put(table, ParamPart::gradient, 0, c.tensor("grads"), t * n);
        optimizer.step(table);
    }
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](T x, T y) { return std::bit_cast<Bits>(x) == std::bit_cast<Bits>(y); });
}

}  // namespace

TEST_CASE_TEMPLATE("optimizers against PyTorch", P, OPTIM_POLICIES) {
    const std::vector<Case> cases = golden::load("optimizer");
    CHECK(cases.size() == 37);
    for (const Case& c : cases) {
        CAPTURE(c.name);
        Trace<P> trace(c);
        const Tensor& values = c.tensor("values");
        REQUIRE(values.dims == std::vector<std::int64_t>{Trace<P>::steps + 1, Trace<P>::n});
        const double tolerance = tolerance_of<P>(c);
        double worst = 0;
        for (std::int64_t t = 0; t < Trace<P>::steps; ++t) {
            set_rates(trace.optimizer, c, static_cast<std::size_t>(t));
            trace.step(c, t);
            const auto got = get(trace.table, ParamPart::value, 0);
            for (std::size_t i = 0; i < got.size(); ++i) {
                const double error = std::abs(static_cast<double>(got[i]) - values.values[static_cast<std::size_t>((t + 1) * Trace<P>::n) + i]);
                worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(worst, error);
            }
        }
        CAPTURE(worst / tolerance);
        CHECK(worst <= tolerance);
        CHECK(trace.optimizer.steps() == Trace<P>::steps);
    }
}

TEST_CASE("optimizers under schedules against PyTorch") {
    using P = Reference<double>;
    int driven = 0;
    for (const Case& c : golden::load("optimizer")) {
        if (!c.has("rule")) continue;
        ++driven;
        CAPTURE(c.name);
        const double base = c.number("learning_rate");
        AnyScheduleOptions o{.learning_rate = base};
        if (c.text("rule") == "one_cycle") o.rule = OneCycle({.length = Trace<P>::steps});
        if (c.text("rule") == "step") o.rule = StepSchedule({.period = 4, .gamma = 0.5, .unit = ScheduleUnit::step});
        if (c.text("rule") == "warmup_cosine") {
            o.rule = CosineSchedule({.length = Trace<P>::steps - 4, .unit = ScheduleUnit::step});
            o.warmup = LinearWarmup({.start_factor = 0.1, .length = 4, .unit = ScheduleUnit::step});
        }
        AnySchedule schedule(o);
        Trace<P> trace(c);
        for (std::int64_t t = 0; t < Trace<P>::steps; ++t) {
            schedule.apply(trace.optimizer);
            trace.step(c, t);
            schedule.after_step();
            const auto got = get(trace.table, ParamPart::value, 0);
            for (std::size_t i = 0; i < got.size(); ++i)
                CHECK(std::abs(got[i] - c.tensor("values").values[static_cast<std::size_t>((t + 1) * Trace<P>::n) + i]) <= tolerance_of<P>(c));
        }
    }
    CHECK(driven == 5);
}

TEST_CASE_TEMPLATE("a restored optimizer continues bit for bit", P, OPTIM_POLICIES) {
    for (const Case& c : golden::load("optimizer")) {
        CAPTURE(c.name);
        for (const std::int64_t stop : {0, 1, 7}) {
            Trace<P> through(c), resumed(c);
            for (std::int64_t t = 0; t < Trace<P>::steps; ++t) {
                if (t == stop) {
                    resumed.table.write(ParamPart::value, resumed.table.parameters[0], get(through.table, ParamPart::value, 0));
                    for (int i = 0; i < through.optimizer.slot_count(); ++i) {
                        const ParamRow& row = resumed.table.parameters[0];
                        std::vector<typename P::master> slot(static_cast<std::size_t>(row.count));
                        through.optimizer.read(through.table, i, row, std::span(slot));
                        resumed.optimizer.write(resumed.table, i, row, std::span<const typename P::master>(slot));
                    }
                    resumed.optimizer.set_steps(through.optimizer.steps());
                }
                set_rates(through.optimizer, c, static_cast<std::size_t>(t));
                through.step(c, t);
                if (t < stop) continue;
                set_rates(resumed.optimizer, c, static_cast<std::size_t>(t));
                resumed.step(c, t);
                CHECK(same_bits(get(resumed.table, ParamPart::value, 0), get(through.table, ParamPart::value, 0)));
            }
        }
    }
}

TEST_CASE_TEMPLATE("a new optimizer forgets what the last one remembered", P, OPTIM_POLICIES) {
    const std::vector<Case> cases = golden::load("optimizer");
    const auto adam = std::find_if(cases.begin(), cases.end(), [](const Case& c) { return c.text("kind") == "adam"; });
    const auto sgd = std::find_if(cases.begin(), cases.end(), [](const Case& c) { return c.text("kind") == "sgd" && c.number("momentum") > 0; });
    REQUIRE((adam != cases.end() && sgd != cases.end()));
    Trace<P> fresh(*adam), reused(*sgd);
    for (std::int64_t t = 0; t < 3; ++t) reused.step(*sgd, t);
    put(reused.table, ParamPart::value, 0, adam->tensor("values"));
    reused.optimizer = optimizer_of(*adam);
    for (std::int64_t t = 0; t < 3; ++t) {
        fresh.step(*adam, t);
        reused.step(*adam, t);
    }
    CHECK(same_bits(get(fresh.table, ParamPart::value, 0), get(reused.table, ParamPart::value, 0)));
}

TEST_CASE_TEMPLATE("weight decay by kind of parameter", P, OPTIM_POLICIES) {
    // Four equal parameters: weights must move as with decay, the others as without.
    const std::vector<std::pair<ParamKind, std::int64_t>> kinds{
        {ParamKind::weight, 6}, {ParamKind::bias, 6}, {ParamKind::norm_weight, 6}, {ParamKind::norm_bias, 6}, {ParamKind::weight, 6}};
    for (const Case& c : golden::load("optimizer")) {
        if (c.number("weight_decay") == 0 || c.has("rule")) continue;
        CAPTURE(c.name);
        const bool sgd = c.text("kind") == "sgd";
        const auto make = [&](double decay, bool everything) {
            OptimizerOptions o{.learning_rate = c.number("learning_rate"), .weight_decay = decay, .decay_bias_and_norm = everything};
            if (sgd) o.momentum = c.number("momentum");
            return make_optimizer(c.text("kind"), o);
        };
        const auto run = [&](Optimizer optimizer) {
            ParamTable<P> table = table_of<P>(kinds);
            for (std::size_t row = 0; row < kinds.size(); ++row) put(table, ParamPart::value, row, c.tensor("values"));
            for (std::int64_t t = 0; t < 5; ++t) {
                for (std::size_t row = 0; row < kinds.size(); ++row) put(table, ParamPart::gradient, row, c.tensor("grads"), t * 6);
                optimizer.step(table);
            }
            std::vector<std::vector<typename P::scalar>> values;
            for (std::size_t row = 0; row < kinds.size(); ++row) values.push_back(get(table, ParamPart::value, row));
            return values;
        };
        const double decay = c.number("weight_decay");
        const auto all = run(make(decay, true)), none = run(make(0, true)), weights = run(make(decay, false));
        for (std::size_t row = 0; row < kinds.size(); ++row) {
            CAPTURE(row);
            CHECK_FALSE(same_bits(all[row], none[row]));
            CHECK(same_bits(weights[row], kinds[row].first == ParamKind::weight ? all[row] : none[row]));
        }
    }
}

TEST_CASE_TEMPLATE("frozen parameters are not touched", P, OPTIM_POLICIES) {
    for (const Case& c : golden::load("optimizer")) {
        if (c.has("rule")) continue;
        CAPTURE(c.name);
        ParamTable<P> table = table_of<P>({{ParamKind::weight, 6}, {ParamKind::weight, 6}, {ParamKind::bias, 6}});
        Trace<P> alone(c);
        for (std::size_t row = 0; row < 3; ++row) put(table, ParamPart::value, row, c.tensor("values"));
        table.freeze("1.weight");
        const auto start = get(table, ParamPart::value, 1);
        Optimizer optimizer = optimizer_of(c);
        for (std::int64_t t = 0; t < 5; ++t) {
            for (std::size_t row = 0; row < 3; ++row) put(table, ParamPart::gradient, row, c.tensor("grads"), t * 6);
            optimizer.step(table);
            alone.step(c, t);
        }
        CHECK(same_bits(get(table, ParamPart::value, 1), start));
        for (const std::size_t row : {std::size_t{0}, std::size_t{2}})
            CHECK(same_bits(get(table, ParamPart::value, row), get(alone.table, ParamPart::value, 0)));
    }
}

TEST_CASE_TEMPLATE("clipping against PyTorch", P, OPTIM_POLICIES) {
    using T = typename P::scalar;
    const double unit = sizeof(T) == 8 ? 0x1p-53 : 0x1p-24;
    for (const Case& c : golden::load("clip")) {
        const Tensor &before = c.tensor("before"), &after = c.tensor("after");
        for (const std::int64_t first : {before.size(), before.size() / 2}) {  // one parameter, or two
            if (first == 0) continue;
            CAPTURE(c.name);
            CAPTURE(first);
            std::vector<std::pair<ParamKind, std::int64_t>> rows{{ParamKind::weight, first}};
            if (first < before.size()) rows.push_back({ParamKind::bias, before.size() - first});
            ParamTable<P> table = table_of<P>(rows);
            for (std::size_t row = 0; row < rows.size(); ++row) put(table, ParamPart::gradient, row, before, row == 0 ? 0 : first);
            const double norm = c.tensor("norm").values[0];
            CHECK(std::abs(table.clip_gradients(c.number("max_norm")) - norm) <= 1e-14 * norm);
            std::size_t i = 0;
            for (std::size_t row = 0; row < rows.size(); ++row)
                for (const T g : get(table, ParamPart::gradient, row)) {
                    CHECK(std::abs(static_cast<double>(g) - after.values[i]) <= 8 * unit * std::abs(after.values[i]));
                    ++i;
                }
            CHECK(static_cast<std::int64_t>(i) == before.size());
        }
    }
}

TEST_CASE_TEMPLATE("clipping leaves gradients alone that are infinite, NaN or frozen", P, OPTIM_POLICIES) {
    using T = typename P::scalar;
    const T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
    for (const T odd : {infinity, -infinity, nan}) {
        ParamTable<P> table = table_of<P>({{ParamKind::weight, 3}, {ParamKind::bias, 2}, {ParamKind::weight, 1}});
        table.freeze("2.weight");
        const std::vector<T> weights{1, -2, 3}, bias{odd, T(0.5)}, frozen{1000};
        table.write(ParamPart::gradient, table.parameters[0], weights);
        table.write(ParamPart::gradient, table.parameters[1], bias);
        table.write(ParamPart::gradient, table.parameters[2], frozen);
        const double norm = table.clip_gradients(1);
        CHECK((std::isnan(odd) ? std::isnan(norm) : std::isinf(norm) && norm > 0));
        CHECK(same_bits(get(table, ParamPart::gradient, 0), weights));
        CHECK(same_bits(get(table, ParamPart::gradient, 1), bias));

        const std::vector<T> finite{0, T(0.5)};
        table.write(ParamPart::gradient, table.parameters[1], finite);
        const double rest = table.clip_gradients(1);
        CHECK(std::abs(rest - std::sqrt(14.25)) <= 1e-14 * rest);  // without the frozen 1000
        CHECK(std::abs(table.gradient_norm() - 1) < 1e-6);
        CHECK(same_bits(get(table, ParamPart::gradient, 2), frozen));
    }
}
