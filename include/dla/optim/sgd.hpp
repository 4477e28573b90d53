// SPDX-License-Identifier: MIT
// Stochastic gradient descent.
#pragma once

#include <dla/optim/optimizer.hpp>

namespace dla::inline DLA_ABI_TAG {

/// Options of Sgd, with PyTorch's names.
struct SgdOptions {
    double learning_rate = 1e-3;
    double momentum = 0;
    double dampening = 0;
    double weight_decay = 0;
    bool nesterov = false;
    bool decay_bias_and_norm = true;      ///< PyTorch decays everything alike; false spares biases and normalisation layers
    std::vector<ParamGroup> groups = {};  ///< empty: all parameters; else those that match a group
};

/// torch.optim.SGD: g += weight_decay p; v = momentum v + (1 - dampening) g (first step: v = g); d = nesterov ? g + momentum v : v; p -= lr d.
/// Throws Error(usage) for options that PyTorch refuses as well.
class Sgd : public Optimizer {
public:
    explicit Sgd(const SgdOptions& o = {}) : Optimizer(Rule::sgd, o.learning_rate, o.weight_decay, o.decay_bias_and_norm, o.groups) {
        if (!(o.momentum >= 0 && is_finite(o.momentum) && is_finite(o.dampening))) fail(ErrorCode::usage, "sgd", "momentum must be finite and not negative");
        if (o.nesterov && (o.momentum <= 0 || o.dampening != 0)) fail(ErrorCode::usage, "sgd", "nesterov needs momentum above 0 and dampening 0");
        sgd_.momentum = o.momentum;
        sgd_.dampening = o.dampening;
        sgd_.nesterov = o.nesterov;
    }
};

}  // namespace dla::inline DLA_ABI_TAG
