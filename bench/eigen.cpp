// SPDX-License-Identifier: MIT
// What Eigen makes of other number types than float: a matrix product, and a training step (forward, loss, backward, Adam) of a CNN on CIFAR-10's sizes,
// each by the plain loops, by EigenCpu and, for float, by Cpu<float>. The last argument is the number of threads.
#include <benchmark/benchmark.h>

#include <dla/interop/eigen_policy.hpp>
#include <dla/nn.hpp>

namespace {

using namespace dla;

template <class P>
P with_threads(int threads) {
    P policy;
    if constexpr (requires { policy.threads; }) policy.threads = threads;
    return policy;
}
/// A few values, over and over.
template <class T>
std::vector<T> values(index_t count) {
    std::vector<T> out(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<T>(static_cast<int>(i % 17) - 8) / T{8};
    return out;
}

template <class P>
void matrix_product(benchmark::State& state) {
    using T = typename P::scalar;
    const GemmDims d{state.range(0), state.range(0), state.range(0)};
    const P policy = with_threads<P>(static_cast<int>(state.range(1)));
    const auto a = values<T>(d.m * d.k), b = values<T>(d.k * d.n);
    std::vector<T> c(a.size());
    std::vector<std::byte> scratch(static_cast<std::size_t>(gemm_scratch(policy, d)));
    for (auto _ : state) gemm(policy, scratch.data(), d, a.data(), b.data(), static_cast<const T*>(nullptr), T{0}, c.data());
    state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * static_cast<double>(d.m * d.n * d.k), benchmark::Counter::kIsIterationInvariantRate);
}

using Net = Sequential<Conv2d<3, 32, 3>, BatchNorm2d<32>, ReLU, Conv2d<32, 64, 3>, BatchNorm2d<64>, ReLU, MaxPool2d<2>, Conv2d<64, 128, 3>, BatchNorm2d<128>,
                       ReLU, MaxPool2d<2>, Flatten, Linear<Dyn, 128>, ReLU, Linear<128, 10>>;

template <class P>
void training_step(benchmark::State& state) {
    const index_t batch = state.range(0);
    Model<Net, Shape{3, 32, 32}, P> model(Seed{1}, with_threads<P>(static_cast<int>(state.range(1))));
    Adam adam;
    const auto images = values<typename P::scalar>(batch * model.input_shape().size());
    std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i % 10);
    train_step(model, adam, CrossEntropy{}, images, labels);  // takes the memory
    for (auto _ : state) train_step(model, adam, CrossEntropy{}, images, labels);
}

void sizes(benchmark::internal::Benchmark* b, const char* name, int size, benchmark::TimeUnit unit) {
    b->ArgNames({name, "threads"})->UseRealTime()->Unit(unit)->Args({size, 1})->Args({size, 2});
}
void product_sizes(benchmark::internal::Benchmark* b) { sizes(b, "n", 480, benchmark::kMillisecond); }
void step_sizes(benchmark::internal::Benchmark* b) { sizes(b, "batch", 32, benchmark::kMillisecond); }

BENCHMARK(matrix_product<Reference<double>>)->Name("product double, plain loops")->Apply(product_sizes);
BENCHMARK(matrix_product<EigenCpu<double>>)->Name("product double, Eigen")->Apply(product_sizes);
BENCHMARK(matrix_product<EigenCpu<float>>)->Name("product float, Eigen")->Apply(product_sizes);
BENCHMARK(matrix_product<Cpu<float>>)->Name("product float, Cpu")->Apply(product_sizes);
BENCHMARK(training_step<Reference<double>>)->Name("step double, plain loops")->Apply(step_sizes)->Iterations(1);
BENCHMARK(training_step<EigenCpu<double>>)->Name("step double, Eigen")->Apply(step_sizes);
BENCHMARK(training_step<EigenCpu<float>>)->Name("step float, Eigen")->Apply(step_sizes);
BENCHMARK(training_step<Cpu<float>>)->Name("step float, Cpu")->Apply(step_sizes);

}  // namespace

BENCHMARK_MAIN();
