// SPDX-License-Identifier: MIT
// Linear, BatchNorm1d and ReLU as one: the block of which MLPs are made.
#pragma once

#include <dla/compose/groups.hpp>
#include <dla/layers/activation.hpp>
#include <dla/layers/linear.hpp>
#include <dla/layers/norm.hpp>

namespace dla {

/// y = ReLU(BatchNorm(Linear(x))). What normalisation gives is never stored: the ReLU is taken as it is written, and undone as its gradient is read. The sums
/// are those of the three layers one after the other, in the same order, so the bits are the same.
template <class L, class Norm>
struct LinearNormRelu : Group<L, Norm, ReLU> {
    static constexpr Needs needs{.x = true, .y = true};

    template <class P>
    struct Tape {
        Planned<P> linear_out;
        LayerTape<Norm, P> norm;
        Planned<P> gradient;  // of linear_out
    };
    template <class P>
    using State = typename Group<L, Norm, ReLU>::template State<P>;

    template <class Claim, class P>
    void keep(const Claim& claim, Tape<P>& tape, const Shape& in, index_t batch) const {
        const Shape inner = this->template shape_before<1>(in);
        claim(tape.linear_out, batch * inner.size());
        norm().keep(claim, tape.norm, inner, batch);
    }
    template <class Claim, class P>
    void work(const Claim& claim, Tape<P>& tape, const Shape& in, index_t batch) const {
        claim(tape.gradient, batch * this->template shape_before<1>(in).size());
    }
    template <class P>
    index_t scratch(const P& policy, const Shape& in, index_t batch, Pass pass) const {
        return std::max(linear().scratch(policy, in, batch, pass), norm().scratch(policy, this->template shape_before<1>(in), batch, pass));
    }

    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        linear().infer(c, get<0>(state.members), x, y);
        const auto& n = get<1>(state.members);
        batch_norm_relu_infer(c.policy, detail::channel_dims(y.batch, y.shape), norm().eps, y.data, n.weight.master, n.bias.master, n.running_mean,
                              n.running_var, y.data);
    }
    template <class P>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y, Tape<P>& tape) const {
        const View<P> inner(tape.linear_out.data, x.batch, y.shape);
        linear().infer(c, get<0>(state.members), x, inner);
        show_forward(c, state.rows[0], inner);
        auto& n = get<1>(state.members);
        if (one_by_one(c, n)) {
            norm().forward(c, n, inner, y, tape.norm);
            show_forward(c, state.rows[1], y);
            activation().infer(c, ConstView<P>(y), y);
            return show_forward(c, state.rows[2], y);
        }
        norm().check_batch(inner);
        batch_norm_relu_forward(c.policy, c.scratch, detail::channel_dims(y.batch, y.shape), norm().eps, norm().momentum, inner.data, n.weight.master,
                                n.bias.master, n.running_mean, n.running_var, n.tracked, y.data, tape.norm.mean.data, tape.norm.invstd.data);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> dx, Tape<P>& tape) const {
        const ConstView<P> inner(tape.linear_out.data, x.batch, y.shape);
        const View<P> gradient(tape.gradient.data, x.batch, y.shape);
        auto& n = get<1>(state.members);
        if (one_by_one(c, n)) {
            activation().backward(c, ConstView<P>{}, y, dy, gradient);
            show_backward(c, state.rows[2], gradient);
            norm().backward(c, n, inner, ConstView<P>{}, ConstView<P>(gradient), gradient, tape.norm);
            show_backward(c, state.rows[1], gradient);
        } else {
            batch_norm_relu_backward(c.policy, c.scratch, detail::channel_dims(x.batch, y.shape), inner.data, y.data, n.weight.master, tape.norm.mean.data,
                                     tape.norm.invstd.data, dy.data, gradient.data, n.weight.grad, n.bias.grad);
        }
        linear().backward(c, get<0>(state.members), x, inner, ConstView<P>(gradient), dx);
        show_backward(c, state.rows[0], dx);
    }

private:
    const L& linear() const { return this->template member<0>(); }
    const Norm& norm() const { return this->template member<1>(); }
    const ReLU& activation() const { return this->template member<2>(); }
    /// Where somebody looks at every layer, or the normalisation is told to leave its statistics alone.
    template <class P, class NormState>
    static bool one_by_one(const Context<P>& c, const NormState& n) {
        return c.observer != nullptr || *n.eval;
    }
};

namespace detail {

template <class... Ls>
inline constexpr bool is_linear_norm_relu = false;
template <index_t In, index_t Out, index_t Channels>
inline constexpr bool is_linear_norm_relu<Linear<In, Out>, BatchNorm<Channels, false>, ReLU> = true;

}  // namespace detail

/// Claims Linear, BatchNorm1d, ReLU.
struct LinearNormReluPattern {
    static constexpr std::size_t length = 3;
    template <class... Ls>
    static constexpr bool matches = detail::is_linear_norm_relu<Ls...>;
    template <class L, class Norm, class Act>
    using type = LinearNormRelu<L, Norm>;
};

}  // namespace dla
