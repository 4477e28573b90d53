// SPDX-License-Identifier: MIT
// Normalisation layers: BatchNorm over the batch, LayerNorm within a sample.
#pragma once

#include <dla/layers/axis.hpp>
#include <dla/layers/concept.hpp>

#include <utility>

namespace dla {

/// BatchNorm momentum that averages all batches alike (PyTorch's momentum=None).
inline constexpr double cumulative_average = -1;

namespace detail {

/// What a BatchNorm keeps.
template <class P>
struct BatchNormState {
    Param<P> weight, bias;
    kernel::StatisticPtr<P> running_mean{}, running_var{};
    kernel::PtrOf<P, std::int64_t> tracked{};
    const bool* eval = nullptr;  // ParamTable::set_eval
};
template <class P>
struct NormTape {
    Planned<P, typename P::statistic> mean, invstd;
};

/// A BatchNorm whose size is a value: what any of them does is compiled here, once for a policy.
struct AnyBatchNorm {
    index_t channels;
    bool images;
    double eps, momentum;
    bool affine;

    [[gnu::cold]] constexpr Text name() const {
        Text t(images ? "BatchNorm2d<" : "BatchNorm1d<");
        return t.append(channels == Dyn ? Text("") : dim_text(channels)).append(">");
    }
    template <class V>
    constexpr void attributes(V& v) const {
        v("eps", eps, 1e-5);
        v("momentum", momentum, 0.1);
        v("affine", affine, true);
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank == 0) return s;
        if (images && s.rank != 3) return refuse("expected an image [channels, height, width]; did you mean BatchNorm1d?");
        if (!images && s.rank == 3) return refuse("expected [features] or [channels, length]; did you mean BatchNorm2d?");
        if (!compatible(s.d[0], channels))
            return refuse("expected ", channels, " channels; did you mean ", images ? "BatchNorm2d<" : "BatchNorm1d<", s.d[0], ">?");
        return s;
    }
    /// Throws Error(model) for a batch that has no variance.
    void check_batch(index_t batch, const Shape& shape) const {
        const NormDims d = channel_dims(batch, shape);
        if (d.outer * d.inner <= 1)
            fail(ErrorCode::model, name().view(),
                 text("training needs more than 1 value per channel; got a batch of ", batch, "; use larger batches or drop the last one").view());
    }

    template <class P, class Builder>
    [[gnu::cold]] BatchNormState<P> build(Builder& b, const Shape& s) const;
    template <class P>
    void infer(Context<P>& c, const BatchNormState<P>& state, const ConstView<P>& x, const View<P>& y) const;
    template <class P>
    void forward(Context<P>& c, BatchNormState<P>& state, const ConstView<P>& x, const View<P>& y, NormTape<P>& tape) const;
    template <class P>
    void backward(Context<P>& c, BatchNormState<P>& state, const ConstView<P>& x, const ConstView<P>& dy, const View<P>& dx, NormTape<P>& tape) const;
};

template <class P, class Builder>
BatchNormState<P> AnyBatchNorm::build(Builder& b, const Shape& s) const {
    const DiskOrder order = feature_order(s);
    BatchNormState<P> state;
    if (affine) {
        state.weight = b.parameter("weight", ParamKind::norm_weight, {s.d[0]}, Init{.fixed = 1}, order);
        state.bias = b.parameter("bias", ParamKind::norm_bias, {s.d[0]}, Init{.fixed = 0}, order);
    }
    state.running_mean = b.buffer("running_mean", {s.d[0]}, 0, order);
    state.running_var = b.buffer("running_var", {s.d[0]}, 1, order);
    state.tracked = b.counter("num_batches_tracked");
    state.eval = b.mode();
    return state;
}
template <class P>
void AnyBatchNorm::infer(Context<P>& c, const BatchNormState<P>& state, const ConstView<P>& x, const View<P>& y) const {
    batch_norm_infer(c.policy, channel_dims(x.batch, x.shape), eps, x.data, state.weight.master, state.bias.master, state.running_mean, state.running_var,
                     y.data);
}
template <class P>
void AnyBatchNorm::forward(Context<P>& c, BatchNormState<P>& state, const ConstView<P>& x, const View<P>& y, NormTape<P>& tape) const {
    if (*state.eval) return infer<P>(c, state, x, y);
    check_batch(x.batch, x.shape);
    batch_norm_forward(c.policy, c.scratch, channel_dims(x.batch, x.shape), eps, momentum, x.data, state.weight.master, state.bias.master, state.running_mean,
                       state.running_var, state.tracked, y.data, tape.mean.data, tape.invstd.data);
}
template <class P>
void AnyBatchNorm::backward(Context<P>& c, BatchNormState<P>& state, const ConstView<P>& x, const ConstView<P>& dy, const View<P>& dx,
                            NormTape<P>& tape) const {
    const NormDims d = channel_dims(x.batch, x.shape);
    if (*state.eval)
        return batch_norm_infer_backward(c.policy, c.scratch, d, eps, x.data, state.weight.master, state.running_mean, state.running_var, dy.data, dx.data,
                                         state.weight.grad, state.bias.grad);
    batch_norm_backward(c.policy, c.scratch, d, x.data, state.weight.master, tape.mean.data, tape.invstd.data, dy.data, dx.data, state.weight.grad,
                        state.bias.grad);
}

DLA_TEMPLATE_ONCE(void AnyBatchNorm::infer(Context<Cpu<float>>&, const BatchNormState<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&)
                      const)
DLA_TEMPLATE_ONCE(void AnyBatchNorm::forward(Context<Cpu<float>>&, BatchNormState<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&,
                                             NormTape<Cpu<float>>&) const)
DLA_TEMPLATE_ONCE(void AnyBatchNorm::backward(Context<Cpu<float>>&, BatchNormState<Cpu<float>>&, const ConstView<Cpu<float>>&, const ConstView<Cpu<float>>&,
                                              const View<Cpu<float>>&, NormTape<Cpu<float>>&) const)

}  // namespace detail

