// SPDX-License-Identifier: MIT
// A batch in equal parts: the gradients and statistics of the parts, joined along one binary tree.
#pragma once

#include <dla/model/params.hpp>

namespace dla {

/// Joins what the leaves 0, 1, 2, ... of a step leave behind (gradients, running statistics, loss), each as soon as it is there, along the binary tree over
/// their numbers: ((0 1)(2 3))((4 5)(6 7)). Whoever computes a leaf, the same sums are made in the same order. Holds one partial sum for each level.
template <class P>
class LeafTree {
public:
    /// Claims what trees of up to `leaves` leaves, a power of two, need.
    [[gnu::cold]] void reserve(const ParamTable<P>& table, int leaves) {
        while ((1 << levels_.size()) < leaves) levels_.push_back(Level(table));
    }
    /// Bytes that are claimed, and that `reserve` would claim on a new tree.
    index_t bytes() const {
        index_t sum = 0;
        for (const Level& level : levels_) sum += level.gradients.bytes() + level.buffers.bytes() + level.loss.bytes();
        return sum;
    }
    static index_t planned_bytes(const ParamTable<P>& table, int leaves) {
        index_t levels = 0;
        while ((1 << levels) < leaves) ++levels;
        return levels * (align_up(gradient_bytes(table)) + align_up(buffer_bytes(table)) + align_up(sizeof(LossResult)));
    }

    /// Leaf number `leaf` of `leaves` lies in the table and in *loss; so does the sum of all after the last one.
    void join(ParamTable<P>& table, int leaf, int leaves, kernel::PtrOf<P, LossResult> loss) {
        const P& policy = table.policy;
        std::size_t level = 0;
        for (; (leaf >> level) % 2 == 1; ++level) {
            Level& left = levels_[level];
            if (table.value_count > 0) accumulate(policy, table.value_count, kernel::ConstMasterPtr<P>(left.gradient()), table.gradients());
            if (table.buffer_count > 0) accumulate(policy, table.buffer_count, kernel::ConstStatisticPtr<P>(left.buffer()), table.buffer(0));
            join_losses(policy, kernel::PtrOf<P, const LossResult>(left.result()), loss);
        }
        if (leaf + 1 < leaves) {
            Level& kept = levels_[level];
            const auto copy = [&](const Arena<P>& to, auto from) {
                if (to.bytes() > 0) policy.copy(to.data(), P::template pointer_cast<std::byte>(from), to.bytes());
            };
            copy(kept.gradients, table.gradients());
            copy(kept.buffers, table.buffer(0));
            policy.copy(kept.loss.data(), P::template pointer_cast<std::byte>(loss), sizeof(LossResult));
        } else if (table.buffer_count > 0) {
            scale(policy, table.buffer_count, 1.0 / leaves, table.buffer(0));  // the mean; exact where all are equal, as `leaves` is a power of two
        }
    }

private:
    static index_t gradient_bytes(const ParamTable<P>& t) { return t.value_count * static_cast<index_t>(sizeof(typename P::master)); }
    static index_t buffer_bytes(const ParamTable<P>& t) { return t.buffer_count * static_cast<index_t>(sizeof(typename P::statistic)); }
    struct Level {
        Arena<P> gradients, buffers, loss;
        explicit Level(const ParamTable<P>& t)
            : gradients(t.policy, gradient_bytes(t)), buffers(t.policy, buffer_bytes(t)), loss(t.policy, sizeof(LossResult)) {}
        auto gradient() const { return gradients.template at<typename P::master>(0); }
        auto buffer() const { return buffers.template at<typename P::statistic>(0); }
        auto result() const { return loss.template at<LossResult>(0); }
    };
    std::vector<Level> levels_;
};

}  // namespace dla
