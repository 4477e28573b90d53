// SPDX-License-Identifier: MIT
// Samples a second that one thread prepares, by the loader itself: CIFAR-10's shape with crop and flip, MNIST's without, random bytes of the sets' sizes.
// usage: bench_loader [--seconds 2]
#include <dla/data.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

dla::Dataset random_set(const dla::Shape& shape, dla::index_t samples) {
    dla::Dataset d;
    d.shape = shape;
    d.num_classes = 10;
    d.mean.assign(static_cast<std::size_t>(shape.d[0]), 0.5f);
    d.std.assign(static_cast<std::size_t>(shape.d[0]), 0.25f);
    d.images.resize(static_cast<std::size_t>(samples * shape.size()));
    d.labels.resize(static_cast<std::size_t>(samples));
    dla::RandomStream random({1, 0, 0}, dla::RandomUse::synthesis);
    for (auto& byte : d.images) byte = static_cast<std::uint8_t>(random.bits() >> 24);
    for (auto& label : d.labels) label = static_cast<std::int32_t>(random.below(10));
    return d;
}

void measure(const char* name, const dla::Dataset& data, dla::index_t batch, const dla::Augmentation& augmentation, double seconds) {
    using Clock = std::chrono::steady_clock;
    dla::LoaderOptions options{.batch_size = batch, .augmentation = augmentation, .workers = 0};
    dla::Loader loader(data, dla::all_samples(data), options);
    std::uint32_t epoch = 0;
    loader.start_epoch(epoch);
    double samples = 0;
    const auto start = Clock::now();
    double spent = 0;
    while (spent < seconds) {
        const dla::Batch* b = loader.next();
        if (!b) {
            loader.start_epoch(++epoch);
            continue;
        }
        samples += static_cast<double>(b->count);
        spent = std::chrono::duration<double>(Clock::now() - start).count();
    }
    std::printf("%-34s batch %4lld: %9.0f samples/s, %6.1f us a batch, %.2f ns a value\n", name, static_cast<long long>(batch), samples / spent,
                1e6 * spent / samples * static_cast<double>(batch), 1e9 * spent / samples / static_cast<double>(data.sample_size()));
}

}  // namespace

int main(int argc, char** argv) {
    const double seconds = argc > 2 && std::string(argv[1]) == "--seconds" ? std::atof(argv[2]) : 2;
    measure("CIFAR-10, crop and flip", random_set({3, 32, 32}, 50000), 256, dla::cifar10_augmentation, seconds);
    measure("MNIST", random_set({1, 28, 28}, 60000), 128, {}, seconds);
}
