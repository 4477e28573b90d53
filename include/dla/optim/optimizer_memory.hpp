// SPDX-License-Identifier: MIT
// What an optimizer remembers of the parameters of one model, in the memory of the model's policy.
#pragma once

#include <dla/core/arena.hpp>
#include <dla/kernels/types.hpp>
#include <dla/optim/orthogonalize.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

namespace dla {

/// A run of neighbouring values that are treated alike.
struct OptimizerRun {
    index_t offset = 0, count = 0;
    int group = -1;  ///< -1: the optimizer has no groups
    bool decays = true;
    std::size_t first = 0, end = 0;  ///< rows of the table
    index_t rows = 0, columns = 0;   ///< of a matrix that is stepped as one; else 0
};
/// What an optimizer steps: its runs, and the values from the first to the last parameter that it may step.
struct OptimizerPlan {
    std::vector<OptimizerRun> runs;
    index_t begin = 0, end = 0;
};
/// What an optimizer looks at in a row of the table.
struct OptimizerRow {
    std::string_view path;
    bool trainable = true, is_weight = true;
    index_t offset = 0, end = 0;
    std::int64_t steps = 0;
    index_t rows = 0, columns = 0;  ///< of a matrix that is stepped as one; else 0
};
/// Which parameters an optimizer steps, and how.
struct OptimizerChoice {
    std::vector<std::string_view> groups;            ///< paths; empty: all parameters
    bool by_kind = false;                            ///< biases and normalisation layers do not decay
    bool matrices = false;                           ///< weights of two dimensions or more are matrices, stepped as one, [out, all others]
    std::vector<std::string_view> no_matrices = {};  ///< but not these
};
/// Groups the trainable parameters. Throws Error(model) when a group, or what is to be no matrix, matches none of the rows.
DLA_ONCE OptimizerPlan plan_optimizer(const std::vector<OptimizerRow>& rows, const OptimizerChoice& choice);

/// The part that does not depend on the policy.
class OptimizerMemoryBase {
public:
    explicit OptimizerMemoryBase(std::uint64_t id) : table(id) {}
    virtual ~OptimizerMemoryBase() = default;
    virtual std::unique_ptr<OptimizerMemoryBase> clone() const = 0;
    virtual std::int64_t steps() const = 0;
    virtual void set_steps(std::int64_t steps) = 0;
    /// Of each row of the table.
    virtual std::vector<std::int64_t> steps_of_rows() const = 0;
    virtual void set_steps_of_rows(const std::vector<std::int64_t>& steps) = 0;

    std::uint64_t table;  ///< which model's parameters: ParamTable::id
};

/// Owns an OptimizerMemoryBase; copies are deep.
class OptimizerMemoryPtr {
public:
    OptimizerMemoryPtr() = default;
    OptimizerMemoryPtr(const OptimizerMemoryPtr& other) : memory_(other.memory_ ? other.memory_->clone() : nullptr) {}
    OptimizerMemoryPtr(OptimizerMemoryPtr&&) noexcept = default;
    OptimizerMemoryPtr& operator=(OptimizerMemoryPtr other) noexcept {
        memory_ = std::move(other.memory_);
        return *this;
    }
    OptimizerMemoryPtr& operator=(std::unique_ptr<OptimizerMemoryBase> memory) noexcept {
        memory_ = std::move(memory);
        return *this;
    }
    explicit operator bool() const { return memory_ != nullptr; }
    OptimizerMemoryBase* operator->() const { return memory_.get(); }
    OptimizerMemoryBase& operator*() const { return *memory_; }

private:
    std::unique_ptr<OptimizerMemoryBase> memory_;
};

/// Slots (moments, velocity) for the span of parameters that the optimizer steps, and for each run of parameters treated alike its numbers and its steps.
template <class Table>
class OptimizerMemory final : public OptimizerMemoryBase {
public:
    using T = typename Table::T;
    using Ptr = typename Table::Ptr;
    using P = decltype(Table::policy);

    using Run = OptimizerRun;
    std::vector<Run> segments;

    OptimizerMemory(const Table& t, int slots) : OptimizerMemoryBase(t.id()), policy_(t.policy), slots_(slots), claimed_(t.optimizers) {}
    ~OptimizerMemory() override { note_bytes({}); }

