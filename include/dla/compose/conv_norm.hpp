// SPDX-License-Identifier: MIT
// Conv2d and BatchNorm2d as one, with the ReLU and the MaxPool2d behind them: the blocks of which CNNs are made.
#pragma once

#include <dla/compose/norm_members.hpp>
#include <dla/layers/conv2d.hpp>
#include <dla/layers/pool2d.hpp>

#include <vector>

namespace dla {

namespace detail {

template <class P>
struct ConvNormTape {
    Planned<P> conv_out;  // then its gradient
    NormTape<P> norm;
    Planned<P> activated;  // these two only for a pooling that is not fused
    Planned<P, std::int32_t> argmax;
};

/// A group whose sizes are values: what any of them does is compiled here, once for a policy.
struct AnyConvNorm {
    AnyConv2d conv;
    AnyBatchNorm norm;
    bool relu, has_pool;
    MaxPool2d<> pool;

    /// Windows of 2 x 2 that tile the image; others go through the layer's own kernel.
    bool pools() const {
        return has_pool && pool.kernel == Size2(2) && pool.stride == Size2(2) && pool.padding == Size2(0) && pool.dilation == Size2(1) && !pool.ceil_mode;
    }
    bool pools_apart() const { return has_pool && !pools(); }
    ConvNormDims dims(const Shape& in, index_t batch) const { return {.conv = conv.dims(in, batch), .relu = relu, .pool = pools()}; }
    Shape inner(const Shape& in) const { return conv.out_shape(in).shape; }

    template <class Claim, class P>
    void keep(const Claim& claim, ConvNormTape<P>& tape, const Shape& in, index_t batch) const {
        const Shape z = inner(in);
        claim(tape.conv_out, batch * z.size());
        claim(tape.norm.mean, z.d[0]);
        claim(tape.norm.invstd, z.d[0]);
        if (!pools_apart()) return;
        claim(tape.activated, batch * z.size());
        claim(tape.argmax, batch * pool.out_shape(z).shape.size());
    }
    template <class P>
    [[gnu::cold]] index_t scratch(const P& policy, const Shape& in, index_t batch, Pass pass) const;
    template <class P>
    index_t prepare(const Context<P>& c, const InferredParts<P>& parts, const Shape& in, PreparedPtr<P> to) const {
        return conv.prepare(c, parts.inner, in, to);
    }
    template <class P>
    void infer(Context<P>& c, const InferredParts<P>& parts, const ConstView<P>& x, const View<P>& y) const;
    template <class P>
    void forward(Context<P>& c, const TrainedParts<P>& parts, const ConstView<P>& x, const View<P>& y, ConvNormTape<P>& tape) const {
        convolve<P>(c, parts, nullptr, x, tape);
        finish<P>(c, parts, x, y, tape);
    }
    template <class P>
    void backward(Context<P>& c, const TrainedParts<P>& parts, const ConstView<P>& x, const ConstView<P>&, const ConstView<P>& dy, const View<P>& dx,
                  ConvNormTape<P>& tape) const {
        undo<P>(c, parts, x, dy, tape);
        differentiate<P>(c, parts, nullptr, x, dx, tape);
    }

