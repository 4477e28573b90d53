// SPDX-License-Identifier: MIT
// What is wrong with an experiment: values out of range, and values that contradict each other.
#pragma once

#include <dla/config/schema.hpp>
#include <dla/core/edit_distance.hpp>
#include <dla/core/finite.hpp>

#include <algorithm>
#include <bit>
#include <utility>

namespace dla {

/// One problem: the keys it concerns, as `table.key`, the most telling first, and a sentence.
struct ConfigProblem {
    std::vector<std::string> keys;
    std::string sentence;
};

namespace detail {

inline bool similar(std::string_view a, std::string_view b) { return edit_distance(a, b) <= std::max<std::size_t>(1, std::min(a.size(), b.size()) / 3); }

/// Text from a file, cut and without control characters, for a message.
inline std::string printable(std::string_view text, std::size_t limit = 60) {
    std::string out(text.substr(0, limit));
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    return out + (text.size() > limit ? "..." : "");
}

inline std::string did_you_mean(const std::string& meant) { return meant.empty() ? "" : "; did you mean " + meant + "?"; }

inline bool same_value(const ConfigField& a, const ConfigField& b) {
    return std::visit([&](const auto* value) { return *value == **std::get_if<std::remove_const_t<std::remove_pointer_t<decltype(value)>>*>(&b); }, a);
}

/// Why a value is refused, or empty when it is in its key's range.
inline std::string range_problem(const ConfigKey& k, const ConfigField& field) {
    const auto outside = [&](double v) { return !is_finite(v) || v < k.low || v > k.high || (k.open_low && v <= k.low) || (k.open_high && v >= k.high); };
    const auto refusal = [&](const std::string& got) { return "out of range; expected " + range_of(k) + ", got " + got; };
    if (const auto* text = std::get_if<std::string*>(&field)) {
        if (k.choices.empty()) return (*text)->empty() ? "empty; expected a path" : "";
        std::string meant;
        for (std::string_view rest = k.choices; !rest.empty();) {
            const auto bar = std::min(rest.find('|'), rest.size());
            const std::string choice(rest.substr(0, bar));
            if (choice == **text) return "";
            if (meant.empty() && similar(choice, **text)) meant = "\"" + choice + "\"";
            rest.remove_prefix(std::min(bar + 1, rest.size()));
        }
        return "unknown value; expected " + range_of(k) + ", got \"" + printable(**text) + "\"" + did_you_mean(meant);
    }
    if (const auto* number = std::get_if<std::int64_t*>(&field)) {
        const bool even = k.key == "kernel_size" && **number % 2 == 0;
        return outside(static_cast<double>(**number)) || even ? refusal(std::to_string(**number)) : "";
    }
    if (const auto* number = std::get_if<double*>(&field)) return outside(**number) ? refusal(toml_number(**number)) : "";
    if (const auto* list = std::get_if<Integers*>(&field)) {
        if ((*list)->size() < k.min_count || (*list)->size() > k.max_count) return refusal(std::to_string((*list)->size()) + " values");
        for (const std::int64_t v : **list)
            if (outside(static_cast<double>(v))) return refusal(std::to_string(v));
    }
    return "";
}

inline std::string list_text(const Integers& values) {
    std::string text = "[";
    for (const std::int64_t v : values) text += (text.size() > 1 ? ", " : "") + std::to_string(v);
    return text + "]";
}

/// Training images of the published data sets, and of `digits` as configured.
inline std::int64_t training_images(const DatasetConfig& d) { return d.name == "digits" ? d.size : d.name == "cifar10" ? 50000 : 60000; }

/// Contradictions between values that are in range each.
inline std::vector<ConfigProblem> contradictions(const ExperimentConfig& c) {
    std::vector<ConfigProblem> problems;
    const auto add = [&](std::vector<std::string> keys, std::string sentence) { problems.push_back({std::move(keys), std::move(sentence)}); };
    const Integers image = c.dataset.name == "cifar10" ? Integers{3, 32, 32} : Integers{1, 28, 28};
    if (c.model.input_shape != image)
        add({"model.input_shape", "dataset.name"},
            "does not fit the data set " + c.dataset.name + "; expected " + list_text(image) + ", got " + list_text(c.model.input_shape));
    if (c.model.num_classes != 10)
        add({"model.num_classes", "dataset.name"}, "does not fit the data set " + c.dataset.name + "; expected 10, got " + std::to_string(c.model.num_classes));
    if (c.model.name == "mlp") {
        if (c.model.layer_sizes.back() != c.model.num_classes)
            add({"model.layer_sizes", "model.num_classes"}, "the last layer gives one value for each class; expected " + std::to_string(c.model.num_classes) +
                                                                ", got " + std::to_string(c.model.layer_sizes.back()));
        if (c.training.batch_size == 1)
            add({"training.batch_size", "model.name"}, "batch normalisation of an mlp needs more than one image a step; expected at least 2, got 1");
    } else if (c.model.name == "whitened_cnn") {
        if (c.model.residual) add({"model.residual", "model.name"}, "a whitened_cnn has no residual blocks; expected false");
        const auto side = static_cast<std::uint64_t>(std::min(c.model.input_shape[1], c.model.input_shape[2])) - 1;
        if (const auto halvings = static_cast<std::size_t>(std::bit_width(side)) - (side > 0 ? 1 : 0); c.model.filters.size() > halvings)
            add({"model.filters", "model.input_shape"}, "the image is halved in each group and vanishes; expected at most " + std::to_string(halvings) +
                                                            " values, got " + std::to_string(c.model.filters.size()));
        else if (c.training.batch_size == 1 && side >> c.model.filters.size() == 1)
            add({"training.batch_size", "model.filters"},
                "the last group sees one pixel of each image, and batch normalisation needs two values of a channel; expected at least 2, got 1");
    } else {
        const std::size_t blocks = c.model.filters.size() - (c.model.residual ? 1 : 0);
        const auto side = static_cast<std::uint64_t>(std::min(c.model.input_shape[1], c.model.input_shape[2]));
        const auto halvings = static_cast<std::size_t>(std::bit_width(side) - 1);
        if (c.training.batch_size == 1 && blocks > 0 && blocks / 2 <= halvings && side >> ((blocks - 1) / 2) == 1)
            add({"training.batch_size", "model.filters"},
                "the last block sees one pixel of each image, and batch normalisation needs two values of a channel; expected at least 2, got 1");
        if (blocks / 2 > halvings)
            add({"model.filters", "model.input_shape"}, "the image is halved after every second block and vanishes; expected at most " +
                                                            std::to_string(2 * halvings + 1 + (c.model.residual ? 1 : 0)) + " values, got " +
                                                            std::to_string(c.model.filters.size()));
    }
    if (!std::has_single_bit(static_cast<std::uint64_t>(c.training.micro_batches)))
        add({"training.micro_batches"}, "expected a power of two, got " + std::to_string(c.training.micro_batches));
    else if (const std::int64_t images = training_images(c.dataset) - c.dataset.val_size, last = images % c.training.batch_size;
             c.training.micro_batches > 1 && (c.training.batch_size < 2 * c.training.micro_batches || (last > 0 && last < 2 * c.training.micro_batches)))
        add({"training.micro_batches", "training.batch_size", "dataset.val_size"},
            "each part of a batch needs two images or more; expected batches, the last of which has " +
                std::to_string(last > 0 ? last : c.training.batch_size) + ", of at least " + std::to_string(2 * c.training.micro_batches));
    if (c.dataset.val_size >= training_images(c.dataset))
        add({"dataset.val_size", "dataset.size", "dataset.name"}, "no images are left for training; expected less than " +
                                                                      std::to_string(training_images(c.dataset)) + ", got " +
                                                                      std::to_string(c.dataset.val_size));
    else if (c.dataset.val_size == training_images(c.dataset) - 1)
        add({"dataset.val_size", "dataset.size", "dataset.name"}, "one image is left for training, and batch normalisation needs two; expected at most " +
                                                                      std::to_string(training_images(c.dataset) - 2) + ", got " +
                                                                      std::to_string(c.dataset.val_size));
    if (!c.dataset.augment && !(c.augmentation == AugmentationConfig{}))
        for (const ConfigKey& k : config_keys()) {
            ExperimentConfig now = c, usual;
            if (k.table == "augmentation" && !same_value(k.field(now), k.field(usual)))
                add({"augmentation." + std::string(k.key), "dataset.augment"},
                    "nothing is done to training images, since dataset.augment is false; set it to true");
        }
    if (c.augmentation.saturation > 0 && image[0] != 3)
        add({"augmentation.saturation", "dataset.name"}, "is of images in colour; expected 0 for " + c.dataset.name);
    if (c.training.nesterov && (c.training.optimizer != "sgd" || c.training.momentum == 0))
        add({"training.nesterov", "training.optimizer", "training.momentum"}, "is of sgd with a momentum above 0; expected false");
    for (const auto& [key, path] : {std::pair{"training.checkpoint_dir", &c.training.checkpoint_dir}, std::pair{"dataset.data_dir", &c.dataset.data_dir}})
        if (path->find('\0') != std::string::npos) add({key}, "a path cannot hold the character NUL; remove \\u0000");
    if (c.training.scheduler == "reduce_lr" && c.training.min_lr > c.training.learning_rate)
        add({"training.min_lr", "training.learning_rate"},
            "above the learning rate; expected at most " + toml_number(c.training.learning_rate) + ", got " + toml_number(c.training.min_lr));
    if (c.training.warmup_epochs > 0 && c.training.scheduler == "one_cycle")
        add({"training.warmup_epochs", "training.scheduler"},
            "one_cycle has a warm-up of its own; expected 0, got " + std::to_string(c.training.warmup_epochs));
    else if (c.training.warmup_epochs > c.training.num_epochs)
        add({"training.warmup_epochs", "training.num_epochs"},
            "longer than the training; expected at most " + std::to_string(c.training.num_epochs) + ", got " + std::to_string(c.training.warmup_epochs));
    return problems;
}

}  // namespace detail

/// Every problem of an experiment, however it was made; empty when it can be run.
inline std::vector<ConfigProblem> problems_of(ExperimentConfig c) {
    std::vector<ConfigProblem> problems;
    for (const ConfigKey& k : config_keys()) {
        if (!applies(k, c.model.name, c.dataset.name)) continue;
        if (auto sentence = detail::range_problem(k, k.field(c)); !sentence.empty())
            problems.push_back({{std::string(k.table) + "." + std::string(k.key)}, std::move(sentence)});
    }
    return problems.empty() ? detail::contradictions(c) : problems;
}

}  // namespace dla
