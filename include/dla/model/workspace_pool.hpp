// SPDX-License-Identifier: MIT
// Memory of predictions that bring none: kept from call to call, a workspace for each thread that predicts at a time.
#pragma once

#include <dla/model/inference_workspace.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace dla {

/// Workspaces that no thread uses at the moment, up to a number of bytes together.
template <class P>
class WorkspacePool {
public:
    using Inference = InferenceWorkspace<P>;

    /// A workspace that goes back to its pool when the lease ends, however it ends.
    class Lease {
    public:
        Lease(WorkspacePool& pool, std::unique_ptr<Inference> workspace) : pool_(pool), workspace_(std::move(workspace)) {}
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        ~Lease() { pool_.put(std::move(workspace_)); }
        Inference& operator*() const { return *workspace_; }

    private:
        WorkspacePool& pool_;
        std::unique_ptr<Inference> workspace_;
    };

    /// One that fits(workspace), or what make(used) gives, where `used` is one that does not fit or an empty one. A new one that is too large to be kept
    /// takes no other's place.
    template <class Fits, class Make>
    Lease take(const Fits& fits, const Make& make) {
        std::unique_ptr<Inference> workspace = take_best(fits);
        if (!workspace || !fits(*workspace)) {
            const Inference none;
            auto grown = std::make_unique<Inference>(make(workspace ? std::as_const(*workspace) : none));
            if (workspace && grown->bytes() > most_bytes()) put(std::move(workspace));
            workspace = std::move(grown);
        }
        return {*this, std::move(workspace)};
    }
    /// From now on there is room for so many bytes beside what is kept.
    void keep(index_t bytes) {
        const std::lock_guard lock(mutex_);
        most_bytes_ = std::max(most_bytes_, kept() + bytes);
    }
    /// Frees all.
    void release() {
        const std::lock_guard lock(mutex_);
        free_.clear();
    }
    /// Bytes that are kept now.
    index_t bytes() const {
        const std::lock_guard lock(mutex_);
        return kept();
    }

private:
    /// One that fits if there is one, else any.
    template <class Fits>
    std::unique_ptr<Inference> take_best(const Fits& fits) {
        const std::lock_guard lock(mutex_);
        if (free_.empty()) return nullptr;
        const auto found = std::find_if(free_.begin(), free_.end(), [&](const auto& workspace) { return fits(*workspace); });
        if (found != free_.end()) std::iter_swap(found, free_.end() - 1);
        auto workspace = std::move(free_.back());
        free_.pop_back();
        return workspace;
    }
    void put(std::unique_ptr<Inference> workspace) noexcept {
        const std::lock_guard lock(mutex_);
        if (kept() + workspace->bytes() > most_bytes_) return;
        try {
            free_.push_back(std::move(workspace));
        } catch (const std::bad_alloc&) {
            // It is freed, then.
        }
    }
    index_t most_bytes() const {
        const std::lock_guard lock(mutex_);
        return most_bytes_;
    }
    index_t kept() const {
        index_t sum = 0;
        for (const auto& workspace : free_) sum += workspace->bytes();
        return sum;
    }

    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<Inference>> free_;
    // A prediction on a whole data set at once should not keep its gigabytes; claiming them anew costs little beside it.
    index_t most_bytes_ = index_t{256} << 20;
};

}  // namespace dla
