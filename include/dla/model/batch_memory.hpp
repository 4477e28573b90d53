// SPDX-License-Identifier: MIT
// What a step is told and reports, in the policy's memory: inputs and targets of a batch, weights of a loss, the random position, the result.
#pragma once

#include <dla/loss/cross_entropy.hpp>
#include <dla/model/params.hpp>

#include <utility>

namespace dla {

/// Where a kernel can read the host's values: there, or copied to `room`, which grows as needed.
template <class P, class V>
typename P::template pointer<const V> to_device(const P& policy, std::span<const V> host, Arena<P>& room) {
    if constexpr (P::shares_host) {
        return host.data();
    } else {
        const auto bytes = static_cast<index_t>(host.size_bytes());
        if (bytes > room.bytes()) room = Arena<P>(policy, bytes);
        put(policy, room.template at<V>(0), host.data(), std::ssize(host));
        return room.template at<const V>(0);
    }
}

/// Copies a loss's weights when they change.
template <class P>
class LossWeights {
public:
    using S = typename P::statistic;
    /// Where they lie; null: the loss has none.
    template <class Loss>
    kernel::ConstStatisticPtr<P> of(const P& policy, const Loss& loss) {
        const std::vector<double>* weights = weights_of(loss);
        if (weights == nullptr || weights->empty()) return {};
        if (*weights != told_) {
            const std::vector<S> values(weights->begin(), weights->end());
            const auto bytes = static_cast<index_t>(values.size() * sizeof(S));
            if (bytes > room_.bytes()) room_ = Arena<P>(policy, bytes);
            put(policy, room_.template at<S>(0), values.data(), std::ssize(values));
            told_ = *weights;
        }
        return room_.template at<const S>(0);
    }

private:
    std::vector<double> told_;
    Arena<P> room_;
};

/// Of a training step.
template <class P>
class BatchMemory {
public:
    BatchMemory() = default;
    explicit BatchMemory(const P& policy) : control_(policy, 7 * alignment) {}

    Arena<P> inputs, targets;  // used where the policy does not read the host's memory
    LossWeights<P> loss_weights;

    /// Claims room for so many bytes of inputs and targets, where the policy needs it.
    void reserve(const P& policy, index_t input_bytes, index_t target_bytes) {
        if constexpr (!P::shares_host) {
            if (input_bytes > inputs.bytes()) inputs = Arena<P>(policy, input_bytes);
            if (target_bytes > targets.bytes()) targets = Arena<P>(policy, target_bytes);
        }
    }
    void release_inputs() { inputs = Arena<P>(), targets = Arena<P>(); }
    /// Tells the policy the random position if it is another than what the last step left there.
    auto position(const P& policy, const RandomPosition& now) {
        const auto place = control_.template at<RandomPosition>(0);
        if (!(told_ == now)) put(policy, place, &now, 1), told_ = now;
        return place;
    }
    /// Remembers position and report of the steps that are queued, for `put_report` if the next one is broken off.
    void take_report(const P& policy) { policy.copy(kept(), control_.data(), 3 * alignment); }
    void put_report(const P& policy) { policy.copy(control_.data(), P::template pointer_cast<const std::byte>(kept()), 3 * alignment); }
    auto report() const { return control_.template at<StepReport>(alignment); }
    auto whole() const { return control_.template at<LossResult>(3 * alignment); }
    /// What the last step reported; waits for it. `position` becomes that of the next step.
    StepReport read(const P& policy, RandomPosition& position) {
        StepReport report;
        fetch(policy, &report, this->report(), 1);
        told_ = position = report.position;
        report.refused -= std::exchange(refused_, report.refused);
        return report;
    }

private:
    static_assert(sizeof(RandomPosition) <= alignment && sizeof(StepReport) <= 2 * alignment && sizeof(LossResult) <= alignment);
    auto kept() const { return control_.template at<std::byte>(4 * alignment); }

    Arena<P> control_;                        // position, report (two lines), whole, then position and report as they were
    RandomPosition told_ = RandomPosition{};  // zero, as the memory is
    std::int64_t refused_ = 0;                // steps in the model's life that had been refused when somebody asked
};

}  // namespace dla
