// SPDX-License-Identifier: MIT
// The walk backward through branches that take the same input.
#pragma once

#include <dla/compose/fork.hpp>

namespace dla::detail {

/// Backward: the branches from the last to the first, which has most to keep as a rule and may then write over the gradient of a sum.
template <class V, class P>
struct ForkBackward {
    V& v;
    const Fork<P>& f;
    const ConstView<P>&x, &y;
    const View<P>& dx;
    Gradients wants;
    bool written = false;  // dx is that of the branches so far

    View<P> no_gradient() const { return {kernel::Ptr<P>{}, x.batch, f.in}; }

    /// give(to) of branch i with `to` = dx, or memory that is then added to dx.
    template <class Give>
    void contribute(std::size_t i, const Give& give) {
        if (wants != Gradients::input) return give(no_gradient());
        if (!written) {
            written = true;
            return give(dx);
        }
        v.claim(f.tapes[i].dx, x.batch * f.in.size());
        const View<P> part(f.tapes[i].dx.data, x.batch, f.in);
        give(part);
        v.compute([&](Context<P>& c) { add(c.policy, dx.size(), dx.data, part.data, dx.data); }, true);
        v.release(f.tapes[i].dx);
    }
    /// Branch i, given the gradient of its output.
    void run(std::size_t i, const OutputGradient<P>& dy) {
        const BranchState& branch = f.branches[i];
        if (branch.reorders) {
            if (wants == Gradients::input)
                contribute(i, [&](const View<P>& to) {
                    v.compute(
                        [&](Context<P>& c) {
                            to_image<P>(c, f.in, dy, to);
                            show_backward(c, branch.rows, to);
                        },
                        true);
                });
            return;
        }
        const ConstView<P> out = f.keeps(i) ? ConstView<P>(f.tapes[i].out.data, x.batch, branch.out) : y;
        contribute(i, [&](const View<P>& to) { f.units[i].kind->calls(v).backward(v, f.units[i], x, out, dy, to, f.wants(i, wants)); });
    }
    /// An identity, given the gradient of its output.
    void pass(std::size_t i, const ConstView<P>& dy) {
        if (wants != Gradients::input) return;
        v.compute(
            [&](Context<P>& c) {
                if (written)
                    add(c.policy, dx.size(), dx.data, dy.data, dx.data);
                else
                    copy(c.policy, dx.size(), dy.data, dx.data);
                show_backward(c, f.branches[i].rows, dy);
            },
            true);
        written = true;
    }
    bool idle(std::size_t i) const { return f.wants(i, wants) == Gradients::none; }
    void release_output(std::size_t i) {
        if (f.keeps(i) && f.needs(i, wants)) v.release(f.tapes[i].out);
    }

