// SPDX-License-Identifier: MIT
#include <dla/data/image_folder.hpp>
#include <dla/data/loader.hpp>

#include "image_files.hpp"

#include <cmath>
#include <cstdlib>

#include <unistd.h>

using namespace files;
using dla::ErrorCode;

namespace {

std::span<const std::byte> as_bytes(const Bytes& bytes) { return std::as_bytes(std::span(bytes)); }

dla::Image decode(const Bytes& bytes, int channels = 0) { return dla::decode_image(as_bytes(bytes), "it", channels); }
std::string refused(const Bytes& bytes) {
    const std::string said = message_of([&] { decode(bytes); });
    CHECK(contains(said, "error[data] it: "));
    return said;
}

Bytes noise(std::size_t count, std::uint32_t seed = 1) {
    dla::RandomStream random({seed, 0, 0}, dla::RandomUse::synthesis);
    Bytes out(count);
    for (std::uint8_t& v : out) v = static_cast<std::uint8_t>(random.below(256));
    return out;
}

/// Smooth, so that JPEG keeps it to within a few steps.
[[maybe_unused]] Bytes waves(std::size_t height, std::size_t width, std::size_t channels) {
    Bytes out;
    for (std::size_t y = 0; y < height; ++y)
        for (std::size_t x = 0; x < width; ++x)
            for (std::size_t c = 0; c < channels; ++c)
                out.push_back(static_cast<std::uint8_t>(128 + 100 * std::sin(.2 * static_cast<double>(x) + .15 * static_cast<double>(y * (c + 1)))));
    return out;
}

[[maybe_unused]] int largest_difference(const Bytes& a, const Bytes& b) {
    REQUIRE(a.size() == b.size());
    int most = 0;
    for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
    return most;
}

/// The definition in resize.hpp, in double.
std::vector<double> resized(const Bytes& in, int height, int width, int channels, int out_height, int out_width) {
    const auto weights = [](int n, int m, int i) {
        std::vector<double> w(static_cast<std::size_t>(n));
        const double scale = static_cast<double>(n) / m, centre = (i + .5) * scale;
        double sum = 0;
        for (int j = 0; j < n; ++j) sum += w[static_cast<std::size_t>(j)] = std::max(0.0, 1 - std::abs(j + .5 - centre) / std::max(scale, 1.0));
        for (double& v : w) v /= sum;
        return w;
    };
    std::vector<double> out;
    for (int y = 0; y < out_height; ++y)
        for (int x = 0; x < out_width; ++x) {
            const auto down = weights(height, out_height, y), across = weights(width, out_width, x);
            for (int c = 0; c < channels; ++c) {
                double sum = 0;
                for (int j = 0; j < height; ++j)
                    for (int i = 0; i < width; ++i)
                        sum += down[static_cast<std::size_t>(j)] * across[static_cast<std::size_t>(i)] *
                               in[static_cast<std::size_t>((j * width + i) * channels + c)];
                out.push_back(sum);
            }
        }
    return out;
}

Bytes resize(const Bytes& in, dla::index_t height, dla::index_t width, dla::index_t channels, dla::index_t out_height, dla::index_t out_width) {
    Bytes out(static_cast<std::size_t>(out_height * out_width * channels));
    dla::resize_image(in, height, width, channels, out, out_height, out_width);
    return out;
}

}  // namespace

TEST_CASE("resize_image: the definition, in double") {
    const int sizes[][4] = {{7, 5, 3, 4}, {5, 7, 11, 9}, {9, 4, 9, 13}, {12, 12, 6, 6}, {1, 1, 5, 3}, {40, 3, 1, 1}, {6, 31, 7, 2}, {3, 3, 3, 3}, {2, 2, 1, 2}};
    for (const auto& [h, w, oh, ow] : sizes)
        for (const int channels : {1, 3}) {
            CAPTURE(h);
            CAPTURE(w);
            CAPTURE(oh);
            CAPTURE(ow);
            const Bytes in = noise(static_cast<std::size_t>(h * w * channels));
            const Bytes got = resize(in, h, w, channels, oh, ow);
            const auto expected = resized(in, h, w, channels, oh, ow);
            for (std::size_t i = 0; i < got.size(); ++i) CHECK(std::abs(got[i] - expected[i]) <= .5 + 1e-9);
        }
}

