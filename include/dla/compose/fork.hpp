// SPDX-License-Identifier: MIT
// Branches that take the same input, and how their outputs become one, without the types of the branches: the walks are compiled once for a policy.
#pragma once

#include <dla/compose/chain.hpp>
#include <dla/compose/merged_shape.hpp>
#include <dla/layers/reshape.hpp>

namespace dla::detail {

/// What a fork keeps of the shapes that it was built for.
struct BranchState {
    Shape out;
    bool identity = false;  ///< it does nothing ...
    bool reorders = false;  ///< ... but put the features of a flattened image into the order of the others
    LayerRows rows;
};
/// Memory of a step for `Branches` branches.
template <class P>
struct BranchTape {
    Planned<P> out;       // where it cannot lie in y
    Planned<P> gradient;  // of its output, where that is a part of dy
    Planned<P> dx;        // before it is added to that of the others
};
template <class P>
struct MergeTape {
    Planned<P> gradient;             // of a sum in front of an activation, where it cannot lie on top of dy
    Planned<P, std::uint32_t> mask;  // of the ReLU behind a sum
};

/// What stands behind a sum: a function that works in place, its gradient from its output, and what it is. Null functions: nothing.
template <class P>
struct SumActivation {
    void (*apply)(Context<P>& c, const View<P>& y) = nullptr;
    void (*undo)(Context<P>& c, const ConstView<P>& y, const ConstView<P>& dy, const View<P>& dx) = nullptr;
    bool masks = false;          ///< a ReLU, of which a bit for each value is kept, instead of y
    bool over_gradient = false;  ///< dx may lie on top of dy
};
template <class Act, class P>
struct SumActivationOf {
    static void apply(Context<P>& c, const View<P>& y) { infer_layer<P>(Act{}, c, LayerState<Act, P>{}, y, y); }
    static void undo(Context<P>& c, const ConstView<P>& y, const ConstView<P>& dy, const View<P>& dx) {
        LayerState<Act, P> no_state;
        LayerTape<Act, P> no_tape;
        backward_layer<P>(Act{}, c, no_state, ConstView<P>{}, y, dy, dx, no_tape);
    }
};

template <class P, class... Ls>
inline constexpr std::array<Link, sizeof...(Ls)> links_of{link_of<Ls, P>()...};
/// Layer L, its state and its tape. Only forward and backward write to a state, and theirs is not const.
template <class L, class P>
Unit<P> unit_of(const L& layer, const LayerState<L, P>& state, void* tape, const LayerRows& rows) {
    static constexpr std::ptrdiff_t itself = 0;
    return {&unit_kind<L, P>, reinterpret_cast<const std::byte*>(&layer), &itself, const_cast<LayerState<L, P>*>(&state), tape, &rows};
}

/// A fork at work. Spans have an element for each branch.
template <class P>
struct Fork {
    Merge merge;
    const Shape &in, &out;
    std::span<const Link> links;
    std::span<const Unit<P>> units;
    std::span<const BranchState> branches;
    std::span<BranchTape<P>> tapes;  ///< none in inference
    MergeTape<P>* tape;
    SumActivation<P> activation;

    std::size_t size() const { return units.size(); }
    bool passes(std::size_t i) const { return branches[i].identity && !branches[i].reorders; }
    /// What the branch's backward is to give.
    Gradients wants(std::size_t i, Gradients of_all) const { return of_all == Gradients::parameters && !links[i].parameters ? Gradients::none : of_all; }
    /// Its output has memory of its own, because its backward pass, or that of the product, reads it. What a step wants is no part of this: a walk forward
    /// knows that only while it plans.
    bool keeps(std::size_t i) const { return !passes(i) && (merge == Merge::multiply || (!branches[i].reorders && links[i].needs.y)); }
    /// Somebody really does.
    bool needs(std::size_t i, Gradients of_all) const {
        if (merge != Merge::multiply || of_all != Gradients::parameters) return wants(i, of_all) != Gradients::none;
        return links[0].parameters || links[1].parameters;
    }

