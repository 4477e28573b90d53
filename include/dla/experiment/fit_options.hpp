// SPDX-License-Identifier: MIT
// From a checked configuration to a run of it.
#pragma once

#include <dla/config/write.hpp>
#include <dla/data/load.hpp>
#include <dla/optim/make_optimizer.hpp>
#include <dla/train/fit.hpp>
#include <dla/train/whitening.hpp>
#include <dla/zoo/make_model.hpp>

#include <algorithm>

namespace dla::inline DLA_ABI_TAG {

/// The network of a configuration, with the initial weights of its seed; `threads` as make_model of its table [model].
inline std::unique_ptr<AnyModel> make_model(const ExperimentConfig& config, int threads = 0) {
    return make_model(config.model, Seed{static_cast<std::uint64_t>(config.training.seed)}, threads);
}

/// The same on another policy, such as Cuda<float>.
template <Policy P>
std::unique_ptr<AnyModel> make_model(const ExperimentConfig& config, const P& policy) {
    return make_model(config.model, Seed{static_cast<std::uint64_t>(config.training.seed)}, policy);
}

inline namespace DLA_ZLIB_TAG {
/// The data set of a configuration, from `folder` (empty: its data_dir). `test_only`: nobody will look at the training images, so digits are not drawn for
/// them. Throws Error(data) as load_dataset, and when the images are not what the model takes.
inline DatasetPair load_data(const ExperimentConfig& config, const std::string& folder = {}, bool test_only = false) {
    const auto& [name, size] = std::pair(config.dataset.name, static_cast<index_t>(config.dataset.size));
    DatasetPair data = load_dataset(name, folder.empty() ? config.dataset.data_dir : folder,
                                    {.digits_train = test_only ? 1 : size, .digits_test = std::clamp<index_t>(size / 6, 1, 10000)});
    const Shape input(config.model.input_shape[0], config.model.input_shape[1], config.model.input_shape[2]);
    if (!(data.train.shape == input))
        fail(ErrorCode::data, name, text("has images ", to_text(data.train.shape), "; model.input_shape says ", to_text(input)).view());
    return data;
}
}  // namespace DLA_ZLIB_TAG

/// Freezes what of a network of that family is not trained: the first layer of a whitened_cnn. Networks of `load_network` are not frozen.
inline void freeze_fixed(const ModelConfig& config, AnyModel& model) {
    if (config.name == "whitened_cnn") model.freeze("0.weight");
}

/// What a network gets from its data before it is trained, those samples alone that it is trained on: the first layer of a whitened_cnn whitens them, and is
/// frozen. To be called before `fit`, also one that resumes.
inline void prepare_model(const ExperimentConfig& config, AnyModel& model, const Dataset& data, const Split& split) {
    if (config.model.name != "whitened_cnn") return;
    whiten_first_convolution(model, data, split.train);
    freeze_fixed(config.model, model);
}

/// The optimizer of a configuration.
inline Optimizer make_optimizer(const ExperimentConfig& config) {
    const TrainingConfig& c = config.training;
    OptimizerOptions options{.learning_rate = c.learning_rate, .weight_decay = c.weight_decay, .decay_bias_and_norm = c.decay_bias_and_norm};
    if (c.optimizer == "sgd") options.momentum = c.momentum, options.nesterov = c.nesterov;
    if (c.optimizer == "muon") {
        options.momentum = c.momentum;
        options.factor = MuonFactor::match_rms_adamw;
        options.adamw = {head_weight(config.model)};
    }
    return make_optimizer(c.optimizer, options);
}

/// What a configuration says, for `fit(model, data.train, fit_options(config, data))`: all but where files go and what is shown. The images that it validates
/// on are chosen by its seed, and checkpoints carry it as text. It refers to `data.test`, which must outlive it. Throws Error(data) for other data than the
/// configuration's, as far as their size tells.
inline FitOptions fit_options(const ExperimentConfig& config, const DatasetPair& data) {
    const TrainingConfig& c = config.training;
    if (config.dataset.name == "digits" && data.train.size() != config.dataset.size)
        fail(ErrorCode::data, "digits",
             text("has ", data.train.size(), " training images; dataset.size says ", config.dataset.size, " (load_data makes as many)").view());
    FitOptions o;
    o.name = run_name(config);
    o.epochs = static_cast<int>(c.num_epochs);
    o.batch_size = c.batch_size;
    o.loss = CrossEntropy{.label_smoothing = c.label_smoothing};
    o.optimizer = make_optimizer(config);
    if (c.scheduler == "reduce_lr") o.schedule = ReduceOnPlateau({.factor = c.lr_factor, .patience = c.lr_patience, .min_learning_rate = c.min_lr});
    if (c.scheduler == "cosine") o.schedule = CosineOptions{};
    const bool cycles = c.optimizer != "muon" && (c.optimizer != "sgd" || c.momentum > 0);
    if (c.scheduler == "one_cycle") o.schedule = OneCycleOptions{.cycle_momentum = cycles};
    o.seed = Seed{static_cast<std::uint64_t>(c.seed)};
    o.split = random_split(data.train.size(), config.dataset.val_size, o.seed);
    if (c.warmup_epochs > 0) {
        const index_t steps = Loader(data.train, o.split->train, {.batch_size = c.batch_size, .workers = 0}).batches();
        o.warmup = LinearWarmup({.start_factor = 1e-2, .length = c.warmup_epochs * steps, .unit = ScheduleUnit::step});
    }
    const AugmentationConfig& a = config.augmentation;
    if (config.dataset.augment)
        o.augmentation = {.padding = static_cast<int>(a.crop),
                          .flip = a.flip,
                          .cutout = static_cast<int>(a.cutout),
                          .contrast = a.contrast,
                          .brightness = a.brightness,
                          .saturation = a.saturation,
                          .rotate = a.rotate,
                          .scale = a.scale};
    o.mixup = c.mixup;
    o.ema_decay = c.ema;
    o.test_mirrored = c.test_mirrored;
    o.early_stopping_patience = static_cast<int>(c.early_stopping_patience);
    o.clip_norm = c.clip_grad_norm;
    o.micro_batches = static_cast<int>(c.micro_batches);
    o.save_every = static_cast<int>(c.save_every);
    o.log_every = static_cast<int>(c.log_every);
    o.config = to_toml(config, true);
    o.test = data.test;
    return o;
}
FitOptions fit_options(const ExperimentConfig& config, const DatasetPair&& data) = delete;

}  // namespace dla::inline DLA_ABI_TAG