/// y = (x - mean) / sqrt(var + eps) * weight + bias for each channel (Ioffe and Szegedy 2015; PyTorch's nn.BatchNorm1d/2d).
/// Training uses the batch's mean and biased variance and moves running_mean and running_var (unbiased) towards them by `momentum`; inference uses
/// the running values, and so does training after ParamTable::set_eval. Rank is 1 for [features] or [channels, length], 3 for images. Training needs more than
/// one value per channel.
template <index_t Channels, bool Images>
struct BatchNorm {
    double eps = 1e-5;
    double momentum = 0.1;
    bool affine = true;

    static constexpr Needs needs{.x = true, .y = false};
    static constexpr InPlace in_place{.forward = false, .backward = true};

    template <class P>
    using State = detail::BatchNormState<P>;
    template <class P>
    using Tape = detail::NormTape<P>;

    constexpr detail::AnyBatchNorm any() const { return {Channels, Images, eps, momentum, affine}; }
    constexpr Text name() const { return any().name(); }
    template <class V>
    constexpr void attributes(V& v) const {
        any().attributes(v);
    }
    constexpr ShapeResult out_shape(Shape s) const { return any().out_shape(s); }

    template <class P, class Builder>
    State<P> build(Builder& b, const Shape& s) const {
        return any().template build<P>(b, s);
    }
    template <class Claim, class P>
    void keep(const Claim& claim, Tape<P>& tape, const Shape& s, index_t) const {
        claim(tape.mean, s.d[0]);
        claim(tape.invstd, s.d[0]);
    }
    template <class P>
    index_t scratch(const P& policy, const Shape& s, index_t batch, Pass pass) const {
        return pass == Pass::infer ? 0 : batch_norm_scratch(policy, detail::channel_dims(batch, s));
    }

    /// Throws Error(model) for a batch that has no variance.
    void check_batch(const auto& x) const { any().check_batch(x.batch, x.shape); }
    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        any().infer(c, state, x, y);
    }
    template <class P>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y, Tape<P>& tape) const {
        any().forward(c, state, x, y, tape);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P>, ConstView<P> dy, View<P> dx, Tape<P>& tape) const {
        any().backward(c, state, x, dy, dx, tape);
    }
};

/// BatchNorm of [features] or [channels, length].
template <index_t Channels = Dyn>
using BatchNorm1d = BatchNorm<Channels, false>;
/// BatchNorm of images [channels, height, width].
template <index_t Channels = Dyn>
using BatchNorm2d = BatchNorm<Channels, true>;

/// y = (x - mean) / sqrt(var + eps) * weight + bias within each sample over its last axes (Ba et al. 2016; PyTorch's nn.LayerNorm).
/// `LayerNorm<F>` normalises the last axis of [F] or [rows, F]; `LayerNorm<R, F>` and `LayerNorm<C, H, W>` the last two and three; `LayerNorm<>` the last
/// axis of whatever comes.
template <index_t... Sizes>
struct LayerNorm {
    static_assert(sizeof...(Sizes) <= 3, "dla: LayerNorm takes at most the three axes of a sample");
    double eps = 1e-5;
    bool affine = true;

