// SPDX-License-Identifier: MIT
// Trains what a list says, each run in a process of its own.
#pragma once

#include "results.hpp"

namespace experiments {

struct RunOptions {
    std::string program;             ///< `train`
    std::string output_dir;          ///< gets runs/NAME/seed-N of each run
    std::string results;             ///< the JSON file
    std::string data_dir, device;    ///< as the options of `train`; empty: not given
    int threads = 1;                 ///< of all runs together
    int side_by_side = 1;            ///< runs at once, at most
    std::vector<std::string> only;   ///< names of experiments; empty: all
    std::vector<std::string> rerun;  ///< names of experiments whose runs, and what is in their folders, are removed first
    bool quiet = false;
};

/// How it ended.
struct Outcomes {
    std::size_t finished = 0, wanted = 0;  ///< runs
    std::vector<std::string> failures;     ///< a line each
    int status = 0;                        ///< 0; the exit status of the first run that failed; 128 + the signal that interrupted all
};

/// Trains every run that `results` does not hold yet, first the first seed of each experiment, then the second of each, and writes the file after each of
/// them. Runs that an earlier process began go on from their checkpoints. Throws Error(config) when the file holds runs of an experiment with another
/// configuration, Error(usage) for names that are not in the list, and what writing throws.
Outcomes run_list(const List& list, const RunOptions& options, Results& results);

/// What this process and machine would say of a run that begins now.
Sitting sitting_now(const std::string& device, int threads, int side_by_side);

/// `runs/mnist_mlp/seed-42` in the output folder.
std::string run_folder(const std::string& output_dir, const std::string& name, std::int64_t seed);

}  // namespace experiments
