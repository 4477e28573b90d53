// SPDX-License-Identifier: MIT
// Two-dimensional convolution.
#pragma once

#include <dla/layers/concept.hpp>
#include <dla/layers/window.hpp>

#include <algorithm>
#include <cmath>

namespace dla {

namespace detail {

/// The policy can bring weights into another form before inference.
template <class P>
concept prepares_conv2d = requires(const P& p, kernel::Scratch<P> scratch, const Conv2dDims& d, kernel::ConstWeightPtr<P> w, PreparedPtr<P> to) {
    conv2d_prepare(p, scratch, d, w, to);
};

/// A Conv2d whose sizes are values: what any of them does is compiled here, once for a policy.
struct AnyConv2d {
    index_t in, out;
    Size2 kernel, stride, padding, dilation;
    index_t groups;
    bool bias;

    [[gnu::cold]] constexpr Text name() const {
        Text t = text("Conv2d<", dim_text(in), ", ", dim_text(out), ", ", dim_text(kernel.h));
        if (kernel.w != kernel.h) t.append("x").append(dim_text(kernel.w));
        if (stride != Size2(1) || padding != Size2(Same)) t.append(", ").append(stride.h);
        if (padding != Size2(Same)) t.append(", ").append(padding.h);
        return t.append(">");
    }

    template <class V>
    constexpr void attributes(V& v) const {
        v("out", out, in_shapes);
        v("kernel", kernel, in_shapes);
        v("stride", stride, 1);
        v("padding", padding, Same);
        v("dilation", dilation, 1);
        v("groups", groups, 1);
        v("bias", bias, true);
    }

