// SPDX-License-Identifier: MIT
// Fully connected layer.
#pragma once

#include <dla/layers/concept.hpp>

#include <algorithm>
#include <cmath>

namespace dla {

namespace detail {

/// The policy can pack weights before inference.
template <class P>
concept prepares_linear = requires(const P& p, const LinearDims& most, kernel::ConstWeightPtr<P> w, PreparedPtr<P> to) { linear_prepare(p, most, w, to); };

/// A Linear whose sizes are values: what any of them does is compiled here, once for a policy.
struct AnyLinear {
    index_t in, out;
    bool bias;

    [[gnu::cold]] constexpr Text name() const { return text("Linear<", dim_text(in), ", ", dim_text(out), ">"); }

    template <class V>
    constexpr void attributes(V& v) const {
        v("out", out, in_shapes);
        v("bias", bias, true);
    }

    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank == 0) return Shape{};
        if (s.is_image()) {
            if (in != Dyn && s.size() == in) return refuse("expected ", in, "; did you forget Flatten?");
            if (in != Dyn && s.is_known()) return refuse("expected ", in, "; did you forget Flatten, or mean Linear<", s.size(), ", ", dim_text(out), ">?");
            return refuse("expected [features]; did you forget Flatten?");
        }
        const index_t features = s.d[s.rank - 1];
        if (!compatible(features, in)) return refuse("expected ", in, "; did you mean Linear<", features, ", ", dim_text(out), ">?");
        if (s.is_known() && out == Dyn)
            return refuse_unset("its output size is not set; write Linear<", dim_text(in), ", 10> or Linear<", dim_text(in), ", Dyn>{.out = 10}");
        if (out != Dyn && out < 1) return refuse("its output size is ", out, "; expected at least 1");
        if (s.rank == 1) return Shape{out};
        s.d[s.rank - 1] = out;
        return s;
    }
    constexpr index_t macs(const Shape& s) const { return saturating_mul(s.size(), out); }
    constexpr LinearDims dims(const Shape& s, index_t batch) const {
        return {.rows = s.rank == 1 ? batch : s.rank == 2 ? batch * s.d[0] : batch * s.d[0] * s.d[1], .in = s.d[s.rank - 1], .out = out};
    }

    template <class P, class Builder>
    [[gnu::cold]] WeightAndBias<P> build(Builder& b, const Shape& s) const;
    template <class P>
    [[gnu::cold]] index_t scratch(const P& policy, const Shape& s, index_t batch, Pass pass) const;
    template <class P>
    [[gnu::cold]] index_t prepare(const Context<P>& c, const WeightAndBias<P>& state, const Shape& s, PreparedPtr<P> to) const;
    template <class P>
    void infer(Context<P>& c, const WeightAndBias<P>& state, const ConstView<P>& x, const View<P>& y) const;
    template <class P>
    void backward(Context<P>& c, const WeightAndBias<P>& state, const ConstView<P>& x, const ConstView<P>& dy, const View<P>& dx) const;
};

