// SPDX-License-Identifier: MIT
#include <dla/data.hpp>
#include <dla/data/cifar.hpp>
#include <dla/data/idx.hpp>

#include "files.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

using namespace files;
using dla::ErrorCode;

namespace {

// Two images of 2 x 3 and their labels.
Bytes small_images() { return idx({2, 2, 3}, {0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255}); }
Bytes small_labels() { return idx({2}, {3, 9}); }

// A complete set of 28 x 28 images, `train` and `test` of them.
void write_mnist(const fs::path& folder, std::uint32_t train, std::uint32_t test, const std::string& end = "", const std::string& dot = "-") {
    const auto put = [&](const std::string& stem, std::uint32_t n) {
        Bytes images = idx({n, 28, 28}, Bytes(n * 784, 7)), labels = idx({n}, Bytes(n, 4));
#if defined(DLA_HAVE_ZLIB)
        if (end == ".gz") images = gzip(images), labels = gzip(labels);
#endif
        write(folder / (stem + "-images" + dot + "idx3-ubyte" + end), images);
        write(folder / (stem + "-labels" + dot + "idx1-ubyte" + end), labels);
    };
    put("train", train);
    put("t10k", test);
}

Bytes cifar_file(int first_label, int records) {
    Bytes out;
    for (int r = 0; r < records; ++r) {
        out.push_back(static_cast<std::uint8_t>((first_label + r) % 10));
        for (int i = 0; i < 3072; ++i) out.push_back(static_cast<std::uint8_t>(i % 256 + 7 * r + i / 1024 * 50 + first_label));
    }
    return out;
}

const std::vector<std::string> cifar_names = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                              "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};

}  // namespace

TEST_CASE("idx: a plain pair is read as written") {
    TempDir dir;
    const dla::Dataset data = dla::read_idx_pair(write(dir / "i", small_images()), write(dir / "l", small_labels()));
    CHECK(data.shape == dla::Shape{1, 2, 3});
    CHECK(data.images == Bytes{0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255});
    CHECK(data.labels == std::vector<std::int32_t>{3, 9});
    CHECK(data.image(1)[0] == 250);
}

TEST_CASE("idx: a file cut anywhere is refused") {
    TempDir dir;
    const Bytes whole = small_images();
    for (std::size_t n = 0; n < whole.size(); ++n) {
        const auto path = write(dir / "i", Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)));
        CAPTURE(n);
        CHECK(contains(message_of([&] { dla::read_idx(path, 3); }), "cut short"));
    }
}

TEST_CASE("idx: damaged headers and contents are refused with what was expected and found") {
    TempDir dir;
    const auto refused = [&](Bytes bytes, int rank = 3) { return message_of([&] { dla::read_idx(write(dir / "f", bytes), rank); }); };
    const auto with = [](Bytes bytes, std::size_t at, std::uint8_t value) {
        bytes[at] = value;
        return bytes;
    };
    CHECK(contains(refused(with(small_images(), 0, 1)), "not an IDX file"));
    CHECK(contains(refused(with(small_images(), 1, 1)), "not an IDX file"));
    CHECK(contains(refused(with(small_images(), 2, 13)), "type must be 8 (unsigned byte), got 13"));
    CHECK(contains(refused(small_labels()), "must have 3 axes, got 1"));
    CHECK(contains(refused(small_images(), 1), "must have 1 axes, got 3"));
    CHECK(contains(refused(idx({0, 2, 3}, {})), "axis 0 of the IDX file is empty"));
    CHECK(contains(refused(idx({0xffffffffu, 0xffffffffu, 0xffffffffu}, {1})), "absurd"));
    CHECK(contains(refused(idx({0x40000000u, 32, 32}, {1})), "expected 1099511627792 bytes, got 17"));
    CHECK(contains(refused(idx({0x40000000u, 32, 33}, {1})), "absurd"));
    Bytes longer = small_images();
    longer.push_back(0);
    CHECK(contains(refused(longer), "expected 28 bytes, got 29"));
    CHECK(contains(refused({}), "cut short"));
    CHECK(contains(message_of([&] { dla::read_idx(dir / "absent", 1); }), "not a regular file"));
    CHECK(contains(message_of([&] { dla::read_idx(dir.path(), 1); }), "not a regular file"));
}

