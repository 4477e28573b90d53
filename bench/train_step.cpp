// SPDX-License-Identifier: MIT
// Time of one training step or one inference of the experiments' networks: the counterpart of bench/peer_pytorch.py, and what bench/compare.py runs.
// usage: train_step MODEL MODE [--threads 2] [--batch N] [--seconds 4] [--width F] [--strict 1] [--serve 1]
// MODEL: mlp mlp_residual deep deep_residual cnn_cifar10 cnn_residual_cifar10 cnn_mnist cnn_residual_mnist, or of layer_step those of layer_networks.hpp. MODE:
// train (forward, loss, backward, Adam step) | infer. Prints one JSON line; with --serve one when it is warm, and one for each line of stdin, which says how
// many seconds to measure.
// --width multiplies the numbers of features or filters. train_step_cuda does the same on a CUDA device.
#ifdef DLA_BENCH_LAYERS
#include "layer_networks.hpp"
#else
#include "networks.hpp"
#endif

#include <dla/model/any_model.hpp>
#include <dla/nn.hpp>

#ifdef DLA_BENCH_CUDA
#include <dla/cuda.hpp>
#endif

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>

#include <sys/resource.h>

namespace {

struct Settings {
    std::string model, mode;
    int threads = 2;
    dla::index_t batch = 0;
    double seconds = 4, width = 1;
    bool strict = false, serve = false;
};

template <class Net>
std::unique_ptr<dla::AnyModel> make(const Net& net, const dla::Shape& input, const Settings& s) {
#ifdef DLA_BENCH_CUDA
    dla::Cuda<float> policy;
#else
    dla::Cpu<float> policy;
    policy.threads = s.threads;
#endif
    policy.strict = s.strict;
    return dla::any_model(dla::Model<Net, dla::Shape{}, decltype(policy)>(net, input, dla::Seed{0}, policy));
}

std::unique_ptr<dla::AnyModel> make_model(Settings& s) {
    if (s.batch == 0) s.batch = bench::usual_batch(s.model);
    return bench::with_network(s.model, s.width, [&](const auto& net, const dla::Shape& input) { return make(net, input, s); });
}

/// On a CUDA device also how many convolutions cuDNN had no engine for.
std::string more() {
#ifdef DLA_BENCH_CUDA
    return ", \"without_engine\": " + std::to_string(dla::cuda::Convolutions::of(dla::Cuda<float>().queue()).without_engine());
#else
    return "";
#endif
}

/// A line of /proc/self/status in KiB.
long memory(const char* name) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with(name)) return std::atol(line.c_str() + std::strlen(name));
    return 0;
}

/// Pages that the system had to bring in so far.
long page_faults() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt + usage.ru_majflt;
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc < 3) {
        std::fprintf(stderr, "usage: train_step MODEL train|infer [--threads N] [--batch N] [--seconds S] [--width F] [--strict 1] [--serve 1]\n");
        return 2;
    }
    Settings s{.model = argv[1], .mode = argv[2]};
    for (int i = 3; i + 1 < argc; i += 2) {
        if (std::strcmp(argv[i], "--threads") == 0) s.threads = std::atoi(argv[i + 1]);
        if (std::strcmp(argv[i], "--batch") == 0) s.batch = std::atoi(argv[i + 1]);
        if (std::strcmp(argv[i], "--seconds") == 0) s.seconds = std::atof(argv[i + 1]);
        if (std::strcmp(argv[i], "--width") == 0) s.width = std::atof(argv[i + 1]);
        if (std::strcmp(argv[i], "--strict") == 0) s.strict = std::atoi(argv[i + 1]) != 0;
        if (std::strcmp(argv[i], "--serve") == 0) s.serve = std::atoi(argv[i + 1]) != 0;
    }
    const long before = memory("VmRSS:");
    auto model = make_model(s);
    std::vector<float> inputs(static_cast<std::size_t>(s.batch * model->input_shape().size()));
    std::vector<std::int32_t> labels(static_cast<std::size_t>(s.batch));
    dla::RandomStream random({1, 0, 0}, dla::RandomUse::synthesis);
    for (float& v : inputs) v = static_cast<float>(random.normal());
    for (std::int32_t& l : labels) l = static_cast<std::int32_t>(random.below(10));
    dla::Optimizer adam(dla::Adam({.learning_rate = 1e-3, .weight_decay = 1e-4}));
    const dla::CrossEntropy loss;
    std::vector<float> logits(static_cast<std::size_t>(s.batch * model->output_shape().size()));
    const auto step = [&] {
        if (s.mode == "train")
            model->train_step(adam, loss, inputs, labels);
        else
            model->predict(inputs, logits);
    };
    using Clock = std::chrono::steady_clock;
    const auto measure = [&](double seconds) {
        std::vector<double> times;
        const long faults = page_faults();
        const auto end = Clock::now() + std::chrono::duration<double>(seconds);
        while (Clock::now() < end || times.size() < 3) {
            const auto start = Clock::now();
            step();
            times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
        }
        const double faults_per_step = static_cast<double>(page_faults() - faults) / static_cast<double>(times.size());
        std::sort(times.begin(), times.end());
        const double ms = times[times.size() / 2];
        std::printf("{\"peer\": \"dla " DLA_VERSION_STRING
                    " %s\", \"model\": \"%s\", \"mode\": \"%s\", \"batch\": %lld, \"threads\": %d, \"ms\": %.4f, \"min\": %.4f, "
                    "\"images_per_s\": %.1f, \"parameters\": %lld, \"peak_mb\": %.1f, \"faults\": %.2f%s}\n",
                    model->computes_on().c_str(), s.model.c_str(), s.mode.c_str(), static_cast<long long>(s.batch), s.threads, ms, times.front(),
                    1e3 * static_cast<double>(s.batch) / ms, static_cast<long long>(model->index().parameter_count()),
                    static_cast<double>(memory("VmHWM:") - before) / 1024, faults_per_step, more().c_str());
        std::fflush(stdout);
    };
    for (int i = 0; i < 3; ++i) step();
    measure(s.serve ? 0 : s.seconds);
    for (std::string line; s.serve && std::getline(std::cin, line);) measure(std::atof(line.c_str()));
} catch (const std::exception& e) {
    std::fprintf(stderr, "train_step: %s\n", e.what());
    return 1;
}
