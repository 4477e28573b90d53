// SPDX-License-Identifier: MIT
// What a training consists of once its options are found to make sense: for `fit`, which does it, and `diagnose`, which tries it out.
#pragma once

#include <dla/core/finite.hpp>
#include <dla/train/fit_options.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace dla::detail {

/// Throws where what was given cannot be meant: metrics of logits that nothing makes logits, masks of bytes, scores instead of probabilities.
inline void check_targets(const char* who, const FitOptions& o, const AnyData& data, const AnyLoss& loss) {
    if (data.classes() > 0) return;
    if (!o.loss)
        for (const auto& metric : o.metrics)
            if (dynamic_cast<const BinaryScore*>(metric.get()) != nullptr || dynamic_cast<const LabelScore*>(metric.get()) != nullptr)
                fail(ErrorCode::usage, who,
                     metric->name() +
                         " is measured of outputs that are logits of yes and no, and no loss makes them such: give one, "
                         ".loss = dla::BCEWithLogits<float>{} (without one, values are compared by MeanSquaredError)");
    const bool yes_and_no = std::holds_alternative<BCEWithLogits<float>>(loss.get()), shares = std::holds_alternative<SoftCrossEntropy<float>>(loss.get());
    if (!yes_and_no && !shares) return;
    std::vector<float> values(static_cast<std::size_t>(data.target_size()));
    for (index_t i = 0; i < std::min<index_t>(data.size(), 256); ++i) {
        data.target(i, values);
        for (const float v : values) {
            if (v >= 0 && (shares ? is_finite(v) : v <= 1)) continue;
            char number[32];
            std::snprintf(number, sizeof number, "%g", static_cast<double>(v));
            const char* more = shares ? "; predict_probabilities makes them of a network's scores" : v > 1 && v <= 255 ? "; divide bytes by 255" : "";
            fail(ErrorCode::data, who,
                 text(shares ? "SoftCrossEntropy takes probabilities" : "BCEWithLogits takes targets from 0 to 1", "; one of sample ", i, " is ", number, more)
                     .view());
        }
    }
}
/// How the samples that are trained on are read.
inline LoaderOptions training_loader_options(const AnyModel& model, const AnyData& data, const Split& split, const FitOptions& o) {
    LoaderOptions training{.batch_size = o.batch_size, .augmentation = o.augmentation, .mixup = o.mixup, .seed = o.seed, .workers = o.workers};
    if (o.balanced) training.weights = data.balanced_weights(split.train);
    if (!o.sampling_weights.empty())
        for (const std::uint32_t sample : split.train) training.weights.push_back(o.sampling_weights[sample]);
    // A last batch that is too small for normalisation, or for its parts, is left out.
    if (std::ssize(split.train) % o.batch_size < model.least_batch() * o.micro_batches) training.last_batch = LastBatch::drop;
    return training;
}

/// A training that is ready to begin.
struct FitPlan {
    AnyLoss loss;
    std::unique_ptr<Loader> train, validation;  // validation: null where nothing is validated
    Optimizer optimizer = Adam();
    AnySchedule schedule;
};

inline void require_fit(const char* who, bool good, const char* what) {
    if (!good) fail(ErrorCode::usage, who, what);
}

/// Throws Error(usage) and Error(data), said to be of `who`, for options that contradict each other, the model or the data.
[[gnu::cold]] inline FitPlan plan_fit(const char* who, const AnyModel& model, const AnyData& data, const FitOptions& o) {
    const auto require = [who](bool good, const char* what) { require_fit(who, good, what); };
    require(o.epochs >= 1, "epochs must be at least 1");
    require(o.validation_share >= 0 && o.validation_share < 1, "validation_share must be at least 0 and less than 1");
    require((o.validation_share != 0) + o.split.has_value() + o.validation.has_value() <= 1, "give one of validation_share, split and validation");
    require(o.batch_size >= 1, "batch_size must be at least 1");
    require(o.micro_batches >= 1, "micro_batches must be a power of two");
    require(!o.optimizer || o.optimizer->steps() == 0, "the optimizer has taken steps already; give it a new one");
    require(o.sampling_weights.empty() || std::ssize(o.sampling_weights) == data.size(), "sampling_weights needs one for each sample of the data");
    require(std::ranges::all_of(o.sampling_weights, [](double w) { return w >= 0 && is_finite(w); }), "sampling_weights must be finite and not negative");
    require(o.sampling_weights.empty() || !o.balanced, "give one of balanced and sampling_weights");
    // Statistics that layers measure are something to train, and a callback may free what is frozen.
    const ParamIndex& index = model.index();
    require(std::ranges::any_of(index.parameters, &ParamRow::trainable) || index.parameters.empty() || !index.buffers.empty() || !o.callbacks.empty(),
            "all parameters are frozen; nothing is left to train");
    FitPlan plan;
    const AnyLoss& loss = plan.loss = loss_for(o.loss, data);
    check_fit(who, model, data, &loss);
    check_targets(who, o, data, loss);
    const std::string said = std::string(who) + ", validation";
    if (o.validation) check_fit(said.c_str(), model, *o.validation, &loss), check_targets(said.c_str(), o, *o.validation, loss);

    Split split{data.samples(), {}};
    if (o.validation_share > 0) {
        const auto count = static_cast<index_t>(std::llround(o.validation_share * static_cast<double>(data.size())));
        require(count >= 1 && count < data.size(), "validation_share leaves nothing to train on, or nothing to validate");
        split = random_split(data.size(), count, o.seed);
    }
    if (o.split) {
        split = *o.split;
        require(!split.train.empty(), "the split leaves nothing to train on");
        std::vector<bool> taken(static_cast<std::size_t>(data.size()));
        for (const auto* part : {&split.train, &split.validation})
            for (const std::uint32_t sample : *part) {
                require(index_t{sample} < data.size(), "the split names a sample that the data do not have");
                require(part == &split.train || !taken[sample], "the split validates on a sample that it trains on");
                if (part == &split.train) taken[sample] = true;
            }
    }
    require(o.mixup == 0 || std::holds_alternative<CrossEntropy>(loss.get()),
            "mixup mixes classes: it needs class numbers as targets, and CrossEntropy (or no loss, which means it)");
    require(o.ema_decay >= 0 && o.ema_decay < 1, "ema_decay must be at least 0 and less than 1");
    const LoaderOptions evaluation = evaluation_options(o.batch_size, o.workers);
    plan.train = data.loader(split.train, training_loader_options(model, data, split, o));
    if (!split.validation.empty()) plan.validation = data.loader(split.validation, evaluation);
    if (o.validation) plan.validation = o.validation->loader(o.validation->samples(), evaluation);

    if (o.optimizer) plan.optimizer = *o.optimizer;
    AnyScheduleOptions schedule_options{.learning_rate = plan.optimizer.learning_rate(), .warmup = o.warmup};
    if (o.schedule) schedule_options.rule = o.schedule->of(o.epochs, plan.train->batches(), o.warmup);
    if (o.warmup) {
        const bool in_steps = o.warmup->options.unit == ScheduleUnit::step;
        const std::int64_t run = in_steps ? std::int64_t{o.epochs} * plan.train->batches() : o.epochs;
        if (o.warmup->options.length > run)
            fail(ErrorCode::usage, who,
                 text("the warm-up takes ", o.warmup->options.length, in_steps ? " steps" : " epochs", ", and the run has ", run, "; shorten it").view());
    }
    plan.schedule = AnySchedule(schedule_options);
    return plan;
}

}  // namespace dla::detail
