// SPDX-License-Identifier: MIT
// Reads an experiment from TOML, strictly and with every error at once.
#pragma once

#include <dla/config/check.hpp>
#include <dla/io/atomic_file.hpp>

// toml++ 3.3 asserts where it should report a malformed table header; without the assertion it reports.
#ifndef TOML_ASSERT
#define TOML_ASSERT(expression) static_assert(true)
#endif
#include <toml++/toml.h>

#include <algorithm>
#include <list>
#include <map>

namespace dla {

namespace detail {

/// The key meant by `table.key`: a similar one in that table, the same one in another, a similar one in another; or nothing.
inline std::string meant_key(std::string_view table, std::string_view key) {
    constexpr std::pair<std::string_view, std::string_view> others[] = {
        {"epochs", "num_epochs"}, {"lr", "learning_rate"}, {"clip_norm", "clip_grad_norm"}, {"batch", "batch_size"}};  // what it is called elsewhere
    for (const auto& [elsewhere, here] : others)
        if (key == elsewhere) return "training." + std::string(here);
    std::string best;
    std::size_t best_cost = SIZE_MAX;
    for (const ConfigKey& k : config_keys()) {
        if (!similar(k.key, key)) continue;
        const std::size_t cost = 2 * edit_distance(k.key, key) + (k.table == table ? 0 : 3);
        if (cost < best_cost) best = std::string(k.table) + "." + std::string(k.key);
        best_cost = std::min(best_cost, cost);
    }
    return best;
}

/// `integer 3`, `string "abc"`, `table`.
inline std::string describe(const toml::node& node) {
    if (const auto* v = node.as_integer()) return "integer " + std::to_string(v->get());
    if (const auto* v = node.as_floating_point()) return "number " + toml_number(v->get());
    if (const auto* v = node.as_string()) return "string \"" + printable(v->get()) + "\"";
    if (const auto* v = node.as_boolean()) return v->get() ? "boolean true" : "boolean false";
    if (node.is_array()) return "array";
    if (node.is_table()) return "table";
    return "date or time";
}

/// Where a value stands: the text for messages, and a rank for their order (overrides come last).
struct ConfigPlace {
    std::string text;
    std::uint64_t rank = 0;
};

inline ConfigPlace place_in(const std::string& file, const toml::source_region& source) {
    if (!source.begin) return {file, 0};
    return {file + ":" + std::to_string(source.begin.line) + ":" + std::to_string(source.begin.column),
            std::uint64_t{source.begin.line} << 32 | source.begin.column};
}

/// toml++ destroys nested tables recursively: dotted keys, whose depth it does not limit, must not make thousands of levels.
inline int line_with_too_many_dots(std::string_view text) {
    constexpr int most_dots = 32;
    int dots = 0, line = 1;
    bool quote = false, comment = false;
    for (const char c : text) {
        if (c == '\n') {
            ++line;
            dots = 0;
            quote = comment = false;
        }
        quote = quote || c == '"' || c == '\'';
        comment = comment || (c == '#' && !quote);  // behind a quote it may be part of a string
        if (c == '.' && !comment && ++dots > most_dots) return line;
    }
    return 0;
}

/// Stores a TOML value in its field. Returns what is wrong with it, or nothing.
inline std::string store_value(const ConfigKey& k, const toml::node& node, ExperimentConfig& config) {
    const ConfigField field = k.field(config);
    const auto wrong_type = [](const std::string& what, std::string_view expected, const toml::node& got) {
        return "wrong type" + what + "; expected " + std::string(expected) + ", got " + describe(got) + (got.is_string() ? "; remove the quotes" : "");
    };
    const auto as_integer = node.as_integer();
    if (auto* const* text = std::get_if<std::string*>(&field); text && node.is_string())
        **text = node.as_string()->get();
    else if (auto* const* integer = std::get_if<std::int64_t*>(&field); integer && as_integer)
        **integer = as_integer->get();
    else if (auto* const* real = std::get_if<double*>(&field); real && as_integer)
        **real = static_cast<double>(as_integer->get());
    else if (real && node.is_floating_point())
        **real = node.as_floating_point()->get();
    else if (auto* const* flag = std::get_if<bool*>(&field); flag && node.is_boolean())
        **flag = node.as_boolean()->get();
    else if (auto* const* list = std::get_if<Integers*>(&field); list && node.is_array()) {
        Integers values;
        for (const toml::node& element : *node.as_array()) {
            if (!element.is_integer()) return wrong_type(" of value " + std::to_string(values.size() + 1), "integer", element);
            values.push_back(element.as_integer()->get());
        }
        **list = std::move(values);
    } else {
        return wrong_type("", type_of(k), node);
    }
    return range_problem(k, field);
}

inline std::string full_name(const ConfigKey& k) { return std::string(k.table) + "." + std::string(k.key); }

/// Sets every key but the two names to its default under these names.
inline void set_defaults(ExperimentConfig& config) {
    for (const ConfigKey& k : config_keys()) {
        if (k.key == "name") continue;
        const std::string text = "value = " + std::string(default_of(k, config.model.name, config.dataset.name));
        const toml::table value = toml::parse(text);
        if (!store_value(k, *value.get("value"), config).empty()) fail(ErrorCode::config, full_name(k), "its own default is refused");
    }
}

/// Reads one file and its overrides, and gathers what is wrong with them.
class ConfigReader {
public:
    explicit ConfigReader(std::string file) : file_(std::move(file)) {}

