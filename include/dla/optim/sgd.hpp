// SPDX-License-Identifier: MIT
// Stochastic gradient descent.
#pragma once

#include <dla/core/error.hpp>
#include <dla/kernels/types.hpp>

namespace dla {

struct SgdOptions {
    double learning_rate = 1e-3;
    double momentum = 0;
    double dampening = 0;
    double weight_decay = 0;
    bool nesterov = false;
    bool decay_bias_and_norm = true;  ///< PyTorch decays everything alike; false spares biases and normalisation layers
};

/// torch.optim.SGD: g += weight_decay p; v = momentum v + (1 - dampening) g (first step: v = g); d = nesterov ? g + momentum v : v; p -= lr d.
class Sgd {
public:
    SgdOptions options;
    std::int64_t steps = 0;  ///< taken so far

    /// Throws Error(usage) for options that PyTorch refuses as well.
    explicit Sgd(const SgdOptions& o = {}) : options(o) {
        if (!(o.learning_rate >= 0 && o.momentum >= 0 && o.weight_decay >= 0))
            fail(ErrorCode::usage, "Sgd", "learning_rate, momentum and weight_decay must not be negative");
        if (o.nesterov && (o.momentum <= 0 || o.dampening != 0)) fail(ErrorCode::usage, "Sgd", "nesterov needs momentum above 0 and dampening 0");
    }

    static constexpr const char* slot_names[2] = {"momentum_buffer", nullptr};
    int slot_count() const { return options.momentum > 0 ? 1 : 0; }

    /// One step on every trainable parameter of the table.
    template <class Table>
    void step(Table& table) {
        if (steps == 0 && slot_count() > 0) table.clear_slots();
        const auto& segments = table.segments(!options.decay_bias_and_norm);
        for (std::size_t i = 0; i < segments.size(); ++i) {
            const auto& s = segments[i];
            const SgdScalars scalars{options.learning_rate, options.momentum, options.dampening, s.decays ? options.weight_decay : 0,
                                     options.nesterov,      steps == 0};
            sgd_step(table.policy, s.count, table.template control<SgdScalars>(i, scalars), table.values(s.offset), table.gradients(s.offset),
                     slot_count() > 0 ? table.slot(0, s.offset) : typename Table::Ptr{});
        }
        ++steps;
    }
};

}  // namespace dla
