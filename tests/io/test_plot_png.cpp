// SPDX-License-Identifier: MIT
#include <dla/io/plot.hpp>
#include <dla/io/png.hpp>

#include <doctest/doctest.h>
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <cstdlib>
#include <cstring>

namespace {

/// Width and height out of a PNG's IHDR; 0 x 0 if it is not one.
std::pair<unsigned, unsigned> png_size(const std::string& path) {
    const std::string text = file_text(path);
    if (text.size() < 24 || text.substr(0, 8) != "\x89PNG\r\n\x1a\n" || text.substr(text.size() - 8, 4) != "IEND") return {0, 0};
    const auto number = [&](std::size_t at) {
        unsigned n = 0;
        for (std::size_t i = 0; i < 4; ++i) n = n << 8 | static_cast<unsigned char>(text[at + i]);
        return n;
    };
    return {number(16), number(20)};
}

dla::TrainingCurves curves() {
    dla::TrainingCurves c;
    c.title = "it's a run_1 {with} \"signs\"\n; system 'touch pwned'";
    for (int e = 1; e <= 12; ++e) {
        c.epoch.push_back(e);
        c.train_loss.push_back(1.0 / e);
        c.val_loss.push_back(e == 3 ? std::nan("") : 1.2 / e);
        c.train_accuracy.push_back(100 - 50.0 / e);
        c.val_accuracy.push_back(98 - 50.0 / e);
        c.learning_rate.push_back(e < 6 ? 1e-3 : 5e-4);
    }
    c.best_epoch = 11;
    return c;
}

struct PathWithoutPrograms {
    std::string saved = std::getenv("PATH") ? std::getenv("PATH") : "";
    PathWithoutPrograms() { ::setenv("PATH", "/nonexistent", 1); }
    ~PathWithoutPrograms() { ::setenv("PATH", saved.c_str(), 1); }
};

bool have_gnuplot() { return std::system("command -v gnuplot > /dev/null 2>&1") == 0; }

}  // namespace

TEST_CASE("training plot") {
    if (!have_gnuplot()) {
        MESSAGE("skipped: gnuplot is not installed");
        return;
    }
    TemporaryFolder folder;
    auto page = dla::training_plot(curves());
    page.svg = true;
    const auto result = dla::draw_plot(page, folder / "it's curves");
    CHECK(result.message == "");
    REQUIRE(result.drawn);
    REQUIRE(result.files.size() == 4);
    CHECK(result.files[0] == folder / "it's curves.png");
    CHECK(png_size(result.files[0]) == std::pair(1600u, 1120u));
    CHECK(contains(file_text(folder / "it's curves.svg"), "</svg>"));
    CHECK_FALSE(std::filesystem::exists(folder / "pwned"));
    const std::string data = file_text(folder / "it's curves.dat");
    CHECK(contains(data, "3 NaN\n"));
    CHECK(contains(data, "11 93.45454545454545\n\n\n"));  // the mark on the best epoch
}

TEST_CASE("pages with nothing, one point, or values a logarithm cannot take are drawn") {
    if (!have_gnuplot()) {
        MESSAGE("skipped: gnuplot is not installed");
        return;
    }
    TemporaryFolder folder;
    dla::PlotPage page;
    page.panels.resize(4);
    page.panels[1].series = {{"one", {1}, {2}}};
    page.panels[2].log_y = page.panels[2].log_x = true;
    page.panels[2].series = {{"some", {0, 1, 2, 3}, {1, 0, -1, 1e-300}}, {"none", {1}, {-1}}};
    page.panels[3].series = {{"flat", {1, 2}, {5, 5}}, {"bad", {1, 2}, {std::nan(""), std::numeric_limits<double>::infinity()}}};
    page.panels[3].whole_x = true;
    const auto result = dla::draw_plot(page, folder / "p");
    CHECK(result.message == "");
    CHECK(png_size(folder / "p.png") == std::pair(1600u, 1120u));
    CHECK(dla::draw_plot({}, folder / "empty").drawn);
}

TEST_CASE("without gnuplot the script and the data stay, and the run goes on") {
    TemporaryFolder folder;
    put_file(folder / "p.png", "an old image");
    const PathWithoutPrograms guard;
    const auto result = dla::draw_plot(dla::training_plot(curves()), folder / "p");
    CHECK_FALSE(result.drawn);
    CHECK(contains(result.message, "gnuplot is not installed (Debian: apt install gnuplot-nox)"));
    CHECK(result.files == std::vector<std::string>{folder / "p.gp", folder / "p.dat"});
    CHECK_FALSE(std::filesystem::exists(folder / "p.png"));
    for (const auto& file : result.files) CHECK(std::filesystem::file_size(file) > 100);
    CHECK(contains(dla::draw_plot({}, folder / "no/p").message, "cannot create"));
}

TEST_CASE("png") {
    TemporaryFolder folder;
    const std::string path = folder / "a.png";
    std::vector<std::uint8_t> pixels(7 * 5 * 3);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 37);
    const std::span<const std::uint8_t> all(pixels);
    CHECK(contains(error_of([&] { dla::write_png(path, all, 7, 5, 2); }), "an image has 1 or 3 channels; got 2"));
    CHECK(contains(error_of([&] { dla::write_png(path, all, 7, 0, 3); }), "image size out of range"));
    CHECK(contains(error_of([&] { dla::write_png(path, all, 7, 6, 3); }), "wrong number of pixel bytes; expected 126, got 105"));
    if (!dla::have_png) {
        CHECK(contains(error_of([&] { dla::write_png(path, all, 7, 5, 3); }), "this build cannot write PNG images"));
        return;
    }
    dla::write_png(path, all, 7, 5, 3);
    CHECK(png_size(path) == std::pair(7u, 5u));
    dla::write_png(folder / "g.png", all.first(35), 7, 5, 1);
#ifdef DLA_HAVE_PNG
    for (const bool rgb : {true, false}) {
        png_image image{};
        image.version = PNG_IMAGE_VERSION;
        REQUIRE(png_image_begin_read_from_file(&image, rgb ? path.c_str() : (folder / "g.png").c_str()) != 0);
        CHECK(image.format == (rgb ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY));
        std::vector<std::uint8_t> back(PNG_IMAGE_SIZE(image));
        REQUIRE(png_image_finish_read(&image, nullptr, back.data(), 0, nullptr) != 0);
        CHECK(std::ranges::equal(back, all.first(rgb ? 105 : 35)));
    }
#endif
}
