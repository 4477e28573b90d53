// SPDX-License-Identifier: MIT
// Which experiments to run: configurations, and the seeds with which each is trained.
#pragma once

#include <dla/config/experiment.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace experiments {

inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// More experiments or seeds than these are a mistake.
inline constexpr std::int64_t max_experiments = 200, max_seeds = 100;

/// One network and recipe, trained once for each seed.
struct Experiment {
    std::string name;                     ///< of its folder, and in the results: letters, digits, `_` and `-`
    std::string title;                    ///< in tables and figures: "residual MLP"
    std::string recipe;                   ///< how it is trained, told apart in tables: "reference", "tuned"
    std::string config_file;              ///< as the list names it
    std::string config_path;              ///< where it is
    std::vector<std::string> set;         ///< `table.key=value`, which win over the file
    std::vector<std::int64_t> seeds;      ///< each once
    double published_val_accuracy = nan;  ///< in percent, to compare with
    dla::ExperimentConfig settings;       ///< file and `set`; its seed is the schema's default
    std::int64_t parameters = 0;          ///< trainable values of the network
};

/// What the file says, in its order.
struct List {
    std::string file;
    std::string title, published_by;
    std::vector<Experiment> experiments;
};

/// Reads a list and all configurations that it names (docs/experiments.md). Throws Error(config) with all that is wrong in it, `file:line:column: what;
/// expected, got` each, and what the configurations' own checks and reading files throw.
List load_list(const std::string& path);

/// What an experiment's runs have in common, as TOML: equal for two that may stand in one row.
std::string common_config(const dla::ExperimentConfig& settings);

}  // namespace experiments
