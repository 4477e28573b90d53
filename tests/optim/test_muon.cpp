// SPDX-License-Identifier: MIT
// Muon: whole traces against its formulas in double, what the iteration does to singular values, and which parameters it steps how.
#include "golden_rules.hpp"

#include <dla/kernels/cpu/bf16/declarations.hpp>
#include <support/error_of.hpp>

#include <cmath>
#include <cstring>

using namespace dla;
using namespace optim_test;

namespace {

using Exact = Reference<double>;

struct RowOf {
    std::string path;
    ParamKind kind;
    Dims dims;
};

template <class P>
ParamTable<P> new_table(const std::vector<RowOf>& rows, const P& policy = {}) {
    ParamTable<P> table(policy);
    for (const RowOf& r : rows) {
        ParamRow row;
        row.path = r.path;
        row.kind = r.kind;
        row.dims = r.dims;
        row.offset = table.value_count;
        row.count = r.dims.size();
        table.parameters.push_back(row);
        table.value_count += padded_count<typename P::master>(row.count);
    }
    table.allocate();
    return table;
}

/// Never zero, no two alike.
double noise(std::size_t row, std::size_t i, int t) { return std::sin(1.0 + static_cast<double>(17 * row + 3 * i) + 5.7 * t); }

template <class P>
void fill_part(ParamTable<P>& table, ParamPart part, int t) {
    for (std::size_t row = 0; row < table.parameters.size(); ++row) {
        std::vector<typename P::master> v;
        for (index_t i = 0; i < table.parameters[row].count; ++i) v.push_back(static_cast<typename P::master>(noise(row, static_cast<std::size_t>(i), t)));
        table.write(part, table.parameters[row], v);
    }
}
template <class P>
std::vector<typename P::master> values(const ParamTable<P>& table, std::size_t row) {
    std::vector<typename P::master> v(static_cast<std::size_t>(table.parameters[row].count));
    table.read(ParamPart::value, table.parameters[row], v);
    return v;
}

Optimizer muon_of(const Case& c) {
    return make_optimizer("muon", {.learning_rate = c.number("learning_rate"),
                                   .weight_decay = c.number("weight_decay"),
                                   .momentum = c.number("momentum"),
                                   .nesterov = c.number("nesterov") != 0,
                                   .factor = c.text("factor") == "original" ? MuonFactor::original : MuonFactor::match_rms_adamw,
                                   .ns_steps = static_cast<int>(c.integer("ns_steps"))});
}

const std::vector<RowOf> network{{"0.weight", ParamKind::weight, {6, 2, 3, 3}}, {"0.bias", ParamKind::bias, {6}}, {"1.weight", ParamKind::norm_weight, {6}},
                                 {"2.weight", ParamKind::weight, {8, 6}},       {"2.bias", ParamKind::bias, {8}}, {"3.weight", ParamKind::weight, {8}},
                                 {"4.weight", ParamKind::weight, {3, 8}},       {"4.bias", ParamKind::bias, {3}}};

}  // namespace

TEST_CASE_TEMPLATE("muon against its formulas", P, OPTIM_POLICIES) {
    const std::vector<Case> cases = golden::load("muon");
    CHECK(cases.size() == 25);
    for (const Case& c : cases) {
        CAPTURE(c.name);
        const Tensor& all = c.tensor("values");
        const std::int64_t steps = all.dims[0] - 1;
        std::int64_t n = 1;
        Dims dims;
        for (std::size_t i = 1; i < all.dims.size(); ++i) dims.d[dims.rank++] = all.dims[i], n *= all.dims[i];
        ParamTable<P> table = new_table<P>({{"0.weight", ParamKind::weight, dims}});
        put(table, ParamPart::value, 0, all);
        Optimizer muon = muon_of(c);
        double worst = 0;
        for (std::int64_t t = 0; t < steps; ++t) {
            put(table, ParamPart::gradient, 0, c.tensor("grads"), t * n);
            muon.step(table);
            const auto got = get(table, ParamPart::value, 0);
            for (std::int64_t i = 0; i < n; ++i)
                worst =
                    std::fmax(worst, std::abs(static_cast<double>(got[static_cast<std::size_t>(i)]) - all.values[static_cast<std::size_t>((t + 1) * n + i)]));
        }
        // Five rounds may enlarge a rounding by 3.4445^5 = 485, in each of 6 steps of 0.1 x 2.4 (the largest factor).
        const double unit = std::is_same_v<typename P::master, double> ? 0x1p-53 : 0x1p-24;
        CAPTURE(worst / unit);
        CHECK(worst <= 4 * 485 * 6 * 0.24 * unit);
        CHECK(muon.steps() == steps);
    }
}

