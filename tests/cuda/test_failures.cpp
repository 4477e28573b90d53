// SPDX-License-Identifier: MIT
// What only an emulated device can be made to do: engines with each numerical note, no memory, no algorithm, and calls that fail one after another.
#include <doctest/doctest.h>

#include <dla/cuda.hpp>
#include <dla/inspect/profile.hpp>
#include <support/cuda/emulated.hpp>
#include <support/error_of.hpp>
#include <support/networks.hpp>
#include <support/run_layer.hpp>

#include <cudnn.h>

using namespace dla;

namespace {

/// Settings are put back, whatever happens.
struct Fresh {
    Fresh() { emulated::reset(); }
    ~Fresh() { emulated::reset(); }
};

/// Whether the engine that is proposed first, with this note, computes a convolution of a batch that no other test has.
bool is_taken(cudnnBackendNumericalNote_t note, bool tf32, bool strict) {
    static index_t batch = 900;
    const Conv2dDims d{.batch = ++batch, .height = 1, .width = 1, .in_channels = 4, .out_channels = 3, .out_height = 1, .out_width = 1};
    const Cuda<float> p{.tf32 = tf32, .strict = strict};
    const Arena<Cuda<float>> room(p, batch * 64);
    emulated::settings().engine_notes = {note};
    const long before = emulated::counters().noted_convolutions;
    conv2d_forward(p, {}, d, room.at<const float>(0), room.at<const float>(batch * 16), {}, room.at<float>(batch * 32));
    p.synchronize();
    return emulated::counters().noted_convolutions > before;
}

}  // namespace

TEST_CASE("engines of cuDNN are taken by what they say of themselves") {
    const Fresh fresh;
    for (const bool tf32 : {false, true})
        for (const bool strict : {false, true}) {
            CAPTURE(tf32);
            CAPTURE(strict);
            CHECK_FALSE(is_taken(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, tf32, strict));
            CHECK_FALSE(is_taken(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION, tf32, strict));
            for (const auto note : {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS}) CHECK(is_taken(note, tf32, strict) == tf32);
            for (const auto note : {CUDNN_NUMERICAL_NOTE_FFT, CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4,
                                    CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13})
                CHECK(is_taken(note, tf32, strict) == !strict);
        }
}

TEST_CASE("answers of the libraries are kept, those of old sizes not for ever") {
    cuda::Kept<int, int> kept;
    int forgotten = 0;
    const auto forget = [&] { ++forgotten; };
    for (int i = 0; i < 512; ++i) CHECK(kept.keep(i, 10 * i, forget) == 10 * i);
    CHECK(forgotten == 0);
    REQUIRE(kept.find(0) != nullptr);
    CHECK(*kept.find(0) == 0);
    kept.keep(600, 6000, forget);
    CHECK(forgotten == 1);
    CHECK(kept.size() == 512);
    CHECK(kept.find(1) == nullptr);
    CHECK(kept.find(0) != nullptr);
    CHECK(*kept.find(600) == 6000);

    // A plan that is forgotten may still have work to do.
    const Fresh fresh;
    emulated::settings().pace = emulated::Pace::late;
    const Cuda<float> p;
    const Arena<Cuda<float>> room(p, 1 << 16);
    for (index_t batch = 1; batch <= 540; ++batch) {
        const Conv2dDims d{.batch = batch, .height = 1, .width = 1, .in_channels = 4, .out_channels = 3, .out_height = 1, .out_width = 1};
        conv2d_forward(p, {}, d, room.at<const float>(0), room.at<const float>(16384), {}, room.at<float>(32768));
        gemm(p, {}, {.m = batch, .n = 3, .k = 4}, room.at<const float>(0), room.at<const float>(16384), {}, 0, room.at<float>(32768));
    }
    p.synchronize();
    CHECK(cuda::Convolutions::of(p.queue()).kept() == 512);
    CHECK(cuda::Products::of(p.queue()).kept() == 512);
}

TEST_CASE("a convolution that cuDNN has no plan for is counted, and computed") {
    const Fresh fresh;
    const std::size_t before = cuda::Convolutions::of(Cuda<float>().queue()).without_engine();
    emulated::settings().plain_engine_fails = true;
    CHECK_FALSE(is_taken(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, false, false));
    CHECK(cuda::Convolutions::of(Cuda<float>().queue()).without_engine() == before + 1);
}

