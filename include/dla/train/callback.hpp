// SPDX-License-Identifier: MIT
// What a trainer tells those who want to know how a run goes.
#pragma once

#include <dla/inspect/grad_stats.hpp>
#include <dla/train/metrics.hpp>

#include <utility>

namespace dla {

/// One finished epoch, before the next one begins.
struct EpochReport {
    const EpochMetrics& metrics;
    bool best = false;      ///< the best value so far of what is monitored
    std::int64_t step = 0;  ///< optimizer steps since the run began
    double samples_per_second = 0, seconds = 0;
    const AnyModel& model;
    const GradStats* stats = nullptr;  ///< of one fixed training batch, when TrainerOptions::stats asks for them
};

/// What a run handles in a second: images or samples.
inline const char* rate_unit(const Shape& input) { return input.rank == 3 ? "img/s" : "samples/s"; }

/// The epoch in a line, without a line break: losses, accuracies and metrics where there are some, a star for the best epoch so far.
DLA_ONCE std::string epoch_line(const EpochReport& report);

/// Derive from it to follow a run; what is not of interest may be left out. What a callback throws ends the run at once, and a `stop` after the epoch.
class TrainingCallback {
public:
    virtual ~TrainingCallback() = default;
    /// After every optimizer step; `done` of `total` steps of the epoch are finished.
    virtual void progress(int epoch, std::int64_t done, std::int64_t total) { (void)epoch, (void)done, (void)total; }
    /// After every TrainerOptions::log_every-th step since the run began.
    virtual void step(std::int64_t step, int epoch, double loss, double learning_rate) { (void)step, (void)epoch, (void)loss, (void)learning_rate; }
    virtual void epoch(const EpochReport& report) { (void)report; }

    /// To be called by a callback: training ends with the epoch that is under way or just over, and everything is saved; `resume` would go on from there.
    void stop() { stop_ = true; }
    /// Whether it was called since the last time somebody asked.
    bool take_stop() { return std::exchange(stop_, false); }

private:
    bool stop_ = false;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/train/callback.impl.hpp>
#endif
