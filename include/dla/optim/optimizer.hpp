// SPDX-License-Identifier: MIT
// What all optimizers are: a rule with its numbers, groups of parameters, and memory of their own for each model they step.
#pragma once

#include <dla/core/error.hpp>
#include <dla/core/finite.hpp>
#include <dla/optim/optimizer_memory.hpp>

#include <optional>
#include <string_view>

#include <dla/core/begin_exact.inl.hpp>

namespace dla::inline DLA_ABI_TAG {

/// Parameters that an optimizer treats alike (PyTorch's param_groups): those whose path matches `path` (see path_matches), with a rate and a decay of their
/// own where they are given. A schedule that halves the optimizer's rate halves the group's.
struct ParamGroup {
    std::string path;
    std::optional<double> learning_rate = {}, weight_decay = {};
};

/// How far Muon goes along the orthogonalised direction of a [rows, columns] matrix, times the learning rate (torch.optim.Muon's adjust_lr_fn).
enum class MuonFactor {
    original,         ///< sqrt(max(1, rows / columns)) (Jordan 2024)
    match_rms_adamw,  ///< 0.2 sqrt(max(rows, columns)): steps as large as AdamW's, so that its rate and decay serve both (Liu et al. 2025)
};

/// An optimizer of any kind; `Sgd`, `Adam`, `AdamW` and `Muon` are made with their own options, `make_optimizer` makes one by name.
/// It steps the parameters of one model: all that are trainable, or, when it has groups, those that match one (the first that does). What it remembers of
/// them is its own, so several optimizers may share a model; each parameter's number of steps is counted apart, also through freezing and freeing. A copy
/// has a copy of that memory.
class Optimizer {
public:
    enum class Rule { sgd, adam, adamw, muon };

    const char* name() const {
        static constexpr const char* names[] = {"sgd", "adam", "adamw", "muon"};
        return names[static_cast<int>(rule_)];
    }
    Rule rule() const { return rule_; }

    double learning_rate() const { return learning_rate_; }
    /// Throws Error(usage) for a rate that is negative or not finite.
    void set_learning_rate(double rate);
    /// Momentum of sgd and of muon's matrices, beta1 of the others.
    double momentum() const { return rule_ == Rule::sgd ? sgd_.momentum : rule_ == Rule::muon ? muon_.momentum : adam_.beta1; }
    /// Throws Error(usage) outside [0, 1), and for sgd when momentum would be switched on or off, because its velocity would be stale.
    void set_momentum(double momentum);
    double weight_decay() const { return weight_decay_; }
    bool decay_bias_and_norm() const { return decay_bias_and_norm_; }
    bool nesterov() const { return rule_ == Rule::muon ? muon_.nesterov : sgd_.nesterov; }
    const std::vector<ParamGroup>& groups() const { return groups_; }

    /// All of its numbers as text, equal for equal ones.
    std::string settings() const;

    /// Numbers remembered for each parameter value, and PyTorch's names for them; muon's matrices keep their momentum_buffer in the first.
    int slot_count() const { return rule_ != Rule::sgd ? 2 : sgd_.momentum > 0 ? 1 : 0; }
    std::span<const char* const> slot_names() const {
        static constexpr const char* of_sgd[] = {"momentum_buffer"};
        static constexpr const char* of_adam[] = {"exp_avg", "exp_avg_sq"};
        if (rule_ == Rule::sgd) return std::span<const char* const>(of_sgd, static_cast<std::size_t>(slot_count()));
        return of_adam;
    }

    /// Steps taken so far, of the parameter that has taken most.
    std::int64_t steps() const;
    /// Of each parameter of the model; empty before the first step.
    std::vector<std::int64_t> steps_of_parameters() const;
    /// For resuming, together with `write`: all parameters have taken so many. Throws Error(usage) for a negative number.
    void set_steps(std::int64_t steps);
    /// The same with a number for each parameter of the model. Throws Error(usage) for negative numbers, or another number of parameters.
    void set_steps_of_parameters(const std::vector<std::int64_t>& steps);

