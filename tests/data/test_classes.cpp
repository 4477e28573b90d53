// SPDX-License-Identifier: MIT
// What follows from how many samples each class has; pictures whose targets are changed with them.
#include <dla/data.hpp>

#include "files.hpp"

#include <set>

using namespace dla;
using files::message_of;

namespace {

/// `counts[c]` samples of class c, in an order that mixes them.
ArrayData of_classes(const std::vector<int>& counts) {
    std::vector<std::int32_t> labels;
    for (std::size_t c = 0; c < counts.size(); ++c) labels.insert(labels.end(), static_cast<std::size_t>(counts[c]), static_cast<std::int32_t>(c));
    RandomStream random({3, 0, 0}, RandomUse::synthesis);
    for (std::size_t i = labels.size(); i > 1; --i) std::swap(labels[i - 1], labels[random.below(static_cast<std::uint32_t>(i))]);
    const std::size_t n = labels.size();
    return ArrayData(Shape{1}, std::vector<float>(n), std::move(labels));
}

std::vector<index_t> counts_of(const ArrayData& data, const std::vector<std::uint32_t>& samples) { return class_counts(data, samples); }

}  // namespace

TEST_CASE("classes: weights are scikit-learn's") {
    const ArrayData data = of_classes({60, 15, 5});
    CHECK(class_counts(data, all_samples(data)) == std::vector<index_t>{60, 15, 5});
    // compute_class_weight("balanced", classes=[0, 1, 2], y=...) of scikit-learn 1.9.
    const std::vector<double> expected{0.4444444444444444, 1.7777777777777777, 5.333333333333333}, got = class_weights(data, all_samples(data));
    REQUIRE(got.size() == 3);
    for (std::size_t c = 0; c < 3; ++c) CHECK(got[c] == doctest::Approx(expected[c]).epsilon(1e-14));
    std::vector<double> each(3);  // each class comes up alike
    const std::vector<double> chances = balanced_weights(data, all_samples(data));
    for (std::size_t i = 0; i < chances.size(); ++i) each[static_cast<std::size_t>(data.labels()[i])] += chances[i];
    for (const double sum : each) CHECK(sum == doctest::Approx(1.0));
    CHECK(class_weights(data, all_samples(data)).size() == 3);
    const std::vector<std::uint32_t> one{0};
    CHECK(message_of([&] { class_weights(data, one); }).find("has no sample") != std::string::npos);
    const Dataset digits = make_digits(100, Seed{1});
    CHECK(class_counts(digits, all_samples(digits)).size() == 10);
    CHECK(class_weights(digits, all_samples(digits)).size() == 10);
    const ArrayData values(Shape{1}, std::vector<float>(3), Shape{1}, std::vector<float>(3));
    for (const std::string& why : {message_of([&] { class_counts(values, all_samples(values)); }),
                                   message_of([&] { class_weights(values, all_samples(values)); }), message_of([&] { stratified_split(values, 1, Seed{1}); })})
        CHECK(why.find("no class numbers") != std::string::npos);
}

TEST_CASE("classes: a stratified split gives each its share to less than one sample, each sample once, by the seed alone") {
    for (const auto& counts : std::vector<std::vector<int>>{{60, 15, 5}, {7, 7, 7, 7}, {100, 1, 1}, {3, 0, 9}, {2, 2}, {1, 1, 1, 1, 1}}) {
        const ArrayData data = of_classes(counts);
        const index_t n = data.size();
        for (index_t val = 0; val < n; ++val) {
            CAPTURE(val);
            const Split split = stratified_split(data, val, Seed{7});
            REQUIRE(std::ssize(split.validation) == val);
            std::set<std::uint32_t> all(split.train.begin(), split.train.end());
            all.insert(split.validation.begin(), split.validation.end());
            REQUIRE(std::ssize(all) == n);
            REQUIRE(std::ssize(split.train) == n - val);
            CHECK(std::ranges::is_sorted(split.train));
            CHECK(std::ranges::is_sorted(split.validation));
            const auto taken = counts_of(data, split.validation);
            for (std::size_t c = 0; c < counts.size(); ++c)
                CHECK(std::abs(static_cast<double>(taken[c]) - static_cast<double>(val * counts[c]) / static_cast<double>(n)) < 1);
        }
    }
    const ArrayData data = of_classes({60, 15, 5});
    CHECK(stratified_split(data, 16, Seed{1}).validation == stratified_split(data, 16, Seed{1}).validation);
    CHECK(stratified_split(data, 16, Seed{1}).validation != stratified_split(data, 16, Seed{2}).validation);
    CHECK(counts_of(data, stratified_split(data, 16, Seed{1}).validation) == std::vector<index_t>{12, 3, 1});
    CHECK(counts_of(of_classes({8, 1, 1}), stratified_split(of_classes({8, 1, 1}), 6, Seed{1}).validation) == std::vector<index_t>{5, 1, 0});
    CHECK(message_of([&] { stratified_split(data, 80, Seed{1}); }, ErrorCode::config).find("must leave something to train on") != std::string::npos);
    CHECK(message_of([&] { stratified_split(data, -1, Seed{1}); }, ErrorCode::config).find("must leave something to train on") != std::string::npos);
    const Dataset digits = make_digits(200, Seed{1});
    CHECK(class_counts(digits, stratified_split(digits, 50, Seed{1}).validation).size() == 10);
}

