// SPDX-License-Identifier: MIT
// Images of one's own: a folder with a sub-folder of PNG and JPEG files for each class, as torchvision.datasets.ImageFolder reads them.
// In no umbrella, because the decoders are the build's choice (see dla/io/image.hpp).
#pragma once

#include <dla/data/augment.hpp>
#include <dla/data/resize.hpp>
#include <dla/data/source.hpp>
#include <dla/data/statistics.hpp>
#include <dla/io/image.hpp>

#include <atomic>
#include <exception>
#include <filesystem>
#include <mutex>
#include <new>
#include <optional>
#include <set>
#include <system_error>
#include <thread>

namespace dla {

/// Size and channels of the images, and the order of the classes.
struct ImageFolderOptions {
    index_t height = 0, width = 0;  ///< that every image is resized to (see resize_image), whatever its shape; 0: all must be as large as the first
    int channels = 3;               ///< 1 or 3
    int threads = 0;                ///< that decode; 0: one for each core. The bytes are the same at any number
    /// The classes in the order of their numbers, of which some may have no folder here; others than these are errors. For a test set, those of the training
    /// set. Empty: the sub-folders, sorted by the bytes of their names.
    std::vector<std::string> class_names{};
};

/// The files of an image folder: sorted by class, then by path.
struct ImageFiles {
    std::vector<std::string> class_names;
    std::vector<std::string> paths;
    std::vector<std::int32_t> labels;
};

namespace detail {

inline bool has_image_extension(const std::filesystem::path& path) {
    std::string extension = path.extension().string();
    for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

/// What a folder holds, sorted, without names that begin with a point.
inline std::vector<std::filesystem::path> visible_entries(const std::filesystem::path& folder) {
    std::error_code error;
    std::vector<std::filesystem::path> found;
    std::filesystem::directory_iterator it(folder, error);
    for (const std::filesystem::directory_iterator end; !error && it != end; it.increment(error))
        if (it->path().filename().native()[0] != '.') found.push_back(it->path());
    if (error) fail(ErrorCode::data, folder.string(), "cannot read the folder: " + error.message());
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.native() < b.native(); });
    return found;
}

/// The image files below a folder. Each folder is looked into once, so links that lead in circles end.
inline std::vector<std::string> find_images(const std::filesystem::path& folder) {
    std::vector<std::string> paths;
    std::set<std::string> seen;
    std::vector<std::filesystem::path> waiting{folder};
    while (!waiting.empty()) {
        const std::filesystem::path next = std::move(waiting.back());
        waiting.pop_back();
        std::error_code error;
        const std::filesystem::path real = std::filesystem::canonical(next, error);
        if (error) fail(ErrorCode::data, next.string(), "cannot read the folder: " + error.message());
        if (!seen.insert(real.native()).second) continue;
        for (std::filesystem::path& entry : visible_entries(next)) {
            if (std::filesystem::is_directory(entry, error))
                waiting.push_back(std::move(entry));
            else if (has_image_extension(entry))
                paths.push_back(entry.string());
        }
    }
    return paths;
}

}  // namespace detail

/// Finds the images of a folder without reading them: those of class k are all files .png, .jpg and .jpeg (in any case) below its sub-folder, at any
/// depth and through links. Other files, and what begins with a point, are left out.
/// Throws Error(data): a folder that is missing or cannot be read, no class, or a class without images (where `class_names` does not name it).
inline ImageFiles list_images(const std::string& folder, const std::vector<std::string>& class_names = {}) {
    std::error_code error;
    if (!std::filesystem::is_directory(folder, error)) fail(ErrorCode::data, folder, "there is no such folder; expected one with a sub-folder for each class");
    ImageFiles files{class_names, {}, {}};
    std::vector<std::pair<std::int32_t, std::string>> found;
    for (const std::filesystem::path& entry : detail::visible_entries(folder)) {
        if (!std::filesystem::is_directory(entry, error)) continue;
        const std::string name = entry.filename().string();
        if (class_names.empty()) files.class_names.push_back(name);
        const auto label = std::find(files.class_names.begin(), files.class_names.end(), name) - files.class_names.begin();
        if (label == std::ssize(files.class_names))
            fail(ErrorCode::data, entry.string(), "this folder has none of the " + std::to_string(label) + " class names that are given");
        const std::size_t before = found.size();
        for (std::string& path : detail::find_images(entry)) found.emplace_back(static_cast<std::int32_t>(label), std::move(path));
        if (found.size() == before && class_names.empty())
            fail(ErrorCode::data, entry.string(), "this class has no image: no file whose name ends in .png, .jpg or .jpeg");
    }
    if (found.empty()) fail(ErrorCode::data, folder, "the folder has no classes; expected a sub-folder of images for each");
    std::sort(found.begin(), found.end());
    for (auto& [label, path] : found) files.labels.push_back(label), files.paths.push_back(std::move(path));
    return files;
}

