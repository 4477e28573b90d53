// SPDX-License-Identifier: MIT
// One way to call every layer, whatever it leaves out: containers, models and tests speak to layers through these.
#pragma once

#include <dla/layers/concept.hpp>

namespace dla {

/// Declares the layer's parameters for a known input shape.
template <class P, class L, class Builder>
[[gnu::cold]] LayerState<L, P> build_layer(const L& layer, Builder& b, const Shape& in) {
    if constexpr (detail::HasState<L, P>)
        return layer.template build<P>(b, in);
    else
        return {};
}

/// Inference: y from const state.
template <class P, class L>
void infer_layer(const L& layer, Context<P>& c, const LayerState<L, P>& state, const ConstView<P>& x, const View<P>& y) {
    if constexpr (detail::HasState<L, P>)
        layer.infer(c, state, x, y);
    else
        layer.infer(c, x, y);
}

/// Training: y, and what backward will need in the tape.
template <class P, class L>
void forward_layer(const L& layer, Context<P>& c, LayerState<L, P>& state, const ConstView<P>& x, const View<P>& y, LayerTape<L, P>& tape) {
    if constexpr (detail::HasTape<L, P> && detail::HasState<L, P>)
        layer.forward(c, state, x, y, tape);
    else if constexpr (detail::HasTape<L, P>)
        layer.forward(c, x, y, tape);
    else if constexpr (requires { layer.forward(c, state, x, y); })
        layer.forward(c, state, x, y);
    else if constexpr (requires { layer.forward(c, x, y); })
        layer.forward(c, x, y);
    else
        infer_layer<P>(layer, c, state, x, y);
}

/// dx (or an empty view: not wanted) overwritten, parameter gradients added to.
template <class P, class L>
void backward_layer(const L& layer, Context<P>& c, LayerState<L, P>& state, const ConstView<P>& x, const ConstView<P>& y, const OutputGradient<P>& dy,
                    const View<P>& dx, LayerTape<L, P>& tape) {
    if constexpr (detail::HasState<L, P> && detail::HasTape<L, P>)
        layer.backward(c, state, x, y, dy, dx, tape);
    else if constexpr (detail::HasState<L, P>)
        layer.backward(c, state, x, y, dy, dx);
    else if constexpr (detail::HasTape<L, P>)
        layer.backward(c, x, y, dy, dx, tape);
    else
        layer.backward(c, x, y, dy, dx);
}

/// Bytes of scratch memory that the layer's kernels take for up to `batch` samples.
template <class P, class L>
index_t scratch_of(const L& layer, const P& policy, const Shape& in, index_t batch, Pass pass) {
    if constexpr (requires { layer.scratch(policy, in, batch, pass); })
        return layer.scratch(policy, in, batch, pass);
    else
        return 0;
}

/// Bytes of the weights that the layer prepares for inference.
template <class P, class L>
index_t prepared_by(const L& layer, const Context<P>& c, const LayerState<L, P>& state, const Shape& in) {
    if constexpr (requires { layer.prepare(c, state, in, PreparedPtr<P>{}); })
        return layer.prepare(c, state, in, PreparedPtr<P>{});
    else
        return 0;
}

namespace detail {

template <class L>
constexpr bool is_identity(const L& layer) {
    if constexpr (requires { layer.is_identity(); })
        return layer.is_identity();
    else
        return false;
}
template <class L>
constexpr index_t macs(const L& layer, const Shape& in) {
    if constexpr (requires { layer.macs(in); })
        return layer.macs(in);
    else
        return 0;
}
template <class L>
constexpr Merge merge_of() {
    if constexpr (requires { L::merge; })
        return L::merge;
    else
        return Merge::none;
}
template <class L>
constexpr bool rectifies() {
    if constexpr (requires { L::rectifies; })
        return L::rectifies;
    else
        return false;
}

/// What tables and pictures show of a layer besides its shapes.
struct LayerFacts {
    Text type;  ///< `Conv2d`; of a layer without `attributes` its whole name
    std::vector<Attribute> attributes = {};
    index_t macs = 0;
    Merge merge = Merge::none;
    bool rectifies = false;
};
template <class L>
[[gnu::cold]] LayerFacts facts_of(const L& layer, const Shape& in) {
    const Text name = layer.name();
    LayerFacts facts{.type = name, .attributes = {}, .macs = macs(layer, in), .merge = merge_of<L>(), .rectifies = rectifies<L>()};
    if constexpr (requires(AttributeList v) { layer.attributes(v); }) {
        AttributeList list;
        layer.attributes(list);
        facts.type = Text(name.view().substr(0, name.view().find('<')));
        facts.attributes = std::move(list.all);
    }
    return facts;
}

/// Layers that splice their copies into the numbering of the Sequential around them (Repeat).
template <class L>
inline constexpr bool splices = requires(const L& layer, int& number) { layer.out_shape_numbered(Shape{}, number); };

/// A layer's output shape, checked: what is written in place, or is the input seen otherwise, must not change its size, or it would run over the end of the
/// buffer.
template <class L>
[[gnu::cold]] constexpr ShapeResult checked_out_shape(const L& layer, const Shape& in) {
    const ShapeResult out = layer.out_shape(in);
    if constexpr (in_place_of<L>().forward || in_place_of<L>().backward)
        if (out.ok() && in.is_known() && out.shape.is_known() && out.shape.size() != in.size())
            return refuse("it works in place (in_place) but gives ", to_text(out.shape), ", which has another size; leave in_place out");
    if constexpr (is_view<L>())
        if (out.ok() && in.is_known() && out.shape.is_known() && out.shape.size() != in.size())
            return refuse("it is a view (is_view) but gives ", to_text(out.shape), ", which has another size; leave is_view out");
    return out;
}

/// A refusal inside a container, with the path of the child that refused in front: `layer 3.0 Linear<512, 10> refuses ...`.
[[gnu::cold]] constexpr ShapeResult child_refusal(const Text& number, const Text& name, const Shape& in, const ShapeResult& result) {
    constexpr std::string_view mark = "layer ";
    if (result.nested && result.why.view().starts_with(mark)) return result.inside(text(mark, number, ".", result.why.view().substr(mark.size())));
    if (result.nested) return result.inside(text(mark, number, " ", result.why));  // a Repeat of one copy, which has no number
    return result.inside(text(mark, number, " ", refusal(name, in, result.why)));
}

/// Output shape of a child that counts as `number` (advanced by what the child occupies).
template <class L>
[[gnu::cold]] constexpr ShapeResult child_out_shape(const L& layer, const Shape& in, int& number) {
    if constexpr (splices<L>) {
        return layer.out_shape_numbered(in, number);
    } else {
        const ShapeResult result = checked_out_shape(layer, in);
        if (!result.ok()) return child_refusal(text(number), layer.name(), in, result);
        ++number;
        return result;
    }
}

/// A layer as building sees it, without its type.
struct LayerDescription {
    Text (*name)(const void* layer);
    ShapeResult (*out_shape)(const void* layer, const Shape& in);  ///< checked
    LayerFacts (*facts)(const void* layer, const Shape& in);
    ShapeResult (*out_shape_numbered)(const void* layer, const Shape& in, int& number);  ///< null unless it splices
};
template <class L>
struct Described {
    [[gnu::cold]] static Text name(const void* layer) { return static_cast<const L*>(layer)->name(); }
    [[gnu::cold]] static ShapeResult out_shape(const void* layer, const Shape& in) { return checked_out_shape(*static_cast<const L*>(layer), in); }
    [[gnu::cold]] static LayerFacts facts(const void* layer, const Shape& in) { return facts_of(*static_cast<const L*>(layer), in); }
    [[gnu::cold]] static ShapeResult out_shape_numbered(const void* layer, const Shape& in, int& number) {
        return child_out_shape(*static_cast<const L*>(layer), in, number);
    }
    static constexpr LayerDescription table{name, out_shape, facts, splices<L> ? out_shape_numbered : nullptr};
};

/// As child_out_shape.
DLA_ONCE ShapeResult described_out_shape(const LayerDescription& d, const void* layer, const Shape& in, int& number);
#if DLA_BODIES
DLA_ONCE ShapeResult described_out_shape(const LayerDescription& d, const void* layer, const Shape& in, int& number) {
    if (d.out_shape_numbered) return d.out_shape_numbered(layer, in, number);
    const ShapeResult result = d.out_shape(layer, in);
    if (!result.ok()) return child_refusal(text(number), d.name(layer), in, result);
    ++number;
    return result;
}
#endif

/// Begins to build a child: checks its input, notes it in the builder's table of layers, and gives its row.
template <class Builder>
[[gnu::cold]] int begin_child(Builder& b, const LayerDescription& d, const void* layer, const Shape& in, Shape& out) {
    const ShapeResult result = d.out_shape(layer, in);
    const Text name = d.name(layer);
    if (!result.ok()) b.refused(refusal(name, in, result));
    out = result.shape;
    return b.enter_layer(name, in, out, d.facts(layer, in));
}
/// Builds a child: as above, and declares its parameters.
template <class P, class L, class Builder>
[[gnu::cold]] auto build_child(const L& layer, Builder& b, const Shape& in, int& id, Shape& out) {
    id = begin_child(b, Described<L>::table, &layer, in, out);
    auto state = build_layer<P>(layer, b, in);
    b.leave_layer(id);
    return state;
}

}  // namespace detail
}  // namespace dla
