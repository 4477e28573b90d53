// SPDX-License-Identifier: MIT
#include "results.hpp"

#include "../common/json_value.hpp"

#include <dla/config.hpp>

#include <algorithm>
#include <filesystem>
#include <set>

namespace experiments {

using dla::Json;
using Value = experiment::JsonValue;

namespace {

constexpr std::string_view kind = "dla experiments";
const std::string meant = "the results of experiments", sittings_meant = "the sittings of a run", log_meant = "the log of a run";

Json sittings_json(const std::vector<Sitting>& sittings) {
    Json all = Json::array();
    for (const Sitting& s : sittings)
        all.push_back({{"version", s.version},
                       {"commit", s.commit},
                       {"computes_on", s.computes_on},
                       {"processor", s.processor},
                       {"threads", s.threads},
                       {"side_by_side", s.side_by_side},
                       {"began", s.began}});
    return all;
}

Sitting read_sitting(const Value& v) {
    v.object({"version", "commit", "computes_on", "processor", "threads", "side_by_side", "began"});
    return {.version = v["version"].text(),
            .commit = v["commit"].text(),
            .computes_on = v["computes_on"].text(),
            .processor = v["processor"].text(),
            .threads = v["threads"].small_integer(1, 1024),
            .side_by_side = v["side_by_side"].small_integer(1, 1024),
            .began = v["began"].text()};
}

Json run_json(const Run& r) {
    Json history = Json::array();
    for (const auto& [m, seconds] : r.history)
        history.push_back({{"epoch", m.epoch},
                           {"train_loss", m.train_loss},
                           {"train_accuracy", m.train_accuracy},
                           {"val_loss", m.val_loss},
                           {"val_accuracy", m.val_accuracy},
                           {"learning_rate", m.learning_rate},
                           {"seconds", seconds}});
    return {{"seed", r.seed},
            {"diverged", r.diverged},
            {"best_epoch", r.best_epoch},
            {"test_loss", r.test_loss},
            {"test_accuracy", r.test_accuracy},
            {"test_accuracy_mirrored", r.test_accuracy_mirrored},
            {"sittings", sittings_json(r.sittings)},
            {"history", history}};
}

/// A row of a history, of a file of results or of a run's log, which has more in it.
Epoch read_epoch(const Value& row, std::size_t number) {
    const int epoch = static_cast<int>(number);
    return {{.epoch = row["epoch"].small_integer(epoch, epoch),
             .train_loss = row["train_loss"].number_or_null(),
             .train_accuracy = row["train_accuracy"].number_or_null(100),
             .val_loss = row["val_loss"].number_or_null(),
             .val_accuracy = row["val_accuracy"].number_or_null(100),
             .learning_rate = row["learning_rate"].number()},
            row["seconds"].number_or_null()};
}

Run read_run(const Value& v) {
    v.object({"seed", "diverged", "best_epoch", "test_loss", "test_accuracy", "test_accuracy_mirrored", "sittings", "history"});
    Run r{.seed = v["seed"].integer(0, Value::largest_integer), .diverged = v["diverged"].text()};
    v["history"].each([&](const Value& row) {
        row.object({"epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds"});
        r.history.push_back(read_epoch(row, r.history.size() + 1));
    });
    const bool tested = r.diverged.empty();
    r.best_epoch = v["best_epoch"].small_integer(tested ? 1 : 0, static_cast<int>(r.history.size()));
    r.test_loss = v["test_loss"].number_or_null();
    r.test_accuracy = tested ? v["test_accuracy"].number(100) : v["test_accuracy"].number_or_null(100);
    r.test_accuracy_mirrored = v["test_accuracy_mirrored"].number_or_null(100);
    v["sittings"].each([&](const Value& s) { r.sittings.push_back(read_sitting(s)); });
    return r;
}

}  // namespace

Json to_json(const Results& results) {
    Json experiments = Json::array();
    for (const Outcome& o : results.outcomes) {
        std::vector<const Run*> sorted;
        for (const Run& r : o.runs) sorted.push_back(&r);
        std::sort(sorted.begin(), sorted.end(), [](const Run* a, const Run* b) { return a->seed < b->seed; });
        Json runs = Json::array();
        for (const Run* r : sorted) runs.push_back(run_json(*r));
        experiments.push_back({{"name", o.name}, {"config", o.config}, {"runs", std::move(runs)}});
    }
    return {{"kind", kind}, {"schema", results_schema}, {"experiments", std::move(experiments)}};
}

void write_results(const std::string& path, const Results& results) { dla::write_json(path, to_json(results)); }

Results read_results(const std::string& path) {
    const Json json = dla::read_json(path);
    const Value v(json, path, meant);
    v.require_kind(kind, results_schema);
    v.object({"kind", "schema", "experiments"});
    Results results;
    std::set<std::string> names;
    v["experiments"].each([&](const Value& e) {
        e.object({"name", "config", "runs"});
        Outcome o{.name = e["name"].text(), .config = e["config"].text(), .runs = {}};
        if (!names.insert(o.name).second) e["name"].wrong("a name that no experiment before it has");
        try {
            o.config = common_config(dla::parse_config(o.config, "config"));
        } catch (const dla::Error& error) {
            e["config"].wrong("the TOML text of an experiment (" + dla::one_line(error.what()) + ")");
        }
        e["runs"].each([&](const Value& r) {
            Run run = read_run(r);
            if (o.find(run.seed)) r["seed"].wrong("a seed that no run before it has");
            o.runs.push_back(std::move(run));
        });
        results.outcomes.push_back(std::move(o));
    });
    return results;
}

void write_sittings(const std::string& path, const std::vector<Sitting>& sittings) { dla::write_json(path, sittings_json(sittings)); }

std::vector<Sitting> read_sittings(const std::string& path) {
    std::vector<Sitting> sittings;
    if (!std::filesystem::exists(path)) return sittings;
    const Json json = dla::read_json(path);
    Value(json, path, sittings_meant).each([&](const Value& s) { sittings.push_back(read_sitting(s)); });
    return sittings;
}

Run read_metrics(const std::string& path) {
    const auto bytes = dla::read_file(path, 1u << 30);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    Run r;
    std::size_t number = 0;
    std::vector<double> samples;  // that an epoch's seconds were spent on
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const std::string where = path + ":" + std::to_string(++number);
        Json line = dla::parse_json(text.substr(at, end - at), where);
        at = end + 1;
        const Value v(line, where, log_meant);
        const std::string type = line.is_object() && line.contains("type") && line["type"].is_string() ? line["type"].get<std::string>() : "";
        const auto has = [&](std::initializer_list<const char*> keys) {
            for (const char* key : keys)
                if (!line.contains(key)) v.wrong(std::string("an object with \"") + key + "\"");
        };
        if (type == "epoch") {
            has({"epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate"});
            if (!line.contains("seconds")) line["seconds"] = nullptr;  // taken from a checkpoint, which knows no times
            r.history.push_back(read_epoch(v, r.history.size() + 1));
            samples.push_back(line.contains("samples_per_second") ? r.history.back().seconds * v["samples_per_second"].number() : nan);
            const double accuracy = r.history.back().metrics.val_accuracy;
            if (dla::is_finite(accuracy) && (r.best_epoch == 0 || accuracy > r.best().val_accuracy)) r.best_epoch = r.history.back().metrics.epoch;
        } else if (type == "test") {
            has({"test_loss", "test_accuracy"});
            r.test_loss = v["test_loss"].number_or_null();
            r.test_accuracy = v["test_accuracy"].number(100);
            if (line.contains("metrics") && line["metrics"].is_object() && line["metrics"].contains("accuracy_mirrored"))
                r.test_accuracy_mirrored = v["metrics"]["accuracy_mirrored"].number(100);
        }
    }
    // Of an epoch that was interrupted the log knows the time of its last part alone: that is no time of an epoch.
    // Epochs below a second are rounded too much to tell, and to be compared with.
    double whole = 0;
    for (std::size_t i = 0; i < samples.size(); ++i)
        if (r.history[i].seconds > 1 && samples[i] > whole) whole = samples[i];
    for (std::size_t i = 0; i < samples.size(); ++i)
        if (r.history[i].seconds > 1 && !(samples[i] > 0.95 * whole)) r.history[i].seconds = nan;
    return r;
}

}  // namespace experiments