TEST_CASE("idx: labels are checked and must match the images in number") {
    TempDir dir;
    const auto images = write(dir / "i", small_images());
    CHECK(contains(message_of([&] { dla::read_idx_pair(images, write(dir / "l", idx({2}, {3, 10}))); }), "label 1 is out of range; expected 0 to 9, got 10"));
    CHECK(contains(message_of([&] { dla::read_idx_pair(images, write(dir / "l", idx({3}, {3, 4, 5}))); }), "expected 3 images"));
    CHECK(contains(message_of([&] { dla::read_idx_pair(write(dir / "l", small_labels()), images); }), "mixed up"));
}

#if defined(DLA_HAVE_ZLIB)

TEST_CASE("gzip: content is read whatever the file is called, also from several members") {
    TempDir dir;
    const Bytes whole = small_images();
    CHECK(dla::read_idx(write(dir / "a", gzip(whole)), 3).values == Bytes(whole.begin() + 16, whole.end()));
    Bytes two = gzip(Bytes(whole.begin(), whole.begin() + 20));
    const Bytes rest = gzip(Bytes(whole.begin() + 20, whole.end()));
    two.insert(two.end(), rest.begin(), rest.end());
    CHECK(dla::read_idx(write(dir / "b", two), 3).values == Bytes(whole.begin() + 16, whole.end()));
}

TEST_CASE("gzip: a file cut anywhere, with a wrong check sum, or with bytes behind it is refused") {
    TempDir dir;
    Bytes values(3000);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint8_t>(i * i >> 3);
    const Bytes whole = gzip(idx({3, 10, 100}, values));
    for (std::size_t n = 0; n < whole.size(); n += n < 40 || n + 40 > whole.size() ? 1 : 17) {
        CAPTURE(n);
        message_of([&] { dla::read_idx(write(dir / "f", Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n))), 3); });
    }
    Bytes bad = whole;
    bad[bad.size() - 6] ^= 1;  // CRC
    CHECK(contains(message_of([&] { dla::read_idx(write(dir / "f", bad), 3); }), "damaged"));
    bad = whole;
    bad[bad.size() - 2] ^= 1;  // length
    CHECK(contains(message_of([&] { dla::read_idx(write(dir / "f", bad), 3); }), "damaged"));
    bad = whole;
    bad.push_back('x');
    message_of([&] { dla::read_idx(write(dir / "f", bad), 3); });
    Bytes longer = idx({3, 10, 100}, values);
    longer.push_back(0);
    CHECK(contains(message_of([&] { dla::read_idx(write(dir / "f", gzip(longer)), 3); }), "bytes follow the end"));
    longer.resize(longer.size() - 2);
    CHECK(contains(message_of([&] { dla::read_idx(write(dir / "f", gzip(longer)), 3); }), "cut short"));
}

TEST_CASE("gzip: a bomb is refused before it is decompressed") {
    TempDir dir;
    const Bytes bomb = gzip(idx({64, 1024, 1024}, Bytes(std::size_t{64} << 20)));
    CHECK(bomb.size() < 100000);
    CHECK(contains(message_of([&] { dla::read_idx(write(dir / "bomb", bomb), 3); }), "plausibly"));
    // A small promise with a large delivery is not decompressed beyond the promise.
    CHECK(contains(message_of([&] { dla::read_idx(write(dir / "bomb", gzip(idx({1, 2, 2}, Bytes(std::size_t{64} << 20)))), 3); }), "bytes follow the end"));
}

TEST_CASE("gzip: random damage never gives other pixels than those written") {
    TempDir dir;
    Bytes values(6000);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint8_t>(i * 7 + (i >> 4));
    const Bytes whole = gzip(idx({6, 10, 100}, values));
    dla::RandomStream random({5, 0, 0}, dla::RandomUse::synthesis);
    int refused = 0;
    for (int round = 0; round < 400; ++round) {
        Bytes bad = whole;
        for (std::uint32_t k = random.below(3) + 1; k > 0; --k)
            bad[random.below(static_cast<std::uint32_t>(bad.size()))] ^= static_cast<std::uint8_t>(1u << random.below(8));
        try {
            const Bytes got = dla::read_idx(write(dir / "f", bad), 3).values;
            CHECK(got == values);  // e.g. a changed time stamp in the gzip header
        } catch (const dla::Error& error) {
            CHECK(error.code() == ErrorCode::data);
            ++refused;
        }
    }
    CHECK(refused > 350);
}