namespace detail {
inline namespace DLA_JPEG_TAG {
inline namespace DLA_PNG_TAG {

inline void check_folder_options(const std::string& folder, const ImageFolderOptions& options) {
    const auto side = [](index_t n) { return n >= 1 && n <= 32768; };
    if (options.channels != 1 && options.channels != 3) fail(ErrorCode::config, folder, "images have 1 or 3 channels; got " + std::to_string(options.channels));
    if (!(options.height == 0 && options.width == 0) && !(side(options.height) && side(options.width)))
        fail(ErrorCode::config, folder,
             "images are resized to 1 to 32768 pixels on a side, or not at all (0 x 0); got " + std::to_string(options.height) + " x " +
                 std::to_string(options.width));
}

/// Shape of all samples: what the options say, or that of the first file.
inline Shape folder_shape(const ImageFiles& files, const ImageFolderOptions& options) {
    if (options.height > 0) return Shape{options.channels, options.height, options.width};
    const Image first = read_image(files.paths[0], options.channels);
    return Shape{options.channels, first.height, first.width};
}

/// Reads a file as a sample of the shape.
inline void read_folder_image(const std::string& path, const Shape& shape, bool resize, std::span<std::uint8_t> out) try {
    const Image image = read_image(path, static_cast<int>(shape.d[0]));
    if (!resize && (image.height != shape.d[1] || image.width != shape.d[2]))
        fail(ErrorCode::data, path,
             "the image has " + std::to_string(image.height) + " x " + std::to_string(image.width) + " pixels (height x width), and the first one " +
                 std::to_string(shape.d[1]) + " x " + std::to_string(shape.d[2]) + "; give a size to resize all images to");
    resize_image(image.pixels, image.height, image.width, image.channels, out, shape.d[1], shape.d[2]);
} catch (const std::bad_alloc&) {
    fail(ErrorCode::data, path, "not enough memory to decode and resize the image");
}

}  // namespace DLA_PNG_TAG
}  // namespace DLA_JPEG_TAG
}  // namespace detail

