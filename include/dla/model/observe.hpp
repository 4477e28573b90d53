// SPDX-License-Identifier: MIT
// A look into a model at work: one batch forward and backward with every layer's values shown, and nothing changed but the gradients.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/model/model.hpp>

#include <optional>

namespace dla {

namespace detail {

/// Hands what a policy's layers make to an observer of host memory; copies only where the policy's memory is another.
template <class P>
class HostObserver final : public Observer<P> {
public:
    using T = typename P::scalar;
    using Host = Reference<T>;
    HostObserver(Observer<Host>& to, const P& policy) : to_(to), policy_(policy) {}
    void after_forward(int layer, const ConstView<P>& y) override { to_.after_forward(layer, host(y)); }
    void after_backward(int layer, const ConstView<P>& dx) override {
        if (dx) to_.after_backward(layer, host(dx));
    }

private:
    ConstView<Host> host(const ConstView<P>& v) {
        if constexpr (P::shares_host) {
            return {v.data, v.batch, v.shape};
        } else {
            room_.resize(static_cast<std::size_t>(v.size()));
            fetch(policy_, room_.data(), v.data, v.size());
            return {room_.data(), v.batch, v.shape};
        }
    }
    Observer<Host>& to_;
    P policy_;
    std::vector<T> room_;
};

/// Puts an observer into a model and takes it out again, and puts running statistics and counters back, however the scope ends.
template <class M>
class Inspection {
public:
    using P = typename M::Policy;
    Inspection(M& model, Observer<P>* observer) : model_(model), before_(model.observer) {
        model.parameters().take_statistics();
        model.observer = observer;
    }
    ~Inspection() {
        model_.observer = before_;
        model_.parameters().put_statistics();
    }
    Inspection(const Inspection&) = delete;
    Inspection& operator=(const Inspection&) = delete;

private:
    M& model_;
    Observer<P>* before_;
};

}  // namespace detail

/// Gradients of `loss` on a batch, computed in training mode as a step would and left in the parameter table, without a step: parameters, buffers (running
/// means), counters and the random position stay as they are. `observer` (may be null) sees every layer's output and the gradient of its input, in host
/// memory, valid during the call. Gradients of inputs that nobody needs are not computed and not shown.
template <class P, class Loss>
LossResult inspect(BasicModel<P>& model, const Loss& loss, std::span<const typename P::scalar> inputs, std::span<const typename Loss::Target> targets,
                   std::type_identity_t<Observer<Reference<typename P::scalar>>>* observer) {
    std::optional<detail::HostObserver<P>> host;
    if (observer) host.emplace(*observer, model.parameters().policy);
    const detail::Inspection keep(model, host ? &*host : nullptr);
    model.parameters().zero_gradients();
    return model.compute_gradients(loss, inputs, targets);
}

}  // namespace dla
