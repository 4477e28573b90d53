// SPDX-License-Identifier: MIT
#include "list.hpp"

#include "../common/experiment.hpp"

#include <filesystem>
#include <map>
#include <set>

namespace experiments {

namespace {

using dla::detail::describe, dla::detail::place_in;

constexpr std::int64_t first_seed = 42, largest_seed = 9'000'000'000'000'000;

bool is_name(const std::string& text) {
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    return !text.empty() && text.size() <= 64 && text.find_first_not_of(letters) == text.npos && text.front() != '-';
}

/// Reads the tables of one file, and gathers what is wrong.
class ListReader {
public:
    explicit ListReader(const std::string& file) : file_(file) {}

    List read(std::string_view text) {
        list_.file = file_;
        parse(text);
        if (problems_.empty()) return std::move(list_);
        std::string all = std::to_string(problems_.size()) + (problems_.size() == 1 ? " error" : " errors");
        for (const auto& [rank, line] : problems_) all += "\n" + line;
        dla::fail(dla::ErrorCode::config, file_, all);
    }

private:
    void add(const toml::source_region& at, const std::string& what) {
        const dla::detail::ConfigPlace place = place_in(file_, at);
        problems_.emplace(place.rank, place.text + ": " + what);
    }

    void parse(std::string_view text) {
        if (const int line = dla::detail::line_with_too_many_dots(text)) {
            problems_.emplace(0, file_ + ":" + std::to_string(line) + ": too many dots in a line; expected at most 32");
            return;
        }
        toml::table table;
        try {
            table = toml::parse(text, file_);
        } catch (const toml::parse_error& e) {
            return add(e.source(), "not TOML: " + dla::detail::printable(e.description(), 300));
        }
        for (const auto& [key, node] : table) {
            if (key.str() == "title")
                read_text(key, node, list_.title);
            else if (key.str() == "published_by")
                read_text(key, node, list_.published_by);
            else if (key.str() != "experiment")
                add(key.source(), "unknown key " + dla::detail::printable(key.str()) + "; expected title, published_by and tables [[experiment]]");
            else if (!node.is_array() || !node.as_array()->is_array_of_tables() || node.as_array()->size() > max_experiments)
                add(key.source(),
                    "wrong type of experiment; expected up to " + std::to_string(max_experiments) + " tables [[experiment]], got " + describe(node));
            else
                for (const toml::node& one : *node.as_array()) read_experiment(*one.as_table());
        }
        if (problems_.empty() && list_.experiments.empty()) problems_.emplace(0, file_ + ": no tables [[experiment]]");
    }

    void read_text(const toml::key& key, const toml::node& node, std::string& to) {
        if (const auto* text = node.as_string(); text && !text->get().empty() && text->get().find('\n') == std::string::npos)
            to = text->get();
        else
            add(node.source(), std::string(key.str()) + ": expected a line of text, got " + describe(node));
    }

    void read_experiment(const toml::table& table) {
        Experiment e;
        const toml::node* seeds = nullptr;
        const std::size_t before = problems_.size();
        for (const auto& [key, node] : table) {
            const std::string_view k = key.str();
            if (k == "name")
                read_text(key, node, e.name);
            else if (k == "title")
                read_text(key, node, e.title);
            else if (k == "recipe")
                read_text(key, node, e.recipe);
            else if (k == "config")
                read_text(key, node, e.config_file);
            else if (k == "set")
                read_set(node, e.set);
            else if (k == "seeds")
                seeds = &node;
            else if (k == "published_val_accuracy")
                read_accuracy(node, e.published_val_accuracy);
            else
                add(key.source(), "unknown key " + dla::detail::printable(k) + "; expected name, title, recipe, config, set, seeds, published_val_accuracy");
        }
        if (seeds) read_seeds(*seeds, e.seeds);
        const auto needs = [&](bool there, const char* what) {
            if (!there && problems_.size() == before) add(table.source(), std::string("an experiment without ") + what);
        };
        needs(!e.name.empty(), "name");
        needs(!e.config_file.empty(), "config");
        needs(seeds != nullptr, "seeds");
        if (problems_.size() > before) return;
        const toml::source_region& name = table.get("name")->source();
        if (!is_name(e.name)) add(name, "name: expected up to 64 letters, digits, _ and -, got \"" + dla::detail::printable(e.name) + "\"");
        if (!names_.insert(e.name).second) add(name, "name: there is another experiment \"" + dla::detail::printable(e.name) + "\"");
        if (e.title.empty()) e.title = e.name;
        read_config(e, *table.get("config"));
        list_.experiments.push_back(std::move(e));
    }

