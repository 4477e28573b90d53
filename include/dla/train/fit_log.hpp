// SPDX-License-Identifier: MIT
// To whom fit reports.
#pragma once

#include <dla/train/callback.hpp>
#include <dla/train/run_log.hpp>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace dla::detail {

/// Lines on the terminal, the log on disk, and the user's own callback.
class FitLog final : public TrainingCallback {
public:
    FitLog(const std::vector<TrainingCallback*>& own, bool quiet) : own_(own), quiet_(quiet) {}
    void open(const std::string& folder, const RunState& from) { files_ = std::make_unique<RunLog>(folder, true, from); }
    RunLog* files() { return files_.get(); }

    void progress(int epoch, std::int64_t done, std::int64_t total) override {
        for (TrainingCallback* own : own_) own->progress(epoch, done, total), pass_on(*own);
    }
    void step(std::int64_t step, int epoch, double loss, double learning_rate) override {
        if (files_) files_->step(step, epoch, loss, learning_rate);
        for (TrainingCallback* own : own_) own->step(step, epoch, loss, learning_rate), pass_on(*own);
    }
    void epoch(const EpochReport& report) override {
        if (files_) files_->epoch(report);
        for (TrainingCallback* own : own_) own->epoch(report), pass_on(*own);
        if (quiet_) return;
        std::printf("%s\n", epoch_line(report).c_str());
        std::fflush(stdout);
    }

private:
    void pass_on(TrainingCallback& own) {
        if (own.take_stop()) stop();
    }

    const std::vector<TrainingCallback*>& own_;
    bool quiet_;
    std::unique_ptr<RunLog> files_;
};

}  // namespace dla::detail
