// SPDX-License-Identifier: MIT
// GFLOP/s of the Cpu<float> matrix product and convolutions at the sizes of the example networks. The last argument is the number of threads.
#include <benchmark/benchmark.h>

#include <dla/core/arena.hpp>
#include <dla/kernels/cpu/bf16/gemm.hpp>
#include <dla/kernels/cpu/conv2d.hpp>
#include <dla/kernels/cpu/gemm.hpp>

namespace {

using namespace dla;

using Block = Arena<Cpu<float>>;

template <class T>
Block values(index_t count) {
    Block block({}, count * static_cast<index_t>(sizeof(T)) + alignment);
    for (index_t i = 0; i < count; ++i) block.at<T>(0)[i] = static_cast<T>(static_cast<float>(i % 17 - 8) * 0.125f);
    return block;
}
Block floats(index_t count) { return values<float>(count); }

void report(benchmark::State& state, double multiplications) {
    state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * multiplications, benchmark::Counter::kIsIterationInvariantRate);
}

void gemm_sizes(benchmark::internal::Benchmark* b) {
    b->ArgNames({"m", "n", "k", "ta", "tb", "threads"})->UseRealTime();
    for (const int threads : {1, 2}) {
        b->Args({480, 480, 480, 0, 0, threads})
            ->Args({480, 480, 480, 0, 1, threads})
            ->Args({480, 480, 480, 1, 0, threads})
            ->Args({1024, 1024, 1024, 0, 1, threads});
        b->Args({128, 128, 784, 0, 1, threads})
            ->Args({128, 784, 128, 1, 0, threads})
            ->Args({128, 64, 128, 0, 1, threads})
            ->Args({64, 128, 65536, 1, 0, threads});
    }
    b->Args({128, 32, 32, 0, 1, 1})->Args({128, 32, 32, 0, 0, 1})->Args({32, 32, 128, 1, 0, 1})->Args({128, 10, 32, 0, 1, 1})->Args({1, 128, 784, 0, 1, 1});
}

template <class T>
void matrix_product(benchmark::State& state) {
    const GemmDims d{state.range(0), state.range(1), state.range(2), state.range(3) != 0, state.range(4) != 0};
    Cpu<T> p;
    p.threads = static_cast<int>(state.range(5));
    Block a = values<T>(d.m * d.k), b = values<T>(d.k * d.n), c = values<T>(d.m * d.n), bias = values<T>(d.n), scratch({}, gemm_scratch(p, d) + alignment);
    for (auto _ : state) gemm(p, scratch.data(), d, a.at<T>(0), b.at<T>(0), bias.at<T>(0), 0.0f, c.at<T>(0));
    report(state, static_cast<double>(d.m) * static_cast<double>(d.n) * static_cast<double>(d.k));
}
BENCHMARK(matrix_product<float>)->Name("matrix_product")->Apply(gemm_sizes);
BENCHMARK(matrix_product<bf16>)->Name("matrix_product_bf16")->Apply(gemm_sizes);

/// image side, channels in and out, kernel, stride, threads
void conv_sizes(benchmark::internal::Benchmark* b) {
    b->ArgNames({"side", "in", "out", "kernel", "stride", "threads"})->UseRealTime()->Unit(benchmark::kMillisecond);
    for (const int threads : {1, 2}) {
        for (const auto& size : {std::array{32, 3, 32}, std::array{32, 32, 32}, std::array{32, 32, 64}, std::array{16, 64, 128}, std::array{16, 128, 128},
                                 std::array{8, 128, 256}, std::array{8, 256, 256}})
            b->Args({size[0], size[1], size[2], 3, 1, threads});
        b->Args({32, 32, 64, 1, 1, threads})->Args({16, 128, 256, 1, 2, threads})->Args({16, 64, 128, 3, 2, threads})->Args({32, 32, 64, 5, 1, threads});
        b->Args({28, 1, 16, 3, 1, threads})->Args({28, 16, 32, 3, 1, threads})->Args({14, 32, 64, 3, 1, threads})->Args({14, 64, 128, 3, 1, threads});
    }
}

enum class Direction { forward, data, weights };

