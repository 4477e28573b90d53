// SPDX-License-Identifier: MIT
// A chain of layers without their types: the walks through it are compiled once for a policy, and what calls a layer once for each type of layer, however
// many networks hold it at however many places.
#pragma once

#include <dla/compose/walk.hpp>

#include <span>

namespace dla::detail {

/// Traits of layer L in a chain on policy P.
template <class L, class P>
consteval Link link_of() {
    return {needs_of<L, P>(), in_place_of<L>(), is_view<L>(), has_parameters<L, P>()};
}

template <class P>
struct Unit;

/// How a visitor V calls a unit.
template <class V, class P>
struct UnitCalls {
    void (*forward)(V& v, const Unit<P>& unit, const ConstView<P>& x, const View<P>& y, Gradients wants);
    void (*backward)(V& v, const Unit<P>& unit, const ConstView<P>& x, const ConstView<P>& y, const OutputGradient<P>& dy, const View<P>& dx, Gradients wants);
    void (*infer)(V& v, const Unit<P>& unit, const ConstView<P>& x, const View<P>& y);
};

/// What is known of a unit's type.
template <class P>
struct UnitKind {
    UnitCalls<Running<P>, P> running;
    UnitCalls<Planning<P>, P> planning;
    bool is_view;     ///< its output is its input, reshaped
    bool keeps_size;  ///< it promises to give as many values as it takes

    const UnitCalls<Running<P>, P>& calls(const Running<P>&) const { return running; }
    const UnitCalls<Planning<P>, P>& calls(const Planning<P>&) const { return planning; }
};

/// One step of a chain: a layer, or a group of layers that are computed together.
template <class P>
struct Unit {
    const UnitKind<P>* kind;
    const std::byte* net;           ///< what holds the layer, or all that the group stands for ...
    const std::ptrdiff_t* offsets;  ///< ... and where in it they are
    void* state;
    void* tape;
    const LayerRows* rows;
};

template <class L>
inline constexpr bool is_group = requires { typename L::Members; };

/// The layer of type L that a unit is. A group is made anew, with pointers to its members.
template <class L, class P>
[[gnu::always_inline]] inline decltype(auto) layer_of(const Unit<P>& u) {
    if constexpr (is_group<L>) {
        L group;
        group.take_members(u.net, u.offsets);
        return group;
    } else {
        return *reinterpret_cast<const L*>(u.net + *u.offsets);
    }
}

template <class L, class P, class V>
struct UnitCallsOf {
    [[gnu::always_inline]] static LayerState<L, P>& state(const Unit<P>& u) { return *static_cast<LayerState<L, P>*>(u.state); }
    [[gnu::always_inline]] static LayerTape<L, P>& tape(const Unit<P>& u) { return *static_cast<LayerTape<L, P>*>(u.tape); }
    static void forward(V& v, const Unit<P>& u, const ConstView<P>& x, const View<P>& y, Gradients wants) {
        v.forward(static_cast<const L&>(layer_of<L>(u)), state(u), x, y, tape(u), wants, *u.rows);
    }
    static void backward(V& v, const Unit<P>& u, const ConstView<P>& x, const ConstView<P>& y, const OutputGradient<P>& dy, const View<P>& dx,
                         Gradients wants) {
        v.backward(static_cast<const L&>(layer_of<L>(u)), state(u), x, y, dy, dx, tape(u), wants, *u.rows);
    }
    static void infer(V& v, const Unit<P>& u, const ConstView<P>& x, const View<P>& y) { v.infer(static_cast<const L&>(layer_of<L>(u)), state(u), x, y); }
    static constexpr UnitCalls<V, P> table{forward, backward, infer};
};
template <class L>
inline constexpr bool keeps_size = in_place_of<L>().forward || in_place_of<L>().backward || is_view<L>();
template <class L, class P>
inline constexpr UnitKind<P> unit_kind{UnitCallsOf<L, P, Running<P>>::table, UnitCallsOf<L, P, Planning<P>>::table, is_view<L>(), keeps_size<L>};

/// A schedule, wherever its lists are kept.
struct ScheduleView {
    struct Mode {
        std::span<const ChainEvent> forward, backward;
        std::span<const Place> gradient;
        std::span<const Gradients> child;
        std::span<const std::int32_t> held;
    };
    std::span<const Place> value, inferred;
    std::array<Mode, gradient_modes> modes;