    void read_set(const toml::node& node, std::vector<std::string>& to) {
        const bool good = node.is_array();
        for (std::size_t i = 0; good && i < node.as_array()->size(); ++i) {
            const toml::node& one = *node.as_array()->get(i);
            if (!one.is_string()) return add(one.source(), "set: expected \"table.key=value\", got " + describe(one));
            const std::string& text = one.as_string()->get();
            std::string key = text.substr(0, text.find('='));
            std::erase_if(key, [](char c) { return c == ' ' || c == '\t' || c == '"' || c == '\''; });
            if (key == "training.seed" || key == "training.checkpoint_dir")
                return add(one.source(), "set: " + dla::detail::printable(text) + "; " +
                                             (key == "training.seed" ? "seeds are given as seeds" : "each run has a folder of its own"));
            to.push_back(text);
        }
        if (!good) add(node.source(), "set: expected an array of \"table.key=value\", got " + describe(node));
    }

    void read_seeds(const toml::node& node, std::vector<std::int64_t>& to) {
        if (const auto* count = node.as_integer()) {
            if (count->get() < 1 || count->get() > max_seeds)
                return add(node.source(), "seeds: expected 1 to " + std::to_string(max_seeds) + ", got " + std::to_string(count->get()));
            for (std::int64_t i = 0; i < count->get(); ++i) to.push_back(first_seed + i);
            return;
        }
        const auto* list = node.as_array();
        if (!list || list->empty() || list->size() > static_cast<std::size_t>(max_seeds))
            return add(node.source(), "seeds: expected a number of seeds (from " + std::to_string(first_seed) + " on) or a list of up to " +
                                          std::to_string(max_seeds) + " seeds, got " + (list ? "an array of " + std::to_string(list->size()) : describe(node)));
        for (const toml::node& one : *list) {
            const std::int64_t seed = one.is_integer() ? one.as_integer()->get() : -1;
            if (seed < 0 || seed > largest_seed) return add(one.source(), "seeds: expected whole numbers from 0 to 9000000000000000, got " + describe(one));
            if (std::find(to.begin(), to.end(), seed) != to.end()) return add(one.source(), "seeds: " + std::to_string(seed) + " is there twice");
            to.push_back(seed);
        }
    }

    void read_accuracy(const toml::node& node, double& to) {
        to = node.is_floating_point() ? node.as_floating_point()->get() : node.is_integer() ? static_cast<double>(node.as_integer()->get()) : -1;
        if (!(to >= 0 && to <= 100)) add(node.source(), "published_val_accuracy: expected percent, 0 to 100, got " + describe(node));
    }

    void read_config(Experiment& e, const toml::node& node) {
        const std::filesystem::path named(e.config_file);
        e.config_path = named.is_absolute() ? e.config_file : (std::filesystem::path(file_).parent_path() / named).lexically_normal().string();
        try {
            e.settings = dla::load_config(e.config_path, e.set);
            e.settings.training.seed = dla::TrainingConfig{}.seed;
            e.settings.training.checkpoint_dir = dla::TrainingConfig{}.checkpoint_dir;
            e.parameters = dla::make_model(e.settings, 1)->index().parameter_count();
        } catch (const dla::Error& error) {
            add(node.source(), "config: " + std::string(error.what()));
        }
    }

    std::string file_;
    List list_;
    std::set<std::string> names_;
    std::multimap<std::uint64_t, std::string> problems_;  // by their place
};

}  // namespace

List load_list(const std::string& path) {
    const auto bytes = dla::read_file(path, 1u << 20, dla::ErrorCode::config);
    return ListReader(path).read({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string common_config(const dla::ExperimentConfig& settings) {
    dla::ExperimentConfig common = settings;
    common.training.seed = dla::TrainingConfig{}.seed;
    return dla::to_toml(common, true);
}

}  // namespace experiments