TEST_CASE("resize_image: what can be said without computing") {
    const Bytes in = noise(6 * 7 * 3);
    CHECK(resize(in, 6, 7, 3, 6, 7) == in);
    CHECK(resize(Bytes(30 * 20, 137), 30, 20, 1, 7, 45) == Bytes(7 * 45, 137));
    CHECK(resize({0, 1}, 1, 2, 1, 1, 1) == Bytes{1});                 // 1/2, halves up
    CHECK(resize({10, 20}, 1, 2, 1, 1, 4) == Bytes{10, 13, 18, 20});  // 12.5 and 17.5
    // No pixel is left out of what shrinks: a bright one is seen wherever it lies.
    for (std::size_t at = 0; at < 64; ++at) {
        Bytes dark(64);
        dark[at] = 255;
        std::uint32_t sum = 0;
        for (const std::uint8_t v : resize(dark, 1, 64, 1, 1, 8)) sum += v;
        CHECK(sum >= 20);
    }
    // The largest there is: sums that would not fit 64 bits.
    Bytes tall(32768 * 2, 255);
    CHECK(resize(tall, 32768, 2, 1, 1, 1) == Bytes{255});
    CHECK(resize(tall, 2, 32768, 1, 2, 1) == Bytes{255, 255});
    Bytes large(std::size_t{8192} * 8192, 255);
    CHECK(resize(large, 8192, 8192, 1, 1, 1) == Bytes{255});
    for (std::size_t i = 0; i < large.size(); ++i) large[i] = i % 2 ? 255 : 0;
    CHECK(resize(large, 8192, 8192, 1, 1, 1) == Bytes{128});  // 127.5
    const auto bad = [&](std::size_t bytes, dla::index_t h, dla::index_t w, std::size_t out_bytes, dla::index_t oh, dla::index_t ow) {
        Bytes out(out_bytes);
        return message_of([&] { dla::resize_image(Bytes(bytes), h, w, 1, out, oh, ow); }, ErrorCode::shape);
    };
    CHECK(contains(bad(5, 2, 3, 1, 1, 1), "an image [1, 2, 3] in 5 bytes cannot become [1, 1, 1] in 1"));
    for (const dla::index_t side : {dla::index_t{0}, dla::index_t{-1}, dla::index_t{32769}})
        bad(1, 1, 1, static_cast<std::size_t>(std::max<dla::index_t>(side, 0)), side, 1);
}

TEST_CASE("images: what is neither PNG nor JPEG, and builds without a decoder") {
    CHECK(contains(refused({}), "neither a PNG nor a JPEG image"));
    CHECK(contains(refused({'G', 'I', 'F', '8', '9', 'a'}), "neither"));
    CHECK(contains(message_of([&] { decode(png_of({1}, 1, 1, 1), 2); }, ErrorCode::config), "1 or 3 channels; got 2"));
    if (!dla::have_png) CHECK(contains(refused(png_of({1}, 1, 1, 1)), "install libpng"));
    if (!dla::have_jpeg) CHECK(contains(refused({0xff, 0xd8, 0xff, 0xe0}), "install libjpeg-turbo"));
}

#ifdef DLA_HAVE_PNG

