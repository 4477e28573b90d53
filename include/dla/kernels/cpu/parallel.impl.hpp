// SPDX-License-Identifier: MIT
// How the tasks of kernels reach their threads.
#pragma once

#include <dla/kernels/cpu/thread_team.hpp>

namespace dla {
inline namespace DLA_ABI_TAG {

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

}  // namespace DLA_ABI_TAG

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

}  // namespace detail::inline DLA_ABI_TAG
}  // namespace dla
