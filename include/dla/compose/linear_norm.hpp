// SPDX-License-Identifier: MIT
// Linear and BatchNorm1d as one, with the ReLU behind them: the blocks of which MLPs are made.
#pragma once

#include <dla/compose/norm_members.hpp>
#include <dla/layers/linear.hpp>

namespace dla {

namespace detail {

template <class P>
struct LinearNormTape {
    Planned<P> linear_out;  // then its gradient
    NormTape<P> norm;
    Planned<P> gradient;  // only where the members work one by one
};

/// A group whose sizes are values: what any of them does is compiled here, once for a policy.
struct AnyLinearNorm {
    AnyLinear linear;
    AnyBatchNorm norm;
    bool relu;

    /// The members work one by one where samples have several rows, for the normalisation has these for its channels; and where the weights, which every
    /// chunk of rows reads as a whole, are larger than caches (measured: level at 1024 x 1024, 0.6 of the speed at 2048 x 2048).
    bool fused(const Shape& in) const { return in.rank == 1 && in.d[0] * linear.out <= 1 << 19; }
    LinearNormDims dims(const Shape& in, index_t batch) const { return {.linear = linear.dims(in, batch), .relu = relu}; }

    template <class P>
    [[gnu::cold]] index_t scratch(const P& policy, const Shape& in, index_t batch, Pass pass) const;
    template <class P>
    [[gnu::cold]] index_t prepare(const Context<P>& c, const InferredParts<P>& parts, const Shape& in, PreparedPtr<P> to) const {
        if (!fused(in)) return linear.prepare(c, parts.inner, in, to);
        return linear_norm_prepare(c.policy, c.scratch, dims(in, c.capacity), norm_params(norm, parts.norm), parts.inner.weight.value, to);
    }
    template <class P>
    void infer(Context<P>& c, const InferredParts<P>& parts, const ConstView<P>& x, const View<P>& y) const;
    template <class P>
    void forward(Context<P>& c, const TrainedParts<P>& parts, const ConstView<P>& x, const View<P>& y, LinearNormTape<P>& tape) const;
    template <class P>
    void backward(Context<P>& c, const TrainedParts<P>& parts, const ConstView<P>& x, const ConstView<P>& y, const ConstView<P>& dy, const View<P>& dx,
                  LinearNormTape<P>& tape) const;

private:
    static constexpr ActivationIs<Activation::relu> rectify{};
};

template <class P>
index_t AnyLinearNorm::scratch(const P& policy, const Shape& in, index_t batch, Pass pass) const {
    const Shape inner = linear.out_shape(in).shape;
    const index_t members = std::max(linear.scratch(policy, in, batch, pass), batch_norm_scratch(policy, channel_dims(batch, inner)));
    if (!fused(in)) return members;
    const index_t own = pass == Pass::backward ? linear_norm_backward_scratch(policy, dims(in, batch)) : linear_norm_scratch(policy, dims(in, batch));
    return std::max(own, members);
}
template <class P>
void AnyLinearNorm::infer(Context<P>& c, const InferredParts<P>& parts, const ConstView<P>& x, const View<P>& y) const {
    if (fused(x.shape)) {
        const LinearNormDims d = dims(x.shape, x.batch), one = dims(x.shape, 1);
        const std::byte* prepared = c.prepared;
        std::byte* scratch = c.scratch;
        if (!prepared) {  // within a layer that prepares nothing: what one sample wants
            std::byte* own = scratch;
            const NormParams n = norm_params(norm, parts.norm);
            scratch += align_up(linear_norm_prepare(c.policy, scratch, one, n, parts.inner.weight.value, nullptr));
            linear_norm_prepare(c.policy, scratch, one, n, parts.inner.weight.value, own);
            prepared = own;
        }
        const bool packed = c.prepared && linear_prepare(c.policy, dims(x.shape, c.capacity).linear, nullptr, nullptr) > 0;
        return linear_norm_infer(c.policy, scratch, d, x.data, parts.inner.weight.value, parts.inner.bias.value, prepared, packed, y.data);
    }
    linear.infer(c, parts.inner, x, y);
    norm.infer(c, parts.norm, ConstView<P>(y), y);
    if (relu) activation_forward(c.policy, rectify, 0, y.size(), y.data, y.data);
}
template <class P>
void AnyLinearNorm::forward(Context<P>& c, const TrainedParts<P>& parts, const ConstView<P>& x, const View<P>& y, LinearNormTape<P>& tape) const {
    const View<P> inner(tape.linear_out.data, x.batch, y.shape);
    const NormParams n = norm_params(norm, parts.norm);
    if (!fused(x.shape)) {
        linear.infer(c, parts.inner, x, inner);
        show_forward(c, parts.rows[0], inner);
        norm.forward(c, parts.norm, inner, y, tape.norm);
        show_forward(c, parts.rows[1], y);
        if (!relu) return;
        activation_forward(c.policy, rectify, 0, y.size(), y.data, y.data);
        return show_forward(c, parts.rows[2], y);
    }
    const LinearNormDims d = dims(x.shape, x.batch);
    if (*parts.norm.eval) {
        linear.infer(c, parts.inner, x, inner);
        norm_rows_running(c.policy, d.rows(), n, tape.norm.mean.data, tape.norm.invstd.data);
        norm_rows_apply(c.policy, c.scratch, d.rows(), n, inner.data, tape.norm.mean.data, tape.norm.invstd.data, y.data);
    } else {
        norm.check_batch(inner.batch, inner.shape);
        linear_norm_forward(c.policy, c.scratch, d, n, x.data, parts.inner.weight.value, parts.inner.bias.value, inner.data, tape.norm.mean.data,
                            tape.norm.invstd.data, y.data);
    }
    if (c.observer) show_norm_members(c, n, parts.rows, inner, tape.norm, d.rows());
    show_forward(c, parts.rows[relu ? 2 : 1], y);
}
template <class P>
void AnyLinearNorm::backward(Context<P>& c, const TrainedParts<P>& parts, const ConstView<P>& x, const ConstView<P>& y, const ConstView<P>& dy,
                             const View<P>& dx, LinearNormTape<P>& tape) const {
    const WeightAndBias<P>& w = parts.inner;
    const View<P> inner(tape.linear_out.data, x.batch, dy.shape);
    if (!fused(x.shape)) {
        const View<P> gradient(tape.gradient.data, x.batch, dy.shape);
        if (relu) {
            activation_backward(c.policy, rectify, 0, dy.size(), nullptr, y.data, dy.data, gradient.data);
            show_backward(c, parts.rows[2], gradient);
        }
        norm.backward(c, parts.norm, inner, relu ? ConstView<P>(gradient) : dy, gradient, tape.norm);
        show_backward(c, parts.rows[1], gradient);
        linear.backward(c, w, x, ConstView<P>(gradient), dx);
        return show_backward(c, parts.rows[0], dx);
    }
    const NormParams n = norm_params(norm, parts.norm);
    const LinearNormDims d = dims(x.shape, x.batch);
    const bool eval = *parts.norm.eval;
    if (c.observer && relu) show_relu_gradient(c, n, parts.rows[2], inner, dy.data, tape.norm, d.rows());
    linear_norm_backward(c.policy, c.scratch, d, n, x.data, w.weight.value, inner.data, tape.norm.mean.data, tape.norm.invstd.data, dy.data, dx.data,
                         w.weight.grad, parts.norm.weight.grad, parts.norm.bias.grad, eval);
    show_backward(c, parts.rows[1], inner);
    // The batch's mean takes out what a bias puts in: its gradient is 0.
    if (eval && w.bias.grad) column_sum(c.policy, c.scratch, x.batch, d.linear.out, inner.data, w.bias.grad);
    show_backward(c, parts.rows[0], dx);
}

DLA_TEMPLATE_ONCE(index_t AnyLinearNorm::scratch(const Cpu<float>&, const Shape&, index_t, Pass) const)
DLA_TEMPLATE_ONCE(void AnyLinearNorm::infer(Context<Cpu<float>>&, const InferredParts<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&)
                      const)
DLA_TEMPLATE_ONCE(void AnyLinearNorm::forward(Context<Cpu<float>>&, const TrainedParts<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&,
                                              LinearNormTape<Cpu<float>>&) const)
DLA_TEMPLATE_ONCE(void AnyLinearNorm::backward(Context<Cpu<float>>&, const TrainedParts<Cpu<float>>&, const ConstView<Cpu<float>>&,
                                               const ConstView<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&, LinearNormTape<Cpu<float>>&)
                      const)

}  // namespace detail

/// y = ReLU(BatchNorm(Linear(x))), or without the ReLU. Statistics are summed chunk by chunk as the Linear's results are made, so they round differently from
/// those of the layers one after the other, within the bound of either. What is kept is the Linear's results, over which their gradient is written. The
/// gradient of the Linear's bias is then 0, which it is but for rounding. Weights larger than caches: one layer after the other.
template <class L, class Norm, class... Act>
struct LinearNormGroup : detail::NormedGroup<LinearNormGroup<L, Norm, Act...>, L, Norm, Act...> {
    static constexpr Needs needs{.x = true, .y = sizeof...(Act) == 1};