    template <template <class> class List>
    explicit ScheduleView(const BasicSchedule<List>& s) : value(s.value), inferred(s.inferred) {
        for (std::size_t m = 0; m < gradient_modes; ++m) {
            const auto& mode = s.modes[m];
            modes[m] = {mode.forward, mode.backward, mode.gradient, mode.child, mode.held};
        }
    }
    const Mode& mode(Gradients wants) const { return modes[static_cast<std::size_t>(wants)]; }
};

/// What a walk needs to know of a chain of at least one unit.
template <class P>
struct Chain {
    ScheduleView schedule;
    std::span<const Shape> shapes;  ///< of each value
    std::span<Planned<P>> buffers;  ///< none in inference
    virtual Unit<P> unit(std::size_t u) const = 0;

protected:
    Chain(const ScheduleView& s, std::span<const Shape> between, std::span<Planned<P>> memory) : schedule(s), shapes(between), buffers(memory) {}
    ~Chain() = default;
};

/// The memory that a place of a chain stands for.
template <class P, class Pointer>
Pointer data_at(Place place, const Pointer& input, const Pointer& output, std::span<Planned<P>> buffers) {
    return place == at_input ? input : place == at_output ? output : place == nowhere ? Pointer{} : Pointer(buffers[static_cast<std::size_t>(place)].data);
}

/// Walks through a list of events: `run(unit)` for each that runs; buffers are claimed for `batch` samples and released as the events say.
template <class V, class P, class Run>
void walk_events(V& v, const Chain<P>& chain, std::span<const ChainEvent> events, std::span<const std::int32_t> held, index_t batch, const Run& run) {
    for (const ChainEvent& event : events) {
        const auto i = static_cast<std::size_t>(event.index);
        switch (event.kind) {
            case ChainEvent::Kind::run:
                run(i);
                break;
            case ChainEvent::Kind::claim:
                if constexpr (V::plans) v.claim(chain.buffers[i], batch * chain.shapes[static_cast<std::size_t>(held[i])].size());
                break;
            case ChainEvent::Kind::release:
                if constexpr (V::plans) v.release(chain.buffers[i]);
                break;
        }
    }
}

/// The gradient at place `from` of a chain, as it is handed to a unit that writes another to place `to`. The chain has no use for it behind that unit, and its
/// caller none for its own if that says so; but dx is what the caller waits for.
template <class P>
OutputGradient<P> gradient_at(Place from, Place to, const OutputGradient<P>& dy, const View<P>& dx, std::span<Planned<P>> buffers, const Shape& shape) {
    const bool spent = from != to && (from >= 0 || (from == at_output && dy.spent()));
    const ConstView<P> view(data_at<P>(from, kernel::ConstPtr<P>(dx.data), dy.data, buffers), dy.batch, shape);
    if (!spent) return view;
    return OutputGradient<P>::spent_after({data_at<P>(from, dx.data, dy.room().data, buffers), dy.batch, shape});
}

template <class V, class P>
void walk_chain_forward(V& v, const Chain<P>& chain, const ConstView<P>& x, const View<P>& y, Gradients wants) {
    const auto& mode = chain.schedule.mode(wants);
    const auto value = chain.schedule.value;
    walk_events(v, chain, mode.forward, mode.held, x.batch, [&](std::size_t u) {
        const ConstView<P> in(data_at<P>(value[u], x.data, kernel::ConstPtr<P>(y.data), chain.buffers), x.batch, chain.shapes[u]);
        const View<P> out(data_at<P>(value[u + 1], kernel::Ptr<P>{}, y.data, chain.buffers), x.batch, chain.shapes[u + 1]);
        const Unit<P> unit = chain.unit(u);
        unit.kind->calls(v).forward(v, unit, in, out, mode.child[u]);
    });
}
template <class V, class P>
void walk_chain_backward(V& v, const Chain<P>& chain, const ConstView<P>& x, const ConstView<P>& y, const OutputGradient<P>& dy, const View<P>& dx,
                         Gradients wants) {
    const auto& mode = chain.schedule.mode(wants);
    const auto value = chain.schedule.value;
    walk_events(v, chain, mode.backward, mode.held, x.batch, [&](std::size_t u) {
        const Shape &before = chain.shapes[u], &after = chain.shapes[u + 1];
        const ConstView<P> in(data_at<P>(value[u], x.data, y.data, chain.buffers), x.batch, before);
        const ConstView<P> out(data_at<P>(value[u + 1], x.data, y.data, chain.buffers), x.batch, after);
        const OutputGradient<P> from = gradient_at(mode.gradient[u + 1], mode.gradient[u], dy, dx, chain.buffers, after);
        const View<P> to(data_at<P>(mode.gradient[u], dx.data, kernel::Ptr<P>{}, chain.buffers), x.batch, before);
        const Unit<P> unit = chain.unit(u);
        unit.kind->calls(v).backward(v, unit, in, out, from, to, mode.child[u]);
    });
}
/// Two rooms on the stack, each as large as the largest value between two units, take turns.
template <class V, class P>
void walk_chain_infer(V& v, const Chain<P>& chain, const ConstView<P>& x, const View<P>& y) {
    const auto place = chain.schedule.inferred;
    const std::size_t units = chain.shapes.size() - 1;
    index_t largest = 0;
    for (std::size_t i = 1; i < units; ++i) largest = std::max(largest, chain.shapes[i].size());
    const index_t room = x.batch * padded_count<typename P::scalar>(largest);
    std::array<Planned<P>, 2> rooms;
    if (room > 0)
        for (auto& r : rooms) r.data = v.push(room);
    for (std::size_t u = 0; u < units; ++u) {
        const Unit<P> unit = chain.unit(u);
        if (unit.kind->is_view && place[u] == place[u + 1]) continue;
        const ConstView<P> in(data_at<P>(place[u], x.data, kernel::ConstPtr<P>(y.data), rooms), x.batch, chain.shapes[u]);
        const View<P> out(data_at<P>(place[u + 1], kernel::Ptr<P>{}, y.data, rooms), x.batch, chain.shapes[u + 1]);
        unit.kind->calls(v).infer(v, unit, in, out);
    }
    if (room > 0) v.pop(room), v.pop(room);
}

DLA_TEMPLATE_ONCE(void walk_chain_forward(Running<Cpu<float>>&, const Chain<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&, Gradients))
DLA_TEMPLATE_ONCE(void walk_chain_forward(Planning<Cpu<float>>&, const Chain<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&, Gradients))
DLA_TEMPLATE_ONCE(void walk_chain_backward(Running<Cpu<float>>&, const Chain<Cpu<float>>&, const ConstView<Cpu<float>>&, const ConstView<Cpu<float>>&,
                                           const OutputGradient<Cpu<float>>&, const View<Cpu<float>>&, Gradients))
DLA_TEMPLATE_ONCE(void walk_chain_backward(Planning<Cpu<float>>&, const Chain<Cpu<float>>&, const ConstView<Cpu<float>>&, const ConstView<Cpu<float>>&,
                                           const OutputGradient<Cpu<float>>&, const View<Cpu<float>>&, Gradients))
DLA_TEMPLATE_ONCE(void walk_chain_infer(Running<Cpu<float>>&, const Chain<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&))
DLA_TEMPLATE_ONCE(void walk_chain_infer(Planning<Cpu<float>>&, const Chain<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&))

/// A chain that is being built: how far it is, and where the states of its links go.
template <class P, class Builder>
struct ChainBuild {
    Builder& b;
    void* const* states;     // of each link
    LayerRows* const* rows;  // of each link
    Shape* shapes;           // of each value; the first is set
    const std::size_t* unit_of_link;
    const std::size_t* first_link;  // of each unit, and the number of links
    const UnitKind<P>* const* kinds;
    int number = 0;  // of the next child
    std::size_t link = 0;
    Shape shape;  // in front of that link

