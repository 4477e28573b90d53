// SPDX-License-Identifier: MIT
// Which files belong to a run: its identity, and what an earlier run of the same name left.
#pragma once

#include <dla/core/config.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace dla {

/// 16 hexadecimal digits that no other run has. Throws Error(io) when the system gives no random bytes.
DLA_ONCE std::string new_run_id();

/// What may stand in file names and logs: 1 to 64 letters, digits, _ and -.
DLA_ONCE bool is_run_id(std::string_view id);

/// What runs of one name have written: checkpoints in one folder, logs and pictures in another.
struct RunFiles {
    std::vector<std::filesystem::path> checkpoints, logs;

    RunFiles(const std::string& checkpoint_dir, const std::string& run_dir, const std::string& name);
    /// `NAME_best.safetensors`, `NAME_epoch_7.safetensors` and the like, finished or (.tmp) not; nothing that a user has named after them.
    static bool is_checkpoint(std::string_view file, std::string_view name);
    /// Removes all of them. Throws Error(io) for one that stays.
    void remove() const;
};

/// The checkpoints in `folder` whose names begin with `prefix` and that a run with this configuration can resume from, the furthest first: the next one
/// serves where one turns out to be damaged. Those of another run than `run` (empty: any) do not serve. Files that do not are named in `skipped` with the
/// reason. Throws Error(checkpoint) when they are of several runs and `run` does not say which.
DLA_ONCE std::vector<std::string> resumable_checkpoints(const std::string& folder, const std::string& prefix, const std::string& config, const std::string& run,
                                                        std::vector<std::string>& skipped);

}  // namespace dla

#if DLA_BODIES
#include <dla/train/run_files.impl.hpp>
#endif