TEST_CASE("png: every kind gives the samples that were written") {
    const std::uint32_t h = 3, w = 5;
    for (const auto& [colour, depth] : {std::pair{0, 1}, {0, 2}, {0, 4}, {0, 8}, {0, 16}, {2, 8}, {2, 16}, {4, 8}, {4, 16}, {6, 8}, {6, 16}}) {
        CAPTURE(colour);
        CAPTURE(depth);
        Png png{w, h, depth, colour};
        dla::RandomStream random({7, static_cast<std::uint32_t>(colour), static_cast<std::uint32_t>(depth)}, dla::RandomUse::synthesis);
        std::vector<std::uint32_t> values(png.samples() * h);
        for (std::uint32_t& v : values) v = random.below(1u << depth);
        const std::size_t stored = png.samples() / w, channels = stored >= 3 ? 3 : 1;
        Bytes expected, expected_grey;
        for (std::size_t p = 0; p < h * w; ++p)
            for (std::size_t c = 0; c < channels; ++c) {  // rounded to 8 bits; alpha is dropped
                const std::uint32_t most = (1u << depth) - 1;
                expected.push_back(static_cast<std::uint8_t>((values[p * stored + c] * 255 + most / 2) / most));
            }
        const dla::Image image = decode(png.file(values));
        CHECK(image.height == h);
        CHECK(image.width == w);
        CHECK(image.channels == static_cast<dla::index_t>(channels));
        CHECK(image.pixels == expected);
        // And as the other kind.
        const dla::Image other = decode(png.file(values), channels == 3 ? 1 : 3);
        REQUIRE(other.pixels.size() == h * w * (channels == 3 ? 1 : 3));
        for (std::size_t p = 0; p < h * w; ++p)
            if (channels == 1)
                for (std::size_t c = 0; c < 3; ++c) CHECK(other.pixels[p * 3 + c] == expected[p]);
            else
                CHECK(std::abs(other.pixels[p] - (.299 * expected[p * 3] + .587 * expected[p * 3 + 1] + .114 * expected[p * 3 + 2])) <= .501);
    }
    Png palette{w, h, 4, 3, {255, 0, 0, 0, 255, 0, 1, 2, 3}, {}};
    const std::vector<std::uint32_t> indices = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};
    Bytes expected;
    for (const std::uint32_t i : indices) expected.insert(expected.end(), palette.palette.begin() + 3 * i, palette.palette.begin() + 3 * i + 3);
    CHECK(decode(palette.file(indices)).pixels == expected);
    palette.transparent = {0, 128};
    CHECK(decode(palette.file(indices)).pixels == expected);
    Png keyed{2, 1, 8, 0, {}, {0, 7}};  // a grey value that stands for "transparent"
    CHECK(decode(keyed.file({7, 9})).pixels == Bytes{7, 9});
}

TEST_CASE("png: cut anywhere is refused, and any flipped bit gives the same size of image or an error") {
    TempDir dir;
    const Bytes pixels = noise(9 * 7 * 3);
    dla::write_png(dir / "a.png", pixels, 7, 9, 3);
    const Bytes compressed = read(dir / "a.png");
    const Png palette{6, 5, 2, 3, noise(12), {1, 2}};
    std::vector<std::uint32_t> indices(30);
    for (std::size_t i = 0; i < 30; ++i) indices[i] = i % 4;
    for (const Bytes& whole : {compressed, palette.file(indices), Png{3, 2, 16, 6}.file(std::vector<std::uint32_t>(24, 40000))}) {
        const dla::Image good = decode(whole);
        for (std::size_t n = 0; n < whole.size(); ++n) refused(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)));
        int survived = 0;
        for (std::size_t i = 0; i < whole.size(); ++i)
            for (int bit = 0; bit < 8; ++bit) {
                Bytes bad = whole;
                bad[i] = static_cast<std::uint8_t>(bad[i] ^ 1 << bit);
                try {
                    const dla::Image image = decode(bad);
                    CHECK(image.pixels == good.pixels);  // check sums: what is read is what was written
                    ++survived;
                } catch (const dla::Error& error) {
                    CHECK(error.code() == ErrorCode::data);
                }
            }
        CHECK(survived < 8 * 40);  // in what is not needed for pixels: IEND, transparency
    }
}

TEST_CASE("png: hostile headers") {
    const auto with_header = [](std::uint32_t width, std::uint32_t height, int depth = 8, int colour = 0, const Bytes& data = {0}) {
        Bytes png = Png{width, height, depth, colour}.start();
        put_chunk(png, "IDAT", stored(data));
        put_chunk(png, "IEND", {});
        return png;
    };
    CHECK(contains(refused(with_header(0, 1)), "0 x 1 pixels; expected 1 to 32768 on a side"));
    CHECK(contains(refused(with_header(1, 0)), "expected 1 to 32768"));
    CHECK(contains(refused(with_header(32769, 1)), "expected 1 to 32768"));
    CHECK(contains(refused(with_header(0xffffffffu, 0xffffffffu)), "expected 1 to 32768"));
    CHECK(contains(refused(with_header(32768, 32768)), "at most 2^28"));
    CHECK(contains(refused(with_header(16384, 16384)), "12 compressed bytes cannot hold 16384 x 16384 pixels"));
    CHECK(contains(refused(with_header(2, 2)), "damaged"));
    for (const auto& [depth, colour] : {std::pair{3, 0}, {0, 0}, {255, 0}, {16, 3}, {8, 5}, {8, 255}, {4, 2}})
        CHECK(contains(refused(with_header(1, 1, depth, colour, {0, 0})), "damaged"));
    CHECK(contains(refused(with_header(4, 1, 8, 3, {0, 0, 1, 2, 3})), "damaged"));  // no palette
    CHECK(decode(with_header(1, 1, 8, 0, {0, 9})).pixels == Bytes{9});
    Bytes length = png_of({1, 2, 3}, 1, 1, 3);
    length[33] = 0xff;  // of IDAT
    CHECK(contains(refused(length), "cut short or damaged"));
    Bytes longer = png_of({1, 2, 3}, 1, 1, 3);
    longer.push_back(0);  // what follows the end is not looked at
    CHECK(decode(longer).pixels == Bytes{1, 2, 3});
}