    /// The link, a layer in row `id`, gives `out`.
    [[gnu::cold]] void finish_link(int id, const Shape& out) {
        b.leave_layer(id);
        rows[link]->forward.push_back(id);
        rows[link]->backward.push_back(id);
        finish_link(out);
    }
    /// The link gives `out`. A group keeps what it promises, as layers alone do: written in place, or seen otherwise, its output has its input's size.
    [[gnu::cold]] void finish_link(const Shape& out) {
        const std::size_t u = unit_of_link[link];
        shape = shapes[u + 1] = out;
        ++link;
        if (link == first_link[u + 1] && kinds[u]->keeps_size && shapes[u].size() != out.size())
            b.refused(text("a group that works in place (in_place) or is a view makes ", to_text(out), " of ", to_text(shapes[u]), ", which has another size"));
    }
};

/// Builds a layer of a chain.
template <class P, class L, class Builder>
[[gnu::cold]] void build_link(const L& layer, ChainBuild<P, Builder>& c) {
    auto& state = *static_cast<LayerState<L, P>*>(c.states[c.link]);
    if constexpr (splices<L>) {
        state = layer.template build_numbered<P>(c.b, c.shape, c.number);
        c.finish_link(layer.out_shape(c.shape).shape);
    } else {
        const auto scope = c.b.scope(text(c.number++));
        Shape out;
        const int id = begin_child(c.b, Described<L>::table, &layer, c.shape, out);
        state = build_layer<P>(layer, c.b, c.shape);
        c.finish_link(id, out);
    }
}

}  // namespace dla::detail