TEST_CASE("orthogonalisation keeps singular vectors and brings singular values near 1") {
    // A rotated diagonal matrix, 3 x 4: U diag(s) V^T with U a rotation in the first two rows and V in the last two columns.
    const double s[] = {2, 0.5, 0.02}, norm = std::sqrt(4 + 0.25 + 0.0004), cu = std::cos(0.7), su = std::sin(0.7), cv = std::cos(0.3), sv = std::sin(0.3);
    const auto matrix = [&](const double* d) {
        const double core[3][4] = {{d[0], 0, 0, 0}, {0, d[1], 0, 0}, {0, 0, d[2], 0}};
        std::vector<double> m;
        for (int i = 0; i < 3; ++i) {
            double row[4];
            for (int j = 0; j < 4; ++j) row[j] = i == 0 ? cu * core[0][j] - su * core[1][j] : i == 1 ? su * core[0][j] + cu * core[1][j] : core[2][j];
            const double two = cv * row[2] - sv * row[3], three = sv * row[2] + cv * row[3];
            m.insert(m.end(), {row[0], row[1], two, three});
        }
        return m;
    };
    double after[3];
    for (int i = 0; i < 3; ++i) {
        double x = s[i] / norm;
        for (int round = 0; round < 5; ++round) x = 3.4445 * x - 4.7750 * std::pow(x, 3) + 2.0315 * std::pow(x, 5);
        after[i] = x;
        CHECK(x > 0.5);
        CHECK(x < 1.3);
    }
    const Exact p;
    for (const bool tall : {false, true}) {
        std::vector<double> x = matrix(s), expected = matrix(after);
        const index_t rows = tall ? 4 : 3, columns = tall ? 3 : 4;
        const auto turned = [](const std::vector<double>& m) {
            std::vector<double> t(12);
            for (std::size_t i = 0; i < 12; ++i) t[i % 4 * 3 + i / 4] = m[i];
            return t;
        };
        if (tall) x = turned(x), expected = turned(expected);
        Arena<Exact> scratch(p, detail::OrthogonalizeScratch<Exact>(p, rows, columns).bytes());
        const double* got = detail::orthogonalize(p, scratch.data(), rows, columns, 5, 1e-7, x.data());
        for (std::size_t i = 0; i < 12; ++i) CHECK(std::abs(got[i] - expected[i]) < 1e-13);
    }
    // A gradient of zeros has no direction, and gives no step.
    std::vector<double> zeros(12);
    Arena<Exact> scratch(p, detail::OrthogonalizeScratch<Exact>(p, 3, 4).bytes());
    const double* got = detail::orthogonalize(p, scratch.data(), 3, 4, 5, 1e-7, zeros.data());
    for (std::size_t i = 0; i < 12; ++i) CHECK(got[i] == 0);
}

TEST_CASE("what is no matrix, and what is named, takes steps of AdamW") {
    ParamTable<Exact> a = new_table<Exact>(network), b = new_table<Exact>(network);
    fill_part(a, ParamPart::value, 100), fill_part(b, ParamPart::value, 100);
    Optimizer muon = Muon({.learning_rate = 0.02, .weight_decay = 0.3, .beta2 = 0.99, .adamw = {"4.weight"}, .decay_bias_and_norm = false});
    Optimizer adamw = AdamW({.learning_rate = 0.02, .beta2 = 0.99, .weight_decay = 0.3, .decay_bias_and_norm = false});
    for (int t = 0; t < 3; ++t) {
        fill_part(a, ParamPart::gradient, t), fill_part(b, ParamPart::gradient, t);
        muon.step(a), adamw.step(b);
    }
    for (std::size_t row = 0; row < network.size(); ++row) {
        CAPTURE(network[row].path);
        const bool matrix = row == 0 || row == 3;
        CHECK((values(a, row) == values(b, row)) != matrix);
    }
    CHECK(muon.steps_of_parameters() == std::vector<std::int64_t>(network.size(), 3));
}

TEST_CASE("groups of muon have rates and decays of their own, and a frozen matrix stays") {
    const auto after = [](std::vector<ParamGroup> groups, double rate, double decay, bool freeze) {
        ParamTable<Exact> table = new_table<Exact>(network);
        fill_part(table, ParamPart::value, 100), fill_part(table, ParamPart::gradient, 0);
        if (freeze) table.freeze("0.weight");
        Optimizer muon = Muon({.learning_rate = rate, .weight_decay = decay, .groups = std::move(groups)});
        muon.step(table);
        std::vector<std::vector<double>> all;
        for (std::size_t row = 0; row < network.size(); ++row) all.push_back(values(table, row));
        return all;
    };
    const auto plain = after({}, 0.1, 0.2, false), other = after({}, 0.5, 0, false);
    const auto grouped = after({{.path = "2.weight", .learning_rate = 0.5, .weight_decay = 0}, {.path = "*"}}, 0.1, 0.2, false);
    const auto frozen = after({}, 0.1, 0.2, true);
    ParamTable<Exact> untouched = new_table<Exact>(network);
    fill_part(untouched, ParamPart::value, 100);
    for (std::size_t row = 0; row < network.size(); ++row) {
        CHECK(grouped[row] == (row == 3 ? other : plain)[row]);
        CHECK(frozen[row] == (row == 0 ? values(untouched, 0) : plain[row]));
    }
}