TEST_CASE("cifar: the archive gives the same set as the folder") {
    TempDir dir;
    Bytes tar;
    tar_add(tar, "cifar-10-batches-bin/", {}, '5');
    tar_add(tar, "cifar-10-batches-bin/readme.html", Bytes(700, 'x'));
    for (std::size_t i : {3u, 5u, 0u, 4u, 2u, 1u}) {
        const Bytes content = cifar_file(static_cast<int>(i), 2);
        tar_add(tar, "cifar-10-batches-bin/" + cifar_names[i], content);
        write(dir / "folder" / cifar_names[i], content);
    }
    const Bytes unfinished = tar;
    tar_end(tar);
    const dla::DatasetPair a = dla::read_cifar10_folder(dir / "folder", 2), b = dla::read_cifar10_archive(write(dir / "a.tar.gz", gzip(tar)), 2);
    CHECK(a.train.images == b.train.images);
    CHECK(a.train.labels == b.train.labels);
    CHECK(a.test.images == b.test.images);
    CHECK(a.test.labels == b.test.labels);
    CHECK(a.train.labels == std::vector<std::int32_t>{0, 1, 1, 2, 2, 3, 3, 4, 4, 5});
    CHECK(dla::read_cifar10_archive(write(dir / "a.tar", tar), 2).train.images == a.train.images);

    const auto refused = [&](const Bytes& archive) { return message_of([&] { dla::read_cifar10_archive(write(dir / "bad.tar.gz", archive), 2); }); };
    SUBCASE("cut anywhere") {
        for (std::size_t n = 0; n < unfinished.size() + 300; n += 511) refused(gzip(Bytes(tar.begin(), tar.begin() + static_cast<std::ptrdiff_t>(n))));
        const Bytes packed = gzip(tar);
        for (std::size_t n = 0; n < packed.size(); n += 97) refused(Bytes(packed.begin(), packed.begin() + static_cast<std::ptrdiff_t>(n)));
    }
    SUBCASE("a changed header byte") {
        for (std::size_t at : {0u, 124u, 130u, 148u, 156u, 300u, 511u}) {
            Bytes bad = tar;
            bad[512 + at] ^= 1;
            CHECK(contains(refused(gzip(bad)), "tar header"));
        }
    }
    SUBCASE("missing, twice, too short, garbage behind the end") {
        Bytes other;
        for (std::size_t i = 0; i < 5; ++i) tar_add(other, cifar_names[i], cifar_file(0, 2));
        Bytes bad = other;
        tar_end(bad);
        CHECK(contains(refused(gzip(bad)), "no test_batch.bin"));
        bad = other;
        tar_add(bad, cifar_names[0], cifar_file(0, 2));
        tar_end(bad);
        CHECK(contains(refused(gzip(bad)), "twice"));
        bad = other;
        tar_add(bad, cifar_names[5], cifar_file(0, 1));
        tar_end(bad);
        CHECK(contains(refused(gzip(bad)), "expected 6146 bytes, got 3073"));
        bad = tar;
        bad.back() = 1;
        CHECK(contains(refused(gzip(bad)), "follows the end"));
        CHECK(contains(refused(gzip(Bytes(2048, 'a'))), "tar header"));
    }
}

TEST_CASE("load: gzip files are found and the archive in the data folder is used") {
    TempDir dir;
    write_mnist(dir / "mnist", 3, 2, ".gz");
    CHECK(dla::load_dataset("mnist", dir.path()).train.size() == 3);
    write(dir / "cifar-10-binary.tar.gz", {0x1f, 0x8b, 0, 0});
    CHECK(dla::has_dataset("cifar10", dir.path()));
    CHECK(contains(message_of([&] { dla::load_dataset("cifar10", dir.path()); }), "gzip"));
}

#else

TEST_CASE("gzip: without zlib the error says what to do") {
    TempDir dir;
    CHECK(contains(message_of([&] { dla::read_idx(write(dir / "f", {0x1f, 0x8b, 8, 0}), 3); }), "no zlib"));
}

#endif

TEST_CASE("cifar: colour planes become channels last") {
    TempDir dir;
    dla::Dataset data = dla::detail::empty_cifar10();
    const Bytes bytes = cifar_file(6, 2);
    dla::append_cifar10_file(data, write(dir / "b", bytes), 2);
    CHECK(data.labels == std::vector<std::int32_t>{6, 7});
    REQUIRE(data.images.size() == 2 * 3072);
    int wrong = 0;
    for (std::size_t n = 0; n < 2; ++n)
        for (std::size_t c = 0; c < 3; ++c)
            for (std::size_t y = 0; y < 32; ++y)
                for (std::size_t x = 0; x < 32; ++x) wrong += data.images[((n * 32 + y) * 32 + x) * 3 + c] != bytes[n * 3073 + 1 + c * 1024 + y * 32 + x];
    CHECK(wrong == 0);
    data.check();
}

