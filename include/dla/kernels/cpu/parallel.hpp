// SPDX-License-Identifier: MIT
// Runs numbered tasks on several threads: the only way in which kernels do.
#pragma once

#include <dla/backend/policy.hpp>
#include <dla/kernels/cpu/task.hpp>

#include <algorithm>
#include <exception>
#include <mutex>

namespace dla {
inline namespace DLA_ABI_TAG {

/// Threads that `wanted` stands for; 0 means OMP_NUM_THREADS, or without it the processors that this process may use.
DLA_ONCE int thread_count(int wanted);

/// Starts the threads that kernels will use, instead of with the first kernel: they stay. The number that can work, with the caller; fewer than wanted
/// where the system gives no more, which costs time and changes no result.
DLA_ONCE int start_threads(int threads);

/// The policy with its number of threads fixed, so that scratch memory planned now also fits when the environment changes.
template <class T>
Cpu<T> resolve(Cpu<T> policy) {
    policy.threads = thread_count(policy.threads);
    return policy;
}
/// The policy for kernels that run within a task.
template <class T>
Cpu<T> on_one_thread(Cpu<T> policy) {
    policy.threads = 1;
    return policy;
}

}  // namespace DLA_ABI_TAG

namespace detail::inline DLA_ABI_TAG {

DLA_ONCE void run_tasks(int threads, index_t tasks, const TaskRef& task);

/// Calls task(index, thread) once for each index in [0, tasks), on up to thread_count(threads) threads; thread < that number.
/// The caller cuts work into tasks by problem size only and writes results that depend on the index alone: then the bits do not depend on the
/// number of threads. One task, or one thread, runs on the caller without waking anybody. Tasks must not throw.
template <class Task>
void parallel_for(int threads, index_t tasks, const Task& task) {
    run_tasks(threads, tasks, {[](const void* t, index_t index, int thread) { (*static_cast<const Task*>(t))(index, thread); }, &task});
}

}  // namespace detail::inline DLA_ABI_TAG

inline namespace DLA_ABI_TAG {

/// How many of so many parts `run_parts` runs at a time.
template <class T>
int part_slots(const Cpu<T>& policy, index_t parts) {
    return static_cast<int>(std::clamp<index_t>(parts, 1, thread_count(policy.threads)));
}
/// f(part, slot) for each part, on up to `slots` threads at a time, each with a slot of its own. What f throws reaches the caller: of several, what the first
/// part threw.
template <class T, class F>
void run_parts(const Cpu<T>& policy, int slots, index_t parts, const F& f) {
    std::mutex mutex;
    std::exception_ptr error;
    index_t failed = parts;
    detail::parallel_for(std::min(thread_count(policy.threads), slots), parts, [&](index_t part, int slot) {
        try {
            f(part, slot);
        } catch (...) {
            const std::lock_guard lock(mutex);
            if (part < failed) failed = part, error = std::current_exception();
        }
    });
    if (error) std::rethrow_exception(error);
}

}  // namespace DLA_ABI_TAG
}  // namespace dla

#if DLA_BODIES
#include <dla/kernels/cpu/parallel.impl.hpp>
#endif