    template <class P>
    using Tape = detail::LinearNormTape<P>;
    detail::AnyLinearNorm any() const { return {this->template member<0>().any(), this->template member<1>().any(), sizeof...(Act) == 1}; }
    template <class Claim, class P>
    void keep(const Claim& claim, Tape<P>& tape, const Shape& in, index_t batch) const {
        const Shape inner = this->template shape_before<1>(in);
        claim(tape.linear_out, batch * inner.size());
        this->template member<1>().keep(claim, tape.norm, inner, batch);
    }
    template <class Claim, class P>
    void work(const Claim& claim, Tape<P>& tape, const Shape& in, index_t batch) const {
        if (!any().fused(in)) claim(tape.gradient, batch * this->template shape_before<1>(in).size());
    }
};

namespace detail {

template <class L>
inline constexpr bool is_linear = false;
template <index_t In, index_t Out>
inline constexpr bool is_linear<Linear<In, Out>> = true;
template <class L>
inline constexpr bool is_batch_norm1d = false;
template <index_t Channels>
inline constexpr bool is_batch_norm1d<BatchNorm<Channels, false>> = true;

}  // namespace detail

/// Claims Linear, BatchNorm1d, then (Length 3) ReLU.
template <std::size_t Length>
struct LinearNormPattern {
    static constexpr std::size_t length = Length;
    template <class L, class Norm, class Act = ReLU>
    static constexpr bool matches = detail::is_linear<L> && detail::is_batch_norm1d<Norm> && std::is_same_v<Act, ReLU>;
    template <class... Ls>
    using type = LinearNormGroup<Ls...>;
};

}  // namespace dla