    static constexpr Needs needs{.x = true, .y = false};
    static constexpr InPlace in_place{.forward = false, .backward = true};

    template <class P>
    using State = WeightAndBias<P>;
    template <class P>
    using Tape = detail::NormTape<P>;

    [[gnu::cold]] constexpr Text name() const {
        Text t("LayerNorm<");
        int i = 0;
        ((t.append(i++ ? ", " : "").append(dim_text(Sizes))), ...);
        return t.append(">");
    }
    template <class V>
    constexpr void attributes(V& v) const {
        v("axes", sizeof...(Sizes) == 0 ? std::size_t{1} : sizeof...(Sizes), 1);
        v("eps", eps, 1e-5);
        v("affine", affine, true);
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank == 0) return s;
        constexpr int axes = sizeof...(Sizes) == 0 ? 1 : static_cast<int>(sizeof...(Sizes));
        if (s.rank < axes) return refuse("expected at least ", axes, " axes");
        if (s.is_image() && axes != 3)
            return refuse("expected [features] or [rows, features]; for an image name all three axes, LayerNorm<channels, height, width>");
        const index_t sizes[] = {Sizes..., Dyn};
        if (sizeof...(Sizes) > 0)
            for (int i = 0; i < axes; ++i)
                if (!compatible(s.d[s.rank - axes + i], sizes[i])) return refuse("expected ", sizes[i], " values on axis ", s.rank - axes + i);
        return s;
    }

    /// Values normalised together.
    static constexpr index_t columns(const Shape& s) {
        constexpr int axes = sizeof...(Sizes) == 0 ? 1 : static_cast<int>(sizeof...(Sizes));
        index_t n = 1;
        for (int i = s.rank - axes; i < s.rank; ++i) n *= s.d[i];
        return n;
    }
    static constexpr index_t rows(const Shape& s, index_t batch) { return batch * s.size() / columns(s); }

    template <class P, class Builder>
    [[gnu::cold]] State<P> build(Builder& b, const Shape& s) const {
        State<P> state;
        if (!affine) return state;
        const Dims dims = sizeof...(Sizes) == 3   ? Dims{s.d[0], s.d[1], s.d[2]}
                          : sizeof...(Sizes) == 2 ? Dims{s.d[s.rank - 2], s.d[s.rank - 1]}
                                                  : Dims{columns(s)};
        DiskOrder order;
        if (s.is_image()) order = {.outer = 1, .channels = s.d[0], .pixels = s.d[1] * s.d[2]};
        if (s.rank == 1) order = feature_order(s);
        state.weight = b.parameter("weight", ParamKind::norm_weight, dims, Init{.fixed = 1}, order);
        state.bias = b.parameter("bias", ParamKind::norm_bias, dims, Init{.fixed = 0}, order);
        return state;
    }

    template <class Claim, class P>
    void keep(const Claim& claim, Tape<P>& tape, const Shape& s, index_t batch) const {
        claim(tape.mean, rows(s, batch));
        claim(tape.invstd, rows(s, batch));
    }
    template <class P>
    index_t scratch(const P& policy, const Shape& s, index_t batch, Pass pass) const {
        return pass == Pass::backward ? layer_norm_scratch(policy, rows(s, batch), columns(s)) : 0;
    }

    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        layer_norm_forward(c.policy, rows(x.shape, x.batch), columns(x.shape), eps, x.data, state.weight.master, state.bias.master, y.data,
                           kernel::StatisticPtr<P>{}, kernel::StatisticPtr<P>{});
    }
    template <class P>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y, Tape<P>& tape) const {
        layer_norm_forward(c.policy, rows(x.shape, x.batch), columns(x.shape), eps, x.data, state.weight.master, state.bias.master, y.data, tape.mean.data,
                           tape.invstd.data);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P>, ConstView<P> dy, View<P> dx, Tape<P>& tape) const {
        layer_norm_backward(c.policy, c.scratch, rows(x.shape, x.batch), columns(x.shape), x.data, state.weight.master, tape.mean.data, tape.invstd.data,
                            dy.data, dx.data, state.weight.grad, state.bias.grad);
    }
};

}  // namespace dla
