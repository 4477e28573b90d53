// SPDX-License-Identifier: MIT
#include <dla/data/loader.hpp>
#include <dla/data/statistics.hpp>

#include "files.hpp"

#include <cmath>
#include <limits>

using namespace files;
using dla::ErrorCode;
using dla::Standardisation;

namespace {

using Floats = std::vector<float>;

/// Mean and deviation by the definition.
std::pair<double, double> statistics_of(const std::vector<double>& values) {
    long double sum = 0, squares = 0;
    for (const double v : values) sum += v;
    const long double mean = sum / static_cast<long double>(values.size());
    for (const double v : values) squares += (v - mean) * (v - mean);
    return {static_cast<double>(mean), static_cast<double>(std::sqrt(squares / static_cast<long double>(values.size())))};
}

Floats noise(std::size_t count) {
    dla::RandomStream random({11, 0, 0}, dla::RandomUse::synthesis);
    Floats values(count);
    for (float& v : values) v = random.uniform() * 7 - 2;
    return values;
}

}  // namespace

TEST_CASE("compute_statistics: per channel, of pixels from 0 to 1") {
    dla::Dataset data;
    data.name = "noise";
    data.shape = dla::Shape{3, 5, 4};
    data.num_classes = 1;
    data.labels.assign(50, 0);
    dla::RandomStream random({12, 0, 0}, dla::RandomUse::synthesis);
    for (int i = 0; i < 50 * 20; ++i) {
        data.images.push_back(static_cast<std::uint8_t>(random.below(256)));
        data.images.push_back(static_cast<std::uint8_t>(random.below(9) + 200));
        data.images.push_back(77);
    }
    dla::compute_statistics(data);
    data.check();
    REQUIRE(data.mean.size() == 3);
    for (std::size_t c = 0; c < 3; ++c) {
        std::vector<double> values;
        for (std::size_t i = c; i < data.images.size(); i += 3) values.push_back(data.images[i] / 255.0);
        const auto [mean, deviation] = statistics_of(values);
        CHECK(data.mean[c] == static_cast<float>(mean));
        if (c < 2) CHECK(std::abs(double{data.std[c]} - deviation) < 1e-8);
    }
    CHECK(data.std[2] == 1.0f);  // constant

    data.images.pop_back();
    CHECK(contains(message_of([&] { dla::compute_statistics(data); }), "noise: got 2999 pixel bytes; expected a multiple of the size of an image [3, 5, 4]"));
    data.images.clear();
    message_of([&] { dla::compute_statistics(data); });
    data.shape = {};
    message_of([&] { dla::compute_statistics(data); });
}

TEST_CASE("Standardisation: the last axis in memory, of the chosen samples") {
    const Floats values = noise(10 * 24);
    const std::vector<std::int32_t> labels(10);
    const std::vector<std::uint32_t> samples = {1, 4, 5, 9};
    for (const dla::Shape& shape : {dla::Shape{24}, dla::Shape{8, 3}, dla::Shape{2, 3, 4}}) {
        const dla::ArrayData data(shape, values, labels);
        const Standardisation s = Standardisation::fit(data, samples);
        const std::size_t features = shape.rank == 1 ? 24 : shape.rank == 2 ? 3 : 2;
        REQUIRE(s.mean.size() == features);
        for (std::size_t f = 0; f < features; ++f) {
            std::vector<double> column;
            for (const std::uint32_t sample : samples)
                for (std::size_t at = f; at < 24; at += features) column.push_back(double{values[sample * 24 + at]});
            const auto [mean, deviation] = statistics_of(column);
            CHECK(std::abs(s.mean[f] - mean) < 1e-14);
            CHECK(std::abs(s.std[f] - deviation) < 1e-14);
        }
    }
}

TEST_CASE("Standardisation: as transform, on a vector, and back") {
    const Floats values = noise(30 * 4);
    dla::ArrayData data(dla::Shape{4}, values, dla::Shape{1}, Floats(30, 1.0f));
    const Standardisation s = Standardisation::fit(data);
    data.transform = s;
    dla::Loader loader(data, dla::evaluation_options(30, 0));
    loader.start_epoch(1);
    const dla::Batch* batch = loader.next();
    REQUIRE(batch);
    Floats expected(values), read(batch->inputs.begin(), batch->inputs.end());
    s.apply(expected);
    CHECK(read == expected);
    const Standardisation again = Standardisation::fit_values(expected, 4);
    for (std::size_t f = 0; f < 4; ++f) {  // means of values that were rounded by at most 2^-24 of their size, below 4
        CHECK(std::abs(again.mean[f]) < 3e-7);
        CHECK(std::abs(again.std[f] - 1) < 3e-7);
    }
    s.invert(expected);
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK(std::abs(expected[i] - values[i]) < 2e-6f);
}

TEST_CASE("Standardisation: constant columns and extreme ones") {
    const float most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::denorm_min();
    Floats values;
    for (int i = 0; i < 7; ++i) values.insert(values.end(), {.1f, i % 2 ? most : -most, i == 3 ? least : 0.0f});
    const Standardisation s = Standardisation::fit_values(values, 3);
    CHECK(s.std[0] == 1.0);
    CHECK(s.mean[0] == double{.1f});
    s.apply(values);
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(std::isfinite(values[i]));
    CHECK(values[0] == 0.0f);
    CHECK(std::abs(values[3 * 3 + 2] - std::sqrt(6.0f)) < 1e-6f);  // one of seven: (1 - 1/7) / sqrt(6/49)
}

TEST_CASE("Standardisation: what does not fit") {
    const Floats values(12);
    const dla::ArrayData data(dla::Shape{4}, values, std::vector<std::int32_t>(3));
    CHECK(contains(message_of([&] { Standardisation::fit(data, {}); }), "no samples"));
    CHECK(contains(message_of([&] { Standardisation::fit(data, std::vector<std::uint32_t>{0, 3}); }), "no sample 3 among 3"));
    CHECK(contains(message_of([&] { Standardisation::fit_values(values, 5); }), "expected a multiple of 5"));
    CHECK(contains(message_of([&] { Standardisation::fit_values(values, 0); }), "expected a multiple of 0"));
    CHECK(contains(message_of([&] { Standardisation::fit_values({}, 1); }), "got 0 values"));
    CHECK(contains(message_of([&] { Standardisation::fit_values(Floats{1, std::nanf("")}, 1); }), "the value 1 is not finite"));
    Floats five(5);
    CHECK(contains(message_of([&] { Standardisation::fit(data).apply(five); }, ErrorCode::shape), "got 5 values; expected a multiple of 4"));
    CHECK(contains(message_of([&] { Standardisation{}.invert(five); }, ErrorCode::shape), "expected a multiple of 0"));
}

TEST_CASE("three axes that are no image are standardised along the last one") {
    Floats values(2 * 2 * 3 * 4);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 4 == 1 ? 7 : i % 4 == 2 ? (i / 4 % 2) * 2 : 0);
    const dla::ArrayData data(dla::Shape{2, 3, 4}.contiguous(), values, std::vector<std::int32_t>(2));
    const Standardisation s = Standardisation::fit(data);
    CHECK(s.mean == std::vector<double>{0, 7, 1, 0});
    CHECK(s.std == std::vector<double>{1, 1, 1, 1});
}
