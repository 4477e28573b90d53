// SPDX-License-Identifier: MIT
// An optimizer by name.
#pragma once

#include <dla/optim/adam.hpp>
#include <dla/optim/muon.hpp>
#include <dla/optim/sgd.hpp>

#include <optional>
#include <string_view>

namespace dla::inline DLA_ABI_TAG {

/// What `make_optimizer` takes; what is not set keeps the optimizer's own default.
struct OptimizerOptions {
    std::optional<double> learning_rate = {}, weight_decay = {};
    std::optional<bool> decay_bias_and_norm = {};
    std::vector<ParamGroup> groups = {};
    std::optional<double> momentum = {};                     ///< sgd and muon only
    std::optional<double> dampening = {};                    ///< sgd only
    std::optional<bool> nesterov = {};                       ///< sgd and muon only
    std::optional<double> beta1 = {}, beta2 = {}, eps = {};  ///< adam and adamw, and of muon what AdamW steps
    std::optional<MuonFactor> factor = {};                   ///< muon only
    std::optional<int> ns_steps = {};                        ///< muon only
    std::vector<std::string> adamw = {};                     ///< muon only: paths of weights that AdamW is to step
};

/// "sgd", "adam", "adamw" or "muon" with the given options. Throws Error(usage) for another name, and for an option that the optimizer does not have or
/// refuses.
inline Optimizer make_optimizer(std::string_view name, const OptimizerOptions& o = {}) {
    const auto take = [](auto& to, const auto& from) {
        if (from) to = *from;
    };
    const auto without = [&](bool given, const char* option) {
        if (given) fail(ErrorCode::usage, name, text("has no option ", option).view());
    };
    const auto no_muon = [&] {
        without(o.factor.has_value(), "factor");
        without(o.ns_steps.has_value(), "ns_steps");
        without(!o.adamw.empty(), "adamw");
    };
    const auto adam = [&](auto options) {
        no_muon();
        without(o.momentum.has_value(), "momentum; its counterpart is beta1");
        without(o.dampening.has_value(), "dampening");
        without(o.nesterov.has_value(), "nesterov");
        take(options.beta1, o.beta1);
        take(options.beta2, o.beta2);
        take(options.eps, o.eps);
        return options;
    };
    const auto common = [&](auto options) {
        take(options.learning_rate, o.learning_rate);
        take(options.weight_decay, o.weight_decay);
        take(options.decay_bias_and_norm, o.decay_bias_and_norm);
        options.groups = o.groups;
        return options;
    };
    if (name == "adam") return Adam(adam(common(AdamOptions{})));
    if (name == "adamw") return AdamW(adam(common(AdamWOptions{})));
    if (name == "muon") {
        without(o.dampening.has_value(), "dampening");
        MuonOptions options = common(MuonOptions{});
        take(options.momentum, o.momentum);
        take(options.nesterov, o.nesterov);
        take(options.beta1, o.beta1);
        take(options.beta2, o.beta2);
        take(options.adamw_eps, o.eps);
        take(options.factor, o.factor);
        take(options.ns_steps, o.ns_steps);
        options.adamw = o.adamw;
        return Muon(options);
    }
    if (name != "sgd") fail(ErrorCode::usage, "optimizer", text("no optimizer is called ", name, "; expected sgd, adam, adamw or muon").view());
    no_muon();
    without(o.beta1.has_value(), "beta1; its counterpart is momentum");
    without(o.beta2.has_value(), "beta2");
    without(o.eps.has_value(), "eps");
    SgdOptions options = common(SgdOptions{});
    take(options.momentum, o.momentum);
    take(options.dampening, o.dampening);
    take(options.nesterov, o.nesterov);
    return Sgd(options);
}

}  // namespace dla::inline DLA_ABI_TAG
