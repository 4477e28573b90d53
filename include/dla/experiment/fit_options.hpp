// SPDX-License-Identifier: MIT
// From a checked configuration to a run of it.
#pragma once

#include <dla/config/write.hpp>
#include <dla/data/dataset.hpp>
#include <dla/optim/make_optimizer.hpp>
#include <dla/train/fit.hpp>

namespace dla::inline DLA_ABI_TAG {

/// The optimizer of a configuration.
inline Optimizer make_optimizer(const TrainingConfig& c) {
    OptimizerOptions options{.learning_rate = c.learning_rate, .weight_decay = c.weight_decay, .decay_bias_and_norm = c.decay_bias_and_norm};
    if (c.optimizer == "sgd") options.momentum = c.momentum;
    return make_optimizer(c.optimizer, options);
}

/// What a configuration says, for `fit(model, data.train, fit_options(config, data))`: all but where files go and what is shown. The images that it validates
/// on are chosen by its seed, and checkpoints carry it as text. It refers to `data.test`, which must outlive it.
inline FitOptions fit_options(const ExperimentConfig& config, const DatasetPair& data) {
    const TrainingConfig& c = config.training;
    FitOptions o;
    o.epochs = static_cast<int>(c.num_epochs);
    o.batch_size = c.batch_size;
    o.loss = CrossEntropy{.label_smoothing = c.label_smoothing};
    o.optimizer = make_optimizer(c);
    if (c.scheduler == "reduce_lr") o.schedule = ReduceOnPlateau({.factor = c.lr_factor, .patience = c.lr_patience, .min_learning_rate = c.min_lr});
    if (c.scheduler == "cosine") o.schedule = CosineOptions{};
    if (c.scheduler == "one_cycle") o.schedule = OneCycleOptions{.cycle_momentum = c.optimizer != "sgd" || c.momentum > 0};
    o.seed = Seed{static_cast<std::uint64_t>(c.seed)};
    o.split = random_split(data.train.size(), config.dataset.val_size, o.seed);
    if (c.warmup_epochs > 0) {
        const index_t steps = Loader(data.train, o.split->train, {.batch_size = c.batch_size, .workers = 0}).batches();
        o.warmup = LinearWarmup({.start_factor = 1e-2, .length = c.warmup_epochs * steps, .unit = ScheduleUnit::step});
    }
    if (config.dataset.augment) o.augmentation = cifar10_augmentation;
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
