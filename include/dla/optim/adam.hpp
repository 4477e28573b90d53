// SPDX-License-Identifier: MIT
// Adam and AdamW.
#pragma once

#include <dla/core/error.hpp>
#include <dla/core/math.hpp>
#include <dla/kernels/types.hpp>

#include <dla/core/begin_exact.inl.hpp>

namespace dla {

namespace detail {

template <bool Decoupled>
struct AdamRuleOptions {
    double learning_rate = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = Decoupled ? 0.01 : 0.0;  ///< PyTorch's defaults: 0.01 for AdamW, 0 for Adam
    bool decay_bias_and_norm = true;               ///< PyTorch decays everything alike; false spares biases and normalisation layers
};

/// What Adam and AdamW share; they differ in how weights decay.
template <bool Decoupled>
class AdamRule {
public:
    AdamRuleOptions<Decoupled> options;
    std::int64_t steps = 0;  ///< taken so far

    static constexpr const char* slot_names[2] = {"exp_avg", "exp_avg_sq"};
    int slot_count() const { return 2; }

    /// One step on every trainable parameter of the table.
    template <class Table>
    void step(Table& table) {
        if (steps == 0) table.clear_slots();
        ++steps;
        const auto& segments = table.segments(!options.decay_bias_and_norm);
        for (std::size_t i = 0; i < segments.size(); ++i) {
            const auto& s = segments[i];
            const AdamScalars scalars{.learning_rate = options.learning_rate,
                                      .beta1 = options.beta1,
                                      .beta2 = options.beta2,
                                      .eps = options.eps,
                                      .weight_decay = s.decays ? options.weight_decay : 0,
                                      .correction1 = 1 - math::power(options.beta1, steps),
                                      .correction2 = 1 - math::power(options.beta2, steps),
                                      .decoupled = Decoupled};
            adam_step(table.policy, s.count, table.template control<AdamScalars>(i, scalars), table.values(s.offset), table.gradients(s.offset),
                      table.slot(0, s.offset), table.slot(1, s.offset));
        }
    }

protected:
    AdamRule(const AdamRuleOptions<Decoupled>& o, const char* name) : options(o) {
        if (!(o.learning_rate >= 0 && o.eps >= 0 && o.weight_decay >= 0))
            fail(ErrorCode::usage, name, "learning_rate, eps and weight_decay must not be negative");
        if (!(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1)) fail(ErrorCode::usage, name, "beta1 and beta2 must lie in [0, 1)");
    }
};

}  // namespace detail

using AdamOptions = detail::AdamRuleOptions<false>;
using AdamWOptions = detail::AdamRuleOptions<true>;

/// torch.optim.Adam (Kingma and Ba 2015): weight decay is added to the gradient (L2); eps is added after the bias correction.
class Adam : public detail::AdamRule<false> {
public:
    explicit Adam(const AdamOptions& o = {}) : AdamRule(o, "Adam") {}
};

/// torch.optim.AdamW (Loshchilov and Hutter 2019): p *= 1 - lr weight_decay first, then Adam without L2.
class AdamW : public detail::AdamRule<true> {
public:
    explicit AdamW(const AdamWOptions& o = {}) : AdamRule(o, "AdamW") {}
};

}  // namespace dla

#include <dla/core/end_exact.inl.hpp>
