// SPDX-License-Identifier: MIT
// Images that are turned, scaled, paled and mixed, each against a computation in double precision that is written another way.
#include <dla/data.hpp>

#include <support/error_of.hpp>
#include "files.hpp"

#include <atomic>
#include <cmath>
#include <numbers>

using namespace files;
using namespace dla;

extern std::atomic<long> allocations;  // of this program, see allocations.cpp

namespace {

Dataset noise(const Shape& shape, int count) {
    Dataset data;
    data.name = "noise";
    data.shape = shape;
    data.num_classes = 10;
    for (index_t c = 0; c < shape.d[0]; ++c) {
        data.mean.push_back(0.3f + 0.1f * static_cast<float>(c));
        data.std.push_back(0.2f + 0.05f * static_cast<float>(c));
    }
    RandomStream random({4, 0, 0}, RandomUse::synthesis);
    for (index_t i = 0; i < count * shape.size(); ++i) data.images.push_back(static_cast<std::uint8_t>(random.bits()));
    for (int i = 0; i < count; ++i) data.labels.push_back(i % 10);
    return data;
}

std::vector<float> written(const Dataset& data, index_t sample, const AugmentationDraw& draw) {
    std::vector<float> out(static_cast<std::size_t>(data.shape.size()));
    write_image(data.image(sample).data(), data.shape, Normalisation(data), draw, out.data());
    return out;
}

/// A pixel from 0 to 1, 0 beyond the image.
double pixel(const Dataset& data, index_t sample, index_t y, index_t x, index_t c) {
    const index_t height = data.shape.d[1], width = data.shape.d[2];
    if (y < 0 || y >= height || x < 0 || x >= width) return 0;
    return data.image(sample)[static_cast<std::size_t>((y * width + x) * data.shape.d[0] + c)] / 255.0;
}

}  // namespace

TEST_CASE("augmentation: a quarter turn moves every pixel to its place, exactly") {
    const Dataset data = noise(Shape{3, 7, 7}, 1);
    AugmentationDraw draw;
    draw.cosine = 0;
    draw.sine = 1;
    const std::vector<float> turned = written(data, 0, draw), plain = written(data, 0, {});
    for (index_t y = 0; y < 7; ++y)
        for (index_t x = 0; x < 7; ++x)
            for (index_t c = 0; c < 3; ++c)
                CHECK(turned[static_cast<std::size_t>((y * 7 + x) * 3 + c)] == plain[static_cast<std::size_t>((x * 7 + 6 - y) * 3 + c)]);
}

TEST_CASE("augmentation: turned and scaled images are interpolated between their pixels") {
    for (const Shape& shape : {Shape{1, 28, 28}, Shape{3, 12, 9}, Shape{2, 5, 8}}) {
        const Dataset data = noise(shape, 3);
        const Augmentation augmentation{.padding = 3, .flip = true, .rotate = 40, .scale = 0.3};
        const double middle_y = static_cast<double>(shape.d[1] - 1) / 2, middle_x = static_cast<double>(shape.d[2] - 1) / 2;
        for (std::uint32_t epoch = 0; epoch < 4; ++epoch)
            for (std::uint32_t sample = 0; sample < 3; ++sample) {
                const AugmentationDraw draw = draw_augmentation(augmentation, Seed{3}, epoch, sample);
                REQUIRE(draw.is_turned());
                const std::vector<float> out = written(data, sample, draw);
                const double angle = std::atan2(static_cast<double>(draw.sine), static_cast<double>(draw.cosine));
                const double smaller = std::hypot(static_cast<double>(draw.sine), static_cast<double>(draw.cosine));  // 1 / scale
                std::size_t i = 0;
                double worst = 0;
                for (index_t y = 0; y < shape.d[1]; ++y)
                    for (index_t x = 0; x < shape.d[2]; ++x) {
                        const double column = draw.flip ? static_cast<double>(shape.d[2] - 1 - x) : static_cast<double>(x);
                        const double v = static_cast<double>(y) + draw.down - middle_y, u = column + draw.right - middle_x;
                        // In polar coordinates: the point's angle plus the turn, its distance times what the image was made smaller by.
                        const double from = std::atan2(v, u) + angle, distance = std::hypot(v, u) * smaller;
                        const double at_y = middle_y + distance * std::sin(from), at_x = middle_x + distance * std::cos(from);
                        for (index_t c = 0; c < shape.d[0]; ++c) {
                            double sum = 0;  // each pixel with the share by which it is near
                            for (index_t py = -1; py <= shape.d[1]; ++py)
                                for (index_t px = -1; px <= shape.d[2]; ++px) {
                                    const double near = std::max(0.0, 1 - std::abs(at_y - static_cast<double>(py))) *
                                                        std::max(0.0, 1 - std::abs(at_x - static_cast<double>(px)));
                                    if (near > 0) sum += near * pixel(data, sample, py, px, c);
                                }
                            const auto channel = static_cast<std::size_t>(c);
                            worst = std::max(worst, std::abs(static_cast<double>(out[i++]) -
                                                             (sum - static_cast<double>(data.mean[channel])) / static_cast<double>(data.std[channel])));
                        }
                    }
                CHECK(worst < 1e-4);
            }
    }
}

