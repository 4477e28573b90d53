// SPDX-License-Identifier: MIT
// Adam and AdamW.
#pragma once

#include <dla/optim/optimizer.hpp>

namespace dla::detail::inline DLA_ABI_TAG {

template <bool Decoupled>
struct AdamRuleOptions {
    double learning_rate = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = Decoupled ? 0.01 : 0.0;  ///< PyTorch's defaults: 0.01 for AdamW, 0 for Adam
    bool decay_bias_and_norm = true;               ///< PyTorch decays everything alike; false spares biases and normalisation layers
    std::vector<ParamGroup> groups = {};           ///< empty: all parameters; else those that match a group
};

/// What Adam and AdamW share; they differ in how weights decay.
template <bool Decoupled>
class AdamRule : public Optimizer {
protected:
    explicit AdamRule(const AdamRuleOptions<Decoupled>& o)
        : Optimizer(Decoupled ? Rule::adamw : Rule::adam, o.learning_rate, o.weight_decay, o.decay_bias_and_norm, o.groups) {
        if (!(o.eps >= 0 && is_finite(o.eps))) fail(ErrorCode::usage, name(), "eps must be finite and not negative");
        if (!(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1)) fail(ErrorCode::usage, name(), "beta1 and beta2 must lie in [0, 1)");
        adam_.beta1 = o.beta1;
        adam_.beta2 = o.beta2;
        adam_.eps = o.eps;
    }
};

}  // namespace dla::detail::inline DLA_ABI_TAG

namespace dla::inline DLA_ABI_TAG {

/// Options of Adam, with PyTorch's defaults.
using AdamOptions = detail::AdamRuleOptions<false>;
/// Options of AdamW, with PyTorch's defaults.
using AdamWOptions = detail::AdamRuleOptions<true>;

/// torch.optim.Adam (Kingma and Ba 2015): weight decay is added to the gradient (L2); eps is added after the bias correction.
/// Throws Error(usage) for options that PyTorch refuses as well.
class Adam : public detail::AdamRule<false> {
public:
    explicit Adam(const AdamOptions& o = {}) : AdamRule(o) {}
};

/// torch.optim.AdamW (Loshchilov and Hutter 2019): p *= 1 - lr weight_decay first, then Adam without L2.
class AdamW : public detail::AdamRule<true> {
public:
    explicit AdamW(const AdamWOptions& o = {}) : AdamRule(o) {}
};

}  // namespace dla::inline DLA_ABI_TAG
