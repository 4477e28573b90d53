// SPDX-License-Identifier: MIT
// The one table of configuration keys: type, range, default and meaning. Reading, writing, defaults, help and documentation follow it.
#pragma once

#include <dla/config/experiment.hpp>
#include <dla/core/error.hpp>
#include <dla/core/finite.hpp>

#include <charconv>
#include <limits>
#include <span>
#include <string_view>
#include <variant>

namespace dla {

/// The value a key sets; which alternative it is, is the key's type.
using ConfigField = std::variant<std::string*, std::int64_t*, double*, bool*, Integers*>;

/// One key. Bounds hold for the number, or for each number of an array; a bound is excluded where `open_*` says so.
struct ConfigKey {
    std::string_view table, key;
    ConfigField (*field)(ExperimentConfig&);
    std::string_view default_value;  ///< as TOML: for the CNN and CIFAR-10, and for whatever the next three do not change
    std::string_view meaning;
    std::string_view choices = "";  ///< of a string: `a|b|c`; empty: any text
    double low = -std::numeric_limits<double>::infinity(), high = std::numeric_limits<double>::infinity();
    bool open_low = false, open_high = false;
    std::size_t min_count = 1, max_count = 1;  ///< of an array
    std::string_view mlp_default = "";         ///< where model.name = "mlp"
    std::string_view gray_default = "";        ///< where the images are 28 x 28 x 1 (every data set but cifar10)
    std::string_view whitened_default = "";    ///< where model.name = "whitened_cnn"
    std::string_view only_for = "";            ///< names (model.name or dataset.name) as `a|b`: an error elsewhere
    bool changes_result = true;                ///< false: where files go and how often they are written
    bool written_always = true;                ///< false: left out while it has its default, so that checkpoints of before it was there still fit
};

namespace detail {

inline constexpr double no_bound = std::numeric_limits<double>::infinity();
inline constexpr double integer_bound = 9e15;  // integers up to here are exact in a double, in which bounds are compared

}  // namespace detail

/// Every key, in the order in which files are written and documented.
inline std::span<const ConfigKey> config_keys() {
    using C = ExperimentConfig;
    using F = ConfigField;
    constexpr double million = 1e6;
    // A table reads best with few lines a row.
    // clang-format off
    static const ConfigKey keys[] = {
        {.table = "model", .key = "name", .field = [](C& c) -> F { return &c.model.name; }, .default_value = "\"cnn\"",
         .meaning = "Family of the network: convolutional, fully connected, or convolutional for few epochs, behind a first layer that whitens the images and "
                    "is not trained.",
         .choices = "cnn|mlp|whitened_cnn"},
        {.table = "model", .key = "input_shape", .field = [](C& c) -> F { return &c.model.input_shape; }, .default_value = "[3, 32, 32]",
         .meaning = "Shape of one image as [channels, height, width]; it must be the data set's.", .low = 1, .high = 65536, .min_count = 3, .max_count = 3,
         .gray_default = "[1, 28, 28]"},
        {.table = "model", .key = "num_classes", .field = [](C& c) -> F { return &c.model.num_classes; }, .default_value = "10",
         .meaning = "Number of classes; it must be the data set's.", .low = 2, .high = 65536},
        {.table = "model", .key = "filters", .field = [](C& c) -> F { return &c.model.filters; }, .default_value = "[32, 64, 128, 256]",
         .meaning = "Output channels of the convolution blocks, first to last; the image is halved after every second block (whitened_cnn: in each).",
         .low = 1, .high = 65536, .min_count = 1, .max_count = 1024, .gray_default = "[16, 32, 64, 128]", .whitened_default = "[64, 256, 256]",
         .only_for = "cnn|whitened_cnn"},
        {.table = "model", .key = "layer_sizes", .field = [](C& c) -> F { return &c.model.layer_sizes; }, .default_value = "[512, 256, 128, 10]",
         .meaning = "Widths of the fully connected layers, first to last; the last is num_classes.", .low = 1, .high = 65536, .min_count = 1,
         .max_count = 1024, .gray_default = "[128, 64, 32, 32, 10]", .only_for = "mlp"},
        {.table = "model", .key = "kernel_size", .field = [](C& c) -> F { return &c.model.kernel_size; }, .default_value = "3",
         .meaning = "Side of the convolution windows; odd, so that padding keeps the image size.", .low = 1, .high = 31, .only_for = "cnn"},
        {.table = "model", .key = "dropout", .field = [](C& c) -> F { return &c.model.dropout; }, .default_value = "0.2",
         .meaning = "Probability with which a value of the hidden layer behind the convolutions is dropped in training.", .low = 0, .high = 1,
         .open_high = true, .only_for = "cnn"},
        {.table = "model", .key = "residual", .field = [](C& c) -> F { return &c.model.residual; }, .default_value = "false",
         .meaning = "Build the network from residual blocks."},
        {.table = "model", .key = "strict", .field = [](C& c) -> F { return &c.model.strict; }, .default_value = "false",
         .meaning = "Compute each convolution as one sum of products: smaller roundings, and up to three times as slow.", .only_for = "cnn|whitened_cnn",
         .written_always = false},

        {.table = "training", .key = "learning_rate", .field = [](C& c) -> F { return &c.training.learning_rate; }, .default_value = "0.001",
         .meaning = "Learning rate at the start; with one_cycle the highest one.", .low = 0, .high = 100, .open_low = true},
        {.table = "training", .key = "batch_size", .field = [](C& c) -> F { return &c.training.batch_size; }, .default_value = "256",
         .meaning = "Images in a training step.", .low = 1, .high = 65536, .mlp_default = "128"},
        {.table = "training", .key = "num_epochs", .field = [](C& c) -> F { return &c.training.num_epochs; }, .default_value = "50",
         .meaning = "Passes over the training images, at most.", .low = 1, .high = million, .mlp_default = "20"},
        {.table = "training", .key = "weight_decay", .field = [](C& c) -> F { return &c.training.weight_decay; }, .default_value = "0.0001",
         .meaning = "Weight decay: added to the gradient (adam, sgd) or applied to the weights (adamw, muon).", .low = 0, .high = 1},
        {.table = "training", .key = "decay_bias_and_norm", .field = [](C& c) -> F { return &c.training.decay_bias_and_norm; }, .default_value = "true",
         .meaning = "Decay biases and normalisation parameters too, as PyTorch does."},
        {.table = "training", .key = "optimizer", .field = [](C& c) -> F { return &c.training.optimizer; }, .default_value = "\"adam\"",
         .meaning = "Optimizer. muon orthogonalises the steps of all weights but the last layer's, which like biases and normalisation are adamw's; its rate "
                    "and decay are as adamw's.",
         .choices = "adam|adamw|sgd|muon"},
        {.table = "training", .key = "momentum", .field = [](C& c) -> F { return &c.training.momentum; }, .default_value = "0.9",
         .meaning = "Momentum of sgd and muon; the others do not read it. one_cycle sets that of sgd itself.", .low = 0, .high = 1, .open_high = true},
        {.table = "training", .key = "nesterov", .field = [](C& c) -> F { return &c.training.nesterov; }, .default_value = "false",
         .meaning = "Nesterov's momentum; of sgd with a momentum alone (muon always has it).", .written_always = false},
        {.table = "training", .key = "scheduler", .field = [](C& c) -> F { return &c.training.scheduler; }, .default_value = "\"reduce_lr\"",
         .meaning = "Learning-rate schedule: reduce_lr lowers it when the validation loss stands still, cosine and one_cycle follow a curve over num_epochs.",
         .choices = "reduce_lr|cosine|one_cycle|none"},
        {.table = "training", .key = "lr_factor", .field = [](C& c) -> F { return &c.training.lr_factor; }, .default_value = "0.5",
         .meaning = "What reduce_lr multiplies the learning rate by.", .low = 0, .high = 1, .open_low = true, .open_high = true},
        {.table = "training", .key = "lr_patience", .field = [](C& c) -> F { return &c.training.lr_patience; }, .default_value = "3",
         .meaning = "Epochs without a better validation loss that reduce_lr tolerates.", .low = 0, .high = million},
        {.table = "training", .key = "min_lr", .field = [](C& c) -> F { return &c.training.min_lr; }, .default_value = "1e-06",
         .meaning = "Learning rate below which reduce_lr does not go.", .low = 0, .high = 100},
        {.table = "training", .key = "warmup_epochs", .field = [](C& c) -> F { return &c.training.warmup_epochs; }, .default_value = "0",
         .meaning = "Epochs over which the learning rate first rises linearly; 0 for none. Not with one_cycle, which has its own.", .low = 0, .high = million},
        {.table = "training", .key = "label_smoothing", .field = [](C& c) -> F { return &c.training.label_smoothing; }, .default_value = "0.0",
         .meaning = "Share of each target that is spread evenly over all classes.", .low = 0, .high = 1, .open_high = true},
        {.table = "training", .key = "clip_grad_norm", .field = [](C& c) -> F { return &c.training.clip_grad_norm; }, .default_value = "0.0",
         .meaning = "Largest L2 norm of the whole gradient, longer ones are scaled down to it; 0 for no limit.", .low = 0, .high = detail::no_bound,
         .open_high = true},
        {.table = "training", .key = "micro_batches", .field = [](C& c) -> F { return &c.training.micro_batches; }, .default_value = "1",
         .meaning = "Parts, a power of two, in which a batch is computed: less memory, batch statistics of each part by itself.", .low = 1, .high = 1024,
         .written_always = false},
        {.table = "training", .key = "mixup", .field = [](C& c) -> F { return &c.training.mixup; }, .default_value = "0.0",
         .meaning = "Mix training images in pairs, and their classes with them, by shares from Beta(mixup, mixup); 0 for not.", .low = 0, .high = 100,
         .written_always = false},
        {.table = "training", .key = "ema", .field = [](C& c) -> F { return &c.training.ema; }, .default_value = "0.0",
         .meaning = "Decay for each step of a moving average of the weights, which is what is validated, kept and tested, such as 0.999; 0 for none.",
         .low = 0, .high = 1, .open_high = true, .written_always = false},
        {.table = "training", .key = "test_mirrored", .field = [](C& c) -> F { return &c.training.test_mirrored; }, .default_value = "false",
         .meaning = "Test once more with the outputs for each image and its mirror image averaged; told apart from the test accuracy.",
         .written_always = false},
        {.table = "training", .key = "early_stopping_patience", .field = [](C& c) -> F { return &c.training.early_stopping_patience; },
         .default_value = "7", .meaning = "Epochs without a better validation accuracy after which training stops; 0 for never.", .low = 0, .high = million,
         .mlp_default = "5"},
        {.table = "training", .key = "seed", .field = [](C& c) -> F { return &c.training.seed; }, .default_value = "42",
         .meaning = "Seed of everything random: initial weights, validation split, order, augmentation, dropout.", .low = 0, .high = detail::integer_bound},
        {.table = "training", .key = "checkpoint_dir", .field = [](C& c) -> F { return &c.training.checkpoint_dir; }, .default_value = "\"checkpoints/\"",
         .meaning = "Folder for checkpoints, relative to the output folder.", .changes_result = false},
        {.table = "training", .key = "log_every", .field = [](C& c) -> F { return &c.training.log_every; }, .default_value = "10",
         .meaning = "Steps between step-level logs.", .low = 1, .high = million, .changes_result = false},
        {.table = "training", .key = "save_every", .field = [](C& c) -> F { return &c.training.save_every; }, .default_value = "5",
         .meaning = "Epochs between checkpoints.", .low = 1, .high = million, .changes_result = false},

        {.table = "dataset", .key = "name", .field = [](C& c) -> F { return &c.dataset.name; }, .default_value = "\"cifar10\"",
         .meaning = "Data set; digits is made by the program and needs no file.", .choices = "mnist|cifar10|fashion_mnist|digits"},
        {.table = "dataset", .key = "data_dir", .field = [](C& c) -> F { return &c.dataset.data_dir; }, .default_value = "\"data/\"",
         .meaning = "Folder in which data sets are looked for, and to which they are downloaded.", .changes_result = false},
        {.table = "dataset", .key = "val_size", .field = [](C& c) -> F { return &c.dataset.val_size; }, .default_value = "5000",
         .meaning = "Training images, chosen by the seed, that are set aside for validation.", .low = 1, .high = million},
        {.table = "dataset", .key = "size", .field = [](C& c) -> F { return &c.dataset.size; }, .default_value = "60000",
         .meaning = "Training images to make, those for validation included.", .low = 2, .high = million, .only_for = "digits"},
        {.table = "dataset", .key = "augment", .field = [](C& c) -> F { return &c.dataset.augment; }, .default_value = "true",
         .meaning = "Change training images at random, as the table [augmentation] says.", .gray_default = "false"},

        {.table = "augmentation", .key = "crop", .field = [](C& c) -> F { return &c.augmentation.crop; }, .default_value = "4",
         .meaning = "Shift by up to this many pixels in each direction; what comes from beyond the border is 0.", .low = 0, .high = 127,
         .written_always = false},
        {.table = "augmentation", .key = "flip", .field = [](C& c) -> F { return &c.augmentation.flip; }, .default_value = "true",
         .meaning = "Mirror every other image, left to right.", .written_always = false},
        {.table = "augmentation", .key = "cutout", .field = [](C& c) -> F { return &c.augmentation.cutout; }, .default_value = "0",
         .meaning = "Side in pixels of a square, at a random place, that becomes the data set's mean; 0 for none.", .low = 0, .high = 65536,
         .written_always = false},
        {.table = "augmentation", .key = "rotate", .field = [](C& c) -> F { return &c.augmentation.rotate; }, .default_value = "0.0",
         .meaning = "Turn by up to this many degrees to either side.", .low = 0, .high = 180, .written_always = false},
        {.table = "augmentation", .key = "scale", .field = [](C& c) -> F { return &c.augmentation.scale; }, .default_value = "0.0",
         .meaning = "Make larger or smaller by up to this share.", .low = 0, .high = 1, .open_high = true, .written_always = false},
        {.table = "augmentation", .key = "brightness", .field = [](C& c) -> F { return &c.augmentation.brightness; }, .default_value = "0.0",
         .meaning = "Add up to this much to all pixels, or take it away; pixels are from 0 to 1.", .low = 0, .high = 1, .written_always = false},
        {.table = "augmentation", .key = "contrast", .field = [](C& c) -> F { return &c.augmentation.contrast; }, .default_value = "0.0",
         .meaning = "Multiply the pixels' distance from the mean by 1 minus to 1 plus this.", .low = 0, .high = 1, .written_always = false},
        {.table = "augmentation", .key = "saturation", .field = [](C& c) -> F { return &c.augmentation.saturation; }, .default_value = "0.0",
         .meaning = "Multiply the pixels' distance from grey by 1 minus to 1 plus this; of images in colour.", .low = 0, .high = 1,
         .written_always = false},
    };
    // clang-format on
    return keys;
}

/// The key of that name in a table, or null.
inline const ConfigKey* find_config_key(std::string_view table, std::string_view key) {
    for (const ConfigKey& k : config_keys())
        if (k.table == table && k.key == key) return &k;
    return nullptr;
}

/// The key's default, as TOML, in an experiment with this model and this data set.
inline std::string_view default_of(const ConfigKey& k, std::string_view model_name, std::string_view dataset_name) {
    if (!k.mlp_default.empty() && model_name == "mlp") return k.mlp_default;
    if (!k.whitened_default.empty() && model_name == "whitened_cnn") return k.whitened_default;
    if (!k.gray_default.empty() && dataset_name != "cifar10") return k.gray_default;
    return k.default_value;
}

/// Whether the key means anything there.
inline bool applies(const ConfigKey& k, std::string_view model_name, std::string_view dataset_name) {
    if (k.only_for.empty()) return true;
    for (std::string_view rest = k.only_for;;) {
        const auto bar = std::min(rest.find('|'), rest.size());
        const std::string_view name = rest.substr(0, bar);
        if (name == model_name || name == dataset_name) return true;
        if (bar == rest.size()) return false;
        rest.remove_prefix(bar + 1);
    }
}

/// Where the key means something: `cnn`, `cnn and whitened_cnn`; empty: everywhere. `mark` stands around each name.
inline std::string only_for(const ConfigKey& k, std::string_view mark = "") {
    std::string text(k.only_for.empty() ? "" : mark);
    for (const char c : k.only_for) text += c == '|' ? std::string(mark) + " and " + std::string(mark) : std::string(1, c);
    return text + std::string(k.only_for.empty() ? "" : mark);
}

/// The shortest TOML float that reads back to the same bits: `0.001`, `1e-06`, `1.0`.
inline std::string toml_number(double value) {
    char text[40];
    std::string result(text, std::to_chars(text, text + sizeof text, value).ptr);
    if (result.find_first_of(".en") == std::string::npos) result += ".0";
    return result;
}

/// `string`, `integer`, `number`, `boolean`, `array of integers`.
inline std::string_view type_of(const ConfigKey& k) {
    constexpr std::string_view names[] = {"string", "integer", "number", "boolean", "array of integers"};
    ExperimentConfig c;
    return names[k.field(c).index()];
}

/// What values the key takes: `cnn | mlp`, `0 <= x < 1`, `3 values >= 1`, or nothing to say.
inline std::string range_of(const ConfigKey& k) {
    std::string text;
    const auto bound = [&](double v) { return type_of(k) == "number" ? toml_number(v) : std::to_string(static_cast<std::int64_t>(v)); };
    if (!k.choices.empty()) {
        for (const char c : k.choices) text += c == '|' ? " | " : std::string(1, c);
    } else if (type_of(k) == "boolean") {
        text = "true | false";
    } else if (type_of(k) != "string") {
        if (type_of(k) == "array of integers")
            text = (k.min_count == k.max_count ? "" : std::to_string(k.min_count) + " to ") + std::to_string(k.max_count) + " values, each ";
        const bool lower = is_finite(k.low), upper = is_finite(k.high);
        if (lower) text += bound(k.low) + (k.open_low ? " < " : " <= ");
        text += "x";
        if (upper) text += (k.open_high ? " < " : " <= ") + bound(k.high);
        if (k.key == "kernel_size") text += ", odd";
    }
    return text.empty() ? "not empty" : text;
}

/// The default with its exceptions: `256 (mlp: 128)`.
inline std::string default_text(const ConfigKey& k) {
    std::string text(k.default_value), others;
    if (!k.mlp_default.empty()) others += "mlp: " + std::string(k.mlp_default);
    if (!k.whitened_default.empty()) others += (others.empty() ? "whitened_cnn: " : "; whitened_cnn: ") + std::string(k.whitened_default);
    if (!k.gray_default.empty()) others += (others.empty() ? "28 x 28 images: " : "; 28 x 28 images: ") + std::string(k.gray_default);
    return others.empty() ? text : text + " (" + others + ")";
}

/// One block of text for each key, for `--help` of programs.
inline std::string config_help() {
    std::string text;
    for (std::string_view table; const ConfigKey& k : config_keys()) {
        if (table != k.table) text += (table.empty() ? "[" : "\n[") + std::string(k.table) + "]\n";
        table = k.table;
        text += "  " + std::string(k.key) + ": " + std::string(type_of(k)) + ", " + range_of(k) + ", default " + default_text(k) +
                (k.only_for.empty() ? "" : ", only for " + only_for(k)) + "\n      " + std::string(k.meaning) + "\n";
    }
    return text;
}

/// The reference page of the keys, docs/config_reference.md.
inline std::string config_reference() {
    const auto cell = [](std::string text) {
        for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, 1, '\\');
        return text;
    };
    std::string text =
        "# Configuration reference\n\n"
        "An experiment is a TOML file with the tables `[model]`, `[training]`, `[dataset]` and `[augmentation]`. Every key may be left out. "
        "A file is checked before any work starts: all errors are reported at once, each with its line and column; what contradicts "
        "each other when nothing else is wrong. "
        "`--set table.key=value` overrides a key on the command line; the value is TOML, and the quotes of a string may be left out. "
        "`x` stands for the value; \"28 x 28 images\" are all data sets but `cifar10`.\n";
    for (std::string_view table; const ConfigKey& k : config_keys()) {
        if (table != k.table) text += "\n## [" + std::string(k.table) + "]\n\n| key | type | range | default | meaning |\n|---|---|---|---|---|\n";
        table = k.table;
        text += "| `" + std::string(k.key) + "` | " + std::string(type_of(k)) + " | " + cell(range_of(k)) + " | `" + std::string(k.default_value) + "`";
        if (!k.mlp_default.empty()) text += "; mlp: `" + std::string(k.mlp_default) + "`";
        if (!k.whitened_default.empty()) text += "; whitened_cnn: `" + std::string(k.whitened_default) + "`";
        if (!k.gray_default.empty()) text += "; 28 x 28 images: `" + std::string(k.gray_default) + "`";
        text += " | " + std::string(k.meaning) + (k.only_for.empty() ? "" : " Only for " + only_for(k, "`") + ".") + " |\n";
    }
    return text;
}

}  // namespace dla
