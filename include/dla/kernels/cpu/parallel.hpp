// SPDX-License-Identifier: MIT
// Runs numbered tasks on several threads: the only way in which kernels do.
#pragma once

#include <dla/backend/policy.hpp>

#include <algorithm>

#if DLA_BODIES
#include <dla/kernels/cpu/thread_team.hpp>
#endif

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

#if DLA_BODIES
DLA_ONCE int thread_count(int wanted) {
#if DLA_THREADS
    static const int usual = detail::default_threads();
    return wanted > 0 ? wanted : usual;
#else
    (void)wanted;
    return 1;
#endif
}

DLA_ONCE int start_threads(int threads) {
#if DLA_THREADS
    if (detail::ThreadTeam* team = detail::ThreadTeam::instance()) return team->start_now(thread_count(threads));
#endif
    (void)threads;
    return 1;
}
#endif

}  // namespace DLA_ABI_TAG

#if DLA_BODIES
namespace detail::inline DLA_ABI_TAG {

DLA_ONCE void run_tasks(int threads, index_t tasks, const TaskRef& task) {
#if DLA_THREADS
    if (threads != 1 && tasks > 1)
        if (ThreadTeam* team = ThreadTeam::instance()) return team->run(thread_count(threads), tasks, task);
#else
    (void)threads;
#endif
    task.run_alone(tasks);
}

/// Calls task(index, thread) once for each index in [0, tasks), on up to thread_count(threads) threads; thread < that number.
/// The caller cuts work into tasks by problem size only and writes results that depend on the index alone: then the bits do not depend on the
/// number of threads. One task, or one thread, runs on the caller without waking anybody. Tasks must not throw.
template <class Task>
void parallel_for(int threads, index_t tasks, const Task& task) {
    run_tasks(threads, tasks, {[](const void* t, index_t index, int thread) { (*static_cast<const Task*>(t))(index, thread); }, &task});
}

}  // namespace detail::inline DLA_ABI_TAG
#endif
}  // namespace dla
