// SPDX-License-Identifier: MIT
#include "results.hpp"

#include "../common/json_value.hpp"

#include <dla/config.hpp>

#include <algorithm>
#include <set>
#include <tuple>

namespace depth_study {

using dla::Json;
using Value = experiment::JsonValue;

namespace {

constexpr std::string_view kind = "dla depth study";
const std::string meant = "the results of a depth study";
constexpr std::int64_t largest_integer = Value::largest_integer;

auto order(const Experiment& e) { return std::tuple(e.run, e.depth, e.residual); }

Settings read_settings(const Value& v) {
    v.object({"config", "dataset", "epochs", "seed", "data_fingerprint", "normalization", "initialization"});
    Settings s{.config = v["config"].text(),
               .dataset = v["dataset"].text(),
               .epochs = v["epochs"].small_integer(1, 1'000'000),
               .seed = static_cast<std::uint64_t>(v["seed"].integer(0, largest_integer)),
               .data_fingerprint = v["data_fingerprint"].text(),
               .networks = {.normalization = v["normalization"].text(), .initialization = v["initialization"].text()}};
    if (const std::string& n = s.networks.normalization; n != "batch" && n != "layer" && n != "none") v["normalization"].wrong("batch, layer or none");
    if (const std::string& i = s.networks.initialization; i != "default" && i != "he") v["initialization"].wrong("default or he");
    dla::ExperimentConfig config;
    try {
        config = dla::parse_config(s.config, "config");
    } catch (const dla::Error& e) {
        v["config"].wrong("the TOML text of an experiment (" + dla::one_line(e.what()) + ")");
    }
    if (config.dataset.name != s.dataset) v["dataset"].wrong("\"" + config.dataset.name + "\" as in settings.config");
    if (config.training.num_epochs != s.epochs) v["epochs"].wrong(std::to_string(config.training.num_epochs) + " as in settings.config");
    if (config.training.seed != static_cast<std::int64_t>(s.seed)) v["seed"].wrong(std::to_string(config.training.seed) + " as in settings.config");
    return s;
}

Experiment read_experiment(const Value& v, const Results& study) {
    v.object({"depth", "residual", "run", "seed", "parameters", "diverged", "best_epoch", "test_loss", "test_accuracy", "seconds", "history", "layers"});
    Experiment e{.depth = v["depth"].small_integer(1, max_depth),
                 .residual = v["residual"].boolean(),
                 .run = v["run"].small_integer(0, study.runs - 1),
                 .seed = static_cast<std::uint64_t>(v["seed"].integer(0, largest_integer + max_runs)),
                 .parameters = v["parameters"].integer(1, largest_integer),
                 .diverged = v["diverged"].text()};
    if (std::find(study.depths.begin(), study.depths.end(), e.depth) == study.depths.end()) v["depth"].wrong("one of the numbers in depths");
    v["history"].each([&](const Value& row) {
        row.object({"epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "gradient_norm"});
        const int epoch = static_cast<int>(e.history.size()) + 1;
        if (epoch > study.settings.epochs) v["history"].wrong("at most settings.epochs rows");
        e.history.push_back({.epoch = row["epoch"].small_integer(epoch, epoch),
                             .train_loss = row["train_loss"].number_or_null(),
                             .train_accuracy = row["train_accuracy"].number_or_null(100),
                             .val_loss = row["val_loss"].number_or_null(),
                             .val_accuracy = row["val_accuracy"].number_or_null(100),
                             .learning_rate = row["learning_rate"].number()});
        e.gradient_norms.push_back(row["gradient_norm"].number_or_null());
    });
    v["layers"].each([&](const Value& row) {
        row.object({"path", "gradient_norm"});
        e.layers.push_back({row["path"].text(), row["gradient_norm"].number_or_null()});
    });
    const bool tested = e.diverged.empty();
    e.best_epoch = v["best_epoch"].small_integer(tested ? 1 : 0, static_cast<int>(e.history.size()));
    e.test_loss = v["test_loss"].number_or_null();
    e.test_accuracy = tested ? v["test_accuracy"].number(100) : v["test_accuracy"].number_or_null(100);
    e.seconds = v["seconds"].number();
    return e;
}

}  // namespace

Json to_json(const Results& r) {
    std::vector<const Experiment*> sorted;
    for (const Experiment& e : r.experiments) sorted.push_back(&e);
    std::sort(sorted.begin(), sorted.end(), [](const Experiment* a, const Experiment* b) { return order(*a) < order(*b); });
    Json experiments = Json::array();
    for (const Experiment* e : sorted) {
        Json history = Json::array(), layers = Json::array();
        for (std::size_t i = 0; i < e->history.size(); ++i) {
            const dla::EpochMetrics& m = e->history[i];
            history.push_back({{"epoch", m.epoch},
                               {"train_loss", m.train_loss},
                               {"train_accuracy", m.train_accuracy},
                               {"val_loss", m.val_loss},
                               {"val_accuracy", m.val_accuracy},
                               {"learning_rate", m.learning_rate},
                               {"gradient_norm", i < e->gradient_norms.size() ? e->gradient_norms[i] : nan}});
        }
        for (const LayerGradient& l : e->layers) layers.push_back({{"path", l.path}, {"gradient_norm", l.norm}});
        experiments.push_back({{"depth", e->depth},
                               {"residual", e->residual},
                               {"run", e->run},
                               {"seed", e->seed},
                               {"parameters", e->parameters},
                               {"diverged", e->diverged},
                               {"best_epoch", e->best_epoch},
                               {"test_loss", e->test_loss},
                               {"test_accuracy", e->test_accuracy},
                               {"seconds", e->seconds},
                               {"history", std::move(history)},
                               {"layers", std::move(layers)}});
    }
    const Settings& s = r.settings;
    return {{"kind", kind},
            {"schema", results_schema},
            {"version", r.version},
            {"isa", r.isa},
            {"settings",
             {{"config", s.config},
              {"dataset", s.dataset},
              {"epochs", s.epochs},
              {"seed", s.seed},
              {"data_fingerprint", s.data_fingerprint},
              {"normalization", s.networks.normalization},
              {"initialization", s.networks.initialization}}},
            {"depths", r.depths},
            {"runs", r.runs},
            {"experiments", std::move(experiments)}};
}

void write_results(const std::string& path, const Results& results) { dla::write_json(path, to_json(results)); }

Results read_results(const std::string& path) {
    Json json = dla::read_json(path);
    if (json.is_object() && json.contains("schema") && json["schema"] == 1 && json.contains("settings") && json["settings"].is_object()) {
        json["settings"]["normalization"] = NetworkOptions{}.normalization;
        json["settings"]["initialization"] = NetworkOptions{}.initialization;
    }
    const Value v(json, path, meant);
    v.require_kind(kind, results_schema);
    v.object({"kind", "schema", "version", "isa", "settings", "depths", "runs", "experiments"});
    Results r{.settings = read_settings(v["settings"]),
              .depths = {},
              .runs = v["runs"].small_integer(1, max_runs),
              .version = v["version"].text(),
              .isa = v["isa"].text(),
              .experiments = {}};
    v["depths"].each([&](const Value& d) {
        const int depth = d.small_integer(1, max_depth);
        if (std::find(r.depths.begin(), r.depths.end(), depth) != r.depths.end()) d.wrong("a depth that has not been named before");
        r.depths.push_back(depth);
    });
    if (r.depths.empty()) v["depths"].wrong("at least one depth");
    std::set<std::tuple<int, int, bool>> seen;
    v["experiments"].each([&](const Value& e) {
        r.experiments.push_back(read_experiment(e, r));
        if (!seen.insert(order(r.experiments.back())).second) e.wrong("a depth, residual and run that no experiment before it has");
    });
    std::sort(r.experiments.begin(), r.experiments.end(), [](const Experiment& a, const Experiment& b) { return order(a) < order(b); });
    return r;
}

}  // namespace depth_study
