// SPDX-License-Identifier: MIT
// Memory of predictions that bring none: kept from call to call, a workspace for each thread that predicts at a time.
#pragma once

#include <dla/model/workspace.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

namespace dla {

/// Workspaces that no thread uses at the moment.
template <class P>
class WorkspacePool {
public:
    using Inference = InferenceWorkspace<P>;

    /// One that has been used before, or an empty one.
    std::unique_ptr<Inference> take() {
        const std::lock_guard lock(mutex_);
        if (free_.empty()) return std::make_unique<Inference>();
        auto workspace = std::move(free_.back());
        free_.pop_back();
        return workspace;
    }
    /// Keeps it for the next call; one that is larger than most are, or than what was reserved, is freed.
    void put(std::unique_ptr<Inference> workspace) {
        const std::lock_guard lock(mutex_);
        if (workspace->bytes() <= most_bytes_) free_.push_back(std::move(workspace));
    }
    /// From now on workspaces of this size are kept.
    void keep(index_t bytes) {
        const std::lock_guard lock(mutex_);
        most_bytes_ = std::max(most_bytes_, bytes);
    }

private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<Inference>> free_;
    // A prediction on a whole data set at once should not keep its gigabytes; claiming them anew costs little beside it.
    index_t most_bytes_ = index_t{256} << 20;
};

}  // namespace dla
