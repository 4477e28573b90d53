// SPDX-License-Identifier: MIT
// What a layer is given besides its data: the policy, scratch memory, the place in the random sequence, room for intermediates of inference.
#pragma once

#include <dla/backend/policy.hpp>
#include <dla/core/philox.hpp>

#include <span>

namespace dla {

/// Sees every layer's output and gradient as they are made; set in a Context only when somebody wants to know. `layer` is the row of
/// ParamIndex::layers, or -1 for the whole network, which comes last.
template <class P>
class Observer {
public:
    virtual ~Observer() = default;
    virtual void after_forward(int layer, const ConstView<P>& y) = 0;
    virtual void after_backward(int layer, const ConstView<P>& dx) = 0;
};

/// Told when a layer, or several that are computed together, begins and has ended in a training step: see `profile` of <dla/inspect.hpp>.
class LayerClock {
public:
    virtual ~LayerClock() = default;
    virtual void begin() = 0;
    /// `layers` are rows of ParamIndex::layers; none: a container's own work, such as a sum.
    virtual void end(std::span<const int> layers, bool backward) = 0;
};

/// Where weights lie that were brought into the form in which inference reads them.
template <class P>
using PreparedPtr = typename P::template pointer<std::byte>;

/// Last-in, first-out memory for the intermediates of inference.
template <class P>
class Stack {
public:
    using Bytes = typename P::template pointer<std::byte>;

    Stack() = default;
    explicit Stack(Bytes base) : base_(base) {}

    /// Room for `count` values; valid until the matching `pop`.
    auto push(index_t count) {
        auto values = P::template pointer_cast<typename P::scalar>(base_ + used_);
        used_ += bytes(count);
        return values;
    }
    void pop(index_t count) { used_ -= bytes(count); }

    static constexpr index_t bytes(index_t count) { return align_up(count * static_cast<index_t>(sizeof(typename P::scalar))); }

private:
    Bytes base_{};
    index_t used_ = 0;
};

/// What every layer is given besides its data.
template <class P>
struct Context {
    P policy;
    typename P::template pointer<std::byte> scratch{};            ///< any kernel may use it during a call; nothing survives the call
    typename P::template pointer<const RandomPosition> random{};  ///< seed, epoch and step of this training step, in the policy's memory
    index_t first_sample = 0;                                     ///< place of sample 0 in the whole batch, of which this may be a part
    Stack<P> stack{};                                             ///< inference only
    index_t capacity = 0;                                         ///< inference only: the most samples for which memory was planned
    PreparedPtr<P> prepared{};                                    ///< inference only: what the layer's `prepare` made of its weights, or null
    Observer<P>* observer = nullptr;
    LayerClock* clock = nullptr;

    /// f(), which finds at `prepared` what is its own: the first `bytes` of what is left, or nothing. What follows is left.
    template <class F>
    void with_prepared(index_t bytes, const F& f) {
        const PreparedPtr<P> own = prepared;
        if (bytes == 0) prepared = {};
        f();
        prepared = own ? own + align_up(bytes) : own;
    }
};

}  // namespace dla
