// SPDX-License-Identifier: MIT
// What optimizers check, and how they count.
#pragma once

#include <dla/core/finite.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::inline DLA_ABI_TAG {

DLA_ONCE std::string Optimizer::settings() const {
    std::string all = name();
    const auto add = [&](double v) {
        char digits[40];
        std::snprintf(digits, sizeof digits, " %.17g", v);
        all += digits;
    };
    const double nesterov = sgd_.nesterov ? 1 : 0, decays_all = decay_bias_and_norm_ ? 1 : 0;
    for (const double v : {learning_rate_, weight_decay_, decays_all, sgd_.momentum, sgd_.dampening, nesterov, adam_.beta1, adam_.beta2, adam_.eps}) add(v);
    if (rule_ == Rule::muon) {
        for (const double v : {muon_.momentum, muon_.nesterov ? 1.0 : 0.0, static_cast<double>(factor_), static_cast<double>(ns_steps_), muon_eps_}) add(v);
        for (const std::string& path : no_matrices_) all += " (" + path + ")";
    }
    for (const ParamGroup& g : groups_) {
        all += " [" + g.path;
        add(g.learning_rate.value_or(-1));
        add(g.weight_decay.value_or(-1));
        all += "]";
    }
    return all;
}
DLA_ONCE Optimizer::Optimizer(Rule rule, double learning_rate, double weight_decay, bool decay_bias_and_norm, std::vector<ParamGroup> groups)
    : rule_(rule),
      learning_rate_(learning_rate),
      first_rate_(learning_rate),
      weight_decay_(weight_decay),
      decay_bias_and_norm_(decay_bias_and_norm),
      groups_(std::move(groups)) {
    const auto bad = [](double v) { return !(v >= 0 && is_finite(v)); };
    if (bad(learning_rate) || bad(weight_decay)) fail(ErrorCode::usage, name(), "learning_rate and weight_decay must be finite and not negative");
    for (const ParamGroup& g : groups_)
        if (bad(g.learning_rate.value_or(0)) || bad(g.weight_decay.value_or(0)))
            fail(ErrorCode::usage, name(),
                 text("learning_rate and weight_decay of group ", std::string_view(g.path), " must be finite and not negative").view());
}

DLA_ONCE void Optimizer::set_learning_rate(double rate) {
    if (!(rate >= 0 && is_finite(rate))) fail(ErrorCode::usage, name(), "learning_rate must be finite and not negative");
    learning_rate_ = rate;
}

DLA_ONCE void Optimizer::set_momentum(double momentum) {
    if (!(momentum >= 0 && momentum < 1)) fail(ErrorCode::usage, name(), "momentum must lie in [0, 1)");
    if (rule_ == Rule::sgd && (sgd_.momentum > 0) != (momentum > 0))
        fail(ErrorCode::usage, "sgd",
             "momentum cannot be switched on or off later; give it a momentum above 0, or schedule the rate alone (cycle_momentum = false)");
    (rule_ == Rule::sgd ? sgd_.momentum : rule_ == Rule::muon ? muon_.momentum : adam_.beta1) = momentum;
}

DLA_ONCE std::int64_t Optimizer::steps() const { return memory_ ? memory_->steps() : *std::max_element(steps_.begin(), steps_.end()); }

DLA_ONCE std::vector<std::int64_t> Optimizer::steps_of_parameters() const { return memory_ ? memory_->steps_of_rows() : std::vector<std::int64_t>(); }

DLA_ONCE void Optimizer::set_steps(std::int64_t steps) {
    if (steps < 0) fail(ErrorCode::usage, name(), "steps must not be negative");
    steps_ = {steps};
    if (memory_) memory_->set_steps(steps);
}

DLA_ONCE void Optimizer::set_steps_of_parameters(const std::vector<std::int64_t>& steps) {
    if (steps.empty() || *std::min_element(steps.begin(), steps.end()) < 0) fail(ErrorCode::usage, name(), "steps of parameters must not be negative");
    if (memory_ && memory_->steps_of_rows().size() != steps.size())
        fail(ErrorCode::usage, name(), text("got the steps of ", steps.size(), " parameters; expected ", memory_->steps_of_rows().size()).view());
    steps_ = steps;
    if (memory_) memory_->set_steps_of_rows(steps);
}

DLA_ONCE double Optimizer::rate_of(int group) const {
    const std::optional<double> own = group < 0 ? std::nullopt : groups_[static_cast<std::size_t>(group)].learning_rate;
    if (!own) return learning_rate_;
    return first_rate_ > 0 && learning_rate_ != first_rate_ ? *own * (learning_rate_ / first_rate_) : *own;
}

DLA_ONCE double Optimizer::muon_factor(index_t rows, index_t columns) const {
    const auto r = static_cast<double>(rows), c = static_cast<double>(columns);
    return factor_ == MuonFactor::original ? std::sqrt(std::max(1.0, r / c)) : 0.2 * std::sqrt(std::max(r, c));
}

DLA_ONCE OptimizerChoice Optimizer::choice() const {
    OptimizerChoice all{.groups = {}, .by_kind = !decay_bias_and_norm_, .matrices = rule_ == Rule::muon};
    for (const ParamGroup& g : groups_) all.groups.push_back(g.path);
    all.no_matrices.assign(no_matrices_.begin(), no_matrices_.end());
    return all;
}

}  // namespace dla::inline DLA_ABI_TAG

#include <dla/core/end_exact.inl.hpp>
