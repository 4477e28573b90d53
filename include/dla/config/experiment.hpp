// SPDX-License-Identifier: MIT
// An experiment as plain values: what a configuration file says once it has been checked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dla {

/// The type of lists of whole numbers in a configuration.
using Integers = std::vector<std::int64_t>;

/// Table [model] of a configuration.
struct ModelConfig {
    std::string name = "cnn";
    Integers input_shape{3, 32, 32};
    std::int64_t num_classes = 10;
    Integers filters{32, 64, 128, 256};       // cnn only
    Integers layer_sizes{512, 256, 128, 10};  // mlp only
    std::int64_t kernel_size = 3;             // cnn only
    double dropout = 0.2;                     // cnn only
    bool residual = false;
    bool strict = false;  // cnn only
    bool operator==(const ModelConfig&) const = default;
};

/// Table [training] of a configuration.
struct TrainingConfig {
    double learning_rate = 1e-3;
    std::int64_t batch_size = 256;
    std::int64_t num_epochs = 50;
    double weight_decay = 1e-4;
    bool decay_bias_and_norm = true;
    std::string optimizer = "adam";
    double momentum = 0.9;
    bool nesterov = false;
    std::string scheduler = "reduce_lr";
    double lr_factor = 0.5;
    std::int64_t lr_patience = 3;
    double min_lr = 1e-6;
    std::int64_t warmup_epochs = 0;
    double label_smoothing = 0;
    double clip_grad_norm = 0;
    std::int64_t micro_batches = 1;
    double mixup = 0;
    double ema = 0;
    bool test_mirrored = false;
    std::int64_t early_stopping_patience = 7;
    std::int64_t seed = 42;
    std::string checkpoint_dir = "checkpoints/";
    std::int64_t log_every = 10;
    std::int64_t save_every = 5;
    bool operator==(const TrainingConfig&) const = default;
};

/// Table [dataset] of a configuration.
struct DatasetConfig {
    std::string name = "cifar10";
    std::string data_dir = "data/";
    std::int64_t val_size = 5000;
    std::int64_t size = 60000;  // digits only
    bool augment = true;
    bool operator==(const DatasetConfig&) const = default;
};

/// Table [augmentation] of a configuration: what is done to training images where dataset.augment is true; see Augmentation.
struct AugmentationConfig {
    std::int64_t crop = 4;
    bool flip = true;
    std::int64_t cutout = 0;
    double rotate = 0;
    double scale = 0;
    double brightness = 0;
    double contrast = 0;
    double saturation = 0;
    bool operator==(const AugmentationConfig&) const = default;
};

/// A whole configuration.
struct ExperimentConfig {
    ModelConfig model;
    TrainingConfig training;
    DatasetConfig dataset;
    AugmentationConfig augmentation;
    bool operator==(const ExperimentConfig&) const = default;
};

/// `cnn_residual_cifar10`: the name of a run's files and folders.
inline std::string run_name(const ExperimentConfig& c) { return c.model.name + (c.model.residual ? "_residual_" : "_") + c.dataset.name; }

}  // namespace dla
