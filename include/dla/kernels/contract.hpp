// SPDX-License-Identifier: MIT
// Every kernel a policy must have, one concept each. Kernels are free functions in namespace dla whose first argument is the policy.
// They check nothing (layers and models do), take run-time sizes, allocate nothing, and give the same bits at any number of threads. Sums are kept in
// float or wider, and what goes into a narrower output is rounded once. Pointers marked "or null" may be null. `scratch` has at least the bytes its
// NAME_scratch function returned for the same sizes, or for a larger batch (rows, outer, batch, n; of a product m or k) and otherwise the
// same sizes: NAME_scratch never falls when the batch grows.
#pragma once

#include <dla/backend/policy.hpp>
#include <dla/kernels/pointers.hpp>
#include <dla/kernels/types.hpp>

namespace dla::kernel {

// gemm.hpp
/// ensures: C = op(A) * op(B) + beta * C + bias, bias [n] or null added to every row; beta = 0 never reads C; k = 0 gives beta * C + bias. Called with
/// activations times weights, which gives activations (forward, and the gradient of x), and with two activations, which gives masters (the gradient of w).
template <class P>
concept Gemm = requires(const P& p, Scratch<P> scratch, const GemmDims& d, ConstActivationPtr<P> x, ConstActivationPtr<P> dy, ConstWeightPtr<P> w,
                        ConstWeightPtr<P> bias, typename P::master beta, ActivationPtr<P> y, MasterPtr<P> dw) {
    { gemm_scratch(p, d) } -> std::same_as<index_t>;
    gemm(p, scratch, d, x, w, bias, beta, y);
    gemm(p, scratch, d, dy, x, bias, beta, dw);
};

// conv2d.hpp
/// ensures: y = conv(x, w) + bias (cross-correlation, zero padding); bias [out_channels] or null.
template <class P>
concept Conv2dForward = requires(const P& p, Scratch<P> scratch, const Conv2dDims& d, ConstActivationPtr<P> x, ConstWeightPtr<P> w, ConstWeightPtr<P> bias,
                                 ActivationPtr<P> y) {
    { conv2d_forward_scratch(p, d) } -> std::same_as<index_t>;
    conv2d_forward(p, scratch, d, x, w, bias, y);
};
/// ensures: dx = gradient with respect to x, overwritten everywhere.
template <class P>
concept Conv2dBackwardData = requires(const P& p, Scratch<P> scratch, const Conv2dDims& d, ConstActivationPtr<P> dy, ConstWeightPtr<P> w, ActivationPtr<P> dx) {
    { conv2d_backward_data_scratch(p, d) } -> std::same_as<index_t>;
    conv2d_backward_data(p, scratch, d, dy, w, dx);
};
/// ensures: dw += gradient with respect to w; dbias [out_channels] or null, += sum of dy.
template <class P>
concept Conv2dBackwardWeights = requires(const P& p, Scratch<P> scratch, const Conv2dDims& d, ConstActivationPtr<P> x, ConstActivationPtr<P> dy,
                                         MasterPtr<P> dw, MasterPtr<P> dbias) {
    { conv2d_backward_weights_scratch(p, d) } -> std::same_as<index_t>;
    conv2d_backward_weights(p, scratch, d, x, dy, dw, dbias);
};

// pool.hpp
/// ensures: y = largest value of each window; padding never wins, the first of equals does, NaN propagates. argmax (or null): ih * width + iw.
template <class P>
concept MaxPool2dForward = requires(const P& p, const Pool2dDims& d, ConstActivationPtr<P> x, ActivationPtr<P> y, PtrOf<P, std::int32_t> argmax) {
    max_pool2d_forward(p, d, x, y, argmax);
};
/// ensures: dx overwritten everywhere; windows that overlap add up.
template <class P>
concept MaxPool2dBackward = requires(const P& p, const Pool2dDims& d, ConstActivationPtr<P> dy, PtrOf<P, const std::int32_t> argmax, ActivationPtr<P> dx) {
    max_pool2d_backward(p, d, dy, argmax, dx);
};
/// ensures: y = mean of each window; divisor as PyTorch's avg_pool2d.
template <class P>
concept AvgPool2d = requires(const P& p, const Pool2dDims& d, ConstActivationPtr<P> x, ActivationPtr<P> y) {
    avg_pool2d_forward(p, d, x, y);
    avg_pool2d_backward(p, d, x, y);  // (dy, dx)
};

// resize.hpp
/// ensures: y = x resized: where each output comes from is ResizedAxis (reference/resize.hpp), PyTorch's interpolate; dx overwritten everywhere.
template <class P>
concept Upsample2d = requires(const P& p, const Resize2dDims& d, Interpolation mode, bool align_corners, ConstActivationPtr<P> x, ActivationPtr<P> y) {
    upsample2d_forward(p, d, mode, align_corners, x, y);
    upsample2d_backward(p, d, mode, align_corners, x, y);  // (.., dy, dx)
};
/// ensures: y = mean of each window, of which o goes from floor(o * in / out) to ceil((o + 1) * in / out) along an axis; dx overwritten everywhere.
template <class P>
concept AdaptiveAvgPool2d = requires(const P& p, const Resize2dDims& d, ConstActivationPtr<P> x, ActivationPtr<P> y) {
    adaptive_avg_pool2d_forward(p, d, x, y);
    adaptive_avg_pool2d_backward(p, d, x, y);  // (dy, dx)
};

/// ensures: y[h, w] = x[h - top, w - left], or 0 where that lies outside of x; top and left may be negative. With sizes exchanged and -top, -left it is its
/// own gradient.
template <class P>
concept ZeroPad2d = requires(const P& p, const Resize2dDims& d, index_t top, index_t left, ConstActivationPtr<P> x, ActivationPtr<P> y) {
    zero_pad2d(p, d, top, left, x, y);
};

// norm.hpp; w and b (and dw, db) [channels] or null together: no affine part. They are read from the masters: too few to be worth a copy.
/// ensures: y = (x - mean) * invstd * w + b with the batch's mean and biased variance (two passes); mean and invstd [channels] are written;
/// running_mean, running_var [channels] and tracked (or null together) updated with the unbiased variance; momentum < 0 means 1 / tracked.
template <class P>
concept BatchNormForward = requires(const P& p, Scratch<P> scratch, const NormDims& d, double eps, double momentum, ConstActivationPtr<P> x,
                                    ConstMasterPtr<P> w, ConstMasterPtr<P> b, StatisticPtr<P> running_mean, StatisticPtr<P> running_var,
                                    PtrOf<P, std::int64_t> tracked, ActivationPtr<P> y, StatisticPtr<P> mean, StatisticPtr<P> invstd) {
    { batch_norm_scratch(p, d) } -> std::same_as<index_t>;  // for forward and backward
    batch_norm_forward(p, scratch, d, eps, momentum, x, w, b, running_mean, running_var, tracked, y, mean, invstd);
};
/// ensures: y = (x - running_mean) / sqrt(running_var + eps) * w + b; y may be x.
template <class P>
concept BatchNormInfer = requires(const P& p, const NormDims& d, double eps, ConstActivationPtr<P> x, ConstMasterPtr<P> w, ConstMasterPtr<P> b,
                                  ConstStatisticPtr<P> running_mean, ConstStatisticPtr<P> running_var, ActivationPtr<P> y) {
    batch_norm_infer(p, d, eps, x, w, b, running_mean, running_var, y);
};
/// ensures: dw, db accumulated; dx (or null) overwritten, may be dy.
template <class P>
concept BatchNormBackward = requires(const P& p, Scratch<P> scratch, const NormDims& d, ConstActivationPtr<P> x, ConstMasterPtr<P> w, ConstStatisticPtr<P> mean,
                                     ConstStatisticPtr<P> invstd, ConstActivationPtr<P> dy, ActivationPtr<P> dx, MasterPtr<P> dw, MasterPtr<P> db) {
    batch_norm_backward(p, scratch, d, x, w, mean, invstd, dy, dx, dw, db);
};
/// ensures: the gradients of batch_norm_infer with respect to x, w and b: dx (or null) overwritten, may be dy; dw, db accumulated. Scratch as backward.
template <class P>
concept BatchNormInferBackward = requires(const P& p, Scratch<P> scratch, const NormDims& d, double eps, ConstActivationPtr<P> x, ConstMasterPtr<P> w,
                                          ConstStatisticPtr<P> mean, ConstStatisticPtr<P> var, ConstActivationPtr<P> dy, ActivationPtr<P> dx, MasterPtr<P> dw,
                                          MasterPtr<P> db) {
    batch_norm_infer_backward(p, scratch, d, eps, x, w, mean, var, dy, dx, dw, db);
};
/// ensures: each of `rows` rows of `columns` values normalised by itself; w, b [columns] or null; mean, invstd [rows] or null.
template <class P>
concept LayerNorm = requires(const P& p, Scratch<P> scratch, index_t rows, index_t columns, double eps, ConstActivationPtr<P> x, ConstMasterPtr<P> w,
                             ConstMasterPtr<P> b, ConstActivationPtr<P> dy, ActivationPtr<P> y, StatisticPtr<P> mean, StatisticPtr<P> invstd,
                             ActivationPtr<P> dx, MasterPtr<P> dw, MasterPtr<P> db) {
    { layer_norm_scratch(p, rows, columns) } -> std::same_as<index_t>;
    layer_norm_forward(p, rows, columns, eps, x, w, b, y, mean, invstd);
    layer_norm_backward(p, scratch, rows, columns, x, w, mean, invstd, dy, dx, dw, db);  // dx or null, may be dy; dw, db accumulated
};

// group_norm.hpp
/// ensures: each group of each sample normalised by its own mean and biased variance (two passes); w, b [channels] or null; mean, invstd [batch, groups], in
/// forward or null.
template <class P>
concept GroupNorm = requires(const P& p, Scratch<P> scratch, const GroupNormDims& d, double eps, ConstActivationPtr<P> x, ConstMasterPtr<P> w,
                             ConstMasterPtr<P> b, ConstActivationPtr<P> dy, ActivationPtr<P> y, StatisticPtr<P> mean, StatisticPtr<P> invstd,
                             ActivationPtr<P> dx, MasterPtr<P> dw, MasterPtr<P> db) {
    { group_norm_scratch(p, d) } -> std::same_as<index_t>;  // for forward and backward
    group_norm_forward(p, scratch, d, eps, x, w, b, y, mean, invstd);
    group_norm_backward(p, scratch, d, x, w, mean, invstd, dy, dx, dw, db);  // dx or null, may be dy; dw, db accumulated
};

// eltwise.hpp; n values; the output may be an input
/// ensures: y = f(x); `options` are used by leaky_relu, elu and softplus only. Backward reads y for relu, sigmoid and tanh, x for the others (the one not
/// read or null).
template <class P>
concept ActivationKernels = requires(const P& p, Activation kind, const ActivationOptions& options, index_t n, ConstActivationPtr<P> x,
                                     ConstActivationPtr<P> y, ConstActivationPtr<P> dy, ActivationPtr<P> out) {
    activation_forward(p, kind, options, n, x, out);
    activation_backward(p, kind, options, n, x, y, dy, out);
};
/// ensures: y = x > 0 ? x : w * x, w [channels] of the value's channel; backward dx = x > 0 ? dy : w * dy; dw += the sums of x * dy where x is not above 0.
template <class P>
concept PReLUKernels = requires(const P& p, Scratch<P> scratch, const NormDims& d, ConstActivationPtr<P> x, ConstMasterPtr<P> w, ConstActivationPtr<P> dy,
                                ActivationPtr<P> out, MasterPtr<P> dw) {
    { prelu_scratch(p, d) } -> std::same_as<index_t>;
    prelu_forward(p, d, x, w, out);
    prelu_backward(p, scratch, d, x, w, dy, out, dw);  // out: dx, or null
};
/// Sums, masks, copies and transpositions; each line says what it ensures.
template <class P>
concept Elementwise = requires(const P& p, index_t n, ConstActivationPtr<P> a, ConstActivationPtr<P> b, typename P::master value, ActivationPtr<P> y,
                               MasterPtr<P> gradient, PtrOf<P, std::uint32_t> mask, PtrOf<P, const std::uint32_t> written) {
    add(p, n, a, b, y);                       // y = a + b
    add_relu(p, n, a, b, y, mask);            // y = max(a + b, 0), NaN stays; mask [relu_mask_words(n)] or null: where y is not 0
    relu_mask_backward(p, n, written, a, y);  // y = mask ? a : 0, of a mask of add_relu
    copy(p, n, a, y);
    fill(p, n, value, y);
    transpose(p, n, n, n, a, y);  // (count, rows, columns, ..): y [count, columns, rows] = x [count, rows, columns], each matrix transposed; y is not x
    fill(p, n, value, gradient);
};
// merge.hpp; what joins the outputs of branches
/// ensures: copy_columns: y[r * y_stride + i] = x[r * x_stride + i] for i < columns of each of the rows; x and y are different memory.
/// scale_channels: y [batch, pixels, channels] = x * factor [batch, channels]; y may be x, or factor where pixels is 1.
/// scale_channels_backward: dfactor [batch, channels] = sum of x * dy over the pixels, overwritten; not x or dy.
template <class P>
concept MergeKernels = requires(const P& p, index_t n, ConstActivationPtr<P> x, ConstActivationPtr<P> factor, ActivationPtr<P> y) {
    copy_columns(p, n, n, x, n, y, n);
    scale_channels(p, n, n, n, x, factor, y);
    scale_channels_backward(p, n, n, n, x, x, y);  // (.., x, dy, dfactor)
};
/// ensures: to[i] = from[i], rounded to nearest even if weights have fewer digits. A policy whose masters and weights have one type need not call it.
template <class P>
concept Cast = requires(const P& p, index_t n, ConstMasterPtr<P> from, WeightPtr<P> to) {
    cast(p, n, from, to);
};
/// ensures: y[i] = keep ? x[i] / (1 - probability) : 0, keep = to_unit_float(word k % 4 of random_block(*at, stream, k / 4)) >= probability, k = first + i;
/// probability 1 gives exact zeros; the divisor has the digits of float at least. The same call on dy is the backward pass.
template <class P>
concept Dropout = requires(const P& p, index_t n, double probability, PtrOf<P, const RandomPosition> at, std::uint32_t stream, ConstActivationPtr<P> x,
                           ActivationPtr<P> y) {
    dropout(p, n, probability, at, stream, x, y, n);  // the last: which element of the whole batch x[0] is
};

// softmax.hpp
/// ensures: softmax over `channels` (the maximum is subtracted); backward dx = y * (dy - sum(dy * y)); dx may be dy.
template <class P>
concept Softmax = requires(const P& p, const NormDims& d, ConstActivationPtr<P> x, ConstActivationPtr<P> y, ConstActivationPtr<P> dy, ActivationPtr<P> out) {
    softmax_forward(p, d, x, out);
    softmax_backward(p, d, y, dy, out);
};
/// ensures: y = log(softmax(x)) over `channels`, without the softmax itself, which may round to 0; backward dx = dy - exp(y) * sum(dy); out may be x or dy.
template <class P>
concept LogSoftmax = requires(const P& p, const NormDims& d, ConstActivationPtr<P> x, ConstActivationPtr<P> y, ConstActivationPtr<P> dy, ActivationPtr<P> out) {
    log_softmax_forward(p, d, x, out);
    log_softmax_backward(p, d, y, dy, out);
};
/// ensures: *result written; dlogits (or null) = gradient of the reduced loss; class_weights [classes] or null. PyTorch's label smoothing. Where a soft loss is
/// not finite because a target is not, the result names it (row of the batch, class) and dlogits is 0.
template <class P>
concept CrossEntropyKernels = requires(const P& p, Scratch<P> scratch, const CrossEntropyDims& d, ConstActivationPtr<P> logits,
                                       PtrOf<P, const std::int32_t> labels, ConstActivationPtr<P> targets, ConstStatisticPtr<P> class_weights,
                                       PtrOf<P, LossResult> result, ActivationPtr<P> dlogits, PtrOf<P, const LossResult> whole) {
    { cross_entropy_scratch(p, d) } -> std::same_as<index_t>;
    cross_entropy(p, scratch, d, logits, labels, class_weights, result, dlogits);
    label_weights(p, d, labels, class_weights, result);  // *result: weight, count and first bad label, without looking at logits
    cross_entropy(p, scratch, d, logits, labels, class_weights, result, dlogits, whole);  // a mean divides by the weight of *whole; nothing if it is bad
    cross_entropy_soft(p, scratch, d, logits, targets, class_weights, result, dlogits);   // targets [rows, classes]: probabilities; mean over rows
};

// reduce.hpp
/// Sums over rows and squares.
template <class P>
concept Reductions = requires(const P& p, Scratch<P> scratch, index_t rows, index_t columns, index_t n, ConstActivationPtr<P> x, MasterPtr<P> bias,
                              ConstMasterPtr<P> gradient, PtrOf<P, double> sum) {
    { column_sum_scratch(p, rows, columns) } -> std::same_as<index_t>;
    column_sum(p, scratch, rows, columns, x, bias);  // bias [columns] += sum over rows of x [rows, columns]
    { sum_of_squares_scratch(p, n) } -> std::same_as<index_t>;
    sum_of_squares(p, scratch, n, gradient, sum);  // *sum = sum of gradient^2, in double
};
/// ensures: *result written; dx (or null, may be x) = gradient of the loss that it holds. pos_weight [d.weights] or null. Where the loss is not finite because
/// a target is not, the result names it and dx is 0. Scratch as sum_of_squares of d.size() values.
template <class P>
concept ElementLossKernel = requires(const P& p, Scratch<P> scratch, const ElementLossDims& d, ConstActivationPtr<P> x, ConstActivationPtr<P> target,
                                     ConstStatisticPtr<P> pos_weight, PtrOf<P, LossResult> result, ActivationPtr<P> dx) {
    element_loss(p, scratch, d, x, target, pos_weight, result, dx);
};

// optim.hpp; the numbers of a step live in the policy's memory, so that a captured graph can be replayed with new ones
/// Steps of the optimizers, and clipping. Muon (optim/orthogonalize.hpp) multiplies masters: where `gemm` takes other types, `policy_of_masters(p)` gives a
/// policy that takes them and has these kernels.
template <class P>
concept OptimizerKernels = requires(const P& p, index_t n, PtrOf<P, const SgdScalars> sgd, PtrOf<P, const AdamScalars> adam, PtrOf<P, const double> squares,
                                    double max_norm, ConstMasterPtr<P> grad, MasterPtr<P> value, MasterPtr<P> slot, PtrOf<P, const StepReport> report,
                                    PtrOf<P, std::int64_t> steps, PtrOf<P, SgdScalars> sgd_out, PtrOf<P, AdamScalars> adam_out,
                                    PtrOf<P, const MuonScalars> muon, PtrOf<P, MuonScalars> muon_out) {
    begin_sgd_step(p, sgd, report, steps, sgd_out);     // *sgd_out = *sgd for the next step, or to be skipped if *report (or null) says so
    begin_adam_step(p, adam, report, steps, adam_out);  // likewise
    begin_muon_step(p, muon, report, steps, muon_out);  // likewise
    sgd_step(p, n, sgd, value, grad, slot);             // slot: velocity, or null without momentum
    adam_step(p, n, adam, value, grad, slot, slot);     // slots: first and second moment
    muon_direction(p, n, muon, grad, slot, value);      // slot: velocity, moved towards grad; value: what is to be orthogonalised
    divide_by_norm(p, n, squares, max_norm, value);     // value /= max(sqrt(*squares), max_norm)
    muon_update(p, n, muon, grad, value);               // value decays and moves along grad, an orthogonalised direction
    clip_scale(p, n, squares, max_norm, value);         // value *= min(1, max_norm / (sqrt(*squares) + 1e-6)); unchanged if that is not finite
};

// step.hpp; what the host would otherwise have to look at in the middle of a step
/// What the host would otherwise have to look at in the middle of a step.
template <class P>
concept StepKernels = requires(const P& p, index_t n, double factor, PtrOf<P, const LossResult> loss, PtrOf<P, LossResult> losses, ConstMasterPtr<P> gradient,
                               MasterPtr<P> sum, ConstStatisticPtr<P> statistic, StatisticPtr<P> statistics, PtrOf<P, const double> squares,
                               PtrOf<P, double> total, PtrOf<P, RandomPosition> position, PtrOf<P, StepReport> report, Scratch<P> bytes) {
    join_losses(p, loss, losses);     // *losses += *loss
    accumulate(p, n, gradient, sum);  // sum += gradient
    accumulate(p, n, statistic, statistics);
    scale(p, n, factor, statistics);                      // statistics *= factor
    decide_step(p, n, squares, total, position, report);  // *total = sum of n squares; is the step taken?
    restore_unless_applied(p, report, n, bytes, bytes);   // (report, bytes, from, to)
};

/// All of them that a policy must have.
template <class P>
concept Backend =
    Policy<P> && Gemm<P> && Conv2dForward<P> && Conv2dBackwardData<P> && Conv2dBackwardWeights<P> && MaxPool2dForward<P> && MaxPool2dBackward<P> &&
    AvgPool2d<P> && Upsample2d<P> && AdaptiveAvgPool2d<P> && ZeroPad2d<P> && BatchNormForward<P> && BatchNormInfer<P> && BatchNormBackward<P> &&
    BatchNormInferBackward<P> && LayerNorm<P> && GroupNorm<P> && ActivationKernels<P> && PReLUKernels<P> && Elementwise<P> && MergeKernels<P> && Cast<P> &&
    Dropout<P> && Softmax<P> && LogSoftmax<P> && CrossEntropyKernels<P> && Reductions<P> && ElementLossKernel<P> && OptimizerKernels<P> && StepKernels<P>;

}  // namespace dla::kernel
