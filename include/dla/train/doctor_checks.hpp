// SPDX-License-Identifier: MIT
// What the doctor tries out, one check after another.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/train/doctor_layers.hpp>
#include <dla/train/doctor_rate.hpp>
#include <dla/train/fit.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <utility>

namespace dla {

namespace detail {

/// Bytes that the system could give now.
inline double free_memory() {
    std::ifstream info("/proc/meminfo");
    for (std::string line; std::getline(info, line);)
        if (line.starts_with("MemAvailable:")) return std::strtod(line.c_str() + 13, nullptr) * 1024;
    return 4e9;
}

/// One training to look at.
class Doctor {
public:
    Doctor(const AnyModel& model, const Optimizer& optimizer, const AnySchedule& schedule, const AnyLoss& loss, Loader& train, Loader* validation,
           const DoctorOptions& options)
        : model_(model), optimizer_(optimizer), schedule_(schedule), loss_(loss), train_(train), validation_(validation), o_(options) {
        train_loss_ = train.options().mixup > 0 ? of_probabilities(loss) : loss;
        step_ = {.clip_norm = o_.clip_norm, .micro_batches = o_.micro_batches};
    }

    Diagnosis run() {
        count_classes();
        look_at_batches();
        try_training();
        overfit();
        find_rate(d_, model_, optimizer_, train_loss_, train_, step_, o_);
        look_at_labels();
        fit_memory();
        return std::move(d_);
    }

private:
    void add(const char* check, Finding::Kind kind, std::string sentence, std::string remedy = "") {
        d_.add(check, kind, std::move(sentence), std::move(remedy));
    }
    bool classifies() const { return train_.source().classes() > 1 && train_.source().target_shape().size() == 1; }

    void count_classes() {
        if (!classifies()) return;
        shares_.assign(static_cast<std::size_t>(train_.source().classes()), 0);
        for (const std::uint32_t s : train_.sample_indices()) shares_[static_cast<std::size_t>(train_.source().label(index_t{s}))] += 1;
        double squares = 0;
        for (double& share : shares_) {
            share /= static_cast<double>(train_.sample_indices().size());
            if (share <= 0) continue;
            entropy_ -= share * math::log(share);
            squares += share * math::log(share) * math::log(share);
        }
        entropy_deviation_ = std::sqrt(std::max(0.0, squares - entropy_ * entropy_));
        chance_ = *std::max_element(shares_.begin(), shares_.end());
    }

    /// Whether the classes of a batch are a mixture: each class's count scatters about what is expected as a drawn sample's does, or it does not.
    void look_at_batches() {
        if (!classifies() || chance_ > 0.999 || !train_.options().weights.empty()) return;
        train_.start_epoch(1);
        double scatter = 0, distinct = 0;
        int terms = 0, batches = 0;
        for (const Batch* b = train_.next(); b && batches < 16; b = train_.next(), ++batches) {
            std::vector<double> counts(shares_.size());
            for (const std::int32_t label : b->labels) counts[static_cast<std::size_t>(label)] += 1;
            const double n = static_cast<double>(b->count);
            for (std::size_t c = 0; c < counts.size(); ++c) {
                distinct += counts[c] > 0;
                const double p = shares_[c];
                if (p <= 0 || p >= 1) continue;
                scatter += (counts[c] - n * p) * (counts[c] - n * p) / (n * p * (1 - p));
                ++terms;
            }
        }
        distinct /= batches;
        if (terms > 0 && scatter / terms > 4)
            add("order", Finding::Kind::bad,
                "batches are no mixture of the data: " + doctor_number("%.1f", distinct) + " of " + std::to_string(shares_.size()) +
                    " classes in a batch on average",
                "shuffle the samples (LoaderOptions::shuffle), or mix the files before");
        else
            add("order", Finding::Kind::good, "batches are mixtures of all classes");
    }