    // The halves of the passes. What the convolution reads is x, or (not null) what `input` makes of it.
    /// Forward: the convolution's results and their statistics.
    template <class P>
    void convolve(Context<P>& c, const TrainedParts<P>& parts, const NormedInput* input, const ConstView<P>& x, ConvNormTape<P>& tape) const;
    /// y of the convolution's results.
    template <class P>
    void finish(Context<P>& c, const TrainedParts<P>& parts, const ConstView<P>& x, const View<P>& y, ConvNormTape<P>& tape) const;
    /// Backward: the convolution's results become their gradient.
    template <class P>
    void undo(Context<P>& c, const TrainedParts<P>& parts, const ConstView<P>& x, const ConstView<P>& dy, ConvNormTape<P>& tape) const;
    /// The gradients of the convolution's weights and of x.
    template <class P>
    void differentiate(Context<P>& c, const TrainedParts<P>& parts, const NormedInput* input, const ConstView<P>& x, const View<P>& dx,
                       ConvNormTape<P>& tape) const;

private:
    template <class P>
    [[gnu::cold]] void show_gradients(Context<P>& c, const NormParams& n, const LayerRows* rows, const View<P>& inner, const ConstView<P>& dy,
                                      const ConvNormTape<P>& tape, ConvNormDims d) const;
};

template <class P>
index_t AnyConvNorm::scratch(const P& policy, const Shape& in, index_t batch, Pass pass) const {
    const ConvNormDims d = dims(in, batch);
    if (pass == Pass::backward) return std::max(conv_norm_backward_scratch(policy, d), conv.scratch(policy, in, batch, pass));
    if (pass == Pass::forward) return conv_norm_forward_scratch(policy, d);
    const index_t activated = pools_apart() ? Stack<P>::bytes(batch * inner(in).size()) : 0;
    return activated + conv_norm_infer_scratch(policy, d);
}
template <class P>
void AnyConvNorm::infer(Context<P>& c, const InferredParts<P>& parts, const ConstView<P>& x, const View<P>& y) const {
    const ConvNormDims d = dims(x.shape, x.batch);
    const NormParams n = norm_params(norm, parts.norm);
    const auto &weight = parts.inner.weight, &bias = parts.inner.bias;
    if (!pools_apart()) return conv_norm_infer(c.policy, c.scratch, d, n, x.data, weight.value, bias.value, c.prepared, y.data);
    const Shape between = inner(x.shape);
    auto* activated = reinterpret_cast<typename P::scalar*>(c.scratch);
    std::byte* rest = c.scratch + Stack<P>::bytes(x.batch * between.size());
    conv_norm_infer(c.policy, rest, d, n, x.data, weight.value, bias.value, c.prepared, activated);
    max_pool2d_forward(c.policy, pool.dims(between, x.batch), activated, y.data, nullptr);
}
template <class P>
void AnyConvNorm::convolve(Context<P>& c, const TrainedParts<P>& parts, const NormedInput* input, const ConstView<P>& x, ConvNormTape<P>& tape) const {
    const ConvNormDims d = dims(x.shape, x.batch);
    const NormParams n = norm_params(norm, parts.norm);
    const WeightAndBias<P>& w = parts.inner;
    const View<P> z(tape.conv_out.data, x.batch, inner(x.shape));
    const bool eval = *parts.norm.eval;
    if (!eval) norm.check_batch(z.batch, z.shape);
    const auto run = eval ? &conv_norm_forward_running : &conv_norm_forward;
    run(c.policy, c.scratch, d, n, input, x.data, w.weight.value, w.bias.value, z.data, tape.norm.mean.data, tape.norm.invstd.data);
    if (c.observer) show_norm_members(c, n, parts.rows, z, tape.norm, d.rows());
}
template <class P>
void AnyConvNorm::finish(Context<P>& c, const TrainedParts<P>& parts, const ConstView<P>& x, const View<P>& y, ConvNormTape<P>& tape) const {
    const View<P> z(tape.conv_out.data, x.batch, inner(x.shape));
    auto* const activated = pools_apart() ? tape.activated.data : y.data;
    norm_rows_apply(c.policy, c.scratch, dims(x.shape, x.batch).rows(), norm_params(norm, parts.norm), z.data, tape.norm.mean.data, tape.norm.invstd.data,
                    activated);
    if (pools_apart()) {
        if (c.observer) show_forward(c, parts.rows[2], ConstView<P>(activated, z.batch, z.shape));
        max_pool2d_forward(c.policy, pool.dims(z.shape, z.batch), activated, y.data, tape.argmax.data);
    }
    show_forward(c, parts.rows[has_pool ? 3 : relu ? 2 : 1], y);
}
template <class P>
void AnyConvNorm::undo(Context<P>& c, const TrainedParts<P>& parts, const ConstView<P>& x, const ConstView<P>& dy, ConvNormTape<P>& tape) const {
    const ConvNormDims d = dims(x.shape, x.batch);
    const NormParams n = norm_params(norm, parts.norm);
    const View<P> z(tape.conv_out.data, x.batch, inner(x.shape));
    auto from = dy.data;
    if (pools_apart()) {  // where the ReLU was is seen from the convolution's results
        max_pool2d_backward(c.policy, pool.dims(z.shape, x.batch), dy.data, tape.argmax.data, tape.activated.data);
        from = tape.activated.data;
        if (c.observer) show_backward(c, parts.rows[3], ConstView<P>(from, x.batch, z.shape));
    }
    if (c.observer) show_gradients(c, n, parts.rows, z, ConstView<P>(from, x.batch, d.pool ? dy.shape : z.shape), tape, d);
    conv_norm_backward(c.policy, c.scratch, d, n, z.data, tape.norm.mean.data, tape.norm.invstd.data, from, z.data, parts.norm.weight.grad,
                       parts.norm.bias.grad, *parts.norm.eval);
    show_backward(c, parts.rows[1], z);
}
template <class P>
void AnyConvNorm::differentiate(Context<P>& c, const TrainedParts<P>& parts, const NormedInput* input, const ConstView<P>& x, const View<P>& dx,
                                ConvNormTape<P>& tape) const {
    const Conv2dDims d = conv.dims(x.shape, x.batch);
    const WeightAndBias<P>& w = parts.inner;
    const auto* const dz = tape.conv_out.data;
    // The batch's mean takes out what a bias puts in: its gradient is 0.
    const auto dbias = *parts.norm.eval ? w.bias.grad : kernel::MasterPtr<P>{};
    if (input != nullptr)
        conv_norm_weights(c.policy, c.scratch, d, *input, x.data, dz, w.weight.grad, dbias);
    else
        conv2d_backward_weights(c.policy, c.scratch, d, x.data, dz, w.weight.grad, dbias);
    if (dx) conv2d_backward_data(c.policy, c.scratch, d, dz, w.weight.value, dx.data);
    show_backward(c, parts.rows[0], dx);
}
template <class P>
void AnyConvNorm::show_gradients(Context<P>& c, const NormParams& n, const LayerRows* rows, const View<P>& inner, const ConstView<P>& dy,
                                 const ConvNormTape<P>& tape, ConvNormDims d) const {
    if (!relu) return;
    if (!d.pool) return show_relu_gradient(c, n, rows[2], inner, dy.data, tape.norm, d.rows());
    std::vector<typename P::scalar> activated(static_cast<std::size_t>(inner.size())), gradient(activated.size()), pooled(static_cast<std::size_t>(dy.size()));
    std::vector<std::int32_t> argmax(pooled.size());
    const View<P> shown(gradient.data(), inner.batch, inner.shape);
    const Pool2dDims windows = pool.dims(inner.shape, inner.batch);
    norm_rows_apply(c.policy, c.scratch,
                    {.images = inner.batch, .height = inner.shape.d[1], .width = inner.shape.d[2], .channels = inner.shape.d[0], .relu = true}, n, inner.data,
                    tape.norm.mean.data, tape.norm.invstd.data, activated.data());
    max_pool2d_forward(c.policy, windows, activated.data(), pooled.data(), argmax.data());
    max_pool2d_backward(c.policy, windows, dy.data, argmax.data(), shown.data);
    show_backward(c, rows[3], shown);
    show_relu_gradient(c, n, rows[2], inner, shown.data, tape.norm, d.rows());
}

DLA_TEMPLATE_ONCE(index_t AnyConvNorm::scratch(const Cpu<float>&, const Shape&, index_t, Pass) const)
DLA_TEMPLATE_ONCE(void AnyConvNorm::infer(Context<Cpu<float>>&, const InferredParts<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&) const)
DLA_TEMPLATE_ONCE(void AnyConvNorm::convolve(Context<Cpu<float>>&, const TrainedParts<Cpu<float>>&, const NormedInput*, const ConstView<Cpu<float>>&,
                                             ConvNormTape<Cpu<float>>&) const)
DLA_TEMPLATE_ONCE(void AnyConvNorm::finish(Context<Cpu<float>>&, const TrainedParts<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&,
                                           ConvNormTape<Cpu<float>>&) const)
DLA_TEMPLATE_ONCE(void AnyConvNorm::undo(Context<Cpu<float>>&, const TrainedParts<Cpu<float>>&, const ConstView<Cpu<float>>&, const ConstView<Cpu<float>>&,
                                         ConvNormTape<Cpu<float>>&) const)
DLA_TEMPLATE_ONCE(void AnyConvNorm::differentiate(Context<Cpu<float>>&, const TrainedParts<Cpu<float>>&, const NormedInput*, const ConstView<Cpu<float>>&,
                                                  const View<Cpu<float>>&, ConvNormTape<Cpu<float>>&) const)

/// Of a Conv2d, a BatchNorm2d, and a ReLU and a MaxPool2d where they are.
inline constexpr auto any_conv_norm = [](const auto& conv, const auto& norm, const auto&... rest) {
    MaxPool2d<> pool;
    [[maybe_unused]] const auto look = [&](const auto& l) {
        if constexpr (requires { l.ceil_mode; })
            pool = {.kernel = l.kernel, .stride = l.stride, .padding = l.padding, .dilation = l.dilation, .ceil_mode = l.ceil_mode};
    };
    (look(rest), ...);
    return AnyConvNorm{conv.any(), norm.any(), sizeof...(rest) >= 1, sizeof...(rest) == 2, pool};
};

}  // namespace detail

/// y = MaxPool(ReLU(BatchNorm(Conv(x)))), without the last, or the last two. Statistics are summed piece by piece as the convolution's results are made, so
/// they round differently from those of the layers one after the other, within the bound of either; the rest has the same operations on the same values. What
/// is kept is the convolution's results, over which their gradient is written. The gradient of the convolution's bias is 0, which it is but for rounding.
template <class Conv, class Norm, class... Rest>
struct ConvNormGroup : detail::NormedGroup<ConvNormGroup<Conv, Norm, Rest...>, Conv, Norm, Rest...> {
    static constexpr Needs needs{.x = true, .y = false};

