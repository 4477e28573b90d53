// SPDX-License-Identifier: MIT
#include <dla/data.hpp>

#include "files.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <set>
#include <thread>

using namespace files;
using dla::ErrorCode;
using dla::LastBatch;
using dla::Loader;
using dla::LoaderOptions;
using dla::Seed;

extern std::atomic<long> allocations;  // of this program, see allocations.cpp

namespace {

dla::Dataset small_set(int count = 103) {
    dla::Dataset data;
    data.name = "small";
    data.shape = dla::Shape{3, 6, 5};
    data.num_classes = 10;
    data.mean = {.4f, .5f, .6f};
    data.std = {.2f, .3f, .4f};
    dla::RandomStream random({9, 0, 0}, dla::RandomUse::synthesis);
    for (int i = 0; i < count * 90; ++i) data.images.push_back(static_cast<std::uint8_t>(random.bits()));
    for (int i = 0; i < count; ++i) data.labels.push_back(i % 10);
    return data;
}

struct Copy {
    std::vector<float> images;
    std::vector<std::int32_t> labels;
    std::vector<std::uint32_t> samples;
    dla::index_t index = 0;
    bool operator==(const Copy&) const = default;
};

std::vector<Copy> epoch_of(Loader& loader, std::uint32_t epoch, dla::index_t first = 0) {
    std::vector<Copy> batches;
    loader.start_epoch(epoch, first);
    while (const dla::Batch* b = loader.next()) {
        CHECK(reinterpret_cast<std::uintptr_t>(b->inputs.data()) % 64 == 0);
        CHECK(b->count == static_cast<dla::index_t>(b->labels.size()));
        batches.push_back({{b->inputs.begin(), b->inputs.end()}, {b->labels.begin(), b->labels.end()}, {b->samples.begin(), b->samples.end()}, b->index});
    }
    CHECK(loader.next() == nullptr);
    return batches;
}

LoaderOptions training(int workers, dla::index_t batch = 16) {
    LoaderOptions options;
    options.batch_size = batch;
    options.augmentation = {2, true};
    options.seed = Seed{5};
    options.workers = workers;
    return options;
}

}  // namespace

TEST_CASE("loader: the same batches for any number of workers and any prefetch") {
    const dla::Dataset data = small_set();
    Loader plain(data, dla::all_samples(data), training(0));
    const auto expected = epoch_of(plain, 3);
    REQUIRE(expected.size() == 7);
    for (int workers : {1, 2, 4})
        for (int prefetch : {1, 2, 5}) {
            LoaderOptions options = training(workers);
            options.prefetch = prefetch;
            Loader loader(data, dla::all_samples(data), options);
            CHECK(epoch_of(loader, 3) == expected);
            CHECK(epoch_of(loader, 4) != expected);
            CHECK(epoch_of(loader, 3) == expected);
        }
}

TEST_CASE("loader: each sample once, with its label and its own augmentation") {
    const dla::Dataset data = small_set();
    Loader loader(data, dla::all_samples(data), training(2));
    const dla::Normalisation table(data);
    std::set<std::uint32_t> seen;
    std::vector<float> expected(90);
    for (const Copy& batch : epoch_of(loader, 8))
        for (std::size_t i = 0; i < batch.samples.size(); ++i) {
            const std::uint32_t s = batch.samples[i];
            CHECK(seen.insert(s).second);
            CHECK(batch.labels[i] == data.labels[s]);
            dla::write_image(data.image(s).data(), data.shape, table, dla::draw_augmentation({2, true}, Seed{5}, 8, s), expected.data());
            CHECK(std::memcmp(expected.data(), batch.images.data() + i * 90, 360) == 0);
        }
    CHECK(seen.size() == 103);
}

TEST_CASE("loader: epochs and seeds give different orders, evaluation keeps the order") {
    const dla::Dataset data = small_set();
    const std::vector<std::uint32_t> chosen = {7, 3, 99, 50, 3};
    Loader loader(data, chosen, dla::evaluation_options(2));
    const auto batches = epoch_of(loader, 0);
    REQUIRE(batches.size() == 3);
    CHECK(batches[0].samples == std::vector<std::uint32_t>{7, 3});
    CHECK(batches[2].samples == std::vector<std::uint32_t>{3});
    CHECK(batches == epoch_of(loader, 5));
    const float expected = (static_cast<float>(data.image(7)[1]) / 255.0f - .5f) / .3f;
    CHECK(batches[0].images[1] == expected);

    LoaderOptions other = training(1);
    other.seed = Seed{6};
    Loader a(data, dla::all_samples(data), training(1)), b(data, dla::all_samples(data), other);
    CHECK(epoch_of(a, 1) != epoch_of(b, 1));
    CHECK(epoch_of(a, 1)[0].samples != epoch_of(a, 2)[0].samples);
}

TEST_CASE("loader: an epoch can be continued at any batch") {
    const dla::Dataset data = small_set();
    Loader whole(data, dla::all_samples(data), training(2));
    const auto expected = epoch_of(whole, 6);
    for (std::size_t first = 0; first <= expected.size(); ++first)
        for (int workers : {0, 3}) {
            Loader again(data, dla::all_samples(data), training(workers));
            const auto rest = epoch_of(again, 6, static_cast<dla::index_t>(first));
            CHECK(rest == std::vector<Copy>(expected.begin() + static_cast<std::ptrdiff_t>(first), expected.end()));
        }
    message_of([&] { whole.start_epoch(0, 8); }, ErrorCode::config);
    message_of([&] { whole.start_epoch(0, -1); }, ErrorCode::config);
}

