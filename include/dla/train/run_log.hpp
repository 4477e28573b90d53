// SPDX-License-Identifier: MIT
// What a run leaves for people and programs: lines on the terminal, metrics.jsonl, TensorBoard events, the training curve.
#pragma once

#include <dla/io/plot_page.hpp>
#include <dla/train/callback.hpp>
#include <dla/train/evaluate.hpp>
#include <dla/train/run_state.hpp>

#include <memory>
#include <string>

namespace dla {

/// Where a run reports to. `folder` gets TensorBoard events (runs/NAME), metrics.jsonl and the training curve.
class RunLog : public TrainingCallback {
public:
    /// A new run replaces what an earlier one left there. One that is resumed gives what its checkpoint says: what was written after that is cut from
    /// metrics.jsonl and withdrawn from TensorBoard, because it comes again; where lines are damaged or missing, epochs are taken from the checkpoint's
    /// history, and a note on stderr says so. Throws Error(checkpoint) when the log is that of another run.
    explicit RunLog(std::string folder, bool quiet = false, const RunState& from = {});
    ~RunLog() override;

    /// The identity of the run whose log lies in the folder; empty when there is none, or it does not say.
    static std::string run_of(const std::string& folder);

    void step(std::int64_t step, int epoch, double loss, double learning_rate) override;

    void epoch(const EpochReport& report) override;

    /// What the model is worth in the end, on data of which the run has seen nothing.
    void test(const Evaluation& test, int epoch, std::int64_t step);

    /// Draws loss, accuracy and learning rate over the epochs to training_curve.png, or says why not.
    PlotResult plot(const RunState& state, const std::string& title) const;

    const std::string& folder() const { return folder_; }

private:
    struct Files;

    std::string folder_;
    bool quiet_;
    std::unique_ptr<Files> files_;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/train/run_log.impl.hpp>
#endif