TEST_CASE("a product that cuBLASLt has no algorithm for is an error") {
    const Fresh fresh;
    emulated::settings().no_algorithms = true;
    const Cuda<float> p;
    const Arena<Cuda<float>> room(p, 1 << 16);
    CHECK(error_of([&] { gemm(p, {}, {.m = 17, .n = 19, .k = 23}, room.at<const float>(0), room.at<const float>(8192), {}, 0, room.at<float>(16384)); }) ==
          "error[device] cuBLASLt: has no algorithm for a product of [17, 23] and [23, 19] in float");
}

TEST_CASE("a larger batch takes the place of a smaller one where there is not room for both") {
    const Fresh fresh;
    Model<support::Mlp, support::image, Cuda<float>> model(Seed{3});
    const CrossEntropy loss;
    const index_t most = 20000;
    model.reserve(most, loss);
    const std::size_t fits = emulated::live_bytes();
    model = Model<support::Mlp, support::image, Cuda<float>>(Seed{3});
    emulated::settings().memory = fits;  // for it, and nothing else
    model.reserve(most / 2, loss);
    CHECK(error_of([&] { model.reserve(most, loss); }) == "no error");
    const std::string said = error_of([&] { model.reserve(2 * most, loss); });
    CHECK(contains(said, "batches of "));
    const index_t named = std::stoll(said.substr(said.rfind("batches of ") + 11));
    CHECK(named > most / 5);  // with room for evaluating and the optimizer
    CHECK(named <= most);
    model.reserve(named, loss);
}

TEST_CASE("a profile waits for each layer") {
    const Fresh fresh;
    emulated::settings().pace = emulated::Pace::late;
    Model<support::Cnn, support::image, Cuda<float>> model(Seed{3});
    const support::Data<float> data(6);
    const long before = emulated::counters().waits;
    const Profile found = profile(model, CrossEntropy{}, data.images, data.labels, 2);
    CHECK(found.layers.size() >= 7);
    CHECK(emulated::counters().waits - before >= 2 * 2 * 2 * static_cast<long>(found.layers.size() - 1));  // passes, directions, begin and end
}

TEST_CASE("a prediction that does not fit says which does") {
    const Fresh fresh;
    Model<support::Mlp, support::image, Cuda<float>> model(Seed{3});
    const auto images = [](index_t batch) { return std::vector<float>(static_cast<std::size_t>(batch * support::image.size())); };
    emulated::settings().memory = emulated::live_bytes() + (std::size_t{1} << 20);
    const std::string said = error_of([&] { (void)model.predict(images(50000)); });
    CHECK(said.starts_with("error[device] memory: of a prediction for a batch of 50000, "));
    REQUIRE(contains(said, "; batches of "));
    const index_t fits = std::stoll(said.substr(said.rfind("batches of ") + 11));
    CHECK(fits > 100);
    CHECK(model.predict(images(fits)).size() == static_cast<std::size_t>(fits * 3));
    (void)model.predict(images(fits / 2));  // in whatever is kept
    CHECK(model.predict(images(fits)).size() == static_cast<std::size_t>(fits * 3));
    const std::string evaluated = error_of([&] { (void)model.evaluate(CrossEntropy{}, images(50000), std::vector<std::int32_t>(50000)); });
    CHECK(contains(evaluated, "; batches of "));
    emulated::settings().memory = emulated::live_bytes();
    CHECK(contains(error_of([&] { (void)model.predict(images(50000)); }), "not even one sample fits"));
}

TEST_CASE("whichever launch or allocation of a step fails, the error says so and the next step is one") {
    const Fresh fresh;
    const support::Data<float> data(6);
    // False where nothing failed, or what failed was tried again.
    const auto fails = [&](int& setting, int n) {
        Model<support::Cnn, support::image, Cuda<float>> model(Seed{3});
        Adam adam;
        setting = n;
        const std::string said = error_of([&] { train_step(model, adam, CrossEntropy{}, data.images, data.labels, {.clip_norm = 1}); });
        setting = 0;
        if (said != "no error") CHECK_MESSAGE(said.starts_with("error[device] "), said);
        const auto next = train_step(model, adam, CrossEntropy{}, data.images, data.labels);
        CHECK(next.applied);
        CHECK(std::isfinite(next.loss));
        return said != "no error";
    };
    int launches = 1;
    while (fails(emulated::settings().fail_launch, launches) && launches < 1000) ++launches;
    CHECK(launches > 20);
    CHECK(launches < 1000);
    for (int n = 1; n < 20; ++n) fails(emulated::settings().fail_malloc, n);
}
