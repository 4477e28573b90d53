// SPDX-License-Identifier: MIT
// The table of a model's parameters: rows with names over flat memory. Optimizers, checkpoints and statistics are loops over it.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/model/param_index.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

namespace dla {

/// Bytes of a table's memory, by use.
struct ParamMemory {
    index_t weights = 0, gradients = 0;
    index_t optimizer = 0;  ///< slots; claimed by an optimizer's first step
    index_t buffers = 0;    ///< running statistics and counters
    index_t control = 0;    ///< what kernels of the optimizer and of the gradient norm are told
    bool operator==(const ParamMemory&) const = default;
};

/// Rows and their memory: values and gradients in two flat arenas with the same offsets, optimizer slots likewise, buffers, counters.
template <class P>
class ParamTable : public ParamIndex {
public:
    using T = typename P::scalar;
    using Ptr = typename P::template pointer<T>;

    P policy;

    ParamTable() = default;

    /// Claims the memory once the rows are known.
    void allocate() {
        values_ = Arena<P>(bytes(value_count));
        gradients_ = Arena<P>(bytes(value_count));
        buffers_ = Arena<P>(bytes(buffer_count));
        counters_ = Arena<P>(static_cast<index_t>(counters.size() * sizeof(std::int64_t)));
        control_ = Arena<P>(static_cast<index_t>(max_segments()) * control_bytes);
        norm_ = Arena<P>(alignment);
        refresh_segments();
    }

    Ptr values(index_t offset = 0) const { return values_.template at<T>(bytes(offset)); }
    Ptr gradients(index_t offset = 0) const { return gradients_.template at<T>(bytes(offset)); }
    Ptr buffer(index_t offset) const { return buffers_.template at<T>(bytes(offset)); }
    auto counter(index_t offset) const { return counters_.template at<std::int64_t>(offset * static_cast<index_t>(sizeof(std::int64_t))); }

    /// Optimizer memory number `i` (0 or 1), with the same offsets as the values; zero when first asked for.
    Ptr slot(int i, index_t offset = 0) {
        Arena<P>& arena = slots_[i];
        if (arena.bytes() == 0) arena = Arena<P>(bytes(value_count));
        return arena.template at<T>(bytes(offset));
    }
    bool has_slot(int i) const { return slots_[i].bytes() > 0; }
    /// Forgets what an optimizer remembered.
    void clear_slots() {
        for (Arena<P>& arena : slots_)
            if (arena.bytes() > 0) fill(policy, value_count, T(0), arena.template at<T>(0));
    }

    void zero_gradients() { fill(policy, value_count, T(0), gradients()); }

    /// Global L2 norm of all trainable gradients; its square stays in the policy's memory for `clip_gradients`.
    double gradient_norm() {
        double total = 0;
        for (const Segment& s : trainable_) {
            auto out = norm_.template at<double>(0);
            sum_of_squares(policy, scratch_.data(), s.count, gradients(s.offset), out);
            double part = 0;
            P::copy_out(&part, P::template pointer_cast<std::byte>(out), sizeof part);
            total += part;
        }
        P::copy_in(P::template pointer_cast<std::byte>(norm_.template at<double>(0)), &total, sizeof total);
        return std::sqrt(total);
    }
    /// Scales all trainable gradients so that their global norm is at most `max_norm`; returns the norm before (torch.nn.utils.clip_grad_norm_).
    /// When the norm is infinite or NaN the gradients stay as they are (PyTorch would turn infinities into NaN): the caller skips the step or stops.
    double clip_gradients(double max_norm) {
        const double norm = gradient_norm();
        if (is_finite(norm))
            for (const Segment& s : trainable_) clip_scale(policy, s.count, norm_.template at<double>(0), max_norm, gradients(s.offset));
        return norm;
    }

    /// Runs of trainable values; with `by_kind` weights (which decay) apart from biases and normalisation (which do not).
    const std::vector<Segment>& segments(bool by_kind) const { return by_kind ? by_kind_ : trainable_; }

    /// Copies the numbers of segment `i`'s step into the policy's memory and returns where they are.
    template <class Scalars>
    typename P::template pointer<const Scalars> control(std::size_t i, const Scalars& scalars) {
        static_assert(sizeof(Scalars) <= control_bytes);
        const index_t offset = static_cast<index_t>(i) * control_bytes;
        P::copy_in(control_.data() + offset, &scalars, sizeof scalars);
        return control_.template at<const Scalars>(offset);
    }

    /// Freezes (or frees) every parameter whose path matches `pattern` (see path_matches). Throws Error(model) when none does.
    /// After freeing, start with a new optimizer: the old one corrects its averages for all steps it has taken, also those that this parameter missed.
    void freeze(std::string_view pattern, bool frozen = true) {
        int found = 0;
        for (ParamRow& row : parameters)
            if (path_matches(pattern, row.path)) row.trainable = !frozen, ++found;
        if (found == 0) fail(ErrorCode::model, pattern, "no parameter matches; see the paths in summary(model)");
        refresh_segments();
    }