    /// One step on the parameters of the table, unless `report` (in the policy's memory; null: none) refuses it. Throws Error(usage) when the optimizer already
    /// steps another model, Error(model) when a group matches no parameter.
    template <class Table>
    void step(Table& table, typename Table::Report report = {}) {
        auto& memory = memory_of(table);
        for (std::size_t i = 0; i < memory.segments.size(); ++i) {
            const auto& s = memory.segments[i];
            const auto value = table.values(s.offset), gradient = table.gradients(s.offset);
            if (s.rows > 0) {
                MuonScalars settings = muon_;
                settings.learning_rate = rate_of(s.group);
                settings.weight_decay = decay_of(s);
                settings.factor = muon_factor(s.rows, s.columns);
                const auto scalars = memory.begin(i, settings, report);
                const auto& p = detail::master_policy(table.policy);
                muon_direction(p, s.count, scalars, gradient, memory.slot(0, s.offset), memory.direction());
                const auto direction = detail::orthogonalize(table.policy, memory.scratch(s), s.rows, s.columns, ns_steps_, muon_eps_, memory.direction());
                muon_update(p, s.count, scalars, direction, value);
            } else if (rule_ == Rule::sgd) {
                SgdScalars settings = sgd_;
                settings.learning_rate = rate_of(s.group);
                settings.weight_decay = decay_of(s);
                const auto scalars = memory.begin(i, settings, report);
                sgd_step(table.policy, s.count, scalars, value, gradient, slot_count() > 0 ? memory.slot(0, s.offset) : typename Table::Ptr{});
            } else {
                AdamScalars settings = adam_;
                settings.learning_rate = rate_of(s.group);
                settings.weight_decay = decay_of(s);
                settings.decoupled = rule_ != Rule::adam;
                const auto scalars = memory.begin(i, settings, report);
                adam_step(table.policy, s.count, scalars, value, gradient, memory.slot(0, s.offset), memory.slot(1, s.offset));
            }
        }
        table.refresh_weights();
    }

    /// Claims the memory for the parameters of this model now, so that no step allocates. Throws as `step` does.
    template <class Table>
    void reserve(Table& table) {
        (void)memory_of(table);
    }

    /// What the optimizer remembers of a parameter, in PyTorch's order; zeros before its first step. `slot`: 0 or 1, see slot_names.
    template <class Table, class Row>
    void read(const Table& table, int slot, const Row& row, std::span<typename Table::T> host) const {
        if (!memory_ || memory_->table != table.id()) return std::fill(host.begin(), host.end(), typename Table::T(0));
        const auto& memory = static_cast<const OptimizerMemory<Table>&>(*memory_);
        if (!memory.covers(row)) return std::fill(host.begin(), host.end(), typename Table::T(0));
        table.read(memory.slot(slot, row.offset), row, host);
    }
    /// For resuming. Parameters that the optimizer does not step are left out.
    template <class Table, class Row>
    void write(Table& table, int slot, const Row& row, std::span<const typename Table::T> host) {
        auto& memory = memory_of(table);
        if (memory.covers(row)) table.write(memory.slot(slot, row.offset), row, host);
    }

protected:
    Optimizer(Rule rule, double learning_rate, double weight_decay, bool decay_bias_and_norm, std::vector<ParamGroup> groups);
    SgdScalars sgd_{};
    AdamScalars adam_{};
    MuonScalars muon_{};  // its matrices; adam_ is what it does to the rest
    MuonFactor factor_ = MuonFactor::original;
    int ns_steps_ = 5;
    double muon_eps_ = 1e-7;
    std::vector<std::string> no_matrices_ = {};

private:
    double rate_of(int group) const;
    double muon_factor(index_t rows, index_t columns) const;
    template <class Run>
    double decay_of(const Run& s) const {
        if (!s.decays) return 0;
        return s.group < 0 ? weight_decay_ : groups_[static_cast<std::size_t>(s.group)].weight_decay.value_or(weight_decay_);
    }
    /// The memory for this model, planned for what is trainable now.
    template <class Table>
    OptimizerMemory<Table>& memory_of(Table& table) {
        if (memory_ && memory_->table != table.id())
            fail(ErrorCode::usage, name(), "this optimizer already steps another model, whose moments it remembers; make one for each model");
        if (!memory_) {
            auto memory = std::make_unique<OptimizerMemory<Table>>(table, slot_count());
            memory->plan(table, choice(), steps_);
            memory_ = std::move(memory);
        }
        auto& memory = static_cast<OptimizerMemory<Table>&>(*memory_);
        if (memory.version() != table.version()) memory.plan(table, choice(), steps_);
        return memory;
    }
    OptimizerChoice choice() const;

    Rule rule_;
    double learning_rate_, first_rate_, weight_decay_;
    bool decay_bias_and_norm_;
    std::vector<ParamGroup> groups_;
    std::vector<std::int64_t> steps_{0};  // taken before there was memory: by all, or by each parameter
    OptimizerMemoryPtr memory_;
};

}  // namespace dla::inline DLA_ABI_TAG

#include <dla/core/end_exact.inl.hpp>

#if DLA_BODIES
#include <dla/optim/optimizer.impl.hpp>
#endif
