// SPDX-License-Identifier: MIT
// Which keys of a configuration become which options.
#pragma once

#include <algorithm>

namespace dla::inline DLA_ABI_TAG {

DLA_ONCE Optimizer make_optimizer(const TrainingConfig& c) {
    OptimizerOptions options{.learning_rate = c.learning_rate, .weight_decay = c.weight_decay, .decay_bias_and_norm = c.decay_bias_and_norm};
    if (c.optimizer == "sgd") options.momentum = c.momentum;
    return make_optimizer(c.optimizer, options);
}

DLA_ONCE AnySchedule make_schedule(const TrainingConfig& c, index_t steps_per_epoch) {
    AnyScheduleOptions options;
    options.learning_rate = c.learning_rate;
    if (c.warmup_epochs > 0) options.warmup = LinearWarmup({.start_factor = 1e-2, .length = c.warmup_epochs * steps_per_epoch, .unit = ScheduleUnit::step});
    const auto of_run = [&](const RunSchedule& schedule) { return schedule.of(static_cast<int>(c.num_epochs), steps_per_epoch, options.warmup); };
    if (c.scheduler == "reduce_lr") options.rule = ReduceOnPlateau({.factor = c.lr_factor, .patience = c.lr_patience, .min_learning_rate = c.min_lr});
    if (c.scheduler == "cosine") options.rule = of_run(CosineOptions{});
    if (c.scheduler == "one_cycle") options.rule = of_run(OneCycleOptions{.cycle_momentum = c.optimizer != "sgd" || c.momentum > 0});
    return AnySchedule(options);
}

DLA_ONCE TrainerOptions trainer_options(const TrainingConfig& c) {
    return {.checkpoint_dir = "",
            .epochs = static_cast<int>(c.num_epochs),
            .log_every = static_cast<int>(c.log_every),
            .save_every = static_cast<int>(c.save_every),
            .early_stopping_patience = static_cast<int>(c.early_stopping_patience),
            .clip_norm = c.clip_grad_norm,
            .micro_batches = static_cast<int>(c.micro_batches)};
}

DLA_ONCE ExperimentRun::ExperimentRun(const ExperimentConfig& config, const DatasetPair& data, Seed seed)
    : split(random_split(data.train.size(), config.dataset.val_size, seed)),
      train(data.train, split.train,
            {.batch_size = config.training.batch_size, .augmentation = config.dataset.augment ? cifar10_augmentation : Augmentation{}, .seed = seed}),
      validation(data.train, split.validation, evaluation_options(config.training.batch_size)),
      test(data.test, all_samples(data.test), evaluation_options(config.training.batch_size)),
      optimizer(make_optimizer(config.training)),
      schedule(make_schedule(config.training, train.batches())),
      loss{.label_smoothing = config.training.label_smoothing} {}

}  // namespace dla::inline DLA_ABI_TAG