TEST_CASE("cifar: wrong sizes and labels are refused") {
    TempDir dir;
    const auto refused = [&](const Bytes& bytes) {
        dla::Dataset data = dla::detail::empty_cifar10();
        return message_of([&] { dla::append_cifar10_file(data, write(dir / "b", bytes), 2); });
    };
    Bytes bytes = cifar_file(0, 2);
    CHECK(contains(refused(Bytes(bytes.begin(), bytes.end() - 1)), "expected 6146 bytes, got 6145"));
    CHECK(contains(refused(cifar_file(0, 1)), "expected 6146 bytes, got 3073"));  // whole records, but not all of them
    CHECK(contains(refused(cifar_file(0, 3)), "got 9219"));
    CHECK(contains(refused({}), "got 0"));
    bytes[3073] = 10;
    CHECK(contains(refused(bytes), "label of record 1 is out of range; expected 0 to 9, got 10"));
    for (std::size_t i = 0; i < 5; ++i) write(dir / "f" / cifar_names[i], cifar_file(0, 2));
    CHECK(contains(message_of([&] { dla::read_cifar10_folder(dir / "f", 2); }), "test_batch.bin"));
}

TEST_CASE("load: the search order of MNIST, and both ways to write the names") {
    TempDir dir;
    write_mnist(dir.path(), 1, 1);
    CHECK(dla::load_dataset("mnist", dir.path()).train.size() == 1);
    write_mnist(dir / "MNIST" / "raw", 2, 1, "", ".");
    CHECK(dla::load_dataset("mnist", dir.path()).train.size() == 2);
    write_mnist(dir / "mnist", 3, 1);
    const auto pair = dla::load_dataset("mnist", dir.path());
    CHECK(pair.train.size() == 3);
    CHECK(pair.test.size() == 1);
    CHECK(pair.train.name == "mnist");
    CHECK(pair.train.class_names.size() == 10);
    CHECK(pair.train.mean[0] == .1307f);
    // An incomplete folder does not hide a complete one, and Fashion-MNIST is never taken from MNIST's places.
    fs::remove(dir / "mnist" / "t10k-labels-idx1-ubyte");
    CHECK(dla::load_dataset("mnist", dir.path()).train.size() == 2);
    CHECK(!dla::has_dataset("fashion_mnist", dir.path()));
    write_mnist(dir / "FashionMNIST" / "raw", 4, 1);
    CHECK(dla::has_dataset("fashion_mnist", dir.path()));
    CHECK(dla::load_dataset("fashion_mnist", dir.path()).train.size() == 4);
}

TEST_CASE("load: an error says where it looked, what it found and what to do") {
    TempDir dir;
    std::string said = message_of([&] { dla::load_dataset("mnist", dir.path()); });
    CHECK(contains(said, (dir / "mnist").string()));
    CHECK(contains(said, (dir.path() / "MNIST" / "raw").string()));
    CHECK(contains(said, "this folder is empty"));
    CHECK(contains(said, "digits"));
    write(dir / "holiday.jpg", {1});
    CHECK(contains(message_of([&] { dla::load_dataset("cifar10", dir.path()); }), "holds holiday.jpg"));
    write(dir.path() / "mnist" / "train-images-idx3-ubyte", small_images());
    CHECK(contains(message_of([&] { dla::load_dataset("mnist", dir.path()); }), "without train-labels-idx1-ubyte"));
    write(dir / "data_batch_1.bin", {1});
    CHECK(contains(message_of([&] { dla::load_dataset("cifar10", dir.path()); }), "without test_batch.bin"));
    CHECK(contains(message_of([&] { dla::load_dataset("mnist", dir / "nowhere"); }), "does not exist"));
    CHECK(contains(message_of([&] { dla::load_dataset("mnits", dir.path()); }, ErrorCode::config), "got \"mnits\""));
    CHECK(!dla::has_dataset("mnist", dir.path()));
    CHECK(!dla::has_dataset("cifar10", dir.path()));
}

TEST_CASE("load: images of another size than the data set's are refused") {
    TempDir dir;
    for (const char* stem : {"train", "t10k"}) {
        write(dir / (std::string(stem) + "-images-idx3-ubyte"), small_images());
        write(dir / (std::string(stem) + "-labels-idx1-ubyte"), small_labels());
    }
    CHECK(contains(message_of([&] { dla::load_dataset("mnist", dir.path()); }), "must be [1, 28, 28], got [1, 2, 3]"));
}