TEST_CASE_TEMPLATE("a refused step changes nothing; saved moments go on bit for bit; a copy goes its own way", P, Exact, Reference<float>, Cpu<float>) {
    ParamTable<P> table = new_table<P>(network);
    fill_part(table, ParamPart::value, 100);
    Optimizer muon = Muon({.learning_rate = 0.02, .adamw = {"4.weight"}});
    const auto step = [](ParamTable<P>& on, Optimizer& o, int t) { fill_part(on, ParamPart::gradient, t), o.step(on); };
    step(table, muon, 0), step(table, muon, 1);

    const auto slots = [&](const Optimizer& o) {
        std::vector<typename P::master> all, host;
        for (const ParamRow& row : table.parameters)
            for (int slot = 0; slot < o.slot_count(); ++slot) {
                host.resize(static_cast<std::size_t>(row.count));
                o.read(table, slot, row, std::span(host));
                all.insert(all.end(), host.begin(), host.end());
            }
        return all;
    };
    const auto before = values(table, 0), small = values(table, 1), remembered = slots(muon);
    StepReport refused;
    refused.applied = 0;
    fill_part(table, ParamPart::gradient, 9);
    muon.step(table, &refused);
    CHECK(values(table, 0) == before);
    CHECK(values(table, 1) == small);
    CHECK(slots(muon) == remembered);
    CHECK(muon.steps() == 2);

    Optimizer copy = muon, restored = Muon({.learning_rate = 0.02, .adamw = {"4.weight"}});
    ParamTable<P> second = new_table<P>(network);
    std::vector<typename P::master> host;
    for (const ParamRow& row : table.parameters) {
        host.resize(static_cast<std::size_t>(row.count));
        table.read(ParamPart::value, row, host);
        second.write(ParamPart::value, row, host);
        for (int slot = 0; slot < muon.slot_count(); ++slot) {
            muon.read(table, slot, row, std::span(host));
            restored.write(second, slot, row, std::span<const typename P::master>(host));
        }
    }
    restored.set_steps(2);
    step(table, muon, 2), step(second, restored, 2);
    for (std::size_t row = 0; row < network.size(); ++row) CHECK(values(table, row) == values(second, row));
    const auto here = values(table, 0);
    step(table, copy, 2);  // from two steps on, as the original was
    CHECK(values(table, 0) != here);
    CHECK(copy.steps() == 3);
    CHECK(muon.steps() == 3);
    CHECK(restored.settings() == muon.settings());
}

TEST_CASE("masters of 16-bit networks take the steps of float ones") {
    const auto run = [](auto policy) {
        using P = decltype(policy);
        ParamTable<P> table = new_table<P>(network, policy);
        fill_part(table, ParamPart::value, 100);
        Optimizer muon = Muon({.learning_rate = 0.02});
        for (int t = 0; t < 2; ++t) fill_part(table, ParamPart::gradient, t), muon.step(table);
        return values(table, 0);
    };
    CHECK(run(Reference<bf16>{}) == run(Reference<float>{}));
}

TEST_CASE("muon by name, its settings, and what it refuses") {
    const Optimizer o = make_optimizer("muon", {.learning_rate = 0.02, .momentum = 0.8, .beta1 = 0.7});
    CHECK(std::string(o.name()) == "muon");
    CHECK(o.momentum() == 0.8);
    CHECK(o.nesterov());
    CHECK(o.weight_decay() == 0.1);
    CHECK(o.slot_count() == 2);
    CHECK(o.settings() != make_optimizer("muon", {.learning_rate = 0.02, .momentum = 0.8, .beta1 = 0.7, .adamw = {"4.weight"}}).settings());
    CHECK(o.settings() != make_optimizer("muon", {.learning_rate = 0.02, .momentum = 0.8, .beta1 = 0.7, .ns_steps = 4}).settings());
    Optimizer moved = o;
    moved.set_momentum(0.5);
    CHECK(moved.momentum() == 0.5);

    CHECK(error_of([] { Muon({.momentum = 1}); }) == "error[usage] muon: momentum must lie in [0, 1)");
    CHECK(error_of([] { Muon({.ns_steps = 100}); }) == "error[usage] muon: ns_steps must lie in 0 to 99; got 100");
    CHECK(error_of([] { Muon({.learning_rate = -1}); }) == "error[usage] muon: learning_rate and weight_decay must be finite and not negative");
    CHECK(error_of([] { Muon({.eps = -1}); }) == "error[usage] muon: eps and adamw_eps must be finite and not negative");
    CHECK(error_of([] { make_optimizer("muon", {.dampening = 0.1}); }) == "error[usage] muon: has no option dampening");
    CHECK(error_of([] { make_optimizer("adamw", {.ns_steps = 3}); }) == "error[usage] adamw: has no option ns_steps");
    CHECK(error_of([] { make_optimizer("sgd", {.adamw = {"0"}}); }) == "error[usage] sgd: has no option adamw");
    CHECK(error_of([] { make_optimizer("sgd", {.factor = MuonFactor::original}); }) == "error[usage] sgd: has no option factor");
    CHECK(error_of([] {
              ParamTable<Exact> table = new_table<Exact>(network);
              Optimizer muon = Muon({.adamw = {"9.weight"}});
              muon.step(table);
          }) == "error[model] 9.weight: no parameter matches this path, which AdamW is to step; see the paths in summary(model)");
}