    /// Trains a copy as it is meant; what it does in the end is looked at in many ways.
    void try_training() {
        const auto model = model_.clone();
        Optimizer optimizer = optimizer_;
        AnySchedule schedule = schedule_;
        double waiting = 0, working = 0;
        std::vector<std::vector<float>> before;
        std::vector<float> inputs, values;
        std::vector<std::int32_t> labels;
        int steps = 0, before_step = -1;
        double slowest = 0;  // step
        const auto began = DoctorClock::now();
        const auto more = [&] { return steps < o_.trial_steps && (steps == 0 || seconds_since(began) < o_.seconds); };
        for (std::uint32_t epoch = 1; more() && bad_step_.empty(); ++epoch) {
            train_.start_epoch(epoch);
            while (more()) {
                const auto asked = DoctorClock::now();
                const Batch* batch = train_.next();
                if (!batch) break;
                const auto got = DoctorClock::now();
                model->position() = {static_cast<std::uint64_t>(train_.options().seed), epoch, static_cast<std::uint32_t>(steps)};
                if (steps + 1 == o_.trial_steps || seconds_since(began) + 2 * slowest >= o_.seconds) before = parameter_values(*model), before_step = steps;
                if (!schedule.finished()) schedule.apply(optimizer);
                const StepResult step = model->train_step(optimizer, train_loss_, batch->inputs, batch->targets(), step_);
                ++steps;
                if (!schedule.finished()) schedule.after_step();
                slowest = std::max(slowest, seconds_since(asked));
                if (steps > 2) waiting += std::chrono::duration<double>(got - asked).count(), working += seconds_since(got);  // the first are slow
                if (!step.applied && step.counted > 0) {
                    bad_step_ = model->find_non_finite(train_loss_, batch->inputs, batch->targets());
                    if (bad_step_.empty()) bad_step_ = "the loss itself";
                    break;
                }
                right_.push_back(step.counted > 0 ? static_cast<double>(step.correct) / static_cast<double>(step.counted) : 0);
                counted_ = std::max<double>(counted_, static_cast<double>(step.counted));
                inputs.assign(batch->inputs.begin(), batch->inputs.end());
                values.assign(batch->values.begin(), batch->values.end());
                labels.assign(batch->labels.begin(), batch->labels.end());
            }
        }
        // The last step came without notice, or it is one of the first few, which say little (Adam's are as large as they get).
        if (before_step + 1 != steps || steps < std::min(5, o_.trial_steps)) before.clear();
        if (!bad_step_.empty()) {
            add("first NaN", Finding::Kind::bad, "step " + std::to_string(steps) + " gives values that are not finite, first in " + bad_step_,
                "use a smaller learning rate, clip the gradients' norm at 1, and look for a division by zero in the data");
        } else {
            add("first NaN", Finding::Kind::good,
                std::to_string(steps) + " steps of training stay finite" + (steps < o_.trial_steps ? "; time was up before more" : ""));
            GradStats stats = grad_stats(*model, train_loss_, inputs,
                                         values.empty() ? Targets(std::span<const std::int32_t>(labels)) : Targets(std::span<const float>(values)));
            if (!before.empty()) add_updates(stats, *model, before);
            look_at_layers(d_, stats, !before.empty());
        }
        if (validation_ && bad_step_.empty() && classifies()) {
            if (const auto* own = std::get_if<CrossEntropy>(&loss_.get())) {  // without smoothing and weights, to be compared with an entropy
                const Evaluation e = evaluate(*model, CrossEntropy{.ignore_index = own->ignore_index}, *validation_);
                validated_ = e.accuracy;
                surprise_ = e.loss;
            } else {
                validated_ = evaluate(*model, loss_, *validation_).accuracy;
            }
        }
        const double all = waiting + working;
        d_.loader_share = all > 0 ? waiting / all : 0;
        const std::string share = doctor_number("%.0f %%", 100 * d_.loader_share);
        if (d_.loader_share > 0.3)
            add("loader", Finding::Kind::bad, share + " of the time is spent waiting for batches",
                "use more workers (LoaderOptions::workers), larger images of fewer files, or keep the data in memory");
        else
            add("loader", Finding::Kind::good, "training waits for batches during " + share + " of its time: it is bound by computing");
    }

    /// Any network that works learns a few samples by heart.
    void overfit() {
        const auto model = model_.clone();
        Optimizer adam(Adam({.learning_rate = 2e-3}));
        const auto loader = train_.in_order(o_.overfit_samples, static_cast<std::size_t>(o_.overfit_samples), 0, true);
        loader->start_epoch(0);
        const Batch& batch = *loader->next();
        const index_t least = model->least_batch();
        double first = 0, last = 0, right = 0;
        int steps = 0;
        bool finite = batch.count >= least;
        const auto learned = [&] { return steps > 1 && (loss_.counts_correct() ? right >= 0.99 : first - last >= 0.9 * std::abs(first)); };
        const auto began = DoctorClock::now();
        for (; finite && steps < o_.overfit_steps && !learned() && seconds_since(began) < o_.seconds; ++steps) {
            model->position() = {static_cast<std::uint64_t>(train_.options().seed), 0, static_cast<std::uint32_t>(steps)};
            const StepResult step = model->train_step(adam, loss_, batch.inputs, batch.targets(), {.clip_norm = 1});
            finite = step.applied;
            last = step.loss;
            right = step.counted > 0 ? static_cast<double>(step.correct) / static_cast<double>(step.counted) : 0;
            if (steps == 0) first = step.loss;
        }
        learns_ = learned();
        const std::string how = "loss " + doctor_number("%.3g", first) + " to " + doctor_number("%.3g", last) + " in " + std::to_string(steps) + " steps" +
                                (loss_.counts_correct() ? ", " + doctor_number("%.0f %%", 100 * right) + " right" : "");
        if (learns_)
            add("one batch", Finding::Kind::good, "the network learns " + std::to_string(batch.count) + " samples by heart (" + how + ")");
        else if (finite && steps < o_.overfit_steps)
            add("one batch", Finding::Kind::notice, "time was up before it showed whether the network learns one batch by heart (" + how + ")",
                "give the doctor more time (DoctorOptions::seconds), or try a smaller network");
        else
            add("one batch", Finding::Kind::bad, "the network does not learn " + std::to_string(batch.count) + " samples by heart (" + how + ")",
                "look for layers without gradient (frozen, dead, a ReLU behind the last layer), for dropout that is too strong, and for equal inputs with "
                "different "
                "targets");
    }

