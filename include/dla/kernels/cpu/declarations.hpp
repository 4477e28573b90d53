// SPDX-License-Identifier: MIT
// The kernels that Cpu<float> has of its own; what they do is said in kernels/contract.hpp.
#pragma once

#include <dla/kernels/reference.hpp>

namespace dla {

// gemm.hpp
DLA_ONCE index_t gemm_scratch(const Cpu<float>& p, const GemmDims& d);
DLA_ONCE void gemm(const Cpu<float>& p, std::byte* scratch, const GemmDims& d, const float* a, const float* b, const float* bias, float beta, float* c);

// conv2d.hpp
/// Whether the three of a convolution of this size go through Winograd's transforms, with the larger roundings of these.
DLA_ONCE bool conv2d_uses_winograd(const Cpu<float>& p, const Conv2dDims& d);
DLA_ONCE index_t conv2d_forward_scratch(const Cpu<float>& p, const Conv2dDims& d);
DLA_ONCE index_t conv2d_backward_data_scratch(const Cpu<float>& p, const Conv2dDims& d);
DLA_ONCE index_t conv2d_backward_weights_scratch(const Cpu<float>& p, const Conv2dDims& dims);
DLA_ONCE void conv2d_forward(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const float* x, const float* w, const float* bias, float* y);
// For inference, weights may be brought beforehand into the form that conv2d_infer reads.
/// Writes it to `to`, gives its bytes; with null only these, which are 0 where weights are read as they are. No function of the batch.
/// Scratch as conv2d_infer.
DLA_ONCE index_t conv2d_prepare(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const float* w, std::byte* to);
DLA_ONCE index_t conv2d_infer_scratch(const Cpu<float>& p, const Conv2dDims& d);
/// As conv2d_forward; `prepared` is what conv2d_prepare made of w, or null where that is nothing.
DLA_ONCE void conv2d_infer(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const float* x, const float* w, const float* bias,
                           const std::byte* prepared, float* y);
DLA_ONCE void conv2d_backward_data(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const float* dy, const float* w, float* dx);
DLA_ONCE void conv2d_backward_weights(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const float* x, const float* dy, float* dw, float* dbias);

// pool.hpp
DLA_ONCE void max_pool2d_forward(const Cpu<float>& p, const Pool2dDims& d, const float* x, float* y, std::int32_t* argmax);
DLA_ONCE void max_pool2d_backward(const Cpu<float>& p, const Pool2dDims& d, const float* dy, const std::int32_t* argmax, float* dx);
DLA_ONCE void avg_pool2d_forward(const Cpu<float>& p, const Pool2dDims& d, const float* x, float* y);
DLA_ONCE void avg_pool2d_backward(const Cpu<float>& p, const Pool2dDims& d, const float* dy, float* dx);

// resize.hpp
DLA_ONCE void upsample2d_forward(const Cpu<float>& p, const Resize2dDims& d, Interpolation mode, bool align_corners, const float* x, float* y);
DLA_ONCE void upsample2d_backward(const Cpu<float>& p, const Resize2dDims& d, Interpolation mode, bool align_corners, const float* dy, float* dx);
DLA_ONCE void adaptive_avg_pool2d_forward(const Cpu<float>& p, const Resize2dDims& d, const float* x, float* y);
DLA_ONCE void adaptive_avg_pool2d_backward(const Cpu<float>& p, const Resize2dDims& d, const float* dy, float* dx);
DLA_ONCE void zero_pad2d(const Cpu<float>& p, const Resize2dDims& d, index_t top, index_t left, const float* x, float* y);

// norm.hpp
DLA_ONCE index_t batch_norm_scratch(const Cpu<float>&, const NormDims& d);
DLA_ONCE void batch_norm_forward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, double eps, double momentum, const float* x, const float* w,
                                 const float* b, float* running_mean, float* running_var, std::int64_t* tracked, float* y, float* mean, float* invstd);
DLA_ONCE void batch_norm_infer(const Cpu<float>& p, const NormDims& d, double eps, const float* x, const float* w, const float* b, const float* running_mean,
                               const float* running_var, float* y);
DLA_ONCE void batch_norm_backward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, const float* x, const float* w, const float* mean,
                                  const float* invstd, const float* dy, float* dx, float* dw, float* db);
