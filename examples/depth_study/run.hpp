// SPDX-License-Identifier: MIT
// Trains the networks of a depth study, one after another, and keeps what has been measured.
#pragma once

#include "../common/experiment.hpp"
#include "results.hpp"

namespace depth_study {

struct StudyOptions {
    std::vector<int> depths;
    int runs = 1;
    dla::ExperimentConfig base;   ///< what all experiments share; its model is replaced
    NetworkOptions networks;
    experiment::Setting setting;  ///< its output_dir gets intermediate_results.json and final_results.json
};

/// Hidden layers of 128, 64, then 32 values, `depth` in all, and an output of 10.
dla::Integers layer_sizes(int depth);

/// Trains every experiment that intermediate_results.json does not hold yet and writes that file after each one; writes final_results.json when all are
/// there. `results` gets what is there at the end. Returns 0, or 128 + the signal that interrupted it. Throws Error(config) when the file belongs to a study
/// with other settings, and what loading data and writing files throw.
int run_study(const StudyOptions& options, Results& results);

}  // namespace depth_study
