// SPDX-License-Identifier: MIT
// What a layer is: the requirements that the library's layers, containers and user layers meet alike.
#pragma once

#include <dla/backend/context.hpp>
#include <dla/core/error.hpp>
#include <dla/kernels/contract.hpp>

#include <cstdio>
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

/// What a parameter is, so that optimizers can treat kinds apart.
enum class ParamKind { weight, bias, norm_weight, norm_bias };

/// Sizes of a parameter as PyTorch stores it, outermost first.
struct Dims {
    int rank = 0;
    index_t d[4]{};
    constexpr Dims() = default;
    template <class... Sizes>
    constexpr Dims(Sizes... sizes) : rank(sizeof...(Sizes)), d{static_cast<index_t>(sizes)...} {}
    constexpr index_t size() const {
        index_t n = 1;
        for (int i = 0; i < rank; ++i) n *= d[i];
        return n;
    }
    constexpr bool operator==(const Dims&) const = default;
};

/// How memory order differs from PyTorch's: memory is [outer][pixels][channels], on disk [outer][channels][pixels]. pixels = 1: no difference.
struct DiskOrder {
    index_t outer = 1, channels = 1, pixels = 1;
    constexpr bool operator==(const DiskOrder&) const = default;
};

/// The order on disk of a parameter with one value for each feature or channel of `s`: behind a Flatten the features of an image are stored
/// (height, width, channels), PyTorch's are (channels, height, width).
constexpr DiskOrder feature_order(const Shape& s) {
    return s.is_flattened_image() ? DiskOrder{.outer = 1, .channels = s.d[0] / (s.d[1] * s.d[2]), .pixels = s.d[1] * s.d[2]} : DiskOrder{};
}

/// Initial values: `fixed` everywhere, or uniform in [-bound, bound) when bound > 0.
struct Init {
    double fixed = 0;
    double bound = 0;
};

/// A parameter and its gradient, in the policy's memory.
template <class P>
struct Param {
    typename P::template pointer<typename P::scalar> value{};
    typename P::template pointer<typename P::scalar> grad{};
};

/// A buffer of a Tape that the memory plan hands out.
template <class P, class T = typename P::scalar>
struct Planned {
    typename P::template pointer<T> data{};
    int id = -1;
};

/// State and Tape of layers that have none.
struct Nothing {};

namespace detail {

template <class L>
consteval Needs needs_of() {
    if constexpr (requires { L::needs; })
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
    if constexpr (requires { L::has_parameters; })
        return L::has_parameters;
    else
        return !std::is_empty_v<typename L::template State<P>>;
}

/// Collects what a layer's `settings()` gives: `stride=2, padding=1`.
struct Settings {
    Text text;
    Settings& add(const char* name, const Text& value) {
        text.append(text.empty() ? "" : ", ").append(name).append("=").append(value);
        return *this;
    }
    Settings& add(const char* name, index_t value) { return add(name, dla::text(value)); }
    Settings& add(const char* name, index_t height, index_t width) {
        return add(name, height == width ? dla::text(height) : dla::text("(", height, ", ", width, ")"));
    }
    Settings& add(const char* name, std::same_as<bool> auto value) { return add(name, Text(value ? "true" : "false")); }
    Settings& add(const char* name, double value) {
        char digits[32];
        std::snprintf(digits, sizeof digits, "%g", value);
        return add(name, Text(digits));
    }
};

/// Stands in for the builder when concepts are checked.
template <class P>
struct AnyBuilder {
    P policy;
    Param<P> parameter(const char*, ParamKind, const Dims&, Init, DiskOrder = {});
    typename P::template pointer<typename P::scalar> buffer(const char*, const Dims&, double, DiskOrder = {});
    typename P::template pointer<std::int64_t> counter(const char*);
    std::uint32_t random_stream();
};

}  // namespace detail

/// A description of a layer: small, copyable, knows no policy.
/// requires: `out_shape(Shape)` gives the shape of one output sample or `refuse("expected ...")`, usable in constant expressions;
///           `name()` gives the text that errors and tables show, e.g. `Linear<784, 128>`.
/// optional: `static constexpr Needs needs` (default: both), `static constexpr InPlace in_place` (default: neither),
///           `static constexpr bool is_view` (output is the input, reshaped), `index_t macs(Shape in)` (multiply-adds of one sample; a container's own),
///           `Text settings()` (what shapes do not say, e.g. `stride=2`; then tables leave out what the name says in angle brackets),
///           `static constexpr bool rectifies` (its outputs are a ReLU's), `static constexpr bool branches` (a container whose children lie side by side and
///           are added).
template <class L>
concept Layer = std::copyable<L> && requires(const L& layer, Shape in) {
    { layer.out_shape(in) } -> std::same_as<ShapeResult>;
    { layer.name() } -> std::convertible_to<Text>;
};

/// A layer that can run on policy P. `State<P>` holds views of its parameters, `Tape<P>` what else backward needs.
/// ensures: `build` declares the parameters for a known input shape; `infer` writes y from const state; `forward` does the same in training and fills the
///          tape; `backward` overwrites dx (unless it is an empty view: not wanted), adds to the parameter gradients, and writes to nothing else.
/// optional: `rehearse_forward(plan, state, in, batch, tape)`, `rehearse_backward(plan, state, in, batch, tape, want_dx)` and
///           `rehearse_infer(plan, state, in, batch)` claim tape and scratch memory: the calls a step would make, without the work.
template <class L, class P>
concept LayerOn = Layer<L> && requires(const L& layer, Context<P>& c, detail::AnyBuilder<P>& builder, Shape in, typename L::template State<P>& state,
                                       const typename L::template State<P>& const_state, typename L::template Tape<P>& tape, ConstView<P> x, ConstView<P> y,
                                       ConstView<P> dy, View<P> out) {
    { layer.template build<P>(builder, in) } -> std::same_as<typename L::template State<P>>;
    layer.infer(c, const_state, x, out);
    layer.forward(c, state, x, out, tape);
    layer.backward(c, state, x, y, dy, out, tape);
};

}  // namespace dla
