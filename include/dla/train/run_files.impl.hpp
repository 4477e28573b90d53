// SPDX-License-Identifier: MIT
// How the files of a run are found.
#pragma once

#include <dla/core/hash.hpp>
#include <dla/train/checkpoint.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <set>

#include <unistd.h>

namespace dla {

DLA_ONCE std::string new_run_id() {
    std::uint64_t n = 0;
    if (::getentropy(&n, sizeof n) != 0) fail(ErrorCode::io, "run", std::string("the system gives no random bytes: ") + std::strerror(errno));
    return to_hex(n);
}

DLA_ONCE bool is_run_id(std::string_view id) {
    return !id.empty() && id.size() <= 64 && id.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == id.npos;
}

DLA_ONCE RunFiles::RunFiles(const std::string& checkpoint_dir, const std::string& run_dir, const std::string& name) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(checkpoint_dir, error)) {
        const std::string file = entry.path().filename().string();
        if (!is_checkpoint(file, name)) continue;
        std::error_code unreachable;  // a link to nothing is replaced
        if (std::filesystem::exists(entry.path(), unreachable) && !entry.is_regular_file(error))
            fail(ErrorCode::io, checkpoint_dir, file + " is not a regular file; a checkpoint of this run belongs there");
        checkpoints.push_back(entry.path());
    }
    for (const auto& entry : std::filesystem::directory_iterator(run_dir, error)) {
        const std::string file = entry.path().filename().string();
        if (!entry.is_regular_file(error)) continue;
        if (file == "metrics.jsonl" || file.starts_with("events.out.tfevents.") || file.starts_with("training_curve.") || file == "report.html")
            logs.push_back(entry.path());
    }
    std::sort(checkpoints.begin(), checkpoints.end());
    std::sort(logs.begin(), logs.end());
}

DLA_ONCE bool RunFiles::is_checkpoint(std::string_view file, std::string_view name) {
    if (!file.starts_with(name)) return false;
    file.remove_prefix(name.size());
    if (file.ends_with(".tmp")) file.remove_suffix(4);
    if (!file.ends_with(".safetensors")) return false;
    file.remove_suffix(std::string_view(".safetensors").size());
    if (file == "_best" || file == "_final" || file == "_interrupted") return true;
    if (!file.starts_with("_epoch_")) return false;
    file.remove_prefix(7);
    return !file.empty() && file.find_first_not_of("0123456789") == file.npos;
}

DLA_ONCE void RunFiles::remove() const {
    for (const auto* files : {&checkpoints, &logs})
        for (const auto& file : *files) {
            std::error_code error;
            std::filesystem::remove(file, error);
            if (error) fail(ErrorCode::io, file.string(), "cannot remove what an earlier run left: " + error.message());
        }
}

DLA_ONCE std::vector<std::string> resumable_checkpoints(const std::string& folder, const std::string& prefix, const std::string& config, const std::string& run,
                                                        std::vector<std::string>& skipped) {
    std::vector<std::pair<std::int64_t, std::string>> found;
    std::vector<std::pair<std::int64_t, std::string>> not_meant;  // by the steps that they are far
    std::vector<std::string> unreadable;
    std::set<std::string> runs;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        const std::string name = entry.path().filename().string();
        if (!RunFiles::is_checkpoint(name, prefix) || !name.ends_with(".safetensors")) continue;
        if (name == prefix + "_best.safetensors" || name == prefix + "_final.safetensors") continue;
        try {
            const Checkpoint checkpoint(entry.path().string());
            const RunState& state = checkpoint.state();
            if (state.config != config)
                not_meant.emplace_back(state.step, entry.path().string() + ": written with another configuration:" + first_difference(state.config, config));
            else if (!run.empty() && state.run != run)
                not_meant.emplace_back(state.step, entry.path().string() + ": written by another run");
            else if (checkpoint.can_resume())
                found.emplace_back(state.step, entry.path().string()), runs.insert(state.run);
        } catch (const Error& e) {
            unreadable.push_back(e.without_code());
        }
    }
    std::sort(not_meant.begin(), not_meant.end(), std::greater<>());
    std::sort(unreadable.begin(), unreadable.end());
    for (auto& [step, why] : not_meant) skipped.push_back(std::move(why));
    skipped.insert(skipped.end(), unreadable.begin(), unreadable.end());
    if (runs.size() > 1) {
        std::string names;
        for (const std::string& r : runs) names += (names.empty() ? "" : ", ") + (r.empty() ? std::string("one without a name") : r);
        fail(ErrorCode::checkpoint, folder,
             "has checkpoints of several runs (" + names + "), and no log says which is meant; name one, e.g. --resume " + found.front().second);
    }
    std::sort(found.begin(), found.end(), std::greater<>());
    std::vector<std::string> paths;
    for (auto& [step, path] : found) paths.push_back(std::move(path));
    return paths;
}

}  // namespace dla
