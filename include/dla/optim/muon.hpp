// SPDX-License-Identifier: MIT
// Muon: momentum whose matrices are orthogonalised.
#pragma once

#include <dla/optim/optimizer.hpp>

#include <string>
#include <utility>

namespace dla::inline DLA_ABI_TAG {

/// Options of Muon, with PyTorch's defaults; `beta1` and below are of AdamW, which steps what is no matrix.
struct MuonOptions {
    double learning_rate = 1e-3;
    double momentum = 0.95;
    double weight_decay = 0.1;
    bool nesterov = true;
    MuonFactor factor = MuonFactor::original;
    int ns_steps = 5;   ///< of the Newton-Schulz iteration, 0 to 99
    double eps = 1e-7;  ///< least norm that a direction is divided by
    double beta1 = 0.9, beta2 = 0.999, adamw_eps = 1e-8;
    std::vector<std::string> adamw = {};  ///< paths of weights that AdamW is to step as well: usually the last layer's
    bool decay_bias_and_norm = true;      ///< false spares biases and normalisation layers
    std::vector<ParamGroup> groups = {};  ///< empty: all parameters; else those that match a group
};

/// torch.optim.Muon (Jordan et al. 2024) for weights of Linear and convolution layers, as matrices [first size, all others] (of a
/// ConvTranspose2d [in, ...]; groups together): v += (1 - momentum) (g - v);
/// d = nesterov ? g + momentum (v - g) : v; p *= 1 - lr weight_decay; p -= lr factor O, where O has the singular vectors of d and singular values near 1.
/// Biases, normalisation layers and what `adamw` names take steps of AdamW, with the same rate and decay unless a group says another one.
/// The iteration works in the type of the masters; PyTorch's rounds to bf16. Throws Error(usage) for options that PyTorch refuses as well.
class Muon : public Optimizer {
public:
    explicit Muon(const MuonOptions& o = {}) : Optimizer(Rule::muon, o.learning_rate, o.weight_decay, o.decay_bias_and_norm, o.groups) {
        if (!(o.momentum >= 0 && o.momentum < 1)) fail(ErrorCode::usage, "muon", "momentum must lie in [0, 1)");
        if (!(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1)) fail(ErrorCode::usage, "muon", "beta1 and beta2 must lie in [0, 1)");
        if (!(o.eps >= 0 && is_finite(o.eps) && o.adamw_eps >= 0 && is_finite(o.adamw_eps)))
            fail(ErrorCode::usage, "muon", "eps and adamw_eps must be finite and not negative");
        if (o.ns_steps < 0 || o.ns_steps > 99) fail(ErrorCode::usage, "muon", text("ns_steps must lie in 0 to 99; got ", o.ns_steps).view());
        muon_.momentum = o.momentum;
        muon_.nesterov = o.nesterov;
        factor_ = o.factor;
        ns_steps_ = o.ns_steps;
        muon_eps_ = o.eps;
        adam_.beta1 = o.beta1;
        adam_.beta2 = o.beta2;
        adam_.eps = o.adamw_eps;
        no_matrices_ = o.adamw;
    }
};

}  // namespace dla::inline DLA_ABI_TAG
