// SPDX-License-Identifier: MIT
// Two-dimensional transposed convolution: the gradient of a convolution with respect to its input, as a layer.
#pragma once

#include <dla/layers/concept.hpp>
#include <dla/layers/window.hpp>

#include <algorithm>
#include <cmath>

namespace dla {

namespace detail {

/// A ConvTranspose2d whose sizes are values: what any of them does is compiled here, once for a policy.
struct AnyConvTranspose2d {
    index_t in, out;
    Size2 kernel, stride, padding, output_padding, dilation;
    index_t groups;
    bool bias;

    [[gnu::cold]] constexpr Text name() const {
        Text t = text("ConvTranspose2d<", dim_text(in), ", ", dim_text(out), ", ", dim_text(kernel.h));
        if (kernel.w != kernel.h) t.append("x").append(dim_text(kernel.w));
        if (stride != Size2(1) || padding != Size2(0)) t.append(", ").append(stride.h);
        if (padding != Size2(0)) t.append(", ").append(padding.h);
        return t.append(">");
    }
    template <class V>
    constexpr void attributes(V& v) const {
        v("out", out, in_shapes);
        v("kernel", kernel, in_shapes);
        v("stride", stride, 1);
        v("padding", padding, 0);
        v("output_padding", output_padding, 0);
        v("dilation", dilation, 1);
        v("groups", groups, 1);
        v("bias", bias, true);
    }

    /// (size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1.
    static constexpr index_t positions(index_t size, index_t kernel, index_t stride, index_t padding, index_t output_padding, index_t dilation) {
        if (size == Dyn) return Dyn;
        const index_t reach = saturating_add(saturating_mul(size - 1, stride), saturating_mul(dilation, kernel - 1));
        return reach > max_values ? max_values + 1 : reach - 2 * padding + output_padding + 1;
    }
    /// The convolution of which this is the gradient: from y to x.
    constexpr Conv2dDims dims(const Shape& s, index_t batch) const {
        Conv2dDims d{.batch = batch, .in_channels = out, .out_channels = s.d[0]};
        d.height = positions(s.d[1], kernel.h, stride.h, padding.h, output_padding.h, dilation.h);
        d.width = positions(s.d[2], kernel.w, stride.w, padding.w, output_padding.w, dilation.w);
        d.kernel_h = kernel.h, d.kernel_w = kernel.w, d.stride_h = stride.h, d.stride_w = stride.w, d.dilation_h = dilation.h, d.dilation_w = dilation.w;
        d.pad_top = padding.h, d.pad_left = padding.w, d.out_height = s.d[1], d.out_width = s.d[2], d.groups = groups;
        return d;
    }
    /// Its bias, as a product of nothing.
    constexpr GemmDims bias_dims(const Conv2dDims& d) const { return {.m = d.batch * d.height * d.width, .n = out, .k = 0}; }

    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank == 0) return Shape{};
        if (!s.is_image()) return detail::refuse_no_image(s);
        if (!compatible(s.d[0], in))
            return refuse("expected ", in, " channels; did you mean ConvTranspose2d<", s.d[0], ", ", dim_text(out), ", ", dim_text(kernel.h), ">?");
        if (s.is_known() && out == Dyn)
            return refuse_unset("its number of output channels is not set; write ConvTranspose2d<",
                                dim_text(in), ", Dyn, ", dim_text(kernel.h), ">{.out = 32}");
        if (s.is_known() && kernel == Size2(Dyn))
            return refuse_unset("its kernel size is not set; write ConvTranspose2d<Dyn, Dyn, Dyn>{.out = 32, .kernel = 3}");
        if (kernel == Size2(Dyn)) return Shape{out, Dyn, Dyn};
        if (kernel.h < 1 || kernel.w < 1 || stride.h < 1 || stride.w < 1 || dilation.h < 1 || dilation.w < 1 || (out != Dyn && out < 1))
            return refuse("output channels, kernel, stride and dilation must be at least 1");
        for (const Size2 n : {kernel, stride, padding, output_padding, dilation})
            if (!within_max_window(n)) return refuse("kernel, stride, padding and dilation must be at most ", max_window);
        if (padding == Size2(Same)) return refuse("padding Same is of convolutions; a kernel of 3 keeps the size with padding 1");
        if (padding.h < 0 || padding.w < 0) return refuse("padding must be 0 or more");
        if (output_padding.h < 0 || output_padding.w < 0 || output_padding.h >= std::max(stride.h, dilation.h) ||
            output_padding.w >= std::max(stride.w, dilation.w))
            return refuse("output_padding must be 0 or more and smaller than stride or dilation");
        if (groups < 1 || (s.d[0] != Dyn && s.d[0] % groups != 0) || (out != Dyn && out % groups != 0))
            return refuse("groups = ", groups, " must divide the input channels (", dim_text(s.d[0]), ") and the output channels (", dim_text(out), ")");
        const Conv2dDims d = dims(s, 1);
        if ((s.d[1] != Dyn && d.height < 1) || (s.d[2] != Dyn && d.width < 1)) return refuse("its padding leaves nothing of the output; pad less");
        return Shape{out, d.height, d.width};
    }
    constexpr index_t macs(const Shape& s) const {
        return saturating_mul(saturating_mul(s.d[1] * s.d[2], Dims{s.d[0], out / groups, kernel.h}.size()), kernel.w);
    }