namespace {

/// Of pixels scaled to [0, 1], for each channel: mean, standard deviation, and the mean of the images' sample standard deviations.
std::vector<std::array<double, 3>> statistics_of(const dla::Dataset& data) {
    const auto channels = static_cast<std::size_t>(data.shape.d[0]), size = data.sample_size();
    const double images = static_cast<double>(data.size()), pixels = static_cast<double>(size / channels);
    std::vector<std::array<double, 3>> found;
    for (std::size_t c = 0; c < channels; ++c) {
        double sum = 0, squares = 0, deviations = 0;
        for (dla::index_t i = 0; i < data.size(); ++i) {
            double s = 0, q = 0;
            for (std::size_t at = c; at < size; at += channels) {
                const double v = data.image(i)[at] / 255.0;
                s += v;
                q += v * v;
            }
            sum += s;
            squares += q;
            deviations += std::sqrt((q - s * s / pixels) / (pixels - 1));
        }
        const double mean = sum / (images * pixels);
        found.push_back({mean, std::sqrt(squares / (images * pixels) - mean * mean), deviations / images});
    }
    return found;
}

}  // namespace

// Figures computed from the published files with NumPy.
TEST_CASE("real data: MNIST pixel for pixel") {
    const fs::path root = real_data();
    if (root.empty() || !dla::has_dataset("mnist", root)) {
        MESSAGE("skipped: no MNIST in $DLA_DATA_DIR or ../shared/data");
        return;
    }
    const auto pair = dla::load_dataset("mnist", root);
    const auto check = [](const dla::Dataset& data, std::vector<std::int32_t> first, std::vector<int> histogram, std::uint64_t sum, std::uint64_t weighted) {
        CHECK(std::equal(first.begin(), first.end(), data.labels.begin()));
        std::vector<int> counted(10);
        for (auto label : data.labels) ++counted[static_cast<std::size_t>(label)];
        CHECK(counted == histogram);
        std::uint64_t s = 0, w = 0;
        for (std::size_t i = 0; i < data.images.size(); ++i) {
            s += data.images[i];
            w += data.images[i] * (std::uint64_t{i} % 251 + 1);
        }
        CHECK(s == sum);
        CHECK(w == weighted);
    };
    check(pair.train, {5, 0, 4, 1, 9, 2, 1, 3}, {5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}, 1567298545u, 197463617836u);
    check(pair.test, {7, 2, 1, 0, 4, 1, 4, 9}, {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}, 264923200u, 33359696709u);
}

TEST_CASE("real data: CIFAR-10, in figures that do not depend on the order of the images") {
    const fs::path root = real_data();
    if (root.empty() || !dla::has_dataset("cifar10", root)) {
        MESSAGE("skipped: no CIFAR-10 in $DLA_DATA_DIR or ../shared/data");
        return;
    }
    const auto pair = dla::load_dataset("cifar10", root);
    const auto check = [](const dla::Dataset& data, int each, std::vector<std::uint64_t> channels, std::uint64_t by_place, std::uint64_t by_label) {
        std::vector<int> counted(10);
        for (auto label : data.labels) ++counted[static_cast<std::size_t>(label)];
        CHECK(counted == std::vector<int>(10, each));
        std::vector<std::uint64_t> sums(3);
        std::uint64_t place = 0, label = 0;
        for (std::size_t i = 0; i < data.images.size(); ++i) {
            sums[i % 3] += data.images[i];
            place += data.images[i] * std::uint64_t{i % 3072};
            label += data.images[i] * static_cast<std::uint64_t>(data.labels[i / 3072]);
        }
        CHECK(sums == channels);
        CHECK(place == by_place);
        CHECK(label == by_label);
    };
    check(pair.train, 5000, {6415714204u, 6295060180u, 5829907619u}, 27646416571865u, 82885366442u);
    check(pair.test, 1000, {1290492328u, 1266775083u, 1176108223u}, 5561102589800u, 16685969923u);
    // What cifar.hpp says of the numbers that it normalises with, and of those that it does not.
    const auto statistics = statistics_of(pair.train);
    const std::array<double, 3> of_all_pixels{.2470, .2435, .2616};
    for (std::size_t c = 0; c < 3; ++c) {
        CAPTURE(c);
        CHECK(std::abs(statistics[c][0] - double{pair.train.mean[c]}) < 5.1e-5);
        CHECK(std::abs(statistics[c][1] - of_all_pixels[c]) < 5.1e-5);
        CHECK(std::abs(statistics[c][2] - double{pair.train.std[c]}) < 5.1e-5);
        CHECK(pair.test.std[c] == pair.train.std[c]);
    }
}
