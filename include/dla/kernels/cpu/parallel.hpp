// SPDX-License-Identifier: MIT
// The only place that knows OpenMP: runs numbered tasks on several threads.
#pragma once

#include <dla/backend/policy.hpp>

#include <algorithm>

#if DLA_OPENMP && DLA_BODIES
#include <omp.h>
#endif

namespace dla {
inline namespace DLA_ABI_TAG {

/// Threads that `wanted` stands for; 0 means as many as OpenMP would use.
DLA_ONCE int thread_count(int wanted);

/// Starts OpenMP's threads now, while there is memory for their stacks; they stay.
DLA_ONCE void start_threads(int threads);

/// The policy with its number of threads fixed, so that scratch memory planned now also fits when OpenMP's default changes.
template <class T>
Cpu<T> resolve(Cpu<T> policy) {
    policy.threads = thread_count(policy.threads);
    return policy;
}

#if DLA_BODIES
DLA_ONCE int thread_count(int wanted) {
#if DLA_OPENMP
    return wanted > 0 ? wanted : omp_get_max_threads();
#else
    (void)wanted;
    return 1;
#endif
}
#endif

}  // namespace DLA_ABI_TAG

#if DLA_BODIES
namespace detail::inline DLA_ABI_TAG {

/// A task without its type, so that the parallel region is compiled once and not with each kernel.
struct TaskRef {
    void (*run)(const void* task, index_t index, int thread);
    const void* task;
};

DLA_ONCE void run_tasks(int threads, index_t tasks, const TaskRef& task) {
#if DLA_OPENMP
    const auto team = static_cast<int>(std::min<index_t>(thread_count(threads), tasks));
    if (team > 1 && !omp_in_parallel()) {
#pragma omp parallel for schedule(static) num_threads(team)
        for (index_t i = 0; i < tasks; ++i) task.run(task.task, i, omp_get_thread_num());
        return;
    }
#else
    (void)threads;
#endif
    for (index_t i = 0; i < tasks; ++i) task.run(task.task, i, 0);
}

/// Calls task(index, thread) once for each index in [0, tasks), on up to thread_count(threads) threads; thread < that number.
/// The caller cuts work into tasks by problem size only and writes results that depend on the index alone: then the bits do not depend on the
/// number of threads. One task, or one thread, runs on the caller without a fork. Tasks must not throw.
template <class Task>
void parallel_for(int threads, index_t tasks, const Task& task) {
    run_tasks(threads, tasks, {[](const void* t, index_t index, int thread) { (*static_cast<const Task*>(t))(index, thread); }, &task});
}

}  // namespace detail::inline DLA_ABI_TAG

inline namespace DLA_ABI_TAG {

DLA_ONCE void start_threads(int threads) {
    detail::parallel_for(threads, thread_count(threads), [](index_t, int) {});
}

}  // namespace DLA_ABI_TAG
#endif
}  // namespace dla
