// SPDX-License-Identifier: MIT
// An optimizer chosen at run time.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/optim/adam.hpp>
#include <dla/optim/sgd.hpp>

#include <concepts>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

namespace dla {

/// What `make_optimizer` takes; what is not set keeps the optimizer's own default.
struct OptimizerOptions {
    std::optional<double> learning_rate = {}, weight_decay = {};
    std::optional<bool> decay_bias_and_norm = {};
    std::optional<double> momentum = {}, dampening = {};     ///< sgd only
    std::optional<bool> nesterov = {};                       ///< sgd only
    std::optional<double> beta1 = {}, beta2 = {}, eps = {};  ///< adam and adamw only
};

/// Any of the optimizers behind one type; used wherever one of them is.
class AnyOptimizer {
public:
    using Rule = std::variant<Sgd, Adam, AdamW>;

    AnyOptimizer() : AnyOptimizer(Adam()) {}
    template <class R>
    requires(std::same_as<R, Sgd> || std::same_as<R, Adam> || std::same_as<R, AdamW>) AnyOptimizer(const R& rule) : rule_(rule) {}

    /// The optimizer with all its options, for std::visit and std::get.
    const Rule& rule() const { return rule_; }
    const char* name() const {
        constexpr const char* names[] = {"sgd", "adam", "adamw"};
        return names[rule_.index()];
    }

    /// One step on every trainable parameter of the table.
    template <class Table>
    void step(Table& table) {
        std::visit([&](auto& rule) { rule.step(table); }, rule_);
    }

    double learning_rate() const {
        return std::visit([](const auto& rule) { return rule.options.learning_rate; }, rule_);
    }
    /// Throws Error(usage) for a rate that is negative or not finite.
    void set_learning_rate(double rate) {
        if (!(rate >= 0 && is_finite(rate))) fail(ErrorCode::usage, name(), "learning_rate must be finite and not negative");
        std::visit([rate](auto& rule) { rule.options.learning_rate = rate; }, rule_);
    }
    /// Momentum of sgd, beta1 of the others.
    double momentum() const {
        return std::visit(
            [](const auto& rule) {
                if constexpr (requires { rule.options.momentum; })
                    return rule.options.momentum;
                else
                    return rule.options.beta1;
            },
            rule_);
    }
    /// Throws Error(usage) outside [0, 1), and for sgd when momentum would be switched on or off, because its velocity would be stale.
    void set_momentum(double momentum) {
        if (!(momentum >= 0 && momentum < 1)) fail(ErrorCode::usage, name(), "momentum must lie in [0, 1)");
        if (Sgd* sgd = std::get_if<Sgd>(&rule_)) {
            if ((sgd->options.momentum > 0) != (momentum > 0))
                fail(ErrorCode::usage, "sgd",
                     "momentum cannot be switched on or off later; give it a momentum above 0, or schedule the rate alone (cycle_momentum = false)");
            sgd->options.momentum = momentum;
        } else if (Adam* adam = std::get_if<Adam>(&rule_)) {
            adam->options.beta1 = momentum;
        } else {
            std::get<AdamW>(rule_).options.beta1 = momentum;
        }
    }

    /// Steps taken so far.
    std::int64_t steps() const {
        return std::visit([](const auto& rule) { return rule.steps; }, rule_);
    }
    /// For resuming, together with the slots (ParamTable::write). Throws Error(usage) for a negative number.
    void set_steps(std::int64_t steps) {
        if (steps < 0) fail(ErrorCode::usage, name(), "steps must not be negative");
        std::visit([steps](auto& rule) { rule.steps = steps; }, rule_);
    }

    /// Numbers remembered for each parameter value, and PyTorch's names for them; number i lies in ParamPart::slot0 + i.
    int slot_count() const {
        return std::visit([](const auto& rule) { return rule.slot_count(); }, rule_);
    }
    std::span<const char* const> slot_names() const {
        return std::visit([](const auto& rule) { return std::span<const char* const>(rule.slot_names, static_cast<std::size_t>(rule.slot_count())); }, rule_);
    }

private:
    Rule rule_;
};

/// "sgd", "adam" or "adamw" with the given options. Throws Error(usage) for another name, and for an option that the optimizer does not have or refuses.
inline AnyOptimizer make_optimizer(std::string_view name, const OptimizerOptions& o = {}) {
    const auto take = [](auto& to, const auto& from) {
        if (from) to = *from;
    };
    const auto without = [&](bool given, const char* option) {
        if (given) fail(ErrorCode::usage, name, text("has no option ", option).view());
    };
    const auto adam = [&](auto options) {
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
        if (!is_finite(options.learning_rate) || !is_finite(options.weight_decay))
            fail(ErrorCode::usage, name, "learning_rate and weight_decay must be finite");
        return options;
    };
    if (name == "adam") return Adam(adam(common(AdamOptions{})));
    if (name == "adamw") return AdamW(adam(common(AdamWOptions{})));
    if (name != "sgd") fail(ErrorCode::usage, "optimizer", text("no optimizer is called ", name, "; expected sgd, adam or adamw").view());
    without(o.beta1.has_value(), "beta1; its counterpart is momentum");
    without(o.beta2.has_value(), "beta2");
    without(o.eps.has_value(), "eps");
    SgdOptions options = common(SgdOptions{});
    take(options.momentum, o.momentum);
    take(options.dampening, o.dampening);
    take(options.nesterov, o.nesterov);
    return Sgd(options);
}

}  // namespace dla
