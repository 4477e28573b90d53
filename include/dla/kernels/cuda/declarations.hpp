// SPDX-License-Identifier: MIT
// Every kernel that runs on a CUDA device, as the host, nvcc and NVRTC see it. They are launched through the handles of launch.hpp, never called. What each
// does stands at its definition, in the .cuh of the same topic.
#pragma once

#include <dla/core/config.hpp>
#include <dla/kernels/types.hpp>

namespace dla {

namespace cuda {

/// Channels of a tensor [outer, channels, inner] and how their sums are cut: `lanes` neighbouring channels to a block (1 where inner > 1), and the
/// outer * inner values of each in `chunks` pieces of `items`. All of it follows from the sizes.
struct ChannelCut {
    index_t outer = 0, channels = 0, inner = 1, items = 0;
    int lanes = 32, chunks = 1;

    constexpr index_t values() const { return outer * inner; }
};

/// What a block adds up of a loss.
struct LossPart {
    double loss = 0, weight = 0;  ///< weight: of rows with class numbers, their class weights
    std::int64_t correct = 0, counted = 0;
    std::int64_t bad = -1;  ///< first value of a target that is not finite
};

}  // namespace cuda

// C names, so that they can be found by name in what NVRTC makes.
extern "C" {

// eltwise.cuh
DLA_GLOBAL void dla_cuda_activation_forward(Activation kind, ActivationOptions options, index_t n, const float* x, float* y);
DLA_GLOBAL void dla_cuda_activation_backward(Activation kind, ActivationOptions options, index_t n, const float* read, const float* dy, float* dx);
DLA_GLOBAL void dla_cuda_add(index_t n, const float* a, const float* b, float* y);
DLA_GLOBAL void dla_cuda_add_relu(index_t n, const float* a, const float* b, float* y, std::uint32_t* mask);
DLA_GLOBAL void dla_cuda_relu_mask_backward(index_t n, const std::uint32_t* mask, const float* dy, float* dx);
DLA_GLOBAL void dla_cuda_fill(index_t n, float value, float* y);
DLA_GLOBAL void dla_cuda_transpose(index_t count, index_t rows, index_t columns, const float* x, float* y);
DLA_GLOBAL void dla_cuda_dropout(index_t n, double probability, const RandomPosition* at, std::uint32_t stream, const float* x, float* y, index_t first);
DLA_GLOBAL void dla_cuda_prelu_forward(NormDims d, const float* x, const float* w, float* y);
DLA_GLOBAL void dla_cuda_prelu_sums(cuda::ChannelCut cut, const float* x, const float* dy, double* parts);
DLA_GLOBAL void dla_cuda_prelu_backward(NormDims d, const float* x, const float* w, const float* dy, float* dx);

// merge.cuh
DLA_GLOBAL void dla_cuda_copy_columns(index_t rows, index_t columns, const float* x, index_t x_stride, float* y, index_t y_stride);
DLA_GLOBAL void dla_cuda_scale_channels(index_t batch, index_t pixels, index_t channels, const float* x, const float* factor, float* y);
DLA_GLOBAL void dla_cuda_scale_channels_backward(index_t batch, index_t pixels, index_t channels, const float* x, const float* dy, float* dfactor);

// gemm.cuh, conv2d.cuh
DLA_GLOBAL void dla_cuda_bias_rows(index_t rows, index_t columns, float beta, const float* bias, float* y);
DLA_GLOBAL void dla_cuda_conv2d_forward(Conv2dDims d, const float* x, const float* w, const float* bias, float* y);
DLA_GLOBAL void dla_cuda_conv2d_backward_data(Conv2dDims d, const float* dy, const float* w, float* dx);
DLA_GLOBAL void dla_cuda_conv2d_backward_weights(Conv2dDims d, const float* x, const float* dy, float* dw);

// pool.cuh, resize.cuh
DLA_GLOBAL void dla_cuda_max_pool2d_forward(Pool2dDims d, const float* x, float* y, std::int32_t* argmax);
DLA_GLOBAL void dla_cuda_max_pool2d_backward(Pool2dDims d, const float* dy, const std::int32_t* argmax, float* dx);
DLA_GLOBAL void dla_cuda_avg_pool2d_forward(Pool2dDims d, const float* x, float* y);
DLA_GLOBAL void dla_cuda_avg_pool2d_backward(Pool2dDims d, const float* dy, float* dx);
DLA_GLOBAL void dla_cuda_upsample2d_forward(Resize2dDims d, Interpolation mode, bool align_corners, const float* x, float* y);
DLA_GLOBAL void dla_cuda_upsample2d_backward(Resize2dDims d, Interpolation mode, bool align_corners, const float* dy, float* dx);
DLA_GLOBAL void dla_cuda_adaptive_avg_pool2d_forward(Resize2dDims d, const float* x, float* y);
DLA_GLOBAL void dla_cuda_adaptive_avg_pool2d_backward(Resize2dDims d, const float* dy, float* dx);
DLA_GLOBAL void dla_cuda_zero_pad2d(Resize2dDims d, index_t top, index_t left, const float* x, float* y);

// norm.cuh
DLA_GLOBAL void dla_cuda_batch_norm_moments(cuda::ChannelCut cut, const float* x, std::int64_t* tracked, double* parts);
DLA_GLOBAL void dla_cuda_batch_norm_finish(cuda::ChannelCut cut, double eps, double momentum, const float* x, const double* parts, float* running_mean,
                                           float* running_var, const std::int64_t* tracked, float* mean, float* invstd);
DLA_GLOBAL void dla_cuda_batch_norm_apply(NormDims d, const float* x, const float* w, const float* b, const float* mean, const float* invstd, float* y);
DLA_GLOBAL void dla_cuda_batch_norm_infer(NormDims d, double eps, const float* x, const float* w, const float* b, const float* running_mean,
                                          const float* running_var, float* y);
DLA_GLOBAL void dla_cuda_batch_norm_slopes(cuda::ChannelCut cut, const float* x, const float* mean, const float* dy, double* parts);
DLA_GLOBAL void dla_cuda_batch_norm_gradients(cuda::ChannelCut cut, double eps, const float* invstd, const float* var, double* parts, float* dw, float* db);
DLA_GLOBAL void dla_cuda_batch_norm_backward(cuda::ChannelCut cut, const float* x, const float* w, const float* mean, const float* invstd, const double* sums,
                                             const float* dy, float* dx);
DLA_GLOBAL void dla_cuda_batch_norm_infer_backward(NormDims d, double eps, const float* w, const float* var, const float* dy, float* dx);
DLA_GLOBAL void dla_cuda_layer_norm_forward(index_t rows, index_t columns, double eps, const float* x, const float* w, const float* b, float* y, float* mean,
                                            float* invstd);
DLA_GLOBAL void dla_cuda_layer_norm_slopes(cuda::ChannelCut cut, const float* x, const float* mean, const float* invstd, const float* dy, double* parts);
DLA_GLOBAL void dla_cuda_layer_norm_backward(index_t rows, index_t columns, const float* x, const float* w, const float* mean, const float* invstd,
                                             const float* dy, float* dx);

// group_norm.cuh
DLA_GLOBAL void dla_cuda_group_norm_forward(GroupNormDims d, double eps, const float* x, const float* w, const float* b, float* y, float* mean, float* invstd);
DLA_GLOBAL void dla_cuda_group_norm_slopes(GroupNormDims d, cuda::ChannelCut cut, const float* x, const float* mean, const float* invstd, const float* dy,
                                           double* parts);
DLA_GLOBAL void dla_cuda_group_norm_backward(GroupNormDims d, const float* x, const float* w, const float* mean, const float* invstd, const float* dy,
                                             float* dx);

// softmax.cuh
DLA_GLOBAL void dla_cuda_softmax_forward(NormDims d, int lanes, bool logarithm, const float* x, float* y);
DLA_GLOBAL void dla_cuda_softmax_backward(NormDims d, int lanes, bool logarithm, const float* y, const float* dy, float* dx);
DLA_GLOBAL void dla_cuda_label_weights(CrossEntropyDims d, const std::int32_t* labels, const float* class_weights, LossResult* whole);
DLA_GLOBAL void dla_cuda_cross_entropy(CrossEntropyDims d, int lanes, const float* logits, const std::int32_t* labels, const float* class_weights,
                                       const LossResult* whole, cuda::LossPart* parts, float* dlogits);
DLA_GLOBAL void dla_cuda_cross_entropy_finish(CrossEntropyDims d, index_t count, const cuda::LossPart* parts, const LossResult* whole, LossResult* result);
DLA_GLOBAL void dla_cuda_cross_entropy_soft(CrossEntropyDims d, int lanes, const float* logits, const float* targets, const float* class_weights,
                                            cuda::LossPart* parts, float* dlogits);

// reduce.cuh
DLA_GLOBAL void dla_cuda_column_sums(cuda::ChannelCut cut, const float* x, double* parts);
DLA_GLOBAL void dla_cuda_add_parts(index_t columns, int chunks, const double* parts, float* y);
DLA_GLOBAL void dla_cuda_squares(index_t n, const float* x, double* parts);
DLA_GLOBAL void dla_cuda_add_up(index_t count, const double* parts, double* sum);
DLA_GLOBAL void dla_cuda_element_loss(ElementLossDims d, const float* x, const float* targets, const float* pos_weight, cuda::LossPart* parts, float* gradient);
DLA_GLOBAL void dla_cuda_loss_finish(ElementLossDims d, index_t count, index_t counted, const cuda::LossPart* parts, LossResult* result);
DLA_GLOBAL void dla_cuda_zero_if_bad(index_t n, const LossResult* result, float* gradient);

// optim.cuh, step.cuh
DLA_GLOBAL void dla_cuda_begin_sgd_step(const SgdScalars* settings, const StepReport* report, std::int64_t* steps, SgdScalars* scalars);
DLA_GLOBAL void dla_cuda_begin_adam_step(const AdamScalars* settings, const StepReport* report, std::int64_t* steps, AdamScalars* scalars);
DLA_GLOBAL void dla_cuda_begin_muon_step(const MuonScalars* settings, const StepReport* report, std::int64_t* steps, MuonScalars* scalars);
DLA_GLOBAL void dla_cuda_sgd_step(index_t n, const SgdScalars* sgd, float* value, const float* grad, float* velocity);
DLA_GLOBAL void dla_cuda_adam_step(index_t n, const AdamScalars* adam, float* value, const float* grad, float* m, float* v);
DLA_GLOBAL void dla_cuda_muon_direction(index_t n, const MuonScalars* muon, const float* grad, float* velocity, float* direction);
DLA_GLOBAL void dla_cuda_divide_by_norm(index_t n, const double* squares, double eps, float* x);
DLA_GLOBAL void dla_cuda_muon_update(index_t n, const MuonScalars* muon, const float* direction, float* value);
DLA_GLOBAL void dla_cuda_clip_scale(index_t n, const double* squares, double max_norm, float* value);
DLA_GLOBAL void dla_cuda_join_losses(const LossResult* from, LossResult* to);
DLA_GLOBAL void dla_cuda_scale(index_t n, float factor, float* x);
DLA_GLOBAL void dla_cuda_decide_step(index_t count, const double* squares, double* total, RandomPosition* position, StepReport* report);
DLA_GLOBAL void dla_cuda_restore_unless_applied(const StepReport* report, index_t bytes, const unsigned char* from, unsigned char* to);

}  // extern "C"

}  // namespace dla
