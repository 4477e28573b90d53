// SPDX-License-Identifier: MIT
// Two blocks of Conv2d and BatchNorm2d as one: what the first gives is never in memory, for the second normalises it as it reads it.
#pragma once

#include <dla/compose/conv_norm.hpp>

namespace dla {

namespace detail {

template <class P>
struct ConvNormPairTape {
    ConvNormTape<P> first, second;
    Planned<P> between;  // the gradient of what the first gives
};

template <class P>
struct TrainedPair {
    TrainedParts<P> first, second;
};
template <class P>
struct InferredPair {
    InferredParts<P> first, second;
};

/// A group whose sizes are values: what any of them does is compiled here, once for a policy. The first ends with a ReLU.
struct AnyConvNormPair {
    AnyConvNorm first, second;

    template <class P>
    [[gnu::cold]] index_t scratch(const P& policy, const Shape& in, index_t batch, Pass pass) const;
    template <class P>
    index_t prepare(const Context<P>& c, const InferredPair<P>& parts, const Shape& in, PreparedPtr<P> to) const {
        const index_t bytes = align_up(first.prepare(c, parts.first, in, to));
        return bytes + second.prepare(c, parts.second, first.inner(in), to ? to + bytes : to);
    }
    template <class P>
    void infer(Context<P>& c, const InferredPair<P>& parts, const ConstView<P>& x, const View<P>& y) const;
    template <class P>
    void forward(Context<P>& c, const TrainedPair<P>& parts, const ConstView<P>& x, const View<P>& y, ConvNormPairTape<P>& tape) const;
    template <class P>
    void backward(Context<P>& c, const TrainedPair<P>& parts, const ConstView<P>& x, const OutputGradient<P>& dy, const View<P>& dx,
                  ConvNormPairTape<P>& tape) const;

    /// The gradient of what the first gives lies over that of what the second gives, which has then been read.
    bool writes_over(bool spent, const Shape& in) const { return spent && !second.has_pool && second.inner(first.inner(in)).size() == first.inner(in).size(); }

private:
    template <class P>
    NormedInput between(const TrainedPair<P>& parts, const ConvNormPairTape<P>& tape) const {
        return {norm_params(first.norm, parts.first.norm), tape.first.norm.mean.data, tape.first.norm.invstd.data};
    }
};

template <class P>
index_t AnyConvNormPair::scratch(const P& policy, const Shape& in, index_t batch, Pass pass) const {
    const Shape shape = first.inner(in);
    const index_t own = second.scratch(policy, shape, batch, pass);
    if (pass == Pass::infer) return Stack<P>::bytes(batch * shape.size()) + std::max(first.scratch(policy, in, batch, pass), own);
    return std::max(first.scratch(policy, in, batch, pass), own + normed_input_scratch(policy, second.conv.dims(shape, batch)));
}
template <class P>
void AnyConvNormPair::infer(Context<P>& c, const InferredPair<P>& parts, const ConstView<P>& x, const View<P>& y) const {
    const Shape shape = first.inner(x.shape);
    const View<P> activated(reinterpret_cast<typename P::scalar*>(c.scratch), x.batch, shape);
    Context<P> rest = c;
    rest.scratch += Stack<P>::bytes(activated.size());
    rest.with_prepared(first.prepare(c, parts.first, x.shape, PreparedPtr<P>{}), [&] { first.infer(rest, parts.first, x, activated); });
    rest.with_prepared(second.prepare(c, parts.second, shape, PreparedPtr<P>{}), [&] { second.infer(rest, parts.second, ConstView<P>(activated), y); });
}
template <class P>
void AnyConvNormPair::forward(Context<P>& c, const TrainedPair<P>& parts, const ConstView<P>& x, const View<P>& y, ConvNormPairTape<P>& tape) const {
    const ConstView<P> z(tape.first.conv_out.data, x.batch, first.inner(x.shape));
    first.convolve<P>(c, parts.first, nullptr, x, tape.first);
    if (c.observer) {
        std::vector<typename P::scalar> values(static_cast<std::size_t>(z.size()));
        first.finish(c, parts.first, x, View<P>(values.data(), z.batch, z.shape), tape.first);
    }
    const NormedInput input = between(parts, tape);
    second.convolve<P>(c, parts.second, &input, z, tape.second);
    second.finish(c, parts.second, z, y, tape.second);
}
template <class P>
void AnyConvNormPair::backward(Context<P>& c, const TrainedPair<P>& parts, const ConstView<P>& x, const OutputGradient<P>& dy, const View<P>& dx,
                               ConvNormPairTape<P>& tape) const {
    const ConstView<P> z(tape.first.conv_out.data, x.batch, first.inner(x.shape));
    const View<P> gradient(writes_over(dy.spent(), x.shape) ? dy.room().data : tape.between.data, z.batch, z.shape);
    const NormedInput input = between(parts, tape);
    second.undo(c, parts.second, z, dy, tape.second);
    second.differentiate<P>(c, parts.second, &input, z, gradient, tape.second);
    first.undo(c, parts.first, x, ConstView<P>(gradient), tape.first);
    first.differentiate<P>(c, parts.first, nullptr, x, dx, tape.first);
}

DLA_TEMPLATE_ONCE(index_t AnyConvNormPair::scratch(const Cpu<float>&, const Shape&, index_t, Pass) const)
DLA_TEMPLATE_ONCE(void AnyConvNormPair::infer(Context<Cpu<float>>&, const InferredPair<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&)
                      const)
DLA_TEMPLATE_ONCE(void AnyConvNormPair::forward(Context<Cpu<float>>&, const TrainedPair<Cpu<float>>&, const ConstView<Cpu<float>>&, const View<Cpu<float>>&,
                                                ConvNormPairTape<Cpu<float>>&) const)
DLA_TEMPLATE_ONCE(void AnyConvNormPair::backward(Context<Cpu<float>>&, const TrainedPair<Cpu<float>>&, const ConstView<Cpu<float>>&,
                                                 const OutputGradient<Cpu<float>>&, const View<Cpu<float>>&, ConvNormPairTape<Cpu<float>>&) const)

}  // namespace detail

/// Conv2d, BatchNorm2d, ReLU, then Conv2d, BatchNorm2d and perhaps ReLU and MaxPool2d. The same bits as the two groups one after the other; kept are the
/// results of both convolutions, over which their gradients are written.
template <class... Ls>
struct ConvNormPairGroup : Group<Ls...> {
    static constexpr Needs needs{.x = true, .y = false};