    constexpr Conv2dDims dims(const Shape& s, index_t batch) const { return detail::conv2d_dims(batch, s, out, kernel, stride, padding, dilation, groups); }

    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank == 0) return Shape{};
        if (!s.is_image()) return detail::refuse_no_image(s);
        if (!compatible(s.d[0], in)) {
            if (s.d[2] == in)
                return refuse("expected ", in, " channels; shapes are channels first: did you mean [", s.d[2], ", ", dim_text(s.d[0]), ", ", dim_text(s.d[1]),
                              "]?");
            return refuse("expected ", in, " channels; did you mean Conv2d<", s.d[0], ", ", dim_text(out), ", ", dim_text(kernel.h), ">?");
        }
        if (s.is_known() && out == Dyn)
            return refuse_unset("its number of output channels is not set; write Conv2d<", dim_text(in), ", Dyn, ", dim_text(kernel.h), ">{.out = 32}");
        if (s.is_known() && kernel == Size2(Dyn)) return refuse_unset("its kernel size is not set; write Conv2d<Dyn, Dyn, Dyn>{.out = 32, .kernel = 3}");
        if (kernel == Size2(Dyn)) return Shape{out, Dyn, Dyn};
        if (stride == Size2(Same))
            return refuse(
                "Same stands where its stride belongs; padding comes behind it, Conv2d<in, out, kernel, stride, padding>, and is Same unless told otherwise");
        if (kernel.h < 1 || kernel.w < 1 || stride.h < 1 || stride.w < 1 || dilation.h < 1 || dilation.w < 1 || (out != Dyn && out < 1))
            return refuse("output channels, kernel, stride and dilation must be at least 1");
        if (!detail::within_max_window(kernel) || !detail::within_max_window(stride) || !detail::within_max_window(padding) ||
            !detail::within_max_window(dilation))
            return refuse("kernel, stride, padding and dilation must be at most ", detail::max_window);
        if ((padding.h < 0 && padding.h != Same) || (padding.w < 0 && padding.w != Same)) return refuse("padding must be 0 or more, or Same");
        if ((padding.h == Same && stride.h != 1) || (padding.w == Same && stride.w != 1))
            return refuse("padding Same needs stride 1; write the padding, e.g. Conv2d<", dim_text(in), ", ", dim_text(out), ", ", kernel.h, ", ", stride.h,
                          ", ", kernel.h / 2, ">");
        if (groups < 1 || (s.d[0] != Dyn && s.d[0] % groups != 0) || (out != Dyn && out % groups != 0))
            return refuse("groups = ", groups, " must divide the input channels (", dim_text(s.d[0]), ") and the output channels (", dim_text(out), ")");
        const Conv2dDims d = dims(s, 1);
        if ((s.d[1] != Dyn && d.out_height < 1) || (s.d[2] != Dyn && d.out_width < 1))
            return refuse("the kernel (", dilation.h * (kernel.h - 1) + 1, " x ", dilation.w * (kernel.w - 1) + 1,
                          ") is larger than the padded image; pad more, pool less or use a smaller kernel");
        return Shape{out, s.d[1] == Dyn ? Dyn : d.out_height, s.d[2] == Dyn ? Dyn : d.out_width};
    }
    constexpr index_t macs(const Shape& s) const {
        const Conv2dDims d = dims(s, 1);
        return saturating_mul(saturating_mul(d.out_height * d.out_width, Dims{out, s.d[0] / groups, kernel.h}.size()), kernel.w);
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
WeightAndBias<P> AnyConv2d::build(Builder& b, const Shape& s) const {
    const index_t channels = s.d[0] / groups;
    const Init init{.fixed = 0, .bound = 1 / std::sqrt(static_cast<double>(Dims{channels, kernel.h, kernel.w}.size()))};
    WeightAndBias<P> state;
    state.weight = b.parameter("weight", ParamKind::weight, {out, channels, kernel.h, kernel.w}, init,
                               DiskOrder{.outer = out, .channels = channels, .pixels = kernel.h * kernel.w});
    if (bias) state.bias = b.parameter("bias", ParamKind::bias, {out}, init);
    return state;
}
template <class P>
index_t AnyConv2d::scratch(const P& policy, const Shape& s, index_t batch, Pass pass) const {
    const Conv2dDims d = dims(s, batch);
    if (pass == Pass::backward) return std::max(conv2d_backward_weights_scratch(policy, d), conv2d_backward_data_scratch(policy, d));
    if constexpr (prepares_conv2d<P>)
        if (pass == Pass::infer) return conv2d_infer_scratch(policy, d);
    return conv2d_forward_scratch(policy, d);
}
template <class P>
index_t AnyConv2d::prepare(const Context<P>& c, const WeightAndBias<P>& state, const Shape& s, PreparedPtr<P> to) const {
    if constexpr (prepares_conv2d<P>)
        return conv2d_prepare(c.policy, c.scratch, dims(s, 1), state.weight.value, to);
    else
        return 0;
}
template <class P>
void AnyConv2d::infer(Context<P>& c, const WeightAndBias<P>& state, const ConstView<P>& x, const View<P>& y) const {
    const Conv2dDims d = dims(x.shape, x.batch);
    if constexpr (prepares_conv2d<P>)
        if (c.prepared) return conv2d_infer(c.policy, c.scratch, d, x.data, state.weight.value, state.bias.value, c.prepared, y.data);
    conv2d_forward(c.policy, c.scratch, d, x.data, state.weight.value, state.bias.value, y.data);
}
template <class P>
void AnyConv2d::backward(Context<P>& c, const WeightAndBias<P>& state, const ConstView<P>& x, const ConstView<P>& dy, const View<P>& dx) const {
    const Conv2dDims d = dims(x.shape, x.batch);
    conv2d_backward_weights(c.policy, c.scratch, d, x.data, dy.data, state.weight.grad, state.bias.grad);
    if (dx) conv2d_backward_data(c.policy, c.scratch, d, dy.data, state.weight.value, dx.data);
}

DLA_TEMPLATE_ONCE(index_t AnyConv2d::scratch(const Cpu<float>&, const Shape&, index_t, Pass) const)
DLA_TEMPLATE_ONCE(index_t AnyConv2d::prepare(const Context<Cpu<float>>&, const WeightAndBias<Cpu<float>>&, const Shape&, std::byte*) const)
DLA_TEMPLATE_ONCE(void AnyConv2d::infer(Context<Cpu<float>>&, const WeightAndBias<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&) const)
DLA_TEMPLATE_ONCE(void AnyConv2d::backward(Context<Cpu<float>>&, const WeightAndBias<Cpu<float>>&, const ConstView<Cpu<float>>&, const ConstView<Cpu<float>>&,
                                           const View<Cpu<float>>&) const)

}  // namespace detail

/// y[o] = bias[o] + sum over the window and the input channels of w[o] * x (cross-correlation, as PyTorch's nn.Conv2d).
/// x [N, in, H, W], weight [out, in / groups, kernel, kernel], y [N, out, H', W'], H' = floor((H + 2 p - d (k - 1) - 1) / s) + 1.
/// Padding = Same (the default) keeps H and W and needs stride 1. In = Dyn: taken from the input; Out = Dyn or Kernel = Dyn: set `out`, `kernel`.
/// Rectangular windows, dilation and groups are values: `Conv2d<8, 16, 3>{.kernel = {3, 5}, .groups = 2}`.
/// Initialised as PyTorch: weight and bias uniform in +-1/sqrt(fan_in), fan_in = in / groups * kernel area.
template <index_t In = Dyn, index_t Out = Dyn, index_t Kernel = Dyn, index_t Stride = 1, index_t Padding = Same>
struct Conv2d {
    index_t out = Out;
    Size2 kernel = Kernel;
    Size2 stride = Stride;
    Size2 padding = Padding;
    Size2 dilation = 1;
    index_t groups = 1;
    bool bias = true;

    static constexpr Needs needs{.x = true, .y = false};

    template <class P>
    using State = WeightAndBias<P>;

    constexpr detail::AnyConv2d any() const { return {In, out, kernel, stride, padding, dilation, groups, bias}; }
    constexpr Text name() const { return any().name(); }
    template <class V>
    constexpr void attributes(V& v) const {
        any().attributes(v);
    }
    constexpr Conv2dDims dims(const Shape& s, index_t batch) const { return any().dims(s, batch); }
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
    index_t prepare(const Context<P>& c, const State<P>& state, const Shape& in, PreparedPtr<P> to) const {
        return any().prepare(c, state, in, to);
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
