// SPDX-License-Identifier: MIT
// How the training loop runs.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/io/folder_lock.hpp>
#include <dla/train/progress.hpp>
#include <dla/train/run_files.hpp>
#include <dla/train/signals.hpp>
#include <dla/train/weight_average.hpp>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

namespace dla {

DLA_ONCE Trainer::Trainer(AnyModel& model, Optimizer& optimizer, AnySchedule& schedule, AnyLoss loss, Loader& train, Loader* validation, TrainerOptions options)
    : model_(model),
      optimizer_(optimizer),
      schedule_(schedule),
      loss_(std::move(loss)),
      train_loss_(train.options().mixup > 0 ? of_probabilities(loss_) : loss_),
      train_(train),
      validation_(validation),
      options_(std::move(options)) {
    if (!(options_.ema_decay >= 0 && options_.ema_decay < 1)) fail(ErrorCode::usage, "trainer", "ema_decay must be at least 0 and less than 1");
    state_.averages = options_.ema_decay > 0;
    set_monitor();
}

DLA_ONCE void Trainer::resume(const Checkpoint& checkpoint) {
    const RunState& found = checkpoint.state();
    if (found.config != state_.config)
        fail(ErrorCode::checkpoint, checkpoint.where(),
             "was written with another configuration:" + first_difference(found.config, state_.config) + "; use the same values, or start anew");
    if (!found.options.empty() && !state_.options.empty() && found.options != state_.options)
        fail(ErrorCode::checkpoint, checkpoint.where(),
             "was written with the same configuration, but other options:" + first_difference(found.options, state_.options) + "; use the same, or start anew");
    if (found.data_fingerprint != state_.data_fingerprint)
        fail(ErrorCode::checkpoint, checkpoint.where(), "was written with other training data; use the same files, or start anew");
    if (found.seed != state_.seed)
        fail(ErrorCode::checkpoint, checkpoint.where(), "was written with seed " + std::to_string(found.seed) + "; got " + std::to_string(state_.seed));
    if (found.batch >= train_.batches() || found.epoch > options_.epochs || found.step != found.epoch * train_.batches() + found.batch)
        fail(ErrorCode::checkpoint, checkpoint.where(),
             "stands at a place that this run does not have: epoch " + std::to_string(found.epoch) + ", batch " + std::to_string(found.batch) + ", step " +
                 std::to_string(found.step));
    const std::string isa = state_.isa, options = state_.options;
    const auto data = state_.data;
    if (found.monitor != state_.monitor || found.higher_is_better != state_.higher_is_better)
        fail(ErrorCode::checkpoint, checkpoint.where(), "monitors " + found.monitor + "; this run monitors " + state_.monitor);
    state_ = checkpoint.load_run(model_, optimizer_, schedule_);
    if (state_.isa != isa)
        std::fprintf(stderr, "note: the checkpoint was written with %s kernels, this run uses %s: it goes on, but its last bits may differ\n",
                     state_.isa.c_str(), isa.c_str());
    state_.isa = isa;
    state_.options = options;
    state_.data = data;
}

DLA_ONCE std::string Trainer::resume_newest(const std::string& run, std::vector<std::string>& skipped) {
    std::vector<std::string> refused;
    for (const std::string& file : resumable_checkpoints(options_.checkpoint_dir, options_.name, state_.config, run, skipped)) {
        try {
            resume(Checkpoint(file));
            skipped.insert(skipped.begin(), refused.begin(), refused.end());
            return file;
        } catch (const Error& e) {
            refused.push_back(e.without_code());
        }
    }
    skipped.insert(skipped.begin(), refused.begin(), refused.end());
    return "";
}

DLA_ONCE void Trainer::check() {
    const auto largest = [](const Loader& loader) { return std::min(loader.options().batch_size, std::ssize(loader.sample_indices())); };
    const index_t most = std::max(largest(train_), validation_ ? largest(*validation_) : 0);
    model_.reserve(most, train_loss_, options_.micro_batches);
    if (train_.options().mixup > 0) model_.reserve(most, loss_, options_.micro_batches);
    if (validation_) detail::check_sample_weights("validation_weights", *validation_, options_.validation_weights);
    if (validation_) detail::try_metrics(model_, *validation_, options_.metrics, options_.validation_weights);
    const index_t last = static_cast<index_t>(train_.sample_indices().size()) % train_.options().batch_size;
    const index_t least = model_.least_batch() * options_.micro_batches;
    const LastBatch rest = train_.options().last_batch;
    if (last > 0 && last < least && (rest == LastBatch::keep || (rest == LastBatch::drop_single && last > 1)))
        fail(ErrorCode::usage, "trainer",
             "the last batch of an epoch has " + std::to_string(last) + (last == 1 ? " sample; " : " samples; ") + std::to_string(options_.micro_batches) +
                 (options_.micro_batches == 1 ? " part" : " parts") + " of this network's training need at least " + std::to_string(least) +
                 "; drop it (LastBatch::drop), or use another batch size or fewer parts");
    if (!schedule_.finished()) schedule_.apply(optimizer_);
}

DLA_ONCE TrainingResult Trainer::run(TrainingCallback& log) {
    if (!options_.checkpoint_dir.empty()) make_folder(options_.checkpoint_dir, "the folder for checkpoints");
    check();
    log.take_stop();  // of another run
    if (options_.stats) take_fixed_batch();
    std::optional<SignalGuard> signals;  // only where something can be saved: elsewhere a signal ends the process, as it does others
    if (!options_.checkpoint_dir.empty()) signals.emplace();
    Progress progress(options_.quiet);
    progress.set_unit(rate_unit(model_.input_shape()));
    TrainingResult result;
    bool stopped = false;  // by a callback
    while (!stopped && state_.epoch < options_.epochs && !state_.stopping.should_stop(options_.early_stopping_patience)) {
        int signal = train_.batches() == 1 ? SignalGuard::caught() : 0;  // where no step lies inside an epoch, between two of them
        if (signal == 0) signal = train_epoch(log, progress);
        if (signal != 0) {
            progress.clear();
            result.interrupted_by = signal;
            state_.kind = "interrupted";
            save(result, "_interrupted");
            result.state = state_;
            return result;
        }
        stopped = finish_epoch(log, progress, result);
    }
    result.stopped_early = state_.epoch < options_.epochs;
    result.interrupted_by = SignalGuard::caught();  // after the last step: nothing is left to do, but whoever sent it is obeyed
    if (!state_.best.empty())
        put_weights(model_, state_.best);
    else if (!state_.average.empty())
        put_weights(model_, state_.average);
    result.state = state_;
    return result;
}

DLA_ONCE std::string Trainer::save_final(const Evaluation& test) {
    if (options_.checkpoint_dir.empty()) return "";
    state_.kind = "final";
    if (!is_nan(test.accuracy)) state_.test_accuracy = test.accuracy;
    const std::string file = path("_final");
    save_checkpoint(file, model_, state_);
    return file;
}

DLA_ONCE int Trainer::train_epoch(TrainingCallback& log, Progress& progress) {
    const int epoch = state_.epoch + 1;
    train_.start_epoch(static_cast<std::uint32_t>(epoch), state_.batch);
    progress.start("epoch " + std::to_string(epoch) + "/" + std::to_string(options_.epochs), train_.batches(), state_.batch);
    model_.position() = {state_.seed, static_cast<std::uint32_t>(epoch), static_cast<std::uint32_t>(state_.batch)};
    while (const Batch* batch = train_.next()) {
        schedule_.apply(optimizer_);
        if (options_.stats && state_.batch + 1 == train_.batches()) before_ = parameter_values(model_);
        const StepResult step = model_.train_step(optimizer_, train_loss_, batch->inputs, batch->targets(),
                                                  {.clip_norm = options_.clip_norm, .micro_batches = options_.micro_batches});
        const bool empty = step.counted == 0 && step.bad_row < 0;  // every label is ignored: there is nothing to learn, and no loss
        if (!step.applied && !empty)
            report_non_finite(*batch, "epoch " + std::to_string(epoch) + ", step " + std::to_string(state_.step + 1),
                              is_finite(step.loss) ? "the norm of the gradients" : "the loss");
        schedule_.after_step();
        ++state_.step;
        if (state_.averages) average_weights(state_.average, model_, options_.ema_decay, state_.step, scratch_);
        ++state_.batch;
        state_.running.add(step);
        progress.update(state_.batch, batch->count, state_.running.loss());
        log.progress(epoch, state_.batch, train_.batches());
        if (options_.log_every > 0 && state_.step % options_.log_every == 0) log.step(state_.step, epoch, step.loss, optimizer_.learning_rate());
        if (SignalGuard::caught() != 0 && state_.batch < train_.batches()) return SignalGuard::caught();
    }
    return 0;
}

DLA_ONCE bool Trainer::finish_epoch(TrainingCallback& log, Progress& progress, TrainingResult& result) {
    const double seconds = progress.seconds(), rate = progress.rate();
    EpochMetrics m{.epoch = state_.epoch + 1, .train_loss = state_.running.loss(), .learning_rate = optimizer_.learning_rate()};
    m.val_loss = m.val_accuracy = m.train_accuracy = std::numeric_limits<double>::quiet_NaN();
    if (loss_.counts_correct()) m.train_accuracy = state_.running.accuracy();
    std::int64_t validated = 0;
    if (validation_) {
        const detail::AverageInside inside(model_, state_.average);
        const Evaluation validation = evaluate(model_, loss_, *validation_, options_.metrics, options_.validation_weights);
        m.val_loss = validation.loss;
        m.val_accuracy = validation.accuracy;
        m.metrics = validation.metrics;
        validated = validation.counted;
    }
    // Before anything is saved: a checkpoint of such weights would be the newest one to resume from. Running statistics overflow before a loss does.
    if (validation_ && validated == 0)
        fail(ErrorCode::data, "trainer",
             std::string("the validation set has no label that counts; all are ignored") + (options_.validation_weights.empty() ? "" : " or weigh nothing"));
    const std::string bad = validation_ && !is_finite(m.val_loss) ? "the validation loss" : first_bad_buffer();
    if (!bad.empty()) {
        Loader& loader = validation_ ? *validation_ : train_;
        loader.start_epoch(0);
        report_non_finite(*loader.next(), "epoch " + std::to_string(m.epoch) + ", after step " + std::to_string(state_.step), bad);
    }
    ++state_.epoch;
    state_.batch = 0;
    state_.running = {};
    state_.history.push_back(m);
    schedule_.after_epoch(m.value(watched_));
    if (const std::string warning = schedule_.warning(); !warning.empty() && !std::exchange(warned_, true)) std::fprintf(stderr, "note: %s\n", warning.c_str());
    const bool best = state_.stopping.update(m.epoch, m.find(state_.monitor), state_.higher_is_better);
    progress.clear();
    if (options_.stats) {
        std::vector<std::vector<std::byte>> gradients;  // of the last step, for those who look at the model next
        for (const ParamRow& row : model_.index().parameters)
            model_.read(ParamPart::gradient, row, std::span(detail::new_array(gradients, row.count, model_.value_type())));
        result.stats = grad_stats(model_, loss_, fixed_inputs_, fixed_targets());
        add_updates(result.stats, model_, before_);
        for (std::size_t i = 0; i < gradients.size(); ++i)
            model_.write(ParamPart::gradient, model_.index().parameters[i], std::span<const std::byte>(gradients[i]));
    }
    if (best) {
        const detail::AverageInside inside(model_, state_.average);
        state_.best = take_weights(model_);
        state_.kind = "best";
        if (!options_.checkpoint_dir.empty()) save_checkpoint(path("_best"), model_, state_);
    }
    log.epoch({m, best, state_.step, rate, seconds, model_, options_.stats ? &result.stats : nullptr});
    const bool stopped = log.take_stop();
    const bool last = stopped || state_.epoch == options_.epochs || state_.stopping.should_stop(options_.early_stopping_patience);
    if (last || (options_.save_every > 0 && state_.epoch % options_.save_every == 0)) {
        state_.kind = "epoch";
        save(result, "_epoch_" + std::to_string(state_.epoch));
        if (!options_.checkpoint_dir.empty()) {
            std::error_code ignored;
            std::filesystem::remove(path("_interrupted"), ignored);  // the run is past it
        }
    }
    return stopped;
}

DLA_ONCE void Trainer::set_monitor() {
    std::string& name = state_.monitor;
    const bool classifies = loss_.counts_correct();
    if (!options_.monitor.empty())
        name = options_.monitor;
    else if (validation_)
        name = classifies ? "val_accuracy" : "val_loss";
    else
        name = options_.early_stopping_patience > 0 ? "train_loss" : "nothing";
    detail::check_names(options_.metrics);
    if (!validation_ && !options_.metrics.empty())
        fail(ErrorCode::usage, "trainer", "metrics are measured on validation data, and there are none; to `fit`, give validation_share, split or validation");
    if (!validation_ && !options_.validation_weights.empty()) fail(ErrorCode::usage, "trainer", "validation_weights need something to validate on");
    // A schedule that waits for progress follows what is monitored where the user has said what, or it wants larger values; else the loss.
    watched_ = validation_ ? "val_loss" : "train_loss";
    const bool follows = schedule_.watches() && (!options_.monitor.empty() || schedule_.maximizes());
    if (name == "nothing" && follows)
        fail(ErrorCode::usage, "trainer", "ReduceOnPlateau maximizes, and nothing is monitored that gets larger; set `monitor`, or leave `maximize` out");
    if (name == "nothing") return;  // no epoch is better than another
    const auto metric = std::find_if(options_.metrics.begin(), options_.metrics.end(), [&](const auto& m) { return m->name() == name; });
    const bool known = name == "train_loss" || (classifies && name == "train_accuracy") ||
                       (validation_ && (name == "val_loss" || (classifies && name == "val_accuracy") || metric != options_.metrics.end()));
    if (!known) {
        std::string others = options_.metrics.empty() ? " or the name of one of the metrics, which need a validation set" : "";
        for (const auto& m : options_.metrics) others += ", " + m->name();
        fail(ErrorCode::usage, "trainer",
             "cannot monitor '" + name + "'; expected train_loss" + (classifies ? ", train_accuracy" : "") + (validation_ ? ", val_loss" : "") +
                 (validation_ && classifies ? ", val_accuracy" : "") + others);
    }
    state_.higher_is_better = metric != options_.metrics.end() ? (*metric)->higher_is_better() : name.ends_with("accuracy");
    if (!follows) return;
    if (schedule_.maximizes() != state_.higher_is_better)
        fail(ErrorCode::usage, "trainer",
             "ReduceOnPlateau waits for " + std::string(schedule_.maximizes() ? "larger" : "smaller") + " values, and '" + name + "' is better when " +
                 (state_.higher_is_better ? "larger" : "smaller") + "; set its `maximize` to " + (state_.higher_is_better ? "true" : "false"));
    watched_ = name;
}

DLA_ONCE std::string Trainer::first_bad_buffer() const {
    std::vector<std::byte> host;
    for (const BufferRow& row : model_.index().buffers) {
        host.resize(static_cast<std::size_t>(row.count) * size_of(model_.value_type()));
        model_.read(row, std::span(host));
        if (!detail::all_finite_in(host, model_.value_type())) return "buffer " + row.path;
    }
    return "";
}

DLA_ONCE void Trainer::save(TrainingResult& result, const std::string& suffix) {
    if (options_.checkpoint_dir.empty()) return;
    result.checkpoint = path(suffix);
    save_checkpoint(result.checkpoint, model_, state_, &optimizer_, &schedule_);
}

DLA_ONCE Targets Trainer::fixed_targets() const { return fixed_values_.empty() ? Targets(fixed_labels_) : Targets(fixed_values_); }

DLA_ONCE void Trainer::take_fixed_batch() {
    const index_t size = std::max<index_t>(1, train_.options().batch_size / options_.micro_batches);  // for no more memory than a step takes
    const auto loader = train_.in_order(size, static_cast<std::size_t>(size));
    loader->start_epoch(0);
    const Batch& batch = *loader->next();
    fixed_inputs_.assign(batch.inputs.begin(), batch.inputs.end());
    fixed_labels_.assign(batch.labels.begin(), batch.labels.end());
    fixed_values_.assign(batch.values.begin(), batch.values.end());
}

[[noreturn]] DLA_ONCE void Trainer::report_non_finite(const Batch& batch, const std::string& when, const std::string& what) {
    const std::string culprit = model_.find_non_finite(batch.values.empty() ? loss_ : train_loss_, batch.inputs, batch.targets());
    const std::string found = culprit.empty() ? "every layer's output is finite, " + what + " overflows by itself" : "first not finite: " + culprit;
    fail(ErrorCode::numeric, when,
         what + " is not finite; " + found + "; try a smaller learning_rate" + (options_.clip_norm > 0 ? "" : " or clip the gradients' norm at 1") +
             (options_.checkpoint_dir.empty() ? "" : "; the last checkpoint is kept"));
}

}  // namespace dla