TEST_CASE("pairs: picture and mask are moved and mirrored alike, in training only, and only the picture changes its brightness") {
    const Shape picture{2, 5, 6}, mask{1, 5, 6};
    std::vector<float> pictures, masks;  // every pixel of a picture is known by its number, which its mask has too
    for (int i = 0; i < 8; ++i)
        for (int p = 1; p <= 30; ++p) {
            pictures.push_back(static_cast<float>(p)), pictures.push_back(static_cast<float>(-p));
            masks.push_back(static_cast<float>(p));
        }
    ArrayData data(picture, pictures, mask, masks);
    const auto epoch = [&](std::uint32_t number, int workers, bool training) {
        std::vector<float> x, t;
        LoaderOptions options{.batch_size = 3, .shuffle = false, .last_batch = LastBatch::keep, .seed = Seed{5}, .workers = workers};
        options.training = training;
        Loader loader(data, options);
        loader.start_epoch(number);
        while (const Batch* b = loader.next()) x.insert(x.end(), b->inputs.begin(), b->inputs.end()), t.insert(t.end(), b->values.begin(), b->values.end());
        return std::pair(x, t);
    };
    data.pair_transform = augment_both({.padding = 2, .flip = true}, picture, mask);
    const auto [x, t] = epoch(1, 0, true);
    REQUIRE(t.size() == masks.size());
    int moved = 0, outside = 0;
    for (std::size_t i = 0; i < t.size(); ++i) {
        CHECK(x[2 * i] == t[i]);
        CHECK(x[2 * i + 1] == -t[i]);
        moved += t[i] != masks[i], outside += t[i] == 0;
    }
    CHECK(moved > 60);
    CHECK(outside > 10);
    CHECK(epoch(1, 3, true) == std::pair(x, t));
    CHECK(epoch(2, 0, true).second != t);
    CHECK(epoch(1, 0, false) == std::pair(pictures, masks));
    // One draw, known: what a Dataset's image gets.
    const AugmentationDraw draw = draw_augmentation({.padding = 2, .flip = true}, Seed{5}, 1, 0);
    for (int row = 0; row < 5; ++row)
        for (int column = 0; column < 6; ++column) {
            const int y = row + draw.down, at = (draw.flip ? 5 - column : column) + draw.right;
            CHECK(t[static_cast<std::size_t>(6 * row + column)] == (y >= 0 && y < 5 && at >= 0 && at < 6 ? static_cast<float>(6 * y + at + 1) : 0.0f));
        }
    data.pair_transform = augment_both({.cutout = 3, .brightness = 0.5}, picture, mask);
    const auto [bright, same] = epoch(1, 0, true);
    CHECK(same == masks);
    CHECK(bright != pictures);
    const auto refused = [&](const Shape& a, const Shape& b) { return message_of([&] { augment_both({}, a, b); }); };
    CHECK(refused(picture, Shape{1, 5, 5}).find("expected two images of one height and width") != std::string::npos);
    CHECK(refused(picture, Shape{30}).find("expected two images of one height and width") != std::string::npos);
    CHECK(refused(picture.contiguous(), mask).find("channels last") != std::string::npos);
}

TEST_CASE("pairs: a source of one's own is asked for both at a time") {
    struct Mirrors final : DataSource {
        index_t size() const override { return 64; }
        Shape input_shape() const override { return Shape{1}; }
        Shape target_shape() const override { return Shape{1}; }
        void read(const SamplePosition& at, std::span<float> x) const override { x[0] = static_cast<float>(at.sample); }
        void target(index_t sample, std::span<float> t) const override { t[0] = static_cast<float>(sample); }
        void read_both(const SamplePosition& at, std::span<float> x, std::span<float> t) const override {
            DataSource::read_both(at, x, t);
            if (at.training && RandomStream({at.seed, at.epoch, at.sample}, RandomUse::augmentation).uniform() < 0.5f) x[0] = -x[0], t[0] = -t[0];
        }
    };
    const Mirrors data;
    Loader loader(data, {.batch_size = 64});
    loader.start_epoch(1);
    const Batch* b = loader.next();
    REQUIRE(b != nullptr);
    CHECK(std::ranges::equal(b->inputs, b->values));
    CHECK(std::ranges::count_if(b->values, [](float v) { return v < 0; }) > 16);
}
