// SPDX-License-Identifier: MIT
// Group normalisation, and with one channel in a group instance normalisation.
#pragma once

#include <dla/layers/norm.hpp>

namespace dla {

/// Number of groups of a GroupNorm that has one for each channel: instance normalisation.
inline constexpr index_t PerChannel = -3;

/// y = (x - mean) / sqrt(var + eps) * weight + bias within each sample over each group of neighbouring channels and all positions (Wu and He 2018; PyTorch's
/// nn.GroupNorm). x [features], [channels, length] or [channels, height, width]; weight and bias [channels]. Training and inference are the same, for any
/// batch. `GroupNorm<PerChannel>` is instance normalisation (PyTorch's nn.InstanceNorm1d/2d with affine=True).
template <index_t Groups = Dyn, index_t Channels = Dyn>
struct GroupNorm {
    index_t groups = Groups;
    double eps = 1e-5;
    bool affine = true;

    static constexpr Needs needs{.x = true, .y = false};
    static constexpr InPlace in_place{.forward = false, .backward = true};

    template <class P>
    using State = WeightAndBias<P>;
    template <class P>
    using Tape = detail::NormTape<P>;

    [[gnu::cold]] constexpr Text name() const {
        Text t = text("GroupNorm<", groups == PerChannel ? Text("PerChannel") : dim_text(groups));
        if (Channels != Dyn) t.append(", ").append(Channels);
        return t.append(">");
    }
    template <class V>
    constexpr void attributes(V& v) const {
        if (groups == PerChannel)
            v("groups", std::string_view("PerChannel"));
        else
            v("groups", groups);
        v("eps", eps, 1e-5);
        v("affine", affine, true);
    }
    [[gnu::cold]] constexpr ShapeResult out_shape(Shape s) const {
        if (s.rank == 0) return s;
        if (groups == Dyn) return refuse_unset("its number of groups is not set; write GroupNorm<8>, or GroupNorm<PerChannel> for a group of each channel");
        if (groups < 1 && groups != PerChannel) return refuse("its number of groups is ", groups, "; expected at least 1");
        if (s.is_flattened_image())
            return refuse("the features of a flattened image lie position by position, so no channels are neighbours; put GroupNorm before Flatten");
        if (!compatible(s.d[0], Channels)) return refuse("expected ", Channels, " channels, got ", s.d[0]);
        const index_t channels = known(s.d[0], Channels);
        if (groups != PerChannel && channels != Dyn && channels % groups != 0) return refuse("groups = ", groups, " must divide the channels (", channels, ")");
        return s;
    }
    constexpr GroupNormDims dims(const Shape& s, index_t batch) const {
        GroupNormDims d{.batch = batch, .channels = s.d[0], .groups = groups == PerChannel ? s.d[0] : groups, .channels_first = s.rank > 1 && !s.is_image()};
        if (s.rank > 1) d.positions = s.rank == 3 ? s.d[1] * s.d[2] : s.d[1];
        return d;
    }

    template <class P, class Builder>
    [[gnu::cold]] State<P> build(Builder& b, const Shape& s) const {
        State<P> state;
        if (!affine) return state;
        state.weight = b.parameter("weight", ParamKind::norm_weight, {s.d[0]}, Init{.fixed = 1});
        state.bias = b.parameter("bias", ParamKind::norm_bias, {s.d[0]}, Init{.fixed = 0});
        return state;
    }
    template <class Claim, class P>
    void keep(const Claim& claim, Tape<P>& tape, const Shape& s, index_t batch) const {
        const GroupNormDims d = dims(s, batch);
        claim(tape.mean, d.batch * d.groups);
        claim(tape.invstd, d.batch * d.groups);
    }
    template <class P>
    index_t scratch(const P& policy, const Shape& s, index_t batch, Pass) const {
        return group_norm_scratch(policy, dims(s, batch));
    }

    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        group_norm_forward(c.policy, c.scratch, dims(x.shape, x.batch), eps, x.data, state.weight.master, state.bias.master, y.data, kernel::StatisticPtr<P>{},
                           kernel::StatisticPtr<P>{});
    }
    template <class P>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y, Tape<P>& tape) const {
        group_norm_forward(c.policy, c.scratch, dims(x.shape, x.batch), eps, x.data, state.weight.master, state.bias.master, y.data, tape.mean.data,
                           tape.invstd.data);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P>, ConstView<P> dy, View<P> dx, Tape<P>& tape) const {
        group_norm_backward(c.policy, c.scratch, dims(x.shape, x.batch), x.data, state.weight.master, tape.mean.data, tape.invstd.data, dy.data, dx.data,
                            state.weight.grad, state.bias.grad);
    }
};

}  // namespace dla
