// SPDX-License-Identifier: MIT
// Reads the binary version of CIFAR-10, from its six files or from the published archive.
// Format: https://www.cs.toronto.edu/~kriz/cifar.html - a label byte, then 1024 red, 1024 green and 1024 blue bytes, 10,000 times a file.
#pragma once

#include <dla/data/dataset.hpp>
#include <dla/data/tar.hpp>

#include <array>

namespace dla {
inline namespace DLA_ZLIB_TAG {

inline constexpr std::array<const char*, 5> cifar10_train_files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                                                   "data_batch_5.bin"};
inline constexpr const char* cifar10_test_file = "test_batch.bin";
inline constexpr index_t cifar10_records_per_file = 10000;

}  // namespace DLA_ZLIB_TAG

namespace detail::inline DLA_ZLIB_TAG {

inline constexpr std::size_t cifar_record = 1 + 3 * 1024;

/// An empty set with CIFAR-10's shape, classes and statistics of the training images. The deviations are the customary ones, which published experiments
/// use: in each channel the mean, over the images, of the sample standard deviation of one image. That of all pixels is .2470, .2435, .2616.
inline Dataset empty_cifar10() {
    Dataset data;
    data.name = "cifar10";
    data.shape = Shape{3, 32, 32};
    data.num_classes = 10;
    data.class_names = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
    data.mean = {.4914f, .4822f, .4465f};
    data.std = {.2023f, .1994f, .2010f};
    return data;
}

/// Appends one record to a set, colour planes turned into (height, width, channels).
inline void append_cifar_record(Dataset& data, const std::uint8_t* record, const std::string& where, index_t index) {
    if (record[0] > 9)
        fail(ErrorCode::data, where, "the label of record " + std::to_string(index) + " is out of range; expected 0 to 9, got " + std::to_string(record[0]));
    data.labels.push_back(record[0]);
    const std::size_t at = data.images.size();
    data.images.resize(at + 3072);
    std::uint8_t* out = data.images.data() + at;
    for (std::size_t p = 0; p < 1024; ++p)
        for (std::size_t c = 0; c < 3; ++c) out[3 * p + c] = record[1 + c * 1024 + p];
}

/// Checks the size of one batch file, in a folder or in an archive.
inline void check_cifar_size(std::uint64_t size, index_t records, const std::string& where) {
    const std::uint64_t expected = static_cast<std::uint64_t>(records) * cifar_record;
    if (size != expected)
        fail(ErrorCode::data, where,
             "wrong size for " + std::to_string(records) + " records of 3073 bytes; expected " + std::to_string(expected) + " bytes, got " +
                 std::to_string(size) + "; the file is cut short, or not the binary version of CIFAR-10");
}

/// `read(pointer, count)` delivers exactly `count` bytes or throws.
template <class Read>
void append_cifar_records(Dataset& data, index_t records, const std::string& where, Read&& read) {
    std::vector<std::uint8_t> record(cifar_record);
    for (index_t i = 0; i < records; ++i) {
        read(record.data(), record.size());
        append_cifar_record(data, record.data(), where, i);
    }
}

}  // namespace detail::inline DLA_ZLIB_TAG

inline namespace DLA_ZLIB_TAG {

/// Appends one batch file of `records` records to `data`. Error: data, if its size or a label is wrong.
inline void append_cifar10_file(Dataset& data, const std::filesystem::path& path, index_t records = cifar10_records_per_file) {
    ByteReader bytes(path);
    detail::check_cifar_size(bytes.file_size(), records, bytes.where());
    detail::append_cifar_records(data, records, bytes.where(), [&](std::uint8_t* out, std::size_t n) { bytes.read_exact(out, n, "a record"); });
    bytes.expect_end();
}

/// Reads the six files of a folder. Error: data, naming the file that is missing or damaged.
inline DatasetPair read_cifar10_folder(const std::filesystem::path& folder, index_t records = cifar10_records_per_file) {
    DatasetPair pair{detail::empty_cifar10(), detail::empty_cifar10()};
    for (const char* file : cifar10_train_files) append_cifar10_file(pair.train, folder / file, records);
    append_cifar10_file(pair.test, folder / cifar10_test_file, records);
    return pair;
}

/// Reads the six files out of the published archive (tar, plain or gzip), whatever their order and folder in it.
/// Error: data, if the archive is damaged or one of the files is missing or there twice.
inline DatasetPair read_cifar10_archive(const std::filesystem::path& archive, index_t records = cifar10_records_per_file) {
    ByteReader bytes(archive);
    TarReader tar(bytes);
    std::array<Dataset, 6> parts;
    std::array<bool, 6> found{};
    for (TarEntry entry; tar.next(entry);) {
        const std::string base = entry.name.substr(entry.name.rfind('/') + 1);
        std::size_t part = base == cifar10_test_file ? 5 : 6;
        for (std::size_t i = 0; i < 5; ++i)
            if (base == cifar10_train_files[i]) part = i;
        if (part == 6) continue;
        const std::string where = bytes.where() + ": " + entry.name;
        if (found[part]) fail(ErrorCode::data, where, "the archive holds this file twice");
        found[part] = true;
        parts[part] = detail::empty_cifar10();
        detail::check_cifar_size(entry.size, records, where);
        detail::append_cifar_records(parts[part], records, where, [&](std::uint8_t* out, std::size_t n) { tar.read_exact(out, n); });
    }
    for (std::size_t i = 0; i < 6; ++i)
        if (!found[i])
            fail(ErrorCode::data, bytes.where(),
                 std::string("the archive holds no ") + (i < 5 ? cifar10_train_files[i] : cifar10_test_file) + "; expected cifar-10-binary.tar.gz");
    DatasetPair pair{std::move(parts[0]), std::move(parts[5])};
    for (std::size_t i = 1; i < 5; ++i) {
        pair.train.images.insert(pair.train.images.end(), parts[i].images.begin(), parts[i].images.end());
        pair.train.labels.insert(pair.train.labels.end(), parts[i].labels.begin(), parts[i].labels.end());
        parts[i] = Dataset{};
    }
    return pair;
}

}  // namespace DLA_ZLIB_TAG
}  // namespace dla
