// SPDX-License-Identifier: MIT
// Finds a data set by name in a folder, reads and checks it, and says where it looked if it is not there.
#pragma once

#include <dla/data/dataset.hpp>

#include <array>
#include <string_view>

namespace dla {
inline namespace DLA_ZLIB_TAG {

/// Size and seed of `digits`; the sets read from files have neither.
struct LoadOptions {
    index_t digits_train = 60000;
    index_t digits_test = 10000;
    Seed digits_seed{42};
};

/// Names of the data sets that `load_dataset` knows.
inline constexpr std::array<const char*, 4> dataset_names = {"mnist", "cifar10", "fashion_mnist", "digits"};

/// Error: config, unless `name` is one of `dataset_names`.
DLA_ONCE void check_dataset_name(std::string_view name);

/// Whether all files of a data set are where `load_dataset` looks (their content is not read). Always true for `digits`.
DLA_ONCE bool has_dataset(std::string_view name, const std::string& data_dir);

/// Loads `mnist`, `fashion_mnist`, `cifar10` or `digits`. MNIST is looked for in data_dir/mnist, data_dir/MNIST/raw and data_dir; Fashion-MNIST in
/// data_dir/fashion_mnist and data_dir/FashionMNIST/raw; CIFAR-10 in data_dir/cifar-10-batches-bin, data_dir and data_dir/cifar-10-binary.tar.gz.
/// Errors: config for an unknown name; data if files are missing or damaged, saying where it looked, what it found and what to do.
DLA_ONCE DatasetPair load_dataset(std::string_view name, const std::string& data_dir, const LoadOptions& options = {});

}  // namespace DLA_ZLIB_TAG
}  // namespace dla

#if DLA_BODIES
#include <dla/data/load.impl.hpp>
#endif