#endif

#ifdef DLA_HAVE_JPEG

TEST_CASE("jpeg: grey, colours, halved colours, progressive: close to what was compressed") {
    for (const auto& [h, w] : {std::pair{16u, 24u}, {1u, 1u}, {33u, 17u}})
        for (const bool progressive : {false, true}) {
            CAPTURE(h);
            CAPTURE(progressive);
            const Bytes grey = waves(h, w, 1), rgb = waves(h, w, 3);
            JpegSettings settings;
            settings.progressive = progressive;
            const dla::Image a = decode(jpeg_of(grey, h, w, 1, settings));
            CHECK(a.channels == 1);
            CHECK(a.height == h);
            CHECK(a.width == w);
            CHECK(largest_difference(a.pixels, grey) <= 2);
            const dla::Image b = decode(jpeg_of(rgb, h, w, 3, settings));
            CHECK(b.channels == 3);
            CHECK(largest_difference(b.pixels, rgb) <= 4);
            settings.halved_colours = true;
            Bytes same;
            for (const std::uint8_t v : grey) same.insert(same.end(), 3, v);
            CHECK(largest_difference(decode(jpeg_of(same, h, w, 3, settings)).pixels, same) <= 3);
            settings.halved_colours = false;
            settings.stored = JCS_RGB;
            CHECK(largest_difference(decode(jpeg_of(rgb, h, w, 3, settings)).pixels, rgb) <= 2);
        }
    CHECK(decode(jpeg_of(waves(8, 8, 1), 8, 8, 1), 3).channels == 3);
    CHECK(decode(jpeg_of(waves(8, 8, 3), 8, 8, 3), 1).pixels.size() == 64);
}

TEST_CASE("jpeg: what is not read is said") {
    CHECK(contains(refused(jpeg_of(noise(8 * 8 * 4), 8, 8, 4)), "CMYK"));
    CHECK(contains(refused(jpeg_of(noise(8 * 8 * 2), 8, 8, 2)), "2 components of unknown colours"));
    JpegSettings settings;
    settings.scans = 99;
    CHECK(decode(jpeg_of(waves(16, 16, 1), 16, 16, 1, settings)).height == 16);
    settings.scans = 127;
    CHECK(contains(refused(jpeg_of(waves(16, 16, 1), 16, 16, 1, settings)), "more than 100 scans"));
}

TEST_CASE("jpeg: cut anywhere is refused, and any flipped bit gives an image or an error") {
    for (const bool progressive : {false, true}) {
        JpegSettings settings;
        settings.progressive = progressive;
        settings.quality = 75;
        settings.halved_colours = true;
        const Bytes whole = jpeg_of(waves(19, 23, 3), 19, 23, 3, settings);
        for (std::size_t n = 0; n < whole.size(); ++n) refused(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)));
        int survived = 0;
        for (std::size_t i = 0; i < whole.size(); ++i)
            for (int bit = 0; bit < 8; ++bit) {
                Bytes bad = whole;
                bad[i] = static_cast<std::uint8_t>(bad[i] ^ 1 << bit);
                try {
                    const dla::Image image = decode(bad);  // JPEG has no check sums: other pixels can be as valid
                    CHECK(image.pixels.size() == static_cast<std::size_t>(image.height * image.width * image.channels));
                    ++survived;
                } catch (const dla::Error& error) {
                    CHECK(error.code() == ErrorCode::data);
                }
            }
        CHECK(survived > 0);
    }
}

