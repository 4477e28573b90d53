// SPDX-License-Identifier: MIT
#include <dla/io/plot.hpp>
#include <dla/io/plot_script.hpp>
#include <dla/io/png.hpp>

#include <doctest/doctest.h>
#include <support/error_of.hpp>
#include <support/temporary_folder.hpp>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <set>

#include <sys/resource.h>

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

/// An environment variable with another value, until the end of the scope.
struct Variable {
    std::string name;
    std::optional<std::string> saved;
    Variable(const char* n, const std::string& value) : name(n) {
        if (const char* old = std::getenv(n)) saved = old;
        ::setenv(n, value.c_str(), 1);
    }
    Variable(const Variable&) = delete;
    ~Variable() { saved ? ::setenv(name.c_str(), saved->c_str(), 1) : ::unsetenv(name.c_str()); }
};

/// A page with a PNG and an SVG.
dla::PlotPage page_with_svg() {
    auto page = dla::training_plot(curves());
    page.svg = true;
    return page;
}

std::set<std::string> names_in(const std::string& folder) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename());
    return names;
}

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

TEST_CASE("ticks of logarithmic axes") {
    const auto ticks = [](double low, double high) { return dla::detail::log_ticks(dla::detail::log_axis({low, high})); };
    const auto labels = [&](double low, double high) {  // a label stands before the value, an empty one marks a small tick
        const std::string text = ticks(low, high);
        std::string found;
        for (std::size_t at = 0; (at = text.find('\'', at)) != std::string::npos;) {
            const std::size_t end = text.find('\'', at + 1);
            if (end > at + 1) found += text.substr(at + 1, end - at - 1) + " ";
            at = end + 1;
        }
        return found;
    };
    CHECK(labels(1, 1) == "0.5 1 2 ");  // of one value: from 0.45 to 2.2
    CHECK(labels(1.5, 5) == "2 3 5 ");
    CHECK(labels(0.07, 2.3) == "0.1 0.2 0.5 1 2 ");
    CHECK(labels(5e-7, 0.1) == "10⁻⁶ 10⁻⁵ 10⁻⁴ 10⁻³ 10⁻² 10⁻¹ ");
    CHECK(labels(2e-8, 6e-8) == "2·10⁻⁸ 3·10⁻⁸ 5·10⁻⁸ ");
    CHECK(labels(1e-20, 1) == "10⁻¹⁸ 10⁻¹⁵ 10⁻¹² 10⁻⁹ 10⁻⁶ 10⁻³ 10⁰ ");
    CHECK(contains(ticks(0.07, 2.3), "'' 3e-1 1"));
    for (const double scale : {1e-250, 1e-9, 1e-3, 1.0, 1e4, 1e250})
        for (double low = 1; low < 10; low += 0.1)
            for (const double factor : {1.0, 1.5, 4.0, 30.0, 2000.0, 1e30}) {
                CAPTURE(low * scale);
                CAPTURE(factor);
                const std::string found = labels(low * scale, low * scale * factor);
                const auto count = std::count(found.begin(), found.end(), ' ');
                CHECK(count >= 2);
                CHECK(count <= 11);
            }
}

TEST_CASE("fixed ticks keep each value and leave labels out that would run into each other") {
    const std::vector<double> depths{100, 5, 10, 20, 98, -1};
    CHECK(dla::detail::fixed_ticks(depths, {4, 120}, true, 600) == "('5' 5, '10' 10, '20' 20, '98' 98, '' 100)");
    CHECK(dla::detail::fixed_ticks(depths, {-2, 120}, false, 60000) == "('-1' -1, '5' 5, '10' 10, '20' 20, '98' 98, '100' 100)");
}

