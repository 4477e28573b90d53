// SPDX-License-Identifier: MIT
// The memory of a batch, its gradients and a step on them, as a BasicModel asks its network, a loss and an optimizer for them.
#pragma once

namespace dla {

template <class P>
template <class Loss>
void BasicModel<P>::claim_all(index_t batch, index_t part, const Loss& loss, bool input_gradient, int micro_batches) {
    claim(part, loss.scratch(table_->policy, part, output_), input_gradient);
    leaves_.reserve(*table_, micro_batches);
    memory_.reserve(table_->policy, batch * input_.size() * static_cast<index_t>(sizeof(T)),
                    batch * loss.targets_per_sample(output_) * static_cast<index_t>(sizeof(typename Loss::Target)));
}
template <class P>
template <class Loss, class F>
void BasicModel<P>::or_refuse(index_t batch, const Loss& loss, bool input_gradient, int micro_batches, const F& claims) {
    try {
        return claims(input_gradient);
    } catch (const OutOfDeviceMemory&) {  // what was there for other batches may be in the way
    }
    const bool gives_dx = input_gradient || workspace_.gives_input_gradient();
    release_batches();
    try {
        claims(gives_dx);
    } catch (const OutOfDeviceMemory& e) {
        release_batches();
        refuse_batch(e, batch, micro_batches, plan(batch, loss, micro_batches).total(), [&](index_t samples) {
            const index_t part = largest_part(samples, micro_batches);
            return fits(samples, part, loss.scratch(table_->policy, samples, output_), gives_dx, micro_batches);
        });
    }
}
template <class P>
template <class Loss>
LossResult BasicModel<P>::compute_gradients(const Loss& loss, std::span<const T> inputs, std::span<const typename Loss::Target> targets) {
    const index_t batch = check_batch(loss, inputs, targets);
    reserve(batch, loss);
    const auto labels = to_device<P>(table_->policy, targets, memory_.targets);
    const auto weights = memory_.loss_weights.of(table_->policy, loss);
    Context<P> c = context();
    if constexpr (looks_ahead<Loss, P>) loss.prepare(c, batch, output_, labels, weights, memory_.whole());
    LossResult found;
    if constexpr (looks_ahead<Loss, P>) fetch(table_->policy, &found, memory_.whole(), 1);
    loss.verify(found, output_);
    const auto result = P::template pointer_cast<LossResult>(memory_.report());
    table_->take_statistics();
    try {
        run_part(c, loss, to_device<P>(table_->policy, inputs, memory_.inputs), labels, weights, batch, {batch, memory_.whole()}, result);
        fetch(table_->policy, &found, result, 1);
        loss.verify(found, output_);
    } catch (...) {  // a layer refuses the batch, or the loss a target
        table_->put_statistics();
        throw;
    }
    return found;
}
template <class P>
template <class Optimizer, class Loss>
void BasicModel<P>::queue_step(Optimizer& optimizer, const Loss& loss, std::span<const T> inputs, std::span<const typename Loss::Target> targets,
                               double clip_norm, int micro_batches) {
    const index_t batch = check_batch(loss, inputs, targets);
    check_step(batch, clip_norm, micro_batches);
    or_refuse(batch, loss, false, micro_batches, [&](bool) { optimizer.reserve(*table_); });
    reserve(batch, loss, false, micro_batches);
    const P policy = table_->policy;
    const auto x = to_device<P>(policy, inputs, memory_.inputs);
    const auto labels = to_device<P>(policy, targets, memory_.targets);
    const auto weights = memory_.loss_weights.of(policy, loss);
    Context<P> c = context();
    if constexpr (looks_ahead<Loss, P>) loss.prepare(c, batch, output_, labels, weights, memory_.whole());
    table_->take_statistics();
    memory_.take_report(policy);
    try {
        take_step(optimizer, c, loss, x, labels, weights, batch, clip_norm, micro_batches);
    } catch (...) {  // a layer, the optimizer or on_gradients refuses: the step never was
        table_->put_statistics();
        memory_.put_report(policy);
        throw;
    }
    queued_ = true;
}
template <class P>
template <class Loss>
void BasicModel<P>::run_part(Context<P>& c, const Loss& loss, kernel::ConstPtr<P> inputs, kernel::PtrOf<P, const typename Loss::Target> labels,
                             kernel::ConstStatisticPtr<P> weights, index_t batch, const WholeBatch<P>& whole, kernel::PtrOf<P, LossResult> result) {
    const ConstView<P> x(inputs, batch, input_);
    const View<P> y(workspace_.output.data, batch, output_), dy(workspace_.output_gradient.data, batch, output_);
    net_->forward(c, x, y, workspace_.tape());
    if (c.observer) c.observer->after_forward(-1, y);
    loss.evaluate(c, ConstView<P>(y), labels, weights, result, dy, whole);
    run_backward(c, x, y, dy);
}
template <class P>
template <class Optimizer, class Loss>
void BasicModel<P>::take_step(Optimizer& optimizer, Context<P>& c, const Loss& loss, kernel::ConstPtr<P> x,
                              kernel::PtrOf<P, const typename Loss::Target> labels, kernel::ConstStatisticPtr<P> weights, index_t batch, double clip_norm,
                              int micro_batches) {
    const auto result = P::template pointer_cast<LossResult>(memory_.report());  // the report begins with it
    for (int leaf = 0; leaf < micro_batches; ++leaf) {
        const index_t first = leaf * batch / micro_batches, end = (leaf + 1) * batch / micro_batches;
        if (leaf > 0) table_->put_statistics();
        table_->zero_gradients();
        c.first_sample = first;
        run_part(c, loss, x + first * input_.size(), labels + first * loss.targets_per_sample(output_), weights, end - first, {batch, memory_.whole()}, result);
        if (micro_batches > 1) leaves_.join(*table_, leaf, micro_batches, result);
    }
    if (on_gradients) on_gradients(*table_);
    const index_t parts = clip_norm > 0 ? table_->sum_squares() : 0;
    decide_step(c.policy, parts, table_->squares(), table_->total_squares(), memory_.position(c.policy, position), memory_.report());
    if (clip_norm > 0) table_->scale_gradients(clip_norm);
    optimizer.step(*table_, memory_.report());
    table_->restore_statistics(memory_.report());
}

DLA_TEMPLATE_ONCE(class BasicModel<Cpu<float>>)
DLA_TEMPLATE_ONCE(LossResult BasicModel<Cpu<float>>::compute_gradients(const CrossEntropy&, std::span<const float>, std::span<const std::int32_t>))
DLA_TEMPLATE_ONCE(void BasicModel<Cpu<float>>::queue_step(Optimizer&, const CrossEntropy&, std::span<const float>, std::span<const std::int32_t>, double, int))
DLA_TEMPLATE_ONCE(void BasicModel<Cpu<float>>::queue_step(Optimizer&, const MeanSquaredError<float>&, std::span<const float>, std::span<const float>, double,
                                                          int))

}  // namespace dla