    template <class P, class Builder>
    [[gnu::cold]] WeightAndBias<P> build(Builder& b, const Shape& s) const;
    template <class P>
    [[gnu::cold]] index_t scratch(const P& policy, const Shape& s, index_t batch, Pass pass) const;
    template <class P>
    void infer(Context<P>& c, const WeightAndBias<P>& state, const ConstView<P>& x, const View<P>& y) const;
    template <class P>
    void backward(Context<P>& c, const WeightAndBias<P>& state, const ConstView<P>& x, const ConstView<P>& dy, const View<P>& dx) const;
};

template <class P, class Builder>
WeightAndBias<P> AnyConvTranspose2d::build(Builder& b, const Shape& s) const {
    const index_t channels = out / groups;
    // PyTorch takes the second size of the weight for its fan-in here, too.
    const Init init{.fixed = 0, .bound = 1 / std::sqrt(static_cast<double>(Dims{channels, kernel.h, kernel.w}.size()))};
    WeightAndBias<P> state;
    state.weight = b.parameter("weight", ParamKind::weight, {s.d[0], channels, kernel.h, kernel.w}, init,
                               DiskOrder{.outer = s.d[0], .channels = channels, .pixels = kernel.h * kernel.w});
    if (bias) state.bias = b.parameter("bias", ParamKind::bias, {out}, init);
    return state;
}
template <class P>
index_t AnyConvTranspose2d::scratch(const P& policy, const Shape& s, index_t batch, Pass pass) const {
    const Conv2dDims d = dims(s, batch);
    if (pass == Pass::backward)
        return std::max(
            {conv2d_backward_weights_scratch(policy, d), conv2d_forward_scratch(policy, d), column_sum_scratch(policy, batch * d.height * d.width, out)});
    return std::max(conv2d_backward_data_scratch(policy, d), gemm_scratch(policy, bias_dims(d)));
}
template <class P>
void AnyConvTranspose2d::infer(Context<P>& c, const WeightAndBias<P>& state, const ConstView<P>& x, const View<P>& y) const {
    const Conv2dDims d = dims(x.shape, x.batch);
    conv2d_backward_data(c.policy, c.scratch, d, x.data, state.weight.value, y.data);
    if (bias)
        gemm(c.policy, c.scratch, bias_dims(d), kernel::ConstActivationPtr<P>(x.data), kernel::ConstWeightPtr<P>(state.weight.value),
             kernel::ConstWeightPtr<P>(state.bias.value), typename P::master(1), y.data);
}
template <class P>
void AnyConvTranspose2d::backward(Context<P>& c, const WeightAndBias<P>& state, const ConstView<P>& x, const ConstView<P>& dy, const View<P>& dx) const {
    const Conv2dDims d = dims(x.shape, x.batch);
    conv2d_backward_weights(c.policy, c.scratch, d, dy.data, x.data, state.weight.grad, kernel::MasterPtr<P>{});
    if (bias) column_sum(c.policy, c.scratch, x.batch * d.height * d.width, out, dy.data, state.bias.grad);
    if (dx) conv2d_forward(c.policy, c.scratch, d, dy.data, state.weight.value, kernel::ConstWeightPtr<P>{}, dx.data);
}

DLA_TEMPLATE_ONCE(index_t AnyConvTranspose2d::scratch(const Cpu<float>&, const Shape&, index_t, Pass) const)
DLA_TEMPLATE_ONCE(void AnyConvTranspose2d::infer(Context<Cpu<float>>&, const WeightAndBias<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&)
                      const)
DLA_TEMPLATE_ONCE(void AnyConvTranspose2d::backward(Context<Cpu<float>>&, const WeightAndBias<Cpu<float>>&, const ConstView<Cpu<float>>&,
                                                    const ConstView<Cpu<float>>&, const View<Cpu<float>>&) const)

}  // namespace detail

/// y = the gradient of a convolution with these weights with respect to its input, plus bias (torch.nn.ConvTranspose2d): each value of x adds its multiple of
/// the kernel to y. x [N, in, H, W], weight [in, out / groups, kernel, kernel], y [N, out, H', W'],
/// H' = (H - 1) s - 2 p + d (k - 1) + output_padding + 1: a kernel of 2 with stride 2 doubles the image, as one of 4 with stride 2 and padding 1.
/// In = Dyn: taken from the input; Out = Dyn or Kernel = Dyn: set `out`, `kernel`. Rectangular windows, output_padding, dilation and groups are values.
/// Initialised as PyTorch: weight and bias uniform in +-1/sqrt(out / groups * kernel area).
template <index_t In = Dyn, index_t Out = Dyn, index_t Kernel = Dyn, index_t Stride = 1, index_t Padding = 0>
struct ConvTranspose2d {
    index_t out = Out;
    Size2 kernel = Kernel;
    Size2 stride = Stride;
    Size2 padding = Padding;
    Size2 output_padding = 0;
    Size2 dilation = 1;
    index_t groups = 1;
    bool bias = true;

    static constexpr Needs needs{.x = true, .y = false};

    template <class P>
    using State = WeightAndBias<P>;

    constexpr detail::AnyConvTranspose2d any() const { return {In, out, kernel, stride, padding, output_padding, dilation, groups, bias}; }
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
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        any().infer(c, state, x, y);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P>, ConstView<P> dy, View<P> dx) const {
        any().backward(c, state, x, dy, dx);
    }
};

}  // namespace dla
