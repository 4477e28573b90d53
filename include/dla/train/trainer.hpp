// SPDX-License-Identifier: MIT
// The training loop: epochs, validation, schedules, early stopping, checkpoints, resume, and what is reported on the way.
#pragma once

#include <dla/data/loader.hpp>
#include <dla/train/checkpoint.hpp>
#include <dla/train/progress.hpp>
#include <dla/train/run_log.hpp>
#include <dla/train/signals.hpp>

namespace dla {

struct TrainerOptions {
    std::string name = "model";  ///< of the run: prefix of checkpoint files, folder of its events
    std::string checkpoint_dir = "checkpoints";
    int epochs = 20;
    int log_every = 10;               ///< steps between lines for single steps
    int save_every = 5;               ///< epochs between checkpoints; the best weights are written whenever they improve
    int early_stopping_patience = 5;  ///< epochs without a better validation accuracy; 0: never stop early
    double clip_grad_norm = 0;        ///< 0: no clipping
    bool quiet = false;
};

/// How a run ended.
struct TrainingResult {
    RunState state;
    int interrupted_by = 0;  ///< the signal, or 0
    bool stopped_early = false;
    std::string checkpoint;  ///< the last one written
};

/// Trains a classifier. The same configuration, seed and data give the same bits at any number of threads, and after an interruption and `resume`.
class Trainer {
public:
    /// All arguments but the options must outlive the trainer.
    Trainer(AnyModel& model, AnyOptimizer& optimizer, AnySchedule& schedule, const CrossEntropy& loss, Loader& train, Loader& validation,
            TrainerOptions options)
        : model_(model), optimizer_(optimizer), schedule_(schedule), loss_(loss), train_(train), validation_(validation), options_(std::move(options)) {}

    /// Configuration, seed and fingerprints that checkpoints carry; set before `run`.
    RunState& state() { return state_; }

    /// Continues from a checkpoint. Throws Error(checkpoint) when it belongs to another configuration or other data.
    void resume(const Checkpoint& checkpoint) {
        const RunState& found = checkpoint.state();
        if (found.config != state_.config)
            fail(ErrorCode::checkpoint, checkpoint.where(), "was written with another configuration:" + first_difference(found.config, state_.config));
        if (found.data_fingerprint != state_.data_fingerprint)
            fail(ErrorCode::checkpoint, checkpoint.where(), "was written with other training data; use the same files, or start anew without --resume");
        if (found.seed != state_.seed)
            fail(ErrorCode::checkpoint, checkpoint.where(), "was written with seed " + std::to_string(found.seed) + "; got " + std::to_string(state_.seed));
        if (found.batch >= train_.batches() || found.epoch > options_.epochs || found.step != found.epoch * train_.batches() + found.batch)
            fail(ErrorCode::checkpoint, checkpoint.where(),
                 "stands at a place that this run does not have: epoch " + std::to_string(found.epoch) + ", batch " + std::to_string(found.batch) + ", step " +
                     std::to_string(found.step));
        const std::string isa = state_.isa;
        state_ = checkpoint.load_run(model_, optimizer_, schedule_);
        if (state_.isa != isa) {
            std::fprintf(stderr, "note: the checkpoint was written with %s kernels, this process uses %s: the run goes on, but its last bits may differ\n",
                         state_.isa.c_str(), isa.c_str());
            state_.isa = isa;
        }
    }

    /// Trains until the epochs are over, early stopping, or a signal; then the model holds the best weights (after a signal: the last ones).
    /// Throws Error(numeric) when the loss is not finite, naming step and first bad layer; checkpoints on disk stay as they are.
    TrainingResult run(RunLog& log) {
        std::error_code error;
        std::filesystem::create_directories(options_.checkpoint_dir, error);
        if (error) fail(ErrorCode::io, options_.checkpoint_dir, "cannot create the folder for checkpoints: " + error.message());
        SignalGuard signals;
        Progress progress(options_.quiet);
        TrainingResult result;
        model_.reserve(std::max(train_.options().batch_size, validation_.options().batch_size), loss_);
        while (state_.epoch < options_.epochs && !state_.stopping.should_stop(options_.early_stopping_patience)) {
            if (const int signal = train_epoch(log, progress)) {
                progress.clear();
                result.interrupted_by = signal;
                state_.kind = "interrupted";
                result.checkpoint = path("_interrupted");
                save_checkpoint(result.checkpoint, model_, state_, &optimizer_, &schedule_);
                result.state = state_;
                return result;
            }
            finish_epoch(log, progress, result);
        }
        result.stopped_early = state_.epoch < options_.epochs;
        if (!state_.best.empty()) put_weights(model_, state_.best);
        result.state = state_;
        return result;
    }

    /// Writes the final checkpoint: the weights the model holds now, the history, and the accuracy on the test set.
    std::string save_final(double test_accuracy) {
        state_.kind = "final";
        state_.test_accuracy = test_accuracy;
        const std::string file = path("_final");
        save_checkpoint(file, model_, state_);
        return file;
    }

