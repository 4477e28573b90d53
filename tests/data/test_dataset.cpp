// SPDX-License-Identifier: MIT
#include <dla/data.hpp>

#include "files.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

using namespace files;
using dla::ErrorCode;
using dla::Seed;

namespace {

dla::Dataset random_images(dla::Shape shape, int count, std::uint64_t seed) {
    dla::Dataset data;
    data.name = "random";
    data.shape = shape;
    data.num_classes = 10;
    data.mean.assign(static_cast<std::size_t>(shape.d[0]), .4f);
    data.std.assign(static_cast<std::size_t>(shape.d[0]), .25f);
    for (std::size_t c = 0; c < data.mean.size(); ++c) data.mean[c] += .01f * static_cast<float>(c);
    dla::RandomStream random({seed, 0, 0}, dla::RandomUse::synthesis);
    for (dla::index_t i = 0; i < count * shape.size(); ++i) data.images.push_back(static_cast<std::uint8_t>(random.bits()));
    for (int i = 0; i < count; ++i) data.labels.push_back(static_cast<std::int32_t>(random.below(10)));
    return data;
}

}  // namespace

TEST_CASE("dataset: check names what does not fit") {
    const dla::Dataset good = random_images({3, 4, 5}, 6, 1);
    CHECK_NOTHROW(good.check());
    const auto refused = [&](auto change) {
        dla::Dataset bad = good;
        change(bad);
        return message_of([&] { bad.check(); });
    };
    CHECK(contains(refused([](auto& d) { d.labels[2] = 10; }), "expected 0 to 9, got 10"));
    CHECK(contains(refused([](auto& d) { d.labels[2] = -1; }), "got -1"));
    CHECK(contains(refused([](auto& d) { d.images.pop_back(); }), "expected 360 pixel bytes, got 359"));
    CHECK(contains(refused([](auto& d) { d.labels.clear(); }), "empty"));
    CHECK(contains(refused([](auto& d) { d.shape = dla::Shape{60}; }), "[channels, height, width], got [60]"));
    CHECK(contains(refused([](auto& d) { d.std[1] = 0; }), "positive"));
    CHECK(contains(refused([](auto& d) { d.mean.pop_back(); }), "one value per channel"));
    CHECK(contains(refused([](auto& d) { d.num_classes = 0; }), "classes"));
}

TEST_CASE("split: disjoint, complete, of the asked size, and a function of the seed") {
    const dla::Split split = dla::random_split(1000, 123, Seed{7});
    CHECK(split.validation.size() == 123);
    CHECK(split.train.size() == 877);
    std::vector<std::uint32_t> all = split.train;
    all.insert(all.end(), split.validation.begin(), split.validation.end());
    std::sort(all.begin(), all.end());
    for (std::uint32_t i = 0; i < 1000; ++i) REQUIRE(all[i] == i);
    CHECK(std::is_sorted(split.train.begin(), split.train.end()));
    CHECK(split.validation == dla::random_split(1000, 123, Seed{7}).validation);
    CHECK(split.validation != dla::random_split(1000, 123, Seed{8}).validation);
    // About uniform: the mean of 123 of 0..999 has a standard deviation of 24.4.
    const double mean = std::accumulate(split.validation.begin(), split.validation.end(), 0.0) / 123;
    CHECK(std::abs(mean - 499.5) < 100);
    CHECK(dla::random_split(5, 0, Seed{1}).validation.empty());
    CHECK(dla::random_split(5, 4, Seed{1}).train.size() == 1);
    CHECK(contains(message_of([] { dla::random_split(5, 5, Seed{1}); }, ErrorCode::config), "expected 0 to 4, got 5"));
    CHECK(contains(message_of([] { dla::random_split(5, -1, Seed{1}); }, ErrorCode::config), "got -1"));
    message_of([] { dla::random_split(0, 0, Seed{1}); });
}

