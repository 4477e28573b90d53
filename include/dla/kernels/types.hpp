// SPDX-License-Identifier: MIT
// Sizes and options that kernels take, on any device: run-time integers and enums, never network types.
#pragma once

#include <dla/core/index.hpp>
#include <dla/core/random_block.hpp>

namespace dla {

/// C [m, n] = op(A) [m, k] * op(B) [k, n]; a transposed operand is stored [k, m] or [n, k]. All matrices dense and row-major.
struct GemmDims {
    index_t m = 0, n = 0, k = 0;
    bool transpose_a = false, transpose_b = false;
};

/// One fully connected layer: x [rows, in], w [out, in], y [rows, out].
struct LinearDims {
    index_t rows = 0, in = 0, out = 0;

    constexpr GemmDims forward() const { return {.m = rows, .n = out, .k = in, .transpose_a = false, .transpose_b = true}; }
    constexpr GemmDims backward_data() const { return {.m = rows, .n = in, .k = out, .transpose_a = false, .transpose_b = false}; }
    constexpr GemmDims backward_weights() const { return {.m = out, .n = in, .k = rows, .transpose_a = true, .transpose_b = false}; }
};

/// One 2-d convolution. x [batch, height, width, in_channels], w [out_channels, kernel_h, kernel_w, in_channels / groups],
/// y [batch, out_height, out_width, out_channels].
struct Conv2dDims {
    index_t batch = 0, height = 0, width = 0, in_channels = 0, out_channels = 0;
    index_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
    index_t pad_top = 0, pad_left = 0;  ///< zeros before the first row and column; what lies behind follows from the output size
    index_t out_height = 0, out_width = 0, groups = 1;

    /// One channel in a group, in and out.
    constexpr bool is_depthwise() const { return groups > 1 && groups == in_channels && groups == out_channels; }
};

/// One 2-d pooling. x [batch, height, width, channels], y [batch, out_height, out_width, channels].
struct Pool2dDims {
    index_t batch = 0, height = 0, width = 0, channels = 0;
    index_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
    index_t pad_h = 0, pad_w = 0, out_height = 0, out_width = 0;
    bool count_include_pad = true;  ///< average only
    index_t divisor_override = 0;   ///< average only; 0: number of elements of the window
};

/// Images that become images of another size. x [batch, height, width, channels], y [batch, out_height, out_width, channels].
struct Resize2dDims {
    index_t batch = 0, height = 0, width = 0, channels = 0, out_height = 0, out_width = 0;
};

/// How an enlarged image gets the values between those that it was made of: the nearest, or linearly from the two around in either direction.
enum class Interpolation { nearest, bilinear };

/// A tensor seen as [outer, channels, inner]; inner = 1 when the channels are contiguous.
struct NormDims {
    index_t outer = 0, channels = 0, inner = 1;
};

/// Groups of neighbouring channels, each normalised over all positions of a sample. x [batch, positions, channels], as images lie, or with channels_first
/// [batch, channels, positions].
struct GroupNormDims {
    index_t batch = 0, channels = 0, positions = 1, groups = 1;
    bool channels_first = false;

    constexpr index_t group_channels() const { return channels / groups; }
    constexpr index_t group_values() const { return channels / groups * positions; }
};

/// Words of the mask that `add_relu` keeps of n values: a bit for each value, in an order that is the kernels' own, the same on every instruction set.
constexpr index_t relu_mask_words(index_t n) { return (n + 511) / 512 * 16; }

/// Rows of channels, pixels of images or samples alone, that are normalised; then ReLU, then the largest of each 2 x 2 values (pool, only behind a ReLU).
struct NormRowsDims {
    index_t images = 0, height = 1, width = 1, channels = 0;
    bool relu = false, pool = false;

    constexpr NormDims norm() const { return {.outer = images * height * width, .channels = channels}; }
};
/// A convolution and what follows it.
struct ConvNormDims {
    Conv2dDims conv;
    bool relu = false, pool = false;

    constexpr NormRowsDims rows() const {
        return {.images = conv.batch, .height = conv.out_height, .width = conv.out_width, .channels = conv.out_channels, .relu = relu, .pool = pool};
    }
};
/// A fully connected layer and what follows it.
struct LinearNormDims {
    LinearDims linear;
    bool relu = false;

