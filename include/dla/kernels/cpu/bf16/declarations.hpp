// SPDX-License-Identifier: MIT
// The kernels that Cpu<bf16> has of its own; what they do is said in kernels/contract.hpp. The others are Reference<bf16>'s.
#pragma once

#include <dla/kernels/reference.hpp>

namespace dla {

// gemm.hpp; B of weights gives activations, of activations masters
DLA_ONCE index_t gemm_scratch(const Cpu<bf16>&, const GemmDims& d);
DLA_ONCE void gemm(const Cpu<bf16>& p, std::byte* scratch, const GemmDims& d, const bf16* a, const bf16* b, const bf16* bias, float beta, bf16* c);
DLA_ONCE void gemm(const Cpu<bf16>& p, std::byte* scratch, const GemmDims& d, const bf16* a, const bf16* b, const bf16* bias, float beta, float* c);

// images.hpp, norm.hpp, eltwise.hpp
DLA_ONCE index_t conv2d_forward_scratch(const Cpu<bf16>& p, const Conv2dDims& d);
DLA_ONCE index_t conv2d_backward_data_scratch(const Cpu<bf16>& p, const Conv2dDims& d);
DLA_ONCE index_t conv2d_backward_weights_scratch(const Cpu<bf16>& p, const Conv2dDims& d);
DLA_ONCE void conv2d_forward(const Cpu<bf16>& p, std::byte* scratch, const Conv2dDims& d, const bf16* x, const bf16* w, const bf16* bias, bf16* y);
DLA_ONCE void conv2d_backward_data(const Cpu<bf16>& p, std::byte* scratch, const Conv2dDims& d, const bf16* dy, const bf16* w, bf16* dx);
DLA_ONCE void conv2d_backward_weights(const Cpu<bf16>& p, std::byte* scratch, const Conv2dDims& d, const bf16* x, const bf16* dy, float* dw, float* dbias);
DLA_ONCE void max_pool2d_forward(const Cpu<bf16>& p, const Pool2dDims& d, const bf16* x, bf16* y, std::int32_t* argmax);
DLA_ONCE void max_pool2d_backward(const Cpu<bf16>& p, const Pool2dDims& d, const bf16* dy, const std::int32_t* argmax, bf16* dx);
DLA_ONCE void avg_pool2d_forward(const Cpu<bf16>& p, const Pool2dDims& d, const bf16* x, bf16* y);
DLA_ONCE void avg_pool2d_backward(const Cpu<bf16>& p, const Pool2dDims& d, const bf16* dy, bf16* dx);
DLA_ONCE index_t batch_norm_scratch(const Cpu<bf16>& p, const NormDims& d);
DLA_ONCE void batch_norm_forward(const Cpu<bf16>& p, std::byte* scratch, const NormDims& d, double eps, double momentum, const bf16* x, const float* w,
                                 const float* b, float* running_mean, float* running_var, std::int64_t* tracked, bf16* y, float* mean, float* invstd);
DLA_ONCE void batch_norm_infer(const Cpu<bf16>& p, const NormDims& d, double eps, const bf16* x, const float* w, const float* b, const float* running_mean,
                               const float* running_var, bf16* y);
DLA_ONCE void batch_norm_backward(const Cpu<bf16>& p, std::byte* scratch, const NormDims& d, const bf16* x, const float* w, const float* mean,
                                  const float* invstd, const bf16* dy, bf16* dx, float* dw, float* db);
DLA_ONCE void batch_norm_infer_backward(const Cpu<bf16>& p, std::byte* scratch, const NormDims& d, double eps, const bf16* x, const float* w,
                                        const float* running_mean, const float* running_var, const bf16* dy, bf16* dx, float* dw, float* db);
DLA_ONCE void layer_norm_forward(const Cpu<bf16>& p, index_t rows, index_t columns, double eps, const bf16* x, const float* w, const float* b, bf16* y,
                                 float* mean, float* invstd);
DLA_ONCE void layer_norm_backward(const Cpu<bf16>& p, std::byte* scratch, index_t rows, index_t columns, const bf16* x, const float* w, const float* mean,
                                  const float* invstd, const bf16* dy, bf16* dx, float* dw, float* db);
DLA_ONCE void activation_forward(const Cpu<bf16>& p, Activation kind, const ActivationOptions& options, index_t n, const bf16* x, bf16* y);
DLA_ONCE void activation_backward(const Cpu<bf16>& p, Activation kind, const ActivationOptions& options, index_t n, const bf16* x, const bf16* y,
                                  const bf16* dy, bf16* dx);
DLA_ONCE index_t prelu_scratch(const Cpu<bf16>& p, const NormDims& d);
DLA_ONCE void prelu_forward(const Cpu<bf16>& p, const NormDims& d, const bf16* x, const float* w, bf16* y);
DLA_ONCE void prelu_backward(const Cpu<bf16>& p, std::byte* scratch, const NormDims& d, const bf16* x, const float* w, const bf16* dy, bf16* dx, float* dw);
DLA_ONCE void add(const Cpu<bf16>& p, index_t n, const bf16* a, const bf16* b, bf16* y);
DLA_ONCE void add_relu(const Cpu<bf16>& p, index_t n, const bf16* a, const bf16* b, bf16* y, std::uint32_t* mask);
DLA_ONCE void relu_mask_backward(const Cpu<bf16>& p, index_t n, const std::uint32_t* mask, const bf16* dy, bf16* dx);
DLA_ONCE void copy(const Cpu<bf16>& p, index_t n, const bf16* x, bf16* y);
DLA_ONCE void dropout(const Cpu<bf16>& p, index_t n, double probability, const RandomPosition* at, std::uint32_t stream, const bf16* x, bf16* y,
                      index_t first = 0);
DLA_ONCE void cast(const Cpu<bf16>& p, index_t n, const float* from, bf16* to);
DLA_ONCE index_t column_sum_scratch(const Cpu<bf16>& p, index_t rows, index_t columns);
DLA_ONCE void column_sum(const Cpu<bf16>& p, std::byte* scratch, index_t rows, index_t columns, const bf16* x, float* y);
DLA_ONCE void fill(const Cpu<bf16>& p, index_t n, float value, float* y);
DLA_ONCE void accumulate(const Cpu<bf16>& p, index_t n, const float* from, float* to);
DLA_ONCE index_t sum_of_squares_scratch(const Cpu<bf16>& p, index_t n);
DLA_ONCE void sum_of_squares(const Cpu<bf16>& p, std::byte* scratch, index_t n, const float* x, double* sum);
DLA_ONCE void sgd_step(const Cpu<bf16>& p, index_t n, const SgdScalars* sgd, float* value, const float* grad, float* velocity);
DLA_ONCE void adam_step(const Cpu<bf16>& p, index_t n, const AdamScalars* adam, float* value, const float* grad, float* m, float* v);
DLA_ONCE void clip_scale(const Cpu<bf16>& p, index_t n, const double* squares, double max_norm, float* value);

}  // namespace dla