TEST_CASE("layout: the conversions are each other's inverse and place values right") {
    const dla::Shape shape{3, 2, 4};
    std::vector<float> chw(48), hwc(48), back(48);
    std::iota(chw.begin(), chw.end(), 0.0f);
    dla::nchw_to_nhwc(chw, hwc, 2, shape);
    for (int n = 0; n < 2; ++n)
        for (int c = 0; c < 3; ++c)
            for (int y = 0; y < 2; ++y)
                for (int x = 0; x < 4; ++x)
                    CHECK(hwc[static_cast<std::size_t>(((n * 2 + y) * 4 + x) * 3 + c)] == chw[static_cast<std::size_t>(((n * 3 + c) * 2 + y) * 4 + x)]);
    dla::nhwc_to_nchw(hwc, back, 2, shape);
    CHECK(back == chw);
    CHECK_NOTHROW(dla::nchw_to_nhwc({}, {}, 0, shape));
    message_of([&] { dla::nchw_to_nhwc(chw, hwc, 3, shape); }, ErrorCode::shape);
    message_of([&] { dla::nhwc_to_nchw(chw, std::span<float>(hwc).first(47), 2, shape); }, ErrorCode::shape);
    message_of([&] { dla::nchw_to_nhwc(chw, hwc, 2, dla::Shape{24}); }, ErrorCode::shape);
}

TEST_CASE("augmentation: equals padding, cropping, flipping and normalising one after another") {
    for (const dla::Shape shape : {dla::Shape{3, 8, 6}, dla::Shape{1, 5, 5}, dla::Shape{2, 4, 7}}) {
        const dla::Dataset data = random_images(shape, 4, 3);
        const dla::Normalisation table(data);
        const int channels = static_cast<int>(shape.d[0]), height = static_cast<int>(shape.d[1]), width = static_cast<int>(shape.d[2]), pad = 3;
        std::vector<float> out(data.sample_size());
        for (std::uint32_t sample = 0; sample < 4; ++sample)
            for (std::uint32_t epoch = 0; epoch < 30; ++epoch) {
                const auto draw = dla::draw_augmentation({pad, true}, Seed{11}, epoch, sample);
                REQUIRE(std::abs(draw.down) <= pad);
                REQUIRE(std::abs(draw.right) <= pad);
                dla::write_image(data.image(sample).data(), shape, table, draw, out.data());
                std::vector<int> padded(static_cast<std::size_t>((height + 2 * pad) * (width + 2 * pad) * channels), 0);
                const auto at = [&](int y, int x, int c) -> int& { return padded[static_cast<std::size_t>((y * (width + 2 * pad) + x) * channels + c)]; };
                for (int y = 0; y < height; ++y)
                    for (int x = 0; x < width; ++x)
                        for (int c = 0; c < channels; ++c)
                            at(y + pad, x + pad, c) = data.image(sample)[static_cast<std::size_t>((y * width + x) * channels + c)];
                int wrong = 0;
                for (int y = 0; y < height; ++y)
                    for (int x = 0; x < width; ++x)
                        for (int c = 0; c < channels; ++c) {
                            const int column = draw.flip ? width - 1 - x : x;
                            const float pixel = static_cast<float>(at(y + pad + draw.down, column + pad + draw.right, c)) / 255.0f;
                            const float expected = (pixel - data.mean[static_cast<std::size_t>(c)]) / data.std[static_cast<std::size_t>(c)];
                            wrong += out[static_cast<std::size_t>((y * width + x) * channels + c)] != expected;
                        }
                CHECK(wrong == 0);
            }
    }
}

TEST_CASE("augmentation: draws are uniform, independent of each other, and off by default") {
    int down[9]{}, right[9]{}, flips = 0;
    for (std::uint32_t i = 0; i < 18000; ++i) {
        const auto draw = dla::draw_augmentation(dla::cifar10_augmentation, Seed{1}, i % 3, i);
        ++down[draw.down + 4];
        ++right[draw.right + 4];
        flips += draw.flip;
    }
    for (int i = 0; i < 9; ++i) {
        CHECK(std::abs(down[i] - 2000) < 200);  // 4.7 standard deviations
        CHECK(std::abs(right[i] - 2000) < 200);
    }
    CHECK(std::abs(flips - 9000) < 300);
    const auto none = dla::draw_augmentation({}, Seed{1}, 2, 3);
    CHECK(none.down == 0);
    CHECK(none.right == 0);
    CHECK(!none.flip);
}

