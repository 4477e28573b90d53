// SPDX-License-Identifier: MIT
// Time of one training step or one inference of the experiments' networks: the counterpart of a PyTorch script with the same arguments.
// usage: train_step MODEL MODE [--threads 2] [--batch N] [--seconds 4]; prints one JSON line. MODEL: mlp mlp_residual deep deep_residual
// cnn_cifar10 cnn_residual_cifar10 cnn_mnist cnn_residual_mnist. MODE: train (forward, loss, backward, Adam step) | infer.
#include <dla/model/any_model.hpp>
#include <dla/zoo/families.hpp>
#include <dla/nn.hpp>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

template <class Net>
std::unique_ptr<dla::AnyModel> make(const Net& net, const dla::Shape& input, int threads) {
    dla::Cpu<float> policy;
    policy.threads = threads;
    return dla::erase(dla::Model<Net>(net, input, dla::Seed{0}, policy));
}

std::unique_ptr<dla::AnyModel> make_model(const std::string& name, int threads, dla::index_t& batch) {
    const bool residual = name.find("residual") != std::string::npos;
    if (name.starts_with("cnn")) {
        batch = 256;
        const bool mnist = name.ends_with("mnist");
        const dla::CnnOptions options{.filters = mnist ? std::vector<dla::index_t>{16, 32, 64, 128} : std::vector<dla::index_t>{32, 64, 128, 256}};
        const dla::Shape input = mnist ? dla::Shape{1, 28, 28} : dla::Shape{3, 32, 32};
        return residual ? make(dla::make_residual_cnn(options), input, threads) : make(dla::make_cnn(options), input, threads);
    }
    batch = 128;
    std::vector<dla::index_t> sizes{128, 64, 32, 32, 10};
    if (name.starts_with("deep")) {
        sizes = {128, 64};
        sizes.insert(sizes.end(), 98, 32);
        sizes.push_back(10);
    }
    return residual ? make(dla::make_residual_mlp(sizes), dla::Shape{1, 28, 28}, threads) : make(dla::make_mlp(sizes), dla::Shape{1, 28, 28}, threads);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: train_step MODEL train|infer [--threads N] [--batch N] [--seconds S]\n");
        return 2;
    }
    int threads = 2;
    dla::index_t wanted = 0;
    double seconds = 4;
    for (int i = 3; i + 1 < argc; i += 2) {
        if (std::strcmp(argv[i], "--threads") == 0) threads = std::atoi(argv[i + 1]);
        if (std::strcmp(argv[i], "--batch") == 0) wanted = std::atoi(argv[i + 1]);
        if (std::strcmp(argv[i], "--seconds") == 0) seconds = std::atof(argv[i + 1]);
    }
    dla::index_t batch = 0;
    auto model = make_model(argv[1], threads, batch);
    if (wanted > 0) batch = wanted;
    std::vector<float> images(static_cast<std::size_t>(batch * model->input_shape().size()));
    std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
    dla::RandomStream random({1, 0, 0}, dla::RandomUse::synthesis);
    for (float& v : images) v = static_cast<float>(random.normal());
    for (std::int32_t& l : labels) l = static_cast<std::int32_t>(random.below(10));
    dla::Optimizer adam(dla::Adam({.learning_rate = 1e-3, .weight_decay = 1e-4}));
    const dla::CrossEntropy loss;
    const bool train = std::strcmp(argv[2], "train") == 0;
    std::vector<float> logits(static_cast<std::size_t>(batch * model->output_shape().size()));
    const auto step = [&] {
        if (train)
            model->train_step(adam, loss, images, labels);
        else
            model->predict(images, logits);
    };
    using Clock = std::chrono::steady_clock;
    for (int i = 0; i < 3; ++i) step();
    std::vector<double> times;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    while (Clock::now() < end || times.size() < 5) {
        const auto start = Clock::now();
        step();
        times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    }
    std::sort(times.begin(), times.end());
    const double ms = times[times.size() / 2];
    std::printf(
        "{\"peer\": \"dla %s %s\", \"model\": \"%s\", \"mode\": \"%s\", \"batch\": %lld, \"threads\": %d, \"ms\": %.4f, \"min\": %.4f, \"images_per_s\": %.1f, "
        "\"parameters\": %lld}\n",
        DLA_VERSION_STRING, dla::to_string(dla::active_isa()), argv[1], argv[2], static_cast<long long>(batch), threads, ms, times.front(),
        1e3 * static_cast<double>(batch) / ms, static_cast<long long>(model->index().parameter_count()));
}
