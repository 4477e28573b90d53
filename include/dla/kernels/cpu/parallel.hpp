// SPDX-License-Identifier: MIT
// Runs numbered tasks on several threads: the only way in which kernels do.
#pragma once

#include <dla/backend/policy.hpp>
#include <dla/kernels/cpu/task.hpp>

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
}  // namespace dla

#if DLA_BODIES
#include <dla/kernels/cpu/parallel.impl.hpp>
#endif