TEST_CASE("digits: an image depends on seed, part and index only") {
    const auto a = dla::make_digits(2500, Seed{1}, dla::DigitsPart::train, 1), b = dla::make_digits(3000, Seed{1}, dla::DigitsPart::train, 3);
    CHECK(std::equal(a.images.begin(), a.images.end(), b.images.begin()));
    CHECK(std::equal(a.labels.begin(), a.labels.end(), b.labels.begin()));
    a.check();
    CHECK(dla::make_digits(100, Seed{2}).images != dla::make_digits(100, Seed{1}).images);
    CHECK(dla::make_digits(100, Seed{1}, dla::DigitsPart::test).images != dla::make_digits(100, Seed{1}).images);
    message_of([] { dla::make_digits(0, Seed{1}); }, ErrorCode::config);
}

TEST_CASE("digits: balanced, all different, written in the middle, with the stated mean and deviation") {
    const auto data = dla::make_digits(10000, Seed{42});
    int counts[10]{};
    for (auto label : data.labels) ++counts[label];
    for (int c : counts) CHECK(std::abs(c - 1000) < 150);
    std::set<std::string> different;
    double sum = 0, squares = 0, border = 0;
    for (dla::index_t i = 0; i < data.size(); ++i) {
        const auto image = data.image(i);
        different.emplace(image.begin(), image.end());
        for (std::size_t p = 0; p < 784; ++p) {
            const double v = image[p] / 255.0;
            sum += v;
            squares += v * v;
            if (p < 28 || p >= 756 || p % 28 == 0 || p % 28 == 27) border += v;
        }
    }
    CHECK(different.size() == 10000);
    const double n = 7840000, mean = sum / n;
    CHECK(std::abs(mean - data.mean[0]) < .002);
    CHECK(std::abs(std::sqrt(squares / n - mean * mean) - data.std[0]) < .002);
    CHECK(border / (108 * 10000) < .03);
    CHECK(*std::max_element(data.images.begin(), data.images.end()) == 255);
}

TEST_CASE("digits: classes differ, but not so much that the nearest mean image tells them apart") {
    const auto train = dla::make_digits(6000, Seed{3}), test = dla::make_digits(2000, Seed{3}, dla::DigitsPart::test);
    std::vector<double> means(7840);
    int counts[10]{};
    for (dla::index_t i = 0; i < train.size(); ++i) {
        const auto label = static_cast<std::size_t>(train.labels[static_cast<std::size_t>(i)]);
        ++counts[label];
        for (std::size_t p = 0; p < 784; ++p) means[label * 784 + p] += train.image(i)[p];
    }
    for (std::size_t k = 0; k < 7840; ++k) means[k] /= counts[k / 784];
    int right = 0;
    for (dla::index_t i = 0; i < test.size(); ++i) {
        double best = 1e300;
        std::int32_t guess = -1;
        for (std::int32_t label = 0; label < 10; ++label) {
            double distance = 0;
            for (std::size_t p = 0; p < 784; ++p) {
                const double d = test.image(i)[p] - means[static_cast<std::size_t>(label) * 784 + p];
                distance += d * d;
            }
            if (distance < best) {
                best = distance;
                guess = label;
            }
        }
        right += guess == test.labels[static_cast<std::size_t>(i)];
    }
    CHECK(right > 2000 * 40 / 100);
    CHECK(right < 2000 * 85 / 100);
    MESSAGE("nearest mean: ", right / 20.0, " %");
}

TEST_CASE("digits: load_dataset gives the asked sizes without any file") {
    dla::LoadOptions options;
    options.digits_train = 300;
    options.digits_test = 100;
    const auto pair = dla::load_dataset("digits", "/nonexistent", options);
    CHECK(pair.train.size() == 300);
    CHECK(pair.test.size() == 100);
    CHECK(pair.train.shape == dla::Shape{1, 28, 28});
}