    /// Loss and accuracy of every sample of a loader, in inference mode.
    static RunningMean evaluate(AnyModel& model, const CrossEntropy& loss, Loader& loader) {
        RunningMean mean;
        loader.start_epoch(0);
        while (const Batch* batch = loader.next()) mean.add(model.evaluate(loss, batch->images, batch->labels));
        return mean;
    }

    std::string path(const std::string& suffix) const { return options_.checkpoint_dir + "/" + options_.name + suffix + ".safetensors"; }

private:
    /// Runs the epoch that is under way to its end; gives the signal that interrupted it, or 0.
    int train_epoch(RunLog& log, Progress& progress) {
        const int epoch = state_.epoch + 1;
        train_.start_epoch(static_cast<std::uint32_t>(epoch), state_.batch);
        progress.start("epoch " + std::to_string(epoch) + "/" + std::to_string(options_.epochs), train_.batches(), state_.batch);
        model_.position() = {state_.seed, static_cast<std::uint32_t>(epoch), static_cast<std::uint32_t>(state_.batch)};
        while (const Batch* batch = train_.next()) {
            schedule_.apply(optimizer_);
            const LossResult step = model_.train_step(optimizer_, loss_, batch->images, batch->labels, options_.clip_grad_norm);
            if (!std::isfinite(step.loss))
                report_non_finite(*batch, "epoch " + std::to_string(epoch) + ", step " + std::to_string(state_.step + 1), "the loss");
            schedule_.after_step();
            ++state_.step;
            ++state_.batch;
            state_.running.add(step);
            progress.update(state_.batch, batch->count, state_.running.loss());
            if (options_.log_every > 0 && state_.step % options_.log_every == 0) log.step(state_.step, epoch, step.loss, optimizer_.learning_rate());
            if (SignalGuard::caught() != 0 && state_.batch < train_.batches()) return SignalGuard::caught();
        }
        return 0;
    }

    void finish_epoch(RunLog& log, Progress& progress, TrainingResult& result) {
        const double seconds = progress.seconds(), rate = progress.rate();
        const RunningMean validation = evaluate(model_, loss_, validation_);
        if (!std::isfinite(validation.loss())) {  // before anything is saved: a checkpoint of such weights would be the newest one to resume from
            validation_.start_epoch(0);
            report_non_finite(*validation_.next(), "epoch " + std::to_string(state_.epoch + 1) + ", after step " + std::to_string(state_.step),
                              "the validation loss");
        }
        EpochMetrics m{state_.epoch + 1,  state_.running.loss(), state_.running.accuracy(),
                       validation.loss(), validation.accuracy(), optimizer_.learning_rate()};
        ++state_.epoch;
        state_.batch = 0;
        state_.running = {};
        state_.history.push_back(m);
        schedule_.after_epoch(m.val_loss);
        const bool best = state_.stopping.update(m.epoch, m.val_accuracy);
        progress.clear();
        log.epoch(m, best, state_.step, rate, seconds, model_);
        if (best) {
            state_.best = take_weights(model_);
            state_.kind = "best";
            save_checkpoint(path("_best"), model_, state_);
        }
        const bool last = state_.epoch == options_.epochs || state_.stopping.should_stop(options_.early_stopping_patience);
        if (last || (options_.save_every > 0 && state_.epoch % options_.save_every == 0)) {
            state_.kind = "epoch";
            result.checkpoint = path("_epoch_" + std::to_string(state_.epoch));
            save_checkpoint(result.checkpoint, model_, state_, &optimizer_, &schedule_);
            std::error_code ignored;
            std::filesystem::remove(path("_interrupted"), ignored);  // the run is past it
        }
    }

    [[noreturn]] void report_non_finite(const Batch& batch, const std::string& when, const std::string& what) {
        const std::string culprit = model_.find_non_finite(loss_, batch.images, batch.labels);
        fail(ErrorCode::numeric, when,
             what + " is not finite; " +
                 (culprit.empty() ? std::string("every layer's output is finite, the loss itself overflows") : "first not finite: " + culprit) +
                 "; try a smaller learning_rate or clip_grad_norm = 1; the last checkpoint is kept");
    }

    /// ` training.num_epochs: the checkpoint has ..., now ...` for the first line that differs.
    static std::string first_difference(const std::string& then, const std::string& now) {
        std::size_t i = 0, j = 0;
        while (i < then.size() && j < now.size()) {
            const std::string a = then.substr(i, then.find('\n', i) - i), b = now.substr(j, now.find('\n', j) - j);
            if (a != b) return " it has `" + a + "`, now `" + b + "`; use the same values, or start anew without --resume";
            i += a.size() + 1;
            j += b.size() + 1;
        }
        return " one of the two has more settings";
    }

    AnyModel& model_;
    AnyOptimizer& optimizer_;
    AnySchedule& schedule_;
    const CrossEntropy& loss_;
    Loader& train_;
    Loader& validation_;
    TrainerOptions options_;
    RunState state_;
};

}  // namespace dla
