// SPDX-License-Identifier: MIT
// Bytes of a table of parameters, by use.
#pragma once

#include <dla/model/param_index.hpp>

#include <memory>
#include <span>

namespace dla {

/// Bytes of a model's parameters, and of what belongs to them.
struct ParamMemory {
    index_t weights = 0;  ///< masters, and the copy that products read where it has fewer digits
    index_t gradients = 0;
    index_t optimizer = 0;  ///< claimed by an optimizer's first step
    index_t buffers = 0;    ///< running statistics and counters, and what they were before a step
    index_t control = 0;    ///< of the gradient norm, and what kernels of optimizers are told
    bool has_optimizer = false;
    bool operator==(const ParamMemory& o) const {
        return weights == o.weights && gradients == o.gradients && optimizer == o.optimizer && buffers == o.buffers && control == o.control;
    }
};

}  // namespace dla