    /// Labels that have nothing to do with the inputs can be learned by heart, and no more.
    void look_at_labels() {
        if (!classifies() || !bad_step_.empty() || right_.size() < 20) return;
        const std::size_t last = right_.size() / 3;
        double right = 0;
        for (std::size_t i = right_.size() - last; i < right_.size(); ++i) right += right_[i] / static_cast<double>(last);
        const double measured = validation_ ? validated_ / 100 : right,
                     n = validation_ ? static_cast<double>(validation_->samples()) : counted_ * static_cast<double>(last);
        // Better than naming the most frequent class, or surer than the classes' frequencies: of rare classes the first says nothing.
        const double bound = chance_ + 4 * std::sqrt(chance_ * (1 - chance_) / n);
        const bool better = measured > bound, surer = validation_ && surprise_ < entropy_ - 4 * entropy_deviation_ / std::sqrt(n);
        if (!validation_ && (!train_.options().weights.empty() || bound >= 1)) return;
        const std::string numbers = doctor_number("%.1f %%", 100 * measured) + " right after the trial, and naming the most frequent class always gives " +
                                    doctor_number("%.1f %%", 100 * chance_);
        const auto is_bad = [&](const char* check) {
            const Finding* f = d_.find(check);
            return f && f->kind == Finding::Kind::bad;
        };
        const bool sick_otherwise = is_bad("dead ReLUs") || is_bad("gradients") || (is_bad("learning rate") && !is_nan(d_.learning_rate));
        if (better || surer)
            add("labels", Finding::Kind::good, "inputs tell something about their labels: " + numbers);
        else if (bound >= 1)
            add("labels", Finding::Kind::notice, "too few samples of the rarer classes to tell whether labels belong to their inputs: " + numbers,
                "validate on more samples, and look at the accuracy of each class (ClassScore, confusion matrix)");
        else if (learns_ && !sick_otherwise)
            add("labels", Finding::Kind::bad, "single samples can be learned, but nothing that holds for others: " + numbers,
                "look whether each label belongs to its input: the order of files, the column of the table, a shuffle of one without the other");
        else
            add("labels", Finding::Kind::notice, "nothing is learned: " + numbers, "look at the other findings first");
    }

    void fit_memory() {
        if (o_.memory <= 0 && model_.computes_on().starts_with("cuda")) return;  // the host's memory is not what it takes
        const double room = o_.memory > 0 ? o_.memory : 0.75 * free_memory();
        const index_t samples = static_cast<index_t>(train_.sample_indices().size()), own = train_.options().batch_size;
        const auto bytes = [&](index_t batch) {
            return static_cast<double>(planned_memory(model_, batch, optimizer_.slot_count(), train_loss_, o_.micro_batches).total());
        };
        for (index_t batch = std::max<index_t>(model_.least_batch(), 1); batch <= std::min<index_t>(samples, 65536) && bytes(batch) <= room; batch *= 2)
            d_.batch_size = batch;
        const std::string takes =
            "training with batches of " + std::to_string(own) + " takes " + byte_text(static_cast<index_t>(bytes(std::min(own, samples))));
        if (bytes(std::min(own, samples)) > room)
            add("memory", Finding::Kind::bad, takes + ", and there is room for " + byte_text(static_cast<index_t>(room)),
                d_.batch_size > 0 ? "use batches of " + std::to_string(d_.batch_size) + " or fewer, or micro_batches" : "use a smaller network");
        else
            add("memory", Finding::Kind::good, takes + "; batches of up to " + std::to_string(d_.batch_size) + " would fit");
    }

    const AnyModel& model_;
    const Optimizer& optimizer_;
    const AnySchedule& schedule_;
    AnyLoss loss_, train_loss_;
    Loader& train_;
    Loader* validation_;
    DoctorOptions o_;
    StepOptions step_;
    Diagnosis d_;
    std::vector<double> shares_, right_;
    double chance_ = 1, entropy_ = 0, entropy_deviation_ = 0, counted_ = 0, validated_ = 0, surprise_ = std::numeric_limits<double>::infinity();
    std::string bad_step_;
    bool learns_ = false;
};

}  // namespace detail

}  // namespace dla
