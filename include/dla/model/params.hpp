// SPDX-License-Identifier: MIT
// The table of a model's parameters: rows with names over flat memory. Optimizers, checkpoints and statistics are loops over it.
#pragma once

#include <dla/model/param_memory.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

namespace dla {

namespace detail {

/// One sequence for the tables of all policies.
inline std::uint64_t next_table_id() {
    static std::atomic<std::uint64_t> next{1};
    return next++;
}

/// A count that threads read while others increase it; it moves with what it counts for.
class SharedCount {
public:
    SharedCount() = default;
    SharedCount(SharedCount&& o) noexcept : count_(o.value()) {}
    SharedCount& operator=(SharedCount&& o) noexcept {
        count_.store(o.value(), std::memory_order_relaxed);
        return *this;
    }
    void increase() { count_.fetch_add(1, std::memory_order_relaxed); }
    std::uint64_t value() const { return count_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> count_{1};
};

}  // namespace detail

/// Rows and their memory: masters and gradients in two flat arenas with the same offsets, the weights that products read, buffers, counters.
template <class P>
class ParamTable : public ParamIndex {
public:
    using T = typename P::master;
    using S = typename P::statistic;
    using Ptr = kernel::MasterPtr<P>;
    using Report = typename P::template pointer<const StepReport>;
    /// Products read the masters themselves.
    static constexpr bool weights_are_masters = std::is_same_v<typename P::weight, T>;

    P policy;

    ParamTable() = default;
    explicit ParamTable(const P& p) : policy(p) {}

    /// Claims the memory once the rows are known.
    [[gnu::cold]] void allocate() {
        values_ = arena<T>(value_count);
        gradients_ = arena<T>(value_count);
        if constexpr (!weights_are_masters) weights_ = arena<typename P::weight>(value_count);
        buffers_ = arena<S>(buffer_count);
        counters_ = arena<std::int64_t>(static_cast<index_t>(counters.size()));
        kept_buffers_ = arena<S>(buffer_count);
        kept_counters_ = arena<std::int64_t>(static_cast<index_t>(counters.size()));
        squares_ = arena<double>(static_cast<index_t>(parameters.size()) + 1);
        modes_ = std::make_unique<bool[]>(modes.size());
        refresh_segments();
    }

    /// The masters, to be written: call `refresh_weights` when they are.
    Ptr values(index_t offset = 0) {
        note_written();
        return masters(offset);
    }
    kernel::ConstMasterPtr<P> values(index_t offset = 0) const { return masters(offset); }
    Ptr gradients(index_t offset = 0) const { return gradients_.template at<T>(bytes<T>(offset)); }
    /// What products read: the masters, or their copy in fewer digits.
    kernel::WeightPtr<P> weights(index_t offset = 0) const {
        if constexpr (weights_are_masters)
            return masters(offset);
        else
            return weights_.template at<typename P::weight>(bytes<typename P::weight>(offset));
    }
    /// Running statistics, to be written: as with `values`, what a workspace made of them is made anew before the next prediction.
    kernel::StatisticPtr<P> buffer(index_t offset) {
        note_written();
        return buffers_.template at<S>(bytes<S>(offset));
    }
    kernel::ConstStatisticPtr<P> buffer(index_t offset) const { return buffers_.template at<S>(bytes<S>(offset)); }
    auto counter(index_t offset) const { return counters_.template at<std::int64_t>(bytes<std::int64_t>(offset)); }
    const bool* mode(std::size_t i) const { return modes_.get() + i; }

    /// Brings what products read up to date after masters were written through `values`: their copy in fewer digits, and before the next prediction what a
    /// workspace made of them.
    void refresh_weights() {
        note_written();
        if constexpr (!weights_are_masters)
            if (value_count > 0) cast(policy, value_count, masters(0), weights());
    }

    void zero_gradients() { fill(policy, value_count, T(0), gradients()); }

    /// Squares of the norms of runs of trainable gradients, left in the policy's memory; gives their number. The total is the business of `decide_step`.
    index_t sum_squares() {
        index_t n = 0;
        for (const Segment& s : trainable_) sum_of_squares(policy, scratch_.data(), s.count, gradients(s.offset), squares() + n++);
        return n;
    }
    auto squares() const { return squares_.template at<double>(0); }
    /// Where the total lies.
    auto total_squares() const { return squares_.template at<double>(bytes<double>(static_cast<index_t>(parameters.size()))); }
    /// Scales trainable gradients by what `total_squares` says, in the policy's memory.
    void scale_gradients(double max_norm) {
        for (const Segment& s : trainable_) clip_scale(policy, s.count, total_squares(), max_norm, gradients(s.offset));
    }

