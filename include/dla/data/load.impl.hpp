// SPDX-License-Identifier: MIT
// Where the files of each data set are looked for.
#pragma once

#include <dla/data/cifar.hpp>
#include <dla/data/digits.hpp>
#include <dla/data/idx.hpp>

#include <optional>

namespace dla {
namespace detail::inline DLA_ZLIB_TAG {

using Path = std::filesystem::path;

inline bool is_file(const Path& path) {
    std::error_code error;
    return std::filesystem::is_regular_file(path, error);
}

/// What the folder `data_dir` holds, for a message: at most eight names.
inline std::string folder_content(const Path& data_dir) {
    std::error_code error;
    if (!std::filesystem::is_directory(data_dir, error)) return "this folder does not exist";
    std::vector<std::string> names;
    for (std::filesystem::directory_iterator it(data_dir, error), end; !error && it != end && names.size() < 1000; it.increment(error))
        names.push_back(it->path().filename().string());
    if (names.empty()) return "this folder is empty";
    std::sort(names.begin(), names.end());
    std::string content = "this folder holds ";
    for (std::size_t i = 0; i < names.size() && i < 8; ++i) content += (i ? ", " : "") + names[i];
    return names.size() > 8 ? content + ", ..." : content;
}

/// The four files of an IDX set: training images and labels, test images and labels.
struct IdxFiles {
    std::array<Path, 4> paths;
    int found = 0;
    std::string missing;  ///< name of the first that is not there
};

inline IdxFiles find_idx_files(const Path& folder) {
    constexpr std::array<const char*, 4> stems = {"train-images", "train-labels", "t10k-images", "t10k-labels"};
    IdxFiles files;
    for (std::size_t i = 0; i < 4; ++i) {
        const std::string rank = i % 2 == 0 ? "idx3-ubyte" : "idx1-ubyte";
        bool found = false;
        for (const char* dot : {"-", "."})
            for (const char* end : {"", ".gz"}) {
                const Path path = folder / (stems[i] + (dot + rank) + end);
                if (found || !is_file(path)) continue;
                files.paths[i] = path;
                found = true;
            }
        if (found)
            ++files.found;
        else if (files.missing.empty())
            files.missing = std::string(stems[i]) + "-" + rank + " (or .gz)";
    }
    return files;
}

inline std::vector<Path> idx_folders(std::string_view name, const Path& data_dir) {
    if (name == "mnist") return {data_dir / "mnist", data_dir / "MNIST" / "raw", data_dir};
    return {data_dir / "fashion_mnist", data_dir / "FashionMNIST" / "raw"};
}

[[noreturn]] inline void fail_not_found(std::string_view name, const Path& data_dir, const std::string& files, const std::vector<Path>& folders,
                                        const std::string& partial) {
    std::string looked;
    for (const Path& folder : folders) looked += (looked.empty() ? "" : ", ") + folder.string();
    fail(ErrorCode::data, data_dir.string(),
         "no complete " + std::string(name) + " data set; expected " + files + " in one of " + looked + "; got " +
             (partial.empty() ? folder_content(data_dir) : partial) +
             "; download it, point the data folder ($DLA_DATA_DIR, dataset.data_dir) at it, or use the built-in data set \"digits\"");
}

inline DatasetPair load_idx_set(std::string_view name, const Path& data_dir) {
    const std::vector<Path> folders = idx_folders(name, data_dir);
    std::string partial;
    for (const Path& folder : folders) {
        const IdxFiles files = find_idx_files(folder);
        if (files.found > 0 && files.found < 4 && partial.empty()) partial = folder.string() + " without " + files.missing;
        if (files.found < 4) continue;
        DatasetPair pair{read_idx_pair(files.paths[0], files.paths[1]), read_idx_pair(files.paths[2], files.paths[3])};
        for (Dataset* part : {&pair.train, &pair.test}) {
            part->name = std::string(name);
            if (part->shape != Shape{1, 28, 28})
                fail(ErrorCode::data, files.paths[part == &pair.train ? 0 : 2].string(),
                     text("the images must be [1, 28, 28], got ", to_text(part->shape)).view());
            if (name == "mnist") {
                part->class_names = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
                part->mean = {.1307f};
                part->std = {.3081f};
            } else {
                part->class_names = {"T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"};
                part->mean = {.2860f};
                part->std = {.3530f};
            }
        }
        return pair;
    }
    fail_not_found(name, data_dir, "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, plain or .gz,",
                   folders, partial);
}

/// Folder with the first file of CIFAR-10's six, and what is missing there.
inline std::optional<std::string> missing_cifar_file(const Path& folder) {
    std::optional<std::string> missing;
    bool any = is_file(folder / cifar10_test_file);
    if (!any) missing = cifar10_test_file;
    for (const char* file : cifar10_train_files) {
        if (is_file(folder / file))
            any = true;
        else if (!missing)
            missing = file;
    }
    if (!any) return std::string();
    return missing;
}

inline DatasetPair load_cifar10(const Path& data_dir) {
    const std::vector<Path> folders = {data_dir / "cifar-10-batches-bin", data_dir};
    std::string partial;
    for (const Path& folder : folders) {
        const auto missing = missing_cifar_file(folder);
        if (!missing) return read_cifar10_folder(folder);
        if (!missing->empty() && partial.empty()) partial = folder.string() + " without " + *missing;
    }
    if (const Path archive = data_dir / "cifar-10-binary.tar.gz"; is_file(archive)) return read_cifar10_archive(archive);
    fail_not_found("cifar10", data_dir, "data_batch_1.bin to data_batch_5.bin and test_batch.bin (or cifar-10-binary.tar.gz in the first place named)",
                   {data_dir, folders[0]}, partial);
}

}  // namespace detail::inline DLA_ZLIB_TAG

inline namespace DLA_ZLIB_TAG {

DLA_ONCE void check_dataset_name(std::string_view name) {
    for (const char* known_name : dataset_names)
        if (name == known_name) return;
    fail(ErrorCode::config, "dataset.name", "unknown data set; expected mnist, cifar10, fashion_mnist or digits, got \"" + std::string(name) + "\"");
}

DLA_ONCE bool has_dataset(std::string_view name, const std::string& folder) {
    const detail::Path data_dir(folder);
    check_dataset_name(name);
    if (name == "digits") return true;
    if (name == "cifar10")
        return detail::is_file(data_dir / "cifar-10-binary.tar.gz") || !detail::missing_cifar_file(data_dir / "cifar-10-batches-bin") ||
               !detail::missing_cifar_file(data_dir);
    for (const detail::Path& place : detail::idx_folders(name, data_dir))
        if (detail::find_idx_files(place).found == 4) return true;
    return false;
}

DLA_ONCE DatasetPair load_dataset(std::string_view name, const std::string& data_dir, const LoadOptions& options) {
    check_dataset_name(name);
    DatasetPair pair;
    if (name == "digits")
        pair = {make_digits(options.digits_train, options.digits_seed, DigitsPart::train),
                make_digits(options.digits_test, options.digits_seed, DigitsPart::test)};
    else if (name == "cifar10")
        pair = detail::load_cifar10(data_dir);
    else
        pair = detail::load_idx_set(name, data_dir);
    pair.train.check();
    pair.test.check();
    return pair;
}

}  // namespace DLA_ZLIB_TAG
}  // namespace dla
