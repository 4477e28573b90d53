// SPDX-License-Identifier: MIT
#include "results.hpp"

#include <dla/config.hpp>

#include <algorithm>
#include <set>
#include <tuple>

namespace depth_study {

using dla::ErrorCode, dla::fail, dla::Json;

namespace {

constexpr std::string_view kind = "dla depth study";
constexpr double largest = 1e100;  // beyond what a float gives; means and squares stay finite
constexpr std::int64_t largest_integer = 9'000'000'000'000'000;

auto order(const Experiment& e) { return std::tuple(e.run, e.depth, e.residual); }

/// One value of a file and the way to it.
class Value {
public:
    Value(const Json& json, std::string path, const std::string& file) : json_(json), path_(std::move(path)), file_(file) {}

    /// An object with exactly these keys.
    const Value& object(std::initializer_list<const char*> keys) const {
        if (!json_.is_object()) wrong("an object");
        for (const char* key : keys)
            if (!json_.contains(key)) fail(ErrorCode::io, file_, place() + " has no \"" + key + "\"; it is damaged or not the results of a depth study");
        for (const auto& [key, value] : json_.items())
            if (std::find(keys.begin(), keys.end(), key) == keys.end())
                fail(ErrorCode::io, file_, place() + " has the unknown key " + shown(Json(key)) + "; it is damaged or not the results of a depth study");
        return *this;
    }
    Value operator[](const char* key) const { return {json_.at(key), path_.empty() ? key : path_ + "." + key, file_}; }

    /// Calls `read` with each element of an array.
    template <class Read>
    void each(Read&& read) const {
        if (!json_.is_array()) wrong("an array");
        for (std::size_t i = 0; i < json_.size(); ++i) read(Value(json_[i], path_ + "[" + std::to_string(i) + "]", file_));
    }
    std::int64_t integer(std::int64_t low, std::int64_t high) const {
        const bool fits = json_.is_number_integer() && !(json_.is_number_unsigned() && json_.get<std::uint64_t>() > std::uint64_t{1} << 62);
        const std::int64_t value = fits ? json_.get<std::int64_t>() : 0;
        if (!fits || value < low || value > high) wrong("an integer from " + std::to_string(low) + " to " + std::to_string(high));
        return value;
    }
    int small_integer(int low, int high) const { return static_cast<int>(integer(low, high)); }
    /// From 0 to `high`.
    double number(double high = largest) const {
        const double value = json_.is_number() ? json_.get<double>() : -1;
        if (!(value >= 0 && value <= high)) wrong("a number from 0 to " + Json(high).dump());
        return value;
    }
    /// `null` stands for what was not measured or is not finite.
    double number_or_null(double high = largest) const { return json_.is_null() ? nan : number(high); }
    bool boolean() const {
        if (!json_.is_boolean()) wrong("true or false");
        return json_.get<bool>();
    }
    std::string text() const {
        if (!json_.is_string()) wrong("a string");
        return json_.get<std::string>();
    }
    [[noreturn]] void wrong(const std::string& expected) const {
        fail(ErrorCode::io, file_, place() + " is wrong; expected " + expected + ", got " + shown(json_));
    }

private:
    std::string place() const { return path_.empty() ? "the file" : path_; }
    static std::string shown(const Json& json) {
        if (json.is_structured()) return json.is_array() ? "an array" : "an object";
        const std::string text = dla::to_string(json);
        return text.size() <= 40 ? text : json.type_name() + (" of " + std::to_string(text.size())) + " characters";
    }

    const Json& json_;
    std::string path_;
    const std::string& file_;
};

Settings read_settings(const Value& v) {
    v.object({"config", "dataset", "epochs", "seed", "data_fingerprint"});
    Settings s{.config = v["config"].text(),
               .dataset = v["dataset"].text(),
               .epochs = v["epochs"].small_integer(1, 1'000'000),
               .seed = static_cast<std::uint64_t>(v["seed"].integer(0, largest_integer)),
               .data_fingerprint = v["data_fingerprint"].text()};
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
            {"settings", {{"config", s.config}, {"dataset", s.dataset}, {"epochs", s.epochs}, {"seed", s.seed}, {"data_fingerprint", s.data_fingerprint}}},
            {"depths", r.depths},
            {"runs", r.runs},
            {"experiments", std::move(experiments)}};
}

void write_results(const std::string& path, const Results& results) { dla::write_json(path, to_json(results)); }

Results read_results(const std::string& path) {
    const Json json = dla::read_json(path);
    if (!json.is_object() || !json.contains("kind") || json["kind"] != kind || !json.contains("schema"))
        fail(ErrorCode::io, path, "not the results of a depth study; expected an object with \"kind\": \"" + std::string(kind) + "\" and \"schema\"");
    const Value v(json, "", path);
    const std::int64_t schema = v["schema"].integer(1, largest_integer);
    if (schema > results_schema)
        fail(ErrorCode::io, path,
             "written by a newer version of this program; expected schema " + std::to_string(results_schema) + ", got " + std::to_string(schema) +
                 "; use a newer version of dla");
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
