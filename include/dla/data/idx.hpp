// SPDX-License-Identifier: MIT
// Reads IDX files, the format of MNIST and of sets published like it (Fashion-MNIST).
// Format: http://yann.lecun.com/exdb/mnist/ - two zero bytes, type 8, rank, big-endian sizes, bytes.
#pragma once

#include <dla/data/dataset.hpp>
#include <dla/data/gzip.hpp>

namespace dla {
inline namespace DLA_ZLIB_TAG {

/// An array of unsigned bytes as an IDX file holds it, first axis slowest.
struct IdxArray {
    std::vector<index_t> sizes;
    std::vector<std::uint8_t> values;
};

/// Reads one IDX file of unsigned bytes, plain or gzip, with `rank` axes (1 for labels, 3 for images).
/// Error: data, if the header is wrong, an axis is empty, or the file holds fewer or more bytes than the header says. A gzip file may not
/// promise more than 100 times its own size (plus 1 MiB), which refuses decompression bombs before anything is allocated.
inline IdxArray read_idx(const std::filesystem::path& path, int rank) {
    ByteReader bytes(path);
    const auto refuse_file = [&](const std::string& sentence) { fail(ErrorCode::data, bytes.where(), sentence); };
    std::uint8_t magic[4];
    bytes.read_exact(magic, 4, "the IDX header");
    if (magic[0] != 0 || magic[1] != 0) refuse_file("not an IDX file; expected two zero bytes at its start");
    if (magic[2] != 8) refuse_file("the IDX element type must be 8 (unsigned byte), got " + std::to_string(magic[2]));
    if (magic[3] != rank)
        refuse_file("the IDX file must have " + std::to_string(rank) + " axes, got " + std::to_string(magic[3]) + "; are images and labels mixed up?");

    IdxArray array;
    std::uint64_t total = 1;
    for (int axis = 0; axis < rank; ++axis) {
        std::uint8_t b[4];
        bytes.read_exact(b, 4, "the IDX header");
        const std::uint64_t size = std::uint64_t{b[0]} << 24 | std::uint64_t{b[1]} << 16 | std::uint64_t{b[2]} << 8 | b[3];
        if (size == 0) refuse_file("axis " + std::to_string(axis) + " of the IDX file is empty; expected at least one element");
        if (total > (std::uint64_t{1} << 40) / size) refuse_file("the IDX header names an absurd size; the file is damaged");
        total *= size;
        array.sizes.push_back(static_cast<index_t>(size));
    }
    const std::uint64_t header = 4 + 4 * static_cast<std::uint64_t>(rank);
    if (!bytes.compressed() && bytes.file_size() != header + total)
        refuse_file("the size does not fit the IDX header; expected " + std::to_string(header + total) + " bytes, got " + std::to_string(bytes.file_size()) +
                    "; the file is cut short or damaged");
    if (bytes.compressed() && total > 100 * bytes.file_size() + (std::uint64_t{1} << 20))
        refuse_file("the IDX header promises " + std::to_string(total) + " bytes, more than a compressed file of " + std::to_string(bytes.file_size()) +
                    " bytes plausibly holds; the file is damaged");
    bytes.append_exact(array.values, total, "the IDX data");
    bytes.expect_end();
    return array;
}

/// Reads a pair of IDX files as a data set of one-channel images; name, class names, mean and std are left for the caller.
/// Error: data, if a file is damaged, the counts differ, or a label is not below `num_classes`.
inline Dataset read_idx_pair(const std::filesystem::path& images_path, const std::filesystem::path& labels_path, int num_classes = 10) {
    IdxArray labels = read_idx(labels_path, 1);
    for (std::size_t i = 0; i < labels.values.size(); ++i)
        if (labels.values[i] >= num_classes)
            fail(ErrorCode::data, labels_path.string(),
                 "label " + std::to_string(i) + " is out of range; expected 0 to " + std::to_string(num_classes - 1) + ", got " +
                     std::to_string(labels.values[i]));
    IdxArray images = read_idx(images_path, 3);
    if (images.sizes[0] != labels.sizes[0])
        fail(ErrorCode::data, images_path.string(),
             "images and labels differ in number; expected " + std::to_string(labels.sizes[0]) + " images as in " + labels_path.string() + ", got " +
                 std::to_string(images.sizes[0]));
    Dataset data;
    data.shape = Shape{1, images.sizes[1], images.sizes[2]};
    data.num_classes = num_classes;
    data.images = std::move(images.values);
    data.labels.assign(labels.values.begin(), labels.values.end());
    return data;
}

}  // namespace DLA_ZLIB_TAG
}  // namespace dla
