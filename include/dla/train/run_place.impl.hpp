// SPDX-License-Identifier: MIT
// How the place of a run is taken.
#pragma once

#include <dla/io/folder_lock.hpp>
#include <dla/train/run_log.hpp>
#include <dla/train/trainer.hpp>

#include <algorithm>
#include <cstdio>
#include <optional>

namespace dla {

struct RunPlace::Locks {
    std::optional<FolderLock> logs;
    std::optional<FileLock> checkpoints;

    explicit Locks(const RunPlaceOptions& o) {
        if (!o.log_folder.empty()) logs.emplace(o.log_folder, o.other_logs);
        if (o.checkpoint_dir.empty()) return;
        make_folder(o.checkpoint_dir, "the folder for checkpoints");
        checkpoints.emplace(o.checkpoint_dir + "/" + o.name + ".lock", o.other_checkpoints);
    }
};

namespace detail {

inline RunPlaceOptions checked(RunPlaceOptions o) {
    const auto require = [](bool good, const char* what) {
        if (!good) fail(ErrorCode::usage, "run", what);
    };
    require(o.name.find('/') == o.name.npos && !o.name.empty(), "name must be the beginning of a file name");
    require(o.run_id.empty() || is_run_id(o.run_id), "run_id takes up to 64 letters, digits, _ and -");
    require(o.earlier != EarlierRun::resume || !o.checkpoint_dir.empty() || !o.checkpoint.empty(), "to resume it needs a checkpoint_dir, or a checkpoint");
    return o;
}

}  // namespace detail

DLA_ONCE RunPlace::RunPlace(RunPlaceOptions options)
    : options_(detail::checked(std::move(options))),
      locks_(std::make_unique<Locks>(options_)),
      earlier_(options_.checkpoint_dir, options_.log_folder, options_.name) {
    if (options_.earlier == EarlierRun::refuse) refuse_to_mix();
    if (!options_.checkpoint_dir.empty() || !options_.log_folder.empty()) run_ = options_.run_id.empty() ? new_run_id() : options_.run_id;
}

DLA_ONCE RunPlace::~RunPlace() = default;

DLA_ONCE void RunPlace::refuse_to_mix() const {
    const bool logs_only = earlier_.checkpoints.empty();
    const auto& files = logs_only ? earlier_.logs : earlier_.checkpoints;
    if (files.empty()) return;
    const bool resumable = std::any_of(files.begin(), files.end(), [&](const std::filesystem::path& file) {
        const std::string f = file.filename().string();
        return f.ends_with(".safetensors") && (f.starts_with(options_.name + "_epoch_") || f.starts_with(options_.name + "_interrupted"));
    });
    fail(ErrorCode::usage, files.front().parent_path().string(),
         "an earlier run left " + files.front().filename().string() + (files.size() > 1 ? " and " + std::to_string(files.size() - 1) + " more; " : "; ") +
             (resumable ? "go on with it (" + options_.to_resume + "), " : "") + "remove it and start over (" + options_.to_overwrite + "), or " +
             (logs_only ? options_.other_logs : options_.other_checkpoints));
}

DLA_ONCE std::string RunPlace::resume_furthest(Trainer& trainer) const {
    std::vector<std::string> skipped;
    const std::string run = !options_.run_id.empty() || options_.log_folder.empty() ? options_.run_id : RunLog::run_of(options_.log_folder);
    std::string file = trainer.resume_newest(run, skipped);
    if (!file.empty() || skipped.size() > 1)  // the error says what a single one has
        for (const std::string& reason : skipped) std::fprintf(stderr, "note: skipped %s\n", reason.c_str());
    if (!file.empty()) return file;
    if (!skipped.empty())
        fail(ErrorCode::checkpoint, options_.checkpoint_dir,
             "none of the checkpoints of '" + options_.name + "' serves; the furthest: " + skipped.front() +
                 (skipped.size() > 1 ? " (" + std::to_string(skipped.size() - 1) + " more, see the notes on stderr)" : "") +
                 "; use the same options and data, start over (" + options_.to_overwrite + "), or " + options_.other_checkpoints);
    if (options_.earlier == EarlierRun::resume)
        fail(ErrorCode::checkpoint, options_.checkpoint_dir,
             "no checkpoint " + options_.name + "_epoch_N or " + options_.name + "_interrupted to resume from; start anew without " + options_.to_resume);
    return "";
}

DLA_ONCE std::string RunPlace::begin(Trainer& trainer, bool quiet) {
    if (begun_)
        fail(ErrorCode::usage, options_.name,
             "a run has begun in this place already, and its files would be mixed with another's; take a RunPlace for each run");
    trainer.check();  // before anything is removed
    trainer.state().run = run_;
    if (options_.earlier != EarlierRun::resume && options_.earlier != EarlierRun::resume_if_any) {
        if (options_.earlier == EarlierRun::overwrite) earlier_.remove();
        begun_ = true;
        return "";
    }
    std::string file = options_.checkpoint;
    if (file.empty())
        file = resume_furthest(trainer);
    else
        trainer.resume(Checkpoint(file));
    begun_ = true;
    if (quiet) return file;
    if (file.empty())
        std::printf("no checkpoint of '%s' in %s yet: the run begins with the weights that the model holds\n", options_.name.c_str(),
                    options_.checkpoint_dir.c_str());
    else
        std::printf("resuming from %s (epoch %d, step %lld)\n", file.c_str(), trainer.state().epoch, static_cast<long long>(trainer.state().step));
    std::fflush(stdout);
    return file;
}

}  // namespace dla