TEST_CASE("jpeg: hostile headers") {
    const Bytes whole = jpeg_of(waves(16, 16, 1), 16, 16, 1);
    std::size_t frame = 0;
    while (whole[frame] != 0xff || whole[frame + 1] != 0xc0) ++frame;
    const auto with_size = [&](std::uint32_t height, std::uint32_t width) {
        Bytes bad = whole;
        for (std::size_t i = 0; i < 2; ++i)
            bad[frame + 5 + i] = static_cast<std::uint8_t>(height >> (8 - 8 * i)), bad[frame + 7 + i] = static_cast<std::uint8_t>(width >> (8 - 8 * i));
        return bad;
    };
    CHECK(contains(refused(with_size(65535, 65535)), "damaged or of a kind"));  // libjpeg's own limit is 65500
    CHECK(contains(refused(with_size(65500, 16)), "expected 1 to 32768 on a side"));
    CHECK(contains(refused(with_size(32768, 32768)), "at most 2^28"));
    CHECK(contains(refused(with_size(16384, 16384)), "bytes cannot hold 16384 x 16384 pixels"));
    CHECK(contains(refused(with_size(0, 16)), "damaged"));
    CHECK(contains(refused(with_size(17, 16)), "damaged"));
    Bytes longer = whole;
    longer.insert(longer.end(), 10, 0);  // as some cameras do
    CHECK(decode(longer).pixels == decode(whole).pixels);
}

#endif

#if defined(DLA_HAVE_PNG) && defined(DLA_HAVE_JPEG)

namespace {

/// Three classes: cat (4 images, one of them deeper), dog (3), "emu bird" (2).
struct Pets {
    TempDir dir;
    Pets() {
        for (const std::string name : {"cat/b.png", "cat/deep/er/a.PNG", "dog/1.png", "dog/2.png", "emu bird/x.Jpeg", "cat/c.jpg"})
            write(dir / name, png_of(noise(6 * 5 * 3, static_cast<std::uint32_t>(name.size())), 6, 5, 3));  // the content decides
        write(dir / "cat/a.jpg", jpeg_of(waves(6, 5, 3), 6, 5, 3));
        write(dir / "dog/3.png", png_of(noise(30), 6, 5, 1));
        write(dir / "emu bird/y.png", jpeg_of(waves(6, 5, 1), 6, 5, 1));
        write(dir / "cat/readme.txt", {1});
        write(dir / "cat/.hidden.png", {1});
        write(dir / ".git/a.png", {1});
        write(dir / "top.png", {1});
    }
};

dla::ImageFolderOptions sized(dla::index_t height, dla::index_t width, int channels = 3, int threads = 0) {
    dla::ImageFolderOptions options;
    options.height = height;
    options.width = width;
    options.channels = channels;
    options.threads = threads;
    return options;
}

}  // namespace

TEST_CASE("image folder: classes by name, files by path, the bytes at any number of threads") {
    const Pets pets;
    const std::string folder = pets.dir.path();
    const dla::ImageFiles files = dla::list_images(folder);
    CHECK(files.class_names == std::vector<std::string>{"cat", "dog", "emu bird"});
    CHECK(files.labels == std::vector<std::int32_t>{0, 0, 0, 0, 1, 1, 1, 2, 2});
    std::vector<std::string> names;
    for (const std::string& path : files.paths) names.push_back(path.substr(folder.size() + 1));
    CHECK(names == std::vector<std::string>{"cat/a.jpg", "cat/b.png", "cat/c.jpg", "cat/deep/er/a.PNG", "dog/1.png", "dog/2.png", "dog/3.png",
                                            "emu bird/x.Jpeg", "emu bird/y.png"});

    const dla::Dataset data = dla::load_image_folder(folder);
    data.check();
    CHECK(data.shape == dla::Shape{3, 6, 5});
    CHECK(data.num_classes == 3);
    CHECK(data.class_names == files.class_names);
    CHECK(data.labels == files.labels);
    for (std::size_t i = 0; i < files.paths.size(); ++i) {
        const auto image = data.image(static_cast<dla::index_t>(i));
        CHECK(Bytes(image.begin(), image.end()) == decode(read(files.paths[i]), 3).pixels);
    }
    dla::Dataset again = data;
    dla::compute_statistics(again);
    CHECK(again.mean == data.mean);
    CHECK(again.std == data.std);

    const dla::Dataset small = dla::load_image_folder(folder, sized(4, 3, 1, 1));
    CHECK(small.shape == dla::Shape{1, 4, 3});
    CHECK(small.images[0] == resize(decode(read(files.paths[0]), 1).pixels, 6, 5, 1, 4, 3)[0]);
    for (const int threads : {0, 2, 5, 64}) CHECK(dla::load_image_folder(folder, sized(4, 3, 1, threads)).images == small.images);
}

