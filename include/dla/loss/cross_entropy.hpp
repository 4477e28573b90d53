// SPDX-License-Identifier: MIT
// Cross-entropy of class scores.
#pragma once

#include <dla/backend/context.hpp>
#include <dla/core/error.hpp>
#include <dla/core/finite.hpp>
#include <dla/kernels/contract.hpp>

#include <vector>

namespace dla {

/// How the losses of the samples become one number.
enum class Reduction { mean, sum };

/// The batch of which rows are a part: how many rows it has, and what the loss's `prepare` left of it in the policy's memory.
template <class P>
struct WholeBatch {
    index_t rows = 0;  ///< 0: the part is all
    kernel::PtrOf<P, const LossResult> prepared{};
};

/// -sum of w[y] log softmax(logits)[y], divided by the sum of w[y] for a mean; rows labelled ignore_index do not count (torch.nn.CrossEntropyLoss).
/// Logits [N, classes] and a class number for each sample; or images [N, classes, H, W] and one for each pixel, in rows; or [N, rows, classes] (of PyTorch
/// the transpose, [N, classes, rows]) and one for each row. All rows ignored: NaN for a mean, 0 for a sum.
struct CrossEntropy {
    using Target = std::int32_t;

    double label_smoothing = 0;
    std::int32_t ignore_index = -100;     ///< leave it for data of `fit`, which say -100 (dla::uncounted), unless a class is not to count
    std::vector<double> class_weights{};  ///< empty: all 1
    Reduction reduction = Reduction::mean;

    /// Of `samples` samples.
    CrossEntropyDims dims(index_t samples, const Shape& logits) const {
        return {.rows = samples * targets_per_sample(logits),
                .classes = classes(logits),
                .label_smoothing = label_smoothing,
                .ignore_index = ignore_index,
                .mean = reduction == Reduction::mean};
    }
    /// Scores next to each other in memory.
    static index_t classes(const Shape& logits) { return logits.d[logits.is_image() || logits.rank == 0 ? 0 : logits.rank - 1]; }

    /// Throws Error(model) when the logits or the options do not fit; `name` is that of the loss.
    void check(const Shape& logits, const char* name = "CrossEntropy") const {
        if (logits.rank == 3 && !logits.is_image())
            fail(ErrorCode::model, name,
                 text("takes images with channels last in memory; got ", to_text(logits), "; put ToChannelsLast behind").view());
        if (logits.rank == 0 || logits.size() == 0) fail(ErrorCode::model, name, text("takes logits [classes]; got ", to_text(logits)).view());
        if (!(label_smoothing >= 0 && label_smoothing <= 1)) fail(ErrorCode::model, name, "label_smoothing must lie in [0, 1]");
        if (!class_weights.empty() && static_cast<index_t>(class_weights.size()) != classes(logits))
            fail(ErrorCode::model, name,
                 text("class_weights has ", class_weights.size(), " values; expected one for each of ", classes(logits), " classes").view());
        for (const double w : class_weights)
            if (!is_finite(w)) fail(ErrorCode::model, name, "class_weights must be finite");
    }
    index_t targets_per_sample(const Shape& logits) const { return logits.size() / classes(logits); }

    template <class P>
    index_t scratch(const P& p, index_t samples, const Shape& logits) const {
        return cross_entropy_scratch(p, dims(samples, logits));
    }
    /// Looks at the labels of a whole batch before any of it is computed: *whole = what a mean divides by, and the first bad label.
    template <class P>
    void prepare(const Context<P>& c, index_t samples, const Shape& logits, kernel::PtrOf<P, const Target> labels, kernel::ConstStatisticPtr<P> weights,
                 kernel::PtrOf<P, LossResult> whole) const {
        label_weights(c.policy, dims(samples, logits), labels, weights, whole);
    }
    /// *result = loss and counts of these rows, as a share of the `whole` batch (empty: they are the batch); dlogits (or an empty view) = gradient.
    template <class P>
    void evaluate(const Context<P>& c, ConstView<P> logits, kernel::PtrOf<P, const Target> labels, kernel::ConstStatisticPtr<P> weights,
                  kernel::PtrOf<P, LossResult> result, View<P> dlogits, const WholeBatch<P>& whole = {}) const {
        cross_entropy(c.policy, c.scratch, dims(logits.batch, logits.shape), logits.data, labels, weights, result, dlogits.data, whole.prepared);
    }
    /// Throws Error(data) when a label was out of range.
    void verify(const LossResult& result, const Shape& logits) const {
        if (result.bad_row < 0) return;
        const index_t each = targets_per_sample(logits);
        const Text place = each == 1 ? Text() : text(" at place ", result.bad_row % each);
        fail(ErrorCode::data, "CrossEntropy",
             text("label ", result.bad_label, " of sample ", result.bad_row / each, place, " is out of range; expected 0 to ", classes(logits) - 1,
                  " or ignore_index ", ignore_index)
                 .view());
    }
};

/// The weights that a loss's kernels read, or null: most losses have none.
template <class Loss>
const std::vector<double>* weights_of(const Loss& loss) {
    if constexpr (requires { loss.class_weights; })
        return &loss.class_weights;
    else if constexpr (requires { loss.pos_weight; })
        return &loss.pos_weight;
    else if constexpr (requires { loss.weights(); })
        return loss.weights();
    else
        return nullptr;
}

/// Whether a loss looks at all targets of a batch, with its `prepare`, before any sample is computed.
template <class Loss, class P>
inline constexpr bool looks_ahead = requires { &Loss::template prepare<P>; };

}  // namespace dla