    void read_text(std::string_view text) {
        if (const int line = line_with_too_many_dots(text)) return add({file_ + ":" + std::to_string(line), 0}, "too many dots in a line; expected at most 32");
        try {
            tables_.push_back(toml::parse(text, file_));
        } catch (const toml::parse_error& e) {
            return add(place_in(file_, e.source()), "not TOML: " + printable(e.description(), 300));
        }
        for (const auto& [name, node] : tables_.back()) read_table(name, node);
    }

    void read_override(std::string_view text) {
        const auto equals = text.find('='), dot = text.find('.');
        const ConfigPlace whole{"--set " + printable(text), override_rank};
        if (equals == text.npos || dot == text.npos || dot > equals)
            return add(whole, "not an assignment; expected table.key=value, such as training.batch_size=64");
        const std::string table = trimmed(text.substr(0, dot)), key = trimmed(text.substr(dot + 1, equals - dot - 1)), value = trimmed(text.substr(equals + 1));
        const ConfigPlace place{"--set " + printable(table + "." + key), override_rank};
        const ConfigKey* k = find_config_key(table, key);
        if (!k) {
            const std::string meant = meant_key(table, key), keys = keys_of(table);
            return add(place, "unknown key" + (!meant.empty() ? did_you_mean(meant)
                                               : keys.empty() ? "; expected a key of model, training, dataset or augmentation"
                                                              : "; expected one of " + keys));
        }
        if (type_of(*k) == "string" && !value.starts_with('"') && !value.starts_with('\'')) {  // quotes are a burden in a shell
            tables_.push_back(toml::table{{"value", value}});
        } else {
            if (value.find('\n') != value.npos || line_with_too_many_dots(value)) return add(place, "not one TOML value: " + printable(value));
            try {
                tables_.push_back(toml::parse("value = " + value));
            } catch (const toml::parse_error& e) {
                return add(place, "not a TOML value: " + printable(value) + ": " + printable(e.description(), 300));
            }
        }
        found_[full_name(*k)] = {k, tables_.back().get("value"), place};
    }

    /// The experiment. Throws Error(config) with a line for each problem.
    ExperimentConfig finish() {
        ExperimentConfig config;
        const bool model_known = set("model.name", config), dataset_known = set("dataset.name", config);
        set_defaults(config);
        for (const auto& [name, found] : found_) {
            if (found.key->key == "name") continue;
            if (model_known && dataset_known && !applies(*found.key, config.model.name, config.dataset.name))
                add(found.place, name + " is only for " + only_for(*found.key) + ", and this is " +
                                     (found.key->table == "model" ? config.model.name : config.dataset.name) + "; remove it");
            else
                set(name, config);
        }
        if (problems_.empty())
            for (const ConfigProblem& problem : contradictions(config)) {
                // The first of its keys that somebody wrote.
                const auto written = std::ranges::find_if(problem.keys, [&](const std::string& key) { return found_.contains(key); });
                add_to(written == problem.keys.end() ? ConfigPlace{file_, 0} : found_[*written].place, problem.keys[0], problem.sentence);
            }
        if (problems_.empty()) return config;
        const std::size_t n = problems_.size();
        std::string text = n == 1 ? "1 error" : std::to_string(n) + " errors";
        for (std::size_t shown = 0; const auto& [rank, line] : problems_) {
            if (++shown > 100) break;
            text += "\n" + line;
        }
        if (n > 100) text += "\n... and " + std::to_string(n - 100) + " more";
        fail(ErrorCode::config, file_, text);
    }

private:
    struct Found {
        const ConfigKey* key = nullptr;
        const toml::node* node = nullptr;
        ConfigPlace place;
    };
    static constexpr std::uint64_t override_rank = UINT64_MAX;