TEST_CASE("image folder: read lazily, the same as from memory") {
    const Pets pets;
    const dla::Dataset data = dla::load_image_folder(pets.dir.path(), sized(8, 7));
    dla::ImageFolder folder(pets.dir.path(), sized(8, 7));
    folder.set_statistics(data.mean, data.std);
    for (const auto& [bad, why] : {std::pair{dla::Augmentation{.padding = 128}, "the padding must be 0 to 127, got 128"},
                                   {dla::Augmentation{.scale = 1}, "scale must be at least 0 and less than 1"},
                                   {dla::Augmentation{.brightness = -1}, "contrast, brightness and saturation must be 0 to 1"}}) {
        folder.augmentation = bad;
        std::vector<float> image(static_cast<std::size_t>(folder.input_shape().size()));
        CHECK(contains(message_of([&] { folder.read({.seed = 1, .epoch = 1, .sample = 0, .training = true}, image); }, ErrorCode::config), why));
        folder.read({.seed = 1, .epoch = 0, .sample = 0, .training = false}, image);
    }
    folder.augmentation = {2, true};
    CHECK(folder.classes() == 3);
    dla::LoaderOptions options;
    options.batch_size = 4;
    dla::Loader lazy(folder, options);
    options.augmentation = {2, true};
    dla::Loader held(data, options);
    for (std::uint32_t epoch = 1; epoch <= 2; ++epoch) {
        lazy.start_epoch(epoch), held.start_epoch(epoch);
        while (const dla::Batch* b = held.next()) {
            const dla::Batch* a = lazy.next();
            REQUIRE(a);
            CHECK(std::ranges::equal(a->inputs, b->inputs));
            CHECK(std::ranges::equal(a->labels, b->labels));
        }
        CHECK(!lazy.next());
    }
    // Evaluated, they are as they are.
    dla::Loader as_they_are(folder, dla::evaluation_options(4)), in_memory(data, dla::evaluation_options(4));
    as_they_are.start_epoch(1), in_memory.start_epoch(1);
    while (const dla::Batch* b = in_memory.next()) CHECK(std::ranges::equal(as_they_are.next()->inputs, b->inputs));
    std::vector<float> input(8 * 7 * 3);
    dla::ImageFolder plain(pets.dir.path(), sized(8, 7));
    plain.read({}, input);
    CHECK(input[0] == static_cast<float>(data.images[0]) / 255.0f);
    CHECK(contains(message_of([&] { plain.set_statistics({0, 0}, {1, 1}); }, ErrorCode::config), "each of 3 channels"));
    CHECK(contains(message_of([&] { plain.set_statistics({0, 0, 0}, {1, 0, 1}); }, ErrorCode::config), "std a positive one"));
    fs::remove(plain.files().paths[0]);
    CHECK(contains(message_of([&] { plain.read({}, input); }), "a.jpg: cannot open"));
}

TEST_CASE("image folder: the classes of the training set for a test set") {
    const Pets pets;
    dla::ImageFolderOptions options;
    options.class_names = {"emu bird", "ant", "dog", "cat"};
    const dla::Dataset data = dla::load_image_folder(pets.dir.path(), options);
    CHECK(data.num_classes == 4);
    CHECK(data.class_names == options.class_names);
    CHECK(data.labels == std::vector<std::int32_t>{0, 0, 2, 2, 2, 3, 3, 3, 3});
    options.class_names = {"cat", "dog"};
    CHECK(contains(message_of([&] { dla::load_image_folder(pets.dir.path(), options); }), "emu bird: this folder has none of the 2 class names"));
}