TEST_CASE("augmentation: angles and scales are uniform between their bounds, and leave the other draws as they are") {
    const Augmentation turn{.padding = 4, .flip = true, .cutout = 3, .contrast = 0.2, .brightness = 0.1, .saturation = 0.4, .rotate = 30, .scale = 0.25};
    Augmentation still = turn;
    still.rotate = still.scale = still.saturation = 0;
    double low = 1e9, high = -1e9, small = 1e9, large = 0, sum = 0, colours = 0;
    constexpr int draws = 4000;
    for (std::uint32_t i = 0; i < draws; ++i) {
        const AugmentationDraw a = draw_augmentation(turn, Seed{1}, 2, i), b = draw_augmentation(still, Seed{1}, 2, i);
        CHECK((a.down == b.down && a.right == b.right && a.flip == b.flip && a.cut_x == b.cut_x && a.gain == b.gain && a.shift == b.shift));
        CHECK(!b.is_turned());
        const double degrees = std::atan2(static_cast<double>(a.sine), static_cast<double>(a.cosine)) * 180 / std::numbers::pi;
        const double scale = 1 / std::hypot(static_cast<double>(a.sine), static_cast<double>(a.cosine));
        low = std::min(low, degrees), high = std::max(high, degrees);
        small = std::min(small, scale), large = std::max(large, scale);
        sum += degrees;
        colours += static_cast<double>(a.colour);
    }
    CHECK((low >= -30.0001 && low < -29.9));
    CHECK((high <= 30.0001 && high > 29.9));
    CHECK((small >= 0.74999 && small < 0.752));
    CHECK((large <= 1.25001 && large > 1.248));
    CHECK(std::abs(sum / draws) < 30 / std::sqrt(3.0) / std::sqrt(draws) * 4);
    CHECK(std::abs(colours / draws - 1) < 0.4 / std::sqrt(3.0) / std::sqrt(draws) * 4);
}

TEST_CASE("augmentation: saturation moves pixels towards grey and away from it") {
    const Dataset data = noise(Shape{3, 4, 4}, 1);
    const Augmentation augmentation{.saturation = 1};
    for (const float colour : {0.0f, 0.5f, 1.0f, 1.7f}) {
        AugmentationDraw draw;
        draw.colour = colour;
        std::vector<float> values = written(data, 0, {});
        change_image(augmentation, draw, data.shape, data.std, values);
        for (index_t i = 0; i < 16; ++i) {
            double p[3], grey = 0;
            for (index_t c = 0; c < 3; ++c) {
                p[c] = pixel(data, 0, i / 4, i % 4, c) - static_cast<double>(data.mean[static_cast<std::size_t>(c)]);
                grey += p[c] / 3;
            }
            for (index_t c = 0; c < 3; ++c)
                CHECK(static_cast<double>(values[static_cast<std::size_t>(3 * i + c)]) ==
                      doctest::Approx((grey + (p[c] - grey) * static_cast<double>(colour)) / static_cast<double>(data.std[static_cast<std::size_t>(c)]))
                          .epsilon(1e-4));
        }
    }
}

TEST_CASE("augmentation: a picture and its mask turn together, and the mask has no values in between") {
    constexpr std::size_t side = 21, size = side * side;
    const Shape picture{1, 21, 21}, mask{1, 21, 21};
    std::vector<float> x(size), t(size);
    for (std::size_t i = 0; i < size; ++i) t[i] = static_cast<float>(i % side / 7 + 3 * (i / (7 * side))), x[i] = 10 * t[i];  // nine squares of one value each
    const std::vector<float> before = t;
    const PairTransform both = augment_both({.rotate = 90, .scale = 0.2}, picture, mask, uncounted);
    int turned = 0, beyond = 0, compared = 0;
    for (std::uint32_t epoch = 0; epoch < 20; ++epoch) {
        std::vector<float> input = x, target = t;
        both({.seed = 1, .epoch = epoch, .sample = 0, .training = true}, input, target);
        for (std::size_t i = 0; i < size; ++i) {
            const bool one_of_them = target[i] == static_cast<float>(uncounted) || (target[i] >= 0 && target[i] <= 8 && target[i] == std::floor(target[i]));
            CHECK(one_of_them);
            beyond += target[i] == static_cast<float>(uncounted);
            // What lies within one square in the picture is that square in the mask: they were turned by the same angle.
            const std::size_t row = i / side, column = i % side;
            if (row == 0 || row == side - 1 || column == 0 || column == side - 1) continue;
            const float value = input[i] / 10;
            bool flat = value == std::floor(value);
            for (const std::size_t near : {i - side - 1, i - side, i - side + 1, i - 1, i + 1, i + side - 1, i + side, i + side + 1}) flat = flat && input[near] == input[i];
            if (!flat || target[i] == static_cast<float>(uncounted)) continue;
            CHECK(target[i] == value);
            ++compared;
        }
        CHECK(input[size / 2] == doctest::Approx(40));  // the middle stays
        CHECK(target[size / 2] == 4);
        turned += target != before;
        std::vector<float> same_input = x, same_target = t;
        both({.seed = 1, .epoch = epoch, .sample = 0, .training = false}, same_input, same_target);
        CHECK((same_input == x && same_target == t));
    }
    CHECK(turned > 15);
    CHECK(beyond > 0);
    CHECK(compared > 50);
}