    /// A parameter's array in PyTorch's order, through host memory. `host` has row.count values.
    void read(ParamPart part, const ParamRow& row, std::span<T> host) const {
        if ((part == ParamPart::slot0 && !has_slot(0)) || (part == ParamPart::slot1 && !has_slot(1))) {
            std::fill(host.begin(), host.end(), T(0));  // an optimizer has not asked for it yet
            return;
        }
        read(at(part, row.offset), row.order, row.count, host);
    }
    void write(ParamPart part, const ParamRow& row, std::span<const T> host) { write(writable(part, row.offset), row.order, row.count, host); }
    void read(const BufferRow& row, std::span<T> host) const { read(buffer(row.offset), row.order, row.count, host); }
    void write(const BufferRow& row, std::span<const T> host) { write(buffer(row.offset), row.order, row.count, host); }
    std::int64_t read(const CounterRow& row) const {
        std::int64_t value = 0;
        P::copy_out(&value, P::template pointer_cast<std::byte>(counter(row.offset)), sizeof value);
        return value;
    }
    void write(const CounterRow& row, std::int64_t value) { P::copy_in(P::template pointer_cast<std::byte>(counter(row.offset)), &value, sizeof value); }

    /// Remembers buffers and counters in `kept`, for `put_statistics`.
    void take_statistics(std::array<Arena<P>, 2>& kept) const {
        kept = {Arena<P>(buffers_.bytes()), Arena<P>(counters_.bytes())};
        if (buffers_.bytes() > 0) P::copy(kept[0].data(), buffers_.data(), buffers_.bytes());
        if (counters_.bytes() > 0) P::copy(kept[1].data(), counters_.data(), counters_.bytes());
    }
    void put_statistics(const std::array<Arena<P>, 2>& kept) {
        if (buffers_.bytes() > 0) P::copy(buffers_.data(), kept[0].data(), buffers_.bytes());
        if (counters_.bytes() > 0) P::copy(counters_.data(), kept[1].data(), counters_.bytes());
    }

    /// Bytes that are claimed now.
    ParamMemory memory() const {
        return {.weights = values_.bytes(),
                .gradients = gradients_.bytes(),
                .optimizer = slots_[0].bytes() + slots_[1].bytes(),
                .buffers = buffers_.bytes() + counters_.bytes(),
                .control = control_.bytes() + scratch_.bytes() + norm_.bytes()};
    }

private:
    static constexpr index_t control_bytes = 128;
    static constexpr index_t bytes(index_t count) { return count * static_cast<index_t>(sizeof(T)); }
    std::size_t max_segments() const { return parameters.size() + 1; }

    Ptr at(ParamPart part, index_t offset) const {
        switch (part) {
            case ParamPart::value:
                return values(offset);
            case ParamPart::gradient:
                return gradients(offset);
            default:
                return slots_[part == ParamPart::slot0 ? 0 : 1].template at<T>(bytes(offset));
        }
    }
    Ptr writable(ParamPart part, index_t offset) {
        return part == ParamPart::slot0 || part == ParamPart::slot1 ? slot(part == ParamPart::slot0 ? 0 : 1, offset) : at(part, offset);
    }

    static void read(Ptr from, const DiskOrder& order, index_t count, std::span<T> host) {
        if (order.pixels == 1) {
            P::copy_out(host.data(), P::template pointer_cast<std::byte>(from), bytes(count));
            return;
        }
        std::vector<T> memory(static_cast<std::size_t>(count));
        P::copy_out(memory.data(), P::template pointer_cast<std::byte>(from), bytes(count));
        reorder(order, [&](std::size_t disk, std::size_t mem) { host[disk] = memory[mem]; });
    }
    static void write(Ptr to, const DiskOrder& order, index_t count, std::span<const T> host) {
        if (order.pixels == 1) {
            P::copy_in(P::template pointer_cast<std::byte>(to), host.data(), bytes(count));
            return;
        }
        std::vector<T> memory(static_cast<std::size_t>(count));
        reorder(order, [&](std::size_t disk, std::size_t mem) { memory[mem] = host[disk]; });
        P::copy_in(P::template pointer_cast<std::byte>(to), memory.data(), bytes(count));
    }
    /// Calls f(index in PyTorch's order, index in memory) for every value.
    template <class F>
    static void reorder(const DiskOrder& o, const F& f) {
        for (index_t outer = 0; outer < o.outer; ++outer)
            for (index_t c = 0; c < o.channels; ++c)
                for (index_t p = 0; p < o.pixels; ++p)
                    f(static_cast<std::size_t>((outer * o.channels + c) * o.pixels + p), static_cast<std::size_t>((outer * o.pixels + p) * o.channels + c));
    }

    void refresh_segments() {
        trainable_.clear();
        by_kind_.clear();
        for (std::size_t i = 0; i < parameters.size(); ++i) {
            const ParamRow& row = parameters[i];
            if (!row.trainable) continue;
            const index_t end = i + 1 < parameters.size() ? parameters[i + 1].offset : value_count;
            const Segment s{row.offset, end - row.offset, row.kind == ParamKind::weight};
            extend(trainable_, {s.offset, s.count, true});
            extend(by_kind_, s);
        }
        // Scratch memory of a sum need not grow with the number of values: look at each run.
        index_t scratch = 0;
        for (const Segment& s : trainable_) scratch = std::max(scratch, sum_of_squares_scratch(policy, s.count));
        if (scratch > scratch_.bytes()) scratch_ = Arena<P>(scratch);
    }
    static void extend(std::vector<Segment>& list, const Segment& s) {
        if (!list.empty() && list.back().offset + list.back().count == s.offset && list.back().decays == s.decays)
            list.back().count += s.count;
        else
            list.push_back(s);
    }

    Arena<P> values_, gradients_, buffers_, counters_, control_, scratch_, norm_;
    Arena<P> slots_[2];
    std::vector<Segment> trainable_, by_kind_;
};

}  // namespace dla
