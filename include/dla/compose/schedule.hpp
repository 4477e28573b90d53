// SPDX-License-Identifier: MIT
// The schedule of a chain of layers, computed once: where each value and gradient lies, and in which order memory is claimed, layers run, memory is freed.
#pragma once

#include <dla/layers/concept.hpp>

#include <array>
#include <span>

namespace dla {

/// What a chain knows of one of its layers on the policy at hand.
struct Link {
    Needs needs;
    InPlace in_place;
    bool view = false;        ///< its output is its input, reshaped
    bool parameters = false;  ///< has gradients of its own to add to
};

/// What a backward pass is to give: nothing (it does not run), the gradients of the parameters, or that of the input as well.
enum class Gradients { none, parameters, input };
inline constexpr std::size_t gradient_modes = 3;

/// Where a value lies: in a buffer of the chain (its number, from 0), or in memory of the caller.
enum Place : std::int32_t {
    at_input = -1,   ///< the caller's x; of gradients its dx
    at_output = -2,  ///< the caller's y; of gradients its dy
    nowhere = -3,    ///< a gradient that nobody wants
};

/// One thing that happens in a step: a buffer is claimed, a layer runs, a buffer is free again.
struct ChainEvent {
    enum class Kind : std::int32_t { claim, run, release };
    Kind kind = Kind::run;
    std::int32_t index = 0;  ///< of the buffer or the layer
};

/// The schedule of a chain of N layers. Value 0 is the chain's input, value i + 1 the output of layer i. `List<T>` is an array or a vector of T.
/// Planning, training and statistics walk through `events`, so they cannot disagree about who lies where and for how long.
template <template <class> class List>
struct BasicSchedule {
    /// One for each of Gradients.
    struct Mode {
        List<ChainEvent> forward, backward;
        List<Place> gradient;     ///< place of the gradient of value i
        List<Gradients> child;    ///< what layer i is to give
        List<std::int32_t> held;  ///< buffer b has the size of value held[b]
    };
    List<Place> value;  ///< place of value i in training; buffers count through values, then gradients
    std::array<Mode, gradient_modes> modes;
    List<Place> inferred;      ///< place of value i in inference: the caller's x or y, or one of the rooms 0 and 1
    Needs needs;               ///< what the chain as a whole reads of its caller's x and y in backward
    std::int32_t buffers = 0;  ///< most that any mode has
};

namespace detail {

/// As much of std::vector as a schedule needs, in an array.
template <class T, std::size_t Capacity>
struct FixedList {
    std::array<T, Capacity> items{};
    std::size_t count = 0;
    constexpr void assign(std::size_t n, const T& v) {
        count = n;
        for (std::size_t i = 0; i < n; ++i) items[i] = v;
    }
    constexpr void push_back(const T& v) { items[count++] = v; }
    constexpr T& operator[](std::size_t i) { return items[i]; }
    constexpr const T& operator[](std::size_t i) const { return items[i]; }
    constexpr std::size_t size() const { return count; }
    constexpr const T* begin() const { return items.data(); }
    constexpr const T* end() const { return items.data() + count; }
};
template <std::size_t N>
struct FixedLists {
    template <class T>
    using List = FixedList<T, std::is_same_v<T, ChainEvent> ? 4 * N + 2 : 2 * N + 2>;
};

/// Which neighbouring values share memory: `lowest[i]` of the values, `highest[i]` of the gradients.
template <class Ints>
constexpr void share(std::span<const Link> links, Ints& lowest, Ints& highest) {
    const auto n = static_cast<std::int32_t>(links.size());
    const auto at = [](int i) { return static_cast<std::size_t>(i); };
    lowest.assign(links.size() + 1, 0);
    highest.assign(links.size() + 1, n);
    // In place only where nobody loses: a layer may write over its input when it and all earlier readers of that memory do not need what was there.
    for (std::int32_t i = 0; i < n; ++i) {
        const std::int32_t first = lowest[at(i)];
        const Link& link = links[at(i)];
        bool shares = link.view;
        if (!shares && link.in_place.forward && first != 0 && !link.needs.x) {
            shares = true;
            for (int v = first; v <= i; ++v) shares = shares && !links[at(v - 1)].needs.y && (v == i || !links[at(v)].needs.x);
        }
        if (i == n - 1 && first == 0) shares = false;  // the caller's y is not the caller's x
        lowest[at(i + 1)] = shares ? first : static_cast<std::int32_t>(i + 1);
    }
    for (int i = n - 1; i >= 0; --i) {  // nobody writes over the caller's dy, and its dx is not its dy
        const std::int32_t source = highest[at(i + 1)];
        const bool shares = (links[at(i)].view && !(i == 0 && source == n)) || (links[at(i)].in_place.backward && source != n);
        highest[at(i)] = shares ? source : static_cast<std::int32_t>(i);
    }
}

/// Notes when buffers are used, and turns that into events.
template <class Mode, class Ints>
struct Lifetimes {
    Mode& mode;
    Ints first{}, last{};  // time of the first and the last use of each buffer

