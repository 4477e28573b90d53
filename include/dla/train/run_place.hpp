// SPDX-License-Identifier: MIT
// Where a run lies: its folders, held against other processes, and what becomes of the files that an earlier run left there.
#pragma once

#include <dla/train/run_files.hpp>

#include <memory>
#include <string>

namespace dla {

class Trainer;

/// What becomes of the files that an earlier run of the same name left.
enum class EarlierRun {
    refuse,         ///< they stay, and the new run is not begun
    overwrite,      ///< they are removed when the new run begins
    resume,         ///< the run goes on from its furthest checkpoint; without one it is an error
    resume_if_any,  ///< the same, but without a checkpoint the run begins anew
};

/// What a RunPlace is told.
struct RunPlaceOptions {
    std::string name = "model";       ///< of the run: prefix of its checkpoints
    std::string checkpoint_dir = {};  ///< empty: no checkpoints
    std::string log_folder = {};      ///< of this run alone; empty: no logs
    EarlierRun earlier = EarlierRun::refuse;
    std::string run_id = {};                                               ///< empty: random; of a run that is resumed that of its log, or any
    std::string checkpoint = {};                                           ///< to resume from; empty: the furthest one
    std::string to_resume = "earlier = EarlierRun::resume";                ///< in errors: how to go on with an earlier run
    std::string to_overwrite = "earlier = EarlierRun::overwrite";          ///< how to start over
    std::string other_checkpoints = "use another name or checkpoint_dir";  ///< where the checkpoints could go instead
    std::string other_logs = "use another name or log_dir";                ///< where the log could go instead
};

/// Holds the folders of a run, which are made if they are not there, from before anything is read or written until the object or the process ends. Until
/// `begin` no file of an earlier run is touched: what fails in between loses nothing.
class RunPlace {
public:
    /// Throws Error(io) when another process is writing there or a folder cannot be made, Error(usage) when an earlier run is there and `refuse` was said, and
    /// for options that cannot be meant.
    explicit RunPlace(RunPlaceOptions options);
    RunPlace(const RunPlace&) = delete;
    RunPlace& operator=(const RunPlace&) = delete;
    ~RunPlace();

    const RunPlaceOptions& options() const { return options_; }

    /// What an earlier run of this name had left when the place was taken.
    const RunFiles& earlier() const { return earlier_; }

    /// The last thing before `trainer.run`, when its state has configuration and fingerprint: gives the run its identity, removes what an earlier run left or
    /// resumes it. Gives the checkpoint that the trainer goes on from, empty if it begins anew. Checkpoints that do not serve are told on stderr, unless
    /// `quiet` what is resumed on the terminal. Throws Error(checkpoint) when there is nothing that could be resumed, or nothing of this run; Error(usage) the
    /// second time: a place is for one run.
    std::string begin(Trainer& trainer, bool quiet = false);

private:
    struct Locks;

    void refuse_to_mix() const;
    std::string resume_furthest(Trainer& trainer) const;

    RunPlaceOptions options_;
    std::unique_ptr<Locks> locks_;
    RunFiles earlier_;
    std::string run_;
    bool begun_ = false;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/train/run_place.impl.hpp>
#endif
