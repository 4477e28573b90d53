// SPDX-License-Identifier: MIT
// What groups with a normalisation in them have in common: a Conv2d or Linear, a BatchNorm, and what stands behind them.
#pragma once

#include <dla/compose/groups.hpp>
#include <dla/layers/activation.hpp>
#include <dla/layers/norm.hpp>

#include <vector>

namespace dla::detail {

/// The members' states and the rows of their tables: of what is normalised, and of the normalisation.
template <class Inner, class Norm>
struct NormedParts {
    Inner& inner;
    Norm& norm;
    const LayerRows* rows;
};
template <class P>
using TrainedParts = NormedParts<WeightAndBias<P>, BatchNormState<P>>;
template <class P>
using InferredParts = NormedParts<const WeightAndBias<P>, const BatchNormState<P>>;

template <class P>
NormParams norm_params(const AnyBatchNorm& norm, const BatchNormState<P>& n) {
    return {norm.eps, norm.momentum, n.weight.master, n.bias.master, n.running_mean, n.running_var, n.tracked};
}

/// Shows an observer, for whom alone it is computed, what was normalised, and what the members behind it gave but for the last.
template <class P>
[[gnu::cold]] void show_norm_members(Context<P>& c, const NormParams& n, const LayerRows* rows, const View<P>& inner, const NormTape<P>& tape, NormRowsDims d) {
    show_forward(c, rows[0], inner);
    std::vector<typename P::scalar> values(static_cast<std::size_t>(inner.size()));
    const View<P> shown(values.data(), inner.batch, inner.shape);
    for (int member = 1; member < (d.pool ? 3 : d.relu ? 2 : 1); ++member) {
        NormRowsDims part = d;
        part.relu = member == 2, part.pool = false;
        norm_rows_apply(c.policy, c.scratch, part, n, inner.data, tape.mean.data, tape.invstd.data, shown.data);
        show_forward(c, rows[member], shown);
    }
}
/// Shows the gradient in front of the ReLU, whose output has the gradient dy.
template <class P>
[[gnu::cold]] void show_relu_gradient(Context<P>& c, const NormParams& n, const LayerRows& row, const View<P>& inner, kernel::ConstPtr<P> dy,
                                      const NormTape<P>& tape, NormRowsDims d) {
    std::vector<typename P::scalar> activated(static_cast<std::size_t>(inner.size())), gradient(activated.size());
    const View<P> shown(gradient.data(), inner.batch, inner.shape);
    d.relu = true, d.pool = false;
    norm_rows_apply(c.policy, c.scratch, d, n, inner.data, tape.mean.data, tape.invstd.data, activated.data());
    activation_backward(c.policy, ActivationIs<Activation::relu>{}, 0, inner.size(), nullptr, activated.data(), dy, shown.data);
    show_backward(c, row, shown);
}

/// The calls of a group: `Self::any()` has its sizes as values, and does the work.
template <class Self, class... Ls>
struct NormedGroup : Group<Ls...> {
    template <class P>
    using State = typename Group<Ls...>::template State<P>;

    template <class P>
    index_t scratch(const P& policy, const Shape& in, index_t batch, Pass pass) const {
        return self().any().scratch(policy, in, batch, pass);
    }
    template <class P>
    index_t prepare(const Context<P>& c, const State<P>& state, const Shape& in, PreparedPtr<P> to) const
        requires requires(const Self& group, const InferredParts<P>& parts) { group.any().template prepare<P>(c, parts, in, to); }
    {
        return self().any().template prepare<P>(c, {get<0>(state.members), get<1>(state.members), state.rows.data()}, in, to);
    }
    template <class P>
    void infer(Context<P>& c, const State<P>& state, ConstView<P> x, View<P> y) const {
        self().any().template infer<P>(c, {get<0>(state.members), get<1>(state.members), state.rows.data()}, x, y);
    }
    template <class P, class Tape>
    void forward(Context<P>& c, State<P>& state, ConstView<P> x, View<P> y, Tape& tape) const {
        self().any().template forward<P>(c, {get<0>(state.members), get<1>(state.members), state.rows.data()}, x, y, tape);
    }
    template <class P, class Tape>
    void backward(Context<P>& c, State<P>& state, ConstView<P> x, ConstView<P> y, ConstView<P> dy, View<P> dx, Tape& tape) const {
        self().any().template backward<P>(c, {get<0>(state.members), get<1>(state.members), state.rows.data()}, x, y, dy, dx, tape);
    }

private:
    const Self& self() const { return static_cast<const Self&>(*this); }
};

}  // namespace dla::detail