template <class P, class Builder>
WeightAndBias<P> AnyLinear::build(Builder& b, const Shape& s) const {
    WeightAndBias<P> state;
    const index_t features = s.d[s.rank - 1];
    const Init init{.fixed = 0, .bound = 1 / std::sqrt(static_cast<double>(features))};
    const DiskOrder order = s.is_flattened_image() ? DiskOrder{.outer = out, .channels = features / (s.d[1] * s.d[2]), .pixels = s.d[1] * s.d[2]} : DiskOrder{};
    state.weight = b.parameter("weight", ParamKind::weight, {out, features}, init, order);
    if (bias) state.bias = b.parameter("bias", ParamKind::bias, {out}, init);
    return state;
}
template <class P>
index_t AnyLinear::scratch(const P& policy, const Shape& s, index_t batch, Pass pass) const {
    const LinearDims d = dims(s, batch);
    if (pass != Pass::backward) return gemm_scratch(policy, d.forward());
    return std::max({gemm_scratch(policy, d.backward_weights()), column_sum_scratch(policy, d.rows, d.out), gemm_scratch(policy, d.backward_data())});
}
template <class P>
index_t AnyLinear::prepare(const Context<P>& c, const WeightAndBias<P>& state, const Shape& s, PreparedPtr<P> to) const {
    if constexpr (prepares_linear<P>)
        return linear_prepare(c.policy, dims(s, c.capacity), state.weight.value, to);
    else
        return 0;
}
template <class P>
void AnyLinear::infer(Context<P>& c, const WeightAndBias<P>& state, const ConstView<P>& x, const View<P>& y) const {
    if constexpr (prepares_linear<P>)  // nothing is prepared in training
        return linear_infer(c.policy, c.scratch, dims(x.shape, x.batch), x.data, state.weight.value, state.bias.value, c.prepared, y.data);
    gemm(c.policy, c.scratch, dims(x.shape, x.batch).forward(), x.data, state.weight.value, state.bias.value, typename P::master(0), y.data);
}
template <class P>
void AnyLinear::backward(Context<P>& c, const WeightAndBias<P>& state, const ConstView<P>& x, const ConstView<P>& dy, const View<P>& dx) const {
    using T = typename P::master;
    const LinearDims d = dims(x.shape, x.batch);
    const kernel::ConstWeightPtr<P> none{};
    gemm(c.policy, c.scratch, d.backward_weights(), dy.data, x.data, none, T(1), state.weight.grad);         // dw += dy^T x
    if (state.bias.grad) column_sum(c.policy, c.scratch, d.rows, d.out, dy.data, state.bias.grad);           // db += column sums of dy
    if (dx) gemm(c.policy, c.scratch, d.backward_data(), dy.data, state.weight.value, none, T(0), dx.data);  // dx = dy W
}

DLA_TEMPLATE_ONCE(index_t AnyLinear::scratch(const Cpu<float>&, const Shape&, index_t, Pass) const)
DLA_TEMPLATE_ONCE(index_t AnyLinear::prepare(const Context<Cpu<float>>&, const WeightAndBias<Cpu<float>>&, const Shape&, std::byte*) const)
DLA_TEMPLATE_ONCE(void AnyLinear::infer(Context<Cpu<float>>&, const WeightAndBias<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&) const)
DLA_TEMPLATE_ONCE(void AnyLinear::backward(Context<Cpu<float>>&, const WeightAndBias<Cpu<float>>&, const ConstView<Cpu<float>>&, const ConstView<Cpu<float>>&,
                                           const View<Cpu<float>>&) const)

}  // namespace detail

/// y = x W^T + b. x [N, in], [N, rows, in] or, contiguous, [N, a, b, in], weight [out, in], bias [out]. In = Dyn: taken from the input; Out = Dyn: set `out`.
/// Initialised as PyTorch's nn.Linear: weight and bias uniform in +-1/sqrt(in).
template <index_t In = Dyn, index_t Out = Dyn>
struct Linear {
    index_t out = Out;
    bool bias = true;

    static constexpr Needs needs{.x = true, .y = false};

    template <class P>
    using State = WeightAndBias<P>;

    constexpr detail::AnyLinear any() const { return {In, out, bias}; }
    constexpr Text name() const { return any().name(); }
    template <class V>
    constexpr void attributes(V& v) const {
        any().attributes(v);
    }
    constexpr ShapeResult out_shape(Shape s) const { return any().out_shape(s); }
    constexpr index_t macs(const Shape& s) const { return any().macs(s); }

    template <class P, class Builder>
    State<P> build(Builder& b, const Shape& s) const {
        return any().template build<P>(b, s);
    }
    template <class P>
    index_t scratch(const P& policy, const Shape& s, index_t batch, Pass pass) const {
        return any().scratch(policy, s, batch, pass);
    }
    template <class P>
    index_t prepare(const Context<P>& c, const State<P>& state, const Shape& s, PreparedPtr<P> to) const {
        return any().prepare(c, state, s, to);
    }
    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        any().infer(c, state, x, y);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        any().backward(c, state, x, dy, dx);
    }
};

}  // namespace dla
