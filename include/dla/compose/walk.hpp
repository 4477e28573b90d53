// SPDX-License-Identifier: MIT
// The visitors of a walk through a network: one plans the memory of a step, one does the step. Containers say what happens once, for both.
#pragma once

#include <dla/compose/plan.hpp>
#include <dla/compose/schedule.hpp>
#include <dla/layers/calls.hpp>

#include <array>
#include <vector>

namespace dla {

/// A layer made of layers. It describes a step by `walk_forward(v, state, x, y, tape, wants)`, `walk_backward(v, state, x, y, dy, dx, tape, wants)` and
/// `walk_infer(v, state, x, y)`, in which the visitor `v` (Planning, to which the state is const, or Running) claims memory, calls children and computes.
template <class L>
concept Container = requires { requires L::is_container; };

/// Rows of the table of layers that an observer is told of when a layer has run: its own, and those of containers that end (begin) with it.
struct LayerRows {
    std::vector<int> forward, backward;
};

/// Tells the observer, if there is one, what layers have made.
template <class P>
void show_forward(const Context<P>& c, const LayerRows& rows, const std::type_identity_t<ConstView<P>>& y) {
    if (!c.observer) return;
    for (const int row : rows.forward) c.observer->after_forward(row, y);
}
/// Tells the observer, if there is one, the gradient of what layers were given.
template <class P>
void show_backward(const Context<P>& c, const LayerRows& rows, const std::type_identity_t<ConstView<P>>& dx) {
    if (!c.observer) return;
    for (const int row : rows.backward) c.observer->after_backward(row, dx);
}

DLA_TEMPLATE_ONCE(void show_forward(const Context<Cpu<float>>&, const LayerRows&, const ConstView<Cpu<float>>&))
DLA_TEMPLATE_ONCE(void show_backward(const Context<Cpu<float>>&, const LayerRows&, const ConstView<Cpu<float>>&))

/// Does the work of a step; memory has been planned.
template <class P>
struct Running {
    using Policy = P;
    static constexpr bool plans = false;
    Context<P>& c;

    template <class T>
    void claim(Planned<P, T>&, index_t) {}
    template <class T>
    void release(Planned<P, T>&) {}
    kernel::Ptr<P> push(index_t count) { return c.stack.push(count); }
    void pop(index_t count) { c.stack.pop(count); }

    template <class L>
    [[gnu::always_inline]] void forward(const L& layer, LayerState<L, P>& state, const ConstView<P>& x, const View<P>& y, LayerTape<L, P>& tape,
                                        Gradients wants, const LayerRows& rows) {
        if constexpr (Container<L>)
            layer.walk_forward(*this, state, x, y, tape, wants);
        else
            timed(rows, state, false, [&] { forward_layer<P>(layer, c, state, x, y, tape); });
        show_forward(c, rows, y);
    }
    template <class L>
    [[gnu::always_inline]] void backward(const L& layer, LayerState<L, P>& state, const ConstView<P>& x, const ConstView<P>& y, const OutputGradient<P>& dy,
                                         const View<P>& dx, LayerTape<L, P>& tape, Gradients wants, const LayerRows& rows) {
        if constexpr (Container<L>)
            layer.walk_backward(*this, state, x, y, dy, dx, tape, wants);
        else
            timed(rows, state, true, [&] { backward_layer<P>(layer, c, state, x, y, dy, dx, tape); });
        show_backward(c, rows, dx);
    }
    template <class L>
    [[gnu::always_inline]] void infer(const L& layer, const LayerState<L, P>& state, const ConstView<P>& x, const View<P>& y) {
        if constexpr (Container<L>)
            layer.walk_infer(*this, state, x, y);
        else
            c.with_prepared(prepared_by(layer, c, state, x.shape), [&] { infer_layer<P>(layer, c, state, x, y); });
    }
    /// Work of a container's own: f(context).
    template <class F>
    [[gnu::always_inline]] void compute(const F& f, bool backward = false) {
        if (c.clock) c.clock->begin();
        f(c);
        if (c.clock) c.clock->end({}, backward);
    }

private:
    /// f(), with the clock told whose time it is: of a group, that of its members.
    template <class State, class F>
    [[gnu::always_inline]] void timed(const LayerRows& rows, const State& state, bool backward, const F& f) {
        if (c.clock) c.clock->begin();
        f();
        if (!c.clock) return;
        if constexpr (requires { state.rows[0].forward; }) {
            std::array<int, std::tuple_size_v<decltype(State::rows)>> members;
            for (std::size_t i = 0; i < members.size(); ++i) members[i] = state.rows[i].forward.front();
            c.clock->end(members, backward);
        } else {
            c.clock->end({rows.forward.data(), rows.forward.empty() ? std::size_t{0} : std::size_t{1}}, backward);
        }
    }
};

/// Makes the claims of a step on a planner, without the work. Views have shapes and a batch, but no data.
template <class P>
struct Planning {
    using Policy = P;
    static constexpr bool plans = true;
    Planner<P>& plan;

