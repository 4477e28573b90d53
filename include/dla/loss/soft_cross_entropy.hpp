// SPDX-License-Identifier: MIT
// Cross-entropy of class scores with a distribution over the classes.
#pragma once

#include <dla/loss/cross_entropy.hpp>

namespace dla {

/// -sum over classes of w[c] t[c] log softmax(logits)[c], divided by the rows for a mean: torch.nn.CrossEntropyLoss with probabilities as targets, as those of
/// mixed samples, of several annotators, or of a teacher network. Targets have as many values as the outputs, in memory order: [classes] for each sample,
/// [classes, H, W] for images, [rows, classes] for rows. `correct` compares the largest output with the largest target.
template <class T = float>
struct SoftCrossEntropy {
    using Target = T;

    double label_smoothing = 0;
    std::vector<double> class_weights{};  ///< empty: all 1
    Reduction reduction = Reduction::mean;

    /// Throws Error(model) when the logits or the options do not fit.
    void check(const Shape& logits) const {
        CrossEntropy{.label_smoothing = label_smoothing, .class_weights = class_weights}.check(logits, "SoftCrossEntropy");
    }
    index_t targets_per_sample(const Shape& logits) const { return logits.size(); }
    CrossEntropyDims dims(index_t samples, const Shape& logits) const {
        return CrossEntropy{.label_smoothing = label_smoothing, .reduction = reduction}.dims(samples, logits);
    }

    template <class P>
    index_t scratch(const P& p, index_t samples, const Shape& logits) const {
        return cross_entropy_scratch(p, dims(samples, logits));
    }
    template <class P>
    void evaluate(const Context<P>& c, ConstView<P> logits, kernel::PtrOf<P, const T> targets, kernel::ConstStatisticPtr<P> weights,
                  kernel::PtrOf<P, LossResult> result, View<P> dlogits, const WholeBatch<P>& whole = {}) const {
        CrossEntropyDims d = dims(logits.batch, logits.shape);
        const index_t rows = logits.batch > 0 ? d.rows / logits.batch : 0;
        d.total_rows = whole.rows * rows;
        d.first_row = c.first_sample * rows;
        cross_entropy_soft(c.policy, c.scratch, d, logits.data, targets, weights, result, dlogits.data);
    }
    /// Throws Error(data) when a target was not finite.
    void verify(const LossResult& result, const Shape& logits) const {
        if (result.bad_row < 0) return;
        const index_t each = logits.size() / CrossEntropy::classes(logits);
        fail(ErrorCode::data, "SoftCrossEntropy",
             text("the target of class ", result.bad_label, " of sample ", result.bad_row / each,
                  each == 1 ? Text() : text(" at place ", result.bad_row % each), " is infinite or NaN; expected a probability")
                 .view());
    }
};

}  // namespace dla
