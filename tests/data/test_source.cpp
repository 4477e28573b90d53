// SPDX-License-Identifier: MIT
// Data that are no images of bytes: arrays, sources of one's own, samples drawn by weight; and what augmentation does beyond moving images.
#include <dla/data.hpp>

#include "files.hpp"

#include <cmath>
#include <cstring>

using namespace dla;
using files::message_of;

namespace {

std::vector<float> counting(int n) {
    std::vector<float> v;
    for (int i = 0; i < n; ++i) v.push_back(static_cast<float>(i));
    return v;
}

/// Sample i is {i, epoch, noise of its position}, its target {10 i, -i}.
struct Own final : DataSource {
    bool broken = false;
    index_t size() const override { return 37; }
    Shape input_shape() const override { return Shape{3}; }
    Shape target_shape() const override { return Shape{2}; }
    void read(const SamplePosition& at, std::span<float> input) const override {
        if (broken && at.sample == 20) throw std::runtime_error("sample 20 is unreadable");
        RandomStream random({at.seed, at.epoch, at.sample}, RandomUse::augmentation);
        input[0] = static_cast<float>(at.sample), input[1] = static_cast<float>(at.epoch), input[2] = random.uniform();
    }
    void target(index_t sample, std::span<float> values) const override { values[0] = 10 * static_cast<float>(sample), values[1] = -static_cast<float>(sample); }
};

std::vector<float> epoch_of(Loader& loader, std::uint32_t epoch) {
    std::vector<float> all;
    loader.start_epoch(epoch);
    while (const Batch* b = loader.next()) {
        CHECK(b->labels.empty());
        CHECK(b->values.size() == static_cast<std::size_t>(2 * b->count));
        CHECK_FALSE(b->targets().are_labels());
        for (std::size_t i = 0; i < b->samples.size(); ++i) {
            CHECK(b->inputs[3 * i] == static_cast<float>(b->samples[i]));
            CHECK(b->values[2 * i] == 10 * b->inputs[3 * i]);
            CHECK(b->values[2 * i + 1] == -b->inputs[3 * i]);
        }
        all.insert(all.end(), b->inputs.begin(), b->inputs.end());
    }
    return all;
}

Dataset one_image() {
    Dataset data;
    data.name = "one";
    data.shape = Shape{3, 6, 5};
    data.num_classes = 1;
    data.mean = {.4f, .5f, .6f};
    data.std = {.2f, .3f, .4f};
    RandomStream random({9, 0, 0}, RandomUse::synthesis);
    for (int i = 0; i < 90; ++i) data.images.push_back(static_cast<std::uint8_t>(random.bits()));
    data.labels = {0};
    return data;
}

}  // namespace

TEST_CASE("source: values as targets, the same batches for any number of workers") {
    const Own own;
    Loader plain(own, {.batch_size = 8, .last_batch = LastBatch::keep, .workers = 0});
    const std::vector<float> first = epoch_of(plain, 1), second = epoch_of(plain, 2);
    CHECK(first.size() == 37 * 3);
    CHECK(first != second);
    for (const int workers : {1, 3}) {
        Loader loader(own, {.batch_size = 8, .last_batch = LastBatch::keep, .workers = workers});
        CHECK(epoch_of(loader, 1) == first);
        CHECK(epoch_of(loader, 2) == second);
    }
    Own broken;
    broken.broken = true;
    Loader loader(broken, {.batch_size = 8, .workers = 2});
    loader.start_epoch(1);
    CHECK_THROWS_WITH(while (loader.next()) continue, "sample 20 is unreadable");
}