DLA_ONCE void batch_norm_infer_backward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, double eps, const float* x, const float* w,
                                        const float* running_mean, const float* running_var, const float* dy, float* dx, float* dw, float* db);

/// Parameters [channels] of a batch normalisation on Cpu<float>: w and b, or null together.
struct NormParams {
    double eps = 0, momentum = 0;
    const float *w = nullptr, *b = nullptr;
    float *running_mean = nullptr, *running_var = nullptr;
    std::int64_t* tracked = nullptr;
};

// run_norm.hpp
DLA_ONCE index_t layer_norm_scratch(const Cpu<float>&, index_t rows, index_t columns);
DLA_ONCE void layer_norm_forward(const Cpu<float>& p, index_t rows, index_t columns, double eps, const float* x, const float* w, const float* b, float* y,
                                 float* mean, float* invstd);
DLA_ONCE void layer_norm_backward(const Cpu<float>& p, std::byte* scratch, index_t rows, index_t columns, const float* x, const float* w, const float* mean,
                                  const float* invstd, const float* dy, float* dx, float* dw, float* db);

// group_norm.hpp
DLA_ONCE index_t group_norm_scratch(const Cpu<float>&, const GroupNormDims& d);
DLA_ONCE void group_norm_forward(const Cpu<float>& p, std::byte* scratch, const GroupNormDims& d, double eps, const float* x, const float* w, const float* b,
                                 float* y, float* mean, float* invstd);
DLA_ONCE void group_norm_backward(const Cpu<float>& p, std::byte* scratch, const GroupNormDims& d, const float* x, const float* w, const float* mean,
                                  const float* invstd, const float* dy, float* dx, float* dw, float* db);

// norm_rows.hpp; for the groups that follow.
/// mean and invstd of the running statistics.
DLA_ONCE void norm_rows_running(const Cpu<float>& p, const NormRowsDims& d, const NormParams& n, float* mean, float* invstd);
/// y = x normalised, with ReLU and pooling where d says so. Scratch of the kernel that made x.
DLA_ONCE void norm_rows_apply(const Cpu<float>& p, std::byte* scratch, const NormRowsDims& d, const NormParams& n, const float* x, const float* mean,
                              const float* invstd, float* y);

/// Says that a convolution reads x normalised and then rectified (ReLU), which is done as it is read, and with what. mean, invstd [channels].
struct NormedInput {
    NormParams norm;
    const float *mean, *invstd;
};

// conv_norm.hpp; for the groups of compose/conv_norm.hpp. z, y, dz: the results of the convolution, of all, and the gradient with respect to z.
DLA_ONCE index_t conv_norm_forward_scratch(const Cpu<float>& p, const ConvNormDims& d);
DLA_ONCE index_t conv_norm_infer_scratch(const Cpu<float>& p, const ConvNormDims& d);
DLA_ONCE index_t conv_norm_backward_scratch(const Cpu<float>& p, const ConvNormDims& d);
/// What a convolution with a NormedInput needs besides.
DLA_ONCE index_t normed_input_scratch(const Cpu<float>& p, const Conv2dDims& d);
/// z = conv(x, w) + bias (or null), of x as it is (input null) or normalised; mean and invstd [channels] of z. Running statistics are moved.
DLA_ONCE void conv_norm_forward(const Cpu<float>& p, std::byte* scratch, const ConvNormDims& d, const NormParams& n, const NormedInput* input, const float* x,
                                const float* w, const float* bias, float* z, float* mean, float* invstd);
/// The same with mean and invstd of the running statistics, which stay.
DLA_ONCE void conv_norm_forward_running(const Cpu<float>& p, std::byte* scratch, const ConvNormDims& d, const NormParams& n, const NormedInput* input,
                                        const float* x, const float* w, const float* bias, float* z, float* mean, float* invstd);
/// As conv2d_backward_weights, of x normalised.
DLA_ONCE void conv_norm_weights(const Cpu<float>& p, std::byte* scratch, const Conv2dDims& d, const NormedInput& input, const float* x, const float* dz,
                                float* dw, float* dbias);
/// All of it, with running statistics; `prepared` as in conv2d_infer.
DLA_ONCE void conv_norm_infer(const Cpu<float>& p, std::byte* scratch, const ConvNormDims& d, const NormParams& n, const float* x, const float* w,
                              const float* bias, const std::byte* prepared, float* y);
