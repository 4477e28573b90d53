// SPDX-License-Identifier: MIT
// Mean squared error.
#pragma once

#include <dla/loss/cross_entropy.hpp>

namespace dla {

/// Mean of (x - target)^2 over ALL elements, or their sum (torch.nn.MSELoss). Targets have as many values as the outputs, in memory order.
template <class T = float>
struct MeanSquaredError {
    using Target = T;

    Reduction reduction = Reduction::mean;
    std::vector<double> class_weights{};  // none; the trainer asks every loss

    void check(const Shape&) const {
        if (!class_weights.empty()) fail(ErrorCode::model, "MeanSquaredError", "has no classes to weigh; leave class_weights empty");
    }
    index_t targets_per_sample(const Shape& out) const { return out.size(); }

    template <class P>
    index_t scratch(const P& p, index_t rows, const Shape& out) const {
        return sum_of_squares_scratch(p, rows * out.size());
    }
    template <class P>
    void prepare(const Context<P>&, index_t, const Shape&, kernel::PtrOf<P, const T>, kernel::ConstStatisticPtr<P>, kernel::PtrOf<P, LossResult>) const {}
    template <class P>
    void evaluate(const Context<P>& c, ConstView<P> out, kernel::PtrOf<P, const T> targets, kernel::ConstStatisticPtr<P>, kernel::PtrOf<P, LossResult> result,
                  View<P> gradient, const WholeBatch<P>& whole = {}) const {
        const index_t all = (whole.rows > 0 ? whole.rows : out.batch) * out.shape.size();
        const double divisor = reduction == Reduction::mean ? static_cast<double>(all) : 1.0;
        mean_squared_error(c.policy, c.scratch, out.size(), out.data, targets, divisor, result, gradient.data);
    }
    void verify(const LossResult&, const Shape&) const {}
};

}  // namespace dla
