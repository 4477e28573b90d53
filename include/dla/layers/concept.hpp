// SPDX-License-Identifier: MIT
// What a layer is: the requirements that the library's layers, containers and user layers meet alike.
#pragma once

#include <dla/core/error.hpp>
#include <dla/layers/attribute.hpp>
#include <dla/layers/param.hpp>

#include <type_traits>

namespace dla {

/// What `backward` reads besides dy: the layer's input, its output, or neither. It decides which activations are kept.
struct Needs {
    bool x = false;
    bool y = false;
};

/// Which outputs may lie on top of their inputs: y over x in `forward` and `infer`, dx over dy in `backward`.
struct InPlace {
    bool forward = false;
    bool backward = false;
};

/// How a container joins what its children, which lie side by side, make of its input; none: they lie one behind the other.
enum class Merge { none, add, concat, multiply };

/// Stands for the State or the Tape of a layer that has none.
struct Nothing {};

namespace detail {

template <class L, class P>
concept HasState = requires { typename L::template State<P>; };
template <class L, class P>
concept HasTape = requires { typename L::template Tape<P>; };

template <class L, class P>
struct StateOf {
    using type = Nothing;
};
template <class L, class P>
    requires HasState<L, P>
struct StateOf<L, P> {
    using type = typename L::template State<P>;
};
template <class L, class P>
struct TapeOf {
    using type = Nothing;
};
template <class L, class P>
    requires HasTape<L, P>
struct TapeOf<L, P> {
    using type = typename L::template Tape<P>;
};

/// What a layer reads in backward. Asked on a policy, because a container's answer depends on which of its layers the policy fuses.
template <class L, class P>
consteval Needs needs_of() {
    if constexpr (requires { L::template needs_on<P>; })
        return L::template needs_on<P>;
    else if constexpr (requires { L::needs; })
        return L::needs;
    else
        return {true, true};
}
template <class L>
consteval InPlace in_place_of() {
    if constexpr (requires { L::in_place; })
        return L::in_place;
    else
        return {};
}
template <class L>
consteval bool is_view() {
    if constexpr (requires { L::is_view; })
        return L::is_view;
    else
        return false;
}
template <class L, class P>
consteval bool has_parameters() {
    if constexpr (requires { L::template has_parameters_on<P>; })
        return L::template has_parameters_on<P>;
    else if constexpr (requires { L::has_parameters; })
        return L::has_parameters;
    else
        return !std::is_empty_v<typename StateOf<L, P>::type>;
}
/// Whether what a sample gives in inference depends on the others of its batch.
template <class L>
consteval bool mixes_samples() {
    if constexpr (requires { L::mixes_samples; })
        return L::mixes_samples;
    else
        return false;
}

/// Stands in for the builder when concepts are checked.
template <class P>
struct AnyBuilder {
    P policy;
    Param<P> parameter(const char*, ParamKind, const Dims&, Init, DiskOrder = {});
    kernel::StatisticPtr<P> buffer(const char*, const Dims&, double, DiskOrder = {});
    typename P::template pointer<std::int64_t> counter(const char*);
    const bool* mode();
    std::uint32_t random_stream();
};

}  // namespace detail

/// When a layer is asked how much scratch memory its kernels take.
enum class Pass { infer, forward, backward };

/// What layer L keeps for a model on policy P: views of its parameters, and what else backward needs.
template <class L, class P>
using LayerState = typename detail::StateOf<L, P>::type;
/// What layer L keeps from forward to backward on policy P.
template <class L, class P>
using LayerTape = typename detail::TapeOf<L, P>::type;

/// A description of a layer: small, copyable, knows no policy.
/// requires: `out_shape(Shape)` gives the shape of one output sample or `refuse("expected ...")`, usable in constant expressions;
///           `name()` gives the text that errors and tables show, e.g. `Linear<784, 128>`.
/// optional: `static constexpr Needs needs` (default: both), `static constexpr InPlace in_place` (default: neither; a layer that works in place gives as many
///           values as it takes), `static constexpr bool is_view` (output is the input, reshaped), `static constexpr bool has_parameters` (default: whether
///           it has a State that is not empty), `static constexpr bool mixes_samples` (default: false; true where what a sample gives in inference depends on
///           the others of its batch, which then stays together), `index_t macs(Shape in)` (multiply-adds of one sample; a container's own),
///           `attributes(visitor)` (calls `visitor(name, value)` for each setting, with the usual value behind if tables are to leave that out, or with
///           `in_shapes` for one that shapes show; then tables leave out what the name says in angle brackets), `static constexpr bool rectifies` (its
///           outputs are a ReLU's), `static constexpr Merge merge` (of a container whose children lie side by side: how they are joined).
template <class L>
concept Layer = std::copyable<L> && requires(const L& layer, Shape in) {
    { layer.out_shape(in) } -> std::same_as<ShapeResult>;
    { layer.name() } -> std::convertible_to<Text>;
};

namespace detail {

template <class L, class P>
concept Builds = !HasState<L, P> || requires(const L& layer, AnyBuilder<P>& builder, Shape in) {
    { layer.template build<P>(builder, in) } -> std::same_as<LayerState<L, P>>;
};
template <class L, class P>
concept InfersWithState =
    requires(const L& layer, Context<P>& c, const LayerState<L, P>& state, ConstView<P> x, View<P> out) { layer.infer(c, state, x, out); };
template <class L, class P>
concept InfersPlainly = requires(const L& layer, Context<P>& c, ConstView<P> x, View<P> out) { layer.infer(c, x, out); };
template <class L, class P>
concept ForwardWithTape = requires(const L& layer, Context<P>& c, LayerState<L, P>& state, LayerTape<L, P>& tape, ConstView<P> x, View<P> out) {
    layer.forward(c, state, x, out, tape);
};
template <class L, class P>
concept ForwardWithTapeOnly = requires(const L& layer, Context<P>& c, LayerTape<L, P>& tape, ConstView<P> x, View<P> out) { layer.forward(c, x, out, tape); };
template <class L, class P>
concept BackwardWithBoth = requires(const L& layer, Context<P>& c, LayerState<L, P>& state, LayerTape<L, P>& tape, ConstView<P> x, ConstView<P> y,
                                    ConstView<P> dy, View<P> out) { layer.backward(c, state, x, y, dy, out, tape); };
template <class L, class P>
concept BackwardWithState = requires(const L& layer, Context<P>& c, LayerState<L, P>& state, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> out) {
    layer.backward(c, state, x, y, dy, out);
};
template <class L, class P>
concept BackwardWithTape = requires(const L& layer, Context<P>& c, LayerTape<L, P>& tape, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> out) {
    layer.backward(c, x, y, dy, out, tape);
};
template <class L, class P>
concept BackwardPlainly =
    requires(const L& layer, Context<P>& c, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> out) { layer.backward(c, x, y, dy, out); };

template <class L, class P>
concept ForwardWithState = requires(const L& layer, Context<P>& c, LayerState<L, P>& state, ConstView<P> x, View<P> out) { layer.forward(c, state, x, out); };
template <class L, class P>
concept ForwardPlainly = requires(const L& layer, Context<P>& c, ConstView<P> x, View<P> out) { layer.forward(c, x, out); };

/// Stands in for what `keep` and `work` call.
struct AnyClaim {
    template <class Buffer>
    void operator()(Buffer&, index_t) const {}
};
// What is optional, and there under its name, must be callable as it will be called: else it would be left out in silence.
template <class L, class P>
concept ForwardFits = HasTape<L, P> || (HasState<L, P> && ForwardWithState<L, P>) || ForwardPlainly<L, P> ||
                      !(requires { &L::template forward<P>; } || requires { &L::forward; });
template <class L, class P>
concept KeepFits = requires(const L& layer, const AnyClaim& claim, LayerTape<L, P>& tape, const Shape& in) { layer.keep(claim, tape, in, index_t{1}); } ||
                   !(requires { &L::template keep<AnyClaim, P>; } || requires { &L::template keep<P, AnyClaim>; } || requires { &L::template keep<AnyClaim>; });
template <class L, class P>
concept WorkFits = requires(const L& layer, const AnyClaim& claim, LayerTape<L, P>& tape, const Shape& in) { layer.work(claim, tape, in, index_t{1}); } ||
                   requires(const L& layer, const AnyClaim& claim, LayerTape<L, P>& tape, const Shape& in) { layer.work(claim, tape, in, index_t{1}, true); } ||
                   !(requires { &L::template work<AnyClaim, P>; } || requires { &L::template work<P, AnyClaim>; } || requires { &L::template work<AnyClaim>; });
template <class L, class P>
concept ScratchFits = requires(const L& layer, const P& policy, const Shape& in) {
    { layer.scratch(policy, in, index_t{1}, Pass::forward) } -> std::same_as<index_t>;
} || !(requires { &L::template scratch<P>; } || requires { &L::scratch; });

template <class L, class P>
concept PrepareFits = requires(const L& layer, const Context<P>& c, const LayerState<L, P>& state, const Shape& in, PreparedPtr<P> to) {
    { layer.prepare(c, state, in, to) } -> std::same_as<index_t>;
} || !(requires { &L::template prepare<P>; } || requires { &L::prepare; });

template <class L, class P>
concept Infers = (HasState<L, P> && InfersWithState<L, P>) || (!HasState<L, P> && InfersPlainly<L, P>);
template <class L, class P>
concept Trains = !HasTape<L, P> || (HasState<L, P> && ForwardWithTape<L, P>) || (!HasState<L, P> && ForwardWithTapeOnly<L, P>);
template <class L, class P>
concept Backpropagates = (HasState<L, P> && HasTape<L, P> && BackwardWithBoth<L, P>) || (HasState<L, P> && !HasTape<L, P> && BackwardWithState<L, P>) ||
                         (!HasState<L, P> && HasTape<L, P> && BackwardWithTape<L, P>) || (!HasState<L, P> && !HasTape<L, P> && BackwardPlainly<L, P>);

}  // namespace detail

/// A layer that can run on policy P. `State<P>` holds views of its parameters, `Tape<P>` what else backward needs; a layer without parameters leaves out
/// `State` and `build`, one that keeps nothing leaves out `Tape`, and their arguments below are left out with them.
/// ensures: `build(builder, in)` declares the parameters for a known input shape; `infer(c, const state, x, y)` writes y; `forward(c, state, x, y, tape)` does
/// the
///          same in training and fills the tape (optional where there is no tape: then it is `infer`); `backward(c, state, x, y, dy, dx, tape)` overwrites dx
///          (unless it is an empty view: not wanted; a layer without parameters is never asked for nothing), adds to the parameter gradients, and writes to
///          nothing else, but over dy if it takes that as an `OutputGradient` which is spent.
/// optional: `keep(claim, tape, in, batch)` calls `claim(tape.member, count)` for each buffer that lives from forward to backward, and
///           `work(claim, tape, in, batch)` for each that lives during backward alone (with `bool spent` behind: it is told whether dy may be written
///           over, and claims what it then needs); `scratch(policy, in, batch, pass)` gives the bytes of scratch memory
///           that its kernels take for up to `batch` samples; `prepare(const context, const state, in, to)` brings weights into the form in which `infer`
///           reads them at `context.prepared` where that is not null, writes it to `to`, and gives its bytes; with `to` null only these. 0: there is none.
template <class L, class P>
concept LayerOn = Layer<L> && detail::Builds<L, P> && detail::Infers<L, P> && detail::Trains<L, P> && detail::Backpropagates<L, P> &&
                  detail::ForwardFits<L, P> && detail::KeepFits<L, P> && detail::WorkFits<L, P> && detail::ScratchFits<L, P> && detail::PrepareFits<L, P>;

namespace detail {

/// Says in words what layer L lacks on policy P; the compiler names both.
template <class L, class P>
struct LayerCheck {
    static_assert(Builds<L, P>, "dla: a layer with a State<P> needs `State<P> build<P>(builder, const Shape& in) const`");
    static_assert(Infers<L, P>, "dla: a layer needs `infer(context, const state, x, y) const`, without `state` if it has no State");
    static_assert(Trains<L, P>, "dla: a layer with a Tape needs `forward(context, state, x, y, tape) const`, without `state` if it has no State");
    static_assert(Backpropagates<L, P>,
                  "dla: a layer needs `backward(context, state, x, y, dy, dx, tape) const`, without `state` and `tape` if it has no State and Tape");
    static_assert(ForwardFits<L, P>,
                  "dla: this layer's `forward` cannot be called as `forward(context, state, ConstView x, View y) const`, without `state` if it has no State");
    static_assert(KeepFits<L, P>, "dla: this layer's `keep` cannot be called as `keep(claim, tape, const Shape& in, index_t batch) const`");
    static_assert(WorkFits<L, P>, "dla: this layer's `work` cannot be called as `work(claim, tape, const Shape& in, index_t batch) const`, "
                  "perhaps with `bool spent` behind");
    static_assert(ScratchFits<L, P>, "dla: this layer's `scratch` cannot be called as `index_t scratch(policy, const Shape& in, index_t batch, Pass) const`");
    static_assert(PrepareFits<L, P>,
                  "dla: this layer's `prepare` cannot be called as `index_t prepare(const context, const state, const Shape& in, to) const`");
    static constexpr bool passed = true;
};

}  // namespace detail
}  // namespace dla