    static std::string trimmed(std::string_view s) {
        while (s.starts_with(' ')) s.remove_prefix(1);
        while (s.ends_with(' ')) s.remove_suffix(1);
        return std::string(s);
    }

    /// An override's place names its key already.
    void add_to(const ConfigPlace& place, const std::string& key, const std::string& sentence) {
        add(place, place.text == "--set " + key ? sentence : key + ": " + sentence);
    }
    void add(const ConfigPlace& place, const std::string& sentence) { problems_.emplace(place.rank, place.text + ": " + sentence); }

    void read_table(const toml::key& name, const toml::node& node) {
        const ConfigPlace place = place_in(file_, name.source());
        const auto tables = {"model", "training", "dataset", "augmentation"};
        const bool known = std::ranges::find(tables, name.str()) != tables.end();
        if (!node.is_table()) {
            const std::string what = known ? "wrong type of " : "unknown key ";
            const std::string meant = known ? "[" + std::string(name.str()) + "]" : meant_key("", name.str());
            return add(place, what + printable(name.str()) + "; expected the tables [model], [training], [dataset] and [augmentation], got " + describe(node) +
                                  did_you_mean(meant));
        }
        if (!known) {
            const auto near = std::ranges::find_if(tables, [&](const char* t) { return similar(t, name.str()); });
            return add(place, "unknown table [" + printable(name.str()) + "]; expected [model], [training], [dataset] or [augmentation]" +
                                  did_you_mean(near == tables.end() ? "" : "[" + std::string(*near) + "]"));
        }
        for (const auto& [key, value] : *node.as_table()) {
            if (const ConfigKey* k = find_config_key(name.str(), key.str())) {
                found_[full_name(*k)] = {k, &value, place_in(file_, value.source())};
                continue;
            }
            const std::string meant = meant_key(name.str(), key.str());
            add(place_in(file_, key.source()), "unknown key " + std::string(name.str()) + "." + printable(key.str()) +
                                                   (meant.empty() ? "; expected one of " + keys_of(name.str()) : did_you_mean(meant)));
        }
    }

    static std::string keys_of(std::string_view table) {
        std::string text;
        for (const ConfigKey& k : config_keys())
            if (k.table == table) text += (text.empty() ? "" : ", ") + std::string(k.key);
        return text;
    }

    /// False if the value that was found is refused.
    bool set(const std::string& name, ExperimentConfig& config) {
        const auto at = found_.find(name);
        if (at == found_.end()) return true;
        const auto problem = store_value(*at->second.key, *at->second.node, config);
        if (!problem.empty()) add_to(at->second.place, name, problem);
        return problem.empty();
    }

    std::string file_;
    std::list<toml::table> tables_;  // own the nodes that found_ points to
    std::map<std::string, Found> found_;
    std::multimap<std::uint64_t, std::string> problems_;  // by rank; equal ranks in the order they were added
};

}  // namespace detail

/// An experiment from TOML text and overrides `table.key=value` that win over it. Everything is checked: unknown tables and keys, types,
/// ranges, contradictions. Throws Error(config) with all problems, a line `file:line:column: what; expected, got; did you mean` each.
inline ExperimentConfig parse_config(std::string_view text, const std::string& file, std::span<const std::string> overrides = {}) {
    detail::ConfigReader reader(file);
    reader.read_text(text);
    for (const std::string& o : overrides) reader.read_override(o);
    return reader.finish();
}

/// parse_config of a file of at most 1 MiB.
inline ExperimentConfig load_config(const std::string& path, std::span<const std::string> overrides = {}) {
    const auto bytes = read_file(path, 1u << 20, ErrorCode::config);
    return parse_config({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path, overrides);
}

/// The defaults of a model (cnn, mlp, whitened_cnn) on a data set.
inline ExperimentConfig default_config(const std::string& model_name = "cnn", const std::string& dataset_name = "cifar10") {
    const std::string names[] = {"model.name=\"" + model_name + "\"", "dataset.name=\"" + dataset_name + "\""};
    return parse_config("", "defaults", names);
}

}  // namespace dla
