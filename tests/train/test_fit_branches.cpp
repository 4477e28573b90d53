// SPDX-License-Identifier: MIT
// Networks with branches in training: they learn, whatever the number of threads, are resumed with the same bits, and their weights come back from a file.
#include <doctest/doctest.h>

#include <support/temporary_folder.hpp>
#include "fit_data.hpp"

using namespace fit_tests;

namespace {

constexpr Shape picture{1, 8, 8};

/// Bright rectangles on noise, and where they are.
ArrayData rectangles(int count) {
    std::vector<float> x, masks;
    RandomStream random({4, 0, 0}, RandomUse::synthesis);
    for (int i = 0; i < count; ++i) {
        const auto top = random.below(4), left = random.below(4), height = 2 + random.below(4), width = 2 + random.below(4);
        for (std::uint32_t row = 0; row < 8; ++row)
            for (std::uint32_t column = 0; column < 8; ++column) {
                const bool in = row >= top && row < top + height && column >= left && column < left + width;
                masks.push_back(in ? 1.0f : 0.0f);
                x.push_back((in ? 1.0f : 0.0f) + 0.6f * random.uniform() - 0.3f);
            }
    }
    return ArrayData(picture, std::move(x), picture, std::move(masks));
}
/// Whether a rectangle is in the upper half.
ArrayData halves(int count) {
    const ArrayData from = rectangles(count);
    std::vector<std::int32_t> labels;
    for (int i = 0; i < count; ++i) {
        float upper = 0, lower = 0;
        for (std::size_t p = 0; p < 64; ++p) (p < 32 ? upper : lower) += from.targets()[static_cast<std::size_t>(i) * 64 + p];
        labels.push_back(upper > lower ? 1 : 0);
    }
    return ArrayData(picture, {from.inputs().begin(), from.inputs().end()}, std::move(labels));
}

using UNet =
    Sequential<Conv2d<1, 4, 3>, BatchNorm2d<>, ReLU,
               Parallel<Concat, Identity, Sequential<MaxPool2d<2>, Conv2d<4, 8, 3>, BatchNorm2d<>, ReLU, ConvTranspose2d<8, 4, 2, 2>>>, Conv2d<8, 1, 1>>;
using Inception =
    Sequential<Parallel<Concat, Conv2d<1, 4, 1>, Sequential<Conv2d<1, 4, 3>, BatchNorm2d<>, ReLU>, Sequential<MaxPool2d<3, 1, 1>, Conv2d<1, 2, 1>>>, ReLU,
               MaxPool2d<2>, Flatten, Linear<Dyn, 2>>;
using Gate = Sequential<GlobalAvgPool2d, Linear<4, 2>, ReLU, Linear<2, 4>, Sigmoid>;
using Excited = Sequential<Conv2d<1, 4, 3>, Residual<Sequential<Conv2d<4, 4, 3>, BatchNorm2d<>, Parallel<Multiply, Identity, Gate>>, Identity, ReLU>,
                           MaxPool2d<2>, Flatten, Linear<Dyn, 2>>;

/// Trains on one thread and on three, stops and goes on, saves and loads: the bits are the same. Gives what the last epoch measured.
template <class Net>
EpochMetrics check(const ArrayData& data, FitOptions o) {
    const TemporaryFolder folder;
    o.epochs = 6;
    o.batch_size = 20;
    o.quiet = true;
    o.validation_share = 0.25;
    o.optimizer = Adam({.learning_rate = 0.01});
    Model<Net, picture> one(Net{}, Seed{3}, Cpu<float>{{}, 1}), three(Net{}, Seed{3}, Cpu<float>{{}, 3}), stopped(Seed{3}), loaded(Seed{9});
    const TrainingResult result = fit(one, data, o);
    fit(three, data, o);
    CHECK(all_values(three) == all_values(one));
    o.checkpoint_dir = folder / "run";
    o.resume = true;
    Stop stop(37);
    o.callbacks = {&stop};
    CHECK_THROWS_WITH(fit(stopped, data, o), "stop");
    o.callbacks.clear();
    Model<Net, picture> resumed(Seed{8});
    CHECK(!fit(resumed, data, o).resumed_from.empty());
    CHECK(all_values(resumed) == all_values(one));
    save_weights(folder / "w.safetensors", one);
    load_weights(folder / "w.safetensors", loaded);
    CHECK(predict(loaded, data) == predict(one, data));
    return result.state.history.back();
}

}  // namespace

TEST_CASE("fit: a U-Net learns masks") {
    FitOptions o;
    o.loss = BCEWithLogits<float>{};
    o.metrics = {std::make_shared<BinaryScore>(BinaryScore::Kind::iou)};
    o.monitor = "iou";
    ArrayData data = rectangles(200);
    CHECK(check<UNet>(data, o).value("iou") > 0.9);
    data.pair_transform = augment_both({.padding = 1, .flip = true}, picture, picture);
    CHECK(check<UNet>(data, o).value("iou") > 0.85);
}

TEST_CASE("fit: Inception and squeeze-and-excitation blocks learn classes") {
    const ArrayData data = halves(240);
    CHECK(check<Inception>(data, {}).val_accuracy > 85);
    CHECK(check<Excited>(data, {}).val_accuracy > 85);
}