TEST_CASE("loader: what becomes of the last batch") {
    const dla::Dataset data = small_set();
    const auto sizes = [&](int count, LastBatch last) {
        LoaderOptions options = training(1);
        options.last_batch = last;
        auto samples = dla::all_samples(data);
        samples.resize(static_cast<std::size_t>(count));
        Loader loader(data, samples, options);
        std::vector<std::size_t> found;
        dla::index_t total = 0;
        for (const Copy& batch : epoch_of(loader, 0)) {
            found.push_back(batch.labels.size());
            total += static_cast<dla::index_t>(batch.labels.size());
        }
        CHECK(loader.batches() == static_cast<dla::index_t>(found.size()));
        CHECK(loader.samples() == total);
        return found;
    };
    using Sizes = std::vector<std::size_t>;
    CHECK(sizes(33, LastBatch::keep) == Sizes{16, 16, 1});
    CHECK(sizes(33, LastBatch::drop_single) == Sizes{16, 16});
    CHECK(sizes(34, LastBatch::drop_single) == Sizes{16, 16, 2});
    CHECK(sizes(34, LastBatch::drop) == Sizes{16, 16});
    CHECK(sizes(32, LastBatch::drop) == Sizes{16, 16});
    CHECK(sizes(5, LastBatch::keep) == Sizes{5});
    message_of([&] { sizes(5, LastBatch::drop); });
    message_of([&] { sizes(1, LastBatch::drop_single); });
    message_of([&] { sizes(0, LastBatch::keep); });
}

TEST_CASE("loader: options and indices are checked") {
    dla::Dataset data = small_set();
    const auto refused = [&](auto change, ErrorCode code = ErrorCode::config) {
        LoaderOptions options = training(1);
        change(options);
        return message_of([&] { Loader(data, dla::all_samples(data), options); }, code);
    };
    refused([](auto& o) { o.batch_size = 0; });
    refused([](auto& o) { o.workers = -1; });
    refused([](auto& o) { o.prefetch = 0; });
    refused([](auto& o) { o.augmentation.padding = -1; });
    CHECK(contains(message_of([&] { Loader(data, {0, 103}, training(1)); }), "sample 103 is out of range"));
    Loader loader(data, dla::all_samples(data), training(1));
    message_of([&] { loader.next(); }, ErrorCode::usage);
    data.labels[0] = 10;
    refused([](auto&) {}, ErrorCode::data);
}

TEST_CASE("loader: what a worker throws reaches the consumer at its batch, and the loader can go on") {
    const dla::Dataset data = small_set();
    for (int workers : {0, 1, 3}) {
        LoaderOptions options = dla::evaluation_options(10, workers);
        options.transform = [](const dla::SamplePosition& at, std::span<const std::uint8_t> in, std::span<float> out) {
            if (at.epoch == 1 && at.sample == 35) throw std::runtime_error("sample 35");
            for (std::size_t i = 0; i < in.size(); ++i) out[i] = static_cast<float>(in[i]) + static_cast<float>(at.epoch);
        };
        Loader loader(data, dla::all_samples(data), options);
        loader.start_epoch(1);
        for (int i = 0; i < 3; ++i) {
            const dla::Batch* batch = loader.next();
            REQUIRE(batch != nullptr);
            CHECK(batch->index == i);
        }
        CHECK_THROWS_WITH(loader.next(), "sample 35");
        CHECK_THROWS_WITH(loader.next(), "sample 35");
        const auto batches = epoch_of(loader, 2);
        CHECK(batches.size() == 11);
        CHECK(batches[3].images[4] == static_cast<float>(data.image(30)[4]) + 2.0f);
    }
}

TEST_CASE("loader: can be stopped, restarted and destroyed at any moment") {
    const dla::Dataset data = small_set();
    for (int workers : {0, 1, 2, 4})
        for (int taken = 0; taken < 9; ++taken) {
            Loader loader(data, dla::all_samples(data), training(workers));
            loader.start_epoch(0);
            for (int i = 0; i < taken; ++i) (void)loader.next();
            loader.start_epoch(1);
            const dla::Batch* batch = loader.next();
            REQUIRE(batch != nullptr);
            CHECK(batch->index == 0);
            if (taken % 2) loader.start_epoch(2);
        }
    for (int workers : {1, 4}) Loader never_started(data, dla::all_samples(data), training(workers));
}

TEST_CASE("loader: an epoch allocates nothing, and buffers are reused") {
    const dla::Dataset data = small_set();
    for (int workers : {0, 2}) {
        Loader loader(data, dla::all_samples(data), training(workers));
        loader.start_epoch(0);
        while (loader.next() != nullptr) {
        }
        std::set<const float*> buffers;
        for (std::uint32_t epoch = 1; epoch < 4; ++epoch) {
            const long before = allocations;
            loader.start_epoch(epoch);
            const float* seen[16]{};
            int count = 0;
            while (const dla::Batch* batch = loader.next()) seen[count++] = batch->inputs.data();
            CHECK(allocations == before);
            buffers.insert(seen, seen + count);
        }
        CHECK(buffers.size() <= static_cast<std::size_t>(workers == 0 ? 1 : workers + 2));
    }
}

TEST_CASE("loader: a batch stays as it is until the next one is asked for") {
    const dla::Dataset data = small_set();
    Loader loader(data, dla::all_samples(data), training(4, 8));
    loader.start_epoch(0);
    while (const dla::Batch* batch = loader.next()) {
        const std::vector<float> before(batch->inputs.begin(), batch->inputs.end());
        std::this_thread::sleep_for(std::chrono::milliseconds(3));  // time for workers to go wrong in
        CHECK(std::equal(before.begin(), before.end(), batch->inputs.begin()));
    }
}
