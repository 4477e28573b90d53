// SPDX-License-Identifier: MIT
// What a thread is given to do.
#pragma once

#include <dla/core/shape.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// A task without its type, so that what runs it is compiled once and not with each kernel.
struct TaskRef {
    void (*run)(const void* task, index_t index, int thread);
    const void* task;

    void run_alone(index_t tasks) const noexcept {
        for (index_t i = 0; i < tasks; ++i) run(task, i, 0);
    }
};

}  // namespace dla::detail::inline DLA_ABI_TAG