    constexpr NormRowsDims rows() const { return {.images = linear.rows, .channels = linear.out, .relu = relu}; }
};

/// The functions that Pointwise applies.
enum class Activation { relu, leaky_relu, gelu, gelu_tanh, silu, sigmoid, tanh, elu, softplus, hardswish };
/// An activation that the compiler knows: a policy may compile the ones that are used, and no others. To all others it is the Activation.
template <Activation Kind>
struct ActivationIs {
    constexpr operator Activation() const { return Kind; }
};

/// Numbers of an activation; a plain number is the first.
struct ActivationOptions {
    double value = 0;  ///< leaky_relu: slope; elu: alpha; softplus: beta
    double threshold;  ///< softplus: y = x where beta * x is above it
    constexpr ActivationOptions(double v = 0, double above = 20) : value(v), threshold(above) {}
};

/// Options of cross-entropy; `labels` are class numbers, rows whose label is ignore_index do not count.
struct CrossEntropyDims {
    index_t rows = 0, classes = 0;
    double label_smoothing = 0;
    std::int32_t ignore_index = -100;
    bool mean = true;        ///< divide by the summed class weights of the rows that count; false: plain sum
    index_t total_rows = 0;  ///< soft targets only: what a mean divides by, if these are some rows of more; 0: rows
    index_t first_row = 0;   ///< soft targets only: number in the batch of the first of these rows
};

/// Losses of one output x with target t; d = x - t (PyTorch's MSELoss, L1Loss, HuberLoss, SmoothL1Loss, BCEWithLogitsLoss).
enum class ElementLoss {
    squared,         ///< d^2
    absolute,        ///< |d|
    huber,           ///< |d| < delta ? d^2 / 2 : delta (|d| - delta / 2)
    smooth_l1,       ///< |d| < beta ? d^2 / (2 beta) : |d| - beta / 2
    bce_with_logits  ///< -(w t log(s) + (1 - t) log(1 - s)), s = sigmoid(x), with a weight w
};

/// A loss of each output alone, added up: x, targets [rows, outputs].
struct ElementLossDims {
    ElementLoss kind = ElementLoss::squared;
    index_t rows = 0, outputs = 0;
    double bend = 1;        ///< huber: delta; smooth_l1: beta; above 0
    double divisor = 1;     ///< of sum and gradient: for a mean the number of all values
    index_t weights = 0;    ///< bce_with_logits: value i of a row has weight i % weights; 0: all have 1
    index_t first_row = 0;  ///< the first of these rows, among those of the whole batch

    constexpr index_t size() const { return rows * outputs; }
};

/// What a loss kernel reports. Lives in the policy's memory until somebody asks.
struct LossResult {
    double loss = 0;            ///< the loss, reduced as asked
    double weight = 0;          ///< what a mean was divided by
    std::int64_t correct = 0;   ///< rows whose largest logit is the label (first of equals)
    std::int64_t counted = 0;   ///< rows that were not ignored
    std::int64_t bad_row = -1;  ///< first row whose label is out of range, or with a target that is not finite, or -1; then nothing else is valid
    std::int64_t bad_label = 0;  ///< its label, or which of its targets
};

/// What a training step reports. Lives in the policy's memory until somebody asks.
struct StepReport {
    LossResult loss;
    double gradient_norm = 0;  ///< global L2 norm before clipping; 0 when nobody asked for it
    std::int64_t applied = 0;  ///< 1: the step was taken; 0: refused, the model is as it was
    std::int64_t refused = 0;  ///< steps of the model that were refused so far; as `finish_step` gives it, since it was last called
    RandomPosition position;   ///< of the next step
};

/// Numbers of one SGD step (torch.optim.SGD): g += weight_decay * p; v = first ? g : momentum * v + (1 - dampening) * g;
/// d = nesterov ? g + momentum * v : v; p -= learning_rate * d. momentum = 0: d = g and v is not touched.
struct SgdScalars {
    double learning_rate = 0, momentum = 0, dampening = 0, weight_decay = 0;
    bool nesterov = false, first = false;
    bool skip = false;  ///< the step was refused: change nothing
    bool operator==(const SgdScalars&) const = default;
};

/// Numbers of one Adam step (torch.optim.Adam, AdamW when decoupled): p -= learning_rate / correction1 * m / (sqrt(v) / sqrt(correction2) + eps)
/// with correction_i = 1 - beta_i^t. weight_decay: added to the gradient, or, decoupled, p *= 1 - learning_rate * weight_decay first.
struct AdamScalars {
    double learning_rate = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
    double correction1 = 1, correction2 = 1;
    bool decoupled = false;
    bool skip = false;  ///< the step was refused: change nothing
    bool operator==(const AdamScalars&) const = default;
};

/// Numbers of one Muon step of a matrix (torch.optim.Muon): v += (1 - momentum) (g - v); d = nesterov ? g + momentum (v - g) : v;
/// p *= 1 - learning_rate weight_decay; p -= learning_rate factor O, with O what `orthogonalize` makes of d.
struct MuonScalars {
    double learning_rate = 0, factor = 1, momentum = 0.95, weight_decay = 0;
    bool nesterov = true;
    bool skip = false;  ///< the step was refused: change nothing
    bool operator==(const MuonScalars&) const = default;
};

/// Bytes that optimizers take of a policy's memory for a model: moments and velocities, and what their kernels are told.
struct OptimizerBytes {
    static constexpr index_t settings = 128, control_of_run = 2 * settings + 64;  ///< for each run of parameters treated alike
    index_t slots = 0, control = 0;
};

}  // namespace dla