TEST_CASE("bands, bars, a legend for all panels and equal axes") {
    dla::PlotPage page;
    page.panels.resize(2);
    dla::PlotSeries band{"", {1, 2, 3}, {0.5, 0.4, std::nan("")}, 1, true};
    band.low = {0.4, 0, 0.3};  // a band cannot be drawn down to 0 on a logarithmic axis
    band.high = {0.6, 0.5, 0.5};
    page.panels[0].series = {band};
    page.panels[0].log_y = true;
    dla::PlotSeries bar{"", {1}, {7}, dla::plot_black};
    bar.low = {6};
    bar.high = {70};
    page.panels[1].series = {bar};
    page.panels[1].log_y = true;
    page.panels[1].x_ticks = {1};
    page.same_y = true;
    page.svg = true;
    page.x_label = "common";
    page.y_label = "both";
    page.note =
        "a note of many words, so many that they do not fit into one line, even though the page is wide and the type is small, because a note goes on and on "
        "and on";
    page.legend = {"depth", {{"plain", true, true}, {"residual"}}, {{"5", 0}, {"10", 12}}};
    TemporaryFolder folder;
    const auto result = dla::draw_plot(page, folder / "p");
    const std::string data = file_text(folder / "p.dat"), script = file_text(folder / "p.gp");
    CHECK(contains(data, "\n1 0.5 0.4 0.6\n2 0.4 NaN NaN\n3 NaN NaN NaN\n\n\n1 7 6 70\n"));
    CHECK(contains(script, "data index 0 using 1:3:4 with filledcurves fs transparent solid 0.18 noborder lc rgb '#d55e00'"));
    CHECK(contains(script, "data index 0 using 1:2 with lines lw 2.5 dt (12,6) lc rgb '#d55e00'"));
    CHECK(contains(script, "data index 1 using 1:2:3:4 with yerrorbars pt 0 lw 2 lc rgb '#000000'"));
    CHECK(contains(script, "set xtics ('1' 1)"));
    const std::size_t range = script.find("set yrange"), second = script.find("set yrange", range + 1);
    CHECK(script.substr(range, script.find('\n', range) - range) == script.substr(second, script.find('\n', second) - second));
    for (const char* label : {"'common'", "'both'", "'depth'", "'plain'", "'residual'", "'5'", "'10'"}) CHECK(contains(script, label));
    const std::size_t line = script.find("font ',14'");  // of the note: two lines for each of PNG and SVG
    CHECK(contains(script.substr(line + 1, 300), "font ',14'"));
    CHECK_FALSE(contains(script, page.note));
    CHECK(contains(script, "lc rgb '" + dla::detail::plot_color(12) + "'"));
    if (!have_gnuplot()) return;
    CHECK(result.message == "");
    CHECK(png_size(folder / "p.png") == std::pair(1600u, 1120u));
}

TEST_CASE("an SVG has gaps where values are missing, and solid lines in a legend of one colour") {
    if (!have_gnuplot()) {
        MESSAGE("skipped: gnuplot is not installed");
        return;
    }
    TemporaryFolder folder;
    dla::PlotPage page;
    page.svg = true;
    page.panels.resize(1);
    page.panels[0].series = {{"", {1, 2, 3, 4, 5}, {1, 2, std::nan(""), 2, 1}}};
    page.legend = {"", {{"plain", true}, {"residual"}}, {{"", dla::plot_black}}};
    REQUIRE(dla::draw_plot(page, folder / "p").drawn);
    const std::string svg = file_text(folder / "p.svg");
    const auto strokes = [&](std::size_t at) {  // of the path that begins there
        REQUIRE(at != std::string::npos);
        const std::size_t begin = svg.find(" d='", at), end = svg.find("'/>", begin);
        return std::count(svg.begin() + static_cast<std::ptrdiff_t>(begin), svg.begin() + static_cast<std::ptrdiff_t>(end), 'M');
    };
    const std::size_t dashed = svg.find("stroke-dasharray");
    CHECK(strokes(dashed) == 1);
    CHECK(svg.find("stroke-dasharray", dashed + 1) == std::string::npos);
    const std::size_t curve = svg.rfind("stroke='rgb(  0, 114, 178)'");
    CHECK(strokes(curve) + (svg.find("stroke='rgb(  0, 114, 178)'") < curve ? 1 : 0) == 2);
}

TEST_CASE("colours are as many as are asked for") {
    std::set<std::string> colors;
    for (int i = 0; i < 60; ++i) colors.insert(dla::detail::plot_color(i));
    CHECK(colors.size() == 60);
    CHECK(dla::detail::hsl_color(0, 1, 0.5) == "#ff0000");
    CHECK(dla::detail::hsl_color(120, 1, 0.25) == "#008000");
    CHECK(dla::detail::hsl_color(240, 0.5, 0.5) == "#4040bf");
    CHECK(dla::detail::plot_color(dla::plot_black) == "#000000");
}

TEST_CASE("without gnuplot the script and the data stay, and the run goes on") {
    TemporaryFolder folder;
    put_file(folder / "p.png", "an image of other data");
    const Variable guard("PATH", "/nonexistent");
    const auto result = dla::draw_plot(dla::training_plot(curves()), folder / "p");
    CHECK_FALSE(result.drawn);
    CHECK(contains(result.message, "no image " + (folder / "p.png") + ": gnuplot is not installed (Debian: apt install gnuplot-nox)"));
    CHECK(result.files == std::vector<std::string>{folder / "p.gp", folder / "p.dat"});
    CHECK(names_in(folder.path) == std::set<std::string>{"p.gp", "p.dat"});
    for (const auto& file : result.files) CHECK(std::filesystem::file_size(file) > 100);
    CHECK(contains(dla::draw_plot({}, folder / "no/p").message, "cannot create"));
}