/// dz, which may be z; dw and db (or null) accumulated. With `running` mean and invstd are no functions of z.
DLA_ONCE void conv_norm_backward(const Cpu<float>& p, std::byte* scratch, const ConvNormDims& d, const NormParams& n, const float* z, const float* mean,
                                 const float* invstd, const float* dy, float* dz, float* dw, float* db, bool running);

// linear.hpp: inference with weights that were packed beforehand.
/// Packs w to `to`, gives its bytes; with null only these, which are 0 where weights are read as they are. `most`: the most rows of a batch.
DLA_ONCE index_t linear_prepare(const Cpu<float>& p, const LinearDims& most, const float* w, std::byte* to);
/// y = x w^T + bias (or null); `prepared` is what linear_prepare made of w, or null where that is nothing. Scratch as gemm.
DLA_ONCE void linear_infer(const Cpu<float>& p, std::byte* scratch, const LinearDims& d, const float* x, const float* w, const float* bias,
                           const std::byte* prepared, float* y);

// linear_norm.hpp; for the groups of compose/linear_norm.hpp. As above, with a Linear for the convolution.
DLA_ONCE index_t linear_norm_scratch(const Cpu<float>& p, const LinearNormDims& d);
DLA_ONCE index_t linear_norm_backward_scratch(const Cpu<float>& p, const LinearNormDims& d);
DLA_ONCE void linear_norm_forward(const Cpu<float>& p, std::byte* scratch, const LinearNormDims& d, const NormParams& n, const float* x, const float* w,
                                  const float* bias, float* z, float* mean, float* invstd, float* y);
/// What inference reads of the normalisation's statistics and weights, and behind it what linear_prepare gives. Scratch as linear_norm_infer.
DLA_ONCE index_t linear_norm_prepare(const Cpu<float>& p, std::byte* scratch, const LinearNormDims& most, const NormParams& n, const float* w, std::byte* to);
/// `prepared` is what linear_norm_prepare made; `packed`: linear_prepare had something to give.
DLA_ONCE void linear_norm_infer(const Cpu<float>& p, std::byte* scratch, const LinearNormDims& d, const float* x, const float* w, const float* bias,
                                const std::byte* prepared, bool packed, float* y);
/// z becomes its gradient; dx (or null) is written, dw, dgain and dshift (or null) of the normalisation accumulated. The gradient of the Linear's bias is 0
/// unless `running`.
DLA_ONCE void linear_norm_backward(const Cpu<float>& p, std::byte* scratch, const LinearNormDims& d, const NormParams& n, const float* x, const float* w,
                                   float* z, const float* mean, const float* invstd, const float* dy, float* dx, float* dw, float* dgain, float* dshift,
                                   bool running);

// eltwise.hpp
DLA_ONCE void activation_forward(const Cpu<float>& p, Activation kind, const ActivationOptions& options, index_t n, const float* x, float* y);
DLA_ONCE void activation_backward(const Cpu<float>& p, Activation kind, const ActivationOptions& options, index_t n, const float* x, const float* y,
                                  const float* dy, float* dx);
DLA_ONCE void add(const Cpu<float>& p, index_t n, const float* a, const float* b, float* y);
DLA_ONCE void add_relu(const Cpu<float>& p, index_t n, const float* a, const float* b, float* y, std::uint32_t* mask);
DLA_ONCE void relu_mask_backward(const Cpu<float>& p, index_t n, const std::uint32_t* mask, const float* dy, float* dx);
DLA_ONCE void copy(const Cpu<float>& p, index_t n, const float* x, float* y);
DLA_ONCE void fill(const Cpu<float>& p, index_t n, float value, float* y);
DLA_ONCE void dropout(const Cpu<float>& p, index_t n, double probability, const RandomPosition* at, std::uint32_t stream, const float* x, float* y,
                      index_t first = 0);

// merge.hpp
DLA_ONCE void copy_columns(const Cpu<float>& p, index_t rows, index_t columns, const float* x, index_t x_stride, float* y, index_t y_stride);
DLA_ONCE void scale_channels(const Cpu<float>& p, index_t batch, index_t pixels, index_t channels, const float* x, const float* factor, float* y);
DLA_ONCE void scale_channels_backward(const Cpu<float>& p, index_t batch, index_t pixels, index_t channels, const float* x, const float* dy, float* dfactor);

