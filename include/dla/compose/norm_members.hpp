// SPDX-License-Identifier: MIT
// What a group with a normalisation in it shows an observer of its members: all of it is computed for the observer alone.
#pragma once

#include <dla/compose/walk.hpp>
#include <dla/layers/activation.hpp>
#include <dla/layers/norm.hpp>

#include <vector>

namespace dla::detail {

template <class P>
NormParams norm_params(const AnyBatchNorm& norm, const BatchNormState<P>& n) {
    return {norm.eps, norm.momentum, n.weight.master, n.bias.master, n.running_mean, n.running_var, n.tracked};
}

/// Shows what was normalised, and what the members behind it gave but for the last.
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

}  // namespace dla::detail
