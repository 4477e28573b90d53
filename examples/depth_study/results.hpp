// SPDX-License-Identifier: MIT
// What a depth study measures, and how it is kept in a JSON file.
#pragma once

#include "networks.hpp"

#include <dla/io/json.hpp>
#include <dla/train/metrics.hpp>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace depth_study {

inline constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// A network has at most 1024 layers (dla/config/schema.hpp), and a table of more runs says no more.
inline constexpr int max_depth = 1000, max_runs = 100;

/// L2 norm of the gradient of one layer's weights after training.
struct LayerGradient {
    std::string path;
    double norm = 0;
};

/// One network, trained once.
struct Experiment {
    int depth = 0;
    bool residual = false;
    int run = 0;  ///< counted from 0
    std::uint64_t seed = 0;
    std::int64_t parameters = 0;
    std::string diverged{};                       ///< why training stopped with values that are not finite; empty: it did not
    std::vector<dla::EpochMetrics> history{};     ///< of every epoch
    std::vector<double> gradient_norms{};         ///< after each epoch: mean over parameters of the L2 norm of the gradient of one fixed training batch
    std::vector<LayerGradient> layers{};          ///< of the best weights, on the same batch, from input to output
    int best_epoch = 0;                           ///< whose weights were tested
    double test_loss = nan, test_accuracy = nan;  ///< in percent
    double seconds = 0;                           ///< of training and test

    bool is(int d, bool r, int n) const { return depth == d && residual == r && run == n; }
    /// The row of `history` that `best_epoch` names; zeros when there is none.
    dla::EpochMetrics best() const {
        for (const dla::EpochMetrics& m : history)
            if (m.epoch == best_epoch) return m;
        return {};
    }
};

/// What must be equal for two experiments to belong to the same study.
struct Settings {
    std::string config;            ///< canonical TOML of what all experiments share; its model is that of the first depth
    std::string dataset;           ///< "mnist", ...
    int epochs = 20;               ///< at most, for each experiment
    std::uint64_t seed = 42;       ///< of run 0; run r has seed + r
    std::string data_fingerprint;  ///< of the training data
    NetworkOptions networks{};
};

struct Results {
    Settings settings;
    std::vector<int> depths;
    int runs = 1;
    std::string version, isa;  ///< of the library and of the kernels
    std::vector<Experiment> experiments;
};

/// Of the files; a program refuses a higher one than its own.
inline constexpr int results_schema = 2;

/// What a file holds, described in docs/depth_study_results.md; experiments are ordered by run, then depth, plain before residual.
dla::Json to_json(const Results& results);

/// Writes all of it as one JSON file, atomically. Throws Error(io).
void write_results(const std::string& path, const Results& results);

/// Reads it back. Throws Error(io) when the file cannot be read or is anything but a complete, sound file of results; the message names the place, e.g.
/// `experiments[3].history[0].val_loss`.
Results read_results(const std::string& path);

}  // namespace depth_study