TEST_CASE("mixup: samples and classes are mixed with those before them") {
    std::vector<float> x(5 * 3), scratch(3), p(5 * 4, 9.0f);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * i);
    const std::vector<float> was = x;
    const std::vector<std::int32_t> labels{1, 3, 3, 0, 2};
    mix_batch(0.75f, x, labels, p, scratch);
    for (std::size_t i = 0; i < 5; ++i) {
        const std::size_t other = (i + 4) % 5;
        for (std::size_t k = 0; k < 3; ++k) CHECK(x[3 * i + k] == 0.75f * was[3 * i + k] + 0.25f * was[3 * other + k]);
        for (std::size_t c = 0; c < 4; ++c)
            CHECK(p[4 * i + c] == (labels[i] == static_cast<int>(c) ? 0.75f : 0.0f) + (labels[other] == static_cast<int>(c) ? 0.25f : 0.0f));
    }
}

TEST_CASE("mixup: shares have the moments of their distribution") {
    for (const double alpha : {0.1, 0.2, 0.5, 1.0, 4.0}) {
        double sum = 0, squares = 0;
        constexpr int draws = 20000;
        for (std::uint32_t i = 0; i < draws; ++i) {
            const double share = static_cast<double>(draw_mixup(alpha, Seed{1}, i / 100, i % 100));
            CHECK((share >= 0 && share <= 1));
            sum += share;
            squares += (share - 0.5) * (share - 0.5);
        }
        const double variance = 1 / (4 * (2 * alpha + 1));
        CAPTURE(alpha);
        CHECK(std::abs(sum / draws - 0.5) < 4 * std::sqrt(variance / draws));
        CHECK(std::abs(squares / draws - variance) < 0.015 * variance);
    }
    CHECK(draw_mixup(1e-5, Seed{1}, 0, 0) >= 0);  // its gamma numbers are too small for a double
}

TEST_CASE("mixup: a loader's batches are mixed in training, the same for any number of workers, and nothing is allocated") {
    const Dataset data = noise(Shape{1, 5, 5}, 70);
    LoaderOptions options{.batch_size = 16, .seed = Seed{5}, .workers = 0};
    Loader plain(data, options);
    options.mixup = 0.4;
    Loader mixed(data, options);
    options.workers = 3;
    Loader by_threads(data, options);
    for (const std::uint32_t epoch : {1u, 2u}) {
        plain.start_epoch(epoch), mixed.start_epoch(epoch), by_threads.start_epoch(epoch);
        while (const Batch* own = plain.next()) {
            const Batch *a = mixed.next(), *b = by_threads.next();
            REQUIRE((a && b));
            std::vector<float> x(own->inputs.begin(), own->inputs.end()), p(own->labels.size() * 10), scratch(25);
            mix_batch(draw_mixup(0.4, Seed{5}, epoch, static_cast<std::uint32_t>(own->index)), x, own->labels, p, scratch);
            CHECK(std::ranges::equal(a->inputs, x));
            CHECK(std::ranges::equal(a->values, p));
            CHECK(std::ranges::equal(b->inputs, x));
            CHECK(std::ranges::equal(b->values, p));
            CHECK(std::ranges::equal(a->labels, own->labels));
        }
    }
    mixed.start_epoch(3);
    const long before = allocations;
    while (mixed.next()) {
    }
    CHECK(allocations == before);
    CHECK(mixed.in_order(8)->options().mixup == 0);
}

TEST_CASE("augmentation: options out of range are refused") {
    const Dataset data = noise(Shape{1, 5, 5}, 20);
    const auto refusal = [&](LoaderOptions options) { return error_of([&] { Loader(data, options); }); };
    const auto with = [](Augmentation a) { return LoaderOptions{.augmentation = a}; };
    CHECK(refusal(with({.rotate = 181})).find("rotate must be 0 to 180") != std::string::npos);
    CHECK(refusal(with({.rotate = -1})).find("rotate") != std::string::npos);
    CHECK(refusal(with({.scale = 1})).find("scale must be at least 0 and less than 1") != std::string::npos);
    CHECK(refusal(with({.saturation = 0.1})).find("images of 3 channels; these are [1, 5, 5]") != std::string::npos);
    CHECK(refusal(with({.saturation = 2})).find("saturation must be 0 to 1") != std::string::npos);
    CHECK(refusal({.mixup = -0.1}).find("mixup must be 0 to 100") != std::string::npos);
    const std::vector<float> x(40), y(20);
    const ArrayData values(Shape{2}, x, Shape{1}, y);
    CHECK(error_of([&] { Loader(values, LoaderOptions{.mixup = 0.1}); }).find("one class number for each sample") != std::string::npos);
}
