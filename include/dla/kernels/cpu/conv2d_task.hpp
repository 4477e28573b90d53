// SPDX-License-Identifier: MIT
// The results of a convolution as its tasks make them, and what else is done with them while they lie in cache.
#pragma once

#include <dla/kernels/cpu/chunks.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

/// Results that one task computes: pixels [first, last) of all images in order, all channels of each; whole rows, from an even one on.
struct ConvTask {
    index_t first = 0, last = 0;
};

/// Where they go: pixel number `origin` lies at `values`.
struct ConvTarget {
    float* values = nullptr;
    index_t origin = 0;
};

/// What follows a task, on its thread: nothing, or a function of its number and its results.
struct ConvFinish {
    void (*run)(const void* self, index_t number, const ConvTask& task, float* results, int thread) = nullptr;
    const void* self = nullptr;
    float* own = nullptr;  // not null: results go no further than a thread's own piece of this, of `own_floats`
    index_t own_floats = 0;

    ConvTarget target(const ConvTask& task, float* dst, int thread) const {
        return own ? ConvTarget{own + thread * own_floats, task.first} : ConvTarget{dst, 0};
    }
    void operator()(index_t number, const ConvTask& task, const ConvTarget& to, index_t channels, int thread) const {
        if (run) run(self, number, task, to.values + (task.first - to.origin) * channels, thread);
    }
};

/// f(number, task, results, thread) behind each task.
template <class F>
ConvFinish finish_with(const F& f, float* own = nullptr, index_t own_floats = 0) {
    return {[](const void* self, index_t number, const ConvTask& task, float* results, int thread) {
                (*static_cast<const F*>(self))(number, task, results, thread);
            },
            &f, own, own_floats};
}

}  // namespace dla::detail::inline DLA_ABI_TAG