    template <class T>
    void claim(Planned<P, T>& buffer, index_t count) {
        plan.allocate(buffer, count);
    }
    template <class T>
    void release(Planned<P, T>& buffer) {
        plan.release(buffer);
    }
    kernel::Ptr<P> push(index_t count) {
        plan.push(count);
        return {};
    }
    void pop(index_t count) { plan.pop(count); }

    template <class L>
    [[gnu::always_inline]] void forward(const L& layer, const LayerState<L, P>& state, const ConstView<P>& x, const View<P>& y, LayerTape<L, P>& tape,
                                        Gradients wants, const LayerRows&) {
        if constexpr (Container<L>) {
            layer.walk_forward(*this, state, x, y, tape, wants);
        } else {
            plan.scratch(scratch_of(layer, plan.policy, x.shape, x.batch, Pass::forward));
            kept(layer, tape, x, true);
            if (wants == Gradients::none) kept(layer, tape, x, false);
        }
    }
    template <class L>
    [[gnu::always_inline]] void backward(const L& layer, const LayerState<L, P>& state, const ConstView<P>& x, const ConstView<P>& y,
                                         const OutputGradient<P>& dy, const View<P>& dx, LayerTape<L, P>& tape, Gradients wants, const LayerRows&) {
        if constexpr (Container<L>) {
            layer.walk_backward(*this, state, x, y, dy, dx, tape, wants);
        } else {
            plan.scratch(scratch_of(layer, plan.policy, x.shape, x.batch, Pass::backward));
            work(layer, tape, x, dy.spent(), [&](auto& buffer, index_t count) { plan.allocate(buffer, count); });
            work(layer, tape, x, dy.spent(), [&](auto& buffer, index_t) { plan.release(buffer); });
            kept(layer, tape, x, false);
        }
    }
    template <class L>
    [[gnu::always_inline]] void infer(const L& layer, const LayerState<L, P>& state, const ConstView<P>& x, const View<P>& y) {
        if constexpr (Container<L>)
            layer.walk_infer(*this, state, x, y);
        else
            plan.scratch(scratch_of(layer, plan.policy, x.shape, x.batch, Pass::infer));
        if constexpr (requires(const Context<P>& c, PreparedPtr<P> to) { layer.prepare(c, state, x.shape, to); })
            plan.prepare(x.batch, [&](const Context<P>& c, PreparedPtr<P> to) { return layer.prepare(c, state, x.shape, to); });
    }
    template <class F>
    [[gnu::always_inline]] void compute(const F&, bool = false) {}

private:
    template <class L, class Claim>
    void work(const L& layer, LayerTape<L, P>& tape, const ConstView<P>& x, bool spent, const Claim& claim) {
        if constexpr (requires { layer.work(claim, tape, x.shape, x.batch, spent); })
            layer.work(claim, tape, x.shape, x.batch, spent);
        else if constexpr (requires { layer.work(claim, tape, x.shape, x.batch); })
            layer.work(claim, tape, x.shape, x.batch);
    }
    /// Claims or frees what the layer keeps from forward to backward.
    template <class L>
    void kept(const L& layer, LayerTape<L, P>& tape, const ConstView<P>& x, bool claims) {
        if constexpr (requires { layer.keep([](auto&, index_t) {}, tape, x.shape, x.batch); })
            layer.keep(
                [&](auto& buffer, index_t count) {
                    if (claims)
                        plan.allocate(buffer, count);
                    else
                        plan.release(buffer);
                },
                tape, x.shape, x.batch);
    }
};

namespace detail {

/// What every container's `infer`, `forward` and `backward` are: its walk, done.
template <class P, class C, class State>
void run_infer(const C& container, Context<P>& c, const State& state, const ConstView<P>& x, const View<P>& y) {
    Running<P> run{c};
    container.walk_infer(run, state, x, y);
}
template <class P, class C, class State, class Tape>
void run_forward(const C& container, Context<P>& c, State& state, const ConstView<P>& x, const View<P>& y, Tape& tape) {
    Running<P> run{c};
    container.walk_forward(run, state, x, y, tape, Gradients::input);
}
template <class P, class C, class State, class Tape>
void run_backward(const C& container, Context<P>& c, State& state, const ConstView<P>& x, const ConstView<P>& y, const ConstView<P>& dy, const View<P>& dx,
                  Tape& tape) {
    Running<P> run{c};
    container.walk_backward(run, state, x, y, dy, dx, tape, dx ? Gradients::input : Gradients::parameters);
}

}  // namespace detail
}  // namespace dla