/// Runs it with a border of half a kernel.
template <Direction direction>
void run(benchmark::State& state, Conv2dDims d, int threads) {
    d.pad_top = d.pad_left = d.kernel_h / 2;
    d.out_height = d.out_width = (d.height - 1) / d.stride_h + 1;
    Cpu<float> p;
    p.threads = threads;
    const index_t weights = d.out_channels * d.kernel_h * d.kernel_w * d.in_channels / d.groups;
    Block x = floats(d.batch * d.height * d.width * d.in_channels), y = floats(d.batch * d.out_height * d.out_width * d.out_channels), w = floats(weights),
          bias = floats(d.out_channels);
    Block scratch({}, std::max({conv2d_forward_scratch(p, d), conv2d_backward_data_scratch(p, d), conv2d_backward_weights_scratch(p, d)}) + alignment);
    for (auto _ : state) {
        if constexpr (direction == Direction::forward) conv2d_forward(p, scratch.data(), d, x.at<float>(0), w.at<float>(0), bias.at<float>(0), y.at<float>(0));
        if constexpr (direction == Direction::data) conv2d_backward_data(p, scratch.data(), d, y.at<float>(0), w.at<float>(0), x.at<float>(0));
        if constexpr (direction == Direction::weights)
            conv2d_backward_weights(p, scratch.data(), d, x.at<float>(0), y.at<float>(0), w.at<float>(0), bias.at<float>(0));
    }
    report(state, static_cast<double>(d.batch * d.out_height * d.out_width) * static_cast<double>(weights));
}

template <Direction direction>
void convolution(benchmark::State& state) {
    Conv2dDims d{.batch = 256, .height = state.range(0), .width = state.range(0), .in_channels = state.range(1), .out_channels = state.range(2)};
    d.kernel_h = d.kernel_w = state.range(3);
    d.stride_h = d.stride_w = state.range(4);
    run<direction>(state, d, static_cast<int>(state.range(5)));
}
BENCHMARK(convolution<Direction::forward>)->Name("convolution forward")->Apply(conv_sizes);
BENCHMARK(convolution<Direction::data>)->Name("convolution backward data")->Apply(conv_sizes);
BENCHMARK(convolution<Direction::weights>)->Name("convolution backward weights")->Apply(conv_sizes);

/// One channel in a group; batch 64, stride 1: image side, channels, kernel, threads
void depthwise_sizes(benchmark::internal::Benchmark* b) {
    b->ArgNames({"side", "channels", "kernel", "threads"})->UseRealTime()->Unit(benchmark::kMillisecond);
    for (const int threads : {1, 2})
        for (const auto& size : {std::array{28, 64, 3}, std::array{14, 128, 3}, std::array{7, 512, 3}, std::array{28, 64, 5}})
            b->Args({size[0], size[1], size[2], threads});
}

template <Direction direction>
void depthwise(benchmark::State& state) {
    Conv2dDims d{.batch = 64, .height = state.range(0), .width = state.range(0), .in_channels = state.range(1), .out_channels = state.range(1)};
    d.kernel_h = d.kernel_w = state.range(2);
    d.groups = d.in_channels;
    run<direction>(state, d, static_cast<int>(state.range(3)));
}
BENCHMARK(depthwise<Direction::forward>)->Name("depthwise forward")->Apply(depthwise_sizes);
BENCHMARK(depthwise<Direction::data>)->Name("depthwise backward data")->Apply(depthwise_sizes);
BENCHMARK(depthwise<Direction::weights>)->Name("depthwise backward weights")->Apply(depthwise_sizes);

/// What the cores can do at most: independent multiply-adds in registers are what a tile without memory would run at.
void tile_in_l1(benchmark::State& state) {
    Cpu<float> p;
    const GemmDims d{24, 32, 256};
    Block a = floats(d.m * d.k), b = floats(d.k * d.n), c = floats(d.m * d.n);
    for (auto _ : state) gemm(p, nullptr, d, a.at<float>(0), b.at<float>(0), nullptr, 0.0f, c.at<float>(0));
    report(state, static_cast<double>(d.m * d.n * d.k));
}
BENCHMARK(tile_in_l1);

}  // namespace

BENCHMARK_MAIN();