    template <class P>
    using State = typename Group<Ls...>::template State<P>;
    template <class P>
    using Tape = detail::ConvNormPairTape<P>;

    detail::AnyConvNormPair any() const {
        return {this->template with_members<0, 3>(detail::any_conv_norm), this->template with_members<3, sizeof...(Ls) - 3>(detail::any_conv_norm)};
    }
    template <class Claim, class P>
    void keep(const Claim& claim, Tape<P>& tape, const Shape& in, index_t batch) const {
        const detail::AnyConvNormPair a = any();
        a.first.keep(claim, tape.first, in, batch);
        a.second.keep(claim, tape.second, a.first.inner(in), batch);
    }
    template <class Claim, class P>
    void work(const Claim& claim, Tape<P>& tape, const Shape& in, index_t batch, bool spent) const {
        const detail::AnyConvNormPair a = any();
        if (!a.writes_over(spent, in)) claim(tape.between, batch * a.first.inner(in).size());
    }
    template <class P>
    index_t scratch(const P& policy, const Shape& in, index_t batch, Pass pass) const {
        return any().scratch(policy, in, batch, pass);
    }
    template <class P>
    index_t prepare(const Context<P>& c, const State<P>& state, const Shape& in, PreparedPtr<P> to) const {
        return any().template prepare<P>(c, parts<detail::InferredPair<P>>(state), in, to);
    }
    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        any().template infer<P>(c, parts<detail::InferredPair<P>>(state), x, y);
    }
    template <class P>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y, Tape<P>& tape) const {
        any().template forward<P>(c, parts<detail::TrainedPair<P>>(state), x, y, tape);
    }
    template <class P>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P>, OutputGradient<P> dy, View<P> dx, Tape<P>& tape) const {
        any().template backward<P>(c, parts<detail::TrainedPair<P>>(state), x, dy, dx, tape);
    }

private:
    template <class Pair>
    static Pair parts(auto& state) {
        return {{get<0>(state.members), get<1>(state.members), state.rows.data()}, {get<3>(state.members), get<4>(state.members), state.rows.data() + 3}};
    }
};

/// Claims Conv2d, BatchNorm2d, ReLU, Conv2d, BatchNorm2d, then (Length 6) ReLU, then (7) MaxPool2d.
template <std::size_t Length>
struct ConvNormPairPattern {
    static constexpr std::size_t length = Length;
    template <class Conv, class Norm, class Act, class... Second>
    static constexpr bool matches = ConvNormPattern<3>::matches<Conv, Norm, Act> && ConvNormPattern<Length - 3>::template matches<Second...>;
    template <class... Ls>
    using type = ConvNormPairGroup<Ls...>;
};

}  // namespace dla