TEST_CASE("source: arrays are looked at or taken, and transformed") {
    const std::vector<float> x = counting(12);
    const std::vector<std::int32_t> labels{0, 2, 1, 0};
    ArrayData view(Shape{3}, std::span(x), std::span(labels)), taken(Shape{3}, std::vector<float>(x), std::vector<std::int32_t>(labels));
    ArrayData moved = std::move(taken);
    CHECK(view.inputs().data() == x.data());
    for (const ArrayData* data : {&view, &moved}) {
        CHECK(data->size() == 4);
        CHECK(data->classes() == 3);
        float sample[3];
        data->read({0, 0, 2}, sample);
        CHECK(sample[1] == 7);
        CHECK(data->label(1) == 2);
    }
    view.transform = [](const SamplePosition& at, std::span<float> v) { v[0] = static_cast<float>(100 * at.epoch + at.sample); };
    Loader loader(view, {.batch_size = 4, .shuffle = false, .workers = 0});
    loader.start_epoch(3);
    const Batch& batch = *loader.next();
    CHECK(batch.inputs[9] == 303);
    CHECK(batch.inputs[10] == 10);
    CHECK(batch.targets().are_labels());
    CHECK(x[9] == 9);

    const ArrayData values(Shape{1, 2, 2}, counting(8), Shape{3}, counting(6));
    CHECK(values.classes() == 0);
    float target[3];
    values.target(1, target);
    CHECK(target[2] == 5);
}

TEST_CASE("source: arrays that do not fit are refused") {
    const auto refused = [](const auto& make) {
        try {
            make();
        } catch (const Error& e) {
            return std::string(e.what());
        }
        return std::string("no error");
    };
    const std::vector<std::int32_t> two{0, 1};
    using V = std::vector<float>;
    using L = std::vector<std::int32_t>;
    CHECK(refused([&] { ArrayData(Shape{3}, counting(7), L(two)); }) ==
          "error[data] ArrayData: got 7 input values; expected a multiple of 3, the size of one sample [3]");
    CHECK(refused([&] { ArrayData(Shape{3}, counting(9), L(two)); }) == "error[data] ArrayData: got 2 labels; expected one for each of 3 samples");
    CHECK(refused([&] { ArrayData(Shape{3}, counting(6), L(8)); }) ==
          "error[data] ArrayData: got 8 labels; expected one for each of 2 samples; 4 for each need their shape behind them, e.g. Shape{1, height, width}");
    CHECK(refused([&] { ArrayData(Shape{3}, counting(6), L{0, -1}); }) == "error[data] ArrayData: sample 1 has the label -1; class numbers begin with 0");
    CHECK(refused([&] { ArrayData(Shape{3}, V{0, 1, 2, 3, NAN, 5}, L(two)); }) ==
          "error[data] ArrayData: the input of sample 1 has a value that is not finite (its value 1)");
    CHECK(refused([&] { ArrayData(Shape{3}, counting(6), Shape{2}, counting(3)); }) ==
          "error[data] ArrayData: got 3 target values; expected 4, [2] for each of 2 samples");
    CHECK(refused([&] { ArrayData(Shape{3}, counting(3), Shape{1}, V{INFINITY}); }).find("the target of sample 0") != std::string::npos);
    CHECK(refused([&] { ArrayData(Shape{Dyn}, counting(6), L(two)); }).find("expected sizes of at least 1") != std::string::npos);
    CHECK(refused([&] { ArrayData(Shape{3}, V{}, L{}); }).find("got 0 input values") != std::string::npos);
    const Own own;
    CHECK(message_of([&] { Loader(own, {.augmentation = {.flip = true}}); }, ErrorCode::config).find("are for the images of a Dataset") != std::string::npos);
    CHECK(message_of([&] { Loader(own, {.weights = {1, 2}}); }, ErrorCode::config).find("got 2 weights; expected one for each of 37 samples") != std::string::npos);
    CHECK(message_of([&] { Loader(own, {.weights = std::vector<double>(37, 0.0)}); }, ErrorCode::config).find("must not all be 0") != std::string::npos);
    CHECK(message_of([&] { Loader(own, {.weights = std::vector<double>(37, -1.0)}); }, ErrorCode::config).find("finite and not negative") != std::string::npos);
    CHECK(message_of([&] { balanced_weights(own, all_samples(own)); }).find("no class numbers") != std::string::npos);
    const Dataset data = one_image();
    CHECK(message_of([&] { Loader(data, {.augmentation = {.cutout = -1}}); }, ErrorCode::config).find("cutout must be 0 or more") != std::string::npos);
    CHECK(message_of([&] { Loader(data, {.augmentation = {.contrast = NAN}}); }, ErrorCode::config).find("contrast, brightness and saturation must be 0 to 1") != std::string::npos);
}