    void sum(const OutputGradient<P>& dy) {
        const bool over = dy.spent() && (f.activation.masks || f.activation.over_gradient);  // the gradient of the sum lies on top of dy
        OutputGradient<P> gradient = dy;
        if (f.activation.undo) {
            if (!over) v.claim(f.tape->gradient, x.batch * f.out.size());
            const View<P> own(over ? dy.room().data : f.tape->gradient.data, x.batch, f.out);
            v.compute(
                [&](Context<P>& c) {
                    if (f.activation.masks)
                        relu_mask_backward(c.policy, dy.size(), f.tape->mask.data, dy.data, own.data);
                    else
                        f.activation.undo(c, y, dy, own);
                },
                true);
            if (f.activation.masks) v.release(f.tape->mask);
            gradient = OutputGradient<P>::spent_after(own);
        }
        const OutputGradient<P> shown{ConstView<P>(gradient)};
        std::size_t first = f.size();  // the last that runs
        bool passes = false;           // somebody reads the gradient after that
        for (std::size_t i = f.size(); i-- > 0;) {
            if (f.passes(i))
                passes = passes || wants == Gradients::input;
            else if (!idle(i))
                first = i;
        }
        for (std::size_t i = f.size(); i-- > 0;) {
            if (f.passes(i) || idle(i)) continue;
            run(i, i == first && !passes ? gradient : shown);
            release_output(i);
        }
        for (std::size_t i = 0; i < f.size(); ++i)
            if (f.passes(i)) pass(i, shown);
        if (f.activation.undo && !over) v.release(f.tape->gradient);
    }
    void concat(const OutputGradient<P>& dy) {
        for (std::size_t i = f.size(); i-- > 0;) {
            if (idle(i)) continue;
            const Shape& s = f.branches[i].out;
            const auto part = [&](const View<P>& to) {
                v.compute(
                    [&](Context<P>& c) {
                        copy_columns(c.policy, f.rows(x.batch), f.columns(s), dy.data + f.column(i), f.columns(f.out), to.data, f.columns(s));
                        if (f.passes(i)) show_backward(c, f.branches[i].rows, to);
                    },
                    true);
            };
            if (f.passes(i)) {
                if (wants == Gradients::input) contribute(i, part);
                continue;
            }
            v.claim(f.tapes[i].gradient, x.batch * s.size());
            const View<P> own(f.tapes[i].gradient.data, x.batch, s);
            part(own);
            run(i, OutputGradient<P>::spent_after(own));
            v.release(f.tapes[i].gradient);
            release_output(i);
        }
    }
    /// d(a b): that of the gate first, because a may then be given away.
    void product(const OutputGradient<P>& dy) {
        const auto value = [&](std::size_t i) { return f.passes(i) ? x : ConstView<P>(f.tapes[i].out.data, x.batch, f.branches[i].out); };
        const ConstView<P> a = value(0), b = value(1);
        const index_t pixels = f.pixels(), batch = pixels == 1 ? 1 : x.batch, channels = pixels == 1 ? x.batch * f.out.size() : f.channels();
        for (const std::size_t i : {std::size_t{1}, std::size_t{0}}) {
            if (!idle(i) || (f.passes(i) && wants == Gradients::input)) {
                const auto part = [&](const View<P>& to) {
                    v.compute(
                        [&](Context<P>& c) {
                            if (i == 1)
                                scale_channels_backward(c.policy, batch, pixels, channels, a.data, dy.data, to.data);
                            else
                                scale_channels(c.policy, batch, pixels, channels, dy.data, b.data, to.data);
                            if (f.passes(i)) show_backward(c, f.branches[i].rows, to);
                        },
                        true);
                };
                if (f.passes(i)) {
                    contribute(i, part);
                } else {
                    v.claim(f.tapes[i].gradient, x.batch * f.branches[i].out.size());
                    const View<P> own(f.tapes[i].gradient.data, x.batch, f.branches[i].out);
                    part(own);
                    run(i, OutputGradient<P>::spent_after(own));
                    v.release(f.tapes[i].gradient);
                }
            }
            if (i == 0) release_output(0), release_output(1);
        }
    }
};

template <class V, class P>
void walk_fork_backward(V& v, const Fork<P>& f, const ConstView<P>& x, const ConstView<P>& y, const OutputGradient<P>& dy, const View<P>& dx, Gradients wants) {
    ForkBackward<V, P> backward{v, f, x, y, dx, wants};
    if (f.merge == Merge::concat)
        backward.concat(dy);
    else if (f.merge == Merge::multiply)
        backward.product(dy);
    else
        backward.sum(dy);
}

DLA_TEMPLATE_ONCE(void walk_fork_backward(Running<Cpu<float>>&, const Fork<Cpu<float>>&, const ConstView<Cpu<float>>&, const ConstView<Cpu<float>>&,
                                          const OutputGradient<Cpu<float>>&, const View<Cpu<float>>&, Gradients))
DLA_TEMPLATE_ONCE(void walk_fork_backward(Planning<Cpu<float>>&, const Fork<Cpu<float>>&, const ConstView<Cpu<float>>&, const ConstView<Cpu<float>>&,
                                          const OutputGradient<Cpu<float>>&, const View<Cpu<float>>&, Gradients))

}  // namespace dla::detail
