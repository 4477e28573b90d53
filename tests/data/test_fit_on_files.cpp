// SPDX-License-Identifier: MIT
// From files to a trained network: a table, arrays of NumPy, a folder of images.
#include <doctest/doctest.h>

#include <dla/data.hpp>
#include <dla/data/image_folder.hpp>
#include <dla/io/npy.hpp>
#include <dla/nn.hpp>
#include <dla/train.hpp>
#include <support/temporary_folder.hpp>
#include "image_files.hpp"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

using namespace dla;

namespace {

FitOptions options(int epochs, double rate) {
    FitOptions o;
    o.epochs = epochs;
    o.batch_size = 20;
    o.optimizer = Adam({.learning_rate = rate});
    o.quiet = true;
    return o;
}

}  // namespace

TEST_CASE("fit on a table: prices from a CSV file, standardised by what is trained on") {
    const TemporaryFolder folder;
    {
        std::ofstream csv(folder / "houses.csv");
        csv << "area,\"rooms, all\",price,note\n";
        RandomStream random({1, 0, 0}, RandomUse::synthesis);
        for (int i = 0; i < 200; ++i) {
            const double area = 30 + 170 * static_cast<double>(random.uniform()), rooms = 1 + static_cast<double>(i % 6);
            csv << area << ',' << rooms << ',' << 2000 * area - 5000 * rooms + 40000 << ",\"no, 7\"\n";
        }
    }
    CsvData houses = read_csv(folder / "houses.csv", {.target = CsvTarget::values, .targets = {"price"}, .ignored = {"note"}});
    REQUIRE(houses.data.size() == 200);
    const Split split = random_split(houses.data.size(), 40, Seed{42});
    houses.data.transform = Standardisation::fit(houses.data, split.train);
    std::vector<float> prices(houses.data.targets().begin(), houses.data.targets().end());
    const Standardisation scaling = Standardisation::fit_values(prices, 1);
    scaling.apply(prices);
    std::vector<float> inputs(houses.data.inputs().begin(), houses.data.inputs().end());
    ArrayData scaled(Shape{2}, std::move(inputs), Shape{1}, std::move(prices));
    scaled.transform = houses.data.transform;
    Model<Sequential<Linear<2, 1>>, Shape{2}> model(Seed{1});
    FitOptions o = options(40, 0.05);
    o.split = split;
    o.metrics = {std::make_shared<R2>()};
    const TrainingResult result = fit(model, scaled, o);
    CHECK(result.state.history.back().value("r2") > 0.999);
    std::vector<float> predicted = predict(model, scaled);
    scaling.invert(predicted);
    CHECK(predicted[0] == doctest::Approx(houses.data.targets()[0]).epsilon(0.02));
}

TEST_CASE("fit on arrays of NumPy: what write_npy writes") {
    const TemporaryFolder folder;
    std::vector<float> x;
    std::vector<std::int32_t> label;
    RandomStream random({2, 0, 0}, RandomUse::synthesis);
    for (int i = 0; i < 240; ++i) {
        const float angle = 6.2831853f * random.uniform(), radius = (i % 2 ? 1.0f : 2.0f) + 0.2f * random.uniform();
        x.insert(x.end(), {radius * std::cos(angle), radius * std::sin(angle)});
        label.push_back(i % 2);
    }
    write_npy(folder / "x.npy", {240, 2}, x);
    std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (240,), }";
    header.resize(117, ' ');
    std::ofstream labels(folder / "y.npy", std::ios::binary);
    labels << "\x93NUMPY\x01" << '\0' << 'v' << '\0' << header << '\n';
    labels.write(reinterpret_cast<const char*>(label.data()), 240 * sizeof(std::int32_t));
    labels.close();
    const ArrayData rings = load_npy(folder / "x.npy", folder / "y.npy");
    CHECK(rings.classes() == 2);
    Model<Sequential<Linear<2, 16>, Tanh, Linear<16, 2>>, Shape{2}> model(Seed{1});
    fit(model, rings, options(60, 0.02));
    CHECK(accuracy(model, rings) > 97);
}

#ifdef DLA_HAVE_PNG
TEST_CASE("fit on a folder of images: read at once or one by one, the same network comes of it") {
    const TemporaryFolder folder;
    for (const char* name : {"falling", "rising"}) {
        std::filesystem::create_directories(folder / ("pets/" + std::string(name)));
        for (int i = 0; i < 30; ++i) {
            files::Bytes pixels;
            for (int y = 0; y < 8; ++y)
                for (int p = 0; p < 8; ++p)
                    for (int c = 0; c < 3; ++c) pixels.push_back(static_cast<std::uint8_t>((name[0] == 'r' ? p : 7 - p) * 25 + (i * 7 + y * 3 + c * 11) % 40));
            files::write(folder / ("pets/" + std::string(name) + "/" + std::to_string(i) + ".png"), files::png_of(pixels, 8, 8, 3));
        }
    }
    const Dataset at_once = load_image_folder(folder / "pets", {.height = 8, .width = 8});
    ImageFolder one_by_one(folder / "pets", {.height = 8, .width = 8});
    one_by_one.set_statistics(at_once.mean, at_once.std);
    CHECK(at_once.class_names == std::vector<std::string>{"falling", "rising"});
    using Net = Sequential<Conv2d<3, 4, 3>, ReLU, GlobalAvgPool2d, Linear<4, 2>>;
    Model<Net, Shape{3, 8, 8}> a(Seed{1}), b(Seed{1});
    fit(a, at_once, options(20, 0.05));
    fit(b, one_by_one, options(20, 0.05));
    CHECK(accuracy(a, at_once) > 95);
    CHECK(parameter_values(a) == parameter_values(b));
}
#endif
