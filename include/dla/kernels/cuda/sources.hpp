// SPDX-License-Identifier: MIT
// The device code as text, for NVRTC; written by scripts/embed_device_code.py.
#pragma once

namespace dla::cuda {

/// A file as `#include` names it.
struct Source {
    const char* name;
    const char* text;
};

inline constexpr Source device_sources[] = {
    {"array", R"cuda(#pragma once
namespace std {
template <class T, decltype(sizeof(0)) N>
struct array {
    T values[N];
    constexpr T& operator[](decltype(sizeof(0)) i) { return values[i]; }
    constexpr const T& operator[](decltype(sizeof(0)) i) const { return values[i]; }
};
}
)cuda"},
    {"cmath", R"cuda(#pragma once
#define HUGE_VALF __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fc00000)
namespace std {
using ::erfc;
using ::exp;
using ::expm1;
using ::log;
using ::log1p;
using ::pow;
using ::sqrt;
using ::tanh;
}
)cuda"},
    {"cstdint", R"cuda(#pragma once
namespace std {
using int8_t = signed char;
using uint8_t = unsigned char;
using int32_t = int;
using uint32_t = unsigned;
using int64_t = long;
using uint64_t = unsigned long;
}
)cuda"},
    {"dla/core/begin_exact.inl.hpp", R"cuda(#if defined(__clang__)
#pragma float_control(push)
#pragma float_control(precise, on)
#elif defined(__GNUC__)
#pragma GCC push_options
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#pragma GCC optimize("no-fast-math")
#endif
#endif
)cuda"},
    {"dla/core/config.hpp", R"cuda(#pragma once
#if !defined(__cplusplus) || __cplusplus < 202002L
#error "dla needs C++20: compile with -std=c++20 (Meson: cpp_std=c++20) and g++ >= 12 or clang >= 16"
#endif
#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "dla: NaN and infinity must be noticed; add -fno-finite-math-only behind -ffast-math, -Ofast or -ffinite-math-only"
#endif
#if defined(DLA_KERNELS_EXTERN) && defined(DLA_KERNELS_IMPLEMENT)
#error "dla: DLA_KERNELS_EXTERN and DLA_KERNELS_IMPLEMENT exclude each other; exactly one unit of a program implements"
#endif
#if defined(DLA_KERNELS_EXTERN)
#define DLA_BODIES 0
#define DLA_ONCE
#define DLA_TEMPLATE_ONCE(...) extern template __VA_ARGS__;
#elif defined(DLA_KERNELS_IMPLEMENT)
#define DLA_BODIES 1
#define DLA_ONCE
#define DLA_TEMPLATE_ONCE(...) template __VA_ARGS__;
#else
#define DLA_BODIES 1
#define DLA_ONCE inline
#define DLA_TEMPLATE_ONCE(...)
#endif
#if defined(__CUDACC__)
#define DLA_ANYWHERE __host__ __device__
#define DLA_GLOBAL __global__
#else
#define DLA_ANYWHERE
#define DLA_GLOBAL
#endif
#if defined(__CUDACC__)
#define DLA_ROLLED _Pragma("unroll 1")
#else
#define DLA_ROLLED
#endif
#if !defined(DLA_NO_SIMD) && !(defined(__x86_64__) && defined(__GNUC__))
#define DLA_NO_SIMD
#endif
#if !defined(DLA_NO_THREADS)
#define DLA_THREADS 1
#else
#define DLA_THREADS 0
#endif
#define DLA_TAG_JOIN(simd, threads, math, target) abi_##simd##_##threads##_##math##_##target
#define DLA_TAG_EXPAND(simd, threads, math, target) DLA_TAG_JOIN(simd, threads, math, target)
#if defined(DLA_NO_SIMD)
#define DLA_TAG_SIMD base
#else
#define DLA_TAG_SIMD simd
#endif
#if DLA_THREADS
#define DLA_TAG_THREADS threads
#else
#define DLA_TAG_THREADS serial
#endif
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__) || defined(__NO_MATH_ERRNO__)
#define DLA_TAG_MATH fast
#else
#define DLA_TAG_MATH exact
#endif
#if defined(__AVX512F__)
#define DLA_TAG_TARGET avx512
#elif defined(__FMA__)
#define DLA_TAG_TARGET fma
#elif defined(__AVX__)
#define DLA_TAG_TARGET avx
#elif defined(__SSE4_1__)
#define DLA_TAG_TARGET sse4
#else
#define DLA_TAG_TARGET plain
#endif
#define DLA_ABI_TAG DLA_TAG_EXPAND(DLA_TAG_SIMD, DLA_TAG_THREADS, DLA_TAG_MATH, DLA_TAG_TARGET)
#if defined(DLA_CUDA_KERNELS_EXTERN)
#define DLA_CUDA_TAG abi_cuda_object
#else
#define DLA_CUDA_TAG abi_cuda_nvrtc
#endif
#if defined(DLA_HAVE_ZLIB)
#define DLA_ZLIB_TAG abi_zlib
#else
#define DLA_ZLIB_TAG abi_no_zlib
#endif
#if defined(DLA_HAVE_PNG)
#define DLA_PNG_TAG abi_png
#else
#define DLA_PNG_TAG abi_no_png
#endif
#if defined(DLA_HAVE_JPEG)
#define DLA_JPEG_TAG abi_jpeg
#else
#define DLA_JPEG_TAG abi_no_jpeg
#endif
)cuda"},
    {"dla/core/end_exact.inl.hpp", R"cuda(#if defined(__clang__)
#pragma float_control(pop)
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
)cuda"},
    {"dla/core/index.hpp", R"cuda(#pragma once
#include <dla/core/config.hpp>
#include <cstdint>
namespace dla {
using index_t = std::int64_t;
}
)cuda"},
    {"dla/core/random_block.hpp", R"cuda(#pragma once
#include <array>
#include <cstdint>
namespace dla {
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * counter[0];
        const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * counter[2];
        counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
                   static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    return counter;
}
struct RandomPosition {
    std::uint64_t seed = 0;
    std::uint32_t epoch = 0;
    std::uint32_t step = 0;
    constexpr bool operator==(const RandomPosition&) const = default;
};
constexpr std::array<std::uint32_t, 4> random_block(const RandomPosition& at, std::uint32_t stream, std::uint32_t block) {
    return philox4x32({stream, at.epoch, at.step, block}, {static_cast<std::uint32_t>(at.seed), static_cast<std::uint32_t>(at.seed >> 32)});
}
constexpr float to_unit_float(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }
}
)cuda"},
    {"dla/kernels/cuda/all.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/conv2d.cuh>
#include <dla/kernels/cuda/eltwise.cuh>
#include <dla/kernels/cuda/gemm.cuh>
#include <dla/kernels/cuda/group_norm.cuh>
#include <dla/kernels/cuda/merge.cuh>
#include <dla/kernels/cuda/norm.cuh>
#include <dla/kernels/cuda/optim.cuh>
#include <dla/kernels/cuda/pool.cuh>
#include <dla/kernels/cuda/reduce.cuh>
#include <dla/kernels/cuda/resize.cuh>
#include <dla/kernels/cuda/softmax.cuh>
#include <dla/kernels/cuda/step.cuh>
)cuda"},
    {"dla/kernels/cuda/block.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/declarations.hpp>
#include <dla/kernels/formulas.hpp>
#include <dla/kernels/windows.hpp>
namespace dla::device {
constexpr int block_size = 256;
constexpr unsigned all_lanes = 0xffffffffu;
__device__ inline index_t first() { return static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline index_t stride() { return static_cast<index_t>(gridDim.x) * blockDim.x; }
struct Division {
    index_t quotient, rest;
};
__device__ inline Division divide(index_t a, index_t b) {
    if ((a | b) >> 32 == 0) {
        const unsigned x = static_cast<unsigned>(a), y = static_cast<unsigned>(b), q = x / y;
        return {static_cast<index_t>(q), static_cast<index_t>(x - q * y)};
    }
    Division slow{0, a};
    index_t by = b;
    while (by <= a >> 1) by <<= 1;
    for (; by >= b; by >>= 1) {
        slow.quotient <<= 1;
        if (slow.rest >= by) slow.rest -= by, slow.quotient |= 1;
    }
    return slow;
}
struct Pixel {
    index_t n, h, w, c;
    __device__ Pixel(index_t i, index_t height, index_t width, index_t channels) {
        const Division place = divide(i, channels), row = divide(place.quotient, width), image = divide(row.quotient, height);
        n = image.quotient, h = image.rest, w = row.rest, c = place.rest;
    }
};
__device__ inline index_t channel_of(index_t i, index_t channels, index_t inner) { return divide(inner == 1 ? i : divide(i, inner).quotient, channels).rest; }
__device__ inline double plus(double a, double b) { return a + b; }
__device__ inline std::int64_t plus(std::int64_t a, std::int64_t b) { return a + b; }
__device__ inline std::int64_t earlier(std::int64_t a, std::int64_t b) { return a < 0 ? b : b < 0 ? a : a < b ? a : b; }
template <class T, class Join>
__device__ T block_join(T value, T* room, const Join& join) {
    room[threadIdx.x] = value;
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) room[threadIdx.x] = join(room[threadIdx.x], room[threadIdx.x + half]);
    }
    __syncthreads();
    const T joined = room[0];
    __syncthreads();
    return joined;
}
template <class T>
__device__ T block_sum(T value, T* room) {
    return block_join(value, room, [](T a, T b) { return plus(a, b); });
}
__device__ inline cuda::LossPart block_loss(const cuda::LossPart& mine, double* sums, std::int64_t* counts) {
    cuda::LossPart all;
    all.loss = block_sum(mine.loss, sums);
    all.weight = block_sum(mine.weight, sums);
    all.correct = block_sum(mine.correct, counts);
    all.counted = block_sum(mine.counted, counts);
    all.bad = block_join(mine.bad, counts, [](std::int64_t a, std::int64_t b) { return earlier(a, b); });
    return all;
}
__device__ inline void write_part(const cuda::LossPart& mine, double* sums, std::int64_t* counts, cuda::LossPart* part) {
    const cuda::LossPart all = block_loss(mine, sums, counts);
    if (threadIdx.x == 0) *part = all;
}
__device__ inline cuda::LossPart join_parts(index_t count, const cuda::LossPart* parts, double* sums, std::int64_t* counts) {
    cuda::LossPart mine;
    DLA_ROLLED
    for (index_t i = threadIdx.x; i < count; i += blockDim.x) {
        mine.loss += parts[i].loss;
        mine.weight += parts[i].weight;
        mine.correct += parts[i].correct;
        mine.counted += parts[i].counted;
        mine.bad = earlier(mine.bad, parts[i].bad);
    }
    return block_loss(mine, sums, counts);
}
__device__ inline index_t own_channel(const cuda::ChannelCut& cut) { return static_cast<index_t>(blockIdx.x) * cut.lanes + threadIdx.x % cut.lanes; }
__device__ inline index_t place_of(const cuda::ChannelCut& cut, index_t channel, index_t k) {
    if (cut.inner == 1) return k * cut.channels + channel;
    const Division at = divide(k, cut.inner);
    return (at.quotient * cut.channels + channel) * cut.inner + at.rest;
}
template <int Parts, class F>
__device__ void channel_sums(const cuda::ChannelCut& cut, double* room, double* parts, const F& f) {
    const int row = static_cast<int>(threadIdx.x) / cut.lanes, rows = block_size / cut.lanes;
    const index_t channel = own_channel(cut), begin = static_cast<index_t>(blockIdx.y) * cut.items;
    const index_t end = channel < cut.channels ? detail::least(begin + cut.items, cut.values()) : begin;
    double sums[Parts] = {};
    DLA_ROLLED
    for (index_t k = begin + row; k < end; k += rows) f(place_of(cut, channel, k), sums);
    for (int p = 0; p < Parts; ++p) room[p * block_size + static_cast<int>(threadIdx.x)] = sums[p];
    for (int half = rows / 2; half > 0; half /= 2) {
        __syncthreads();
        if (row < half)
            for (int p = 0; p < Parts; ++p)
                room[p * block_size + static_cast<int>(threadIdx.x)] += room[p * block_size + static_cast<int>(threadIdx.x) + half * cut.lanes];
    }
    if (row == 0 && channel < cut.channels)
        for (int p = 0; p < Parts; ++p)
            parts[(p * cut.chunks + static_cast<index_t>(blockIdx.y)) * cut.channels + channel] = room[p * block_size + static_cast<int>(threadIdx.x)];
}
__device__ inline double sum_of_chunks(index_t channels, int chunks, const double* parts, int part, index_t channel) {
    double sum = 0;
    for (int chunk = 0; chunk < chunks; ++chunk) sum += parts[(static_cast<index_t>(part) * chunks + chunk) * channels + channel];
    return sum;
}
}
)cuda"},
    {"dla/kernels/cuda/conv2d.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/block.cuh>
namespace dla {
extern "C" {
__global__ void __launch_bounds__(256) dla_cuda_conv2d_forward(Conv2dDims d, const float* x, const float* w, const float* bias, float* y) {
    const index_t in_group = d.in_channels / d.groups, out_group = d.out_channels / d.groups, n = d.batch * d.out_height * d.out_width * d.out_channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel out(i, d.out_height, d.out_width, d.out_channels);
        double sum = bias != nullptr ? static_cast<double>(bias[out.c]) : 0.0;
        for (index_t kh = 0; kh < d.kernel_h; ++kh) {
            const index_t ih = out.h * d.stride_h - d.pad_top + kh * d.dilation_h;
            if (ih < 0 || ih >= d.height) continue;
            for (index_t kw = 0; kw < d.kernel_w; ++kw) {
                const index_t iw = out.w * d.stride_w - d.pad_left + kw * d.dilation_w;
                if (iw < 0 || iw >= d.width) continue;
                const float* pixel = x + ((out.n * d.height + ih) * d.width + iw) * d.in_channels + out.c / out_group * in_group;
                const float* tap = w + ((out.c * d.kernel_h + kh) * d.kernel_w + kw) * in_group;
                for (index_t c = 0; c < in_group; ++c) sum += static_cast<double>(pixel[c]) * static_cast<double>(tap[c]);
            }
        }
        y[i] = static_cast<float>(sum);
    }
}
__global__ void __launch_bounds__(256) dla_cuda_conv2d_backward_data(Conv2dDims d, const float* dy, const float* w, float* dx) {
    const index_t in_group = d.in_channels / d.groups, out_group = d.out_channels / d.groups, n = d.batch * d.height * d.width * d.in_channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel in(i, d.height, d.width, d.in_channels);
        const index_t first = in.c / in_group * out_group;
        double sum = 0;
        for (index_t kh = 0; kh < d.kernel_h; ++kh) {
            const index_t top = in.h + d.pad_top - kh * d.dilation_h;
            if (top < 0) continue;
            const device::Division oh = device::divide(top, d.stride_h);
            if (oh.rest != 0 || oh.quotient >= d.out_height) continue;
            for (index_t kw = 0; kw < d.kernel_w; ++kw) {
                const index_t left = in.w + d.pad_left - kw * d.dilation_w;
                if (left < 0) continue;
                const device::Division ow = device::divide(left, d.stride_w);
                if (ow.rest != 0 || ow.quotient >= d.out_width) continue;
                const float* pixel = dy + ((in.n * d.out_height + oh.quotient) * d.out_width + ow.quotient) * d.out_channels;
                for (index_t o = first; o < first + out_group; ++o)
                    sum += static_cast<double>(pixel[o]) * static_cast<double>(w[((o * d.kernel_h + kh) * d.kernel_w + kw) * in_group + in.c % in_group]);
            }
        }
        dx[i] = static_cast<float>(sum);
    }
}
__global__ void __launch_bounds__(256) dla_cuda_conv2d_backward_weights(Conv2dDims d, const float* x, const float* dy, float* dw) {
    __shared__ double room[device::block_size];
    const index_t in_group = d.in_channels / d.groups, out_group = d.out_channels / d.groups, positions = d.batch * d.out_height * d.out_width;
    DLA_ROLLED
    for (index_t i = blockIdx.x; i < d.out_channels * d.kernel_h * d.kernel_w * in_group; i += gridDim.x) {
        const device::Pixel weight(i, d.kernel_h, d.kernel_w, in_group);
        double sum = 0;
        DLA_ROLLED
        for (index_t k = threadIdx.x; k < positions; k += blockDim.x) {
            const device::Pixel out(k, d.out_height, d.out_width, 1);
            const index_t ih = out.h * d.stride_h - d.pad_top + weight.h * d.dilation_h, iw = out.w * d.stride_w - d.pad_left + weight.w * d.dilation_w;
            if (ih < 0 || ih >= d.height || iw < 0 || iw >= d.width) continue;
            sum += static_cast<double>(x[((out.n * d.height + ih) * d.width + iw) * d.in_channels + weight.n / out_group * in_group + weight.c]) *
                   static_cast<double>(dy[k * d.out_channels + weight.n]);
        }
        sum = device::block_sum(sum, room);
        if (threadIdx.x == 0) dw[i] = static_cast<float>(static_cast<double>(dw[i]) + sum);
    }
}
}
}
)cuda"},
    {"dla/kernels/cuda/declarations.hpp", R"cuda(#pragma once
#include <dla/core/config.hpp>
#include <dla/kernels/types.hpp>
namespace dla {
namespace cuda {
struct ChannelCut {
    index_t outer = 0, channels = 0, inner = 1, items = 0;
    int lanes = 32, chunks = 1;
    constexpr index_t values() const { return outer * inner; }
};
struct LossPart {
    double loss = 0, weight = 0;
    std::int64_t correct = 0, counted = 0;
    std::int64_t bad = -1;
};
}
extern "C" {
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
DLA_GLOBAL void dla_cuda_copy_columns(index_t rows, index_t columns, const float* x, index_t x_stride, float* y, index_t y_stride);
DLA_GLOBAL void dla_cuda_scale_channels(index_t batch, index_t pixels, index_t channels, const float* x, const float* factor, float* y);
DLA_GLOBAL void dla_cuda_scale_channels_backward(index_t batch, index_t pixels, index_t channels, const float* x, const float* dy, float* dfactor);
DLA_GLOBAL void dla_cuda_bias_rows(index_t rows, index_t columns, float beta, const float* bias, float* y);
DLA_GLOBAL void dla_cuda_conv2d_forward(Conv2dDims d, const float* x, const float* w, const float* bias, float* y);
DLA_GLOBAL void dla_cuda_conv2d_backward_data(Conv2dDims d, const float* dy, const float* w, float* dx);
DLA_GLOBAL void dla_cuda_conv2d_backward_weights(Conv2dDims d, const float* x, const float* dy, float* dw);
DLA_GLOBAL void dla_cuda_max_pool2d_forward(Pool2dDims d, const float* x, float* y, std::int32_t* argmax);
DLA_GLOBAL void dla_cuda_max_pool2d_backward(Pool2dDims d, const float* dy, const std::int32_t* argmax, float* dx);
DLA_GLOBAL void dla_cuda_avg_pool2d_forward(Pool2dDims d, const float* x, float* y);
DLA_GLOBAL void dla_cuda_avg_pool2d_backward(Pool2dDims d, const float* dy, float* dx);
DLA_GLOBAL void dla_cuda_upsample2d_forward(Resize2dDims d, Interpolation mode, bool align_corners, const float* x, float* y);
DLA_GLOBAL void dla_cuda_upsample2d_backward(Resize2dDims d, Interpolation mode, bool align_corners, const float* dy, float* dx);
DLA_GLOBAL void dla_cuda_adaptive_avg_pool2d_forward(Resize2dDims d, const float* x, float* y);
DLA_GLOBAL void dla_cuda_adaptive_avg_pool2d_backward(Resize2dDims d, const float* dy, float* dx);
DLA_GLOBAL void dla_cuda_zero_pad2d(Resize2dDims d, index_t top, index_t left, const float* x, float* y);
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
DLA_GLOBAL void dla_cuda_group_norm_forward(GroupNormDims d, double eps, const float* x, const float* w, const float* b, float* y, float* mean, float* invstd);
DLA_GLOBAL void dla_cuda_group_norm_slopes(GroupNormDims d, cuda::ChannelCut cut, const float* x, const float* mean, const float* invstd, const float* dy,
                                           double* parts);
DLA_GLOBAL void dla_cuda_group_norm_backward(GroupNormDims d, const float* x, const float* w, const float* mean, const float* invstd, const float* dy,
                                             float* dx);
DLA_GLOBAL void dla_cuda_softmax_forward(NormDims d, int lanes, bool logarithm, const float* x, float* y);
DLA_GLOBAL void dla_cuda_softmax_backward(NormDims d, int lanes, bool logarithm, const float* y, const float* dy, float* dx);
DLA_GLOBAL void dla_cuda_label_weights(CrossEntropyDims d, const std::int32_t* labels, const float* class_weights, LossResult* whole);
DLA_GLOBAL void dla_cuda_cross_entropy(CrossEntropyDims d, int lanes, const float* logits, const std::int32_t* labels, const float* class_weights,
                                       const LossResult* whole, cuda::LossPart* parts, float* dlogits);
DLA_GLOBAL void dla_cuda_cross_entropy_finish(CrossEntropyDims d, index_t count, const cuda::LossPart* parts, const LossResult* whole, LossResult* result);
DLA_GLOBAL void dla_cuda_cross_entropy_soft(CrossEntropyDims d, int lanes, const float* logits, const float* targets, const float* class_weights,
                                            cuda::LossPart* parts, float* dlogits);
DLA_GLOBAL void dla_cuda_column_sums(cuda::ChannelCut cut, const float* x, double* parts);
DLA_GLOBAL void dla_cuda_add_parts(index_t columns, int chunks, const double* parts, float* y);
DLA_GLOBAL void dla_cuda_squares(index_t n, const float* x, double* parts);
DLA_GLOBAL void dla_cuda_add_up(index_t count, const double* parts, double* sum);
DLA_GLOBAL void dla_cuda_element_loss(ElementLossDims d, const float* x, const float* targets, const float* pos_weight, cuda::LossPart* parts, float* gradient);
DLA_GLOBAL void dla_cuda_loss_finish(ElementLossDims d, index_t count, index_t counted, const cuda::LossPart* parts, LossResult* result);
DLA_GLOBAL void dla_cuda_zero_if_bad(index_t n, const LossResult* result, float* gradient);
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
}
}
)cuda"},
    {"dla/kernels/cuda/eltwise.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/block.cuh>
namespace dla {
namespace device {
__device__ inline bool wants_double(Activation kind) { return kind == Activation::gelu || kind == Activation::gelu_tanh; }
}
extern "C" {
__global__ void __launch_bounds__(256) dla_cuda_activation_forward(Activation kind, ActivationOptions options, index_t n, const float* x, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const float value = device::wants_double(kind) ? static_cast<float>(detail::activation(kind, options, static_cast<double>(x[i])))
                                                       : detail::activation(kind, options, x[i]);
        y[i] = kind == Activation::sigmoid && value < 0x1p-126f ? 0.0f : value;
    }
}
__global__ void __launch_bounds__(256)
    dla_cuda_activation_backward(Activation kind, ActivationOptions options, index_t n, const float* read, const float* dy, float* dx) {
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride())
        dx[i] = device::wants_double(kind)
                    ? static_cast<float>(detail::activation_gradient(kind, options, static_cast<double>(read[i]), static_cast<double>(dy[i])))
                    : detail::activation_gradient(kind, options, read[i], dy[i]);
}
__global__ void __launch_bounds__(256) dla_cuda_add(index_t n, const float* a, const float* b, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) y[i] = a[i] + b[i];
}
__global__ void __launch_bounds__(256) dla_cuda_add_relu(index_t n, const float* a, const float* b, float* y, std::uint32_t* mask) {
    DLA_ROLLED
    for (index_t i = device::first(); i - static_cast<index_t>(threadIdx.x % 32) < n; i += device::stride()) {
        const float sum = i < n ? a[i] + b[i] : 0.0f;
        if (i < n) y[i] = sum < 0.0f ? 0.0f : sum;
        const std::uint32_t word = __ballot_sync(device::all_lanes, !(sum <= 0.0f));
        if (mask != nullptr && threadIdx.x % 32 == 0) mask[i / 32] = word;
    }
}
__global__ void __launch_bounds__(256) dla_cuda_relu_mask_backward(index_t n, const std::uint32_t* mask, const float* dy, float* dx) {
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) dx[i] = (mask[i / 32] >> i % 32 & 1) != 0 ? dy[i] : 0.0f;
}
__global__ void __launch_bounds__(256) dla_cuda_fill(index_t n, float value, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) y[i] = value;
}
__global__ void __launch_bounds__(256) dla_cuda_transpose(index_t count, index_t rows, index_t columns, const float* x, float* y) {
    __shared__ float tile[32 * 33];
    const int column = static_cast<int>(threadIdx.x % 32), line = static_cast<int>(threadIdx.x / 32);
    DLA_ROLLED
    for (index_t n = blockIdx.z; n < count; n += gridDim.z) {
        const float* from = x + n * rows * columns;
        float* to = y + n * rows * columns;
        for (index_t top = static_cast<index_t>(blockIdx.y) * 32; top < rows; top += static_cast<index_t>(gridDim.y) * 32) {
            const index_t left = static_cast<index_t>(blockIdx.x) * 32;
            for (int i = line; i < 32; i += 8)
                if (top + i < rows && left + column < columns) tile[i * 33 + column] = from[(top + i) * columns + left + column];
            __syncthreads();
            for (int i = line; i < 32; i += 8)
                if (left + i < columns && top + column < rows) to[(left + i) * rows + top + column] = tile[column * 33 + i];
            __syncthreads();
        }
    }
}
__global__ void __launch_bounds__(256)
    dla_cuda_dropout(index_t n, double probability, const RandomPosition* at, std::uint32_t stream, const float* x, float* y, index_t first) {
    const float kept = static_cast<float>(1.0 - probability);
    const RandomPosition position = *at;
    DLA_ROLLED
    for (index_t block = first / 4 + device::first(); block * 4 < first + n; block += device::stride()) {
        const auto words = random_block(position, stream, static_cast<std::uint32_t>(block));
        for (int word = 0; word < 4; ++word) {
            const index_t i = block * 4 + word - first;
            if (i >= 0 && i < n) y[i] = to_unit_float(words[static_cast<unsigned>(word)]) >= probability ? x[i] / kept : 0.0f;
        }
    }
}
__global__ void __launch_bounds__(256) dla_cuda_prelu_forward(NormDims d, const float* x, const float* w, float* y) {
    const index_t n = d.outer * d.channels * d.inner;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) y[i] = x[i] > 0.0f ? x[i] : w[device::channel_of(i, d.channels, d.inner)] * x[i];
}
__global__ void __launch_bounds__(256) dla_cuda_prelu_sums(cuda::ChannelCut cut, const float* x, const float* dy, double* parts) {
    __shared__ double room[device::block_size];
    device::channel_sums<1>(cut, room, parts, [&](index_t i, double* sums) {
        if (!(x[i] > 0.0f)) sums[0] += static_cast<double>(x[i]) * static_cast<double>(dy[i]);
    });
}
__global__ void __launch_bounds__(256) dla_cuda_prelu_backward(NormDims d, const float* x, const float* w, const float* dy, float* dx) {
    const index_t n = d.outer * d.channels * d.inner;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) dx[i] = x[i] > 0.0f ? dy[i] : w[device::channel_of(i, d.channels, d.inner)] * dy[i];
}
}
}
)cuda"},
    {"dla/kernels/cuda/gemm.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/block.cuh>
namespace dla {
extern "C" {
__global__ void __launch_bounds__(256) dla_cuda_bias_rows(index_t rows, index_t columns, float beta, const float* bias, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < rows * columns; i += device::stride()) {
        float value = beta == 0.0f ? 0.0f : beta == 1.0f ? y[i] : beta * y[i];
        if (bias != nullptr) value += bias[device::divide(i, columns).rest];
        y[i] = value;
    }
}
}
}
)cuda"},
    {"dla/kernels/cuda/group_norm.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/norm.cuh>
namespace dla {
namespace device {
struct GroupPlace {
    index_t at, channel;
    __device__ GroupPlace(const GroupNormDims& d, index_t n, index_t g, index_t k) {
        const index_t width = d.channels_first ? d.positions : d.group_channels();
        const Division place = divide(k, width);
        channel = g * d.group_channels() + (d.channels_first ? place.quotient : place.rest);
        at = d.channels_first ? (n * d.channels + channel) * d.positions + place.rest : (n * d.positions + place.quotient) * d.channels + channel;
    }
};
}
extern "C" {
__global__ void __launch_bounds__(256)
    dla_cuda_group_norm_forward(GroupNormDims d, double eps, const float* x, const float* w, const float* b, float* y, float* mean, float* invstd) {
    __shared__ double room[device::block_size];
    DLA_ROLLED
    for (index_t of = blockIdx.x; of < d.batch * d.groups; of += gridDim.x) {
        const device::Division sample = device::divide(of, d.groups);
        const index_t n = sample.quotient, g = sample.rest;
        const double shift = static_cast<double>(x[device::GroupPlace(d, n, g, 0).at]);
        double sum = 0, squares = 0;
        DLA_ROLLED
        for (index_t k = threadIdx.x; k < d.group_values(); k += blockDim.x) {
            const double distance = static_cast<double>(x[device::GroupPlace(d, n, g, k).at]) - shift;
            sum += distance;
            squares += distance * distance;
        }
        sum = device::block_sum(sum, room);
        squares = device::block_sum(squares, room);
        const device::Moments m(static_cast<double>(d.group_values()), shift, sum, squares, eps);
        const float scale = static_cast<float>(m.invstd);
        DLA_ROLLED
        for (index_t k = threadIdx.x; k < d.group_values(); k += blockDim.x) {
            const device::GroupPlace place(d, n, g, k);
            const float distance = static_cast<float>(static_cast<double>(x[place.at]) - m.mean);
            y[place.at] = distance * scale * device::gain(w, place.channel) + device::shift(b, place.channel);
        }
        if (threadIdx.x == 0 && mean != nullptr) mean[of] = static_cast<float>(m.mean);
        if (threadIdx.x == 0 && invstd != nullptr) invstd[of] = scale;
    }
}
__global__ void __launch_bounds__(256)
    dla_cuda_group_norm_slopes(GroupNormDims d, cuda::ChannelCut cut, const float* x, const float* mean, const float* invstd, const float* dy, double* parts) {
    __shared__ double room[2 * device::block_size];
    const index_t group = device::divide(device::own_channel(cut), d.group_channels()).quotient;
    device::channel_sums<2>(cut, room, parts, [&](index_t i, double* sums) {
        const index_t of = device::divide(i, d.channels * d.positions).quotient * d.groups + group;
        const double slope = static_cast<double>(dy[i]);
        sums[0] += slope;
        sums[1] += slope * ((static_cast<double>(x[i]) - static_cast<double>(mean[of])) * static_cast<double>(invstd[of]));
    });
}
__global__ void __launch_bounds__(256)
    dla_cuda_group_norm_backward(GroupNormDims d, const float* x, const float* w, const float* mean, const float* invstd, const float* dy, float* dx) {
    __shared__ double room[device::block_size];
    DLA_ROLLED
    for (index_t of = blockIdx.x; of < d.batch * d.groups; of += gridDim.x) {
        const device::Division sample = device::divide(of, d.groups);
        const index_t n = sample.quotient, g = sample.rest;
        const float mu = mean[of], scale = invstd[of];
        double sum = 0, product = 0;
        DLA_ROLLED
        for (index_t k = threadIdx.x; k < d.group_values(); k += blockDim.x) {
            const device::GroupPlace place(d, n, g, k);
            const double scaled = static_cast<double>(dy[place.at]) * static_cast<double>(device::gain(w, place.channel));
            sum += scaled;
            product += scaled * (static_cast<double>(x[place.at] - mu) * static_cast<double>(scale));
        }
        sum = device::block_sum(sum, room);
        product = device::block_sum(product, room);
        const double count = static_cast<double>(d.group_values());
        const float of_all = static_cast<float>(sum / count), of_unit = static_cast<float>(product / count);
        DLA_ROLLED
        for (index_t k = threadIdx.x; k < d.group_values(); k += blockDim.x) {
            const device::GroupPlace place(d, n, g, k);
            dx[place.at] = (dy[place.at] * device::gain(w, place.channel) - of_all - (x[place.at] - mu) * scale * of_unit) * scale;
        }
    }
}
}
}
)cuda"},
    {"dla/kernels/cuda/merge.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/block.cuh>
namespace dla {
extern "C" {
__global__ void __launch_bounds__(256) dla_cuda_copy_columns(index_t rows, index_t columns, const float* x, index_t x_stride, float* y, index_t y_stride) {
    DLA_ROLLED
    for (index_t i = device::first(); i < rows * columns; i += device::stride()) {
        const device::Division at = device::divide(i, columns);
        y[at.quotient * y_stride + at.rest] = x[at.quotient * x_stride + at.rest];
    }
}
__global__ void __launch_bounds__(256) dla_cuda_scale_channels(index_t batch, index_t pixels, index_t channels, const float* x, const float* factor, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < batch * pixels * channels; i += device::stride()) {
        const device::Division at = device::divide(i, channels);
        y[i] = x[i] * factor[device::divide(at.quotient, pixels).quotient * channels + at.rest];
    }
}
__global__ void __launch_bounds__(256)
    dla_cuda_scale_channels_backward(index_t batch, index_t pixels, index_t channels, const float* x, const float* dy, float* dfactor) {
    __shared__ double room[device::block_size];
    const index_t channel = static_cast<index_t>(blockIdx.x) * 32 + threadIdx.x % 32;
    const int line = static_cast<int>(threadIdx.x / 32);
    DLA_ROLLED
    for (index_t n = blockIdx.y; n < batch; n += gridDim.y) {
        double sum = 0;
        for (index_t i = line; channel < channels && i < pixels; i += 8) {
            const index_t at = (n * pixels + i) * channels + channel;
            sum += static_cast<double>(x[at]) * static_cast<double>(dy[at]);
        }
        room[threadIdx.x] = sum;
        __syncthreads();
        if (line == 0 && channel < channels) {
            for (int i = 1; i < 8; ++i) sum += room[i * 32 + static_cast<int>(threadIdx.x)];
            dfactor[n * channels + channel] = static_cast<float>(sum);
        }
        __syncthreads();
    }
}
}
}
)cuda"},
    {"dla/kernels/cuda/norm.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/block.cuh>
namespace dla {
namespace device {
struct Moments {
    double mean, squares, invstd;
    __device__ Moments(double n, double shift, double sum, double square_sum, double eps)
        : mean(shift + sum / n), squares(square_sum - sum * (sum / n)), invstd(1) {
        if (squares < 0) squares = 0;
        invstd = 1 / std::sqrt(squares / n + eps);
    }
};
__device__ inline float gain(const float* w, index_t c) { return w != nullptr ? w[c] : 1.0f; }
__device__ inline float shift(const float* b, index_t c) { return b != nullptr ? b[c] : 0.0f; }
}
extern "C" {
__global__ void __launch_bounds__(256) dla_cuda_batch_norm_moments(cuda::ChannelCut cut, const float* x, std::int64_t* tracked, double* parts) {
    __shared__ double room[2 * device::block_size];
    if (tracked != nullptr && blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) ++*tracked;
    const index_t channel = device::own_channel(cut);
    const double shift = channel < cut.channels && cut.values() > 0 ? static_cast<double>(x[device::place_of(cut, channel, 0)]) : 0.0;
    device::channel_sums<2>(cut, room, parts, [&](index_t i, double* sums) {
        const double distance = static_cast<double>(x[i]) - shift;
        sums[0] += distance;
        sums[1] += distance * distance;
    });
}
__global__ void __launch_bounds__(256)
    dla_cuda_batch_norm_finish(cuda::ChannelCut cut, double eps, double momentum, const float* x, const double* parts, float* running_mean, float* running_var,
                               const std::int64_t* tracked, float* mean, float* invstd) {
    const double n = static_cast<double>(cut.values());
    DLA_ROLLED
    for (index_t c = device::first(); c < cut.channels; c += device::stride()) {
        if (cut.values() == 0) {
            mean[c] = invstd[c] = 0;
            continue;
        }
        const device::Moments m(n, static_cast<double>(x[device::place_of(cut, c, 0)]), device::sum_of_chunks(cut.channels, cut.chunks, parts, 0, c),
                                device::sum_of_chunks(cut.channels, cut.chunks, parts, 1, c), eps);
        mean[c] = static_cast<float>(m.mean);
        invstd[c] = static_cast<float>(m.invstd);
        if (running_mean == nullptr) continue;
        const double share = momentum < 0 ? 1.0 / static_cast<double>(*tracked) : momentum;
        running_mean[c] = static_cast<float>((1 - share) * static_cast<double>(running_mean[c]) + share * m.mean);
        running_var[c] = static_cast<float>((1 - share) * static_cast<double>(running_var[c]) + share * (m.squares / (n - 1)));
    }
}
__global__ void __launch_bounds__(256)
    dla_cuda_batch_norm_apply(NormDims d, const float* x, const float* w, const float* b, const float* mean, const float* invstd, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < d.outer * d.channels * d.inner; i += device::stride()) {
        const index_t c = device::channel_of(i, d.channels, d.inner);
        y[i] = (x[i] - mean[c]) * (invstd[c] * device::gain(w, c)) + device::shift(b, c);
    }
}
__global__ void __launch_bounds__(256) dla_cuda_batch_norm_infer(NormDims d, double eps, const float* x, const float* w, const float* b,
                                                                 const float* running_mean, const float* running_var, float* y) {
    DLA_ROLLED
    for (index_t i = device::first(); i < d.outer * d.channels * d.inner; i += device::stride()) {
        const index_t c = device::channel_of(i, d.channels, d.inner);
        const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(running_var[c]) + eps));
        y[i] = (x[i] - running_mean[c]) * (scale * device::gain(w, c)) + device::shift(b, c);
    }
}
__global__ void __launch_bounds__(256) dla_cuda_batch_norm_slopes(cuda::ChannelCut cut, const float* x, const float* mean, const float* dy, double* parts) {
    __shared__ double room[2 * device::block_size];
    const index_t channel = device::own_channel(cut);
    const double mu = channel < cut.channels ? static_cast<double>(mean[channel]) : 0.0;
    device::channel_sums<2>(cut, room, parts, [&](index_t i, double* sums) {
        const double slope = static_cast<double>(dy[i]);
        sums[0] += slope;
        sums[1] += slope * (static_cast<double>(x[i]) - mu);
    });
}
__global__ void __launch_bounds__(256)
    dla_cuda_batch_norm_gradients(cuda::ChannelCut cut, double eps, const float* invstd, const float* var, double* parts, float* dw, float* db) {
    DLA_ROLLED
    for (index_t c = device::first(); c < cut.channels; c += device::stride()) {
        const double sum = device::sum_of_chunks(cut.channels, cut.chunks, parts, 0, c), product = device::sum_of_chunks(cut.channels, cut.chunks, parts, 1, c);
        const double scale = invstd != nullptr ? static_cast<double>(invstd[c]) : var != nullptr ? 1 / std::sqrt(static_cast<double>(var[c]) + eps) : 1.0;
        parts[c] = sum;
        parts[static_cast<index_t>(cut.chunks) * cut.channels + c] = product;
        if (dw != nullptr) dw[c] = static_cast<float>(static_cast<double>(dw[c]) + product * scale);
        if (db != nullptr) db[c] = static_cast<float>(static_cast<double>(db[c]) + sum);
    }
}
__global__ void __launch_bounds__(256) dla_cuda_batch_norm_backward(cuda::ChannelCut cut, const float* x, const float* w, const float* mean,
                                                                    const float* invstd, const double* sums, const float* dy, float* dx) {
    const double n = static_cast<double>(cut.values());
    const double* products = sums + static_cast<index_t>(cut.chunks) * cut.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < cut.values() * cut.channels; i += device::stride()) {
        const index_t c = device::channel_of(i, cut.channels, cut.inner);
        const float scale = invstd[c], of_all = static_cast<float>(sums[c] / n), of_distance = static_cast<float>(products[c] / n) * scale * scale;
        dx[i] = (dy[i] - of_all - (x[i] - mean[c]) * of_distance) * (scale * device::gain(w, c));
    }
}
__global__ void __launch_bounds__(256)
    dla_cuda_batch_norm_infer_backward(NormDims d, double eps, const float* w, const float* var, const float* dy, float* dx) {
    DLA_ROLLED
    for (index_t i = device::first(); i < d.outer * d.channels * d.inner; i += device::stride()) {
        const index_t c = device::channel_of(i, d.channels, d.inner);
        dx[i] = dy[i] * (static_cast<float>(1 / std::sqrt(static_cast<double>(var[c]) + eps)) * device::gain(w, c));
    }
}
__global__ void __launch_bounds__(256) dla_cuda_layer_norm_forward(index_t rows, index_t columns, double eps, const float* x, const float* w, const float* b,
                                                                   float* y, float* mean, float* invstd) {
    __shared__ double room[device::block_size];
    DLA_ROLLED
    for (index_t r = blockIdx.x; r < rows; r += gridDim.x) {
        const float* in = x + r * columns;
        const double shift = static_cast<double>(in[0]);
        double sum = 0, squares = 0;
        DLA_ROLLED
        for (index_t c = threadIdx.x; c < columns; c += blockDim.x) {
            const double distance = static_cast<double>(in[c]) - shift;
            sum += distance;
            squares += distance * distance;
        }
        sum = device::block_sum(sum, room);
        squares = device::block_sum(squares, room);
        const device::Moments m(static_cast<double>(columns), shift, sum, squares, eps);
        const float scale = static_cast<float>(m.invstd);
        DLA_ROLLED
        for (index_t c = threadIdx.x; c < columns; c += blockDim.x)
            y[r * columns + c] = static_cast<float>(static_cast<double>(in[c]) - m.mean) * scale * device::gain(w, c) + device::shift(b, c);
        if (threadIdx.x == 0 && mean != nullptr) mean[r] = static_cast<float>(m.mean);
        if (threadIdx.x == 0 && invstd != nullptr) invstd[r] = scale;
    }
}
__global__ void __launch_bounds__(256)
    dla_cuda_layer_norm_slopes(cuda::ChannelCut cut, const float* x, const float* mean, const float* invstd, const float* dy, double* parts) {
    __shared__ double room[2 * device::block_size];
    device::channel_sums<2>(cut, room, parts, [&](index_t i, double* sums) {
        const index_t r = device::divide(i, cut.channels).quotient;
        const double slope = static_cast<double>(dy[i]);
        sums[0] += slope;
        sums[1] += slope * ((static_cast<double>(x[i]) - static_cast<double>(mean[r])) * static_cast<double>(invstd[r]));
    });
}
__global__ void __launch_bounds__(256) dla_cuda_layer_norm_backward(index_t rows, index_t columns, const float* x, const float* w, const float* mean,
                                                                    const float* invstd, const float* dy, float* dx) {
    __shared__ double room[device::block_size];
    DLA_ROLLED
    for (index_t r = blockIdx.x; r < rows; r += gridDim.x) {
        const float *in = x + r * columns, *slope = dy + r * columns;
        const float mu = mean[r], scale = invstd[r];
        double sum = 0, product = 0;
        DLA_ROLLED
        for (index_t c = threadIdx.x; c < columns; c += blockDim.x) {
            const double scaled = static_cast<double>(slope[c]) * static_cast<double>(device::gain(w, c));
            sum += scaled;
            product += scaled * (static_cast<double>(in[c] - mu) * static_cast<double>(scale));
        }
        sum = device::block_sum(sum, room);
        product = device::block_sum(product, room);
        const float of_all = static_cast<float>(sum / static_cast<double>(columns)), of_unit = static_cast<float>(product / static_cast<double>(columns));
        DLA_ROLLED
        for (index_t c = threadIdx.x; c < columns; c += blockDim.x)
            dx[r * columns + c] = (slope[c] * device::gain(w, c) - of_all - (in[c] - mu) * scale * of_unit) * scale;
    }
}
}
}
)cuda"},
    {"dla/kernels/cuda/optim.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/block.cuh>
namespace dla {
extern "C" {
__global__ void __launch_bounds__(256) dla_cuda_begin_sgd_step(const SgdScalars* settings, const StepReport* report, std::int64_t* steps, SgdScalars* scalars) {
    SgdScalars s = *settings;
    s.first = *steps == 0;
    s.skip = report != nullptr && report->applied == 0;
    if (!s.skip) ++*steps;
    *scalars = s;
}
__global__ void __launch_bounds__(256)
    dla_cuda_begin_adam_step(const AdamScalars* settings, const StepReport* report, std::int64_t* steps, AdamScalars* scalars) {
    AdamScalars s = *settings;
    s.skip = report != nullptr && report->applied == 0;
    if (!s.skip) {
        const double step = static_cast<double>(++*steps);
        s.correction1 = 1 - std::pow(s.beta1, step);
        s.correction2 = 1 - std::pow(s.beta2, step);
    }
    *scalars = s;
}
__global__ void __launch_bounds__(256)
    dla_cuda_begin_muon_step(const MuonScalars* settings, const StepReport* report, std::int64_t* steps, MuonScalars* scalars) {
    MuonScalars s = *settings;
    s.skip = report != nullptr && report->applied == 0;
    if (!s.skip) ++*steps;
    *scalars = s;
}
__global__ void __launch_bounds__(256) dla_cuda_sgd_step(index_t n, const SgdScalars* sgd, float* value, const float* grad, float* velocity) {
    const SgdScalars s = *sgd;
    if (s.skip) return;
    const float decay = static_cast<float>(s.weight_decay), momentum = static_cast<float>(s.momentum), rest = static_cast<float>(1.0 - s.dampening),
                rate = static_cast<float>(s.learning_rate);
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        float d = grad[i];
        if (s.weight_decay != 0) d = d + decay * value[i];
        if (s.momentum != 0) {
            velocity[i] = s.first ? d : momentum * velocity[i] + rest * d;
            d = s.nesterov ? d + momentum * velocity[i] : velocity[i];
        }
        value[i] = value[i] - rate * d;
    }
}
__global__ void __launch_bounds__(256) dla_cuda_adam_step(index_t n, const AdamScalars* adam, float* value, const float* grad, float* m, float* v) {
    const AdamScalars s = *adam;
    if (s.skip) return;
    const float decay = static_cast<float>(s.weight_decay), shrink = static_cast<float>(1.0 - s.learning_rate * s.weight_decay);
    const float beta1 = static_cast<float>(s.beta1), rest1 = static_cast<float>(1.0 - s.beta1), beta2 = static_cast<float>(s.beta2),
                rest2 = static_cast<float>(1.0 - s.beta2);
    const float step = static_cast<float>(s.learning_rate / s.correction1), root = static_cast<float>(std::sqrt(s.correction2)),
                eps = static_cast<float>(s.eps);
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        float g = grad[i], p = value[i];
        if (s.weight_decay != 0) {
            if (s.decoupled)
                p = p * shrink;
            else
                g = g + decay * p;
        }
        const float first = m[i] * beta1 + rest1 * g, second = v[i] * beta2 + rest2 * g * g;
        m[i] = first;
        v[i] = second;
        value[i] = p - step * first / (std::sqrt(second) / root + eps);
    }
}
__global__ void __launch_bounds__(256)
    dla_cuda_muon_direction(index_t n, const MuonScalars* muon, const float* grad, float* velocity, float* direction) {
    const MuonScalars s = *muon;
    if (s.skip) return;
    const float momentum = static_cast<float>(s.momentum), rest = static_cast<float>(1.0 - s.momentum);
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const float g = grad[i], v = velocity[i] + rest * (g - velocity[i]);
        velocity[i] = v;
        direction[i] = s.nesterov ? g + momentum * (v - g) : v;
    }
}
__global__ void __launch_bounds__(256) dla_cuda_divide_by_norm(index_t n, const double* squares, double eps, float* x) {
    const double norm = std::sqrt(*squares);
    const float factor = static_cast<float>(1 / (norm < eps ? eps : norm));
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) x[i] = x[i] * factor;
}
__global__ void __launch_bounds__(256) dla_cuda_muon_update(index_t n, const MuonScalars* muon, const float* direction, float* value) {
    const MuonScalars s = *muon;
    if (s.skip) return;
    const float shrink = static_cast<float>(1.0 - s.learning_rate * s.weight_decay), rate = static_cast<float>(s.learning_rate * s.factor);
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) value[i] = value[i] * shrink - rate * direction[i];
}
__global__ void __launch_bounds__(256) dla_cuda_clip_scale(index_t n, const double* squares, double max_norm, float* value) {
    const double sum = *squares, coefficient = max_norm / (std::sqrt(sum) + 1e-6);
    if (!(sum - sum == 0) || !(coefficient < 1)) return;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) value[i] = value[i] * static_cast<float>(coefficient);
}
}
}
)cuda"},
    {"dla/kernels/cuda/pool.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/block.cuh>
namespace dla {
extern "C" {
__global__ void __launch_bounds__(256) dla_cuda_max_pool2d_forward(Pool2dDims d, const float* x, float* y, std::int32_t* argmax) {
    const index_t n = d.batch * d.out_height * d.out_width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel out(i, d.out_height, d.out_width, d.channels);
        float best = -HUGE_VALF;
        index_t where = -1;
        for (index_t kh = 0; kh < d.kernel_h; ++kh) {
            const index_t ih = out.h * d.stride_h - d.pad_h + kh * d.dilation_h;
            if (ih < 0 || ih >= d.height) continue;
            for (index_t kw = 0; kw < d.kernel_w; ++kw) {
                const index_t iw = out.w * d.stride_w - d.pad_w + kw * d.dilation_w;
                if (iw < 0 || iw >= d.width) continue;
                const float value = x[((out.n * d.height + ih) * d.width + iw) * d.channels + out.c];
                if (where < 0 || value > best || value != value) {
                    best = value;
                    where = ih * d.width + iw;
                }
            }
        }
        y[i] = best;
        if (argmax != nullptr) argmax[i] = static_cast<std::int32_t>(where);
    }
}
__global__ void __launch_bounds__(256) dla_cuda_max_pool2d_backward(Pool2dDims d, const float* dy, const std::int32_t* argmax, float* dx) {
    const index_t n = d.batch * d.height * d.width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel in(i, d.height, d.width, d.channels);
        float sum = 0;
        detail::windows_of_pixel(d, in.h, in.w, [&](index_t oh, index_t ow) {
            const index_t out = ((in.n * d.out_height + oh) * d.out_width + ow) * d.channels + in.c;
            if (argmax[out] == in.h * d.width + in.w) sum += dy[out];
        });
        dx[i] = sum;
    }
}
__global__ void __launch_bounds__(256) dla_cuda_avg_pool2d_forward(Pool2dDims d, const float* x, float* y) {
    const index_t n = d.batch * d.out_height * d.out_width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel out(i, d.out_height, d.out_width, d.channels);
        const detail::AverageWindow window(d, out.h, out.w);
        double sum = 0;
        for (index_t ih = window.top; ih < window.bottom; ++ih)
            for (index_t iw = window.left; iw < window.right; ++iw)
                sum += static_cast<double>(x[((out.n * d.height + ih) * d.width + iw) * d.channels + out.c]);
        y[i] = window.empty() ? 0.0f : static_cast<float>(sum / static_cast<double>(window.divisor));
    }
}
__global__ void __launch_bounds__(256) dla_cuda_avg_pool2d_backward(Pool2dDims d, const float* dy, float* dx) {
    const index_t n = d.batch * d.height * d.width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel in(i, d.height, d.width, d.channels);
        float sum = 0;
        detail::windows_of_pixel(d, in.h, in.w, [&](index_t oh, index_t ow) {
            sum += dy[((in.n * d.out_height + oh) * d.out_width + ow) * d.channels + in.c] / static_cast<float>(detail::AverageWindow(d, oh, ow).divisor);
        });
        dx[i] = sum;
    }
}
}
}
)cuda"},
    {"dla/kernels/cuda/reduce.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/block.cuh>
namespace dla {
extern "C" {
__global__ void __launch_bounds__(256) dla_cuda_column_sums(cuda::ChannelCut cut, const float* x, double* parts) {
    __shared__ double room[device::block_size];
    device::channel_sums<1>(cut, room, parts, [&](index_t i, double* sums) { sums[0] += static_cast<double>(x[i]); });
}
__global__ void __launch_bounds__(256) dla_cuda_add_parts(index_t columns, int chunks, const double* parts, float* y) {
    DLA_ROLLED
    for (index_t c = device::first(); c < columns; c += device::stride())
        y[c] = static_cast<float>(static_cast<double>(y[c]) + device::sum_of_chunks(columns, chunks, parts, 0, c));
}
__global__ void __launch_bounds__(256) dla_cuda_squares(index_t n, const float* x, double* parts) {
    __shared__ double room[device::block_size];
    double sum = 0;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    sum = device::block_sum(sum, room);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
__global__ void __launch_bounds__(256) dla_cuda_add_up(index_t count, const double* parts, double* sum) {
    __shared__ double room[device::block_size];
    double mine = 0;
    DLA_ROLLED
    for (index_t i = threadIdx.x; i < count; i += blockDim.x) mine += parts[i];
    mine = device::block_sum(mine, room);
    if (threadIdx.x == 0) *sum = mine;
}
__global__ void __launch_bounds__(256)
    dla_cuda_element_loss(ElementLossDims d, const float* x, const float* targets, const float* pos_weight, cuda::LossPart* parts, float* gradient) {
    __shared__ double sums[device::block_size];
    __shared__ std::int64_t counts[device::block_size];
    cuda::LossPart mine;
    DLA_ROLLED
    for (index_t i = device::first(); i < d.size(); i += device::stride()) {
        const double value = static_cast<double>(x[i]), target = static_cast<double>(targets[i]);
        const double weight = pos_weight != nullptr ? static_cast<double>(pos_weight[i % d.outputs % d.weights]) : 1.0;
        const detail::LossTerm<double> term =
            d.kind == ElementLoss::bce_with_logits ? detail::logistic_loss(weight, value, target) : detail::difference_loss(d.kind, d.bend, value - target);
        mine.loss += term.loss;
        if (!(target - target == 0)) mine.bad = device::earlier(mine.bad, i);
        if (gradient != nullptr) gradient[i] = static_cast<float>(term.slope / d.divisor);
    }
    device::write_part(mine, sums, counts, parts + blockIdx.x);
}
__global__ void __launch_bounds__(256)
    dla_cuda_loss_finish(ElementLossDims d, index_t count, index_t counted, const cuda::LossPart* parts, LossResult* result) {
    __shared__ double sums[device::block_size];
    __shared__ std::int64_t counts[device::block_size];
    const cuda::LossPart all = device::join_parts(count, parts, sums, counts);
    if (threadIdx.x != 0) return;
    LossResult out;
    out.loss = all.loss / d.divisor;
    out.weight = static_cast<double>(counted);
    out.counted = counted;
    out.correct = all.correct;
    if (!(out.loss - out.loss == 0) && all.bad >= 0) {
        out.bad_row = d.first_row + all.bad / d.outputs;
        out.bad_label = all.bad % d.outputs;
    }
    *result = out;
}
__global__ void __launch_bounds__(256) dla_cuda_zero_if_bad(index_t n, const LossResult* result, float* gradient) {
    if (result->bad_row < 0) return;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) gradient[i] = 0;
}
}
}
)cuda"},
    {"dla/kernels/cuda/resize.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/block.cuh>
namespace dla {
extern "C" {
__global__ void __launch_bounds__(256) dla_cuda_upsample2d_forward(Resize2dDims d, Interpolation mode, bool align_corners, const float* x, float* y) {
    const detail::ResizedImage image(d, mode, align_corners);
    const index_t n = d.batch * d.out_height * d.out_width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel out(i, d.out_height, d.out_width, d.channels);
        const detail::AxisSource row = image.rows.source(out.h), column = image.columns.source(out.w);
        double sum = 0;
        for (index_t ih = row.low; ih <= row.high; ++ih)
            for (index_t iw = column.low; iw <= column.high; ++iw)
                sum += row.weight(ih) * column.weight(iw) * static_cast<double>(x[((out.n * d.height + ih) * d.width + iw) * d.channels + out.c]);
        y[i] = static_cast<float>(sum);
    }
}
__global__ void __launch_bounds__(256) dla_cuda_upsample2d_backward(Resize2dDims d, Interpolation mode, bool align_corners, const float* dy, float* dx) {
    const detail::ResizedImage image(d, mode, align_corners);
    const index_t n = d.batch * d.height * d.width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel in(i, d.height, d.width, d.channels);
        const auto rows = image.rows.outputs(in.h), columns = image.columns.outputs(in.w);
        double sum = 0;
        for (index_t oh = rows.first; oh < rows.last; ++oh)
            for (index_t ow = columns.first; ow < columns.last; ++ow)
                sum += image.rows.source(oh).weight(in.h) * image.columns.source(ow).weight(in.w) *
                       static_cast<double>(dy[((in.n * d.out_height + oh) * d.out_width + ow) * d.channels + in.c]);
        dx[i] = static_cast<float>(sum);
    }
}
__global__ void __launch_bounds__(256) dla_cuda_adaptive_avg_pool2d_forward(Resize2dDims d, const float* x, float* y) {
    const index_t n = d.batch * d.out_height * d.out_width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel out(i, d.out_height, d.out_width, d.channels);
        const detail::AdaptiveWindow rows(out.h, d.height, d.out_height), columns(out.w, d.width, d.out_width);
        double sum = 0;
        for (index_t ih = rows.first; ih < rows.last; ++ih)
            for (index_t iw = columns.first; iw < columns.last; ++iw)
                sum += static_cast<double>(x[((out.n * d.height + ih) * d.width + iw) * d.channels + out.c]);
        y[i] = static_cast<float>(sum / static_cast<double>(rows.size() * columns.size()));
    }
}
__global__ void __launch_bounds__(256) dla_cuda_adaptive_avg_pool2d_backward(Resize2dDims d, const float* dy, float* dx) {
    const index_t n = d.batch * d.height * d.width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel in(i, d.height, d.width, d.channels);
        const detail::AdaptiveWindow rows(in.h, d.out_height, d.height), columns(in.w, d.out_width, d.width);
        double sum = 0;
        for (index_t oh = rows.first; oh < rows.last; ++oh)
            for (index_t ow = columns.first; ow < columns.last; ++ow) {
                const detail::AdaptiveWindow of_rows(oh, d.height, d.out_height), of_columns(ow, d.width, d.out_width);
                sum += static_cast<double>(dy[((in.n * d.out_height + oh) * d.out_width + ow) * d.channels + in.c]) /
                       static_cast<double>(of_rows.size() * of_columns.size());
            }
        dx[i] = static_cast<float>(sum);
    }
}
__global__ void __launch_bounds__(256) dla_cuda_zero_pad2d(Resize2dDims d, index_t top, index_t left, const float* x, float* y) {
    const index_t n = d.batch * d.out_height * d.out_width * d.channels;
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) {
        const device::Pixel out(i, d.out_height, d.out_width, d.channels);
        const index_t ih = out.h - top, iw = out.w - left;
        const bool inside = ih >= 0 && ih < d.height && iw >= 0 && iw < d.width;
        y[i] = inside ? x[((out.n * d.height + ih) * d.width + iw) * d.channels + out.c] : 0.0f;
    }
}
}
}
)cuda"},
    {"dla/kernels/cuda/softmax.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/block.cuh>
namespace dla {
namespace device {
template <class T>
__device__ T team_sum(T value, int lanes) {
    for (int step = lanes / 2; step > 0; step /= 2) value += __shfl_xor_sync(all_lanes, value, step);
    return value;
}
__device__ inline float team_largest(float value, int lanes) {
    for (int step = lanes / 2; step > 0; step /= 2) {
        const float other = __shfl_xor_sync(all_lanes, value, step);
        value = other > value ? other : value;
    }
    return value;
}
__device__ constexpr int log2_of(int power) {
    int log = 0;
    while (power >> log > 1) ++log;
    return log;
}
struct Team {
    int lanes, lane;
    index_t row;
    __device__ explicit Team(int of)
        : lanes(of), lane(static_cast<int>(threadIdx.x) & (of - 1)), row((static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x) >> log2_of(of)) {}
};
__device__ inline index_t first_of_row(const NormDims& d, index_t row) {
    const Division at = divide(row, d.inner);
    return at.quotient * d.channels * d.inner + at.rest;
}
struct RowSum {
    float largest;
    double sum, share, log_sum;
    __device__ RowSum(const Team& team, index_t n, const float* x, index_t step) : largest(-HUGE_VALF), sum(0), share(0), log_sum(0) {
        DLA_ROLLED
        for (index_t c = team.lane; c < n; c += team.lanes)
            if (x[c * step] > largest) largest = x[c * step];
        largest = team_largest(largest, team.lanes);
        DLA_ROLLED
        for (index_t c = team.lane; c < n; c += team.lanes) sum += numerator(x[c * step]);
        sum = team_sum(sum, team.lanes);
        log_sum = std::log(sum);
        share = std::exp(-log_sum);
    }
    __device__ double numerator(float x) const { return std::exp(static_cast<double>(x) - static_cast<double>(largest)); }
    __device__ double softmax(float x) const { return numerator(x) * share; }
    __device__ double negative_log(float x) const { return (static_cast<double>(largest) - static_cast<double>(x)) + log_sum; }
};
__device__ inline index_t team_argmax(const Team& team, index_t n, const float* x) {
    index_t best = team.lane < n ? team.lane : 0;
    DLA_ROLLED
    for (index_t c = best + team.lanes; c < n; c += team.lanes)
        if (x[c] > x[best] || (x[best] != x[best] && best > 0)) best = c;
    for (int step = team.lanes / 2; step > 0; step /= 2) {
        const index_t other = __shfl_xor_sync(all_lanes, best, step);
        if (n == 0) continue;
        const index_t low = best < other ? best : other, high = best < other ? other : best;
        best = x[high] > x[low] || (x[low] != x[low] && low > 0) ? high : low;
    }
    return best;
}
}
extern "C" {
__global__ void __launch_bounds__(256) dla_cuda_softmax_forward(NormDims d, int lanes, bool logarithm, const float* x, float* y) {
    const device::Team team(lanes);
    const index_t n = team.row < d.outer * d.inner ? d.channels : 0;
    const index_t start = n > 0 ? device::first_of_row(d, team.row) : 0;
    const device::RowSum row(team, n, x + start, d.inner);
    DLA_ROLLED
    for (index_t c = team.lane; c < n; c += lanes) {
        const float value = x[start + c * d.inner];
        y[start + c * d.inner] = static_cast<float>(logarithm ? -row.negative_log(value) : row.softmax(value));
    }
}
__global__ void __launch_bounds__(256) dla_cuda_softmax_backward(NormDims d, int lanes, bool logarithm, const float* y, const float* dy, float* dx) {
    const device::Team team(lanes);
    const index_t n = team.row < d.outer * d.inner ? d.channels : 0;
    const index_t start = n > 0 ? device::first_of_row(d, team.row) : 0;
    double sum = 0;
    DLA_ROLLED
    for (index_t c = team.lane; c < n; c += lanes) {
        const double slope = static_cast<double>(dy[start + c * d.inner]);
        sum += logarithm ? slope : slope * static_cast<double>(y[start + c * d.inner]);
    }
    sum = device::team_sum(sum, lanes);
    DLA_ROLLED
    for (index_t c = team.lane; c < n; c += lanes) {
        const index_t at = start + c * d.inner;
        const double value = static_cast<double>(y[at]), slope = static_cast<double>(dy[at]);
        dx[at] = static_cast<float>(logarithm ? slope - std::exp(value) * sum : value * (slope - sum));
    }
}
__global__ void __launch_bounds__(1024) dla_cuda_label_weights(CrossEntropyDims d, const std::int32_t* labels, const float* class_weights, LossResult* whole) {
    __shared__ double sums[1024];
    __shared__ std::int64_t counts[1024];
    double weight = 0;
    std::int64_t counted = 0, bad = -1;
    DLA_ROLLED
    for (index_t r = threadIdx.x; r < d.rows; r += blockDim.x) {
        const std::int32_t label = labels[r];
        if (label == d.ignore_index) continue;
        if (label < 0 || label >= d.classes) {
            bad = device::earlier(bad, r);
            continue;
        }
        weight += class_weights != nullptr ? static_cast<double>(class_weights[label]) : 1.0;
        ++counted;
    }
    weight = device::block_sum(weight, sums);
    counted = device::block_sum(counted, counts);
    bad = device::block_join(bad, counts, [](std::int64_t a, std::int64_t b) { return device::earlier(a, b); });
    if (threadIdx.x != 0) return;
    *whole = LossResult();
    if (bad >= 0) {
        whole->bad_row = bad;
        whole->bad_label = labels[bad];
    } else {
        whole->weight = weight;
        whole->counted = counted;
    }
}
__global__ void __launch_bounds__(256) dla_cuda_cross_entropy(CrossEntropyDims d, int lanes, const float* logits, const std::int32_t* labels,
                                                              const float* class_weights, const LossResult* whole, cuda::LossPart* parts, float* dlogits) {
    __shared__ double sums[device::block_size];
    __shared__ std::int64_t counts[device::block_size];
    const device::Team team(lanes);
    cuda::LossPart mine;
    const bool here = whole->bad_row < 0 && team.row < d.rows, counts_too = here && labels[team.row] != d.ignore_index;
    const index_t n = counts_too ? d.classes : 0;
    const float* row = logits + (here ? team.row * d.classes : 0);
    const device::RowSum of_row(team, n, row, 1);
    const index_t best = device::team_argmax(team, n, row);
    __syncwarp();
    if (counts_too) {
        const std::int32_t label = labels[team.row];
        const double smooth = d.label_smoothing, divisor = d.mean ? whole->weight : 1.0;
        const auto weight = [&](index_t c) { return class_weights != nullptr ? static_cast<double>(class_weights[c]) : 1.0; };
        const double hard = smooth > 0 ? (1 - smooth) * weight(label) : weight(label);
        double total = hard;
        if (smooth > 0)
            for (index_t c = 0; c < n; ++c) total += smooth / static_cast<double>(n) * weight(c);
        if (team.lane == 0) {
            mine.weight = weight(label);
            mine.counted = 1;
            mine.correct = best == label ? 1 : 0;
        }
        DLA_ROLLED
        for (index_t c = team.lane; c < n; c += lanes) {
            const float value = row[c];
            double target = smooth > 0 ? smooth / static_cast<double>(n) * weight(c) : 0.0;
            if (smooth > 0) mine.loss += target * of_row.negative_log(value);
            if (c == label) {
                mine.loss += hard * of_row.negative_log(value);
                target += hard;
            }
            if (dlogits != nullptr) dlogits[team.row * d.classes + c] = static_cast<float>((of_row.softmax(value) * total - target) / divisor);
        }
    } else if (here && dlogits != nullptr) {
        DLA_ROLLED
        for (index_t c = team.lane; c < d.classes; c += lanes) dlogits[team.row * d.classes + c] = 0;
    }
    device::write_part(mine, sums, counts, parts + blockIdx.x);
}
__global__ void __launch_bounds__(256)
    dla_cuda_cross_entropy_finish(CrossEntropyDims d, index_t count, const cuda::LossPart* parts, const LossResult* whole, LossResult* result) {
    __shared__ double sums[device::block_size];
    __shared__ std::int64_t counts[device::block_size];
    const cuda::LossPart all = device::join_parts(count, parts, sums, counts);
    if (threadIdx.x != 0) return;
    LossResult out;
    if (whole->bad_row >= 0) {
        out.bad_row = whole->bad_row;
        out.bad_label = whole->bad_label;
        out.loss = NAN;
    } else {
        out.weight = all.weight;
        out.counted = all.counted;
        out.correct = all.correct;
        out.loss = all.loss / (d.mean ? whole->weight : 1.0);
    }
    *result = out;
}
__global__ void __launch_bounds__(256) dla_cuda_cross_entropy_soft(CrossEntropyDims d, int lanes, const float* logits, const float* targets,
                                                                   const float* class_weights, cuda::LossPart* parts, float* dlogits) {
    __shared__ double sums[device::block_size];
    __shared__ std::int64_t counts[device::block_size];
    const device::Team team(lanes);
    cuda::LossPart mine;
    const bool here = team.row < d.rows;
    const index_t n = here ? d.classes : 0;
    const float *row = logits + (here ? team.row * d.classes : 0), *target = targets + (here ? team.row * d.classes : 0);
    const double smooth = d.label_smoothing, divisor = d.mean ? static_cast<double>(d.total_rows > 0 ? d.total_rows : d.rows) : 1.0;
    const auto coefficient = [&](index_t c) {
        const double t = static_cast<double>(target[c]) * (1 - smooth) + smooth / static_cast<double>(d.classes);
        return class_weights != nullptr ? t * static_cast<double>(class_weights[c]) : t;
    };
    const device::RowSum of_row(team, n, row, 1);
    const index_t best = device::team_argmax(team, n, row), meant = device::team_argmax(team, n, target);
    double total = 0;
    DLA_ROLLED
    for (index_t c = team.lane; c < n; c += lanes) {
        total += coefficient(c);
        mine.loss += coefficient(c) * of_row.negative_log(row[c]);
        if (!(target[c] - target[c] == 0)) mine.bad = device::earlier(mine.bad, team.row * d.classes + c);
    }
    total = device::team_sum(total, lanes);
    __syncwarp();
    if (here && team.lane == 0 && best == meant) mine.correct = 1;
    DLA_ROLLED
    for (index_t c = team.lane; dlogits != nullptr && c < n; c += lanes)
        dlogits[team.row * d.classes + c] = static_cast<float>((of_row.softmax(row[c]) * total - coefficient(c)) / divisor);
    device::write_part(mine, sums, counts, parts + blockIdx.x);
}
}
}
)cuda"},
    {"dla/kernels/cuda/step.cuh", R"cuda(#pragma once
#include <dla/kernels/cuda/block.cuh>
namespace dla {
extern "C" {
__global__ void __launch_bounds__(256) dla_cuda_join_losses(const LossResult* from, LossResult* to) {
    to->loss += from->loss;
    to->weight += from->weight;
    to->correct += from->correct;
    to->counted += from->counted;
    if (to->bad_row < 0) to->bad_row = from->bad_row, to->bad_label = from->bad_label;
}
__global__ void __launch_bounds__(256) dla_cuda_scale(index_t n, float factor, float* x) {
    DLA_ROLLED
    for (index_t i = device::first(); i < n; i += device::stride()) x[i] = x[i] * factor;
}
__global__ void __launch_bounds__(256) dla_cuda_decide_step(index_t count, const double* squares, double* total, RandomPosition* position, StepReport* report) {
    double sum = 0;
    for (index_t i = 0; i < count; ++i) sum += squares[i];
    *total = sum;
    report->gradient_norm = std::sqrt(sum);
    const double loss = report->loss.loss;
    const bool applied = report->loss.bad_row < 0 && loss - loss == 0 && sum - sum == 0;
    report->applied = applied ? 1 : 0;
    if (applied)
        ++position->step;
    else
        ++report->refused;
    report->position = *position;
}
__global__ void __launch_bounds__(256) dla_cuda_restore_unless_applied(const StepReport* report, index_t bytes, const unsigned char* from, unsigned char* to) {
    if (report->applied != 0) return;
    DLA_ROLLED
    for (index_t i = device::first(); i < bytes; i += device::stride()) to[i] = from[i];
}
}
}
)cuda"},
    {"dla/kernels/formulas.hpp", R"cuda(#pragma once
#include <dla/core/config.hpp>
#include <dla/kernels/types.hpp>
#include <cmath>
#include <dla/core/begin_exact.inl.hpp>
namespace dla::detail {
template <class S>
DLA_ANYWHERE S sigmoid(S x) {
    using std::exp;
    if (x < S{0}) return exp(x) / (S{1} + exp(x));
    return S{1} / (S{1} + exp(-x));
}
template <class S>
DLA_ANYWHERE S gelu_inner(S x) {
    return static_cast<S>(0.79788456080286535588) * (x + static_cast<S>(0.044715) * x * x * x);
}
template <class S>
DLA_ANYWHERE S normal_cdf(S x) {
    using std::erfc;
    return static_cast<S>(0.5) * erfc(-x * static_cast<S>(0.70710678118654752440));
}
template <class S>
DLA_ANYWHERE S activation(Activation kind, const ActivationOptions& options, S x) {
    using std::exp, std::expm1, std::log1p, std::tanh;
    const S value = static_cast<S>(options.value);
    switch (kind) {
        case Activation::relu:
            return x < S{0} ? S{0} : x;
        case Activation::leaky_relu:
            return x > S{0} ? x : x * value;
        case Activation::gelu:
            return x * normal_cdf(x);
        case Activation::gelu_tanh:
            return x * sigmoid(2 * gelu_inner(x));
        case Activation::silu:
            return x * sigmoid(x);
        case Activation::sigmoid:
            return sigmoid(x);
        case Activation::tanh:
            return tanh(x);
        case Activation::elu:
            return x < S{0} ? value * expm1(x) : x;
        case Activation::softplus: {
            const S z = value * x;
            return z > static_cast<S>(options.threshold) ? x : ((z > S{0} ? z : S{0}) + log1p(exp(z > S{0} ? -z : z))) / value;
        }
        case Activation::hardswish:
            return x * ((x < S{-3} ? S{0} : x > S{3} ? S{6} : x + S{3}) / S{6});
    }
    return x;
}
template <class S>
DLA_ANYWHERE S activation_slope(Activation kind, const ActivationOptions& options, S v) {
    using std::exp;
    const S value = static_cast<S>(options.value);
    switch (kind) {
        case Activation::relu:
            return v <= S{0} ? S{0} : S{1};
        case Activation::leaky_relu:
            return v > S{0} ? S{1} : value;
        case Activation::gelu:
            return normal_cdf(v) + v * static_cast<S>(0.39894228040143267794) * exp(-v * v / 2);
        case Activation::gelu_tanh: {
            const S inner = 2 * gelu_inner(v), s = sigmoid(inner);
            return s + v * s * sigmoid(-inner) * (2 * static_cast<S>(0.79788456080286535588)) * (S{1} + 3 * static_cast<S>(0.044715) * v * v);
        }
        case Activation::silu:
            return sigmoid(v) * (S{1} + v * sigmoid(-v));
        case Activation::sigmoid:
            return v * (S{1} - v);
        case Activation::tanh:
            return S{1} - v * v;
        case Activation::elu:
            return v > S{0} ? S{1} : value * exp(v);
        case Activation::softplus:
            return value * v > static_cast<S>(options.threshold) ? S{1} : sigmoid(value * v);
        case Activation::hardswish:
            return v <= S{-3} ? S{0} : v >= S{3} ? S{1} : v / S{3} + S{0.5};
    }
    return S{1};
}
constexpr bool slope_reads_y(Activation kind) { return kind == Activation::relu || kind == Activation::sigmoid || kind == Activation::tanh; }
template <class S>
DLA_ANYWHERE S activation_gradient(Activation kind, const ActivationOptions& options, S read, S dy) {
    if (kind == Activation::relu) return read <= S{0} ? S{0} : dy;
    if (kind == Activation::hardswish && read <= S{-3}) return S{0};
    return dy * activation_slope(kind, options, read);
}
template <class S>
struct LossTerm {
    S loss, slope;
};
template <class S>
DLA_ANYWHERE LossTerm<S> difference_loss(ElementLoss kind, S bend, S d) {
    const S size = d < S{0} ? -d : d, sign = d > S{0} ? S{1} : d < S{0} ? S{-1} : S{0};
    const bool bent = size < bend;
    switch (kind) {
        case ElementLoss::absolute:
            return {size, sign};
        case ElementLoss::huber:
            return bent ? LossTerm<S>{d * d / 2, d} : LossTerm<S>{bend * (size - bend / 2), sign * bend};
        case ElementLoss::smooth_l1:
            return bent ? LossTerm<S>{d * d / (2 * bend), d / bend} : LossTerm<S>{size - bend / 2, sign};
        default:
            return {d * d, 2 * d};
    }
}
template <class S>
DLA_ANYWHERE LossTerm<S> logistic_loss(S weight, S x, S t) {
    using std::exp, std::log1p;
    const S w = S{1} + (weight - S{1}) * t, e = exp(x < S{0} ? x : -x), share = w * (e / (S{1} + e));
    return {(S{1} - t) * x + w * (log1p(e) + (x < S{0} ? -x : S{0})), x < S{0} ? share - weight * t : (S{1} - t) - share};
}
}
#include <dla/core/end_exact.inl.hpp>
)cuda"},
    {"dla/kernels/types.hpp", R"cuda(#pragma once
#include <dla/core/index.hpp>
#include <dla/core/random_block.hpp>
namespace dla {
struct GemmDims {
    index_t m = 0, n = 0, k = 0;
    bool transpose_a = false, transpose_b = false;
};
struct LinearDims {
    index_t rows = 0, in = 0, out = 0;
    constexpr GemmDims forward() const { return {.m = rows, .n = out, .k = in, .transpose_a = false, .transpose_b = true}; }
    constexpr GemmDims backward_data() const { return {.m = rows, .n = in, .k = out, .transpose_a = false, .transpose_b = false}; }
    constexpr GemmDims backward_weights() const { return {.m = out, .n = in, .k = rows, .transpose_a = true, .transpose_b = false}; }
};
struct Conv2dDims {
    index_t batch = 0, height = 0, width = 0, in_channels = 0, out_channels = 0;
    index_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
    index_t pad_top = 0, pad_left = 0;
    index_t out_height = 0, out_width = 0, groups = 1;
    constexpr bool is_depthwise() const { return groups > 1 && groups == in_channels && groups == out_channels; }
};
struct Pool2dDims {
    index_t batch = 0, height = 0, width = 0, channels = 0;
    index_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
    index_t pad_h = 0, pad_w = 0, out_height = 0, out_width = 0;
    bool count_include_pad = true;
    index_t divisor_override = 0;
};
struct Resize2dDims {
    index_t batch = 0, height = 0, width = 0, channels = 0, out_height = 0, out_width = 0;
};
enum class Interpolation { nearest, bilinear };
struct NormDims {
    index_t outer = 0, channels = 0, inner = 1;
};
struct GroupNormDims {
    index_t batch = 0, channels = 0, positions = 1, groups = 1;
    bool channels_first = false;
    constexpr index_t group_channels() const { return channels / groups; }
    constexpr index_t group_values() const { return channels / groups * positions; }
};
constexpr index_t relu_mask_words(index_t n) { return (n + 511) / 512 * 16; }
struct NormRowsDims {
    index_t images = 0, height = 1, width = 1, channels = 0;
    bool relu = false, pool = false;
    constexpr NormDims norm() const { return {.outer = images * height * width, .channels = channels}; }
};
struct ConvNormDims {
    Conv2dDims conv;
    bool relu = false, pool = false;
    constexpr NormRowsDims rows() const {
        return {.images = conv.batch, .height = conv.out_height, .width = conv.out_width, .channels = conv.out_channels, .relu = relu, .pool = pool};
    }
};
struct LinearNormDims {
    LinearDims linear;
    bool relu = false;
    constexpr NormRowsDims rows() const { return {.images = linear.rows, .channels = linear.out, .relu = relu}; }
};
enum class Activation { relu, leaky_relu, gelu, gelu_tanh, silu, sigmoid, tanh, elu, softplus, hardswish };
template <Activation Kind>
struct ActivationIs {
    constexpr operator Activation() const { return Kind; }
};
struct ActivationOptions {
    double value = 0;
    double threshold;
    constexpr ActivationOptions(double v = 0, double above = 20) : value(v), threshold(above) {}
};
struct CrossEntropyDims {
    index_t rows = 0, classes = 0;
    double label_smoothing = 0;
    std::int32_t ignore_index = -100;
    bool mean = true;
    index_t total_rows = 0;
    index_t first_row = 0;
};
enum class ElementLoss {
    squared,
    absolute,
    huber,
    smooth_l1,
    bce_with_logits
};
struct ElementLossDims {
    ElementLoss kind = ElementLoss::squared;
    index_t rows = 0, outputs = 0;
    double bend = 1;
    double divisor = 1;
    index_t weights = 0;
    index_t first_row = 0;
    constexpr index_t size() const { return rows * outputs; }
};
struct LossResult {
    double loss = 0;
    double weight = 0;
    std::int64_t correct = 0;
    std::int64_t counted = 0;
    std::int64_t bad_row = -1;
    std::int64_t bad_label = 0;
};
struct StepReport {
    LossResult loss;
    double gradient_norm = 0;
    std::int64_t applied = 0;
    std::int64_t refused = 0;
    RandomPosition position;
};
struct SgdScalars {
    double learning_rate = 0, momentum = 0, dampening = 0, weight_decay = 0;
    bool nesterov = false, first = false;
    bool skip = false;
    bool operator==(const SgdScalars&) const = default;
};
struct AdamScalars {
    double learning_rate = 0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
    double correction1 = 1, correction2 = 1;
    bool decoupled = false;
    bool skip = false;
    bool operator==(const AdamScalars&) const = default;
};
struct MuonScalars {
    double learning_rate = 0, factor = 1, momentum = 0.95, weight_decay = 0;
    bool nesterov = true;
    bool skip = false;
    bool operator==(const MuonScalars&) const = default;
};
struct OptimizerBytes {
    static constexpr index_t settings = 128, control_of_run = 2 * settings + 64;
    index_t slots = 0, control = 0;
};
}
)cuda"},
    {"dla/kernels/windows.hpp", R"cuda(#pragma once
#include <dla/kernels/types.hpp>
namespace dla::detail {
constexpr index_t least(index_t a, index_t b) { return a < b ? a : b; }
constexpr index_t most(index_t a, index_t b) { return a > b ? a : b; }
template <class F>
constexpr void windows_of_pixel(const Pool2dDims& d, index_t ih, index_t iw, const F& f) {
    for (index_t kh = d.kernel_h - 1; kh >= 0; --kh) {
        const index_t top = ih + d.pad_h - kh * d.dilation_h;
        if (top < 0 || top % d.stride_h != 0 || top / d.stride_h >= d.out_height) continue;
        for (index_t kw = d.kernel_w - 1; kw >= 0; --kw) {
            const index_t left = iw + d.pad_w - kw * d.dilation_w;
            if (left < 0 || left % d.stride_w != 0 || left / d.stride_w >= d.out_width) continue;
            f(top / d.stride_h, left / d.stride_w);
        }
    }
}
struct AverageWindow {
    index_t top, left, bottom, right, divisor;
    constexpr AverageWindow(const Pool2dDims& d, index_t oh, index_t ow)
        : top(oh * d.stride_h - d.pad_h),
          left(ow * d.stride_w - d.pad_w),
          bottom(least(top + d.kernel_h, d.height + d.pad_h)),
          right(least(left + d.kernel_w, d.width + d.pad_w)),
          divisor((bottom - top) * (right - left)) {
        top = most(top, 0);
        left = most(left, 0);
        bottom = least(bottom, d.height);
        right = least(right, d.width);
        if (!d.count_include_pad) divisor = (bottom - top) * (right - left);
        if (d.divisor_override != 0) divisor = d.divisor_override;
    }
    constexpr bool empty() const { return top >= bottom || left >= right; }
};
struct AxisSource {
    index_t low, high;
    double share;
    constexpr bool one() const { return low == high; }
    constexpr double weight(index_t i) const { return i == low ? 1 - share : share; }
};
struct ResizedAxis {
    index_t in, out;
    Interpolation mode;
    bool align_corners;
    constexpr AxisSource source(index_t o) const {
        if (mode == Interpolation::nearest) return {o * in / out, o * in / out, 0};
        const index_t whole = align_corners ? most(out - 1, 1) : 2 * out;
        const index_t place = align_corners ? (out > 1 ? o * (in - 1) : 0) : most((2 * o + 1) * in - out, 0);
        const index_t low = place / whole, part = place % whole;
        if (part == 0 || low + 1 >= in) return {low, low, 0};
        return {low, low + 1, static_cast<double>(part) / static_cast<double>(whole)};
    }
    struct Outputs {
        index_t first, last;
    };
    constexpr Outputs outputs(index_t i) const {
        return {first_where([&](index_t o) { return source(o).high >= i; }), first_where([&](index_t o) { return source(o).low > i; })};
    }
private:
    template <class F>
    constexpr index_t first_where(const F& f) const {
        index_t before = 0, holds = out;
        while (before < holds) {
            const index_t middle = before + (holds - before) / 2;
            if (f(middle))
                holds = middle;
            else
                before = middle + 1;
        }
        return holds;
    }
};
struct ResizedImage {
    ResizedAxis rows, columns;
    constexpr ResizedImage(const Resize2dDims& d, Interpolation mode, bool align_corners)
        : rows{d.height, d.out_height, mode, align_corners}, columns{d.width, d.out_width, mode, align_corners} {}
};
struct AdaptiveWindow {
    index_t first, last;
    constexpr AdaptiveWindow(index_t o, index_t in, index_t out) : first(o * in / out), last(((o + 1) * in + out - 1) / out) {}
    constexpr index_t size() const { return last - first; }
};
}
)cuda"},
};

}  // namespace dla::cuda