TEST_CASE("image folder: what is wrong is said, with the first file in order") {
    const Pets pets;
    const std::string folder = pets.dir.path();
    const auto said = [&](const dla::ImageFolderOptions& options = sized(3, 3), ErrorCode code = ErrorCode::data) {
        return message_of([&] { dla::load_image_folder(folder, options); }, code);
    };
    write(pets.dir / "dog/2.png", {'G', 'I', 'F', '8'});
    write(pets.dir / "dog/3.png", {});
    for (const int threads : {1, 2, 8}) CHECK(contains(said(sized(3, 3, 3, threads)), "dog/2.png: neither a PNG nor a JPEG image"));
    Bytes cut = read(pets.dir / "cat/a.jpg");
    cut.resize(cut.size() / 2);
    write(pets.dir / "cat/c.jpg", cut);
    for (const int threads : {1, 2, 8}) CHECK(contains(said(sized(3, 3, 3, threads)), "cat/c.jpg: the JPEG file is damaged"));
    write(pets.dir / "cat/b.png", png_of(noise(6 * 6), 6, 6, 1));
    CHECK(contains(said(sized(0, 0)), "cat/b.png: the image has 6 x 6 pixels (height x width), and the first one 6 x 5"));
    fs::create_directories(pets.dir / "fox");
    write(pets.dir / "fox/a.gif", {1});
    CHECK(contains(said(), "fox: this class has no image"));
    fs::remove_all(pets.dir / "fox");

    CHECK(contains(message_of([&] { dla::load_image_folder(pets.dir / "absent"); }), "no such folder"));
    CHECK(contains(message_of([&] { dla::load_image_folder(pets.dir / "top.png"); }), "no such folder"));
    CHECK(contains(message_of([&] { dla::load_image_folder(pets.dir / "dog"); }), "has no classes"));
    CHECK(contains(said(sized(3, 0), ErrorCode::config), "got 3 x 0"));
    CHECK(contains(said(sized(-1, 3), ErrorCode::config), "got -1 x 3"));
    CHECK(contains(said(sized(32769, 3), ErrorCode::config), "got 32769 x 3"));
    CHECK(contains(said(sized(3, 3, 4), ErrorCode::config), "1 or 3 channels; got 4"));
}

TEST_CASE("image folder: links in circles end, broken links and folders that cannot be read are said") {
    const Pets pets;
    fs::create_directory_symlink(pets.dir / "cat", pets.dir / "cat/deep/up");
    fs::create_directory_symlink("..", pets.dir / "cat/deep/er/up");
    fs::create_directory_symlink(".", pets.dir / "dog/self");
    fs::create_directory_symlink(pets.dir / "emu bird", pets.dir / "dog/z");  // a class may lend images from elsewhere
    // Two links to the next folder in each of forty: as many ways as 2^40.
    for (int i = 0; i < 40; ++i) {
        const std::string name = "dog/maze" + std::to_string(i);
        fs::create_directories(pets.dir / name);
        for (const std::string link : {"/l", "/r"})
            if (i < 39) fs::create_directory_symlink(pets.dir / ("dog/maze" + std::to_string(i + 1)), pets.dir / (name + link));
    }
    const dla::ImageFiles files = dla::list_images(pets.dir.path());
    CHECK(files.labels == std::vector<std::int32_t>{0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2});

    fs::create_symlink("nowhere.png", pets.dir / "dog/0.png");
    CHECK(contains(message_of([&] { dla::load_image_folder(pets.dir.path()); }), "dog/0.png: cannot open"));
    fs::remove(pets.dir / "dog/0.png");
    fs::create_symlink("0.png", pets.dir / "dog/0.png");
    CHECK(contains(message_of([&] { dla::load_image_folder(pets.dir.path()); }), "dog/0.png: cannot open"));
    fs::remove(pets.dir / "dog/0.png");
    if (geteuid() != 0) {
        fs::permissions(pets.dir / "emu bird", fs::perms::none);
        CHECK(contains(message_of([&] { dla::load_image_folder(pets.dir.path()); }), "emu bird: cannot read the folder"));
        fs::permissions(pets.dir / "emu bird", fs::perms::owner_all);
    }
}

#endif