// reduce.hpp
DLA_ONCE index_t column_sum_scratch(const Cpu<float>&, index_t rows, index_t columns);
DLA_ONCE void column_sum(const Cpu<float>& p, std::byte* scratch, index_t rows, index_t columns, const float* x, float* y);
DLA_ONCE index_t sum_of_squares_scratch(const Cpu<float>&, index_t n);
DLA_ONCE void sum_of_squares(const Cpu<float>& p, std::byte* scratch, index_t n, const float* x, double* sum);
DLA_ONCE void element_loss(const Cpu<float>& p, std::byte* scratch, const ElementLossDims& d, const float* x, const float* targets, const float* pos_weight,
                           LossResult* result, float* gradient);

// prelu.hpp
DLA_ONCE index_t prelu_scratch(const Cpu<float>&, const NormDims& d);
DLA_ONCE void prelu_forward(const Cpu<float>& p, const NormDims& d, const float* x, const float* w, float* y);
DLA_ONCE void prelu_backward(const Cpu<float>& p, std::byte* scratch, const NormDims& d, const float* x, const float* w, const float* dy, float* dx,
                             float* dw);

// softmax.hpp
DLA_ONCE void softmax_forward(const Cpu<float>& p, const NormDims& d, const float* x, float* y);
DLA_ONCE void softmax_backward(const Cpu<float>& p, const NormDims& d, const float* y, const float* dy, float* dx);
DLA_ONCE void log_softmax_forward(const Cpu<float>& p, const NormDims& d, const float* x, float* y);
DLA_ONCE void log_softmax_backward(const Cpu<float>& p, const NormDims& d, const float* y, const float* dy, float* dx);
DLA_ONCE index_t cross_entropy_scratch(const Cpu<float>&, const CrossEntropyDims& d);
DLA_ONCE void cross_entropy(const Cpu<float>& p, std::byte* scratch, const CrossEntropyDims& d, const float* logits, const std::int32_t* labels,
                            const float* class_weights, LossResult* result, float* dlogits, const LossResult* whole = nullptr);
DLA_ONCE void cross_entropy_soft(const Cpu<float>& p, std::byte* scratch, const CrossEntropyDims& d, const float* logits, const float* targets,
                                 const float* class_weights, LossResult* result, float* dlogits);

// optim.hpp
DLA_ONCE void sgd_step(const Cpu<float>& p, index_t n, const SgdScalars* sgd, float* value, const float* grad, float* velocity);
DLA_ONCE void adam_step(const Cpu<float>& p, index_t n, const AdamScalars* adam, float* value, const float* grad, float* m, float* v);
DLA_ONCE void muon_direction(const Cpu<float>& p, index_t n, const MuonScalars* muon, const float* grad, float* velocity, float* direction);
DLA_ONCE void divide_by_norm(const Cpu<float>& p, index_t n, const double* squares, double eps, float* x);
DLA_ONCE void muon_update(const Cpu<float>& p, index_t n, const MuonScalars* muon, const float* direction, float* value);
DLA_ONCE void clip_scale(const Cpu<float>& p, index_t n, const double* squares, double max_norm, float* value);
DLA_ONCE void accumulate(const Cpu<float>& p, index_t n, const float* from, float* to);

// reference/
DLA_TEMPLATE_ONCE(decltype(label_weights<float>) label_weights<float>)
DLA_TEMPLATE_ONCE(decltype(begin_sgd_step<float>) begin_sgd_step<float>)
DLA_TEMPLATE_ONCE(decltype(begin_adam_step<float>) begin_adam_step<float>)
DLA_TEMPLATE_ONCE(decltype(begin_muon_step<float>) begin_muon_step<float>)
DLA_TEMPLATE_ONCE(decltype(join_losses<float>) join_losses<float>)
DLA_TEMPLATE_ONCE(decltype(decide_step<float>) decide_step<float>)
DLA_TEMPLATE_ONCE(decltype(restore_unless_applied<float>) restore_unless_applied<float>)
DLA_TEMPLATE_ONCE(decltype(transpose<float>) transpose<float>)
DLA_TEMPLATE_ONCE(decltype(scale<float, float>) scale<float, float>)

}  // namespace dla