inline namespace DLA_JPEG_TAG {
inline namespace DLA_PNG_TAG {

/// Reads all images of a folder into memory, with mean and std of their channels (see compute_statistics); its name is the folder's. Several threads
/// decode. Throws Error(data) as list_images and read_image do, that of the first file in order; Error(config) for options out of range.
inline Dataset load_image_folder(const std::string& folder, const ImageFolderOptions& options = {}) {
    detail::check_folder_options(folder, options);
    ImageFiles files = list_images(folder, options.class_names);
    Dataset data;
    data.name = folder;
    data.shape = detail::folder_shape(files, options);
    data.num_classes = static_cast<int>(files.class_names.size());
    const std::size_t count = files.paths.size(), size = data.sample_size();
    try {
        data.images.resize(static_cast<std::size_t>(saturating_mul(std::ssize(files.paths), data.shape.size())));
    } catch (const std::exception&) {
        fail(ErrorCode::data, folder, text("not enough memory for ", count, " images ", to_text(data.shape), "; see ImageFolder, which keeps none").view());
    }
    std::atomic<std::size_t> next{0}, first_bad{count};
    std::exception_ptr problem;
    std::mutex mutex;
    const auto decode = [&] {
        for (std::size_t i; (i = next++) < first_bad;) {  // those before a bad one have all been taken, so the first bad one is found
            try {
                detail::read_folder_image(files.paths[i], data.shape, options.height > 0, std::span(data.images).subspan(i * size, size));
            } catch (...) {
                const std::lock_guard lock(mutex);
                if (i < first_bad) first_bad = i, problem = std::current_exception();
            }
        }
    };
    {
        const std::size_t wanted = options.threads > 0 ? static_cast<std::size_t>(options.threads) : std::max(1u, std::thread::hardware_concurrency());
        std::vector<std::jthread> pool;
        try {
            while (pool.size() + 1 < std::min(wanted, count)) pool.emplace_back(decode);
        } catch (const std::system_error&) {  // the system gives no more threads: those that are there do the rest
        }
        decode();
    }
    if (problem) std::rethrow_exception(problem);
    data.class_names = std::move(files.class_names);
    data.labels = std::move(files.labels);
    compute_statistics(data);
    data.check();
    return data;
}

/// An image file as a network gets it that is trained on `data`, whose images may be gone (see from_metadata): in its channels, resized to its shape as
/// load_image_folder does, normalised. One sample [H, W, C]. Throws Error(data) as read_image and normalised do.
inline std::vector<float> read_input(const std::string& path, const Dataset& data) {
    detail::check_normalisation(data);
    std::vector<std::uint8_t> bytes(data.sample_size());
    detail::read_folder_image(path, data.shape, true, bytes);
    return normalised(data, bytes);
}

/// The images of a folder, decoded each time that they are read: for sets that do not fit into memory. A sample is normalised, (byte / 255 - mean) / std, with
/// the mean and std that are set (0 and 1 if none are), and, where it is trained on, augmented at random like those of a Dataset.
class ImageFolder final : public DataSource {
public:
    /// Reads no image but, where no size is given, the first. Throws as load_image_folder does; what is wrong with a file comes out of `read`.
    explicit ImageFolder(const std::string& folder, const ImageFolderOptions& options = {}) : resize_(options.height > 0) {
        detail::check_folder_options(folder, options);
        files_ = list_images(folder, options.class_names);
        shape_ = detail::folder_shape(files_, options);
        set_statistics(std::vector<float>(static_cast<std::size_t>(options.channels), 0.0f),
                       std::vector<float>(static_cast<std::size_t>(options.channels), 1.0f));
    }

    /// One value for each channel, of pixels from 0 to 1. Error: config, unless they are as many as the channels and std is positive.
    void set_statistics(std::vector<float> mean, std::vector<float> std) {
        const auto channels = static_cast<std::size_t>(shape_.d[0]);
        if (mean.size() != channels || std.size() != channels || !std::all_of(std.begin(), std.end(), [](float s) { return s > 0; }))
            fail(ErrorCode::config, "ImageFolder",
                 "mean and std must have one value for each of " + std::to_string(channels) + " channels, std a positive one");
        Dataset statistics;
        statistics.mean = std::move(mean);
        statistics.std = std::move(std);
        normalisation_.emplace(statistics);
        std_ = std::move(statistics.std);
    }

    index_t size() const override { return std::ssize(files_.paths); }
    Shape input_shape() const override { return shape_; }
    index_t classes() const override { return std::ssize(files_.class_names); }
    std::int32_t label(index_t sample) const override { return files_.labels[static_cast<std::size_t>(sample)]; }
    void read(const SamplePosition& at, std::span<float> input) const override {
        if (at.training) check_augmentation("image folder", augmentation, shape_);
        std::vector<std::uint8_t> bytes(static_cast<std::size_t>(shape_.size()));
        detail::read_folder_image(files_.paths[at.sample], shape_, resize_, bytes);
        write_augmented(bytes.data(), shape_, *normalisation_, std_, at.training ? augmentation : Augmentation{}, Seed{at.seed}, at.epoch, at.sample, input);
    }
    const ImageFiles& files() const { return files_; }

    Augmentation augmentation{};  ///< in training, checked when an image is read (check_augmentation); none by default

private:
    ImageFiles files_;
    Shape shape_;
    bool resize_;
    std::optional<Normalisation> normalisation_;
    std::vector<float> std_;  // [channels]
};

}  // namespace DLA_PNG_TAG
}  // namespace DLA_JPEG_TAG
}  // namespace dla