TEST_CASE("source: samples are drawn in proportion to their weights, the same ones in each run") {
    const Own own;
    std::vector<double> weights(37, 0.0);
    weights[3] = 1, weights[5] = 3;
    Loader loader(own, {.batch_size = 37, .last_batch = LastBatch::keep, .workers = 0, .weights = weights});
    int three = 0, total = 0;
    for (std::uint32_t epoch = 0; epoch < 300; ++epoch) {
        loader.start_epoch(epoch);
        for (const std::uint32_t s : loader.next()->samples) {
            REQUIRE((s == 3 || s == 5));
            three += s == 3 ? 1 : 0, ++total;
        }
    }
    CHECK(total == 300 * 37);
    CHECK(std::abs(three - total / 4.0) < 4 * std::sqrt(total * 3 / 16.0));
    Loader again(own, {.batch_size = 37, .last_batch = LastBatch::keep, .workers = 2, .weights = weights});
    loader.start_epoch(7), again.start_epoch(7);
    const Batch &a = *loader.next(), &b = *again.next();
    CHECK(std::equal(a.samples.begin(), a.samples.end(), b.samples.begin()));
}

TEST_CASE("source: contrast, brightness and cutout do what they say, and nothing moves that was there before") {
    const Dataset data = one_image();
    const Normalisation table(data);
    std::vector<float> plain(90), out(90);
    const auto write = [&](const Augmentation& augmentation, std::uint32_t epoch, std::vector<float>& to) {
        write_augmented(data.images.data(), data.shape, table, data.std, augmentation, Seed{5}, epoch, 0, to);
    };
    int cut = 0, corners = 0;
    for (std::uint32_t epoch = 0; epoch < 200; ++epoch) {
        write({.padding = 2, .flip = true}, epoch, plain);
        const Augmentation jitter{.padding = 2, .flip = true, .contrast = 0.5, .brightness = 0.25};
        const AugmentationDraw draw = draw_augmentation(jitter, Seed{5}, epoch, 0);
        CHECK(draw.gain >= 0.5f);
        CHECK(draw.gain <= 1.5f);
        CHECK(std::abs(draw.shift) <= 0.25f);
        write(jitter, epoch, out);
        for (std::size_t i = 0; i < 90; ++i) REQUIRE(out[i] == doctest::Approx(plain[i] * draw.gain + draw.shift / data.std[i % 3]).epsilon(1e-6));

        write({.padding = 2, .flip = true, .cutout = 3}, epoch, out);
        int zeros = 0, top = 6, left = 5, bottom = -1, right = -1;
        for (int y = 0; y < 6; ++y)
            for (int x = 0; x < 5; ++x) {
                const float* at = out.data() + (y * 5 + x) * 3;
                if (at[0] == 0 && at[1] == 0 && at[2] == 0)
                    ++zeros, top = std::min(top, y), left = std::min(left, x), bottom = std::max(bottom, y), right = std::max(right, x);
                else
                    REQUIRE(std::memcmp(at, plain.data() + (y * 5 + x) * 3, 12) == 0);
            }
        REQUIRE(zeros == (bottom - top + 1) * (right - left + 1));  // a rectangle
        REQUIRE(bottom - top < 3);
        REQUIRE(right - left < 3);
        cut += zeros, corners += zeros == 4 ? 1 : 0;
    }
    CHECK(cut > 200 * 5);  // at most 9, less at the borders
    CHECK(corners > 0);
}
