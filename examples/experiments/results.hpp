// SPDX-License-Identifier: MIT
// What experiments gave, and how it is kept in a JSON file.
#pragma once

#include "../common/summary.hpp"
#include "list.hpp"

#include <dla/io/json.hpp>
#include <dla/train/metrics.hpp>

namespace experiments {

/// What computed a run, or a part of it: a run that was interrupted may have gone on elsewhere.
struct Sitting {
    std::string version, commit;  ///< of the library
    std::string computes_on;      ///< kernels: `avx2`, or the device
    std::string processor;        ///< as the system calls it
    int threads = 1;              ///< of this run
    int side_by_side = 1;         ///< runs that shared the machine, this one included
    std::string began;            ///< 2026-01-31T12:00:00Z

    /// On the same machine, in the same way, with the same build.
    bool like(const Sitting& other) const {
        return version == other.version && commit == other.commit && computes_on == other.computes_on && processor == other.processor &&
               threads == other.threads && side_by_side == other.side_by_side;
    }
};

/// A finished epoch and the seconds for which it trained, without validation; NaN where they are not known.
struct Epoch {
    dla::EpochMetrics metrics;
    double seconds = nan;
};

/// One network trained with one seed.
struct Run {
    std::int64_t seed = 0;
    std::string diverged{};                       ///< why training stopped with values that are not finite; empty: it did not
    std::vector<Epoch> history{};                 ///< of every epoch
    int best_epoch = 0;                           ///< whose weights were tested
    double test_loss = nan, test_accuracy = nan;  ///< in percent
    double test_accuracy_mirrored = nan;          ///< with mirrored images too (training.test_mirrored); NaN where that was not asked for
    std::vector<Sitting> sittings{};

    /// The row of `history` that `best_epoch` names; zeros when there is none.
    dla::EpochMetrics best() const {
        for (const Epoch& e : history)
            if (e.metrics.epoch == best_epoch) return e.metrics;
        return {};
    }
    /// Of an epoch of training, without validation: the mean of those that are known.
    double seconds_per_epoch() const {
        std::vector<double> seconds;
        for (const Epoch& e : history) seconds.push_back(e.seconds);
        return experiment::Summary(seconds).mean;
    }
};

/// The runs of one experiment, by seed.
struct Outcome {
    std::string name, config;  ///< as in the list, and its configuration as TOML (common_config)
    std::vector<Run> runs;

    const Run* find(std::int64_t seed) const {
        for (const Run& run : runs)
            if (run.seed == seed) return &run;
        return nullptr;
    }
};

struct Results {
    std::vector<Outcome> outcomes;

    Outcome* find(const std::string& name) {
        for (Outcome& o : outcomes)
            if (o.name == name) return &o;
        return nullptr;
    }
    const Outcome* find(const std::string& name) const { return const_cast<Results*>(this)->find(name); }
};

/// Of the files; a program refuses a higher one than its own.
inline constexpr int results_schema = 1;

/// What a file holds, described in docs/experiments.md.
dla::Json to_json(const Results& results);

/// Writes all of it as one JSON file, atomically. Throws Error(io).
void write_results(const std::string& path, const Results& results);

/// Reads it back. Throws Error(io) when the file cannot be read or is anything but a complete, sound file of results; the message names the place, e.g.
/// `experiments[3].runs[0].history[0].val_loss`.
Results read_results(const std::string& path);

/// The sittings of a run that is under way: a JSON file in its folder. One that is not there has none. Throw Error(io).
void write_sittings(const std::string& path, const std::vector<Sitting>& sittings);
std::vector<Sitting> read_sittings(const std::string& path);

/// What a finished run's metrics.jsonl says of it: history, best epoch, test. Throws Error(io) when lines are damaged or missing.
Run read_metrics(const std::string& path);

}  // namespace experiments