    template <class P>
    using Tape = detail::ConvNormTape<P>;
    detail::AnyConvNorm any() const { return this->template with_members<0, 2 + sizeof...(Rest)>(detail::any_conv_norm); }
    template <class Claim, class P>
    void keep(const Claim& claim, Tape<P>& tape, const Shape& in, index_t batch) const {
        any().keep(claim, tape, in, batch);
    }
};

namespace detail {

template <class L>
inline constexpr bool is_conv2d = false;
template <index_t In, index_t Out, index_t Kernel, index_t Stride, index_t Padding>
inline constexpr bool is_conv2d<Conv2d<In, Out, Kernel, Stride, Padding>> = true;
template <class L>
inline constexpr bool is_batch_norm2d = false;
template <index_t Channels>
inline constexpr bool is_batch_norm2d<BatchNorm<Channels, true>> = true;
template <class L>
inline constexpr bool is_max_pool2d = false;
template <index_t Kernel, index_t Stride, index_t Padding>
inline constexpr bool is_max_pool2d<MaxPool2d<Kernel, Stride, Padding>> = true;

}  // namespace detail

/// Claims Conv2d, BatchNorm2d, then (Length 3) ReLU, then (4) MaxPool2d.
template <std::size_t Length>
struct ConvNormPattern {
    static constexpr std::size_t length = Length;
    template <class Conv, class Norm, class Act = ReLU, class Pool = MaxPool2d<>>
    static constexpr bool matches = detail::is_conv2d<Conv> && detail::is_batch_norm2d<Norm> && std::is_same_v<Act, ReLU> && detail::is_max_pool2d<Pool>;
    template <class... Ls>
    using type = ConvNormGroup<Ls...>;
};

}  // namespace dla