    /// Global L2 norm of all trainable gradients.
    double gradient_norm() {
        std::vector<double> parts(static_cast<std::size_t>(sum_squares()));
        fetch(policy, parts.data(), squares(), std::ssize(parts));
        double total = 0;
        for (const double part : parts) total += part;
        put(policy, total_squares(), &total, 1);
        return std::sqrt(total);
    }
    /// Scales all trainable gradients so that their global norm is at most `max_norm`; returns the norm before (torch.nn.utils.clip_grad_norm_).
    /// When the norm is infinite or NaN the gradients stay as they are (PyTorch would turn infinities into NaN): the caller skips the step or stops.
    double clip_gradients(double max_norm) {
        const double norm = gradient_norm();
        scale_gradients(max_norm);
        return norm;
    }

    /// Freezes (or frees) every parameter whose path matches `pattern` (see path_matches): no optimizer touches it, as with requires_grad = False in PyTorch.
    /// What a layer measures by itself goes on: see `set_eval` for running statistics and dropout. Throws Error(model) when no parameter matches.
    void freeze(std::string_view pattern, bool frozen = true) {
        int found = 0;
        for (ParamRow& row : parameters)
            if (path_matches(pattern, row.path)) row.trainable = !frozen, ++found;
        if (found == 0) fail(ErrorCode::model, pattern, "no parameter matches; see the paths in summary(model)");
        refresh_segments();
        ++version_;
    }
    /// Layers whose path matches `pattern` train as they infer, as with `module.eval()` in PyTorch: normalisation uses its running statistics and leaves them
    /// as they are, dropout passes everything on. Their parameters still learn unless they are frozen. Throws Error(model) when no such layer matches.
    void set_eval(std::string_view pattern, bool eval = true) {
        int found = 0;
        for (std::size_t i = 0; i < modes.size(); ++i)
            if (path_matches(pattern, modes[i].path)) modes_[i] = eval, ++found;
        ++mode_version_;
        if (found == 0)
            fail(ErrorCode::model, pattern, "no layer that trains otherwise than it infers (BatchNorm, Dropout) matches; see the paths in summary(model)");
    }
    /// Paths of the layers that train as they infer (set_eval).
    std::vector<std::string> eval_layers() const {
        std::vector<std::string> paths;
        for (std::size_t i = 0; i < modes.size(); ++i)
            if (modes_[i]) paths.push_back(modes[i].path);
        return paths;
    }
    /// What is frozen and what is in eval mode becomes as in the table of an equal network.
    void copy_modes(const ParamTable& from) {
        for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].trainable = from.parameters[i].trainable;
        std::copy_n(from.modes_.get(), modes.size(), modes_.get());
        refresh_segments();
        ++version_, ++mode_version_;
    }
    /// Fewest samples that a training step, or a part of one, can take: normalisation over the batch needs two values of every feature.
    index_t least_batch() const {
        for (std::size_t i = 0; i < modes.size(); ++i)
            for (const LayerRow& row : layers)
                if (!modes_[i] && row.path == modes[i].path && row.type.starts_with("BatchNorm") && row.in.size() == row.in.d[0]) return 2;
        return 1;
    }
    /// Changes with what is frozen.
    std::uint64_t version() const { return version_; }
    /// Changes with what is in eval mode.
    std::uint64_t mode_version() const { return mode_version_; }
    /// Grows whenever values or running statistics may have been written.
    std::uint64_t values_version() const { return written_.value(); }
    /// Says that they may have been.
    void note_written() { written_.increase(); }
    /// Of this table among all of the process.
    std::uint64_t id() const { return id_; }

    /// A parameter's array in PyTorch's order, through host memory. `host` has row.count values.
    void read(ParamPart part, const ParamRow& row, std::span<T> host) const { read_array<T>(at(part, row.offset), row.order, row.count, host); }
    void write(ParamPart part, const ParamRow& row, std::span<const T> host) {
        write_array<T>(at(part, row.offset), row.order, row.count, host);
        if (part == ParamPart::value) note_written();
        if constexpr (!weights_are_masters)
            if (part == ParamPart::value) cast(policy, row.count, masters(row.offset), weights(row.offset));
    }
    void read(const BufferRow& row, std::span<S> host) const { read_array<S>(buffer(row.offset), row.order, row.count, host); }
    void write(const BufferRow& row, std::span<const S> host) { write_array<S>(buffer(row.offset), row.order, row.count, host); }
    std::int64_t read(const CounterRow& row) const {
        std::int64_t value = 0;
        fetch(policy, &value, counter(row.offset), 1);
        return value;
    }
    void write(const CounterRow& row, std::int64_t value) { put(policy, counter(row.offset), &value, 1); }
    /// The same of an array elsewhere that has a value for each of the parameter's, such as an optimizer's memory.
    void read(Ptr array, const ParamRow& row, std::span<T> host) const { read_array<T>(array, row.order, row.count, host); }
    void write(Ptr array, const ParamRow& row, std::span<const T> host) const { write_array<T>(array, row.order, row.count, host); }