    std::unique_ptr<OptimizerMemoryBase> clone() const override {
        auto copy = std::make_unique<OptimizerMemory>(*this, Copy{});
        return copy;
    }

    std::uint64_t version() const { return version_; }

    /// Groups the trainable parameters; rows have taken `fresh` steps at first (one number for all, or one for each). Throws Error(model) when a group matches
    /// no parameter of the table.
    [[gnu::cold]] void plan(const Table& t, const OptimizerChoice& choice, const std::vector<std::int64_t>& fresh) {
        std::vector<std::int64_t> steps = !row_steps_.empty()                   ? counted()
                                          : fresh.size() == t.parameters.size() ? fresh
                                                                                : std::vector<std::int64_t>(t.parameters.size(), fresh.at(0));
        std::vector<OptimizerRow> rows;
        for (std::size_t i = 0; i < t.parameters.size(); ++i) {
            const auto& row = t.parameters[i];
            const bool is_weight = row.kind == std::decay_t<decltype(row.kind)>::weight;
            rows.push_back({row.path, row.trainable, is_weight, row.offset, t.end_of(i), steps[i]});
            if (choice.matrices && is_weight && row.dims.rank >= 2) rows.back().rows = row.dims.d[0], rows.back().columns = row.count / row.dims.d[0];
        }
        OptimizerPlan found = plan_optimizer(rows, choice);
        std::vector<Run>& runs = found.runs;
        const index_t begin = found.begin, end = found.end;
        // Everything that may fail comes first: a plan is made or it is not.
        Arena<P> control(policy_, static_cast<index_t>(runs.size()) * control_bytes), slots[2];
        const bool first = row_steps_.empty();
        for (int s = 0; first && end > begin && s < slots_; ++s) slots[s] = Arena<P>(policy_, (end - begin) * static_cast<index_t>(sizeof(T)));
        std::vector<Told> told(runs.size());
        index_t work_bytes = 0;
        for (const Run& run : runs)
            if (run.rows > 0) work_bytes = std::max(work_bytes, direction_bytes(run) + detail::OrthogonalizeScratch<P>(policy_, run.rows, run.columns).bytes());
        Arena<P> work(policy_, work_bytes);
        if (first) {
            begin_ = begin;
            end_ = end;
            for (int s = 0; s < slots_; ++s) slot_memory_[s] = std::move(slots[s]);
        }
        control_ = std::move(control);
        work_ = std::move(work);
        segments = std::move(runs);
        row_steps_ = std::move(steps);
        told_ = std::move(told);
        version_ = t.version();
        for (std::size_t i = 0; i < segments.size(); ++i) put(policy_, counter(i), &row_steps_[segments[i].first], 1);
        note_bytes();
    }

    /// There is memory for the parameter of this row.
    template <class Row>
    bool covers(const Row& row) const {
        return slots_ > 0 && row.offset >= begin_ && row.offset + row.count <= end_;
    }
    Ptr slot(int i, index_t offset) const { return slot_memory_[i].template at<T>((offset - begin_) * static_cast<index_t>(sizeof(T))); }

    /// Where the direction of a step of a matrix is worked out, and memory for doing it.
    Ptr direction() const { return work_.template at<T>(0); }
    kernel::Scratch<P> scratch(const Run& run) const { return work_.template at<std::byte>(direction_bytes(run)); }

    /// Begins a step of run `i`: gives where its numbers are. The policy is told the settings when they change, not at every step.
    template <class Scalars>
    typename P::template pointer<const Scalars> begin(std::size_t i, const Scalars& settings, const typename Table::Report& report) {
        static_assert(sizeof(Scalars) <= settings_bytes && std::is_trivially_copyable_v<Scalars>);
        const auto place = control_.template at<Scalars>(static_cast<index_t>(i) * control_bytes);
        auto& told = told_[i];
        Scalars before;
        if (told.known) std::memcpy(&before, told.bytes.data(), sizeof before);
        if (!told.known || !(before == settings)) {
            told.known = false;  // in case the copy fails
            put(policy_, place, &settings, 1);
            std::memcpy(told.bytes.data(), &settings, sizeof settings);
            told.known = true;
        }
        const auto scalars = control_.template at<Scalars>(static_cast<index_t>(i) * control_bytes + settings_bytes);
        if constexpr (std::is_same_v<Scalars, SgdScalars>)
            begin_sgd_step(policy_, place, report, counter(i), scalars);
        else if constexpr (std::is_same_v<Scalars, MuonScalars>)
            begin_muon_step(policy_, place, report, counter(i), scalars);
        else
            begin_adam_step(policy_, place, report, counter(i), scalars);
        return scalars;
    }