    // An image lies in memory as rows of its channels; what is contiguous is one row. What Concat puts next to each other are parts of rows.
    index_t rows(index_t batch) const { return out.is_image() ? batch * out.d[1] * out.d[2] : batch; }
    index_t columns(const Shape& s) const { return out.is_image() ? s.d[0] : s.size(); }
    /// Where the branch's part of a row begins.
    index_t column(std::size_t i) const {
        index_t at = 0;
        for (std::size_t k = 0; k < i; ++k) at += columns(branches[k].out);
        return at;
    }
    // A gate [C] of an image [C, H, W] scales its pixels; one of the same shape is one of a pixel.
    index_t pixels() const { return branches[1].out.size() == branches[0].out.size() ? 1 : out.d[1] * out.d[2]; }
    index_t channels() const { return branches[1].out.size(); }
};

/// (height, width, channels) to (channels, height, width), and back.
template <class P>
void to_features(Context<P>& c, const Shape& image, const ConstView<P>& x, const View<P>& y) {
    const index_t pixels = image.d[1] * image.d[2];
    transpose(c.policy, x.batch, pixels, image.size() / pixels, x.data, y.data);
}
template <class P>
void to_image(Context<P>& c, const Shape& image, const ConstView<P>& dy, const View<P>& dx) {
    const index_t pixels = image.d[1] * image.d[2];
    transpose(c.policy, dy.batch, image.size() / pixels, pixels, dy.data, dx.data);
}

/// y = activation(a + b), where this is the last sum; y may be a or b.
template <class P>
void add_branch(Context<P>& c, const Fork<P>& f, bool last, const ConstView<P>& a, const ConstView<P>& b, const View<P>& y,
                kernel::PtrOf<P, std::uint32_t> mask) {
    if (last && f.activation.masks) return add_relu(c.policy, y.size(), a.data, b.data, y.data, mask);
    add(c.policy, y.size(), a.data, b.data, y.data);
    if (last && f.activation.apply) f.activation.apply(c, y);
}

/// Runs a branch, or shows what passes by it.
template <class V, class P, class Run>
ConstView<P> branch_output(V& v, const Fork<P>& f, std::size_t i, const ConstView<P>& x, const View<P>& to, const Run& run) {
    const BranchState& branch = f.branches[i];
    if (f.passes(i)) {
        if (!branch.rows.forward.empty()) v.compute([&](Context<P>& c) { show_forward(c, branch.rows, x); });
        return x;
    }
    if (branch.reorders)
        v.compute([&](Context<P>& c) {
            to_features<P>(c, f.in, x, to);
            show_forward(c, branch.rows, to);
        });
    else
        run(f.units[i], to);
    return to;
}

/// The walk forward, and that of inference. `room(i)` gives memory for the output of branch i, `free(i)` takes it back; `keeps(i)`: somebody reads it later.
template <class V, class P, class Room, class Free, class Keeps, class Run, class Mask>
void walk_branches(V& v, const Fork<P>& f, const ConstView<P>& x, const View<P>& y, const Room& room, const Free& free, const Keeps& keeps, const Run& run,
                   const Mask& mask) {
    const std::size_t n = f.size();
    if (f.merge == Merge::concat) {
        for (std::size_t i = 0; i < n; ++i) {
            const Shape& s = f.branches[i].out;
            const bool passes = f.passes(i);
            const ConstView<P> value =
                branch_output<V, P>(v, f, i, x, View<P>(passes ? kernel::Ptr<P>{} : room(i), x.batch, s), [&](auto&... a) { run(i, a...); });
            v.compute([&](Context<P>& c) {
                copy_columns(c.policy, f.rows(x.batch), f.columns(s), value.data, f.columns(s), y.data + f.column(i), f.columns(f.out));
            });
            if (!passes && !keeps(i)) free(i);
        }
        return;
    }
    ConstView<P> sum;   // or product, so far
    bool in_y = false;  // it lies in y
    for (std::size_t i = 0; i < n; ++i) {
        const bool last = i + 1 == n, passes = f.passes(i), kept = keeps(i);
        const bool writes_y = !passes && !kept && !in_y && (f.merge == Merge::add || f.branches[i].out.size() == f.out.size());
        const View<P> to(passes ? kernel::Ptr<P>{} : writes_y ? y.data : room(i), x.batch, f.branches[i].out);
        const ConstView<P> value = branch_output<V, P>(v, f, i, x, to, [&](auto&... a) { run(i, a...); });
        if (i == 0) {
            sum = value;
            in_y = writes_y;
            continue;
        }
        const auto bits = last ? mask() : kernel::PtrOf<P, std::uint32_t>{};
        v.compute([&](Context<P>& c) {
            if (f.merge == Merge::multiply)
                scale_channels(c.policy, f.pixels() == 1 ? 1 : x.batch, f.pixels(), f.pixels() == 1 ? y.size() : f.channels(), sum.data, value.data, y.data);
            else
                add_branch<P>(c, f, last, sum, value, y, bits);
        });
        sum = y;
        in_y = true;
        if (!passes && !kept && !writes_y) free(i);
    }
}

template <class V, class P>
void walk_fork_forward(V& v, const Fork<P>& f, const ConstView<P>& x, const View<P>& y, Gradients wants) {
    walk_branches<V, P>(
        v, f, x, y,
        [&](std::size_t i) {
            v.claim(f.tapes[i].out, x.batch * f.branches[i].out.size());
            return f.tapes[i].out.data;
        },
        [&](std::size_t i) { v.release(f.tapes[i].out); }, [&](std::size_t i) { return f.keeps(i); },
        [&](std::size_t i, const Unit<P>& unit, const View<P>& to) { unit.kind->calls(v).forward(v, unit, x, to, f.wants(i, wants)); },
        [&]() -> kernel::PtrOf<P, std::uint32_t> {
            if (!f.activation.masks || wants == Gradients::none) return {};
            v.claim(f.tape->mask, relu_mask_words(x.batch * f.out.size()));
            return f.tape->mask.data;
        });
    for (std::size_t i = 0; i < f.size(); ++i)
        if (f.keeps(i) && !f.needs(i, wants)) v.release(f.tapes[i].out);
}
template <class V, class P>
void walk_fork_infer(V& v, const Fork<P>& f, const ConstView<P>& x, const View<P>& y) {
    const auto room = [&](std::size_t i) { return x.batch * padded_count<typename P::scalar>(f.branches[i].out.size()); };
    walk_branches<V, P>(
        v, f, x, y, [&](std::size_t i) { return v.push(room(i)); }, [&](std::size_t i) { v.pop(room(i)); }, [](std::size_t) { return false; },
        [&](std::size_t, const Unit<P>& unit, const View<P>& to) { unit.kind->calls(v).infer(v, unit, x, to); },
        [] { return kernel::PtrOf<P, std::uint32_t>{}; });
}

DLA_TEMPLATE_ONCE(void walk_fork_forward(Running<Cpu<float>>&, const Fork<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&, Gradients))
DLA_TEMPLATE_ONCE(void walk_fork_forward(Planning<Cpu<float>>&, const Fork<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&, Gradients))
DLA_TEMPLATE_ONCE(void walk_fork_infer(Running<Cpu<float>>&, const Fork<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&))
DLA_TEMPLATE_ONCE(void walk_fork_infer(Planning<Cpu<float>>&, const Fork<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&))

}  // namespace dla::detail