    /// Remembers buffers and counters, for `put_statistics` or `restore_statistics`.
    void take_statistics() {
        if (buffers_.bytes() > 0) policy.copy(kept_buffers_.data(), buffers_.data(), buffers_.bytes());
        if (counters_.bytes() > 0) policy.copy(kept_counters_.data(), counters_.data(), counters_.bytes());
    }
    void put_statistics() {
        note_written();
        if (buffers_.bytes() > 0) policy.copy(buffers_.data(), kept_buffers_.data(), buffers_.bytes());
        if (counters_.bytes() > 0) policy.copy(counters_.data(), kept_counters_.data(), counters_.bytes());
    }
    /// Puts them back if the step was refused.
    void restore_statistics(const Report& report) {
        note_written();
        if (buffers_.bytes() > 0) restore_unless_applied(policy, report, buffers_.bytes(), kept_buffers_.data(), buffers_.data());
        if (counters_.bytes() > 0) restore_unless_applied(policy, report, counters_.bytes(), kept_counters_.data(), counters_.data());
    }

    /// Bytes that are claimed now. Optimizers add theirs while they live.
    ParamMemory memory() const {
        return {.weights = values_.bytes() + weights_.bytes(),
                .gradients = gradients_.bytes(),
                .optimizer = optimizers->slots,
                .buffers = 2 * (buffers_.bytes() + counters_.bytes()),
                .control = scratch_.bytes() + squares_.bytes() + optimizers->control,
                .has_optimizer = optimizers->control > 0};
    }
    std::shared_ptr<OptimizerBytes> optimizers = std::make_shared<OptimizerBytes>();

private:
    template <class V>
    static constexpr index_t bytes(index_t count) {
        return count * static_cast<index_t>(sizeof(V));
    }
    template <class V>
    Arena<P> arena(index_t count) const {
        return Arena<P>(policy, bytes<V>(count));
    }
    Ptr masters(index_t offset) const { return values_.template at<T>(bytes<T>(offset)); }
    Ptr at(ParamPart part, index_t offset) const { return part == ParamPart::value ? masters(offset) : gradients(offset); }

    template <class V>
    void read_array(typename P::template pointer<const V> from, const DiskOrder& order, index_t count, std::span<V> host) const {
        if (order.pixels == 1) return fetch(policy, host.data(), from, count);
        std::vector<V> memory(static_cast<std::size_t>(count));
        fetch(policy, memory.data(), from, count);
        order.for_each([&](std::size_t disk, std::size_t mem) { host[disk] = memory[mem]; });
    }
    template <class V>
    void write_array(typename P::template pointer<V> to, const DiskOrder& order, index_t count, std::span<const V> host) const {
        if (order.pixels == 1) return put(policy, to, host.data(), count);
        std::vector<V> memory(static_cast<std::size_t>(count));
        order.for_each([&](std::size_t disk, std::size_t mem) { memory[mem] = host[disk]; });
        put(policy, to, memory.data(), count);
    }

    [[gnu::cold]] void refresh_segments() {
        trainable_.clear();
        for (std::size_t i = 0; i < parameters.size(); ++i) {
            if (!parameters[i].trainable) continue;
            const index_t begin = parameters[i].offset, count = end_of(i) - begin;
            if (!trainable_.empty() && trainable_.back().offset + trainable_.back().count == begin)
                trainable_.back().count += count;
            else
                trainable_.push_back({begin, count});
        }
        // Scratch memory of a sum need not grow with the number of values: look at each run.
        index_t scratch = 0;
        for (const Segment& s : trainable_) scratch = std::max(scratch, sum_of_squares_scratch(policy, s.count));
        if (scratch > scratch_.bytes()) scratch_ = Arena<P>(policy, scratch);
    }

    Arena<P> values_, weights_, gradients_, buffers_, counters_, kept_buffers_, kept_counters_, squares_, scratch_;
    std::unique_ptr<bool[]> modes_;
    std::vector<Segment> trainable_;
    std::uint64_t version_ = 0, mode_version_ = 0;
    detail::SharedCount written_;
    std::uint64_t id_ = detail::next_table_id();
};

}  // namespace dla