    std::vector<std::int64_t> steps_of_rows() const override { return counted(); }
    void set_steps_of_rows(const std::vector<std::int64_t>& steps) override {
        row_steps_ = steps;
        segments.clear();  // runs have steps in common; the next step cuts them anew
        version_ = no_version;
    }
    std::int64_t steps() const override {
        const auto all = counted();
        return all.empty() ? 0 : *std::max_element(all.begin(), all.end());
    }
    void set_steps(std::int64_t steps) override {
        row_steps_.assign(row_steps_.size(), steps);
        for (std::size_t i = 0; i < segments.size(); ++i) put(policy_, counter(i), &steps, 1);
    }

private:
    static constexpr std::uint64_t no_version = UINT64_MAX;
    static constexpr index_t settings_bytes = OptimizerBytes::settings, control_bytes = OptimizerBytes::control_of_run;
    struct Copy {};

public:
    [[gnu::cold]] OptimizerMemory(const OptimizerMemory& other, Copy)
        : OptimizerMemoryBase(other.table),
          segments(other.segments),
          policy_(other.policy_),
          slots_(other.slots_),
          begin_(other.begin_),
          end_(other.end_),
          version_(other.version_),
          row_steps_(other.row_steps_),
          told_(other.told_),
          claimed_(other.claimed_) {
        const auto copy = [&](Arena<P>& to, const Arena<P>& from) {
            to = Arena<P>(policy_, from.bytes());
            if (from.bytes() > 0) policy_.copy(to.data(), from.data(), from.bytes());
        };
        for (int s = 0; s < slots_; ++s) copy(slot_memory_[s], other.slot_memory_[s]);
        copy(control_, other.control_);
        work_ = Arena<P>(policy_, other.work_.bytes());
        note_bytes();
    }

private:
    static index_t direction_bytes(const Run& run) { return align_up(run.rows * run.columns * static_cast<index_t>(sizeof(T))); }
    auto counter(std::size_t i) const { return control_.template at<std::int64_t>(static_cast<index_t>(i) * control_bytes + 2 * settings_bytes); }
    /// Steps of each row, from the counters of the runs.
    std::vector<std::int64_t> counted() const {
        std::vector<std::int64_t> steps = row_steps_;
        for (std::size_t i = 0; i < segments.size(); ++i) {
            std::int64_t n = 0;
            fetch(policy_, &n, counter(i), 1);
            std::fill(steps.begin() + static_cast<std::ptrdiff_t>(segments[i].first), steps.begin() + static_cast<std::ptrdiff_t>(segments[i].end), n);
        }
        return steps;
    }
    void note_bytes() { note_bytes({slot_memory_[0].bytes() + slot_memory_[1].bytes() + work_.bytes(), control_.bytes()}); }
    void note_bytes(const OptimizerBytes& now) {
        claimed_->slots += now.slots - bytes_.slots;
        claimed_->control += now.control - bytes_.control;
        bytes_ = now;
    }

    P policy_;
    int slots_;
    index_t begin_ = 0, end_ = 0;  // the values that have slots
    std::uint64_t version_ = 0;
    std::vector<std::int64_t> row_steps_;
    struct Told {
        bool known = false;
        std::array<std::byte, settings_bytes> bytes{};
    };
    std::vector<Told> told_;  // settings of each run that the policy's memory holds
    Arena<P> slot_memory_[2], control_, work_;
    std::shared_ptr<OptimizerBytes> claimed_;  // what the table says that optimizers take
    OptimizerBytes bytes_;
};

}  // namespace dla

#if DLA_BODIES
#include <dla/optim/optimizer_memory.impl.hpp>
#endif