    constexpr std::int32_t add(std::int32_t value) {
        mode.held.push_back(value);
        first.push_back(-1);
        last.push_back(-1);
        return static_cast<std::int32_t>(mode.held.size() - 1);
    }
    constexpr void use(Place place, std::int32_t time) {
        if (place < 0) return;
        const auto b = static_cast<std::size_t>(place);
        if (first[b] < 0) first[b] = time;
        last[b] = time;
    }
    /// The run of `layer` at `time` (or none), with claims before and releases behind it; `born` and `dead` list the buffers of each time.
    template <class Events>
    constexpr void emit(Events& events, std::int32_t time, std::int32_t layer, const Ints& born, const Ints& dead, const Ints& next_born,
                        const Ints& next_dead) const {
        const auto each = [&](std::int32_t b, const Ints& next, ChainEvent::Kind kind) {
            for (; b >= 0; b = next[static_cast<std::size_t>(b)]) events.push_back({kind, b});
        };
        each(born[static_cast<std::size_t>(time)], next_born, ChainEvent::Kind::claim);
        if (layer >= 0) events.push_back({ChainEvent::Kind::run, layer});
        each(dead[static_cast<std::size_t>(time)], next_dead, ChainEvent::Kind::release);
    }
};

template <class Mode, class Ints, class Places>
constexpr void plan_mode(std::span<const Link> links, const Ints& lowest, const Ints& highest, Gradients wants, Places& value, Mode& mode) {
    const auto n = static_cast<std::int32_t>(links.size());
    const auto at = [](int i) { return static_cast<std::size_t>(i); };
    Lifetimes<Mode, Ints> lifetimes{mode};
    value.assign(at(n + 1), at_input);
    for (std::int32_t v = 1; v <= n; ++v) {
        const std::int32_t low = lowest[at(v)];
        value[at(v)] = low == 0 ? at_input : low == lowest[at(n)] ? at_output : low < v ? value[at(low)] : static_cast<Place>(lifetimes.add(v));
    }
    // Somebody wants the gradient of a value: the caller, or parameters below it.
    mode.gradient.assign(at(n + 1), nowhere);
    mode.child.assign(links.size(), Gradients::none);
    bool wanted = wants == Gradients::input;
    for (std::int32_t i = 0; i < n; ++i) {
        const bool above = wants != Gradients::none && (wanted || links[at(i)].parameters);
        mode.child[at(i)] = !above ? Gradients::none : wanted ? Gradients::input : Gradients::parameters;
        if (above) mode.gradient[at(i + 1)] = at_output;  // of the last value; for the others a place is found below
        if (wanted) mode.gradient[at(i)] = at_output;
        wanted = above;
    }
    for (std::int32_t v = n; v-- > 0;) {
        if (mode.gradient[at(v)] == nowhere) continue;
        const std::int32_t high = highest[at(v)];
        int low = v;
        while (low > 0 && highest[at(low - 1)] == high) --low;
        if (high == n)
            mode.gradient[at(v)] = at_output;
        else if (low == 0 && wants == Gradients::input)
            mode.gradient[at(v)] = at_input;
        else
            mode.gradient[at(v)] = high > v ? mode.gradient[at(high)] : static_cast<Place>(lifetimes.add(v));
    }
    // What runs when: layer i forward at time i, backward at 2n - 1 - i. A view that stays where it is costs nothing at the ends of the chain.
    const auto runs_forward = [&](std::int32_t i) { return value[at(i + 1)] != at_input; };
    const auto runs_backward = [&](std::int32_t i) { return mode.child[at(i)] != Gradients::none && mode.gradient[at(i)] != at_output; };
    for (std::int32_t i = 0; i < n; ++i)
        if (runs_forward(i)) lifetimes.use(value[at(i)], i), lifetimes.use(value[at(i + 1)], i);
    for (std::int32_t i = n; i-- > 0;) {
        if (!runs_backward(i)) continue;
        const auto time = static_cast<std::int32_t>(2 * n - 1 - i);
        if (links[at(i)].needs.x) lifetimes.use(value[at(i)], time);
        if (links[at(i)].needs.y) lifetimes.use(value[at(i + 1)], time);
        lifetimes.use(mode.gradient[at(i + 1)], time);
        lifetimes.use(mode.gradient[at(i)], time);
    }
    Ints born, dead, next_born, next_dead;  // lists of buffers by time, so that this stays linear in n
    born.assign(at(2 * n), -1);
    dead.assign(at(2 * n), -1);
    next_born.assign(mode.held.size(), -1);
    next_dead.assign(mode.held.size(), -1);
    for (auto b = static_cast<std::int32_t>(mode.held.size()); b-- > 0;) {
        if (lifetimes.first[at(b)] < 0) continue;
        std::int32_t& head = born[at(lifetimes.first[at(b)])];
        next_born[at(b)] = head, head = b;
        std::int32_t& tail = dead[at(lifetimes.last[at(b)])];
        next_dead[at(b)] = tail, tail = b;
    }
    for (std::int32_t i = 0; i < n; ++i) lifetimes.emit(mode.forward, i, runs_forward(i) ? i : std::int32_t{-1}, born, dead, next_born, next_dead);
    for (std::int32_t i = n; i-- > 0;)
        lifetimes.emit(mode.backward, static_cast<std::int32_t>(2 * n - 1 - i), runs_backward(i) ? i : std::int32_t{-1}, born, dead, next_born, next_dead);
}

/// Places in inference: a value stays where it is in views and in place, else goes to the other of two rooms.
template <class Places>
constexpr void place_inferred(std::span<const Link> links, Places& inferred) {
    inferred.assign(links.size() + 1, at_input);
    std::int32_t side = 0;
    for (std::size_t i = 0; i + 1 < links.size(); ++i) {
        if (links[i].view || (links[i].in_place.forward && inferred[i] != at_input)) {
            inferred[i + 1] = inferred[i];
        } else {
            inferred[i + 1] = static_cast<Place>(side);
            side = static_cast<std::int32_t>(1 - side);
        }
    }
    inferred[links.size()] = at_output;
}

}  // namespace detail

/// The schedule of at least one layer.
template <template <class> class List>
constexpr void make_schedule(std::span<const Link> links, BasicSchedule<List>& s) {
    using Ints = List<std::int32_t>;
    Ints lowest, highest;
    detail::share(links, lowest, highest);
    for (std::size_t m = 0; m < gradient_modes; ++m) {
        detail::plan_mode(links, lowest, highest, static_cast<Gradients>(m), s.value, s.modes[m]);
        s.buffers = std::max(s.buffers, static_cast<std::int32_t>(s.modes[m].held.size()));
    }
    detail::place_inferred(links, s.inferred);
    for (std::size_t i = 0; i < links.size(); ++i) {
        s.needs.x = s.needs.x || (s.value[i] == at_input && links[i].needs.x) || (s.value[i + 1] == at_input && links[i].needs.y);
        s.needs.y = s.needs.y || (s.value[i] == at_output && links[i].needs.x) || (s.value[i + 1] == at_output && links[i].needs.y);
    }
}

/// Computed by the compiler for N layers.
template <std::size_t N>
using ChainSchedule = BasicSchedule<detail::FixedLists<N>::template List>;

}  // namespace dla