TEST_CASE("without gnuplot an image of the same data stays, of other data or another script it goes") {
    TemporaryFolder folder;
    const Variable guard("PATH", "/nonexistent");
    const auto old_image_stays = [&](const dla::PlotPage& page) {
        put_file(folder / "p.png", "an image");
        put_file(folder / "p.svg", "an image");
        const auto result = dla::draw_plot(page, folder / "p");
        const bool stays = std::filesystem::exists(folder / "p.png");
        CHECK(std::filesystem::exists(folder / "p.svg") == stays);
        CHECK(contains(result.message, stays ? "no new image" : "no image"));
        return stays;
    };
    auto page = page_with_svg();
    CHECK_FALSE(old_image_stays(page));
    CHECK(old_image_stays(page));
    page.panels[0].series[0].y[0] = 0.75;
    CHECK_FALSE(old_image_stays(page));
    page.title = "another";
    CHECK_FALSE(old_image_stays(page));
    CHECK(old_image_stays(page));
}

TEST_CASE("a full disk leaves no part of an image, and is told") {
    if (!have_gnuplot()) {
        MESSAGE("skipped: gnuplot is not installed");
        return;
    }
    TemporaryFolder folder;
    REQUIRE(dla::draw_plot(page_with_svg(), folder / "p").drawn);
    const auto png = std::filesystem::file_size(folder / "p.png"), svg = std::filesystem::file_size(folder / "p.svg");
    for (const auto room : {std::min(png, svg) - 1, std::max(png, svg) - 1}) {  // neither fits, or only one
        CAPTURE(room);
        REQUIRE(std::filesystem::file_size(folder / "p.gp") < room);
        const pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {  // a file size limit, which gnuplot inherits, stands in for the disk
            std::signal(SIGXFSZ, SIG_IGN);
            const rlimit limit{room, room};
            setrlimit(RLIMIT_FSIZE, &limit);
            const auto result = dla::draw_plot(page_with_svg(), folder / "p");
            _exit(!result.drawn && result.files.size() == 2 && contains(result.message, "is the disk full?") ? 42 : 1);
        }
        int status = 0;
        REQUIRE(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 42);
        CHECK(names_in(folder.path) == std::set<std::string>{"p.gp", "p.dat"});
    }
    const std::string command = "cd '" + folder.path + "' && gnuplot p.gp";
    CHECK(std::system(command.c_str()) == 0);  // by hand
    CHECK(std::filesystem::file_size(folder / "p.png") == png);
    CHECK(std::filesystem::file_size(folder / "p.svg") == svg);
}

TEST_CASE("the user's settings of gnuplot do not change an image") {
    if (!have_gnuplot()) {
        MESSAGE("skipped: gnuplot is not installed");
        return;
    }
    TemporaryFolder folder;
    REQUIRE(dla::draw_plot(page_with_svg(), folder / "p").drawn);
    const std::string png = file_text(folder / "p.png"), svg = file_text(folder / "p.svg");
    std::filesystem::create_directory(folder / "home");
    put_file(folder / "home/.gnuplot", "set datafile separator ','\nset xlabel 'mine'\nset key top\nset linetype 1 lw 9\n");
    const Variable home("HOME", folder / "home"), terminal("GNUTERM", "nonsense"), library("GNUPLOT_LIB", "/nonexistent");
    const auto result = dla::draw_plot(page_with_svg(), folder / "p");
    CHECK(result.message == "");
    CHECK(file_text(folder / "p.png") == png);
    CHECK(file_text(folder / "p.svg") == svg);
}

TEST_CASE("images that end too early are known") {
    TemporaryFolder folder;
    const auto whole = [&](const std::string& text) {
        put_file(folder / "i", text);
        return std::pair(dla::detail::whole_png(folder / "i"), dla::detail::whole_svg(folder / "i"));
    };
    using namespace std::string_literals;
    const std::string png = "\x89PNG\r\n\x1a\n\0\0\0\3IDATabcCRC4\0\0\0\0IENDCRC4"s;
    CHECK(whole(png) == std::pair(true, false));
    for (std::size_t n = 0; n < png.size(); ++n) CHECK(whole(png.substr(0, n)) == std::pair(false, false));
    CHECK(whole(png + "x") == std::pair(false, false));
    CHECK(whole(png.substr(0, 11) + "\2" + png.substr(12)) == std::pair(false, false));
    CHECK(whole(png.substr(0, 8) + "\xff\xff\xff\xff" + png.substr(12)) == std::pair(false, false));
    CHECK(whole("<svg></svg>\n\n") == std::pair(false, true));
    CHECK(whole("<svg></svg") == std::pair(false, false));
    CHECK_FALSE(dla::detail::whole_png(folder / "none"));
    CHECK_FALSE(dla::detail::whole_svg(folder.path));
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
